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
  lookAtPods,
  type Owner,
  type StoredRelease,
  store,
  stored,
  uninstallRelease,
} from './helm.ts';
import {
  digestOf,
  historyOf,
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

export interface HelmControllerOptions {
  readonly client: Client;
  /** How long one Helm action takes before it waits for the pods. */
  readonly actionMs?: number;
  /** How long a Helm action waits for the pods until it has failed; stands in for the HelmRelease’s own timeout. */
  readonly timeoutMs?: number;
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

/**
 * Simulates Flux’s helm-controller and Helm: installs, upgrades, rolls back and uninstalls the
 * chart that a HelmRelease names, and reports it in its conditions. A change of metadata alone does nothing.
 */
export const startHelmController = ({
  client,
  actionMs = 500,
  timeoutMs = 30_000,
  onFailure = () => {},
}: HelmControllerOptions): { close(): Promise<void> } => {
  const waiting = new Map<string, Set<() => void>>();

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

  /** Waits until the release’s deployments are available; returns those that are not when they have failed or time is up. */
  const waitForPods = async ({ owner, wish, signal }: Work): Promise<readonly string[]> => {
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    for (;;) {
      const { promise: changed, resolve } = Promise.withResolvers<void>();
      const listeners = waiting.get(wish.namespace) ?? new Set();
      waiting.set(wish.namespace, listeners.add(resolve));
      deadline.addEventListener('abort', () => resolve(), { once: true });
      const { missing, hopeless } = await lookAtPods(client, owner, wish.namespace);
      if (missing.length === 0 || hopeless || deadline.aborted) {
        listeners.delete(resolve);
        signal.throwIfAborted();
        return missing;
      }
      await changed;
      listeners.delete(resolve);
    }
  };

  /** One Helm action; returns why it failed, undefined when it succeeded. */
  const helm = async (work: Work, action: string, release: StoredRelease): Promise<string | undefined> => {
    const { object, owner, wish, signal } = work;
    await sleep(actionMs, undefined, { signal });
    const failing = asText(asMap(object.metadata.annotations)[failAnnotation]).split(',');
    const annotations = failing.includes(action) ? { [brokenAnnotation]: 'true' } : {};
    try {
      await applyRelease(client, owner, wish, release, annotations);
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
    const missing = await waitForPods(work);
    return missing.length === 0 ? undefined : `resources not ready: [${missing.join(', ')}]`;
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

  const release = async (work: Work, action: 'install' | 'upgrade'): Promise<void> => {
    const { wish, status, conditions } = work;
    conditions.delete('Remediated');
    const wanted = { chartVersion: wish.chartVersion, values: wish.values };
    const started = Date.now();
    const version =
      action === 'install' ? 1 : Math.max(0, ...historyOf(status).map((item) => item.version)) + 1;
    const fault = await helm(work, action, wanted);
    const outcome = fault === undefined ? 'deployed' : 'failed';
    await store(client, wish, version, wanted, outcome).catch(() => undefined);
    const snapshot = snapshotOf(work, version, wanted, outcome);
    status.history = historyWith(work, snapshot, action === 'install');
    status.lastAttemptedReleaseAction = action;
    status.lastAttemptedReleaseActionDuration = `${((Date.now() - started) / 1000).toFixed(1)}s`;
    const chart = `${wish.chart}@${wish.chartVersion}`;
    const name = action === 'install' ? 'Install' : 'Upgrade';
    if (fault === undefined) {
      conditions.set('Released', {
        status: 'True',
        reason: `${name}Succeeded`,
        message: `Helm ${action} succeeded for release ${wish.namespace}/${wish.release}.v${version} with chart ${chart}`,
      });
    } else {
      status.failures = numberOf(status.failures) + 1;
      status[`${action}Failures`] = numberOf(status[`${action}Failures`]) + 1;
      conditions.set('Released', {
        status: 'False',
        reason: `${name}Failed`,
        message: `Helm ${action} failed for release ${wish.namespace}/${wish.release} with chart ${chart}: ${fault}`,
      });
    }
    conditions.summarize();
  };

  const rollBack = async (work: Work, to: Snapshot): Promise<void> => {
    const { wish, status, conditions } = work;
    const version = Math.max(...historyOf(status).map((item) => item.version)) + 1;
    const target = await stored(client, wish.release, wish.namespace, to.version);
    const fault =
      target === undefined
        ? `release v${to.version} is not in the storage any more`
        : await helm(work, 'rollback', target);
    const name = `${wish.namespace}/${wish.release}.v${to.version} with chart ${to.chartName}@${to.chartVersion}`;
    if (target === undefined || fault !== undefined) {
      status.failures = numberOf(status.failures) + 1;
      conditions.set('Remediated', {
        status: 'False',
        reason: 'RollbackFailed',
        message: `Helm rollback to previous release ${name} failed: ${fault}`,
      });
    } else {
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
      status.history = [{ ...latest, status: 'uninstalled', deleted: seconds(new Date()) }, ...rest];
    }
    conditions.set('Remediated', {
      status: 'True',
      reason: 'UninstallSucceeded',
      message: `Helm uninstall remediation for release ${wish.namespace}/${wish.release}.v${latest?.version} with chart ${wish.chart}@${wish.chartVersion} succeeded`,
    });
    conditions.summarize();
  };

  const act = async (work: Work, step: Exclude<Step, { run: 'nothing' | 'give up' }>): Promise<void> => {
    const timeout = asText(at(work.object, 'spec', 'timeout')) || '5m0s';
    const message = `Running '${step.run}' action with timeout of ${timeout}`;
    work.conditions.reconciling('Progressing', message);
    // Only a new attempt changes readiness; a remediation keeps the failure visible.
    const isTry = step.run === 'install' || step.run === 'upgrade';
    if (isTry) work.conditions.set('Ready', { status: 'Unknown', reason: 'Progressing', message });
    await write(work);
    if (step.run === 'rollback') await rollBack(work, step.to);
    else if (step.run === 'uninstall') await removeFailedInstall(work);
    else await release(work, step.run);
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
      await client.patch('helmreleases', namespace, name, { metadata: { finalizers } });
      return undefined;
    }
    if (at(object, 'spec', 'suspend') === true) return undefined;

    const status = { ...asMap(object.status) };
    const generation = numberOf(object.metadata.generation);
    const requests = requestsOf(object, status);
    const forget = mustForgetFailures(object, status, requests.reset);
    if (forget) Object.assign(status, { failures: 0, installFailures: 0, upgradeFailures: 0 });
    const step = nextStep(object, status, requests.force);
    const settled = status.observedGeneration === generation && !requests.reconcile && !forget;
    const isNothing = step.run === 'nothing' || step.run === 'give up';
    if (settled && isNothing) return undefined;

    const wish = wishOf(object);
    Object.assign(status, {
      storageNamespace: wish.namespace,
      helmChart: `${namespace}/${namespace}-${name}`,
      lastAttemptedGeneration: generation,
      lastAttemptedRevision: wish.chartVersion,
      lastAttemptedConfigDigest: wish.configDigest,
    });
    if (requests.reconcile) {
      status.lastHandledReconcileAt = requests.token;
      const marks = asMap(object.metadata.annotations);
      if (marks['reconcile.fluxcd.io/forceAt'] !== undefined) status.lastHandledForceAt = requests.token;
      if (marks['reconcile.fluxcd.io/resetAt'] !== undefined) status.lastHandledResetAt = requests.token;
    }
    const conditions = new Conditions(status, generation);
    const work: Work = { object, wish, owner: { name, namespace }, status, conditions, signal };
    if (step.run === 'give up') {
      conditions.stalled(step.reason, step.message);
      await write(work, { observedGeneration: generation });
      return undefined;
    }
    if (step.run === 'nothing') {
      conditions.delete('Reconciling');
      conditions.delete('Stalled');
      if (conditions.get('Remediated')?.status === 'True') released(work);
      conditions.summarize();
      await write(work, { observedGeneration: generation });
      return undefined;
    }
    await act(work, step);
    const next = nextStep(object, status, false);
    if (next.run === 'nothing') {
      conditions.delete('Reconciling');
      await write(work, { observedGeneration: generation });
      return undefined;
    }
    if (next.run === 'give up') {
      conditions.stalled(next.reason, next.message);
      await write(work, { observedGeneration: generation });
      return undefined;
    }
    conditions.reconciling('ProgressingWithRetry', conditions.get('Ready')?.message ?? '');
    await write(work);
    return { againMs: 0 };
  };

  /** The rollback’s result is the desired state now, so the release counts as upgraded. */
  const released = ({ wish, status, conditions }: Work): void => {
    const [latest] = historyOf(status);
    conditions.delete('Remediated');
    conditions.set('Released', {
      status: 'True',
      reason: 'UpgradeSucceeded',
      message: `Helm upgrade succeeded for release ${wish.namespace}/${wish.release}.v${latest?.version} with chart ${wish.chart}@${wish.chartVersion}`,
    });
  };

  const queue = startWorkQueue(reconcile, (key, error) => onFailure(`HelmRelease ${key}`, error));
  const stops = [
    client.watch('helmreleases', {}, (type, object) => {
      if (type !== 'DELETED') queue.add(`${namespaceOf(object)}/${nameOf(object)}`);
    }),
    client.watch('deployments', {}, (_type, object) => {
      for (const heard of waiting.get(namespaceOf(object)) ?? []) heard();
    }),
  ];
  return {
    async close() {
      for (const stop of stops) stop();
      await queue.close();
    },
  };
};
