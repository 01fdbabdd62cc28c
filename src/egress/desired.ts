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

export interface NotebookEgress {
  readonly allowlistEnabled: boolean;
  readonly entries: readonly AllowlistEntry[];
  readonly addresses: Addresses;
  /** Whether a notebook pod of the team is running or announced. */
  readonly podsAlive: boolean;
  readonly settings: EgressSettings;
  readonly meta: PolicyMeta;
}

export interface DesiredPolicies {
  /** In the order to apply. */
  readonly apply: readonly EgressPolicy[];
  /** One per distinct host of the list, even while no notebook is running; empty when not opted in. */
  readonly hosts: readonly HostReport[];
  readonly problem: PolicyTooLarge | undefined;
}

/** No restriction. The only rule without `to`: an explicit policy makes the open state visible in the cluster. */
export function openPolicy(meta: PolicyMeta): NetworkPolicy {
  return networkPolicy(meta, PolicyName.Open, { matchLabels: { ...notebookPods } }, [{}]);
}

/**
 * The policies of a team’s notebooks. Deny is static, allow is dynamic: the baseline stays as long as the team
 * is opted in; the allow policies exist only while a notebook is running.
 */
export function desiredNotebookPolicies(wanted: NotebookEgress): DesiredPolicies {
  const { meta, settings, entries, addresses } = wanted;
  if (!wanted.allowlistEnabled) {
    return { apply: [openPolicy(meta)], hosts: [], problem: undefined };
  }
  const whole = allowPolicy(meta, entries, addresses, settings);
  const { allows, problem } =
    settings.backend === 'ip'
      ? { allows: listOf(whole.policy), problem: whole.problem }
      : nativeAllows(wanted);
  const apply = [baselinePolicy(meta, settings, addresses), ...(wanted.podsAlive ? allows : [])];
  return { apply, hosts: whole.hosts, problem };
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

const listOf = <T>(value: T | undefined): T[] => (value === undefined ? [] : [value]);
