import { factsOf, memoryOf } from '../culling/activity.ts';
import { graceMs, type Stop, stopOf } from '../culling/rules.ts';
import { pointerToken } from '../lib/json.ts';
import { isoOf } from '../lib/time.ts';
import { hubUrl, serverSegment } from '../model/names.ts';
import type { OperationKind, OperationRecord } from '../model/operation.ts';
import { Problem } from '../model/problems.ts';
import type { TeamRecord } from '../model/record.ts';
import type { Server } from '../model/server.ts';
import type { HubServer } from '../ports/hubs.ts';
import type { Decision } from '../ports/store.ts';
import type { Actor } from '../teams/rules.ts';
import type { PodView } from './pod.ts';

/** What the hub says of one user. Without an answer nothing is known, which is never to be shown as stopped. */
export type HubView =
  | { readonly answered: false }
  | { readonly answered: true; readonly isUser: boolean; readonly server: HubServer | null };

/** What the cluster says of one user’s pod. */
export type PodsView =
  | { readonly answered: false }
  | { readonly answered: true; readonly pod: PodView | undefined };

export interface ServerView {
  readonly hub: HubView;
  readonly pods: PodsView;
}

/** Whether the hub takes this server for one that neither runs nor is under way. */
export const isStopped = (server: HubServer | null): boolean =>
  server === null || (server.stopped && server.pending === null);

/** What people are shown. Where hub and cluster differ, the one that has not noticed yet is not believed. */
export const stateOf = ({ hub, pods }: ServerView): Server['state'] => {
  const pod = pods.answered ? pods.pod : undefined;
  if (!hub.answered) {
    if (pod === undefined) return 'unknown';
    if (pod.isLeaving) return 'stopping';
    return pod.isReady ? 'running' : 'starting';
  }
  const { server } = hub;
  switch (server?.pending) {
    case 'check':
      return 'hub_restarting';
    case 'spawn':
      return 'starting';
    case 'stop':
      return 'stopping';
  }
  if (server?.ready) return pods.answered && (pod === undefined || pod.isLeaving) ? 'stopping' : 'running';
  if (!isStopped(server)) return 'unknown';
  if (pod === undefined) return 'stopped';
  if (pod.isLeaving) return 'stopping';
  return pod.isReady ? 'unknown' : 'starting';
};

/** A profile that is offered now. */
export interface OfferedProfile {
  readonly slug: string;
  readonly isDefault: boolean;
  readonly revision: string;
}

/** Whether a restart would give the pod another configuration. A profile that is gone counts: it was replaced. */
export const isRestartPending = (
  { profile, profileRevision }: Pick<PodView, 'profile' | 'profileRevision'>,
  offered: readonly OfferedProfile[],
): boolean => offered.find(({ slug }) => slug === profile)?.revision !== profileRevision;

/**
 * The profile to start with: the one asked for, else the last one if it is still offered, else the preselected one.
 * Throws Problem `validation_failed` for one that is not offered, `no_environment` when none is.
 */
export const chosenProfile = (
  offered: readonly OfferedProfile[],
  asked: string | undefined,
  last: string | null,
): string => {
  const slugs = offered.map(({ slug }) => slug);
  if (asked !== undefined) {
    if (slugs.includes(asked)) return asked;
    const message = `Not offered. There are: ${slugs.join(', ') || 'none'}.`;
    throw new Problem('validation_failed', {
      errors: [{ pointer: '/profile', code: 'not_in_list', message }],
    });
  }
  if (last !== null && slugs.includes(last)) return last;
  const usual = offered.find(({ isDefault }) => isDefault) ?? offered[0];
  if (usual === undefined) throw new Problem('no_environment');
  return usual.slug;
};

/** When a server that runs is to be stopped (DESIGN 7); null without a rule that says so. */
const stopFor = (team: TeamRecord, user: string, server: HubServer, lookedAt: string): Stop | null => {
  if (team.notebook === null) return null;
  const facts = factsOf(server, memoryOf(team.culling, user), { lookedAt, busy: 'not asked' });
  return stopOf(facts, team.notebook.spec.culling);
};

/** A member’s server as clients see it. */
export const serverView = (
  team: TeamRecord,
  user: string,
  view: ServerView,
  context: {
    readonly offered: readonly OfferedProfile[];
    readonly hubUrlTemplate: string;
    readonly operation: Pick<OperationRecord, 'id'> | undefined;
    /** When hub and cluster were asked (ISO 8601). */
    readonly lookedAt: string;
  },
): Server => {
  const state = stateOf(view);
  const pod = view.pods.answered ? view.pods.pod : undefined;
  const server = view.hub.answered ? view.hub.server : null;
  const runs = state === 'running' && server !== null;
  const stop = runs ? stopFor(team, user, server, context.lookedAt) : null;
  const failure = state === 'starting' ? pod?.failure : undefined;
  const isUp = state !== 'stopped' && state !== 'unknown';
  return {
    user,
    state,
    startedAt: (isUp ? (server?.startedAt ?? pod?.startedAt) : null) ?? null,
    lastActivityAt: server?.lastActivityAt ?? null,
    stopsAt: stop?.stopsAt ?? null,
    stopsBecause: stop?.stopsBecause ?? null,
    image: pod?.image ?? null,
    pendingRestart: !view.pods.answered
      ? null
      : pod !== undefined && !pod.isLeaving && isRestartPending(pod, context.offered),
    url: `${hubUrl(context.hubUrlTemplate, team)}/user/${serverSegment(user)}/`,
    ...(failure === undefined ? {} : { reason: failure.reason, message: failure.message }),
    operation: context.operation?.id ?? null,
  };
};

const actions = {
  start: 'server_started',
  stop: 'server_stopped',
  restart: 'server_restarted',
  restart_hub: 'hub_restarted',
} as const satisfies Record<OperationKind, string>;

const withoutMemory = (culling: TeamRecord['culling'], user: string): TeamRecord['culling'] => {
  const { [user]: _forgotten, ...servers } = culling.servers;
  return { ...culling, servers };
};

/** An opened operation in the team’s history. What was remembered of the server ends with it. */
export const noted = (team: TeamRecord, { kind, user, by, createdAt, force }: OperationRecord): Decision => ({
  next: user === null ? team : { ...team, culling: withoutMemory(team.culling, user) },
  event: {
    at: createdAt,
    by,
    action: actions[kind],
    revision: null,
    changes: [],
    ...(user === null ? {} : { reason: `The server of ${user}${force ? ', by force' : ''}.` }),
  },
});

const earlier = (a: string | null, b: string): string => (a !== null && a < b ? a : b);

/** Has the culling look at a server that just became ready, as soon as it may be due. */
export const cullingAfterStart = (team: TeamRecord, now: number): Decision | undefined => {
  if (team.notebook === null) return undefined;
  const dueAt = earlier(team.culling.dueAt, isoOf(now + graceMs));
  return dueAt === team.culling.dueAt
    ? undefined
    : { next: { ...team, culling: { ...team.culling, dueAt } } };
};

const longestExtensionMs = 24 * 3_600_000;

/** The instant that a server is to stay alive until. Throws Problem `validation_failed` for the past and the far future. */
export const extensionOf = (until: string, now: number): string => {
  const at = Date.parse(until);
  const fault = (message: string) =>
    new Problem('validation_failed', { errors: [{ pointer: '/until', code: 'out_of_range', message }] });
  if (!(at > now)) throw fault('Must lie in the future.');
  if (at > now + longestExtensionMs) throw fault('Must be at most 24 hours ahead.');
  return isoOf(at);
};

/** Keeps a server alive until then, or takes back what is longer. Undefined when that is so already. */
export const extended = (team: TeamRecord, user: string, until: string, act: Actor): Decision | undefined => {
  const { culling } = team;
  const before = memoryOf(culling, user);
  if (before?.extendedUntil === until) return undefined;
  return {
    next: {
      ...team,
      culling: {
        // What is taken back may make it due earlier.
        dueAt: culling.dueAt === null ? null : earlier(culling.dueAt, until),
        servers: { ...culling.servers, [user]: { ...before, extendedUntil: until } },
      },
    },
    event: {
      at: act.now,
      by: act.by,
      action: 'server_extended',
      revision: null,
      changes: [
        {
          path: `/servers${pointerToken(user)}/extendedUntil`,
          from: before?.extendedUntil ?? null,
          to: until,
        },
      ],
      reason: `The server of ${user} stays alive until ${until}.`,
    },
  };
};
