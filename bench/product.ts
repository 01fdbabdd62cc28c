import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startIssuer } from '@knada/simulators/issuer/server.ts';
import { environmentOf } from '../local/environment.ts';
import type { RouteDeps } from '../src/api/app.ts';
import { assemble } from '../src/assemble.ts';
import { loadConfig } from '../src/config.ts';
import type { HistoryEvent } from '../src/model/history.ts';
import type { TeamRecord } from '../src/model/record.ts';
import { notebookView, order } from '../src/notebooks/rules.ts';
import { complete } from '../src/notebooks/spec.ts';
import { openOutside } from '../src/open.ts';
import { newTeam } from '../src/teams/rules.ts';
import { freePort } from './process.ts';

const kari = 'kari.nordmann@nav.no';
export const silent = { info: () => {}, warn: () => {}, error: () => {} };
/** Nobody looks before. */
export const farAway = '2099-01-01T00:00:00.000Z';
/** Somebody should have looked by now. */
export const overdue = '2020-01-01T00:00:00.000Z';
const act = { by: kari, now: '2026-11-23T09:00:00.000Z' };

const conditions = ['SecretReady', 'Applied', 'HubReady', 'MembersSynced'] as const;

/**
 * A team whose notebook is Ready, whose secret is in place, whose members are the hub’s users, and that nobody needs
 * to look at before long. `hosts`: its allowlist; none: it has not opted in.
 */
export const readyTeam = (
  slug: string,
  { limits, newRelease }: Pick<RouteDeps, 'limits' | 'newRelease'>,
  hosts: readonly string[] = ['pypi.org', 'files.pythonhosted.org'],
): TeamRecord => {
  const team = newTeam({ slug, members: [] }, `${slug}-3f9c`, act);
  const allowlist = { enabled: hosts.length > 0, hosts: [...hosts] };
  const spec = complete({ allowlist }, limits);
  const ordered = order(team, { spec, image: null, release: newRelease(team) }, act, 'notebook_ordered');
  if (ordered === undefined) throw new TypeError('The order changed nothing');
  const { next } = ordered;
  return {
    ...next,
    status: {
      phase: 'Ready',
      conditions: conditions.map((type) => ({
        type,
        status: 'True',
        reason: 'AsOrdered',
        message: 'Everything ordered is in the cluster.',
        lastTransitionTime: act.now,
      })),
      appliedGeneration: next.generation,
      appliedRevision: next.notebookRevision,
      wasReady: true,
      hubUsers: next.members.map(({ email }) => email),
      // By the clock that the product runs by: half an hour later it would ask Google again.
      provisioned: { generation: next.generation, at: new Date().toISOString() },
    },
    culling: { dueAt: farAway, servers: {} },
    reconcile: { dueAt: farAway, failures: 0 },
  };
};

export const created: HistoryEvent = {
  at: act.now,
  by: kari,
  action: 'team_created',
  revision: null,
  changes: [],
};

export const environmentAt = (storeFile: string, issuer: string): Record<string, string> => ({
  ...environmentOf({
    port: 8080,
    storeFile,
    hubMasterKeys: `bench:${'5ec0'.repeat(16)}`,
    issuer,
    kubeconfig: false,
    given: {},
  }),
  // Nobody listens there, and nothing that is measured over HTTP asks.
  CLUSTER: 'http://127.0.0.1:1',
});

/** An API’s surroundings: an issuer, a store with one Ready notebook, the way to ask for it and what is answered. */
export const prepare = async () => {
  const folder = await mkdtemp(join(tmpdir(), 'knada-bench-'));
  const issuer = await startIssuer({ port: await freePort() });
  const environment = environmentAt(join(folder, 'store.sqlite'), issuer.url);
  const config = loadConfig(environment);
  const outside = await openOutside(config, silent);
  const { deps } = assemble(config, outside);
  const team = readyTeam('team-a', deps);
  await outside.store.create(team, created);
  await outside.close();
  return {
    folder,
    environment,
    path: '/v1/teams/team-a/notebook',
    headers: { authorization: `Bearer ${await issuer.token({ email: kari })}` },
    body: JSON.stringify(notebookView(team, 'http://localhost:8082/team-a')),
    async close() {
      await issuer.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
};
