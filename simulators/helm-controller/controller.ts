import { setTimeout as sleep } from 'node:timers/promises';
import { brokenAnnotation, failAnnotation } from '../annotations.ts';
import type { Client } from '../kubernetes/client.ts';
import { asMap, asText, at, type JsonMap } from '../kubernetes/json.ts';
import { finalizersOf, isBeingDeleted, type KubeObject, nameOf, namespaceOf } from '../kubernetes/object.ts';
import { seconds } from '../time.ts';
import { type Outcome, startWorkQueue } from '../work-queue.ts';
import { appVersion } from './chart.ts';
import { Conditions } from './conditions.ts';
import {
  applyRelease,
  type Change,
  correctDrift,
  driftOf,
  isStored,
  lookAtPods,
  type Owner,
  renderRelease,
  type StoredRelease,
  store,
  stored,
  uninstallRelease,
} from './helm.ts';
import {
  digestOf,
  goDuration,
  historyOf,
  millisecondsOf,
  mustForgetFailures,
  nextStep,
  numberOf,
  requestsOf,
  type Snapshot,
  type Step,
  type Wish,
  wishOf,
} from './release.ts';

const finalizer = 'finalizers.fluxcd.io';

const defaultTimeoutMs = 300_000;
const longestBackoffMs = 900_000;

export interface HelmControllerOptions {
  readonly client: Client;
  /** How long one Helm action takes before it waits for the pods. */
  readonly actionMs?: number;
  /** How long a Helm action waits for the pods at most; the HelmRelease’s own timeout counts when it is shorter. */
  readonly timeoutMs?: number;
  /** How long source-controller takes to fetch a version of the chart. */
  readonly sourceMs?: number;
  /** The least time between two attempts at a release. */
  readonly retryMs?: number;
  /** What the chart’s schema has against values, as Helm words it. Default: the chart has no schema. */
  readonly valuesFaults?: (values: JsonMap) => readonly string[];
  /** Why a HelmRepository (`<namespace>/<name>`) does not answer; asked at every attempt. Default: each answers. */
  readonly repositoryFault?: (repository: string) => string | undefined;
  readonly onFailure?: (what: string, error: unknown) => void;
}

/** A HelmRelease during a reconcile: what was read, and the status to write. */
interface Work {
  readonly object: KubeObject;
  readonly wish: Wish;
  readonly owner: Owner;
  readonly status: JsonMap;
  readonly conditions: Conditions;
  readonly signal: AbortSignal;
}

/** Helm has stored no release, so there is nothing to remediate: Flux tries again after a growing pause. */
class NothingStored extends Error {}

/**
 * Simulates Flux’s helm-controller with Helm, and of its source-controller whether a chart can be had: installs,
 * upgrades, rolls back and uninstalls the chart that a HelmRelease names, corrects drift, and reports it in its
 * conditions. A change of metadata alone does nothing.
 */
export const startHelmController = ({
  client,
  actionMs = 500,
  timeoutMs = 30_000,
  sourceMs = 100,
  retryMs = 12_000,
  valuesFaults = () => [],
  repositoryFault = () => undefined,
  onFailure = () => {},
}: HelmControllerOptions): { close(): Promise<void> } => {
  const waiting = new Map<string, Set<() => void>>();
  /** The chart that was fetched last, by HelmRelease. */
  const charts = new Map<string, string>();
  /** What of a HelmRelease makes Flux act: not its status, and of its annotations a request only. */
  const heard = new Map<string, string>();

  const write = async ({ object, status, conditions }: Work, changes: JsonMap = {}): Promise<void> => {
    Object.assign(status, changes, { conditions: conditions.list });
    await client.patch(
      'helmreleases',
      namespaceOf(object),
      nameOf(object),
      { status },
      { subresource: 'status' },
    );
  };

  /** Waits until the release’s deployments are available; why not, when they have failed or time is up. */
  const waitForPods = async ({ object, owner, wish, signal }: Work): Promise<string | undefined> => {
    const own = millisecondsOf(asText(at(object, 'spec', 'timeout'))) ?? defaultTimeoutMs;
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(Math.min(own, timeoutMs))]);
    for (;;) {
      const { promise: changed, resolve } = Promise.withResolvers<void>();
      const listeners = waiting.get(wish.namespace) ?? new Set();
      waiting.set(wish.namespace, listeners.add(resolve));
      deadline.addEventListener('abort', () => resolve(), { once: true });
      const { missing, hopeless } = await lookAtPods(client, owner, wish.namespace);
      if (missing.length === 0 || hopeless || deadline.aborted) {
        listeners.delete(resolve);
        signal.throwIfAborted();
        if (missing.length === 0) return undefined;
        const why = hopeless ? 'failed early due to stalled resources' : 'timeout waiting for';
        return `${why}: [${missing.join(', ')}]`;
      }
      await changed;
      listeners.delete(resolve);
    }
  };

  /** Applies a release and waits for it; why that failed, undefined when it succeeded. */
  const applyAndWait = async (work: Work, release: StoredRelease): Promise<string | undefined> => {
    await sleep(actionMs, undefined, { signal: work.signal });
    try {
      await applyRelease(client, work.owner, work.wish.namespace, release);
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
    return waitForPods(work);
  };

  const snapshotOf = (work: Work, version: number, release: StoredRelease, status: string): Snapshot => {
    const { wish } = work;
    const now = seconds(new Date());
    const earlier = historyOf(work.status).at(-1);
    const snapshot = {
      apiVersion: 'v2',
      name: wish.release,
      namespace: wish.namespace,
      version,
      chartName: wish.chart,
      chartVersion: release.chartVersion,
      appVersion,
      configDigest: digestOf(release.values),
      firstDeployed: asText(earlier?.firstDeployed) || now,
      lastDeployed: now,
      status,
    };
    return { ...snapshot, digest: digestOf(snapshot) };
  };

  /** The history with a new version on top: what was deployed before is superseded by what is deployed now. */
  const historyWith = (work: Work, snapshot: Snapshot, fresh: boolean): Snapshot[] => {
    if (fresh) return [snapshot];
    const before = historyOf(work.status).map((item) =>
      item.status === 'deployed' && snapshot.status === 'deployed' ? { ...item, status: 'superseded' } : item,
    );
    return [snapshot, ...before].slice(0, 5);
  };

  /** Installs or upgrades. Throws NothingStored. */
  const release = async (work: Work, action: 'install' | 'upgrade'): Promise<void> => {
    const { object, owner, wish, status, conditions } = work;
    conditions.delete('Remediated');
    status.lastAttemptedReleaseAction = action;
    if (action === 'install') status.history = [];
    const started = Date.now();
    const chart = `${wish.chart}@${wish.chartVersion}`;
    const name = action === 'install' ? 'Install' : 'Upgrade';
    const fail = (fault: string): void => {
      status.failures = numberOf(status.failures) + 1;
      conditions.set('Released', {
        status: 'False',
        reason: `${name}Failed`,
        message: `Helm ${action} failed for release ${wish.namespace}/${wish.release} with chart ${chart}: ${fault}`,
      });
    };
    const faults = valuesFaults(wish.values);
    if (faults.length > 0) {
      const intro = "values don't meet the specifications of the schema(s) in the following chart(s):";
      fail([intro, `${wish.chart}:`, ...faults.map((fault) => `- ${fault}`)].join('\n'));
      conditions.summarize();
      throw new NothingStored();
    }
    const failing = asText(asMap(object.metadata.annotations)[failAnnotation]).split(',');
    const wanted = await renderRelease(
      client,
      owner,
      wish,
      failing.includes(action) ? { [brokenAnnotation]: 'true' } : {},
    );
    const version =
      action === 'install' ? 1 : Math.max(0, ...historyOf(status).map((item) => item.version)) + 1;
    const fault = await applyAndWait(work, wanted);
    const outcome = fault === undefined ? 'deployed' : 'failed';
    if (outcome === 'deployed') await supersede(work);
    await store(client, wish, version, wanted, outcome);
    const snapshot = snapshotOf(work, version, wanted, outcome);
    status.history = historyWith(work, snapshot, action === 'install');
    status.lastAttemptedReleaseActionDuration = `${((Date.now() - started) / 1000).toFixed(1)}s`;
    if (fault === undefined) {
      conditions.set('Released', {
        status: 'True',
        reason: `${name}Succeeded`,
        message: `Helm ${action} succeeded for release ${wish.namespace}/${wish.release}.v${version} with chart ${chart}`,
      });
    } else {
      fail(fault);
      status[`${action}Failures`] = numberOf(status[`${action}Failures`]) + 1;
    }
    conditions.summarize();
  };

  /** Helm’s record of what was deployed until now. */
  const supersede = async ({ wish, status }: Work): Promise<void> => {
    const before = historyOf(status).find((item) => item.status === 'deployed');
    if (before === undefined) return;
    const record = await stored(client, wish.release, wish.namespace, before.version);
    if (record !== undefined) await store(client, wish, before.version, record, 'superseded');
  };

  const rollBack = async (work: Work, to: Snapshot): Promise<void> => {
    const { wish, status, conditions } = work;
    const version = Math.max(...historyOf(status).map((item) => item.version)) + 1;
    const target = await stored(client, wish.release, wish.namespace, to.version);
    const fault =
      target === undefined
        ? `release v${to.version} is not in the storage any more`
        : await applyAndWait(work, target);
    const name = `${wish.namespace}/${wish.release}.v${to.version} with chart ${to.chartName}@${to.chartVersion}`;
    if (target === undefined || fault !== undefined) {
      status.failures = numberOf(status.failures) + 1;
      conditions.set('Remediated', {
        status: 'False',
        reason: 'RollbackFailed',
        message: `Helm rollback to previous release ${name} failed: ${fault}`,
      });
    } else {
      await supersede(work);
      await store(client, wish, version, target, 'deployed');
      status.history = historyWith(work, snapshotOf(work, version, target, 'deployed'), false);
      conditions.set('Remediated', {
        status: 'True',
        reason: 'RollbackSucceeded',
        message: `Helm rollback to previous release ${name} succeeded`,
      });
    }
    conditions.summarize();
  };

  const removeFailedInstall = async (work: Work): Promise<void> => {
    const { owner, wish, status, conditions } = work;
    await uninstallRelease(client, owner, wish.release, wish.namespace);
    const [latest, ...rest] = historyOf(status);
    if (latest !== undefined) {
      status.history = [{ ...latest, status: 'uninstalling' }, ...rest];
    }
    conditions.set('Remediated', {
      status: 'True',
      reason: 'UninstallSucceeded',
      message: `Helm uninstall remediation for release ${wish.namespace}/${wish.release}.v${latest?.version} with chart ${wish.chart}@${wish.chartVersion} succeeded`,
    });
    conditions.summarize();
  };

  const act = async (
    work: Work,
    step: Exclude<Step, { run: 'nothing' | 'give up' }>,
    drift: readonly Change[],
  ): Promise<void> => {
    const { object, conditions } = work;
    const timeout = millisecondsOf(asText(at(object, 'spec', 'timeout'))) ?? defaultTimeoutMs;
    const action = step.run === 'correct' ? 'correct cluster drift' : step.run;
    const message = `Running '${action}' action with timeout of ${goDuration(timeout)}`;
    conditions.reconciling('Progressing', message);
    // Only a new attempt changes readiness; a remediation keeps the failure visible.
    const isTry = step.run === 'install' || step.run === 'upgrade';
    if (isTry) conditions.set('Ready', { status: 'Unknown', reason: 'Progressing', message });
    await write(work);
    if (step.run === 'rollback') await rollBack(work, step.to);
    else if (step.run === 'uninstall') await removeFailedInstall(work);
    else if (step.run === 'correct') {
      conditions.set('Ready', {
        status: 'Unknown',
        reason: 'Progressing',
        message: 'correcting cluster drift',
      });
      await correctDrift(client, drift);
    } else await release(work, step.run);
    await write(work);
  };

  /** What of the deployed release has drifted, where that is to be detected. */
  const drifted = async ({ object, owner, wish, status }: Work): Promise<readonly Change[]> => {
    const mode = asText(at(object, 'spec', 'driftDetection', 'mode'));
    const [latest] = historyOf(status);
    if ((mode !== 'enabled' && mode !== 'warn') || latest?.status !== 'deployed') return [];
    const deployed = await stored(client, wish.release, wish.namespace, latest.version);
    return deployed === undefined ? [] : driftOf(client, owner, wish.namespace, deployed);
  };

  /** Why the chart is not there yet, and when to ask again; undefined when it is. */
  const awaitedChart = (work: Work): { readonly message: string; readonly againMs: number } | undefined => {
    const { object, wish, owner } = work;
    const source = asMap(at(object.spec, 'chart', 'spec', 'sourceRef'));
    const repository = `${asText(source.namespace) || owner.namespace}/${asText(source.name)}`;
    const key = `${owner.namespace}/${owner.name}`;
    const wanted = `${repository} ${wish.chart} ${wish.chartVersion}`;
    const isFetched = charts.get(key)?.startsWith(`fetched ${wanted}`) === true;
    if (isFetched) return undefined;
    const fault = repositoryFault(repository);
    const isAsked = charts.get(key) === `asked ${wanted}`;
    if (fault === undefined && (isAsked || sourceMs === 0)) {
      charts.set(key, `fetched ${wanted}`);
      return undefined;
    }
    charts.set(key, fault === undefined ? `asked ${wanted}` : 'away');
    const why = fault ?? 'latest generation of object has not been reconciled';
    return {
      message: `HelmChart '${chartOf(work)}' is not ready: ${why}`,
      againMs: fault === undefined ? sourceMs : Math.max(sourceMs, retryMs / 16),
    };
  };

  const chartOf = ({ object, owner }: Work): string => {
    const namespace = asText(at(object.spec, 'chart', 'spec', 'sourceRef', 'namespace')) || owner.namespace;
    return `${namespace}/${owner.namespace}-${owner.name}`;
  };

  const uninstall = async (object: KubeObject, signal: AbortSignal): Promise<void> => {
    const suspended = at(object, 'spec', 'suspend') === true;
    if (!suspended && asText(at(object, 'status', 'storageNamespace')) !== '') {
      await sleep(actionMs, undefined, { signal });
      const [latest] = historyOf(asMap(object.status));
      const wish = wishOf(object);
      const owner = { name: nameOf(object), namespace: namespaceOf(object) };
      await uninstallRelease(
        client,
        owner,
        latest?.name ?? wish.release,
        latest?.namespace ?? wish.namespace,
      );
    }
    const left = finalizersOf(object).filter((name) => name !== finalizer);
    await client.patch('helmreleases', namespaceOf(object), nameOf(object), {
      metadata: { finalizers: left },
    });
  };

  const reconcile = async (key: string, signal: AbortSignal): Promise<Outcome> => {
    const [namespace = '', name = ''] = key.split('/');
    const object = await client.get('helmreleases', namespace, name);
    if (object === undefined) return undefined;
    if (isBeingDeleted(object)) {
      if (finalizersOf(object).includes(finalizer)) await uninstall(object, signal);
      return undefined;
    }
    if (!finalizersOf(object).includes(finalizer)) {
      const finalizers = [...finalizersOf(object), finalizer];
      const added = await client.patch('helmreleases', namespace, name, { metadata: { finalizers } });
      if (added.status === undefined) {
        const patch = { status: { observedGeneration: -1 } };
        await client.patch('helmreleases', namespace, name, patch, { subresource: 'status' });
      }
      return { againMs: 0 };
    }

    const status = { ...asMap(object.status) };
    const generation = numberOf(object.metadata.generation);
    const conditions = new Conditions(status, generation);
    const wish = wishOf(object);
    const work: Work = { object, wish, owner: { name, namespace }, status, conditions, signal };
    if (at(object, 'spec', 'suspend') === true) {
      if (status.observedGeneration !== generation) await write(work, { observedGeneration: generation });
      return undefined;
    }

    const requests = requestsOf(object, status);
    const forget = mustForgetFailures(object, status, requests.reset);
    const idle = { againMs: millisecondsOf(asText(at(object, 'spec', 'interval'))) ?? defaultTimeoutMs };
    let drift = await drifted(work);
    const isSettled = status.observedGeneration === generation && !requests.reconcile && !forget;
    const decide = async (forced: boolean): Promise<Step> => {
      const mayCorrect = at(object, 'spec', 'driftDetection', 'mode') === 'enabled';
      return nextStep(object, status, {
        forced,
        stored: await isStored(client, wish.release, wish.namespace),
        drifted: mayCorrect && drift.length > 0,
      });
    };
    if (isSettled && drift.length === 0) {
      const { run } = await decide(false);
      if (run === 'nothing' || run === 'give up') return idle;
    }

    conditions.reconciling('Progressing', 'Fulfilling prerequisites');
    const awaited = awaitedChart(work);
    status.helmChart = chartOf(work);
    if (awaited !== undefined) {
      conditions.set('Ready', { status: 'False', reason: 'SourceNotReady', message: awaited.message });
      await write(work);
      return awaited;
    }
    await write(work);
    if (conditions.get('Ready')?.reason === 'SourceNotReady')
      conditions.set('Ready', {
        status: 'Unknown',
        reason: 'Progressing',
        message: 'reconciliation in progress',
      });

    if (forget) Object.assign(status, { failures: 0, installFailures: 0, upgradeFailures: 0 });
    Object.assign(status, {
      storageNamespace: wish.namespace,
      lastAttemptedGeneration: generation,
      lastAttemptedRevision: wish.chartVersion,
      lastAttemptedConfigDigest: wish.configDigest,
    });
    /** Flux says that it has handled a request once the attempt has ended. */
    const handled: JsonMap = {};
    if (requests.reconcile) {
      handled.lastHandledReconcileAt = requests.token;
      const marks = asMap(object.metadata.annotations);
      if (marks['reconcile.fluxcd.io/forceAt'] !== undefined) handled.lastHandledForceAt = requests.token;
      if (marks['reconcile.fluxcd.io/resetAt'] !== undefined) handled.lastHandledResetAt = requests.token;
    }
    const giveUp = async ({ reason, message }: Extract<Step, { run: 'give up' }>): Promise<Outcome> => {
      conditions.stalled(reason, message);
      await write(work, { ...handled, observedGeneration: generation });
      return undefined;
    };

    let isForced = requests.force;
    const done = new Set<Step['run']>();
    for (;;) {
      const step = await decide(isForced);
      if (step.run === 'give up') return giveUp(step);
      if (step.run === 'nothing') {
        conditions.delete('Reconciling');
        conditions.delete('Stalled');
        inSync(work);
        if (at(object, 'spec', 'driftDetection', 'mode') !== undefined) reportDrift(work, drift);
        conditions.summarize();
        await write(work, { ...handled, observedGeneration: generation });
        return idle;
      }
      if (done.has(step.run)) return retry(work, handled);
      if (step.run === 'correct') reportDrift(work, drift);
      try {
        await act(work, step, drift);
      } catch (error) {
        if (!(error instanceof NothingStored)) throw error;
        await write(work, handled);
        const failures = numberOf(status.failures);
        return { againMs: Math.min((retryMs / 16) * 2 ** failures, longestBackoffMs) };
      }
      done.add(step.run);
      isForced = false;
      drift = await drifted(work);
      if (step.run === 'rollback' || step.run === 'uninstall') {
        const next = await decide(false);
        return next.run === 'give up' ? giveUp(next) : retry(work, handled);
      }
    }
  };

  const retry = async (work: Work, handled: JsonMap): Promise<Outcome> => {
    const { conditions } = work;
    conditions.reconciling('ProgressingWithRetry', conditions.get('Ready')?.message ?? '');
    await write(work, handled);
    return { againMs: retryMs };
  };

  const reportDrift = ({ conditions, wish, status }: Work, drift: readonly Change[]): void => {
    const [latest] = historyOf(status);
    const name = `${wish.namespace}/${wish.release}.v${latest?.version}`;
    if (drift.length === 0) {
      const message = 'No drift detected against the cluster state';
      conditions.set('Drifted', { status: 'False', reason: 'NoDriftDetected', message });
    } else {
      const changes = drift.map(({ summary }) => summary).join('\n');
      const message = `Cluster state of release ${name} has drifted from the desired state:\n${changes}`;
      conditions.set('Drifted', { status: 'True', reason: 'DriftDetected', message });
    }
  };

  /** The release is as specified, whatever an attempt at other values or a rollback has said of it. */
  const inSync = ({ wish, status, conditions }: Work): void => {
    const [latest] = historyOf(status);
    const isRolledBack = conditions.get('Remediated')?.status === 'True';
    conditions.delete('Remediated');
    const released = conditions.get('Released');
    if (!isRolledBack && released?.status === 'True') {
      conditions.set('Released', released);
      return;
    }
    const action = released?.reason === 'InstallFailed' && !isRolledBack ? 'install' : 'upgrade';
    conditions.set('Released', {
      status: 'True',
      reason: action === 'install' ? 'InstallSucceeded' : 'UpgradeSucceeded',
      message: `Helm ${action} succeeded for release ${wish.namespace}/${wish.release}.v${latest?.version} with chart ${wish.chart}@${wish.chartVersion}`,
    });
  };

  const queue = startWorkQueue(reconcile, (key, error) => onFailure(`HelmRelease ${key}`, error));
  const stops = [
    client.watch('helmreleases', {}, (type, object) => {
      const key = `${namespaceOf(object)}/${nameOf(object)}`;
      if (type === 'DELETED') {
        heard.delete(key);
        charts.delete(key);
        return;
      }
      const { generation, deletionTimestamp, annotations, uid } = object.metadata;
      const request = asMap(annotations)['reconcile.fluxcd.io/requestedAt'] ?? null;
      const news = JSON.stringify([uid ?? null, generation ?? null, deletionTimestamp ?? null, request]);
      if (heard.get(key) === news) return;
      heard.set(key, news);
      queue.add(key);
    }),
    client.watch('deployments', {}, (_type, object) => {
      for (const changed of waiting.get(namespaceOf(object)) ?? []) changed();
    }),
  ];
  return {
    async close() {
      for (const stop of stops) stop();
      await queue.close();
    },
  };
};
