import { randomBytes } from 'node:crypto';
import type { Outside } from '../ports/outside.ts';
import type { Reconcile } from '../reconcile/reconcile.ts';
import type { EgressAccess } from '../servers/calls.ts';
import { type Servers, serversWith } from '../servers/servers.ts';
import { isRestricted } from '../teams/lifecycle.ts';
import type { Notebooks } from './notebooks.ts';
import type { Timers } from './timers.ts';

/** Egress as a start needs it: announced before the pod exists, confirmed before it is started. */
const accessBy = (reconcile: Reconcile): EgressAccess => ({
  async prepare(slug, signal) {
    await reconcile(slug, signal, { announced: true });
  },
  async isEffective(slug, signal) {
    const team = await reconcile(slug, signal);
    if (team === undefined || !isRestricted(team)) return true;
    return team.status.conditions.some(({ type, status }) => type === 'Applied' && status === 'True');
  },
});

export const wireServers = (
  { store, hubs, cluster, clock, log }: Outside,
  {
    notebooks,
    reconcile,
    timers,
  }: {
    readonly notebooks: Notebooks;
    readonly reconcile: Reconcile;
    readonly timers: Timers;
  },
): Servers =>
  serversWith(
    { store, hubs, cluster, clock, access: accessBy(reconcile), log },
    {
      environments: notebooks.environments,
      newId: () => `op-${randomBytes(8).toString('hex')}`,
      ...timers,
    },
  );
