import type { AllowlistEntry } from '../model/allowlist.ts';
import type { Manifest, OwnerReference } from '../ports/cluster.ts';
import { managedBy, teamIdLabel, teamLabel } from '../teams/labels.ts';
import { type AllowTarget, airflowTarget, allowPolicy } from './allow.ts';
import type { Addresses, HostReport } from './destinations.ts';
import { type EntryOptions, parseAllowlist } from './entry.ts';
import { byText, type EgressSettings, policyHash } from './policy.ts';
import { allowlistAnnotation } from './review.ts';

/** On the policies of Airflow runs, which follow their own pods. */
export const airflowLabel = 'knada.io/airflow';

/** The label on every such policy, by which the tick finds them. */
export const airflowLabels = {
  ...managedBy,
  [airflowLabel]: 'true',
} as const;

/** On such a policy: the entries that it was compiled from, in their canonical form. */
export const entriesAnnotation = 'knada.io/allowlist';

/** On such a policy: the announced pods, each as `<uid>=<ISO 8601>`. */
export const announcedAnnotation = 'knada.io/announced';

/** An announced pod that has not been seen after two ticks is dropped. */
const announcedMs = 2 * 60_000;

/** The most announced pods per run; the newest are kept. */
const mostAnnouncements = 50;

/** A pod that an AdmissionReview announced. */
export interface Announcement {
  readonly uid: string;
  /** ISO 8601. */
  readonly at: string;
}

/** What a pod of an Airflow run asks for. */
export interface RunWish {
  /** Undefined when the pod does not say which run it is of. */
  readonly target: AllowTarget | undefined;
  readonly entries: readonly AllowlistEntry[];
  /** Warnings about invalid entries, which are ignored. */
  readonly faults: readonly string[];
}

interface PodMetadata {
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Parses the annotation. A trailing comma is not an entry; an invalid entry is reported and left out. */
export function runWish(pod: PodMetadata, options: EntryOptions): RunWish {
  return {
    target: airflowTarget(pod.labels ?? {}),
    ...listed(pod.annotations?.[allowlistAnnotation], options),
  };
}

/** The entries that an existing policy was compiled from, without those that the operator has since forbidden. */
export function entriesOf(policy: Manifest, options: EntryOptions): readonly AllowlistEntry[] {
  return listed(policy.metadata.annotations?.[entriesAnnotation], options).entries;
}

function listed(text: string | undefined, options: EntryOptions): Omit<RunWish, 'target'> {
  const parts = (text ?? '').split(',').filter((part) => part.trim() !== '');
  const { entries, errors } = parseAllowlist(parts, options);
  return { entries, faults: errors.map(({ message }) => message) };
}

/** Each destination once, in canonical order. */
export function union(...lists: readonly (readonly AllowlistEntry[])[]): readonly AllowlistEntry[] {
  const distinct = new Map(lists.flat().map((entry) => [entry.entry, entry]));
  return [...distinct.values()].sort((a, b) => byText(a.entry, b.entry));
}

/** A run whose policy is to be compiled. */
export interface Run {
  readonly namespace: string;
  /** Labels of the policy: in a team’s namespace they name the team. */
  readonly namespaceLabels: Readonly<Record<string, string>>;
  readonly target: AllowTarget;
  readonly entries: readonly AllowlistEntry[];
  /** The run’s pods that exist. */
  readonly owners: readonly OwnerReference[];
  /** Pods that are announced but do not exist yet. */
  readonly announced: readonly Announcement[];
}

export interface RunPolicy {
  /** Undefined when there is nothing to open. */
  readonly policy: Manifest | undefined;
  readonly hosts: readonly HostReport[];
  /** Why the whole list is not opened. */
  readonly problem: string | undefined;
}

/** The policy of a run: by address with either backend, since it exists for minutes only. */
export function runPolicy(run: Run, addresses: Addresses, settings: EgressSettings): RunPolicy {
  const { namespaceLabels, owners, announced } = run;
  const labels = Object.fromEntries(
    [teamIdLabel, teamLabel].flatMap((key) => {
      const value = namespaceLabels[key];
      return value === undefined ? [] : [[key, value]];
    }),
  );
  const meta = {
    namespace: run.namespace,
    labels: { ...airflowLabels, ...labels },
    annotations: {
      [entriesAnnotation]: run.entries.map(({ entry }) => entry).join(),
      ...(announced.length === 0 ? {} : { [announcedAnnotation]: printed(announced) }),
    },
  };
  const { policy, hosts, problem } = allowPolicy(meta, run.entries, addresses, settings, run.target);
  const owned =
    policy && owners.length > 0
      ? { ...policy, metadata: { ...policy.metadata, ownerReferences: owners } }
      : policy;
  return { policy: owned, hosts, problem: problem?.message };
}

/** Whether an existing policy differs from the desired one. */
export function isOutdated(actual: Manifest, wanted: Manifest): boolean {
  return said(actual) !== said(wanted);
}

function said({ metadata, spec }: Manifest): string {
  const uids = (metadata.ownerReferences ?? []).map(({ uid }) => uid).sort(byText);
  const annotations = [entriesAnnotation, announcedAnnotation].map(
    (name) => metadata.annotations?.[name] ?? '',
  );
  return JSON.stringify([policyHash({ spec }), uids, annotations]);
}

/** The pods still expected: announced recently, and not among those that exist. */
export function announcements(
  policy: Manifest,
  seen: readonly string[],
  now: number,
): readonly Announcement[] {
  return (policy.metadata.annotations?.[announcedAnnotation] ?? '').split(' ').flatMap((text) => {
    const [uid = '', at = ''] = text.split('=', 2);
    // An announcement from the future is invalid.
    const age = Math.abs(now - Date.parse(at));
    return uid !== '' && age < announcedMs && !seen.includes(uid) ? [{ uid, at }] : [];
  });
}

/** Adds a pod; the same pod counts once. */
export function announcing(before: readonly Announcement[], next: Announcement): readonly Announcement[] {
  return [...before.filter(({ uid }) => uid !== next.uid), next].slice(-mostAnnouncements);
}

function printed(announced: readonly Announcement[]): string {
  return announced.map(({ uid, at }) => `${uid}=${at}`).join(' ');
}

/** Whether a policy is one that this service created for a run. */
export function isRunPolicy({ metadata }: Manifest): boolean {
  return Object.entries(airflowLabels).every(([key, value]) => metadata.labels?.[key] === value);
}
