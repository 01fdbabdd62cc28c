import type { AllowlistEntry } from '../model/allowlist.ts';
import { notebookPods } from '../teams/labels.ts';
import { allowPolicy, type PolicyTooLarge } from './allow.ts';
import { baselinePolicy } from './baseline.ts';
import type { Addresses, HostReport } from './destinations.ts';
import { type FqdnNetworkPolicy, fqdnPolicies, isFqdnEntry } from './fqdn.ts';
import {
  type EgressSettings,
  type NetworkPolicy,
  networkPolicy,
  type PolicyMeta,
  PolicyName,
} from './policy.ts';

export type EgressPolicy = NetworkPolicy | FqdnNetworkPolicy;

/** Which policy in the team’s namespace. */
export interface PolicyRef {
  readonly kind: EgressPolicy['kind'];
  readonly name: string;
}

export interface NotebookEgress {
  readonly allowlistEnabled: boolean;
  readonly entries: readonly AllowlistEntry[];
  readonly addresses: Addresses;
  /** Whether a notebook pod of the team runs, or is announced. */
  readonly podsAlive: boolean;
  readonly settings: EgressSettings;
  readonly meta: PolicyMeta;
}

export interface DesiredPolicies {
  /** In the order to apply. */
  readonly apply: readonly EgressPolicy[];
  /** The same as references: every other policy named isNotebookPolicy is to go. */
  readonly keep: readonly PolicyRef[];
  /** One per distinct host of the list, also while no notebook runs; empty when not opted in. */
  readonly hosts: readonly HostReport[];
  readonly problem: PolicyTooLarge | undefined;
}

/** No restriction. The one rule without `to` in the product; it is written down so that it can be seen. */
export function openPolicy(meta: PolicyMeta): NetworkPolicy {
  return networkPolicy(meta, PolicyName.Open, { matchLabels: { ...notebookPods } }, [{}]);
}

/**
 * The policies of a team’s notebooks. Deny is static, allow is dynamic: the baseline stays as long as the team
 * is opted in, what it allows besides only while a notebook runs.
 */
export function desiredNotebookPolicies(wanted: NotebookEgress): DesiredPolicies {
  const { meta, settings, entries, addresses } = wanted;
  if (!wanted.allowlistEnabled) {
    return { ...ordered([openPolicy(meta)]), hosts: [], problem: undefined };
  }
  const whole = allowPolicy(meta, entries, addresses, settings);
  const { allows, problem } =
    settings.backend === 'ip'
      ? { allows: listOf(whole.policy), problem: whole.problem }
      : nativeAllows(wanted);
  const apply = [baselinePolicy(meta, settings, addresses), ...(wanted.podsAlive ? allows : [])];
  return { ...ordered(apply), hosts: whole.hosts, problem };
}

export type Step =
  | { readonly do: 'apply'; readonly policy: EgressPolicy }
  | { readonly do: 'remove'; readonly policy: PolicyRef };

/**
 * The way from what exists to what is desired. Opting in: the baseline holds before `open` goes. Opting out: `open`
 * holds before the rest goes. In between, what is no longer allowed goes before anything new is allowed. Policies
 * of other names in `existing` are left alone.
 *
 * When the first step fails, none of the others may be taken; when a later one fails, no `apply` after it, but every
 * `remove`. Then no moment is wider than both ends, and a team that is opted in loses `open` also when its
 * allow policy cannot be applied. (With gke-fqdn an entry’s hosts and addresses are several objects, so that a moment
 * may mix entries of the old and the new list; it has none that is in neither.)
 */
export function transition(desired: DesiredPolicies, existing: readonly PolicyRef[]): Step[] {
  const isKept = (ref: PolicyRef) =>
    desired.keep.some((kept) => kept.kind === ref.kind && kept.name === ref.name);
  const stale = existing
    .filter((ref) => isNotebookPolicy(ref) && !isKept(ref))
    .map((policy): Step => ({ do: 'remove', policy }));
  const isOpen = ({ policy }: Step) => 'name' in policy && policy.name === PolicyName.Open;
  const [first, ...rest] = desired.apply.map((policy): Step => ({ do: 'apply', policy }));
  return [...listOf(first), ...stale.filter((step) => !isOpen(step)), ...rest, ...stale.filter(isOpen)];
}

/** Whether a policy is one of a team’s notebooks by its name; those of Airflow runs are not. */
export function isNotebookPolicy(ref: PolicyRef): boolean {
  const isFixed = [PolicyName.Open, PolicyName.Baseline, PolicyName.Allow].some((name) => name === ref.name);
  return ref.kind === 'NetworkPolicy' ? isFixed : ref.name.startsWith(`${PolicyName.Allow}-`);
}

function nativeAllows(wanted: NotebookEgress) {
  const { meta, settings, entries, addresses } = wanted;
  const literal = allowPolicy(
    meta,
    entries.filter((entry) => !isFqdnEntry(entry, settings)),
    addresses,
    settings,
  );
  const named = fqdnPolicies(meta, entries, addresses, settings);
  return { allows: [...listOf<EgressPolicy>(literal.policy), ...named], problem: literal.problem };
}

function ordered(apply: readonly EgressPolicy[]): Pick<DesiredPolicies, 'apply' | 'keep'> {
  return { apply, keep: apply.map(({ kind, metadata }) => ({ kind, name: metadata.name })) };
}

const listOf = <T>(value: T | undefined): T[] => (value === undefined ? [] : [value]);
