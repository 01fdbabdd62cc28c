import { at } from '../lib/json.ts';
import { kinds } from '../model/kinds.ts';
import { namespaceOf } from '../model/names.ts';
import type { TeamRecord } from '../model/record.ts';
import type { Cluster, Manifest } from '../ports/cluster.ts';
import type { Hubs, HubUser } from '../ports/hubs.ts';
import { Unavailable } from '../ports/unavailable.ts';
import { notebookPods } from '../teams/labels.ts';
import { podsByUser } from './pod.ts';
import type { HubView, PodsView, ServerView } from './rules.ts';
import type { HubFacts } from './steps.ts';

export interface LookDeps {
  readonly hubs: Hubs;
  readonly cluster: Cluster;
  /** How long a hub has to answer in; 2 seconds unless told. A frozen one must leave time for what goes without it. */
  readonly hubMs?: number;
  /** The same where nothing depends on its answer, as when the pod is to be deleted by force; half a second unless told. */
  readonly forcedHubMs?: number;
}

/** Patience with the hub: what is done by force is not to be held up by the very hub that made it necessary. */
export const asForced = <Deps extends LookDeps>(deps: Deps): Deps => ({
  ...deps,
  hubMs: deps.forcedHubMs ?? 500,
});

/** What somebody answered, or that nobody did. */
export type Heard<T> = { readonly answered: true; readonly value: T } | { readonly answered: false };

/** Silence is an answer here: of a system that is away, and of one that took too long. */
export const answered = async <T>(work: Promise<T>, signal: AbortSignal): Promise<Heard<T>> => {
  try {
    return { answered: true, value: await work };
  } catch (error) {
    if (error instanceof Unavailable || signal.aborted) return { answered: false };
    throw error;
  }
};

/** The same within the time that a hub has to answer in. */
export const askHub = <T>(
  { hubMs = 2_000 }: LookDeps,
  ask: (signal: AbortSignal) => Promise<T>,
  signal: AbortSignal,
): Promise<Heard<T>> => {
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(hubMs)]);
  return answered(ask(bounded), bounded);
};

/** The team’s notebook pods, with the events that say why one is not ready. */
const podsOf = async ({ cluster }: LookDeps, team: TeamRecord, signal: AbortSignal) => {
  const namespace = namespaceOf(team.id);
  const pods = await cluster.list({ ...kinds.pod, namespace, labels: notebookPods }, signal);
  const views = podsByUser(pods);
  if ([...views.values()].every(({ isReady, isLeaving }) => isReady || isLeaving)) return views;
  return podsByUser(pods, await cluster.list({ ...kinds.event, namespace }, signal));
};

const hubView = (user: HubUser | undefined): HubView => ({
  answered: true,
  isUser: user !== undefined,
  server: user?.server ?? null,
});

/** One member’s server as hub and cluster see it now, asked at the same time. */
export const lookAtServer = async (
  deps: LookDeps,
  team: TeamRecord,
  user: string,
  signal: AbortSignal,
): Promise<ServerView> => {
  const [hub, pods] = await Promise.all([
    askHub(deps, (bounded) => deps.hubs.user(team, user, bounded), signal),
    answered(podsOf(deps, team, signal), signal),
  ]);
  const seen: PodsView = pods.answered ? { answered: true, pod: pods.value.get(user) } : pods;
  return { hub: hub.answered ? hubView(hub.value) : hub, pods: seen };
};

/** Every user’s server in two questions, whatever the size of the team. */
export const lookAtServers = async (
  deps: LookDeps,
  team: TeamRecord,
  signal: AbortSignal,
): Promise<(user: string) => ServerView> => {
  const [users, pods] = await Promise.all([
    askHub(deps, (bounded) => deps.hubs.users(team, bounded), signal),
    answered(podsOf(deps, team, signal), signal),
  ]);
  const known = new Map(users.answered ? users.value.map((user) => [user.name, user]) : []);
  return (user) => ({
    hub: users.answered ? hubView(known.get(user)) : users,
    pods: pods.answered ? { answered: true, pod: pods.value.get(user) } : pods,
  });
};

const numberAt = (object: Manifest, ...path: readonly string[]): number => {
  const found = at(object, ...path);
  return typeof found === 'number' ? found : 0;
};

/** kubectl’s own annotation of a rollout restart. */
export const restartedAtAnnotation = 'kubectl.kubernetes.io/restartedAt';

/** The hub’s Deployment, as the chart names it. */
export const hubDeployment = (team: TeamRecord) =>
  ({ ...kinds.deployment, name: 'hub', namespace: namespaceOf(team.id) }) as const;

const deploymentView = (object: Manifest): NonNullable<HubFacts['deployment']> => {
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

/** How far a restart of the team’s hub is. */
export const lookAtHub = async (deps: LookDeps, team: TeamRecord, signal: AbortSignal): Promise<HubFacts> => {
  const [deployment, version] = await Promise.all([
    answered(deps.cluster.read(hubDeployment(team), signal), signal),
    askHub(deps, (bounded) => deps.hubs.version(team, bounded), signal),
  ]);
  const seen = !deployment.answered
    ? undefined
    : deployment.value === undefined
      ? null
      : deploymentView(deployment.value);
  return { deployment: seen, answers: version.answered };
};
