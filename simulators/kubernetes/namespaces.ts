import type { Background } from './background.ts';
import type { Client } from './client.ts';
import { asList, asMap, asText, asTexts, at } from './json.ts';
import { finalizersOf, isBeingDeleted, type KubeObject, nameOf, namespaceOf, uidOf } from './object.ts';
import type { Change, Registry } from './registry.ts';
import type { Resource } from './resources.ts';
import { ApiError } from './status.ts';

const CLAIM_FINALIZER = 'kubernetes.io/pvc-protection';

/**
 * What kube-controller-manager does for namespaces: a new one gets its default ServiceAccount and the cluster's
 * CA, one that is deleted is emptied first, and a volume claim stays while a pod uses it.
 */
export function keepNamespaces(
  registry: Registry,
  resources: readonly Resource[],
  client: Client,
  background: Background,
): void {
  const byPlural = new Map(resources.map((resource) => [resource.plural, resource]));
  const contents = resources.filter((resource) => resource.namespaced);
  const objectsOf = (plural: string, namespace = ''): KubeObject[] => {
    const resource = byPlural.get(plural);
    return resource === undefined ? [] : registry.list(resource, namespace);
  };

  const furnish = async (namespace: string): Promise<void> => {
    await present(
      client.create({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace } }),
    );
    await present(
      client.create({
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'kube-root-ca.crt', namespace },
        data: { 'ca.crt': '' },
      }),
    );
  };

  const empty = async (namespace: string): Promise<void> => {
    const live = objectsOf('namespaces').find((one) => nameOf(one) === namespace);
    if (live === undefined || !isBeingDeleted(live)) return;
    for (const resource of contents) {
      for (const object of registry.list(resource, namespace)) {
        if (isBeingDeleted(object)) continue;
        await client.delete(resource.plural, namespace, nameOf(object), { propagationPolicy: 'Background' });
      }
    }
    const left = contents.flatMap((resource) =>
      registry.list(resource, namespace).map((object) => ({ resource, object })),
    );
    if (left.length > 0) return report(namespace, left);
    await client.patch(
      'namespaces',
      '',
      namespace,
      { spec: { finalizers: null } },
      { subresource: 'finalize' },
    );
  };

  const report = async (
    namespace: string,
    left: readonly { readonly resource: Resource; readonly object: KubeObject }[],
  ): Promise<void> => {
    const kinds = Map.groupBy(left, ({ resource }) =>
      [resource.plural, resource.group].filter((part) => part !== '').join('.'),
    );
    const finalizers = Map.groupBy(
      left.flatMap(({ object }) => finalizersOf(object)),
      (finalizer) => finalizer,
    );
    const told = (groups: Map<string, unknown[]>, verb: string): string =>
      [...groups].map(([name, members]) => `${name} ${verb} ${members.length} resource instances`).join(', ');
    const live = objectsOf('namespaces').find((one) => nameOf(one) === namespace);
    const conditions = [
      {
        type: 'NamespaceContentRemaining',
        status: 'True',
        reason: 'SomeResourcesRemain',
        message: `Some resources are remaining: ${told(kinds, 'has')}`,
      },
      {
        type: 'NamespaceFinalizersRemaining',
        status: finalizers.size > 0 ? 'True' : 'False',
        reason: finalizers.size > 0 ? 'SomeFinalizersRemain' : 'ContentHasNoFinalizers',
        message:
          finalizers.size > 0
            ? `Some content in the namespace has finalizers remaining: ${told(finalizers, 'in')}`
            : 'All content-preserving finalizers finished',
      },
    ];
    const known = asList(at(live, 'status', 'conditions')).map((one) => asText(at(one, 'message')));
    if (conditions.every(({ message }) => known.includes(message))) return;
    const since = asText(live?.metadata.deletionTimestamp);
    await client.patch(
      'namespaces',
      '',
      namespace,
      {
        status: { conditions: conditions.map((condition) => ({ ...condition, lastTransitionTime: since })) },
      },
      { subresource: 'status' },
    );
  };

  const releaseClaims = async (namespace: string): Promise<void> => {
    const used = new Set(objectsOf('pods', namespace).filter(isActive).flatMap(claimsOf));
    for (const claim of objectsOf('persistentvolumeclaims', namespace)) {
      if (!isBeingDeleted(claim) || !finalizersOf(claim).includes(CLAIM_FINALIZER) || used.has(nameOf(claim)))
        continue;
      await client.patch('persistentvolumeclaims', namespace, nameOf(claim), {
        metadata: {
          uid: uidOf(claim),
          finalizers: finalizersOf(claim).filter((one) => one !== CLAIM_FINALIZER),
        },
      });
    }
  };

  const later = (what: string, namespace: string, work: (namespace: string) => Promise<void>): void =>
    background.add(`${what} ${namespace}`, () =>
      work(namespace).catch((error: unknown) => {
        if (!(error instanceof ApiError && (error.code === 409 || error.code === 404 || error.code === 403)))
          throw error;
      }),
    );

  const follow = (change: Pick<Change, 'type' | 'resource' | 'object'>): void => {
    const { type, resource, object } = change;
    const namespace = namespaceOf(object);
    if (resource.kind === 'Namespace') {
      if (type === 'ADDED') later('furnish', nameOf(object), furnish);
      if (type === 'MODIFIED' && isBeingDeleted(object)) later('empty', nameOf(object), empty);
      return;
    }
    if (resource.kind === 'PersistentVolumeClaim' && isBeingDeleted(object))
      later('release claims of', namespace, releaseClaims);
    if (resource.kind === 'Pod' && (type === 'DELETED' || !isActive(object)))
      later('release claims of', namespace, releaseClaims);
    if (type === 'DELETED') {
      const owner = objectsOf('namespaces').find((one) => nameOf(one) === namespace);
      if (owner !== undefined && isBeingDeleted(owner)) later('empty', namespace, empty);
    }
  };

  for (const namespace of objectsOf('namespaces')) {
    if (isBeingDeleted(namespace)) later('empty', nameOf(namespace), empty);
    else later('release claims of', nameOf(namespace), releaseClaims);
  }
  registry.subscribe(follow);
}

const isActive = (pod: KubeObject): boolean =>
  !['Succeeded', 'Failed'].includes(asText(at(pod, 'status', 'phase')));

const claimsOf = (pod: KubeObject): string[] =>
  asTexts(
    asList(at(pod, 'spec', 'volumes')).map(
      (volume) => asMap(at(volume, 'persistentVolumeClaim')).claimName ?? null,
    ),
  );

async function present(created: Promise<KubeObject>): Promise<void> {
  await created.catch((error: unknown) => {
    if (!(error instanceof ApiError && error.code === 409)) throw error;
  });
}
