import { createHash } from 'node:crypto';
import { asList, asMap, asText, at, isMap, type Json, type JsonMap } from '../kubernetes/json.ts';
import { type KubeObject, nameOf, namespaceOf } from '../kubernetes/object.ts';

/** The part of a HelmRelease that decides what happens. */
export interface Wish {
  readonly release: string;
  readonly namespace: string;
  readonly chart: string;
  readonly chartVersion: string;
  readonly values: JsonMap;
  readonly configDigest: string;
}

/** One Helm release version as `status.history` shows it. */
export interface Snapshot extends JsonMap {
  name: string;
  namespace: string;
  version: number;
  chartName: string;
  chartVersion: string;
  configDigest: string;
  /** deployed | superseded | failed | uninstalling. */
  status: string;
}

/** What Flux does next about a HelmRelease. */
export type Step =
  | { readonly run: 'install' | 'upgrade' | 'uninstall' | 'correct' }
  | { readonly run: 'rollback'; readonly to: Snapshot }
  | { readonly run: 'nothing' }
  | { readonly run: 'give up'; readonly reason: string; readonly message: string };

/** The same digest for the same values, whatever the order of their keys. */
export const digestOf = (value: Json): string =>
  `sha256:${createHash('sha256')
    .update(JSON.stringify(canonical(value)))
    .digest('hex')}`;

const canonical = (value: Json): Json => {
  if (Array.isArray(value)) return value.map(canonical);
  if (!isMap(value)) return value;
  const sorted = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(sorted.map(([key, inner]) => [key, canonical(inner)]));
};

export const wishOf = (object: KubeObject): Wish => {
  const chart = at(object.spec, 'chart', 'spec');
  const values = asMap(at(object.spec, 'values'));
  const namespace = asText(at(object.spec, 'targetNamespace')) || namespaceOf(object);
  return {
    release: asText(at(object.spec, 'releaseName')) || nameOf(object),
    namespace,
    chart: asText(at(chart, 'chart')),
    chartVersion: asText(at(chart, 'version')),
    values,
    configDigest: digestOf(values),
  };
};

export const historyOf = (status: JsonMap): Snapshot[] =>
  asList(status.history)
    .filter(isMap)
    .map((item) => ({
      ...item,
      name: asText(item.name),
      namespace: asText(item.namespace),
      version: numberOf(item.version),
      chartName: asText(item.chartName),
      chartVersion: asText(item.chartVersion),
      configDigest: asText(item.configDigest),
      status: asText(item.status),
    }));

export const numberOf = (value: Json | undefined): number => (typeof value === 'number' ? value : 0);

interface Remediation {
  readonly retries: number;
  readonly remediateLast: boolean;
  readonly strategy: string;
  readonly failures: number;
}

/** The remediation of the last action, with Flux’s defaults: no retries, and a last upgrade is rolled back if there were any. */
const remediationOf = (object: KubeObject, status: JsonMap, action: 'install' | 'upgrade'): Remediation => {
  const configured = asMap(at(object.spec, action, 'remediation'));
  const retries = numberOf(configured.retries);
  const last = configured.remediateLastFailure;
  return {
    retries,
    remediateLast: typeof last === 'boolean' ? last : action === 'upgrade' && retries !== 0,
    strategy: action === 'install' ? 'uninstall' : asText(configured.strategy) || 'rollback',
    failures: numberOf(status[`${action}Failures`]),
  };
};

/** Negative retries are unlimited. */
const isExhausted = ({ retries, failures }: Remediation): boolean => retries >= 0 && failures > retries;

const givenUp = (status: JsonMap, failures: number): Step => ({
  run: 'give up',
  reason: 'RetriesExceeded',
  message: `Failed to ${asText(status.lastAttemptedReleaseAction)} after ${failures} attempt(s)`,
});

/** What a HelmRelease’s status does not tell. */
export interface Observed {
  /** A force request that has not been handled. */
  readonly forced: boolean;
  /** Helm has a record of the release. */
  readonly stored: boolean;
  /** An object of the release was deleted or changed, and drift is to be corrected. */
  readonly drifted: boolean;
}

/** Decides the next action as helm-controller’s atomic release: from what is installed and what was attempted. */
export const nextStep = (
  object: KubeObject,
  status: JsonMap,
  { forced, stored, drifted }: Observed,
): Step => {
  const wish = wishOf(object);
  const history = historyOf(status);
  const [latest, ...earlier] = history;

  if (latest === undefined || latest.status === 'uninstalling' || !stored) {
    const remediation = remediationOf(object, status, 'install');
    if (isExhausted(remediation) && !forced) return givenUp(status, remediation.failures);
    return { run: 'install' };
  }

  if (latest.status === 'failed') {
    const action = status.lastAttemptedReleaseAction === 'install' ? 'install' : 'upgrade';
    const remediation = remediationOf(object, status, action);
    // No failure is counted: the desired state has changed since.
    if (remediation.failures === 0 || forced) return { run: 'upgrade' };
    if (isExhausted(remediation) && !remediation.remediateLast) return givenUp(status, remediation.failures);
    if (remediation.strategy === 'uninstall') return { run: 'uninstall' };
    const target = earlier.find((snapshot) => ['deployed', 'superseded'].includes(snapshot.status));
    if (target !== undefined) return { run: 'rollback', to: target };
    return {
      run: 'give up',
      reason: 'MissingRollbackTarget',
      message:
        'Failed to perform remediation: missing target release for rollback: cannot remediate failed release',
    };
  }

  const inSync = latest.configDigest === wish.configDigest && latest.chartVersion === wish.chartVersion;
  if (inSync && drifted) return { run: 'correct' };
  if (inSync) return forced ? { run: 'upgrade' } : { run: 'nothing' };
  const remediation = remediationOf(object, status, 'upgrade');
  if (isExhausted(remediation) && !forced) return givenUp(status, remediation.failures);
  return { run: 'upgrade' };
};

const annotations = {
  reconcile: 'reconcile.fluxcd.io/requestedAt',
  force: 'reconcile.fluxcd.io/forceAt',
  reset: 'reconcile.fluxcd.io/resetAt',
} as const;

/** Requests by annotation: each is handled once, force and reset only with the token of requestedAt. */
export const requestsOf = (object: KubeObject, status: JsonMap) => {
  const marks = asMap(object.metadata.annotations);
  const token = asText(marks[annotations.reconcile]);
  const isNew = token !== '' && token !== status.lastHandledReconcileAt;
  const asks = (annotation: string, handled: Json | undefined) =>
    isNew && marks[annotation] === token && token !== handled;
  return {
    reconcile: isNew,
    force: asks(annotations.force, status.lastHandledForceAt),
    reset: asks(annotations.reset, status.lastHandledResetAt),
    token,
  };
};

/** Failures count for one desired state: a change of it, or a reset, starts at zero. */
export const mustForgetFailures = (object: KubeObject, status: JsonMap, reset: boolean): boolean => {
  const wish = wishOf(object);
  return (
    reset ||
    status.lastAttemptedGeneration !== object.metadata.generation ||
    status.lastAttemptedRevision !== wish.chartVersion ||
    status.lastAttemptedConfigDigest !== wish.configDigest
  );
};

/** Milliseconds of a duration as Go writes it, such as `1h30m` or `15s`; undefined when it is none. */
export const millisecondsOf = (duration: string): number | undefined => {
  const units: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };
  if (!/^(\d+(\.\d+)?(h|ms|m|s))+$/.test(duration)) return undefined;
  const parts = [...duration.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s)/g)];
  return parts.reduce((sum, [, count = '0', unit = '']) => sum + Number(count) * (units[unit] ?? 0), 0);
};

/** A duration as Go prints it: `10m` as `10m0s`. */
export const goDuration = (ms: number): string => {
  const [hours, minutes, seconds] = [
    Math.floor(ms / 3_600_000),
    Math.floor(ms / 60_000) % 60,
    (ms % 60_000) / 1_000,
  ];
  return `${hours > 0 ? `${hours}h` : ''}${hours > 0 || minutes > 0 ? `${minutes}m` : ''}${seconds}s`;
};
