import { at } from '../lib/json.ts';
import type { Manifest } from '../ports/cluster.ts';
import { coversGoogleApis } from './baseline.ts';
import type { Addresses } from './destinations.ts';
import { widenedBy } from './foreign-policies.ts';
import { googleApi } from './hosts.ts';
import { type EgressSettings, PolicyName } from './policy.ts';
import { mayIsolateNotebooks } from './policy-reach.ts';
import { parseCidr } from './ranges.ts';

/** What decides whether a team’s restriction holds. */
export interface EgressSituation {
  readonly enabled: boolean;
  /** Every policy in the namespace; undefined when the cluster did not answer. */
  readonly policies: readonly Manifest[] | undefined;
  readonly isOurs: (policy: Manifest) => boolean;
  /** Why the list is not opened at all, if so. */
  readonly problem: string | undefined;
  readonly addresses: Addresses;
  readonly settings: EgressSettings;
}

/** Whether the restriction holds: for getEgress, for checkEgress and for the condition EgressEffective alike. */
export interface EgressVerdict {
  readonly reason:
    | 'NotRestricted'
    | 'NotSeen'
    | 'NotApplied'
    | 'Widened'
    | 'PolicyTooLarge'
    | 'GoogleApisNotCovered'
    | 'Effective';
  readonly because: string;
  /** Names of foreign policies that open more than the list. */
  readonly widenedBy: readonly string[];
  /** Policies of ours that have a rule for every destination, which a restricted team must not have. */
  readonly boundless: readonly Manifest[];
  /** Whether any policy restricts the notebooks at all. */
  readonly isIsolated: boolean;
}

export const egressVerdict = (situation: EgressSituation): EgressVerdict => {
  const { enabled, policies, isOurs } = situation;
  const isFound = enabled && policies !== undefined;
  const found = {
    widenedBy: isFound ? widenedBy(policies, isOurs) : [],
    boundless: isFound ? policies.filter((policy) => isOurs(policy) && isBoundless(policy)) : [],
    isIsolated: !isFound || policies.some(mayIsolateNotebooks),
  };
  return { ...found, ...judge(situation, found) };
};

type Found = Pick<EgressVerdict, 'widenedBy' | 'boundless'>;

const judge = (
  { enabled, policies, isOurs, problem, addresses, settings }: EgressSituation,
  { widenedBy: foreign, boundless }: Found,
): Pick<EgressVerdict, 'reason' | 'because'> => {
  if (!enabled) {
    const because = 'The team has not opted in to an allowlist: its notebooks may connect anywhere.';
    return { reason: 'NotRestricted', because };
  }
  if (policies === undefined) {
    const because = 'The cluster does not answer, so it is not known whether the list holds.';
    return { reason: 'NotSeen', because };
  }
  if (!policies.some((policy) => isOurs(policy) && policy.metadata.name === PolicyName.Baseline)) {
    return { reason: 'NotApplied', because: 'The restriction is not applied yet.' };
  }
  const [left] = boundless;
  if (left?.metadata.name === PolicyName.Open) {
    const because = `The policy from before the opt-in is still there: ${left.metadata.name} opens everything.`;
    return { reason: 'NotApplied', because };
  }
  if (left !== undefined) {
    const because = `${left.metadata.name} was changed and opens everything. It is restored within a minute.`;
    return { reason: 'NotApplied', because };
  }
  if (foreign.length > 0) {
    const because = `${foreign.join(', ')} in the namespace opens more than the list. Remove it, or its egress rules.`;
    return { reason: 'Widened', because };
  }
  if (problem !== undefined) return { reason: 'PolicyTooLarge', because: problem };
  const outside = outsideBaseline(addresses, settings);
  if (outside.length > 0) {
    const because = `${googleApi} answers ${outside.join(', ')}, which the baseline does not open: notebooks cannot read their secret. The platform team has to map Google’s APIs in DNS, or set EGRESS_GOOGLE_APIS.`;
    return { reason: 'GoogleApisNotCovered', because };
  }
  return { reason: 'Effective', because: 'Notebooks reach the allowlist and nothing else.' };
};

/** A rule without peers opens every destination; of ours, only the open policy may have one. */
const isBoundless = ({ metadata, spec }: Manifest): boolean => {
  if (metadata.name === PolicyName.Open) return true;
  const rules = at(spec, 'egress');
  return (
    Array.isArray(rules) &&
    rules.some((rule: unknown) => {
      const peers = at(rule, 'to');
      return at(rule, 'matches') === undefined && (!Array.isArray(peers) || peers.length === 0);
    })
  );
};

/** Addresses of Google’s API that the baseline does not open: DNS does not map it to where the operator configured. */
const outsideBaseline = (addresses: Addresses, settings: EgressSettings): readonly string[] =>
  (addresses.get(googleApi) ?? []).filter((address) => {
    const cidr = parseCidr(address);
    return cidr !== undefined && !coversGoogleApis(cidr, settings);
  });
