import { printBytes } from '../lib/quantity.ts';
import type { Change } from '../model/change.ts';
import { Problem } from '../model/problems.ts';
import type { ServerProfile } from '../model/profile.ts';
import type { TeamRecord } from '../model/record.ts';
import {
  displayNameOf,
  type KubeSpawnerOverride,
  type ProfileChoice,
  profileRevisionAnnotation,
} from '../notebooks/profiles.ts';
import type { HubServer } from '../ports/hubs.ts';
import { type HubView, podOf, type ServerView } from './facts.ts';
import type { PodView } from './pod.ts';
import type { PodSize } from './quota.ts';

/** What a pod with this override takes of a quota. */
export const sizeOf = (override: KubeSpawnerOverride): PodSize => ({
  'requests.cpu': override.cpu_guarantee,
  'requests.memory': override.mem_guarantee,
  'limits.cpu': override.cpu_limit,
  'limits.memory': override.mem_limit,
});

/** The profile that a member chose last; null without one, and when the team’s image was ordered after it was chosen. */
export const lastChoice = (
  server: Pick<HubServer, 'profile' | 'profileChosenAt'> | null,
  { notebook }: Pick<TeamRecord, 'notebook'>,
): string | null =>
  server !== null && (server.profileChosenAt ?? 0) >= (notebook?.imageGeneration ?? 0)
    ? server.profile
    : null;

/** The member’s last choice as the hub knows it. */
export const lastChoiceIn = (hub: HubView, team: Pick<TeamRecord, 'notebook'>): string | null =>
  hub.answered ? lastChoice(hub.server, team) : null;

/**
 * What a start without a named profile takes: the last choice if it is still offered, else the default. Undefined when
 * nothing is offered. The hub decides the same for its own page (src/notebooks/hub-config.ts).
 */
export const nextProfile = (
  offered: readonly ProfileChoice[],
  last: string | null,
): ProfileChoice | undefined =>
  offered.find(({ slug }) => slug === last) ?? offered.find(({ isDefault }) => isDefault) ?? offered[0];

/**
 * The profile to start with: the one requested, else what a start takes without. Throws Problem `validation_failed` for
 * one that is not offered, `no_environment` when none is.
 */
export const chosenProfile = (
  offered: readonly ProfileChoice[],
  requested: string | undefined,
  last: string | null,
): ProfileChoice => {
  const found =
    requested === undefined ? nextProfile(offered, last) : offered.find(({ slug }) => slug === requested);
  if (found !== undefined) return found;
  if (requested === undefined) throw new Problem('no_environment');
  const slugs = offered.map(({ slug }) => slug).join(', ');
  const message = `Not offered. Offered: ${slugs || 'none'}.`;
  throw new Problem('validation_failed', {
    errors: [{ pointer: '/profile', code: 'not_in_list', message }],
  });
};

/** The profile that a pod runs; undefined when it was started without one. */
export const serverProfile = (pod: Pick<PodView, 'profile'> | undefined): ServerProfile | undefined =>
  pod?.profile ? { slug: pod.profile, displayName: displayNameOf(pod.profile) } : undefined;

type Comparable = Pick<PodView, 'profile' | 'profileRevision' | 'image' | 'size' | 'userInstallByDefault'>;

/** What a restart with this profile would change in the pod. Sizes are printed as in an order, so a client can compare. */
const changesIn = (pod: Comparable, { slug, override }: ProfileChoice): readonly Change[] => {
  if (pod.profile === slug && pod.profileRevision === override.extra_annotations[profileRevisionAnnotation])
    return [];
  const size = sizeOf(override);
  const cores = (key: 'requests.cpu' | 'limits.cpu') => [
    Math.round(pod.size[key] * 1000) / 1000,
    Math.round(size[key] * 1000) / 1000,
  ];
  const bytes = (key: 'requests.memory' | 'limits.memory') => [
    printBytes(pod.size[key]),
    printBytes(size[key]),
  ];
  const compared: readonly (readonly [pointer: string, values: readonly unknown[]])[] = [
    ['/profile', [pod.profile, slug]],
    ['/image', [pod.image, override.image]],
    ['/resources/cpu/guarantee', cores('requests.cpu')],
    ['/resources/cpu/limit', cores('limits.cpu')],
    ['/resources/memory/guarantee', bytes('requests.memory')],
    ['/resources/memory/limit', bytes('limits.memory')],
    ['/pip/userInstallByDefault', [pod.userInstallByDefault, override.environment.PIP_USER === '1']],
  ];
  return compared.flatMap(([pointer, [from, to]]) => (from === to ? [] : [{ pointer, from, to }]));
};

/**
 * What a restart would change for a running server; empty without one. null when that is not known: without the hub’s
 * answer it is not known which profile the restart would take.
 */
export const pendingChanges = (
  view: ServerView,
  offered: readonly ProfileChoice[],
  team: Pick<TeamRecord, 'notebook'>,
): readonly Change[] | null => {
  if (!view.pods.answered) return null;
  const pod = podOf(view);
  if (pod === undefined || pod.isTerminating) return [];
  if (!view.hub.answered) return null;
  const next = nextProfile(offered, lastChoiceIn(view.hub, team));
  return next === undefined ? [] : changesIn(pod, next);
};
