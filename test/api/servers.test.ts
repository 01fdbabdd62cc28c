import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { shippedCatalogue } from '../../src/environments/catalogue.ts';
import type { Change } from '../../src/model/change.ts';
import type { Operation } from '../../src/model/operation.ts';
import type { NotebookProfile } from '../../src/model/profile.ts';
import type { Server } from '../../src/model/server.ts';
import { admins, assertProblem, creators, kari, openApi } from '../support/api.ts';
import { scriptedHub } from '../support/hubs.ts';
import { assertSucceeded } from '../support/operations.ts';

const api = await openApi();
after(() => api.close());
const asKari = api.asPerson(kari, creators);
const ola = 'ola';

/** Two standard environments are offered; the second one is the default. */
await api.store.changeCatalogue(() => ({
  ...shippedCatalogue([], Date.parse(api.now())),
  items: ['3.12', '3.13'].map((python) => ({
    python,
    image: `ghcr.io/navikt/knada-images/jupyter:20261123-${python}`,
    tag: `20261123-${python}`,
    digest: `sha256:${'b'.repeat(64)}`,
    drivers: [{ name: 'Oracle', included: true, source: 'a check' }],
    endOfLife: '2029-10-31',
    pythonStatus: 'bugfix',
    jupyterMaintained: true,
    builtAt: api.now(),
    stale: false,
    default: python === '3.13',
  })),
}));

/** A team with a notebook and two members at its hub, without a running server. */
const aTeam = async () => {
  const team = await api.newTeam({
    members: [{ email: kari }, { email: 'ola.nordmann@nav.no', username: ola }],
  });
  api.outside.pinImage = async (reference) => ({
    reference,
    digest: `sha256:${'a'.repeat(64)}`,
    resolvedAt: api.now(),
    newerDigest: null,
  });
  assert.equal((await asKari.put(`${team}/notebook`, { image: 'ghcr.io/navikt/x:1' })).statusCode, 201);
  const record = await api.record(team);
  const hub = scriptedHub({ clock: { now: () => Date.parse(api.now()) }, team: record });
  await hub.add(kari, ola);
  Object.assign(api.outside, { hubs: hub.hubs, cluster: hub.cluster });
  return {
    team,
    hub,
    server: (user = kari) => `${team}/servers/${encodeURIComponent(user)}`,
    pass(seconds: number) {
      api.advance(seconds * 1_000);
      hub.settle();
    },
  };
};
type Team = Awaited<ReturnType<typeof aTeam>>;

const list = async ({ team }: Team): Promise<readonly Server[]> => {
  const answer = await asKari.get(`${team}/servers`);
  assert.equal(answer.statusCode, 200, answer.body);
  return answer.json().items;
};

/** Polls as a client does until the operation is over. */
const followed = async (scene: Team, location: unknown): Promise<Operation> => {
  for (let second = 0; second < 60; second += 1) {
    scene.pass(1);
    const operation: Operation = (await asKari.get(String(location))).json();
    if (operation.done) return operation;
  }
  assert.fail('it never ends');
};

describe('listServers', () => {
  it('lists every member, including those who never started a server', async () => {
    const scene = await aTeam();
    scene.hub.run(ola);
    const servers = await list(scene);
    assert.deepEqual(
      servers.map(({ user, state }) => [user, state]),
      [
        [kari, 'stopped'],
        [ola, 'running'],
      ],
    );
    const [, running] = servers;
    assert.equal(running?.stopsAt, new Date(Date.parse(api.now()) + 3_600_000).toISOString());
    assert.match(running?.image ?? '', /@sha256:/);
  });

  it('uses the pods while the hub is unavailable, and reports unknown when the cluster is, too', async () => {
    const scene = await aTeam();
    scene.hub.run(ola);
    scene.hub.goAway();
    assert.deepEqual(
      (await list(scene)).map(({ state }) => state),
      ['unknown', 'running'],
    );
    scene.hub.clusterGoesAway();
    const answer = await asKari.get(`${scene.team}/servers`);
    assertProblem(answer, 'hub_unavailable');
    assert.ok(Number(answer.headers['retry-after']) > 0);
    scene.hub.comeBack();
    assert.deepEqual(
      (await list(scene)).map(({ state, pendingRestart }) => [state, pendingRestart]),
      [
        ['stopped', null],
        ['running', null],
      ],
    );
  });

  it('reports a pending restart once the configuration has changed', async () => {
    const scene = await aTeam();
    const record = await api.record(scene.team);
    const configMap = (await api.render(record)).find(({ kind }) => kind === 'ConfigMap');
    const [profile] = JSON.parse(configMap?.data?.['profiles.json'] ?? '[]');
    const revision = profile.kubespawner_override.extra_annotations['knada.io/profile-revision'];
    scene.hub.run(kari, { profile: profile.slug, revision });
    assert.equal((await list(scene))[0]?.pendingRestart, false);
    await asKari.patch(`${scene.team}/notebook`, { culling: { timeoutSeconds: 7200 } });
    assert.equal((await list(scene))[0]?.pendingRestart, false, 'culling needs no restart');
    await asKari.patch(`${scene.team}/notebook`, { resources: { memory: { limit: '4Gi' } } });
    assert.equal((await list(scene))[0]?.pendingRestart, true);
  });

  it('requires a notebook', async () => {
    assertProblem(await asKari.get(`${await api.newTeam()}/servers`), 'notebook_not_ordered');
  });
});

describe('listProfiles', () => {
  const profilesOf = async (team: string, person = asKari): Promise<readonly NotebookProfile[]> => {
    const answer = await person.get(`${team}/notebook/profiles`);
    assert.equal(answer.statusCode, 200, answer.body);
    assert.equal(answer.json().nextCursor, null);
    return answer.json().items;
  };

  it('shows the own image first, then the standard environments, and what the caller starts with', async () => {
    const scene = await aTeam();
    const [own, ...others] = await profilesOf(scene.team);
    assert.deepEqual(own, {
      slug: 'own-image',
      displayName: 'Own image',
      kind: 'own',
      python: null,
      image: 'ghcr.io/navikt/x:1',
      digest: `sha256:${'a'.repeat(64)}`,
      drivers: [],
      default: true,
      retired: false,
      chosen: true,
    });
    assert.deepEqual(
      others.map(({ slug, kind, python, drivers, default: isDefault, chosen }) => [
        [slug, kind, python, drivers],
        [isDefault, chosen],
      ]),
      ['12', '13'].map((minor) => [
        [`python-3-${minor}`, 'standard', `3.${minor}`, ['Oracle']],
        [false, false],
      ]),
    );
    const slug = 'python-3-12';
    const { location } = (await asKari.post(`${scene.server()}/start`, { profile: slug })).headers;
    await followed(scene, location);
    const chosen = (await profilesOf(scene.team)).filter((profile) => profile.chosen);
    assert.deepEqual(
      chosen.map((profile) => profile.slug),
      [slug],
    );
    const asAdmin = api.asPerson('admin@nav.no', admins);
    assert.ok((await profilesOf(scene.team, asAdmin)).every((profile) => profile.chosen === false));
    scene.hub.goAway();
    assert.ok((await profilesOf(scene.team)).every((profile) => profile.chosen === null));
  });

  it('shows the own image alone once the standard environments are switched off', async () => {
    const scene = await aTeam();
    await asKari.patch(`${scene.team}/notebook`, { standardEnvironments: false });
    assert.deepEqual(
      (await profilesOf(scene.team)).map(({ slug }) => slug),
      ['own-image'],
    );
    const refused = await asKari.post(`${scene.server()}/start`, { profile: 'python-3-13' });
    assertProblem(refused, 'validation_failed', ['/profile not_in_list']);
  });

  it('needs a notebook, and access to the team', async () => {
    const scene = await aTeam();
    assertProblem(await asKari.get(`${await api.newTeam()}/notebook/profiles`), 'notebook_not_ordered');
    const stranger = api.asPerson('per@nav.no');
    assertProblem(await stranger.get(`${scene.team}/notebook/profiles`), 'not_found');
  });
});

describe('a plan for running servers', () => {
  it('names the servers that wait for a restart once it is carried out', async () => {
    const scene = await aTeam();
    const { location } = (await asKari.post(`${scene.server()}/start`)).headers;
    await followed(scene, location);
    const planned = async (patch: object) => {
      const answer = await asKari.post(`${scene.team}/notebook/plan`, patch);
      assert.equal(answer.statusCode, 200, answer.body);
      return answer.json().serversPendingRestart;
    };
    const [server] = await planned({ image: 'ghcr.io/navikt/x:2' });
    assert.equal(server.user, kari);
    assert.partialDeepStrictEqual(
      server.pendingChanges.find(({ pointer }: Change) => pointer === '/image'),
      { to: `ghcr.io/navikt/x:2@sha256:${'a'.repeat(64)}` },
    );
    assert.equal((await list(scene))[0]?.user, kari);
  });
});

describe('startServer', () => {
  it('answers 202 with the operation, a repeat with the same one, and afterwards with one that is done', async () => {
    const scene = await aTeam();
    const answer = await asKari.post(`${scene.server()}/start`);
    assert.equal(answer.statusCode, 202, answer.body);
    const operation: Operation = answer.json();
    assert.partialDeepStrictEqual(operation, {
      kind: 'start',
      done: false,
      target: { type: 'server', user: kari, team: scene.team.replace('/v1/teams/', '') },
    });
    assert.equal(answer.headers.location, `${scene.team}/operations/${operation.id}`);
    const again = await asKari.post(`${scene.server()}/start`, {});
    assert.equal(again.statusCode, 202);
    assert.equal(again.json().id, operation.id);
    assert.equal((await list(scene))[0]?.operation, operation.id);
    assert.partialDeepStrictEqual(await followed(scene, answer.headers.location), {
      done: true,
      progress: 100,
      result: { url: (await list(scene))[0]?.url },
    });
    const running = await asKari.post(`${scene.server()}/start`);
    assert.equal(running.statusCode, 202);
    assert.partialDeepStrictEqual(running.json(), { done: true, message: 'The notebook is running.' });
    assert.deepEqual((await asKari.get(String(running.headers.location))).json(), running.json());
    assert.equal(scene.hub.told('start'), 1);
  });

  it('refuses another profile than the one that runs or is starting, and starts it with a restart', async () => {
    const scene = await aTeam();
    const profile = 'python-3-13';
    const { location } = (await asKari.post(`${scene.server()}/start`)).headers;
    const whileStarting = await asKari.post(`${scene.server()}/start`, { profile });
    assertProblem(whileStarting, 'profile_differs');
    await followed(scene, location);
    const whileRunning = await asKari.post(`${scene.server()}/start`, { profile });
    assertProblem(whileRunning, 'profile_differs');
    assert.match(whileRunning.json().detail, /own-image\. Restart it with the profile/);
    const same = await asKari.post(`${scene.server()}/start`, { profile: 'own-image' });
    assert.partialDeepStrictEqual(same.json(), { done: true });

    const restarted = await asKari.post(`${scene.server()}/restart`, { profile });
    assert.equal(restarted.statusCode, 202, restarted.body);
    assert.equal((await followed(scene, restarted.headers.location)).error, undefined);
    assert.deepEqual((await list(scene))[0]?.profile, { slug: profile, displayName: 'Python 3.13' });
    const unknown = await asKari.post(`${scene.server()}/restart`, { profile: 'python-2-7' });
    assertProblem(unknown, 'validation_failed', ['/profile not_in_list']);
  });

  it('accepts only an offered profile, and only members', async () => {
    const scene = await aTeam();
    const refused = await asKari.post(`${scene.server()}/start`, { profile: 'python-2-7' });
    assertProblem(refused, 'validation_failed', ['/profile not_in_list']);
    assertProblem(await asKari.post(`${scene.server()}/start`, { image: 'x' }), 'validation_failed', [
      '/image unknown_field',
    ]);
    assertProblem(await asKari.post(`${scene.server('nobody')}/start`), 'not_found');
    assertProblem(await asKari.post(`${scene.server('..%2fola')}/start`), 'not_found');
    assert.equal(scene.hub.told('start'), 0);
  });

  it('answers with Retry-After while the hub is unavailable or has just started', async () => {
    const scene = await aTeam();
    scene.hub.run(kari);
    scene.hub.check(kari);
    const restarting = await asKari.post(`${scene.server()}/start`);
    assertProblem(restarting, 'hub_restarting');
    assert.ok(Number(restarting.headers['retry-after']) > 0);
    scene.hub.goAway();
    assertProblem(await asKari.post(`${scene.server()}/start`), 'hub_unavailable');
  });

  it('is refused while the notebook is being deleted', async () => {
    const scene = await aTeam();
    await asKari.delete(`${scene.team}/notebook`);
    assertProblem(await asKari.post(`${scene.server()}/start`), 'deleting');
  });
});

describe('stopServer and restartServer', () => {
  it('stop and start the server, and are refused while another operation is open', async () => {
    const scene = await aTeam();
    scene.hub.run(kari);
    const restart = await asKari.post(`${scene.server()}/restart`);
    assert.equal(restart.statusCode, 202);
    assertProblem(await asKari.post(`${scene.server()}/stop`), 'server_busy');
    assertSucceeded(await followed(scene, restart.headers.location));
    const stop = await asKari.post(`${scene.server()}/stop`, { force: false });
    assertSucceeded(await followed(scene, stop.headers.location));
    const stopped = await asKari.post(`${scene.server()}/stop`);
    assert.equal(stopped.statusCode, 202);
    assertSucceeded(stopped.json());
    assert.equal((await list(scene))[0]?.state, 'stopped');
    const { items } = (await asKari.get(`${scene.team}/history`)).json();
    assert.deepEqual(
      items.slice(0, 2).map(({ action, by }: { action: string; by: string }) => [action, by]),
      [
        ['server_stopped', kari],
        ['server_restarted', kari],
      ],
    );
  });
});

describe('extendServer', () => {
  it('moves stopsAt, and is recorded in the history', async () => {
    const scene = await aTeam();
    scene.hub.run(kari);
    const until = new Date(Date.parse(api.now()) + 6 * 3_600_000).toISOString();
    const answer = await asKari.post(`${scene.server()}/extend`, { until });
    assert.equal(answer.statusCode, 200, answer.body);
    assert.partialDeepStrictEqual(answer.json(), { stopsAt: until, stopsBecause: 'extended' });
    assert.equal((await list(scene))[0]?.stopsAt, until);
    const seconds = await asKari.post(`${scene.server()}/extend`, { forSeconds: 86_400 });
    const tomorrow = new Date(Date.parse(api.now()) + 86_400_000).toISOString();
    assert.partialDeepStrictEqual(seconds.json(), { stopsAt: tomorrow, stopsBecause: 'extended' });
    const { items } = (await asKari.get(`${scene.team}/history?limit=1`)).json();
    assert.partialDeepStrictEqual(items[0], { action: 'server_extended', by: kari });
  });

  it('requires a running server and a time within the next day', async () => {
    const scene = await aTeam();
    const inHours = (hours: number) => ({
      until: new Date(Date.parse(api.now()) + hours * 3_600_000).toISOString(),
    });
    const extend = (body: object) => asKari.post(`${scene.server()}/extend`, body);
    assertProblem(await extend(inHours(1)), 'server_not_running');
    scene.hub.run(kari);
    for (const hours of [-1, 0, 25])
      assertProblem(await extend(inHours(hours)), 'validation_failed', ['/until out_of_range']);
    assertProblem(await extend({ until: 'tomorrow' }), 'validation_failed', ['/until bad_format']);
    assertProblem(await extend({}), 'validation_failed', ['/until required']);
    const both = { ...inHours(1), forSeconds: 3_600 };
    assertProblem(await extend(both), 'validation_failed', ['/until given_twice']);
    for (const forSeconds of [0, -1, 86_401])
      assertProblem(await extend({ forSeconds }), 'validation_failed', ['/forSeconds out_of_range']);
    scene.hub.goAway();
    assertProblem(await extend(inHours(1)), 'hub_unavailable');
  });
});

describe('restartHub', () => {
  it('is an operation without a member’s server', async () => {
    const scene = await aTeam();
    const answer = await asKari.post(`${scene.team}/hub/restart`);
    assert.equal(answer.statusCode, 202, answer.body);
    assert.partialDeepStrictEqual(answer.json(), { target: { type: 'hub', user: null }, done: false });
    assertSucceeded(await followed(scene, answer.headers.location));
  });

  it('is refused before there is a hub', async () => {
    const scene = await aTeam();
    scene.hub.withoutDeployment();
    assertProblem(await asKari.post(`${scene.team}/hub/restart`), 'hub_unavailable');
  });
});

describe('an operation', () => {
  it('is found in its own team only', async () => {
    const scene = await aTeam();
    const { id }: Operation = (await asKari.post(`${scene.server()}/start`)).json();
    const elsewhere = await aTeam();
    assertProblem(await asKari.get(`${elsewhere.team}/operations/${id}`), 'not_found');
    assertProblem(await asKari.get(`${elsewhere.team}/operations/${id}/events`), 'not_found');
    assertProblem(await asKari.get(`${scene.team}/operations/op-0000000000000000`), 'not_found');
    assertProblem(await asKari.get(`${scene.team}/operations/restart`), 'not_found');
  });

  it('streams the hub’s messages during a start, with their progress, and ends with ready', async () => {
    const scene = await aTeam();
    const { headers } = await asKari.post(`${scene.server()}/start`);
    scene.hub.say(kari, 50, 'Pulling image "ghcr.io/navikt/x:1"');
    const origin = await api.app.listen({ host: '127.0.0.1', port: 0 });
    const token = await api.issuer.token({ preferred_username: kari });
    const answer = await fetch(`${origin}${headers.location}/events`, {
      headers: { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(20_000),
    });
    assert.equal(answer.headers.get('content-type'), 'text/event-stream');
    const events: Operation[] = [];
    let text = '';
    for await (const part of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      const frames = `${text}${part}`.split('\n\n');
      text = frames.pop() ?? '';
      for (const frame of frames) {
        const [, data] = /^event: operation\ndata: (.+)$/m.exec(frame) ?? [];
        assert.ok(data !== undefined, frame);
        const operation: Operation = JSON.parse(data);
        events.push(operation);
        // The next thing happens when the one before was seen.
        if (operation.progress === 50) scene.hub.say(kari, 70, 'Started container notebook');
        if (operation.progress === 70) scene.pass(3);
      }
    }
    assert.deepEqual(
      events.map(({ done, progress, message }) => [done, progress, message]),
      [
        [false, 40, 'The notebook is starting.'],
        [false, 50, 'Pulling image "ghcr.io/navikt/x:1"'],
        [false, 70, 'Started container notebook'],
        [true, 100, 'The notebook is running.'],
      ],
    );
    const [first, second, third] = events.map(({ updatedAt }) => updatedAt);
    assert.ok(first === second && second === third, 'nothing of it is stored');
  });
});

describe('the examples in the contract', () => {
  it('match the answers: a reason only if something is wrong, and an operation of the requested kind', async () => {
    const { paths } = (await asKari.get('/openapi.json')).json();
    const exampleOf = (path: string, method: string, status: number) =>
      paths[`/v1/teams/{team}/${path}`][method].responses[status].content['application/json'].example;
    for (const kind of ['start', 'stop', 'restart']) {
      const example = exampleOf(`servers/{user}/${kind}`, 'post', 202);
      assert.partialDeepStrictEqual(example, { kind, target: { type: 'server', user: kari } });
      assert.equal('error' in example, false);
    }
    const ofHub = exampleOf('hub/restart', 'post', 202);
    assert.partialDeepStrictEqual(ofHub, { kind: 'restart_hub', target: { type: 'hub', user: null } });
    assert.equal('error' in ofHub, false);
    const [server] = exampleOf('servers', 'get', 200).items;
    assert.partialDeepStrictEqual(server, { state: 'running', operation: null });
    assert.equal('reason' in server || 'message' in server, false);
  });
});
