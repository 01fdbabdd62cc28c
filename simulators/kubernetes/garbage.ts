import type { Background } from './background.ts';
import type { Client } from './client.ts';
import {
  finalizersOf,
  isBeingDeleted,
  type KubeObject,
  nameOf,
  namespaceOf,
  type OwnerReference,
  ownersOf,
  uidOf,
} from './object.ts';
import type { Change, Registry } from './registry.ts';
import type { Resource } from './resources.ts';
import { ApiError } from './status.ts';

const FOREGROUND = 'foregroundDeletion';
const ORPHAN = 'orphan';

interface Item {
  readonly resource: Resource;
  readonly object: KubeObject;
}

/**
 * Deletes objects whose owners are all gone, as kube-controller-manager's garbage collector does: background by
 * default; with foregroundDeletion an owner waits for the dependents that block it; with orphan they lose their
 * owner and stay. An owner counts as gone when no object with its name and uid is in the dependent's namespace.
 */
export function collectGarbage(
  registry: Registry,
  resources: readonly Resource[],
  client: Client,
  background: Background,
): void {
  const all = (): Item[] =>
    resources.flatMap((resource) => registry.list(resource).map((object) => ({ resource, object })));
  const dependentsOf = (uid: string): Item[] =>
    all().filter(({ object }) => ownersOf(object).some((owner) => owner.uid === uid));
  const current = ({ resource, object }: Item): KubeObject | undefined => {
    const found = registry.get(resource, namespaceOf(object), nameOf(object));
    return found !== undefined && uidOf(found) === uidOf(object) ? found : undefined;
  };

  const stateOf = (owner: OwnerReference, dependent: Item): 'solid' | 'dangling' | 'waiting' => {
    const group = owner.apiVersion.includes('/') ? owner.apiVersion.split('/')[0] : '';
    const kind = resources.find((one) => one.kind === owner.kind && one.group === group);
    // An owner of a kind that is not served, or in no namespace, cannot be looked up: nothing is deleted for it.
    if (kind === undefined || (kind.namespaced && !dependent.resource.namespaced)) return 'solid';
    const found = registry.get(kind, kind.namespaced ? namespaceOf(dependent.object) : '', owner.name);
    if (found === undefined || uidOf(found) !== owner.uid) return 'dangling';
    return isBeingDeleted(found) && finalizersOf(found).includes(FOREGROUND) ? 'waiting' : 'solid';
  };

  const keepOwners = async (item: Item, keep: (owner: OwnerReference) => boolean): Promise<void> => {
    const object = current(item);
    if (object === undefined) return;
    const owners = ownersOf(object).filter(keep);
    const patch = { metadata: { uid: uidOf(object), ownerReferences: owners.length === 0 ? null : owners } };
    await client.patch(item.resource.plural, namespaceOf(object), nameOf(object), patch);
  };

  const removeFinalizer = async (item: Item, finalizer: string): Promise<void> => {
    const object = current(item);
    if (object === undefined) return;
    const finalizers = finalizersOf(object).filter((one) => one !== finalizer);
    await client.patch(item.resource.plural, namespaceOf(object), nameOf(object), {
      metadata: { uid: uidOf(object), resourceVersion: object.metadata.resourceVersion ?? '', finalizers },
    });
  };

  const examine = async (item: Item): Promise<void> => {
    const object = current(item);
    if (object === undefined) return;
    if (isBeingDeleted(object)) return;
    const owners = ownersOf(object);
    if (owners.length === 0) return;
    const states = new Map(owners.map((owner) => [owner.uid, stateOf(owner, { ...item, object })]));
    const solid = [...states.values()].includes('solid');
    const waiting = [...states.values()].includes('waiting');
    if (solid) {
      if (new Set(states.values()).size > 1)
        await keepOwners(item, (owner) => states.get(owner.uid) === 'solid');
      return;
    }
    const foreground = waiting && dependentsOf(uidOf(object)).length > 0;
    const finalizers = finalizersOf(object);
    const propagationPolicy = finalizers.includes(ORPHAN)
      ? 'Orphan'
      : foreground || finalizers.includes(FOREGROUND)
        ? 'Foreground'
        : 'Background';
    await client.delete(item.resource.plural, namespaceOf(object), nameOf(object), {
      propagationPolicy,
      preconditions: { uid: uidOf(object) },
    });
  };

  /** An owner in foreground deletion goes when no dependent that blocks it is left. */
  const releaseOwner = async (item: Item): Promise<void> => {
    const object = current(item);
    if (object === undefined || !isBeingDeleted(object) || !finalizersOf(object).includes(FOREGROUND)) return;
    const dependents = dependentsOf(uidOf(object));
    const blocking = dependents.filter((one) =>
      ownersOf(one.object).some((owner) => owner.uid === uidOf(object) && owner.blockOwnerDeletion === true),
    );
    if (blocking.length === 0) await removeFinalizer(item, FOREGROUND);
    for (const dependent of dependents) await examine(dependent);
  };

  const orphanDependents = async (item: Item): Promise<void> => {
    const object = current(item);
    if (object === undefined || !isBeingDeleted(object) || !finalizersOf(object).includes(ORPHAN)) return;
    for (const dependent of dependentsOf(uidOf(object)))
      await keepOwners(dependent, (owner) => owner.uid !== uidOf(object));
    await removeFinalizer(item, ORPHAN);
  };

  /** A concurrent write: check again. */
  const later = (what: string, item: Item, work: (item: Item) => Promise<void>): void =>
    background.add(`${what} ${item.object.kind} ${nameOf(item.object)}`, () =>
      work(item).catch((error: unknown) => {
        if (!(error instanceof ApiError && (error.code === 409 || error.code === 404))) throw error;
        if (error.code === 409 && current(item) !== undefined) later(what, item, work);
      }),
    );

  const follow = (change: Change): void => {
    const item: Item = { resource: change.resource, object: change.object };
    if (change.type === 'DELETED') {
      for (const dependent of dependentsOf(uidOf(change.object))) later('examine', dependent, examine);
      for (const owner of ownersOf(change.object)) {
        const waiting = all().find(({ object }) => uidOf(object) === owner.uid && isBeingDeleted(object));
        if (waiting !== undefined) later('release', waiting, releaseOwner);
      }
      return;
    }
    if (ownersOf(change.object).length > 0) later('examine', item, examine);
    if (!isBeingDeleted(change.object)) return;
    if (finalizersOf(change.object).includes(FOREGROUND)) later('release', item, releaseOwner);
    if (finalizersOf(change.object).includes(ORPHAN)) later('orphan', item, orphanDependents);
  };

  // What happened before a restart.
  for (const item of all()) follow({ ...item, type: 'MODIFIED', version: 0, previous: undefined });
  registry.subscribe(follow);
}
