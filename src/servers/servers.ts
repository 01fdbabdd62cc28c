import { isoOf } from '../lib/time.ts';
import type { OperationRecord } from '../model/operation.ts';
import { Problem } from '../model/problems.ts';
import type { TeamRecord } from '../model/record.ts';
import type { Server } from '../model/server.ts';
import { profilesConfigMapName } from '../notebooks/profiles.ts';
import { assertNotebookStays } from '../notebooks/rules.ts';
import type { Manifest } from '../ports/cluster.ts';
import type { HubServer, SpawnProgress } from '../ports/hubs.ts';
import type { Actor } from '../teams/rules.ts';
import type { OperationDeps } from './advance.ts';
import { asForced, hubDeployment, lookAtServer, lookAtServers } from './observe.ts';
import { type OperationOptions, type Operations, operationsWith } from './operations.ts';
import { offeredIn } from './profiles.ts';
import {
  chosenProfile,
  extended,
  extensionOf,
  isStopped,
  type OfferedProfile,
  type ServerView,
  serverView,
  stateOf,
} from './rules.ts';

/** What was asked for is under way, or was so already. */
export type Outcome = { readonly operation: OperationRecord } | { readonly server: Server };

/** A team’s notebook servers, as its routes speak of them. Throws Problems; whose server it is they have checked. */
export interface Servers extends Pick<Operations, 'watched' | 'tick'> {
  readonly list: (team: TeamRecord) => Promise<readonly Server[]>;
  readonly start: (
    team: TeamRecord,
    user: string,
    profile: string | undefined,
    act: Actor,
  ) => Promise<Outcome>;
  readonly stop: (team: TeamRecord, user: string, force: boolean, act: Actor) => Promise<Outcome>;
  readonly restart: (team: TeamRecord, user: string, force: boolean, act: Actor) => Promise<OperationRecord>;
  readonly extend: (team: TeamRecord, user: string, until: string, act: Actor) => Promise<Server>;
  readonly restartHub: (team: TeamRecord, act: Actor) => Promise<OperationRecord>;
  /** What the hub tells of a start, for as long as it does. */
  readonly progress: (team: TeamRecord, user: string, signal: AbortSignal) => AsyncIterable<SpawnProgress>;
}

interface Options extends OperationOptions {
  readonly hubUrlTemplate: string;
  /** Every object of the team as it is to be applied. */
  readonly render: (team: TeamRecord) => Promise<readonly Manifest[]>;
}

const lookMs = 5_000;

const hubAway = (advice: string) =>
  new Problem('hub_unavailable', { detail: `The team’s JupyterHub does not answer. ${advice}` });

const hubRestarting = () => new Problem('hub_restarting');

const tryLater = 'Try again shortly; if it stays so, restart the hub.';
const restartFirst = 'Restart the hub first, or stop with force.';
const stopByForce = 'Stop with force to delete the pod all the same, or restart the hub.';

export const serversWith = (
  deps: OperationDeps,
  { hubUrlTemplate, render, ...options }: Options,
): Servers => {
  const { store, clock, hubs } = deps;
  const operations = operationsWith(deps, options);
  const deadline = () => AbortSignal.timeout(lookMs);

  const offeredTo = async (team: TeamRecord): Promise<readonly OfferedProfile[]> =>
    offeredIn((await render(team)).find(({ metadata }) => metadata.name === profilesConfigMapName));

  const viewOf = async (team: TeamRecord, user: string, view: ServerView): Promise<Server> => {
    const open = await store.openOperations(team.slug);
    return serverView(team, user, view, {
      offered: await offeredTo(team),
      hubUrlTemplate,
      operation: open.find((operation) => operation.user === user),
      lookedAt: isoOf(clock.now()),
    });
  };

  /** The server as the hub knows it. Throws Problem when the hub is away, or does not know yet. */
  const known = async (team: TeamRecord, { hub }: ServerView, advice: string): Promise<HubServer | null> => {
    if (hub.answered && hub.server?.pending !== 'check') return hub.server;
    if (hub.answered) throw hubRestarting();
    // Whoever is told to restart a hub that is being restarted does it again.
    const open = await store.openOperations(team.slug);
    throw open.some(({ kind }) => kind === 'restart_hub') ? hubRestarting() : hubAway(advice);
  };

  return {
    watched: operations.watched,
    tick: operations.tick,
    progress: (team, user, signal) => hubs.progress(team, user, signal),

    async list(team) {
      const [open, offered, at] = await Promise.all([
        store.openOperations(team.slug),
        offeredTo(team),
        lookAtServers(deps, team, deadline()),
      ]);
      const lookedAt = isoOf(clock.now());
      const users = team.members.map(({ username }) => username).toSorted();
      return users.map((user) => {
        const view = at(user);
        // Neither has answered: there is nothing to show that would not be a guess.
        if (!view.hub.answered && !view.pods.answered) throw hubAway(tryLater);
        const operation = open.find((one) => one.user === user);
        return serverView(team, user, view, { offered, hubUrlTemplate, operation, lookedAt });
      });
    },

    async start(team, user, profile, act) {
      assertNotebookStays(team);
      const wish = { kind: 'start', user, force: false } as const;
      const offered = await offeredTo(team);
      // A wish that cannot be granted is refused, whatever is under way.
      chosenProfile(offered, profile, null);
      const present = await operations.standing(team, wish, act);
      if (present !== undefined) return { operation: present };
      const view = await lookAtServer(deps, team, user, deadline());
      const server = await known(team, view, tryLater);
      if (server?.pending === 'stop') {
        throw new Problem('server_busy', {
          detail: `The server of ${user} is stopping; start it once it has.`,
        });
      }
      if (stateOf(view) === 'running') return { server: await viewOf(team, user, view) };
      const chosen = chosenProfile(offered, profile, server?.profile ?? null);
      return { operation: await operations.open(team, { ...wish, profile: chosen }, act) };
    },

    async stop(team, user, force, act) {
      assertNotebookStays(team);
      const wish = { kind: 'stop', user, force } as const;
      const present = await operations.standing(team, wish, act);
      if (present !== undefined) return { operation: present };
      const view = await lookAtServer(force ? asForced(deps) : deps, team, user, deadline());
      if (!force) await known(team, view, stopByForce);
      if (!view.hub.answered && !view.pods.answered) throw hubAway(tryLater);
      if (stateOf(view) === 'stopped') return { server: await viewOf(team, user, view) };
      return { operation: await operations.open(team, { ...wish, profile: null }, act) };
    },

    async restart(team, user, force, act) {
      assertNotebookStays(team);
      const wish = { kind: 'restart', user, force } as const;
      const offered = await offeredTo(team);
      // There must be something to start before anything is stopped.
      chosenProfile(offered, undefined, null);
      const present = await operations.standing(team, wish, act);
      if (present !== undefined) return present;
      const view = await lookAtServer(deps, team, user, deadline());
      const isChecked = force && view.hub.answered;
      const server = isChecked ? view.hub.server : await known(team, view, restartFirst);
      const profile = chosenProfile(offered, undefined, server?.profile ?? null);
      return operations.open(team, { ...wish, profile }, act);
    },

    async extend(team, user, until, act) {
      assertNotebookStays(team);
      const instant = extensionOf(until, clock.now());
      const view = await lookAtServer(deps, team, user, deadline());
      const server = await known(team, view, tryLater);
      if (isStopped(server) || stateOf(view) !== 'running') throw new Problem('server_not_running');
      const changed = await store.change(team.slug, (current) => extended(current, user, instant, act));
      return viewOf(changed ?? team, user, view);
    },

    async restartHub(team, act) {
      assertNotebookStays(team);
      const wish = { kind: 'restart_hub', user: null, force: false } as const;
      const present = await operations.standing(team, wish, act);
      if (present !== undefined) return present;
      const signal = deadline();
      const deployment = await deps.cluster.read(hubDeployment(team), signal);
      if (deployment === undefined) {
        throw new Problem('hub_unavailable', {
          detail:
            'The team’s JupyterHub is not installed, so that there is nothing to restart. If the notebook is Ready all the same, retryNotebook with force installs it again.',
        });
      }
      return operations.open(team, { ...wish, profile: null }, act);
    },
  };
};
