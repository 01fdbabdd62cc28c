import { factsOf, lastActivityOf, memoryOf } from '../culling/activity.ts';
import { type Stop, stopOf } from '../culling/rules.ts';
import { serverSegment } from '../model/names.ts';
import type { OperationRecord } from '../model/operation.ts';
import type { TeamRecord } from '../model/record.ts';
import type { Server } from '../model/server.ts';
import type { ProfileChoice } from '../notebooks/profiles.ts';
import type { HubServer } from '../ports/hubs.ts';
import { isStopped, type ServerView } from './facts.ts';
import { pendingChanges, serverProfile } from './profiles.ts';

/** The state that clients see. Where hub and cluster disagree, the one with the older information is not believed. */
export const stateOf = ({ hub, pods }: ServerView): Server['state'] => {
  const pod = pods.answered ? pods.pod : undefined;
  if (!hub.answered) {
    if (pod === undefined) return 'unknown';
    if (pod.isTerminating) return 'stopping';
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
  if (server?.ready)
    return pods.answered && (pod === undefined || pod.isTerminating) ? 'stopping' : 'running';
  if (!isStopped(server)) return 'unknown';
  if (pod === undefined) return 'stopped';
  if (pod.isTerminating) return 'stopping';
  return pod.isReady ? 'unknown' : 'starting';
};

/** When culling may stop a running server; null when no rule applies. */
const stopFor = (team: TeamRecord, user: string, server: HubServer, observedAt: string): Stop | null => {
  if (team.notebook === null) return null;
  const facts = factsOf(server, memoryOf(team.culling, user), { observedAt, busy: 'not asked' });
  return stopOf(facts, team.notebook.spec.culling);
};

/** Where a member’s server is used. */
export const serverUrl = (team: TeamRecord, user: string): string =>
  `${team.names.hubUrl}/user/${serverSegment(user)}/`;

/** A member’s server as clients see it. */
export const serverView = (
  team: TeamRecord,
  user: string,
  view: ServerView,
  context: {
    readonly offered: readonly ProfileChoice[];
    readonly operation: Pick<OperationRecord, 'id'> | undefined;
    /** When hub and cluster were asked (ISO 8601). */
    readonly observedAt: string;
  },
): Server => {
  const state = stateOf(view);
  const pod = view.pods.answered ? view.pods.pod : undefined;
  const server = view.hub.answered ? view.hub.server : null;
  const isRunning = state === 'running' && server !== null;
  const stop = isRunning ? stopFor(team, user, server, context.observedAt) : null;
  const failure = state === 'starting' ? pod?.failure : undefined;
  const pending = pendingChanges(view, context.offered, team);
  const profile = serverProfile(pod);
  const isUp = state !== 'stopped' && state !== 'unknown';
  return {
    user,
    state,
    startedAt: (isUp ? (server?.startedAt ?? pod?.startedAt) : null) ?? null,
    lastActivityAt: lastActivityOf(team.culling, user, server),
    stopsAt: stop?.stopsAt ?? null,
    stopsBecause: stop?.stopsBecause ?? null,
    ...(profile === undefined ? {} : { profile }),
    image: pod?.image ?? null,
    pendingChanges: pending && [...pending],
    pendingRestart: pending && pending.length > 0,
    url: serverUrl(team, user),
    ...(failure === undefined ? {} : { reason: failure.reason, message: failure.message }),
    operation: context.operation?.id ?? null,
  };
};
