import { isObject, type JsonObject } from '../lib/json.ts';
import type { Manifest } from '../ports/cluster.ts';

/** The value of its requestedAt annotation that Flux has handled last: it says so once the attempt has ended. */
export const handledRequest = ({ status }: Manifest): string | undefined => {
  const handled = isObject(status) ? status.lastHandledReconcileAt : undefined;
  return typeof handled === 'string' ? handled : undefined;
};

/** Where a HelmRelease stands, and Flux’s own words for it. */
export interface ReleaseState {
  /**
   * `pending`: Flux has not reconciled this generation. `applying`: it is at work. `retrying`: an attempt failed and
   * another follows. `applied`: installed as specified. `drifted`: installed, but an object of the chart was changed or
   * deleted. `failed`, `rolled_back`: the attempts are spent. `suspended`: Flux was told not to act.
   */
  readonly state:
    | 'pending'
    | 'applying'
    | 'retrying'
    | 'applied'
    | 'drifted'
    | 'failed'
    | 'rolled_back'
    | 'suspended';
  readonly message: string;
}

const objectsIn = (value: unknown): readonly JsonObject[] =>
  Array.isArray(value) ? value.filter(isObject) : [];
const textOr = (value: unknown, fallback: string): string =>
  typeof value === 'string' && value !== '' ? value : fallback;
const countOf = (value: unknown): number => (typeof value === 'number' ? value : 0);

/** How often Flux repeats an action that failed; a negative number means without limit. */
const remediationRetries = (spec: JsonObject, action: 'install' | 'upgrade'): number => {
  const section = spec[action];
  const remediation = isObject(section) ? section.remediation : undefined;
  const retries = isObject(remediation) ? countOf(remediation.retries) : 0;
  return retries < 0 ? Number.POSITIVE_INFINITY : retries;
};

/**
 * Whether the attempts at the current generation are spent. An action that fails before Helm has stored a release, such
 * as values that break the chart’s schema, counts in `status.failures` alone: Flux backs off and never stalls.
 */
const areAttemptsSpent = (status: JsonObject, spec: JsonObject, isStalled: boolean): boolean => {
  const install = remediationRetries(spec, 'install');
  const upgrade = remediationRetries(spec, 'upgrade');
  const counted = countOf(status.installFailures) + countOf(status.upgradeFailures);
  return (
    isStalled ||
    countOf(status.installFailures) > install ||
    countOf(status.upgradeFailures) > upgrade ||
    (counted === 0 && countOf(status.failures) > (objectsIn(status.history).length === 0 ? install : upgrade))
  );
};

/** Reasons of Ready=False while the chart is fetched or something else is waited for: nothing was attempted yet. */
const beforeAnyAttempt = new Set(['SourceNotReady', 'DependencyNotReady']);

const suspended = (release: Manifest): ReleaseState => {
  const { name, namespace } = release.metadata;
  return {
    state: 'suspended',
    message: `Flux is suspended for this hub, so changes to it wait. The platform team resumes it with: flux resume helmrelease ${name} -n ${namespace}`,
  };
};

/**
 * Reads the conditions of a HelmRelease as helm-controller 1.6 sets them. Every condition counts only for the
 * generation that it names itself: conditions of earlier generations stay, and the generation on top may lag
 * (fluxcd/helm-controller#946). Reconciling may stay True while Ready is False (#1083), and Ready may stay Unknown
 * although the release is deployed (#1409).
 */
export const releaseState = (release: Manifest): ReleaseState => {
  const status = isObject(release.status) ? release.status : {};
  const spec = isObject(release.spec) ? release.spec : {};
  const generation = release.metadata.generation ?? 0;
  const conditions = objectsIn(status.conditions);
  const isCurrent = (condition: JsonObject) => countOf(condition.observedGeneration) >= generation;
  const current = (type: string) =>
    conditions.find((condition) => condition.type === type && isCurrent(condition));

  const ready = current('Ready');
  const reconciling = current('Reconciling');
  if (spec.suspend === true && ready?.status !== 'True') return suspended(release);
  if (ready === undefined) {
    if (reconciling?.status === 'True')
      return { state: 'applying', message: textOr(reconciling.message, 'Flux is working on the hub.') };
    const seen = conditions.some(({ type }) => type === 'Ready');
    return {
      state: 'pending',
      message: `Flux has not reconciled the ${seen ? 'newest HelmRelease' : 'HelmRelease'} yet.`,
    };
  }
  if (ready.status === 'True') {
    const drifted = current('Drifted');
    if (drifted?.status === 'True') {
      const fallback = 'An object of the hub was changed or deleted.';
      return { state: 'drifted', message: textOr(drifted.message, fallback) };
    }
    return { state: 'applied', message: textOr(ready.message, 'The hub is installed.') };
  }

  const released = current('Released');
  const hasFailed = released?.status === 'False';
  const isStalled = current('Stalled')?.status === 'True';
  const spent = areAttemptsSpent(status, spec, isStalled);
  if (ready.status !== 'False') {
    // Another attempt runs. What the last one came to stays the news until this one has ended.
    if (hasFailed) {
      const message = textOr(released.message, 'Flux could not install the hub.');
      return { state: spent ? 'failed' : 'retrying', message };
    }
    const [latest] = objectsIn(status.history);
    const isStuck = reconciling?.status !== 'True' && latest?.status === 'deployed';
    if (isStuck) return { state: 'applied', message: 'The hub is installed.' };
    return { state: 'applying', message: textOr(ready.message, 'Flux is installing the hub.') };
  }

  const message = textOr(ready.message, 'Flux could not install the hub.');
  if (beforeAnyAttempt.has(textOr(ready.reason, ''))) return { state: 'applying', message };
  const remediated = current('Remediated');
  if (remediated?.status === 'True' && remediated.reason === 'RollbackSucceeded') {
    return { state: spent ? 'rolled_back' : 'retrying', message: rollbackMessage(message, released) };
  }
  return { state: spent ? 'failed' : 'retrying', message };
};

/** A rollback says to what it went back; why it was needed stands in Released. */
const rollbackMessage = (message: string, released: JsonObject | undefined): string => {
  const cause = textOr(released?.message, '');
  return cause === '' || cause === message ? message : `${message}. ${cause}`;
};
