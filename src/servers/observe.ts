import { at } from '../lib/json.ts';
import { kinds } from '../model/kinds.ts';
import type { TeamRecord } from '../model/record.ts';
import type { Cluster, Manifest } from '../ports/cluster.ts';
import type { Hubs, HubUser } from '../ports/hubs.ts';
import { Unavailable } from '../ports/unavailable.ts';
import { notebookPods } from '../teams/labels.ts';
import type { HubFacts, HubView, PodsView, ServerView } from './facts.ts';
import { type PodView, podsByUser } from './pod.ts';

export interface ObserveDeps {
  readonly hubs: Hubs;
  readonly cluster: Cluster;
  /** How long a hub may take to answer; 2 seconds by default. A frozen hub must leave time for work that does not need it. */
  readonly hubTimeoutMs?: number;
  /** The same where nothing depends on the answer, as when a pod is deleted by force; half a second by default. */
  readonly forcedHubTimeoutMs?: number;
}

/** With the short timeout: a forced stop must not wait for the very hub that made it necessary. */
export const withForcedTimeout = <Deps extends ObserveDeps>(deps: Deps): Deps => ({
  ...deps,
  hubTimeoutMs: deps.forcedHubTimeoutMs ?? 500,
});

/** A system’s answer, or the fact that it gave none. */
export type Reply<T> = { readonly answered: true; readonly value: T } | { readonly answered: false };

/** No answer is a value here: from a system that is unavailable, and from one that exceeded the deadline. */
export const replyOf = async <T>(work: Promise<T>, signal: AbortSignal): Promise<Reply<T>> => {
  try {
    return { answered: true, value: await work };
  } catch (error) {
    if (error instanceof Unavailable || signal.aborted) return { answered: false };
    throw error;
  }
};

/** A hub’s reply within its timeout. */
export const askHub = <T>(
  { hubTimeoutMs: hubMs = 2_000 }: ObserveDeps,
  ask: (signal: AbortSignal) => Promise<T>,
  signal: AbortSignal,
): Promise<Reply<T>> => {
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(hubMs)]);
  return replyOf(ask(bounded), bounded);
};

/** The team’s notebook pods, with the events that say why one is not ready. */
const observePods = async ({ cluster }: ObserveDeps, team: TeamRecord, signal: AbortSignal) => {
  const { namespace } = team.names;
  const pods = await cluster.list({ ...kinds.pod, namespace, labels: notebookPods }, signal);
  const views = podsByUser(pods);
  const isSettled = ({ isReady, isTerminating }: PodView) => isReady || isTerminating;
  if ([...views.values()].every(isSettled)) return views;
  return podsByUser(pods, await cluster.list({ ...kinds.event, namespace }, signal));
};

const hubViewOf = (user: HubUser | undefined): HubView => ({
  answered: true,
  isUser: user !== undefined,
  server: user?.server ?? null,
});

/** One member’s server as hub and cluster see it now; both are asked concurrently. */
export const observeServer = async (
  deps: ObserveDeps,
  team: TeamRecord,
  user: string,
  signal: AbortSignal,
): Promise<ServerView> => {
  const [hub, pods] = await Promise.all([
    askHub(deps, (bounded) => deps.hubs.user(team, user, bounded), signal),
    replyOf(observePods(deps, team, signal), signal),
  ]);
  const seen: PodsView = pods.answered ? { answered: true, pod: pods.value.get(user) } : pods;
  return { hub: hub.answered ? hubViewOf(hub.value) : hub, pods: seen };
};

/** Every user’s server, with two requests whatever the size of the team. */
export const observeServers = async (
  deps: ObserveDeps,
  team: TeamRecord,
  signal: AbortSignal,
): Promise<(user: string) => ServerView> => {
  const [users, pods] = await Promise.all([
    askHub(deps, (bounded) => deps.hubs.users(team, bounded), signal),
    replyOf(observePods(deps, team, signal), signal),
  ]);
  const known = new Map(users.answered ? users.value.map((user) => [user.name, user]) : []);
  return (user) => ({
    hub: users.answered ? hubViewOf(known.get(user)) : users,
    pods: pods.answered ? { answered: true, pod: pods.value.get(user) } : pods,
  });
};

/** The namespace’s quotas; empty when the cluster does not tell, because the API server checks them again anyway. */
export const observeQuotas = async (
  { cluster }: ObserveDeps,
  team: TeamRecord,
  signal: AbortSignal,
): Promise<readonly Manifest[]> => {
  const listed = cluster.list({ ...kinds.resourceQuota, namespace: team.names.namespace }, signal);
  const quotas = await replyOf(listed, signal);
  return quotas.answered ? quotas.value : [];
};

const numberAt = (object: Manifest, ...path: readonly string[]): number => {
  const found = at(object, ...path);
  return typeof found === 'number' ? found : 0;
};

/** kubectl’s own annotation of a rollout restart. */
export const restartedAtAnnotation = 'kubectl.kubernetes.io/restartedAt';

/** The hub’s Deployment, as the chart names it. */
export const hubDeployment = (team: TeamRecord) =>
  ({ ...kinds.deployment, name: 'hub', namespace: team.names.namespace }) as const;

const deploymentViewOf = (object: Manifest): NonNullable<HubFacts['deployment']> => {
  const annotations = at(object, 'spec', 'template', 'metadata', 'annotations');
  const restartedAt = at(annotations, restartedAtAnnotation);
  const wanted = at(object, 'spec', 'replicas') === undefined ? 1 : numberAt(object, 'spec', 'replicas');
  const status = (name: string) => numberAt(object, 'status', name);
  return {
    restartedAt: typeof restartedAt === 'string' ? restartedAt : null,
    isRolledOut:
      status('observedGeneration') >= (object.metadata.generation ?? 0) &&
      status('updatedReplicas') >= wanted &&
      status('replicas') <= status('updatedReplicas') &&
      status('availableReplicas') >= wanted,
  };
};

/** The progress of a restart of the team’s hub. */
export const observeHub = async (
  deps: ObserveDeps,
  team: TeamRecord,
  signal: AbortSignal,
): Promise<HubFacts> => {
  const [deployment, version] = await Promise.all([
    replyOf(deps.cluster.read(hubDeployment(team), signal), signal),
    askHub(deps, (bounded) => deps.hubs.version(team, bounded), signal),
  ]);
  const seen = !deployment.answered
    ? undefined
    : deployment.value === undefined
      ? null
      : deploymentViewOf(deployment.value);
  return { deployment: seen, answers: version.answered };
};
