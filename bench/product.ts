import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startIssuer } from '@knada/simulators/issuer/server.ts';
import { freePort } from '@knada/simulators/real/free-port.ts';
import { audience } from '../local/conventions.ts';
import { environmentOf } from '../local/environment.ts';
import type { RouteDeps } from '../src/api/app.ts';
import { assemble } from '../src/assemble.ts';
import { loadConfig } from '../src/config.ts';
import type { HistoryEvent } from '../src/model/history.ts';
import { complete } from '../src/model/notebook-fields.ts';
import type { TeamRecord } from '../src/model/record.ts';
import { notebookView, orderNotebook } from '../src/notebooks/rules.ts';
import { openOutside } from '../src/open.ts';
import { newTeam } from '../src/teams/rules.ts';
import { aNaming } from '../test/support/records.ts';

const kari = 'kari.nordmann@nav.no';
export const silent = { info: () => {}, warn: () => {}, error: () => {} };
/** No reconcile is due before this instant. */
export const farAway = '2099-01-01T00:00:00.000Z';
/** An instant in the past: a reconcile is due. */
export const overdue = '2020-01-01T00:00:00.000Z';
const act = { by: kari, now: '2026-11-23T09:00:00.000Z' };

const conditions = ['SecretReady', 'Applied', 'HubReady', 'MembersSynced'] as const;

/**
 * A team whose notebook is Ready, whose secret exists, whose members are the hub’s users, and that is not due for a
 * long time. `hosts`: its allowlist; empty means that it has not opted in.
 */
export const readyTeam = (
  slug: string,
  { limits, newRelease }: Pick<RouteDeps, 'limits' | 'newRelease'>,
  hosts: readonly string[] = ['pypi.org', 'files.pythonhosted.org'],
): TeamRecord => {
  const team = newTeam({ slug, members: [] }, `${slug}-3f9c`, act, aNaming);
  const allowlist = { enabled: hosts.length > 0, hosts: [...hosts] };
  const spec = complete({ allowlist }, limits);
  const ordered = orderNotebook(
    team,
    { spec, image: null, release: newRelease(team) },
    act,
    'notebook_ordered',
  );
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
      // On the product’s clock: after half an hour it would ask Google again.
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
  // Nothing listens there; the requests that are measured do not use the cluster.
  CLUSTER: 'http://127.0.0.1:1',
});

/** What an API needs: an issuer, a store with one Ready notebook, and the request for it with the expected response. */
export const prepare = async () => {
  const folder = await mkdtemp(join(tmpdir(), 'knada-bench-'));
  const issuer = await startIssuer({ port: await freePort(), audience });
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
    body: JSON.stringify(notebookView(team)),
    async close() {
      await issuer.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
};
