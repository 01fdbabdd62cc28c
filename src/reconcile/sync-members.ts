import { forEachConcurrently } from '../lib/concurrency.ts';
import { pointerToken } from '../lib/json.ts';
import { isoOf } from '../lib/time.ts';
import { Unavailable } from '../ports/unavailable.ts';
import { hubUsersDiff } from '../teams/members.ts';
import { StaleRead } from './blocked.ts';
import type { ReconcileContext } from './context.ts';
import { assertSameGeneration, isSameGeneration } from './fencing.ts';
import type { ReleaseState } from './release-state.ts';

/** How the hub’s users compare with the team’s members. */
export type MembersFact =
  | { readonly outcome: 'in_step'; readonly hubUsers: readonly string[] }
  /** There is no hub yet. */
  | { readonly outcome: 'no_hub' }
  | {
      readonly outcome: 'pending';
      /** The hub’s users as last seen; absent when they were never seen. */
      readonly hubUsers?: readonly string[];
      readonly adding: readonly string[];
      readonly removing: readonly string[];
      /** Why. */
      readonly message: string;
    };

const atOnce = 8;

/**
 * One attempt adds and removes at most this many users each, which a hub does within the deadline. The rest follows at
 * the next attempts, so any number of leavers makes progress.
 */
const usersPerAttempt = 240;

/** Its own time: a reconcile that was held back has used up its deadline. */
const undoMs = 5_000;

/** A frozen hub must not use up the time of a reconcile that has more to do. */
const deadlineMs = 6_000;

/**
 * Adds the missing users and removes those who are no longer members, over the hub’s API, which restarts nothing.
 * Removing a user stops the server and deletes tokens and sessions; the home stays. What cannot be done now is pending,
 * never an error.
 */
export const syncMembers = async (
  context: ReconcileContext,
  release: ReleaseState | undefined,
): Promise<MembersFact> => {
  const { deps, team } = context;
  const { hubs } = deps;
  const seen = team.status.hubUsers;
  if (seen === undefined && release?.state !== 'applied' && release?.state !== 'drifted')
    return { outcome: 'no_hub' };
  const signal = AbortSignal.any([context.signal, AbortSignal.timeout(deadlineMs)]);
  const known = new Set(seen ?? []);
  let deferred = 0;
  try {
    const users = await hubs.users(team, signal);
    known.clear();
    for (const { name } of users) known.add(name);
    const { missing, leavers } = hubUsersDiff(team.members, [...known]);
    await forEachConcurrently(missing.slice(0, usersPerAttempt), atOnce, async (name) => {
      await addMember(context, name, signal);
      known.add(name);
    });
    if (leavers.length > 0) {
      // A leaver may have become a member again since this attempt began.
      await assertSameGeneration(context);
    }
    deferred = Math.max(0, leavers.length - usersPerAttempt);
    const isActive = new Set(users.flatMap(({ name, server }) => (server?.stopped === false ? [name] : [])));
    const activeFirst = leavers.toSorted((a, b) => Number(isActive.has(b)) - Number(isActive.has(a)));
    await forEachConcurrently(activeFirst.slice(0, usersPerAttempt), atOnce, async (name) => {
      if ((await hubs.removeUser(team, name, signal)) === 'stopping') return;
      known.delete(name);
      await recordRemoval(context, name);
    });
  } catch (error) {
    if (error instanceof StaleRead || !(error instanceof Unavailable || signal.aborted)) throw error;
    const message = error instanceof Unavailable ? error.message : 'The hub did not answer in time.';
    return pending(message);
  }
  const { missing, leavers } = hubUsersDiff(team.members, [...known]);
  if (missing.length > 0 || deferred > 0)
    return pending('The hub adds and removes a limited number of users at a time.');
  if (leavers.length > 0) return pending('Their servers are stopping.');
  return { outcome: 'in_step', hubUsers: [...known].toSorted() };

  function pending(message: string): MembersFact {
    const { missing, leavers } = hubUsersDiff(team.members, [...known]);
    const hubUsers = seen === undefined && known.size === 0 ? {} : { hubUsers: [...known].toSorted() };
    return { outcome: 'pending', ...hubUsers, adding: missing, removing: leavers, message };
  }
};

/** Adds a user who is a member before the call and after it; else removes the user again and throws StaleRead. */
const addMember = async (context: ReconcileContext, name: string, signal: AbortSignal): Promise<void> => {
  await assertSameGeneration(context);
  const [added] = await Promise.allSettled([context.deps.hubs.addUser(context.team, name, signal)]);
  await assertStillMember(context, name);
  if (added.status === 'rejected') throw added.reason;
};

const assertStillMember = async ({ deps, team }: ReconcileContext, name: string): Promise<void> => {
  const current = await deps.store.team(team.slug);
  if (isSameGeneration(current, team)) return;
  const isMember = current?.id === team.id && current.members.some(({ username }) => username === name);
  // At a hub that does not answer the user stays until the next attempt, which removes everyone who is no member.
  if (!isMember) await deps.hubs.removeUser(team, name, AbortSignal.timeout(undoMs)).catch(() => undefined);
  throw new StaleRead();
};

const recordRemoval = async ({ deps, team }: ReconcileContext, name: string): Promise<void> => {
  deps.log.info({ team: team.slug, user: name }, 'hub user removed');
  await deps.store.change(team.slug, (current) => {
    if (current.id !== team.id) return undefined;
    const { [name]: _gone, ...servers } = current.culling.servers;
    return {
      next: { ...current, culling: { ...current.culling, servers } },
      event: {
        at: isoOf(deps.clock.now()),
        by: 'reconcile',
        action: 'hub_user_removed',
        revision: null,
        changes: [{ pointer: `/hubUsers${pointerToken(name)}`, from: name, to: null }],
        reason: 'No longer a member: the server was stopped, tokens and sessions are gone, the home is kept.',
      },
    };
  });
};
