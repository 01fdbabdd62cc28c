import type { Manifest } from '../ports/cluster.ts';
import { airflowLabel } from './airflow.ts';
import { keepPreviousFingerprint } from './fingerprint.ts';
import { PolicyName } from './policy.ts';

/**
 * One write on the way to the desired policies, and what it requires: that the first write has succeeded, or that every
 * write before it has. The first one requires nothing.
 */
export interface PolicyStep {
  readonly do: 'apply' | 'remove';
  readonly policy: Manifest;
  readonly requires: 'nothing' | 'first' | 'all';
}

/**
 * The way from the policies that exist to the desired ones. Opting in: the baseline is applied before `open` is removed.
 * Opting out: `open` is applied before the rest is removed. In between, what is no longer allowed is removed before
 * anything new is allowed. The baseline gets its new fingerprint last.
 *
 * With any failed writes, no intermediate state allows more than both ends: nothing else is written unless the first
 * write succeeds, and after a failure removals continue but nothing new is allowed. So a team that has opted in loses
 * `open` even if its list cannot be opened. (With gke-fqdn the hosts and addresses of a list are several objects, so an
 * intermediate state may mix entries of the old and the new list, but never has one that is in neither.)
 */
export function transition(
  wanted: readonly Manifest[],
  existing: readonly Manifest[],
  isOurs: (policy: Manifest) => boolean,
): readonly PolicyStep[] {
  const stale = existing.filter((policy) => isOurs(policy) && isPrunable(policy) && !find(wanted, policy));
  const [toOpen, toRemove] = [stale.filter(isOpen), stale.filter((policy) => !isOpen(policy))];
  const [first, ...rest] = wanted;
  const opensOrCloses =
    toRemove.length > 0 || rest.some(({ metadata }) => metadata.name !== PolicyName.AirflowBaseline);
  const before = first && opensOrCloses ? keepPreviousFingerprint(first, find(existing, first)) : first;
  return [
    ...listOf(before).map((policy) => step('apply', policy, 'nothing')),
    ...toRemove.map((policy) => step('remove', policy, 'first')),
    ...rest.map((policy) => step('apply', policy, 'all')),
    ...toOpen.map((policy) => step('remove', policy, 'first')),
    ...(first === before ? [] : listOf(first).map((policy) => step('apply', policy, 'all'))),
  ];
}

/** Writes one policy to the cluster. */
export type WritePolicy = (step: PolicyStep) => Promise<void>;

/** Runs the steps in order and skips those whose requirement is not met; returns the errors of those that failed. */
export async function takeSteps(
  steps: readonly PolicyStep[],
  write: WritePolicy,
): Promise<readonly unknown[]> {
  const errors: unknown[] = [];
  for (const one of steps) {
    if (one.requires === 'all' && errors.length > 0) continue;
    try {
      await write(one);
    } catch (error) {
      if (one.requires === 'nothing') return [error];
      errors.push(error);
    }
  }
  return errors;
}

const step = (verb: PolicyStep['do'], policy: Manifest, requires: PolicyStep['requires']): PolicyStep => ({
  do: verb,
  policy,
  requires,
});

const isOpen = ({ metadata }: Manifest): boolean => metadata.name === PolicyName.Open;

/** Policies of Airflow runs follow their own pods. */
const isPrunable = ({ metadata }: Manifest): boolean =>
  metadata.deletionTimestamp === undefined && metadata.labels?.[airflowLabel] === undefined;

const find = (policies: readonly Manifest[], { kind, metadata }: Manifest): Manifest | undefined =>
  policies.find((policy) => policy.kind === kind && policy.metadata.name === metadata.name);

const listOf = <T>(value: T | undefined): readonly T[] => (value === undefined ? [] : [value]);
