import { createHash, randomBytes } from 'node:crypto';
import type { Client } from '../kubernetes/client.ts';
import { asList, asMap, asText, at, isMap, type JsonMap, sameJson } from '../kubernetes/json.ts';
import {
  isBeingDeleted,
  type KubeObject,
  nameOf,
  namespaceOf,
  ownersOf,
  uidOf,
} from '../kubernetes/object.ts';
import { seconds } from '../time.ts';
import { startWorkQueue } from '../work-queue.ts';
import { isCrashing, isReady } from './kubelet.ts';

const hashLabel = 'pod-template-hash';

const hashOf = (deployment: KubeObject): string =>
  createHash('sha256')
    .update(JSON.stringify(at(deployment, 'spec', 'template') ?? null))
    .digest('hex')
    .slice(0, 10);

const podOf = (deployment: KubeObject, hash: string): KubeObject => {
  const template = asMap(at(deployment, 'spec', 'template'));
  const metadata = asMap(template.metadata);
  const owner = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    name: nameOf(deployment),
    uid: uidOf(deployment),
    controller: true,
    blockOwnerDeletion: true,
  };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: `${nameOf(deployment)}-${hash}-${randomBytes(3).toString('hex').slice(0, 5)}`,
      namespace: namespaceOf(deployment),
      labels: { ...asMap(metadata.labels), [hashLabel]: hash },
      annotations: asMap(metadata.annotations),
      ownerReferences: [owner],
    },
    spec: asMap(template.spec),
  };
};

const replicasOf = (deployment: KubeObject): number => Number(at(deployment, 'spec', 'replicas') ?? 1);

const statusOf = (deployment: KubeObject, pods: readonly KubeObject[], hash: string): JsonMap => {
  const alive = pods.filter((pod) => !isBeingDeleted(pod));
  const ready = alive.filter(isReady).length;
  const updated = alive.filter((pod) => asMap(pod.metadata.labels)[hashLabel] === hash).length;
  // Strategy Recreate: available means that every wanted replica is ready.
  const available = ready >= replicasOf(deployment);
  const stuck = alive.some(isCrashing);
  return {
    observedGeneration: deployment.metadata.generation ?? 1,
    replicas: alive.length,
    updatedReplicas: updated,
    readyReplicas: ready,
    availableReplicas: ready,
    unavailableReplicas: Math.max(0, replicasOf(deployment) - ready),
    conditions: [
      conditionOf(
        deployment,
        'Available',
        available,
        available ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable',
        `Deployment ${available ? 'has' : 'does not have'} minimum availability.`,
      ),
      // Simplified: the deadline is exceeded as soon as a pod crashes, instead of after ten minutes.
      conditionOf(
        deployment,
        'Progressing',
        !stuck,
        stuck ? 'ProgressDeadlineExceeded' : 'NewReplicaSetAvailable',
        stuck ? 'The pod has not become ready in time.' : 'The pods match the template.',
      ),
    ],
  };
};

const conditionOf = (
  deployment: KubeObject,
  type: string,
  holds: boolean,
  reason: string,
  message: string,
): JsonMap => {
  const before = asList(at(deployment, 'status', 'conditions')).find((one) => at(one, 'type') === type);
  const status = holds ? 'True' : 'False';
  const since =
    isMap(before) && before.status === status ? asText(before.lastTransitionTime) : seconds(new Date());
  return { type, status, reason, message, lastTransitionTime: since, lastUpdateTime: since };
};

/**
 * Simulates the Deployment controller with strategy Recreate: the old pods are gone before new ones are created. Pods
 * belong to their Deployment directly; there are no ReplicaSets.
 */
export const startDeployments = ({
  client,
  onFailure = () => {},
}: {
  readonly client: Client;
  readonly onFailure?: (what: string, error: unknown) => void;
}): { close(): Promise<void> } => {
  const podsOf = async (deployment: KubeObject): Promise<KubeObject[]> => {
    const all = await client.list('pods', { namespace: namespaceOf(deployment) });
    return all.filter((pod) => ownersOf(pod).some((owner) => owner.uid === uidOf(deployment)));
  };

  const reconcile = async (key: string): Promise<undefined> => {
    const [namespace = '', name = ''] = key.split('/');
    const deployment = await client.get('deployments', namespace, name);
    if (deployment === undefined || isBeingDeleted(deployment)) return;
    const hash = hashOf(deployment);
    const pods = await podsOf(deployment);
    const isCurrent = (pod: KubeObject): boolean =>
      asMap(pod.metadata.labels)[hashLabel] === hash && !isBeingDeleted(pod);
    for (const pod of pods) {
      if (!isCurrent(pod) && !isBeingDeleted(pod)) await client.delete('pods', namespace, nameOf(pod));
    }
    const left = await podsOf(deployment);
    const wanted = replicasOf(deployment);
    const current = left.filter(isCurrent);
    // Pods that are not ready go first, as the ReplicaSet controller chooses.
    const inOrder = current.toSorted((a, b) => Number(isReady(b)) - Number(isReady(a)));
    for (const pod of inOrder.slice(wanted)) await client.delete('pods', namespace, nameOf(pod));
    // Strategy Recreate: nothing new while pods of another template are left.
    const isFree = current.length === left.length || current.length > 0;
    for (let missing = wanted - current.length; isFree && missing > 0; missing -= 1) {
      await client.create(podOf(deployment, hash));
    }

    const status = statusOf(deployment, await podsOf(deployment), hash);
    const before = asMap(deployment.status);
    // The server leaves counts of zero out.
    const same = Object.entries(status).every(([field, value]) => sameJson(before[field] ?? 0, value));
    if (!same) await client.patch('deployments', namespace, name, { status }, { subresource: 'status' });
  };

  const queue = startWorkQueue(reconcile, (key, error) => onFailure(`Deployment ${key}`, error));
  const stops = [
    client.watch('deployments', {}, (type, deployment) => {
      if (type !== 'DELETED') queue.add(`${namespaceOf(deployment)}/${nameOf(deployment)}`);
    }),
    client.watch('pods', {}, (_type, pod) => {
      for (const owner of ownersOf(pod)) {
        if (owner.kind === 'Deployment') queue.add(`${namespaceOf(pod)}/${owner.name}`);
      }
    }),
  ];
  return {
    async close() {
      for (const stop of stops) stop();
      await queue.close();
    },
  };
};
