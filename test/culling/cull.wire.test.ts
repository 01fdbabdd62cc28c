import assert from 'node:assert/strict';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { openHubs } from '../../src/adapters/jupyterhub.ts';
import { openSqliteStore } from '../../src/adapters/sqlite.ts';
import { cull } from '../../src/culling/cull.ts';
import { aMoment, aNaming, aNotebook, anEvent, anOrderedRecord, aSpec } from '../support/records.ts';

const hour = 3_600_000;
const now = Date.parse(aMoment);
const at = (ms: number): string => new Date(now + ms).toISOString();

/** What of JupyterHub a pass needs: per team one server in use and two idle ones, of which one computes. */
const servers = {
  'in-use@nav.no': { last_activity: at(-60_000), kernel: 'idle' },
  'idle@nav.no': { last_activity: at(-2 * hour), kernel: 'idle' },
  'computing@nav.no': { last_activity: at(-2 * hour), kernel: 'busy' },
};
const users = Object.entries(servers).map(([name, { last_activity }]) => ({
  name,
  servers: {
    '': {
      name: '',
      stopped: false,
      ready: true,
      pending: null,
      started: at(-4 * hour),
      last_activity,
      user_options: {},
    },
  },
}));

const isKnown = (name: string): name is keyof typeof servers => Object.hasOwn(servers, name);

const answer = ({ method = '', url = '' }: IncomingMessage): readonly [status: number, body?: unknown] => {
  const path = decodeURIComponent(url.replace(/\?.*/, '').replace(/^\/team-\d+/, ''));
  const user = /[a-z-]+@nav\.no/.exec(path)?.[0] ?? '';
  switch (`${method} ${path.replace(user || /$^/, '<user>')}`) {
    case 'GET /hub/api/users':
      return [200, { items: users, _pagination: { total: users.length, next: null, offset: 0, limit: 200 } }];
    case 'POST /hub/api/users/<user>/tokens':
      return [201, { id: 'a1', token: 'minted-for-a-minute' }];
    case 'GET /user/<user>/api/kernels':
      return [200, isKnown(user) ? [{ id: 'k1', execution_state: servers[user].kernel }] : []];
    case 'DELETE /hub/api/users/<user>/tokens/a1':
    case 'DELETE /hub/api/users/<user>/server':
      return [204];
    default:
      return [404, { status: 404, message: 'Not Found' }];
  }
};

/** One process that is the hubs of all teams, below a folder each. */
const startHubs = async (t: TestContext) => {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    const [status, body] = answer(request);
    requests.push(`${request.method} ${request.url?.replace(/\?.*/, '')} ${status}`);
    response.writeHead(status, {
      date: new Date(now).toUTCString(),
      'content-type': 'application/json',
      'x-jupyterhub-version': '5.5.0',
    });
    response.end(body === undefined ? undefined : JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  // A server that listens on a port has an address of this form.
  const { port } = server.address() as AddressInfo;
  return { requests, urlTemplate: `http://127.0.0.1:${port}/{slug}` };
};

describe('a culling run, on the wire', () => {
  it('costs a list per due hub, three requests per idle server and one per stop', async (t) => {
    const { requests, urlTemplate } = await startHubs(t);
    const store = openSqliteStore({ file: ':memory:', naming: aNaming });
    t.after(() => store.close());
    const culling = { timeoutSeconds: 3600, maxAgeSeconds: 604_800, keepBusyKernels: true };
    for (let n = 0; n < 1000; n += 1) {
      const dueAt = n % 100 === 7 ? aMoment : at(60_000);
      const notebook = aNotebook({ spec: aSpec({ culling }) });
      await store.create(
        anOrderedRecord({ slug: `team-${n}`, notebook, culling: { dueAt, servers: {} } }),
        anEvent(),
      );
    }
    const note = () => {};
    const clock = { now: () => now };
    const report = await cull({
      store,
      hubs: openHubs({ urlTemplate, tokens: () => ['our-service-token'], clock }),
      clock,
      log: { info: note, warn: note, error: note },
    });
    assert.deepEqual(report, { hubsAsked: 10, stopped: 10, postponed: 10, failed: 0 });

    const [candidates, stops] = [20, 10];
    const lists = requests.filter((request) => /^GET \S+\/hub\/api\/users 200$/.test(request));
    assert.ok(lists.length <= 12, `${lists.length} lists`);
    assert.ok(requests.length - lists.length <= 3 * candidates + stops, requests.join('\n'));
    assert.equal(requests.filter((request) => /^DELETE \S+\/server 204$/.test(request)).length, stops);
    assert.deepEqual(
      requests.filter((request) => request.includes('in-use')),
      [],
    );
    assert.deepEqual(
      requests.filter((request) => request.endsWith(' 404')),
      [],
    );
    const teams = new Set(requests.map((request) => /team-\d+/.exec(request)?.[0]));
    assert.equal(teams.size, 10);
  });
});
