import type { AllowlistEntry } from '../model/allowlist.ts';
import { Egress, EgressEntry, EgressPolicyRef, FilteredAddress } from '../model/egress.ts';
import type { HostRecord } from '../model/host.ts';
import type { Manifest } from '../ports/cluster.ts';
import { allowPolicy } from './allow.ts';
import type { HostReport } from './destinations.ts';
import { addressesIn, hostState } from './freshness.ts';
import { byText, type EgressSettings, PolicyName } from './policy.ts';
import { type EgressVerdict, egressVerdict } from './verdict.ts';

export const egressSchemas = [FilteredAddress, EgressEntry, EgressPolicyRef, Egress];

/** The facts for the view. */
export interface EgressSight {
  readonly enabled: boolean;
  readonly entries: readonly AllowlistEntry[];
  readonly hosts: ReadonlyMap<string, HostRecord>;
  readonly settings: EgressSettings;
  /** Every policy in the team’s namespace; undefined when the cluster did not answer. */
  readonly policies: readonly Manifest[] | undefined;
  /** Whether a policy belongs to this team. */
  readonly isOurs: (policy: Manifest) => boolean;
  /** Epoch milliseconds. */
  readonly now: number;
}

const nobody = { namespace: '', labels: {}, annotations: {} };

export function egressView(sight: EgressSight): Egress {
  const { enabled, policies, isOurs } = sight;
  const addresses = addressesIn(sight.hosts);
  const { hosts, problem } = allowPolicy(nobody, sight.entries, addresses, sight.settings);
  const reports = new Map(hosts.map((report) => [report.host, report]));
  const verdict = egressVerdict({ ...sight, addresses, problem: problem?.message });
  const shown = policies?.filter((policy) => isOurs(policy) && isForNotebooks(policy));
  return {
    enabled,
    effective: effective[verdict.reason],
    because: verdict.because,
    widenedBy: [...verdict.widenedBy],
    entries: sight.entries.map((entry) => entryView(entry, reports.get(entry.host), sight)),
    policies:
      shown
        ?.map(({ kind, metadata }) => ({ kind, name: metadata.name }))
        .toSorted((a, b) => byText(a.name, b.name)) ?? null,
  };
}

const isForNotebooks = ({ metadata }: Manifest): boolean =>
  [PolicyName.Open, PolicyName.Baseline].some((name) => name === metadata.name) ||
  metadata.name.startsWith(PolicyName.Allow);

/** null: not restricted, or not known. */
const effective: Readonly<Record<EgressVerdict['reason'], boolean | null>> = {
  NotRestricted: null,
  NotSeen: null,
  NotApplied: false,
  Widened: false,
  PolicyTooLarge: false,
  GoogleApisNotCovered: false,
  Effective: true,
};

function entryView(
  { entry, host, kind, portStart, portEnd, preset }: AllowlistEntry,
  report: HostReport | undefined,
  { enabled, hosts, settings, now }: EgressSight,
): EgressEntry {
  const { status = 'unresolved', addresses = [], filtered = [] } = report ?? {};
  const base = {
    entry,
    host,
    portStart,
    portEnd,
    ...(preset === undefined ? {} : { preset }),
    addresses: [...addresses],
    filtered: filtered.map(({ address, range }) => ({ address, range })),
  };
  if (kind !== 'name' || settings.hostMap.has(host)) return { ...base, status };
  const known = hostState(hosts.get(host), now);
  const isOpen = addresses.length > 0;
  if (known.state === 'stale' && isOpen) {
    return { ...base, status: 'stale', since: known.since, message: known.message };
  }
  if (known.state === 'too_many_addresses' && isOpen) return { ...base, status: 'too_many_addresses' };
  if (status !== 'unresolved') return { ...base, status };
  if (!enabled) return { ...base, status, message: 'It is looked up once the team opts in.' };
  const message =
    'message' in known ? known.message : 'It has not been looked up yet. That takes at most a minute.';
  return { ...base, status, message };
}
