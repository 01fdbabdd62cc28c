import { isObject } from '../lib/json.ts';
import type { Manifest } from '../ports/cluster.ts';

const objects = (value: unknown): readonly Readonly<Record<string, unknown>>[] =>
  Array.isArray(value) ? value.filter(isObject) : [];

const text = (value: unknown, fallback: string): string =>
  typeof value === 'string' && value !== '' ? value : fallback;

const count = (value: unknown): number => (typeof value === 'number' ? value : 0);

/** The state of a HelmRelease, and Flux’s own message. */
export interface ReleaseState {
  readonly state: 'pending' | 'applying' | 'retrying' | 'applied' | 'failed' | 'rolled_back';
  readonly message: string;
}

/** How often Flux retries; a negative number means without limit. */
const remediationRetries = (spec: Readonly<Record<string, unknown>>, action: string): number => {
  const section = spec[action];
  const remediation = isObject(section) ? section.remediation : undefined;
  const retries = isObject(remediation) ? count(remediation.retries) : 0;
  return retries < 0 ? Number.POSITIVE_INFINITY : retries;
};

/**
 * Reads a HelmRelease’s conditions. The Ready condition’s own observedGeneration
 * counts, since the one on top may lag (helm-controller#946); Reconciling may stay while Ready is False
 * (#1083); Ready may stick at Unknown although the release is deployed (#1409).
 */
export const releaseState = (release: Manifest): ReleaseState => {
  const status = isObject(release.status) ? release.status : {};
  const spec = isObject(release.spec) ? release.spec : {};
  const conditions = objects(status.conditions);
  const condition = (type: string) => conditions.find((candidate) => candidate.type === type);
  const ready = condition('Ready');
  if (ready === undefined)
    return { state: 'pending', message: 'Flux has not reconciled the HelmRelease yet.' };

  const generation = release.metadata.generation ?? 0;
  if (count(ready.observedGeneration) < generation) {
    return { state: 'pending', message: 'Flux has not reconciled the newest HelmRelease yet.' };
  }
  if (ready.status === 'True')
    return { state: 'applied', message: text(ready.message, 'The hub is installed.') };

  const [latest] = objects(status.history);
  if (ready.status !== 'False') {
    const stuck = condition('Reconciling')?.status !== 'True' && latest?.status === 'deployed';
    if (stuck) return { state: 'applied', message: 'The hub is installed.' };
    return { state: 'applying', message: text(ready.message, 'Flux is installing the hub.') };
  }

  const message = text(ready.message, 'Flux could not install the hub.');
  const remediated = condition('Remediated');
  if (remediated?.status === 'True' && remediated.reason === 'RollbackSucceeded')
    return { state: 'rolled_back', message };
  const spent =
    condition('Stalled')?.status === 'True' ||
    count(status.installFailures) > remediationRetries(spec, 'install') ||
    count(status.upgradeFailures) > remediationRetries(spec, 'upgrade');
  return { state: spent ? 'failed' : 'retrying', message };
};
