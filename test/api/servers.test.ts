import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import type { Operation } from '../../src/model/operation.ts';
import type { Server } from '../../src/model/server.ts';
import { assertProblem, creators, kari, openApi } from '../support/api.ts';
import { scriptedHub } from '../support/hubs.ts';
import { assertSucceeded } from '../support/operations.ts';

const api = await openApi();
after(() => api.close());
const asKari = api.asPerson(kari, creators);
const ola = 'ola';

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
