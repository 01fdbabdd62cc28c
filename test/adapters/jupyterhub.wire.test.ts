import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { openHubs } from '../../src/adapters/jupyterhub.ts';
import { eventData, readProgress } from '../../src/adapters/jupyterhub-progress.ts';
import type { HubRefusal, SpawnProgress } from '../../src/ports/hubs.ts';
import { Unavailable } from '../../src/ports/unavailable.ts';
import { named } from '../support/records.ts';

const team = named({ slug: 'team-a', id: 'team-a-1234' });
const other = named({ slug: 'team-b', id: 'team-b-5678' });
const name = 'kari+1@nav.no';
const now = Date.parse('2026-11-24T09:00:00.000Z');
const [newest, older, oldest] = ['n'.repeat(64), 'o'.repeat(64), 'z'.repeat(64)];
const signal = () => AbortSignal.timeout(20_000);

interface Asked {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

interface Answer {
  readonly status: number;
  readonly body?: unknown;
  /** The version header of the answer: the hub’s by default, null for a proxy in front of it. */
  readonly version?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Answers itself, or leaves the response to the handler. */
type Handler = (asked: Asked, response: ServerResponse) => Answer | undefined;

const listening = async (t: TestContext, handler: Handler) => {
  const requests: Asked[] = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request.setEncoding('utf8')) body += chunk;
    const { method = '', url = '', headers } = request;
    const asked = { method, url, headers, body };
    requests.push(asked);
    const answer = handler(asked, response);
    if (answer === undefined) return;
    const version = answer.version === undefined ? '5.5.0' : answer.version;
    response.writeHead(answer.status, {
      date: new Date(now).toUTCString(),
      ...(version !== null && { 'x-jupyterhub-version': version }),
      ...answer.headers,
    });
    response.end(typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body ?? null));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return { url: `http://127.0.0.1:${address.port}`, requests };
};

interface Options {
  readonly tokens?: (id: string) => readonly string[];
  readonly callMs?: number;
  readonly idleTimeoutMs?: number;
}

/** The adapter on a server that plays the hubs, each below a folder of its own. */
const hubsOn = async (t: TestContext, handler: Handler, options: Options = {}) => {
  const { url, requests } = await listening(t, handler);
  const hubs = openHubs({
    urlTemplate: `${url}/{slug}`,
    tokens: () => [newest],
    clock: { now: () => now },
    ...options,
  });
  return { hubs, requests };
};

const said = (status: number, message: string, headers = {}): Answer => ({
  status,
  body: { status, message },
  headers,
});

const server = (fields = {}) => ({
  name: '',
  stopped: false,
  ready: true,
  pending: null,
  started: '2026-11-24T08:00:00.123456Z',
  last_activity: '2026-11-24T08:30:00.654321Z',
  user_options: { profile: 'python-3-13', knada_revision: 4 },
  ...fields,
});
const user = (called: string, fields?: object) => ({
  kind: 'user',
  name: called,
  servers: fields === undefined ? {} : { '': server(fields) },
});
const page = (items: readonly unknown[], total = items.length, next: unknown = null): Answer => ({
  status: 200,
  body: { items, _pagination: { offset: 0, limit: 200, total, next } },
});

/** It is the hub’s fault, and the sentence says which hub, but no token. */
const away = (text?: RegExp) => (error: unknown) => {
  assert.ok(error instanceof Unavailable, String(error));
  assert.equal(error.system, 'hub');
  assert.match(error.message, /team-[ab]/);
  if (text !== undefined) assert.match(error.message, text);
  for (let seen: unknown = error; seen instanceof Error; seen = seen.cause) {
    for (const token of [newest, older, oldest]) assert.ok(!String(seen.stack).includes(token));
  }
  return true;
};

const lines = async (stream: AsyncIterable<SpawnProgress>): Promise<readonly SpawnProgress[]> => {
  const all: SpawnProgress[] = [];
  for await (const line of stream) all.push(line);
  return all;
};

describe('hubs: requests', () => {
  it('reads when a profile was chosen, if the hub stored a revision', async (t) => {
    for (const [stored, expected] of [
      [{ knada_chosen_at: 4 }, 4],
      [{ knada_revision: 4 }, undefined],
      [{ knada_chosen_at: '4' }, undefined],
      [{ knada_chosen_at: 4.5 }, undefined],
    ] as const) {
      const options = { profile: 'python-3-13', ...stored };
      const { hubs } = await hubsOn(t, () => ({
        status: 200,
        body: user('kari', { user_options: options }),
      }));
      const found = (await hubs.user(team, 'kari', signal()))?.server;
      assert.deepEqual([found?.profile, found?.profileChosenAt], ['python-3-13', expected]);
    }
  });

  it('lists active users in one request of two hundred', async (t) => {
    const everyone = Array.from({ length: 200 }, (_, n) => user(`user-${n}@nav.no`, {}));
    const { hubs, requests } = await hubsOn(t, () => page(everyone));
    assert.equal((await hubs.users(team, signal(), { active: true })).length, 200);
    assert.deepEqual(
      requests.map(({ method, url }) => `${method} ${url}`),
      ['GET /team-a/hub/api/users?state=active&offset=0&limit=200'],
    );
    assert.equal(requests[0]?.headers.accept, 'application/jupyterhub-pagination+json');
    assert.equal(requests[0]?.headers.authorization, `token ${newest}`);
  });

  it('asks for the version without a token', async (t) => {
    const { hubs, requests } = await hubsOn(t, () => ({ status: 200, body: { version: '5.5.0' } }));
    assert.equal(await hubs.version(team, signal()), '5.5.0');
    assert.deepEqual(
      requests.map(({ url, headers }) => [url, headers.authorization]),
      [['/team-a/hub/api/', undefined]],
    );
  });

  it('encodes a user name as one path segment', async (t) => {
    const { hubs, requests } = await hubsOn(t, () => said(404, 'Not Found'));
    for (const odd of ['a/b', 'a?b#c', 'å', 'a b'])
      assert.equal(await hubs.user(team, odd, signal()), undefined);
    assert.deepEqual(
      requests.map(({ url }) => decodeURIComponent(url.replace(/.*users\//, '').replace(/\?include_.*/, ''))),
      ['a/b', 'a?b#c', 'å', 'a b'],
    );
    assert.ok(requests.every(({ url }) => url.split('/').length === 6));
    for (const way of ['', '.', '..']) {
      await assert.rejects(hubs.removeUser(team, way, signal()), TypeError);
    }
    assert.equal(requests.length, 4);
  });
});

describe('hubs: users and servers', () => {
  it('reads the hub’s model of a server', async (t) => {
    const { hubs } = await hubsOn(t, () => ({ status: 200, body: user(name, {}) }));
    assert.deepEqual(await hubs.user(team, name, signal()), {
      name,
      server: {
        stopped: false,
        ready: true,
        pending: null,
        startedAt: '2026-11-24T08:00:00.123Z',
        lastActivityAt: '2026-11-24T08:30:00.654Z',
        profile: 'python-3-13',
      },
    });
  });

  const pendings: readonly (readonly [unknown, string | null])[] = [
    ['spawn', 'spawn'],
    ['stop', 'stop'],
    ['check', 'check'],
    ['rename', 'check'],
    ['something of JupyterHub 7', 'check'],
    [null, null],
    [false, null],
  ];
  for (const [theirs, ours] of pendings) {
    it(`maps pending ${String(theirs)} to ${ours}`, async (t) => {
      const { hubs } = await hubsOn(t, () => ({
        status: 200,
        body: user(name, { pending: theirs, ready: false }),
      }));
      assert.equal((await hubs.user(team, name, signal()))?.server?.pending, ours);
    });
  }

  it('has no server for a user who never started one, with or without an entry at the hub', async (t) => {
    const blank = { stopped: true, ready: false, started: null, last_activity: null, user_options: null };
    const { hubs } = await hubsOn(t, () => page([user('a@nav.no'), user('b@nav.no', blank)]));
    const everyone = await hubs.users(team, signal());
    assert.deepEqual(everyone, [
      { name: 'a@nav.no', server: null },
      { name: 'b@nav.no', server: null },
    ]);
  });

  it('pages by offset, never by the URL in the answer', async (t) => {
    const inside = await listening(t, () => page([]));
    const { hubs, requests } = await hubsOn(t, ({ url }) =>
      url.includes('offset=0')
        ? page([user('a@nav.no'), user('b@nav.no')], 3, {
            offset: 2,
            limit: 200,
            url: `${inside.url}/hub/api/users?offset=2`,
          })
        : page([user('b@nav.no'), user('c@nav.no')], 3),
    );
    const names = (await hubs.users(team, signal())).map((one) => one.name);
    assert.deepEqual(names, ['a@nav.no', 'b@nav.no', 'c@nav.no']);
    assert.deepEqual(
      requests.map(({ url }) => url),
      [0, 2].map((offset) => `/team-a/hub/api/users?include_stopped_servers=1&offset=${offset}&limit=200`),
    );
    assert.equal(inside.requests.length, 0);
  });

  it('reads the list again when a user was removed meanwhile, and gives up after three attempts', async (t) => {
    let reads = 0;
    const { hubs, requests } = await hubsOn(t, ({ url }) => {
      if (url.includes('offset=0')) {
        reads += 1;
        return page([user('a@nav.no'), user('b@nav.no')], 4, { offset: 2, limit: 200, url: '/' });
      }
      // At the first read c moved to the first page after it was sent.
      return reads === 1 ? page([user('d@nav.no')], 4) : page([user('c@nav.no'), user('d@nav.no')], 4);
    });
    assert.equal((await hubs.users(team, signal())).length, 4);
    assert.equal(requests.length, 4);
    const restless = await hubsOn(t, ({ url }) =>
      url.includes('offset=0')
        ? page([user('a@nav.no')], 3, { offset: 1, limit: 200, url: '/' })
        : page([], 3),
    );
    await assert.rejects(restless.hubs.users(team, signal()), away(/kept changing its list of users/));
  });

  it('rejects pages that do not advance', async (t) => {
    const { hubs } = await hubsOn(t, () => page([user('a@nav.no')], 9, { offset: 2, limit: 200, url: '/' }));
    await assert.rejects(hubs.users(team, signal()), away(/pages that do not advance/));
  });

  it('does not remove a user whose server would keep running', async (t) => {
    for (const pending of ['check', 'stop', 'spawn']) {
      const { hubs, requests } = await hubsOn(t, ({ method }) =>
        method === 'DELETE' ? { status: 202 } : { status: 200, body: user(name, { pending, ready: false }) },
      );
      assert.equal(await hubs.removeUser(team, name, signal()), 'stopping');
      const deletions = requests.filter(({ method }) => method === 'DELETE').map(({ url }) => url);
      const ofServer = '/team-a/hub/api/users/kari%2B1%40nav.no/server';
      assert.deepEqual(deletions, pending === 'spawn' ? [ofServer] : []);
    }
  });

  it('reports a server as stopping when the hub finds that while removing its user', async (t) => {
    const { hubs } = await hubsOn(t, ({ method }) =>
      method === 'DELETE'
        ? said(400, `${name}'s server is in the process of stopping, please wait.`)
        : { status: 200, body: user(name, {}) },
    );
    assert.equal(await hubs.removeUser(team, name, signal()), 'stopping');
  });
});

describe('hubs: a hub whose clock is off', () => {
  for (const hours of [-1, 1]) {
    it(`has the instants of a hub ${hours} h ahead converted to our clock, and reports activity by the hub’s`, async (t) => {
      const byHub = (at: string): string => new Date(Date.parse(at) + hours * 3_600_000).toISOString();
      const [startedAt, lastActivityAt] = ['2026-11-24T08:00:00.000Z', '2026-11-24T08:59:30.000Z'];
      const model = { started: byHub(startedAt), last_activity: byHub(lastActivityAt) };
      const date = new Date(Date.parse(byHub('2026-11-24T09:00:00.000Z'))).toUTCString();
      const { hubs, requests } = await hubsOn(t, ({ method, url }) => {
        if (method === 'POST') return { status: 204, headers: { date } };
        const answer = url.includes('/users/')
          ? { status: 200, body: user(name, model) }
          : page([user(name, model)]);
        return { ...answer, headers: { date } };
      });
      assert.partialDeepStrictEqual((await hubs.user(team, name, signal()))?.server, {
        startedAt,
        lastActivityAt,
      });
      const [listed] = await hubs.users(team, signal(), { active: true });
      assert.partialDeepStrictEqual(listed?.server, { startedAt, lastActivityAt });
      await hubs.reportActivity(team, name, lastActivityAt, signal());
      assert.equal(JSON.parse(requests.at(-1)?.body ?? '').last_activity, byHub(lastActivityAt));
    });
  }

  it('takes a difference of seconds for the delay of the answer', async (t) => {
    const date = new Date(now + 20_000).toUTCString();
    const { hubs } = await hubsOn(t, () => ({ status: 200, body: user(name, {}), headers: { date } }));
    const found = await hubs.user(team, name, signal());
    assert.equal(found?.server?.startedAt, '2026-11-24T08:00:00.123Z');
  });
});

describe('hubs: redaction', () => {
  it('leaves data alone that contains a token, and decides on what a hub said before it is redacted', async (t) => {
    const token = 'server';
    const { hubs } = await hubsOn(
      t,
      ({ method }) =>
        method === 'POST'
          ? said(400, 'kari’s server is already running')
          : { status: 200, body: user('server@nav.no', { user_options: { profile: 'server-profile' } }) },
      { tokens: () => [token] },
    );
    assert.partialDeepStrictEqual(await hubs.user(team, name, signal()), {
      name: 'server@nav.no',
      server: { profile: 'server-profile' },
    });
    const refusal = await hubs.start(team, name, { profile: 'a', revision: 1, chosenAt: 1 }, signal());
    assert.deepEqual(refusal, { refused: 'already_running', message: 'kari’s … is already running' });
  });
});

describe('hubs: start and stop', () => {
  const revision = { profile: 'python-3-13', revision: 7, chosenAt: 7 };
  const flat = { profile: 'python-3-13', knada_revision: 7, knada_chosen_at: 7 };
  const starts = (requests: readonly Asked[]) =>
    requests.filter(({ method }) => method === 'POST').map(({ body }) => JSON.parse(body));

  it('asks for the version before the first start only', async (t) => {
    const { hubs, requests } = await hubsOn(t, ({ method }) =>
      method === 'POST' ? { status: 202 } : { status: 200, body: { version: '5.5.0' } },
    );
    assert.equal(await hubs.start(team, name, revision, signal()), 'starting');
    assert.equal(await hubs.start(team, name, revision, signal()), 'starting');
    assert.deepEqual(
      requests.map(({ method }) => method),
      ['GET', 'POST', 'POST'],
    );
    assert.deepEqual(starts(requests), [flat, flat]);
  });

  it('notices an upgrade from any answer, per hub', async (t) => {
    let version = '5.5.0';
    const { hubs, requests } = await hubsOn(t, ({ method, url }) => ({
      ...(method === 'POST' ? { status: 201 } : { status: 200, body: user(name, {}) }),
      version: url.startsWith('/team-a') ? version : '5.5.0',
    }));
    await hubs.user(team, name, signal());
    await hubs.user(other, name, signal());
    assert.equal(await hubs.start(team, name, revision, signal()), 'ready');
    version = '6.1.1';
    await hubs.user(team, name, signal());
    await hubs.start(team, name, revision, signal());
    await hubs.start(other, name, revision, signal());
    assert.deepEqual(starts(requests), [flat, { user_options: flat }, flat]);
  });

  it('stops a start that a rolled-back hub misread', async (t) => {
    let version = '6.1.1';
    const statuses: Readonly<Record<string, number>> = { GET: 200, POST: 202, DELETE: 204 };
    const { hubs, requests } = await hubsOn(t, ({ method }) => ({
      status: statuses[method] ?? 405,
      ...(method === 'GET' && { body: user(name) }),
      version,
    }));
    await hubs.user(team, name, signal());
    version = '5.5.0';
    await assert.rejects(hubs.start(team, name, revision, signal()), away(/has changed its version/));
    assert.equal(requests.at(-1)?.method, 'DELETE');
    assert.equal(await hubs.start(team, name, revision, signal()), 'starting');
    assert.deepEqual(starts(requests), [{ user_options: flat }, flat]);
  });

  const refusals: readonly (readonly [Answer, HubRefusal])[] = [
    [
      said(400, 'kari: is already running'),
      { refused: 'already_running', message: 'kari: is already running' },
    ],
    [said(400, 'kari is pending stop'), { refused: 'pending_stop', message: 'kari is pending stop' }],
    [said(400, 'kari is pending spawn'), { refused: 'pending_spawn', message: 'kari is pending spawn' }],
    [said(400, 'kari is pending check'), { refused: 'pending_check', message: 'kari is pending check' }],
    [said(400, 'kari is pending rename'), { refused: 'pending_check', message: 'kari is pending rename' }],
    [said(400, 'No.'), { refused: 'refused', message: 'No.' }],
    [said(404, 'Not Found'), { refused: 'no_such_user', message: 'Not Found' }],
    [
      said(429, 'Too many users trying to log in right now. Try again in 40 seconds.', {
        'retry-after': '37',
      }),
      {
        refused: 'too_many_starts',
        message: 'Too many users trying to log in right now. Try again in 40 seconds.',
        retryAfterSeconds: 37,
      },
    ],
    [
      said(429, 'Active user limit exceeded. Try again in a few minutes.'),
      { refused: 'too_many_servers', message: 'Active user limit exceeded. Try again in a few minutes.' },
    ],
    [
      said(500, 'The team has no such profile.'),
      { refused: 'refused', message: 'The team has no such profile.' },
    ],
  ];
  for (const [answer, refusal] of refusals) {
    it(`hears ${refusal.refused} in ${answer.status}: ${refusal.message}`, async (t) => {
      const { hubs } = await hubsOn(t, ({ method }) =>
        method === 'POST' ? answer : { status: 200, body: { version: '5.5.0' } },
      );
      assert.deepEqual(await hubs.start(team, name, revision, signal()), refusal);
    });
  }

  const unstoppable: readonly (readonly [string | null, unknown])[] = [
    ['check', 'pending_check'],
    ['spawn', 'pending_spawn'],
    ['stop', 'stopping'],
  ];
  for (const [pending, expected] of unstoppable) {
    it(`reads why a hub fails to stop a server: pending ${pending}`, async (t) => {
      const { hubs } = await hubsOn(t, ({ method }) =>
        method === 'DELETE'
          ? said(500, 'Internal Server Error')
          : { status: 200, body: user(name, { pending, ready: false }) },
      );
      const answer = await hubs.stop(team, name, signal());
      assert.equal(typeof answer === 'object' ? answer.refused : answer, expected);
    });
  }

  it('does not report a failed stop as stopped', async (t) => {
    const { hubs } = await hubsOn(t, ({ method }) =>
      method === 'DELETE' ? said(500, 'Internal Server Error') : { status: 200, body: user(name, {}) },
    );
    await assert.rejects(hubs.stop(team, name, signal()), away(/500/));
  });
});

describe('hubs: tokens', () => {
  /** A hub that knows one token, which a test may change. */
  const knowing = async (t: TestContext, token: string, message = 'Missing or invalid credentials.') => {
    const hub = { token };
    const { hubs, requests } = await hubsOn(
      t,
      ({ headers }) =>
        headers.authorization === `token ${hub.token}` ? page([user(name)]) : said(403, message),
      { tokens: () => [newest, older, oldest] },
    );
    const shown = () => requests.splice(0).map(({ headers }) => headers.authorization?.slice(6));
    return { hub, hubs, shown };
  };

  it('tries the newest first, then older ones, and remembers the accepted one', async (t) => {
    const { hub, hubs, shown } = await knowing(t, older);
    await hubs.users(team, signal());
    assert.deepEqual(shown(), [newest, older]);
    await hubs.users(team, signal());
    assert.deepEqual(shown(), [older]);
    hub.token = newest;
    await hubs.users(team, signal());
    assert.deepEqual(shown(), [older, newest]);
    await hubs.users(team, signal());
    assert.deepEqual(shown(), [newest]);
  });

  it('forgets a token that is no longer configured', async (t) => {
    let tokens = [newest, older];
    const { hubs, requests } = await hubsOn(
      t,
      ({ headers }) => (headers.authorization === `token ${older}` ? page([]) : said(403, 'Forbidden')),
      { tokens: () => tokens },
    );
    await hubs.users(team, signal());
    tokens = [newest];
    await assert.rejects(hubs.users(team, signal()), away(/token/));
    assert.equal(requests.at(-1)?.headers.authorization, `token ${newest}`);
  });

  it('reports that no token is accepted without revealing one', async (t) => {
    const { hubs, shown } = await knowing(t, 'somebody else’s');
    await assert.rejects(hubs.users(team, signal()), away(/accepts none of our tokens \(3 tried\)/));
    assert.deepEqual(shown(), [newest, older, oldest]);
  });

  it('does not try older tokens when the hub denies permission', async (t) => {
    const message = 'Action is not authorized with current scopes; requires any of [list:users]';
    const { hubs, shown } = await knowing(t, 'somebody else’s', message);
    await assert.rejects(hubs.users(team, signal()), away(/requires any of \[list:users\]/));
    assert.deepEqual(shown(), [newest]);
  });

  it('does not put an invalid token into an error', async (t) => {
    const { hubs, requests } = await hubsOn(t, () => page([]), { tokens: () => ['se\ncret'] });
    await assert.rejects(hubs.users(team, signal()), (error) => !String(error).includes('cret'));
    assert.equal(requests.length, 0);
  });
});

describe('hubs: unavailable, slow or impersonated', () => {
  const strangers: readonly (readonly [string, Answer])[] = [
    ['an ingress without a hub behind it', { status: 503, version: null, body: 'no healthy upstream' }],
    ['a proxy that knows no such hub', { status: 404, version: null, body: 'default backend - 404' }],
    ['a proxy with a page', { status: 200, version: null, body: '<html>Welcome</html>' }],
    ['a hub that is starting', { status: 503, body: { status: 503, message: 'Service Unavailable' } }],
    ['a page in place of a list', { status: 200, body: '<html>' }],
    ['a list that is none', { status: 200, body: [] }],
    ['people without their servers, for want of a scope', page([{ name }])],
    ['a server that is none', page([{ name, servers: { '': { ready: 'yes' } } }])],
    ['a time that is none', page([user(name, { started: 'yesterday' })])],
  ];
  for (const [who, answer] of strangers) {
    it(`does not know when there is ${who}`, async (t) => {
      const { hubs } = await hubsOn(t, () => answer);
      await assert.rejects(hubs.users(team, signal()), away());
      await assert.rejects(hubs.user(team, name, signal()), away());
      await assert.rejects(
        hubs.start(team, name, { profile: 'p', revision: 1, chosenAt: 1 }, signal()),
        away(),
      );
      await assert.rejects(hubs.stop(team, name, signal()), away());
      await assert.rejects(hubs.isBusy(team, name, signal()), away());
      await assert.rejects(lines(hubs.progress(team, name, signal())), away());
    });
  }

  it('is unavailable when nothing listens', async (t) => {
    const { url } = await listening(t, () => page([]));
    const dead = openHubs({
      urlTemplate: url.replace(/\d+$/, '1'),
      tokens: () => [newest],
      clock: { now: () => now },
    });
    await assert.rejects(dead.users(team, signal()), away(/cannot be reached/));
    await assert.rejects(lines(dead.progress(team, name, signal())), away(/cannot be reached/));
  });

  it('waits no longer than its deadline for headers and body', async (t) => {
    const silent = await hubsOn(t, () => undefined, { callMs: 50 });
    await assert.rejects(silent.hubs.users(team, signal()), away(/in time/));
    await assert.rejects(silent.hubs.stop(team, name, signal()), away(/in time/));
    const slow = await hubsOn(
      t,
      (_, response) => {
        response.writeHead(200, { 'x-jupyterhub-version': '5.5.0' });
        response.write('{"items": [');
        return undefined;
      },
      { callMs: 50 },
    );
    await assert.rejects(slow.hubs.users(team, signal()), away(/in time/));
  });

  it('stops waiting when the caller aborts', async (t) => {
    const { hubs } = await hubsOn(t, () => undefined);
    await assert.rejects(hubs.users(team, AbortSignal.timeout(50)), away(/in time/));
  });

  it('reads no more than its limit', async (t) => {
    const { hubs } = await hubsOn(t, (_, response) => {
      response.writeHead(200, { 'x-jupyterhub-version': '5.5.0' });
      const megabyte = Buffer.alloc(1024 * 1024, ' ');
      const pour = (): void => {
        while (!response.destroyed) if (!response.write(megabyte)) return void response.once('drain', pour);
      };
      pour();
      return undefined;
    });
    await assert.rejects(hubs.users(team, signal()), away(/more than/));
  });

  it('follows no redirect, with or without a token', async (t) => {
    const trap = await listening(t, () => ({ status: 200, body: [] }));
    const elsewhere = { status: 302, headers: { location: trap.url } };
    const { hubs } = await hubsOn(t, () => elsewhere);
    await assert.rejects(hubs.users(team, signal()), away(/answered with a redirect/));
    await assert.rejects(hubs.version(team, signal()), away(/answered with a redirect/));
    const login = await hubsOn(t, ({ method, url }) => {
      if (url.includes('/user/')) return elsewhere;
      return method === 'POST' ? { status: 201, body: { id: 'a7', token: 'minted' } } : { status: 204 };
    });
    await assert.rejects(login.hubs.isBusy(team, name, signal()), away(/answered with a redirect/));
    assert.equal(trap.requests.length, 0);
  });
});

describe('hubs: kernel probe', () => {
  const kernels = (...states: readonly string[]): Answer => ({
    status: 200,
    version: '5.5.0',
    body: states.map((execution_state, n) => ({ id: `k${n}`, execution_state })),
  });
  const probing = async (t: TestContext, probe: Answer | undefined, deletion: Answer = { status: 204 }) =>
    hubsOn(t, ({ method, url }) => {
      if (url.startsWith('/team-a/user/')) return probe;
      return method === 'POST' ? { status: 201, body: { id: 'a7', token: 'minted' } } : deletion;
    });

  it('asks the server itself with a token for it alone and deletes it: three requests', async (t) => {
    const { hubs, requests } = await probing(t, kernels('idle', 'busy'));
    assert.equal(await hubs.isBusy(team, name, signal()), true);
    assert.deepEqual(
      requests.map(({ method, url, headers }) => [method, url, headers.authorization]),
      [
        ['POST', '/team-a/hub/api/users/kari%2B1%40nav.no/tokens', `token ${newest}`],
        // As JupyterHub writes it: the server knows its own address in no other form.
        ['GET', '/team-a/user/kari%2B1@nav.no/api/kernels', 'token minted'],
        ['DELETE', '/team-a/hub/api/users/kari%2B1%40nav.no/tokens/a7', `token ${newest}`],
      ],
    );
    assert.deepEqual(JSON.parse(requests[0]?.body ?? ''), {
      expires_in: 60,
      scopes: [`access:servers!user=${name}`],
      note: 'knada-notebooks: is a kernel busy',
    });
  });

  it('reports not busy while kernels are starting, idle or dead', async (t) => {
    for (const states of [[], ['idle'], ['starting', 'idle', 'dead']]) {
      const { hubs } = await probing(t, kernels(...states));
      assert.equal(await hubs.isBusy(team, name, signal()), false);
    }
  });

  const failures: readonly (readonly [string, Answer | undefined])[] = [
    ['does not run', { status: 424, body: { message: 'JupyterHub server no longer running' } }],
    ['answers nonsense', { status: 200, body: { kernels: 'many' } }],
    ['does not let us in', { status: 403, body: {} }],
    ['hangs', undefined],
  ];
  for (const [what, probe] of failures) {
    it(`does not know, and deletes the token, when the server ${what}`, async (t) => {
      const { hubs, requests } = await probing(t, probe);
      const patience = probe === undefined ? AbortSignal.timeout(300) : signal();
      await assert.rejects(hubs.isBusy(team, name, patience), away());
      assert.deepEqual(
        requests.map(({ method }) => method),
        ['POST', 'GET', 'DELETE'],
      );
    });
  }

  it('returns the result even if the token cannot be deleted', async (t) => {
    const { hubs } = await probing(t, kernels('busy'), said(500, 'Internal Server Error'));
    assert.equal(await hubs.isBusy(team, name, signal()), true);
  });

  it('is unavailable for an unknown user, and sends nothing to a server', async (t) => {
    const { hubs, requests } = await hubsOn(t, () =>
      said(403, `Service ${name} not found or no permissions to generate tokens`),
    );
    await assert.rejects(hubs.isBusy(team, name, signal()), away());
    assert.equal(requests.length, 1);
  });
});

describe('hubs: activity', () => {
  it('is reported for the user and the server', async (t) => {
    const { hubs, requests } = await hubsOn(t, () => ({ status: 200, body: '' }));
    const at = '2026-11-24T09:30:00.000Z';
    await hubs.reportActivity(team, name, at, signal());
    assert.equal(requests[0]?.url, '/team-a/hub/api/users/kari%2B1%40nav.no/activity');
    assert.deepEqual(JSON.parse(requests[0]?.body ?? ''), {
      last_activity: at,
      servers: { '': { last_activity: at } },
    });
  });

  it('is not reported without a user or server', async (t) => {
    for (const answer of [said(404, 'No such user'), said(400, `No such server '' for user ${name}`)]) {
      const { hubs } = await hubsOn(t, () => answer);
      await hubs.reportActivity(team, name, '2026-11-24T09:30:00.000Z', signal());
    }
  });
});

describe('hubs: progress of a start', () => {
  const streaming =
    (...chunks: readonly (string | Buffer)[]): Handler =>
    (_, response) => {
      response.writeHead(200, { 'x-jupyterhub-version': '5.5.0', 'content-type': 'text/event-stream' });
      for (const chunk of chunks) response.write(chunk);
      return undefined;
    };
  const ready =
    'data: {"progress": 100, "ready": true, "message": "Server ready", "html_message": "<a>"}\n\n';
  const follow = async (t: TestContext, handler: Handler, options: Options = {}) =>
    (await hubsOn(t, handler, options)).hubs.progress(team, name, signal());

  it('yields every event without its HTML and ends with the outcome while the stream is open', async (t) => {
    const stream = await follow(
      t,
      streaming(
        '\n\n',
        'data: {"progress": 0, "message": "Server requested"}\n\n',
        'data: {"message": "Pulling image", "html_message": "<b>Pulling</b>", "raw_event": {"type": "Normal"}}\n\n\n\n',
        'data: {"progress": 250, "message": "Far"}\n\n',
        'data: {"progress": -1}\n\n',
        ready,
        'data: {"progress": 5, "message": "after the end"}\n\n',
      ),
    );
    assert.deepEqual(await lines(stream), [
      { progress: 0, message: 'Server requested' },
      { progress: 0, message: 'Pulling image' },
      { progress: 100, message: 'Far' },
      { progress: 0, message: '' },
      { progress: 100, message: 'Server ready', outcome: 'ready' },
    ]);
  });

  it('reads the same from any chunking', async () => {
    const events = [
      { progress: 10, message: 'Ærlig øl på fjellet 🏔' },
      { progress: 20, message: 'x' },
    ];
    const text = `\r\n\r\n: comment\r\n${events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('\n\n')}data:{"progress":100,\rdata:"failed":true}\r\r\n`;
    const bytes = Buffer.from(text);
    const cuts = fc.array(fc.nat(bytes.length), { maxLength: 12 }).map((at) => at.toSorted((a, b) => a - b));
    await fc.assert(
      fc.asyncProperty(cuts, async (places) => {
        const ends = [...places, bytes.length];
        const pieces = async function* () {
          for (const [n, end] of ends.entries()) yield bytes.subarray(ends[n - 1] ?? 0, end);
        };
        const found: SpawnProgress[] = [];
        for await (const data of eventData(pieces())) found.push(readProgress(data, 0));
        assert.deepEqual(found, [...events, { progress: 100, message: '', outcome: 'failed' }]);
      }),
    );
  });

  it('ends at once when nothing is starting or the user is unknown', async (t) => {
    for (const answer of [said(400, 'kari is not starting...'), said(404, 'Not Found')]) {
      assert.deepEqual(await lines(await follow(t, () => answer)), []);
    }
  });

  it('reports a stream that ends early as unavailable', async (t) => {
    const whole = await follow(t, (asked, response) => {
      streaming('data: {"progress": 50, "message": "half"}\n\n')(asked, response);
      response.end();
      return undefined;
    });
    await assert.rejects(lines(whole), away(/closed the progress stream of a start early/));
    const torn = await follow(t, (asked, response) => {
      streaming('data: {"progress": 50')(asked, response);
      response.socket?.resetAndDestroy();
      return undefined;
    });
    await assert.rejects(lines(torn), away());
  });

  it('times out on an idle hub, not on a slow consumer', async (t) => {
    const silent = await follow(t, streaming('data: {"progress": 50, "message": "half"}\n\n'), {
      idleTimeoutMs: 50,
    });
    await assert.rejects(lines(silent), away(/no progress within the idle timeout/));
    const hanging = await follow(t, () => undefined, { callMs: 50 });
    await assert.rejects(lines(hanging), away(/no progress within the idle timeout/));
    const heard = await follow(t, streaming('data: {"progress": 1}\n\n', ready), { idleTimeoutMs: 200 });
    const seen: SpawnProgress[] = [];
    for await (const line of heard) {
      seen.push(line);
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    assert.equal(seen.at(-1)?.outcome, 'ready');
  });

  it('ends quietly when the caller stops', async (t) => {
    const { hubs } = await hubsOn(t, streaming('data: {"progress": 50, "message": "half"}\n\n'));
    const caller = new AbortController();
    const seen: SpawnProgress[] = [];
    for await (const line of hubs.progress(team, name, caller.signal)) {
      seen.push(line);
      caller.abort();
    }
    assert.equal(seen.length, 1);
  });

  it('rejects an invalid progress stream', async (t) => {
    for (const data of ['data: <html>\n\n', 'data: 7\n\n', `data: "${'x'.repeat(2 * 1024 * 1024)}`]) {
      await assert.rejects(lines(await follow(t, streaming(data))), away(/invalid progress stream/));
    }
  });
});
