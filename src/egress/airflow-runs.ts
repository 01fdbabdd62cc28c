import { forEachConcurrently } from '../lib/concurrency.ts';
import { at, isObject } from '../lib/json.ts';
import { isoOf } from '../lib/time.ts';
import type { AllowlistEntry } from '../model/allowlist.ts';
import { kinds } from '../model/kinds.ts';
import type { Cluster, Manifest } from '../ports/cluster.ts';
import type { Clock, Log } from '../ports/runtime.ts';
import { hasEnded, teamNamespace } from '../teams/labels.ts';
import {
  airflowLabels,
  announcements,
  announcing,
  entriesOf,
  isOutdated,
  isRunPolicy,
  type Run,
  type RunPolicy,
  runPolicy,
  runWish,
  union,
} from './airflow.ts';
import { airflowTarget } from './allow.ts';
import { type Addresses, closedSentence } from './destinations.ts';
import type { EntryOptions } from './entry.ts';
import { namesIn } from './hosts.ts';
import { podOwners } from './pod-owner.ts';
import { type EgressSettings, PolicyName } from './policy.ts';
import { allowlistAnnotation, type Review } from './review.ts';

export interface RunDeps {
  readonly cluster: Cluster;
  readonly clock: Clock;
  readonly settings: EgressSettings;
  readonly entries: EntryOptions;
  /** The addresses of these names, resolved now because a pod is about to rely on them. */
  readonly addresses: (names: readonly string[], signal: AbortSignal) => Promise<Addresses>;
  readonly log: Pick<Log, 'warn' | 'error'>;
}

const namespacesAtOnce = 8;
const runsAtOnce = 8;
const passDeadlineMs = 45_000;

/** How often a write is retried after a conflict. */
const tries = 3;

/** Where runs may have policies, and what is known of that namespace. */
type Place =
  | { readonly place: 'baseline'; readonly labels: Readonly<Record<string, string>> }
  /** No baseline isolates the workers, so an allow policy would cut them off from everything else. */
  | { readonly place: 'no_baseline' }
  | { readonly place: 'elsewhere' };

const placeOf = async ({ cluster }: RunDeps, namespace: string, signal: AbortSignal): Promise<Place> => {
  const [found, baseline] = await Promise.all([
    cluster.read({ ...kinds.namespace, name: namespace }, signal),
    cluster.read({ ...kinds.networkPolicy, namespace, name: PolicyName.AirflowBaseline }, signal),
  ]);
  const { labels = {} } = found?.metadata ?? {};
  if (!Object.entries(teamNamespace).every(([name, value]) => labels[name] === value))
    return { place: 'elsewhere' };
  if (baseline === undefined || baseline.metadata.deletionTimestamp !== undefined) {
    return { place: 'no_baseline' };
  }
  return { place: 'baseline', labels };
};

/**
 * Opens what a pod that is about to be created asks for; returns the warnings for the client that creates it. The policy
 * has no owner yet: the garbage collector would treat a pod that is not stored yet as deleted. Until the pod is
 * seen, the policy keeps what earlier pods of the run asked for.
 */
export const announceRun = async (
  deps: RunDeps,
  pod: Pick<Review, 'namespace' | 'podUid' | 'labels' | 'annotations'>,
  signal: AbortSignal,
): Promise<readonly string[]> => {
  const { cluster, clock, settings } = deps;
  const { namespace } = pod;
  const place = await placeOf(deps, namespace, signal);
  if (place.place === 'elsewhere') return [];
  if (place.place === 'no_baseline') {
    return [
      `The allowlist has no effect (no_baseline): the namespace has no NetworkPolicy ${PolicyName.AirflowBaseline}.`,
    ];
  }
  const { target, entries, faults } = runWish(pod, deps.entries);
  if (target === undefined) {
    return ['The allowlist is not opened: the pod needs the labels dag_id, task_id and run_id.'];
  }
  if (entries.length === 0) return faults;
  const news = { uid: uidOf(pod), at: isoOf(clock.now()) };
  for (let attempt = 0; attempt < tries; attempt += 1) {
    const existing = await cluster.read({ ...kinds.networkPolicy, namespace, name: target.name }, signal);
    if (existing !== undefined && !isRunPolicy(existing)) {
      return [
        ...faults,
        `The allowlist is not opened: NetworkPolicy ${target.name} belongs to another owner.`,
      ];
    }
    const all = union(entries, existing === undefined ? [] : entriesOf(existing, deps.entries));
    const announced = announcing(
      existing === undefined ? [] : announcements(existing, [], clock.now()),
      news,
    );
    const addresses = await deps.addresses(namesIn(all, settings), signal);
    const run = { namespace, namespaceLabels: place.labels, target, entries: all, owners: [], announced };
    const made = runPolicy(run, addresses, settings);
    const sentences = [...faults, ...sentencesOf(made, entries)];
    if (made.policy === undefined) return sentences;
    const result = await cluster.apply(guarded(made.policy, existing), signal);
    if (result.outcome === 'applied') return sentences;
    if (result.outcome === 'refused') {
      deps.log.error({ namespace, policy: target.name, message: result.message }, 'run policy refused');
      return [...sentences, 'The allowlist could not be opened: the cluster refused the policy.'];
    }
  }
  return [...faults, 'The allowlist is not open yet. Retrying within a minute.'];
};

const uidOf = ({ podUid = '' }: Pick<Review, 'podUid'>): string =>
  /^[0-9a-f-]{1,64}$/i.test(podUid) ? podUid : 'unknown';

const sentencesOf = ({ hosts, problem }: RunPolicy, asked: readonly AllowlistEntry[]): readonly string[] => {
  const mine = hosts.filter(({ host }) => asked.some((entry) => entry.host === host));
  return [problem ?? closedSentence(mine)].filter((sentence) => sentence !== undefined);
};

const guarded = (policy: Manifest, existing: Manifest | undefined): Manifest => {
  const { uid, resourceVersion } = existing?.metadata ?? {};
  return uid === undefined || resourceVersion === undefined
    ? policy
    : { ...policy, metadata: { ...policy.metadata, uid, resourceVersion } };
};

/** The result of a pass. */
export interface RunReport {
  /** Runs with a pod that asks for access. */
  readonly runs: number;
  readonly written: number;
  readonly removed: number;
}

/** A run with live pods, or with a policy. */
interface Found {
  readonly namespace: string;
  readonly name: string;
  readonly pods: readonly Manifest[];
  readonly policy: Manifest | undefined;
}

/**
 * Reconciles the policies of Airflow runs with what their pods ask for, and removes those that no pod asks for: the run
 * has ended, an announced pod was never created, or no pod has the announced list. The scheduler calls it every
 * minute; it costs two list calls when there is nothing to do.
 */
export const reconcileRuns = async (
  deps: RunDeps,
  signal: AbortSignal = AbortSignal.timeout(passDeadlineMs),
): Promise<RunReport> => {
  const { cluster } = deps;
  const [pods, policies] = await Promise.all([
    cluster.list({ ...kinds.pod, withLabels: ['dag_id'] }, signal),
    cluster.list({ ...kinds.networkPolicy, labels: airflowLabels }, signal),
  ]);
  const runs = runsOf(deps, pods.filter(asks), policies);
  const places = new Map<string, Place>();
  await forEachConcurrently(
    [...new Set(runs.map((run) => run.namespace))],
    namespacesAtOnce,
    async (namespace) => {
      places.set(namespace, await placeOf(deps, namespace, signal));
    },
  );
  const wanted = runs.map((found) => ({ found, run: runOf(deps, found, places.get(found.namespace)) }));
  const names = namesIn(
    wanted.flatMap(({ run }) => run?.entries ?? []),
    deps.settings,
  );
  const addresses = names.length === 0 ? new Map() : await deps.addresses(names, signal);
  const report = { runs: runs.filter((run) => run.pods.length > 0).length, written: 0, removed: 0 };
  await forEachConcurrently(wanted, runsAtOnce, async ({ found, run }) => {
    try {
      const made = run && runPolicy(run, addresses, deps.settings);
      const outcome = await settle(deps, found, made, signal);
      if (outcome !== 'unchanged') report[outcome] += 1;
    } catch (error) {
      deps.log.error({ namespace: found.namespace, policy: found.name, err: error }, 'run not reconciled');
    }
  });
  return report;
};

/** Pods that are pending, running or terminating, and that ask for access of their own. */
const asks = (pod: Manifest): boolean =>
  pod.metadata.annotations?.[allowlistAnnotation] !== undefined && !hasEnded(pod);

const runsOf = (
  { entries }: RunDeps,
  pods: readonly Manifest[],
  policies: readonly Manifest[],
): readonly Found[] => {
  const key = (namespace: string, name: string) => `${namespace}/${name}`;
  const named = pods.flatMap((pod) => {
    const name = runWish(pod.metadata, entries).target?.name;
    const { namespace } = pod.metadata;
    return name === undefined || namespace === undefined ? [] : [{ namespace, name, pod }];
  });
  const found = new Map<string, Found>();
  for (const policy of policies) {
    const { namespace = '', name } = policy.metadata;
    found.set(key(namespace, name), { namespace, name, pods: [], policy });
  }
  for (const [id, group] of Map.groupBy(named, ({ namespace, name }) => key(namespace, name))) {
    const [first] = group;
    if (first === undefined) continue;
    const { namespace, name } = first;
    found.set(id, { namespace, name, policy: found.get(id)?.policy, pods: group.map(({ pod }) => pod) });
  }
  return [...found.values()];
};

/** The run’s desired policy; undefined when it is to have none. */
const runOf = (deps: RunDeps, found: Found, place: Place | undefined): Run | undefined => {
  const { namespace, pods, policy } = found;
  if (place?.place !== 'baseline') return undefined;
  const owners = podOwners(pods);
  const announced =
    policy === undefined
      ? []
      : announcements(
          policy,
          owners.map(({ uid }) => uid),
          deps.clock.now(),
        );
  const wishes = pods.map((pod) => runWish(pod.metadata, deps.entries));
  const target = wishes[0]?.target ?? (policy && targetOf(policy));
  if (target === undefined || (pods.length === 0 && announced.length === 0)) return undefined;
  const asked = policy !== undefined && announced.length > 0 ? entriesOf(policy, deps.entries) : [];
  return {
    namespace,
    namespaceLabels: place.labels,
    target,
    entries: union(...wishes.map((wish) => wish.entries), asked),
    // An announced pod would lose the policy with the last of the others.
    owners: announced.length === 0 ? owners : [],
    announced,
  };
};

/** The run of a policy, by its selector. */
const targetOf = ({ metadata: { name }, spec }: Manifest): Run['target'] | undefined => {
  const labels = at(spec, 'podSelector', 'matchLabels');
  if (!isObject(labels)) return undefined;
  const matchLabels = Object.fromEntries(
    Object.entries(labels).flatMap(([key, value]) => (typeof value === 'string' ? [[key, value]] : [])),
  );
  const target = airflowTarget(matchLabels);
  return target?.name === name ? target : undefined;
};

const settle = async (
  { cluster, log }: RunDeps,
  { namespace, name, policy: existing }: Found,
  made: RunPolicy | undefined,
  signal: AbortSignal,
): Promise<'written' | 'removed' | 'unchanged'> => {
  const wanted = made?.policy;
  if (wanted === undefined) {
    const { uid, resourceVersion } = existing?.metadata ?? {};
    if (uid === undefined || resourceVersion === undefined) return 'unchanged';
    // With its resourceVersion: another pod of the run may be announced at the same time.
    const ref = { ...kinds.networkPolicy, namespace, name, uid, resourceVersion };
    return (await cluster.remove(ref, signal)) === 'removed' ? 'removed' : 'unchanged';
  }
  if (existing !== undefined && !isOutdated(existing, wanted)) return 'unchanged';
  const result = await cluster.apply(guarded(wanted, existing), signal);
  if (result.outcome === 'applied') return 'written';
  // A conflict is a concurrent write or another owner’s policy. The next pass retries.
  log.warn({ namespace, policy: name, message: result.message }, 'run policy not written');
  return 'unchanged';
};
