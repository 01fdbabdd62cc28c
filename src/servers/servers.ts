import { lastActivityOf } from '../culling/activity.ts';
import { isoOf } from '../lib/time.ts';
import type { OperationRecord } from '../model/operation.ts';
import type { ServerPendingRestart } from '../model/plan.ts';
import { Problem } from '../model/problems.ts';
import type { NotebookProfile } from '../model/profile.ts';
import type { TeamRecord } from '../model/record.ts';
import type { ExtendOrder, RestartOrder, Server } from '../model/server.ts';
import { choicesOf, type ProfileChoice, type ProfileEnvironment } from '../notebooks/profiles.ts';
import { assertNotebookStays } from '../notebooks/rules.ts';
import type { HubServer, SpawnProgress } from '../ports/hubs.ts';
import type { Actor } from '../teams/rules.ts';
import type { OperationDeps } from './calls.ts';
import { extended, extensionOf } from './extension.ts';
import { isStopped, podOf, type ServerView } from './facts.ts';
import { listedProfiles } from './listed-profiles.ts';
import { hubDeployment, observeQuotas, observeServer, observeServers, withForcedTimeout } from './observe.ts';
import { type OperationOptions, type Operations, operationsWith } from './operations.ts';
import { chosenProfile, lastChoice, pendingChanges, sizeOf } from './profiles.ts';
import { quotaShortage } from './quota.ts';
import { serverView, stateOf } from './server-view.ts';
import { sharedLooks } from './shared-looks.ts';

/** A team’s notebook servers. Throws Problems; the routes have checked the caller’s access. */
export interface Servers {
  readonly operations: Pick<Operations, 'poll' | 'tick' | 'page' | 'follow' | 'settle' | 'newId'>;
  readonly list: (team: TeamRecord) => Promise<readonly Server[]>;
  /** The same for those who watch: a team’s hub and cluster are asked once a second, however many watch it. */
  readonly watched: (team: TeamRecord) => Promise<readonly Server[]>;
  /** The profiles of the team, with what this member starts with next; undefined: not a member. */
  readonly profiles: (team: TeamRecord, user: string | undefined) => Promise<readonly NotebookProfile[]>;
  /**
   * The members’ running servers that would wait for a restart if the team were as it is planned. null when that is not
   * known, because hub or cluster do not answer.
   */
  readonly pendingRestarts: (
    team: TeamRecord,
    planned: TeamRecord,
  ) => Promise<readonly ServerPendingRestart[] | null>;
  readonly start: (
    team: TeamRecord,
    user: string,
    profile: string | undefined,
    actor: Actor,
  ) => Promise<OperationRecord>;
  readonly stop: (team: TeamRecord, user: string, force: boolean, actor: Actor) => Promise<OperationRecord>;
  readonly restart: (
    team: TeamRecord,
    user: string,
    order: RestartOrder,
    actor: Actor,
  ) => Promise<OperationRecord>;
  readonly extend: (team: TeamRecord, user: string, order: ExtendOrder, actor: Actor) => Promise<Server>;
  readonly restartHub: (team: TeamRecord, actor: Actor) => Promise<OperationRecord>;
  /** The hub’s progress reports of a start, until it ends. */
  readonly progress: (team: TeamRecord, user: string, signal: AbortSignal) => AsyncIterable<SpawnProgress>;
}

interface Options extends OperationOptions {
  /** The standard environments that the platform offers. */
  readonly environments: () => Promise<readonly ProfileEnvironment[]>;
}

const observeTimeoutMs = 5_000;

const hubUnavailable = (advice: string) =>
  new Problem('hub_unavailable', { detail: `The team’s JupyterHub does not answer. ${advice}` });

const hubRestarting = () => new Problem('hub_restarting');

const tryLater = 'Try again shortly. If the problem persists, restart the hub.';
const restartFirst = 'Restart the hub first, or stop with force.';
const stopByForce = 'Stop with force, which deletes the pod, or restart the hub.';

const profileDiffers = (user: string, running: string | null) => {
  const on = running === null ? 'was started without a profile' : `runs on the profile ${running}`;
  return new Problem('profile_differs', {
    detail: `The server of ${user} ${on}. Restart it with the profile that you want.`,
  });
};

/** An open operation that serves a request, unless it starts another profile than the requested one. */
const withProfile = (operation: OperationRecord, requested: string | undefined): OperationRecord => {
  if (requested === undefined || operation.profile === requested) return operation;
  throw new Problem('profile_differs', {
    detail: `The server of ${operation.user} is being started on the profile ${operation.profile} (${operation.id}). Wait until it is done, then restart it with the profile that you want.`,
  });
};

const choiceOf = ({ slug }: ProfileChoice, { generation }: TeamRecord) => ({
  profile: slug,
  profileChosenAt: generation,
});

export const serversWith = (deps: OperationDeps, { environments, ...options }: Options): Servers => {
  const { store, clock, hubs } = deps;
  const operations = operationsWith(deps, options);
  const deadline = () => AbortSignal.timeout(observeTimeoutMs);

  const offeredTo = async ({ notebook }: TeamRecord): Promise<readonly ProfileChoice[]> =>
    notebook === null ? [] : choicesOf(notebook.spec, notebook.image, await environments());

  const viewOf = async (team: TeamRecord, user: string, view: ServerView): Promise<Server> => {
    const open = await store.openOperations(team.slug);
    return serverView(team, user, view, {
      offered: await offeredTo(team),
      operation: open.find((operation) => operation.user === user),
      observedAt: isoOf(clock.now()),
    });
  };

  /** The server as the hub sees it. Throws Problem when the hub does not answer, or has not checked the server yet. */
  const known = async (team: TeamRecord, { hub }: ServerView, advice: string): Promise<HubServer | null> => {
    if (hub.answered && hub.server?.pending !== 'check') return hub.server;
    if (hub.answered) throw hubRestarting();
    // Advice to restart a hub that is already restarting would restart it again.
    const open = await store.openOperations(team.slug);
    throw open.some(({ kind }) => kind === 'restart_hub') ? hubRestarting() : hubUnavailable(advice);
  };

  const list: Servers['list'] = async (team) => {
    const [open, offered, at] = await Promise.all([
      store.openOperations(team.slug),
      offeredTo(team),
      observeServers(deps, team, deadline()),
    ]);
    const observedAt = isoOf(clock.now());
    const users = team.members.map(({ username }) => username).toSorted();
    return users.map((user) => {
      const view = at(user);
      // Without an answer from either, any state would be a guess.
      if (!view.hub.answered && !view.pods.answered) throw hubUnavailable(tryLater);
      const operation = open.find((one) => one.user === user);
      return serverView(team, user, view, { offered, operation, observedAt });
    });
  };

  return {
    operations,
    list,
    watched: sharedLooks(list, options.elapsedMs),
    progress: (team, user, signal) => hubs.progress(team, user, signal),

    async profiles(team, user) {
      const [offered, at] = await Promise.all([offeredTo(team), observeServers(deps, team, deadline())]);
      const views = new Map(team.members.map(({ username }) => [username, at(username)]));
      return listedProfiles(offered, views, team, user);
    },

    async pendingRestarts(team, planned) {
      const [offered, at] = await Promise.all([offeredTo(planned), observeServers(deps, team, deadline())]);
      const users = team.members.map(({ username }) => username).toSorted();
      const servers = users.map((user) => ({
        user,
        pendingChanges: pendingChanges(at(user), offered, planned),
      }));
      if (servers.some((server) => server.pendingChanges === null)) return null;
      return servers.flatMap(({ user, pendingChanges: changes }) =>
        changes === null || changes.length === 0 ? [] : [{ user, pendingChanges: [...changes] }],
      );
    },

    async start(team, user, profile, actor) {
      assertNotebookStays(team);
      const order = { kind: 'start', user, force: false } as const;
      const offered = await offeredTo(team);
      // An unknown profile is an error, whatever operation is open.
      chosenProfile(offered, profile, null);
      const { serving } = await operations.findOpen(team, order, actor);
      if (serving !== undefined) return withProfile(serving, profile);
      const view = await observeServer(deps, team, user, deadline());
      const server = await known(team, view, tryLater);
      if (server?.pending === 'stop') {
        throw new Problem('server_busy', {
          detail: `The server of ${user} is stopping. Start it once it has stopped.`,
        });
      }
      if (stateOf(view) === 'running') {
        const running = podOf(view)?.profile ?? null;
        if (profile !== undefined && profile !== running) throw profileDiffers(user, running);
        return operations.nothingToDo(team, { ...order, profile: running }, actor);
      }
      const isOther = profile !== undefined && server?.profile !== profile;
      if (server?.pending === 'spawn' && isOther) throw profileDiffers(user, server.profile);
      const chosen = chosenProfile(offered, profile, lastChoice(server, team));
      const operation = await operations.open(team, { ...order, ...choiceOf(chosen, team) }, actor);
      return withProfile(operation, profile);
    },

    async stop(team, user, force, actor) {
      assertNotebookStays(team);
      const order = { kind: 'stop', user, force } as const;
      const { serving, cancelled } = await operations.findOpen(team, order, actor);
      if (serving !== undefined) return serving;
      const view = await observeServer(force ? withForcedTimeout(deps) : deps, team, user, deadline());
      if (!force) await known(team, view, stopByForce);
      if (!view.hub.answered && !view.pods.answered) throw hubUnavailable(tryLater);
      if (cancelled === undefined && stateOf(view) === 'stopped')
        return operations.nothingToDo(team, { ...order, profile: null }, actor);
      const lastActivityAt = view.hub.answered ? lastActivityOf(team.culling, user, view.hub.server) : null;
      const opening = { lastActivityAt, cancelled };
      return operations.open(team, { ...order, profile: null }, actor, opening);
    },

    async restart(team, user, { profile: requested, force = false }, actor) {
      assertNotebookStays(team);
      const order = { kind: 'restart', user, force } as const;
      const offered = await offeredTo(team);
      // There must be something to start before anything is stopped.
      chosenProfile(offered, requested, null);
      const { serving } = await operations.findOpen(team, order, actor);
      if (serving !== undefined) return withProfile(serving, requested);
      const view = await observeServer(deps, team, user, deadline());
      const isChecked = force && view.hub.answered;
      const server = isChecked ? view.hub.server : await known(team, view, restartFirst);
      const chosen = chosenProfile(offered, requested, lastChoice(server, team));
      const quotas = await observeQuotas(deps, team, deadline());
      const shortage = quotaShortage(quotas, sizeOf(chosen.override), podOf(view)?.size);
      if (shortage !== undefined) throw new Problem('quota_exceeded', { detail: shortage });
      const operation = await operations.open(team, { ...order, ...choiceOf(chosen, team) }, actor);
      return withProfile(operation, requested);
    },

    async extend(team, user, order, actor) {
      assertNotebookStays(team);
      const instant = extensionOf(order, clock.now());
      const view = await observeServer(deps, team, user, deadline());
      const server = await known(team, view, tryLater);
      if (isStopped(server) || stateOf(view) !== 'running') throw new Problem('server_not_running');
      const changed = await store.change(team.slug, (current) => extended(current, user, instant, actor));
      return viewOf(changed ?? team, user, view);
    },

    async restartHub(team, actor) {
      assertNotebookStays(team);
      const order = { kind: 'restart_hub', user: null, force: false } as const;
      const { serving } = await operations.findOpen(team, order, actor);
      if (serving !== undefined) return serving;
      const signal = deadline();
      const deployment = await deps.cluster.read(hubDeployment(team), signal);
      if (deployment === undefined) {
        throw new Problem('hub_unavailable', {
          detail:
            'The team’s JupyterHub is not installed, so there is nothing to restart. If the notebook is Ready nevertheless, retryNotebook with force reinstalls it.',
        });
      }
      return operations.open(team, { ...order, profile: null }, actor);
    },
  };
};
