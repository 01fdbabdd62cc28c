import { namespaceOf, releaseNameOf } from '../model/names.ts';
import type { Deletion, NotebookDeletion } from '../model/record.ts';
import { homeLabels } from '../notebooks/home.ts';
import type { Cluster, Manifest, ObjectRef } from '../ports/cluster.ts';
import { Unavailable } from '../ports/unavailable.ts';
import { isOwned, teamIdLabel } from '../teams/desired.ts';
import { notebookPods } from '../teams/labels.ts';
import { assertNotNewer, assertSameGeneration, Blocked, type ReconcileContext } from './context.ts';

const kinds = {
  pod: { apiVersion: 'v1', kind: 'Pod' },
  claim: { apiVersion: 'v1', kind: 'PersistentVolumeClaim' },
  release: { apiVersion: 'helm.toolkit.fluxcd.io/v2', kind: 'HelmRelease' },
  policy: { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy' },
  secret: { apiVersion: 'v1', kind: 'Secret' },
  configMap: { apiVersion: 'v1', kind: 'ConfigMap' },
  account: { apiVersion: 'v1', kind: 'ServiceAccount' },
  service: { apiVersion: 'v1', kind: 'Service' },
  deployment: { apiVersion: 'apps/v1', kind: 'Deployment' },
  statefulSet: { apiVersion: 'apps/v1', kind: 'StatefulSet' },
  namespace: { apiVersion: 'v1', kind: 'Namespace' },
} as const;

type Kind = (typeof kinds)[keyof typeof kinds];

const contentKinds: readonly Kind[] = [
  kinds.pod,
  kinds.claim,
  kinds.deployment,
  kinds.statefulSet,
  kinds.service,
  kinds.release,
  kinds.policy,
  kinds.secret,
  kinds.configMap,
  kinds.account,
];

/** What Kubernetes itself puts into every namespace. */
const furniture = new Set(['ConfigMap kube-root-ca.crt', 'ServiceAccount default']);

const list = (
  { deps, team, signal }: ReconcileContext,
  kind: Kind,
  labels?: Readonly<Record<string, string>>,
) =>
  deps.cluster.list(
    { ...kind, namespace: namespaceOf(team.id), ...(labels === undefined ? {} : { labels }) },
    signal,
  );

const remove = async (
  { deps, signal }: ReconcileContext,
  kind: Kind,
  { metadata }: Manifest,
): Promise<void> => {
  const { name, namespace, uid, deletionTimestamp } = metadata;
  if (uid === undefined || deletionTimestamp !== undefined) return;
  const ref: ObjectRef = { ...kind, name, ...(namespace === undefined ? {} : { namespace }) };
  await deps.cluster.remove({ ...ref, uid }, signal);
};

interface Clearing {
  readonly kind: Kind;
  readonly labels: Readonly<Record<string, string>>;
  /** What people call it. */
  readonly what: string;
  /** Only objects that existed at this instant (ISO 8601); later ones are somebody’s new work. */
  readonly until?: string;
}

/** Removes every object that the selector finds; throws Halt until the last one is gone. */
const clear = async (look: ReconcileContext, { kind, labels, what, until }: Clearing): Promise<void> => {
  const meant = async () =>
    (await list(look, kind, labels)).filter(
      ({ metadata }) =>
        until === undefined || Date.parse(metadata.creationTimestamp ?? '') <= Date.parse(until),
    );
  const objects = await meant();
  if (objects.length === 0) return;
  // After the list: pods and volumes carry no revision, and those of a notebook ordered since are not meant.
  await assertSameGeneration(look);
  for (const object of objects) {
    assertNotNewer(look, object);
    await remove(look, kind, object);
  }
  const left = await meant();
  if (left.length > 0)
    throw new Blocked('waiting', 'Deleting', `Waiting for ${what} to go (${left.length} left).`);
};

/** Whether the team has home volumes; throws Unavailable when the cluster does not say. */
export const hasHomes = async (cluster: Cluster, id: string, signal: AbortSignal): Promise<boolean> =>
  (await cluster.list({ ...kinds.claim, namespace: namespaceOf(id), labels: homeLabels }, signal)).length > 0;

/**
 * Takes the notebook away: servers, then the hub by way of Flux, then what we made for it. Home volumes stay
 * unless asked otherwise, the namespace stays. Throws Halt while something is on its way out, Moved when
 * something newer was asked for.
 */
export const tearDownNotebook = async (look: ReconcileContext, deletion: NotebookDeletion): Promise<void> => {
  const labels = { [teamIdLabel]: look.team.id };
  const servers = { kind: kinds.pod, labels: notebookPods, what: 'the notebook servers' };
  // Policies hold the pods, so the pods go first. A hub on its way out may start one more: look again after it.
  await clear(look, servers);
  await clear(look, { kind: kinds.release, labels, what: 'the hub' });
  await clear(look, servers);
  await clear(look, { kind: kinds.policy, labels, what: 'the network policies' });
  await clear(look, { kind: kinds.secret, labels, what: 'the hub’s keys' });
  await clear(look, { kind: kinds.configMap, labels, what: 'the profiles' });
  if (deletion.deleteHomes) {
    await clear(look, {
      kind: kinds.claim,
      labels: homeLabels,
      what: 'the home volumes',
      until: deletion.requestedAt,
    });
  }
};

interface Content {
  /** What somebody else keeps in the team’s namespace, by kind and name. */
  readonly foreign: readonly string[];
  /** What is on its way out, or was the hub’s: Flux is done before the last pod and volume are gone. */
  readonly leaving: readonly string[];
}

const contentOf = async (look: ReconcileContext): Promise<Content> => {
  const release = releaseNameOf(look.team.id);
  const lists = await Promise.all(
    contentKinds.map(async (kind) =>
      (await list(look, kind)).map((object) => ({ object, name: `${kind.kind} ${object.metadata.name}` })),
    ),
  );
  // A home that is still here was not meant to go, though the hub puts the team’s own labels on it.
  const isOurs = (object: Manifest): boolean =>
    isOwned(object, look.team) && object.kind !== kinds.claim.kind;
  const others = lists.flat().filter(({ object, name }) => !isOurs(object) && !furniture.has(name));
  const isLeaving = ({ metadata }: Manifest): boolean =>
    metadata.deletionTimestamp !== undefined ||
    (metadata.labels?.release === release && metadata.labels.component !== homeLabels.component);
  return {
    foreign: others.filter(({ object }) => !isLeaving(object)).map(({ name }) => name),
    leaving: others.filter(({ object }) => isLeaving(object)).map(({ name }) => name),
  };
};

/**
 * Takes the whole team away. The namespace goes only when nothing foreign is left in it, and only if it is
 * ours. Throws Halt while something is on its way out or stands in the way.
 */
export const tearDownTeam = async (look: ReconcileContext, deletion: Deletion): Promise<void> => {
  const name = namespaceOf(look.team.id);
  const ref = { ...kinds.namespace, name };
  const namespace = await look.deps.cluster.read(ref, look.signal);
  if (namespace === undefined) return tearDownGoogle(look, deletion);
  if (!isOwned(namespace, look.team)) {
    throw new Blocked(
      'blocked',
      'Conflict',
      `Namespace ${name} is not this team’s any more; it is left alone.`,
    );
  }
  if (namespace.metadata.deletionTimestamp === undefined) {
    await tearDownNotebook(look, deletion);
    const { foreign, leaving } = await contentOf(look);
    if (foreign.length > 0) {
      const named = foreign.slice(0, 5).join(', ');
      const more = foreign.length > 5 ? ` and ${foreign.length - 5} more` : '';
      throw new Blocked(
        'blocked',
        'ForeignContent',
        `Namespace ${name} holds what is not ours, so it is kept: ${named}${more}. Move it away, and the deletion goes on.`,
      );
    }
    if (leaving.length > 0) {
      throw new Blocked('waiting', 'Deleting', `Waiting for ${leaving[0]} to go (${leaving.length} left).`);
    }
    await assertSameGeneration(look);
    await remove(look, kinds.namespace, namespace);
  }
  if ((await look.deps.cluster.read(ref, look.signal)) !== undefined) {
    throw new Blocked('waiting', 'Deleting', `Waiting for namespace ${name} to go.`);
  }
  await tearDownGoogle(look, deletion);
};

/** Last, so that what still runs keeps its account until it is gone. */
const tearDownGoogle = async (
  { deps, team, signal }: ReconcileContext,
  { deleteSecret }: Deletion,
): Promise<void> => {
  const outcome = await deps.google.dismantle(team, { deleteSecret }, signal);
  if (outcome.state === 'gone') return;
  if (outcome.reason === 'Conflict') throw new Blocked('blocked', outcome.reason, outcome.message);
  throw new Unavailable('Google', outcome.message);
};
