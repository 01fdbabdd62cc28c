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

/** What every such policy carries; how the tick finds them all. */
export const airflowLabels = {
  ...managedBy,
  [airflowLabel]: 'true',
} as const;

/** On such a policy: the entries that it was made from, in their canonical form. */
export const entriesAnnotation = 'knada.io/allowlist';

/** On such a policy: the pods that are about to come, each as `<uid>=<ISO 8601>`. */
export const announcedAnnotation = 'knada.io/announced';

/** A pod that was announced and has not come after two ticks will not come. */
const announcedMs = 2 * 60_000;

/** More at once are not told apart: the newest count. */
const mostAnnouncements = 50;

/** Somebody said that this pod is about to come. */
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
  /** Sentences about entries that cannot be used, and are not. */
  readonly faults: readonly string[];
}

interface PodMetadata {
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Reads the annotation. A comma at an end is no entry; what is no entry is told and left out. */
export function runWish(pod: PodMetadata, options: EntryOptions): RunWish {
  return {
    target: airflowTarget(pod.labels ?? {}),
    ...listed(pod.annotations?.[allowlistAnnotation], options),
  };
}

/** The entries that an existing policy was made from; those that the operator has closed since are left out. */
export function entriesOf(policy: Manifest, options: EntryOptions): readonly AllowlistEntry[] {
  return listed(policy.metadata.annotations?.[entriesAnnotation], options).entries;
}

function listed(text: string | undefined, options: EntryOptions): Omit<RunWish, 'target'> {
  const parts = (text ?? '').split(',').filter((part) => part.trim() !== '');
  const { entries, errors } = parseAllowlist(parts, options);
  return { entries, faults: errors.map(({ message }) => message) };
}

/** Each destination once, in an order of its own. */
export function union(...lists: readonly (readonly AllowlistEntry[])[]): readonly AllowlistEntry[] {
  const distinct = new Map(lists.flat().map((entry) => [entry.entry, entry]));
  return [...distinct.values()].sort((a, b) => byText(a.entry, b.entry));
}

/** A run whose policy is to be made. */
export interface Run {
  readonly namespace: string;
  /** Of the namespace: a team’s own carries whose it is. */
  readonly namespaceLabels: Readonly<Record<string, string>>;
  readonly target: AllowTarget;
  readonly entries: readonly AllowlistEntry[];
  /** The run’s pods that were seen. */
  readonly owners: readonly OwnerReference[];
  /** Pods that were not seen yet. */
  readonly announced: readonly Announcement[];
}

export interface RunPolicy {
  /** Undefined when there is nothing that could be opened. */
  readonly policy: Manifest | undefined;
  readonly hosts: readonly HostReport[];
  /** Why the list is not opened at all. */
  readonly problem: string | undefined;
}

/** The policy of a run: by addresses whatever the backend, as it lives for minutes. */
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

/** Whether a policy says something else than it shall. */
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

/** The pods that are still to come: announced a short while ago, and not among those that were seen. */
export function announcements(
  policy: Manifest,
  seen: readonly string[],
  now: number,
): readonly Announcement[] {
  return (policy.metadata.annotations?.[announcedAnnotation] ?? '').split(' ').flatMap((text) => {
    const [uid = '', at = ''] = text.split('=', 2);
    // An instant from the future is nobody’s announcement.
    const age = Math.abs(now - Date.parse(at));
    return uid !== '' && age < announcedMs && !seen.includes(uid) ? [{ uid, at }] : [];
  });
}

/** With one pod more; the same pod counts once. */
export function announcing(before: readonly Announcement[], next: Announcement): readonly Announcement[] {
  return [...before.filter(({ uid }) => uid !== next.uid), next].slice(-mostAnnouncements);
}

function printed(announced: readonly Announcement[]): string {
  return announced.map(({ uid, at }) => `${uid}=${at}`).join(' ');
}

/** Whether a policy is one that we have made for a run. */
export function isRunPolicy({ metadata }: Manifest): boolean {
  return Object.entries(airflowLabels).every(([key, value]) => metadata.labels?.[key] === value);
}
