import type { Kind } from '../model/kinds.ts';
import type { Manifest, ObjectRef } from '../ports/cluster.ts';
import { Blocked } from './blocked.ts';
import type { ReconcileContext } from './context.ts';
import { assertNotNewer, assertSameGeneration } from './fencing.ts';

/** Every object of a kind in the team’s namespace, or those with these labels. */
export const listKind = (
  { deps, team, signal }: ReconcileContext,
  kind: Kind,
  labels?: Readonly<Record<string, string>>,
): Promise<readonly Manifest[]> =>
  deps.cluster.list(
    { ...kind, namespace: team.names.namespace, ...(labels === undefined ? {} : { labels }) },
    signal,
  );

/** Deletes an object that was read, unless it is being deleted. */
export const removeObject = async (
  { deps, signal }: ReconcileContext,
  kind: Kind,
  { metadata }: Manifest,
): Promise<void> => {
  const { name, namespace, uid, deletionTimestamp } = metadata;
  if (uid === undefined || deletionTimestamp !== undefined) return;
  const ref: ObjectRef = { ...kind, name, ...(namespace === undefined ? {} : { namespace }) };
  await deps.cluster.remove({ ...ref, uid }, signal);
};

interface Selection {
  readonly kind: Kind;
  readonly labels: Readonly<Record<string, string>>;
  /** What people call it. */
  readonly what: string;
  /** How much of the deletion is done, in percent, while these are left. */
  readonly progress: number;
  /** Only objects that existed at this instant (ISO 8601); later ones belong to a newer order. */
  readonly until?: string;
}

/** Deletes every object that is selected; throws Blocked (`waiting`) until the last one is gone. */
export const clear = async (
  context: ReconcileContext,
  { kind, labels, what, progress, until }: Selection,
): Promise<void> => {
  const selected = async () =>
    (await listKind(context, kind, labels)).filter(
      ({ metadata }) =>
        until === undefined || Date.parse(metadata.creationTimestamp ?? '') <= Date.parse(until),
    );
  const objects = await selected();
  if (objects.length === 0) return;
  // After the list: pods and volumes carry no revision, and those of a notebook ordered since are not selected.
  await assertSameGeneration(context);
  for (const object of objects) {
    assertNotNewer(context, object);
    await removeObject(context, kind, object);
  }
  const left = await selected();
  if (left.length > 0)
    throw new Blocked('waiting', 'Deleting', `Waiting for ${what} to go (${left.length} left).`, progress);
};
