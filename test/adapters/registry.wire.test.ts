import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { describe, it, type TestContext } from 'node:test';
import { buildImage } from '@knada/simulators/registries/image.ts';
import { type Registries as Simulator, startRegistries } from '@knada/simulators/registries/server.ts';
import { registryContent } from '../../local/conventions.ts';
import { openRegistries, type RegistriesOptions } from '../../src/adapters/oci-registry.ts';
import { endpointFaults } from '../../src/adapters/oci-registry-endpoints.ts';
import { retryAfterMs } from '../../src/adapters/oci-registry-wait.ts';
import { found } from '../contracts/registry.ts';

const gar = 'europe-north1-docker.pkg.dev';
const team = { host: 'ghcr.io', path: 'navikt/team-notebook' };
const tagged = { ...team, tag: '20261115-090000-5d6e7f8' };
const garImage = { host: gar, path: 'nais-management-233d/team-a/notebook', tag: '2026.11.15-09.00-5d6e7f8' };
const signal = () => AbortSignal.timeout(20_000);

/** The adapter on a simulator of its own, with a clock that the test moves and waits that take no time. */
const opened = async (t: TestContext, options: Partial<RegistriesOptions> = {}) => {
  const simulator = await startRegistries(registryContent);
  t.after(() => simulator.close());
  const time = { now: Date.parse('2026-11-23T09:00:00.000Z') };
  const waits: number[] = [];
  const origins = {
    'ghcr.io': simulator.url,
    [gar]: simulator.url,
    'artifactregistry.googleapis.com': simulator.url,
  };
  const registries = openRegistries({
    garRegion: 'europe-north1',
    garProject: 'nais-management-233d',
    origins,
    clock: { now: () => time.now },
    random: () => 0,
    wait: async (ms) => {
      waits.push(ms);
      time.now += ms;
    },
    ...options,
  });
  return { simulator, registries, time, waits };
};

/** How many requests the work took. */
const counted = async (simulator: Simulator, work: () => Promise<unknown>): Promise<number> => {
  const before = simulator.requests.length;
  await work();
  return simulator.requests.length - before;
};

/** A server that must not get a connection. */
const trap = async (t: TestContext) => {
  const server = createServer((_request, response) => response.end('{}'));
  let connections = 0;
  server.on('connection', () => {
    connections += 1;
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return { url: `http://127.0.0.1:${address.port}`, connections: () => connections };
};

describe('registries: the requests of a call', () => {
  it('asks GHCR twice for the first digest of a repository, once for the next', async (t) => {
    const { simulator, registries } = await opened(t);
    const ask = () => registries.digest(tagged, signal(), { fresh: true });
    assert.equal(await counted(simulator, ask), 2);
    assert.equal(await counted(simulator, ask), 1);
  });

  it('asks Artifact Registry once', async (t) => {
    const { simulator, registries } = await opened(t);
    assert.equal(await counted(simulator, async () => found(await registries.digest(garImage, signal()))), 1);
  });

  it('caches the digest of a tag for five minutes, unless fresh is set', async (t) => {
    const { simulator, registries, time } = await opened(t);
    const first = found(await registries.digest(tagged, signal()));
    const moved = simulator.digest(team.path, '20261101-090000-1a2b3c4');
    simulator.moveTag(team.path, tagged.tag, moved);
    time.now += 299_000;
    assert.equal(found(await registries.digest(tagged, signal())), first);
    assert.equal(found(await registries.digest(tagged, signal(), { fresh: true })), moved);
    simulator.moveTag(team.path, tagged.tag, first);
    time.now += 301_000;
    assert.equal(found(await registries.digest(tagged, signal())), first);
  });

  it('caches an absent tag for half a minute, and the content of a digest permanently', async (t) => {
    const { simulator, registries, time } = await opened(t);
    const missing = { ...team, tag: 'not-yet' };
    await registries.digest(missing, signal());
    assert.equal(await counted(simulator, () => registries.digest(missing, signal())), 0);
    simulator.moveTag(team.path, 'not-yet', simulator.digest(team.path, tagged.tag));
    time.now += 31_000;
    const digest = found(await registries.digest(missing, signal()));

    const details = found(await registries.inspect({ ...team, digest }, signal()));
    time.now += 365 * 24 * 3600 * 1000;
    assert.equal(await counted(simulator, () => registries.inspect({ ...team, digest }, signal())), 0);
    assert.equal(details.amd64?.createdAt, '2026-11-15T09:00:00.000Z');
  });

  it('serves a stale list of tags for ten minutes when it cannot be refreshed, then answers unknown', async (t) => {
    const { simulator, registries, time } = await opened(t);
    const list = found(await registries.tags(team, signal()));
    assert.equal(await counted(simulator, () => registries.tags(team, signal())), 0);
    simulator.fault(/tags\/list/, { status: 500 });
    time.now += 9 * 60_000;
    assert.deepEqual(found(await registries.tags(team, signal())), list);
    time.now += 60_000;
    assert.equal((await registries.tags(team, signal())).answer, 'unknown');
  });

  it('sends at most ten requests per second to a host and queues the others', async (t) => {
    const { registries, waits } = await opened(t);
    const ask = (n: number) => registries.digest({ ...garImage, tag: `t${n}` }, signal());
    // Each is absent, which takes a second request to believe.
    await Promise.all(Array.from({ length: 10 }, (_, n) => ask(n)));
    assert.deepEqual(waits, Array(10).fill(100));
  });

  it('leaves the Google client alone until a list of Artifact Registry is asked for', async () => {
    const { execFile } = await import('node:child_process');
    const { promisify } = await import('node:util');
    const script = `
      import { createRequire } from 'node:module';
      import { openRegistries } from './src/adapters/oci-registry.ts';
      import { startRegistries } from '@knada/simulators/registries/server.ts';
      import { registryContent } from './local/conventions.ts';
      const simulator = await startRegistries(registryContent);
      const origins = Object.fromEntries(['ghcr.io', '${gar}', 'artifactregistry.googleapis.com'].map((host) => [host, simulator.url]));
      const registries = openRegistries({ garRegion: 'europe-north1', garProject: 'nais-management-233d', origins, clock: { now: Date.now } });
      const loaded = () => Object.keys(createRequire(process.cwd() + '/').cache).some((file) => file.includes('@google-cloud/artifact-registry'));
      const signal = AbortSignal.timeout(20000);
      const answers = [loaded()];
      await registries.digest(${JSON.stringify(tagged)}, signal);
      await registries.digest(${JSON.stringify(garImage)}, signal);
      await registries.tags(${JSON.stringify(team)}, signal);
      answers.push(loaded());
      await registries.garImages('team-a', signal);
      answers.push(loaded());
      console.log(JSON.stringify(answers));
      await simulator.close();
    `;
    const cwd = new URL('../..', import.meta.url);
    const run = promisify(execFile);
    const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', script], { cwd });
    assert.deepEqual(JSON.parse(stdout), [false, false, true]);
  });
});

describe('registries: lists', () => {
  it('reads all of 1,100 tags, old to new', async (t) => {
    const { simulator, registries } = await opened(t);
    const before = simulator.requests.length;
    const list = found(await registries.tags({ host: 'ghcr.io', path: 'navikt/many-tags' }, signal()));
    assert.equal(simulator.requests.length - before, 3);
    assert.equal(list.partial, false);
    assert.equal(list.tags.length, 1100);
    assert.deepEqual(list.tags.at(-1), { tag: 'build-1100', index: 1099 });
  });

  it('stops after twenty pages and marks the list as partial', async (t) => {
    const { registries } = await opened(t, { pageSize: 50 });
    const list = found(await registries.tags({ host: 'ghcr.io', path: 'navikt/many-tags' }, signal()));
    assert.deepEqual([list.partial, list.tags.length], [true, 1000]);
  });

  it('marks a list as partial when a later page fails', async (t) => {
    const { simulator, registries } = await opened(t);
    simulator.fault(/tags\/list\?.*last=/, { status: 500 });
    const list = found(await registries.tags({ host: 'ghcr.io', path: 'navikt/many-tags' }, signal()));
    assert.deepEqual([list.partial, list.tags.length], [true, 1000]);
  });

  it('lists the images of a team in Artifact Registry, those with a slash in their name too', async (t) => {
    const { registries } = await opened(t);
    assert.deepEqual(found(await registries.garImages('team-a', signal())), [
      { host: gar, path: 'nais-management-233d/team-a/models/train', updatedAt: '2026-11-10T12:30:00.000Z' },
      { host: gar, path: 'nais-management-233d/team-a/notebook', updatedAt: '2026-11-15T09:00:00.000Z' },
    ]);
  });

  it('lists tags of Artifact Registry with their digests and push times, old to new, over pages', async (t) => {
    const { simulator, registries } = await opened(t);
    const path = 'nais-management-233d/team-a/models/train';
    for (let n = 1; n <= 1005; n += 1) {
      const image = buildImage({ platforms: ['linux/amd64'], created: null, text: `build ${n}` });
      const pushedAt = new Date(Date.UTC(2026, 10, 20, 0, 0, n)).toISOString();
      simulator.push(path, image, { tag: `build-${n}`, pushedAt });
    }
    const list = found(await registries.tags({ host: gar, path }, signal()));
    assert.equal(list.tags.length, 1006);
    assert.equal(list.partial, false);
    assert.deepEqual(list.tags.at(-1), {
      tag: 'build-1005',
      digest: simulator.digest(path, 'build-1005'),
      pushedAt: '2026-11-20T00:16:45.000Z',
      index: 1005,
    });
  });

  it('reports an absent repository of a team', async (t) => {
    const { registries } = await opened(t);
    const absent = { answer: 'absent', missing: 'repository' };
    assert.deepEqual(await registries.garImages('team-z', signal()), absent);
    const image = { host: gar, path: 'nais-management-233d/team-z/notebook' };
    assert.deepEqual(await registries.digest({ ...image, tag: '1' }, signal()), absent);
    assert.deepEqual(await registries.tags(image, signal()), absent);
  });
});

describe('registries: when they do not answer as they should', () => {
  const questions = (registries: ReturnType<typeof openRegistries>, deadline = signal()) => ({
    digest: () => registries.digest(tagged, deadline, { fresh: true }),
    inspect: () => registries.inspect({ ...team, digest: `sha256:${'1'.repeat(64)}` }, deadline),
    tags: () => registries.tags(team, deadline, { fresh: true }),
    'digest in Artifact Registry': () => registries.digest(garImage, deadline, { fresh: true }),
    'tags in Artifact Registry': () => registries.tags({ ...garImage }, deadline, { fresh: true }),
    'images in Artifact Registry': () => registries.garImages('team-a', deadline),
  });
  const everything = /./;
  const faults = {
    '500': { status: 500 },
    '503 with a page of HTML': { status: 503, headers: { 'content-type': 'text/html' }, body: '<html>' },
    '404 that is not the registry’s': {
      status: 404,
      headers: { 'content-type': 'text/html' },
      body: '<html>',
    },
    '403 that is not the registry’s': {
      status: 403,
      headers: { 'content-type': 'text/html' },
      body: '<html>',
    },
    garbage: 'garbage',
    'a broken connection': 'reset',
  } as const;
  for (const [name, fault] of Object.entries(faults)) {
    it(`answers unknown: ${name}`, async (t) => {
      const { simulator, registries } = await opened(t);
      simulator.fault(everything, fault);
      for (const [question, ask] of Object.entries(questions(registries))) {
        assert.equal((await ask()).answer, 'unknown', question);
      }
    });
  }

  it('answers unknown within the caller’s deadline when a registry hangs', async (t) => {
    const { simulator, registries } = await opened(t);
    simulator.fault(everything, 'hang');
    const answers = Object.values(questions(registries, AbortSignal.timeout(100))).map((ask) => ask());
    for (const answer of await Promise.all(answers)) assert.equal(answer.answer, 'unknown');
  });

  it('tries three times', async (t) => {
    const { simulator, registries, waits } = await opened(t, { random: () => 0.5 });
    simulator.fault(/manifests/, { status: 502 }, 2);
    assert.equal(await counted(simulator, async () => found(await registries.digest(tagged, signal()))), 4);
    assert.deepEqual(waits, [100, 200]);
    simulator.fault(/manifests/, { status: 502 });
    const ask = () => registries.digest(tagged, signal(), { fresh: true });
    assert.equal(await counted(simulator, ask), 3);
  });

  it('waits for the duration in the Retry-After header', async (t) => {
    const { simulator, registries, waits } = await opened(t);
    simulator.fault(/manifests/, { status: 429, headers: { 'retry-after': '1' } }, 1);
    found(await registries.digest(tagged, signal()));
    assert.deepEqual(waits, [1000]);
  });

  it('waits for the duration in GHCR’s error text', async (t) => {
    const { simulator, registries, waits } = await opened(t);
    const message = 'toomanyrequests: retry-after: 12.5ms, allowed: 44000/minute';
    const body = JSON.stringify({ errors: [{ code: 'TOOMANYREQUESTS', message }] });
    simulator.fault(/tags/, { status: 429, body }, 1);
    found(await registries.tags(team, signal()));
    assert.deepEqual(waits, [12.5]);
  });

  it('does not wait for minutes: it returns a Retry-After and sends nothing to the host until then', async (t) => {
    const { simulator, registries, time } = await opened(t);
    simulator.fault(/manifests/, { status: 429, headers: { 'retry-after': '90' } }, 1);
    const ask = () => registries.digest(tagged, signal(), { fresh: true });
    const { message: _, ...slow } = { message: '', ...(await ask()) };
    assert.deepEqual(slow, { answer: 'unknown', retryAfterSeconds: 90 });
    time.now += 89_000;
    assert.equal(await counted(simulator, ask), 0);
    time.now += 1000;
    found(await ask());
  });

  it('rejects content that does not match its digest', async (t) => {
    const { simulator, registries } = await opened(t);
    const digest = found(await registries.digest(tagged, signal()));
    const other = buildImage({ platforms: ['linux/amd64'], created: null, text: 'another' });
    const headers = { 'content-type': other.top.mediaType, 'docker-content-digest': digest };
    simulator.fault(/manifests\/sha256/, { status: 200, headers, body: other.top.bytes.toString() });
    assert.equal((await registries.inspect({ ...team, digest }, signal())).answer, 'unknown');
  });

  it('computes the digest when a registry does not return it', async (t) => {
    const { simulator, registries } = await opened(t);
    const image = buildImage({ platforms: ['linux/amd64'], created: null, text: 'no header' });
    const headers = { 'content-type': image.top.mediaType };
    simulator.fault(/manifests/, { status: 200, headers, body: image.top.bytes.toString() });
    assert.equal(found(await registries.digest(tagged, signal())), image.top.digest);
  });

  it('reads no more than four megabytes', async (t) => {
    const { simulator, registries } = await opened(t);
    const body = JSON.stringify({ tags: ['a'], padding: 'x'.repeat(4 * 1024 * 1024) });
    simulator.fault(/tags/, { status: 200, body });
    assert.equal((await registries.tags(team, signal())).answer, 'unknown');
  });

  it('does not follow redirects in a circle', async (t) => {
    const { simulator, registries } = await opened(t);
    simulator.fault(/manifests/, { status: 302, headers: { location: '/v2/x/manifests/y' } });
    assert.equal((await registries.digest(tagged, signal())).answer, 'unknown');
  });

  it('fetches a new token when the cached one is rejected', async (t) => {
    const { simulator, registries } = await opened(t);
    const ask = () => registries.digest(tagged, signal(), { fresh: true });
    await ask();
    simulator.revokeTokens();
    assert.equal(await counted(simulator, async () => found(await ask())), 3);
  });

  it('caches a token for 45 seconds when GHCR returns no lifetime', async (t) => {
    const { simulator, registries, time } = await opened(t);
    const ask = () => registries.digest(tagged, signal(), { fresh: true });
    await ask();
    time.now += 44_000;
    assert.equal(await counted(simulator, ask), 1);
    time.now += 1000;
    assert.equal(await counted(simulator, ask), 2);
  });

  it('answers absent for a private image, and unknown when Google rejects the token', async (t) => {
    const { registries } = await opened(t, { accessToken: () => Promise.resolve('expired') });
    const hidden = { host: 'ghcr.io', path: 'navikt/private-notebook', tag: '1.0' };
    assert.deepEqual(await registries.digest(hidden, signal()), { answer: 'absent', missing: 'repository' });
    assert.equal((await registries.digest(garImage, signal())).answer, 'unknown');
    assert.equal((await registries.garImages('team-a', signal())).answer, 'unknown');
  });

  it('answers unknown when Google issues no token', async (t) => {
    const { registries } = await opened(t, { accessToken: () => Promise.reject(new Error('no metadata')) });
    assert.equal((await registries.digest(garImage, signal())).answer, 'unknown');
    assert.equal((await registries.garImages('team-a', signal())).answer, 'unknown');
  });
});

describe('registries: where they connect', () => {
  it('refuses other hosts and invalid image names without a connection', async (t) => {
    const { simulator, registries } = await opened(t);
    const other = await trap(t);
    const hostile = [
      { host: new URL(other.url).host, path: 'navikt/x' },
      { host: '127.0.0.1', path: 'navikt/x' },
      { host: 'quay.io', path: 'jupyter/base-notebook' },
      { host: 'ghcr.io', path: '../../token' },
      { host: 'ghcr.io', path: 'navikt/x/manifests/y?z=' },
      { host: 'ghcr.io', path: 'navikt/x\r\nhost: y' },
      { host: 'GHCR.IO', path: 'navikt/x' },
    ];
    for (const repository of hostile) {
      await assert.rejects(registries.tags(repository, signal()), TypeError);
      await assert.rejects(registries.digest({ ...repository, tag: '1' }, signal()), TypeError);
      await assert.rejects(registries.digest({ ...team, tag: '../../x' }, signal()), TypeError);
      const digest = `sha256:${'a'.repeat(64)}`;
      await assert.rejects(registries.inspect({ ...repository, digest }, signal()), TypeError);
    }
    assert.deepEqual([simulator.connections, other.connections()], [0, 0]);
  });

  it('does not go where a challenge or a next page points', async (t) => {
    const { simulator, registries } = await opened(t);
    const other = await trap(t);
    const challenge = `Bearer realm="${other.url}/token",service="ghcr.io"`;
    const end = simulator.fault(/manifests/, { status: 401, headers: { 'www-authenticate': challenge } });
    await registries.digest(tagged, signal());
    end();
    const link = `<${other.url}/v2/${team.path}/tags/list?last=a>; rel="next"`;
    simulator.fault(/tags/, { status: 200, headers: { link }, body: '{"tags":["a"]}' });
    const list = await registries.tags(team, signal());
    assert.equal(list.answer, 'unknown');
    assert.equal(other.connections(), 0);
  });

  it('accepts other origins only for its fixed hosts', () => {
    assert.deepEqual(endpointFaults('europe-north1', { 'ghcr.io': 'http://127.0.0.1:8083' }), []);
    assert.equal(endpointFaults('europe-north1', { 'docker.io': 'http://127.0.0.1:8083' }).length, 1);
    assert.equal(endpointFaults('europe-north1', { 'ghcr.io': 'http://127.0.0.1/path' }).length, 1);
    assert.equal(endpointFaults('europe-north1', { 'ghcr.io': 'file:///etc' }).length, 1);
  });
});

describe('registries: how long to wait', () => {
  const now = Date.parse('2026-11-23T09:00:00.000Z');
  const cases: readonly (readonly [string | null, string, number | undefined])[] = [
    ['5', '', 5000],
    ['Mon, 23 Nov 2026 09:00:30 GMT', '', 30_000],
    ['Mon, 23 Nov 2026 08:00:00 GMT', '', 0],
    ['soon', '', undefined],
    [null, 'toomanyrequests: retry-after: 880.092µs, allowed: 44000/minute', 0.880092],
    [null, 'retry-after: 1m30s, allowed', 90_000],
    [null, 'retry-after: 2h', 7_200_000],
    [null, 'retry-after: -5s', undefined],
    [null, '{"errors":[]}', undefined],
  ];
  for (const [header, body, ms] of cases) {
    it(`reads ${JSON.stringify(header ?? body)}`, () => {
      const read = retryAfterMs(header, body, now);
      assert.equal(read === undefined ? undefined : Math.round(read * 1e6) / 1e6, ms);
    });
  }
});
