import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { isReady as hasStarted } from '@knada/simulators/cluster/kubelet.ts';
import { asList, asText, at, isMap, type Json, parseJson } from '@knada/simulators/kubernetes/json.ts';
import { nameOf, uidOf } from '@knada/simulators/kubernetes/object.ts';
import { homeLabels } from '../../src/notebooks/home.ts';
import { environment, type SimulatedHub, startSimulatedHub } from '../support/simulated-hub.ts';

const timings = {
  slowStopMs: 200,
  interruptMs: 10,
  checkMs: 300,
  pollMs: 20,
  activityMs: 20,
  progressMs: 5,
  keepAliveMs: 30,
  profilesMs: 300,
  profilesPollMs: 5,
};
const offered = { profile: 'python-3-13', knada_revision: 7, knada_chosen_at: 7 };
/** What the hub’s code stores of these options. */
const stored = { profile: 'python-3-13', knada_chosen_at: 7 };
const hourMs = 3_600_000;

interface Told {
  readonly status: number;
  readonly body: Json;
  readonly headers: Headers;
}

/** How the tests speak to a hub: as our service, in JupyterHub’s own terms. */
const speaking = (simulated: () => SimulatedHub) => {
  const call = async (method: string, path: string, body?: unknown, bearer?: string): Promise<Told> => {
    const response = await simulated().send(method, path, body, bearer);
    const text = await response.text();
    const isJson = response.headers.get('content-type') === 'application/json';
    return { status: response.status, body: isJson ? parseJson(text) : text, headers: response.headers };
  };
  const api = (method: string, path: string, body?: unknown, bearer?: string) =>
    call(method, `/hub/api${path}`, body, bearer);
  const model = async (user: string): Promise<Json> => {
    const { status, body } = await api('GET', `/users/${user}?include_stopped_servers=1`);
    assert.equal(status, 200);
    return at(body, 'servers', '') ?? null;
  };
  /** Asks until the server’s model is as wanted. */
  const becomes = async (user: string, wanted: (server: Json) => boolean): Promise<Json> => {
    for (const deadline = AbortSignal.timeout(20_000); ; await wait(5, undefined, { signal: deadline })) {
      const server = await model(user);
      if (wanted(server)) return server;
    }
  };
  const isReady = (server: Json): boolean => at(server, 'ready') === true;
  const isStopped = (server: Json): boolean => at(server, 'stopped') === true;
  const start = (user: string, options: unknown = offered) => api('POST', `/users/${user}/server`, options);
  /** A new user. */
  const add = async (user: string): Promise<string> => {
    assert.equal((await api('POST', `/users/${user}`)).status, 201);
    return user;
  };
  /** A new user whose server runs. */
  const run = async (user: string): Promise<string> => {
    await add(user);
    assert.equal((await start(user)).status, 202);
    await becomes(user, isReady);
    return user;
  };
  const follow = (user: string) => simulated().send('GET', `/hub/api/users/${user}/server/progress`);
  const eventsOf = async (response: Response): Promise<readonly Json[]> => {
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('content-type'), 'text/event-stream');
    const lines = (await response.text()).split('\n').filter((line) => line.startsWith('data: '));
    return lines.map((line) => parseJson(line.slice('data: '.length)));
  };
  const messages = async (user: string) =>
    (await eventsOf(await follow(user))).map((event) => asText(at(event, 'message')));
  const podOf = (user: string) => simulated().client.get('pods', simulated().namespace, `jupyter-${user}`);
  const refusal = (status: number, message: string) => ({ status, body: { status, message } });
  return {
    call,
    api,
    model,
    becomes,
    isReady,
    isStopped,
    start,
    add,
    run,
    follow,
    eventsOf,
    messages,
    podOf,
    refusal,
  };
};

describe('a simulated notebook server', () => {
  let simulated: SimulatedHub;
  let aheadMs = 0;
  const {
    call,
    api,
    model,
    becomes,
    isReady,
    isStopped,
    start,
    add,
    run,
    follow,
    eventsOf,
    messages,
    podOf,
    refusal,
  } = speaking(() => simulated);
  const stop = (user: string) => api('DELETE', `/users/${user}/server`);

  before(async () => {
    simulated = await startSimulatedHub({ timings, now: () => Date.now() + aheadMs });
  });
  after(async () => {
    await simulated.close();
    assert.deepEqual(simulated.failures, []);
  });

  it('simulated server: has the expected pod, and a home that outlives it', async () => {
    const user = await run('pod');
    const pod = await podOf(user);
    assert.ok(pod);
    assert.partialDeepStrictEqual(pod.metadata, {
      labels: {
        component: 'singleuser-server',
        release: `jupyterhub-${simulated.team.id}`,
        'hub.jupyter.org/username': user,
        'hub.jupyter.org/network-access-hub': 'true',
        'app.kubernetes.io/managed-by': 'kubespawner',
        'knada.io/team-id': simulated.team.id,
      },
      annotations: { 'hub.jupyter.org/username': user, 'knada.io/profile': 'python-3-13' },
    });
    const [container] = asList(at(pod, 'spec', 'containers'));
    assert.equal(at(container, 'image'), `${environment.image}@${environment.digest}`);
    const env = new Map(
      asList(at(container, 'env')).map((one) => [asText(at(one, 'name')), asText(at(one, 'value'))]),
    );
    assert.match(env.get('KNADA_TEAM_SECRET') ?? '', /\/secrets\//);

    const own = await api('GET', `/users/${user}/tokens`, undefined, env.get('JUPYTERHUB_API_TOKEN'));
    assert.equal(own.status, 403, 'the server’s token is for reports alone');
    const report = { servers: { '': { last_activity: new Date().toISOString() } } };
    const reported = await api('POST', `/users/${user}/activity`, report, env.get('JUPYTERHUB_API_TOKEN'));
    assert.equal(reported.status, 200);

    assert.equal((await stop(user)).status, 204);
    assert.equal(await podOf(user), undefined);
    const homes = await simulated.client.list('persistentvolumeclaims', {
      namespace: simulated.namespace,
      labelSelector: `component=${homeLabels.component},hub.jupyter.org/username=${user}`,
    });
    assert.deepEqual(homes.map(nameOf), [`claim-${user}`]);
    const { status } = await api('POST', `/users/${user}/activity`, report, env.get('JUPYTERHUB_API_TOKEN'));
    assert.equal(status, 403, 'the token went with the server');
  });

  it('simulated server: answers each request in each state as JupyterHub', async () => {
    const user = await add('states');
    assert.deepEqual(await api('GET', `/users/${user}/server/progress`).then(({ status }) => status), 404);
    assert.equal((await stop(user)).status, 204, 'stopped already');
    assert.partialDeepStrictEqual(
      await api('GET', `/users/${user}/server/progress`),
      refusal(400, 'states is not starting...'),
    );
    const letStart = simulated.hubs.hold(simulated.team.slug, user, 'start');
    assert.equal((await start(user)).status, 202);
    assert.partialDeepStrictEqual(await model(user), { pending: 'spawn', ready: false, stopped: false });
    assert.equal((await start(user)).status, 202, 'the same start');
    letStart();
    await becomes(user, isReady);
    assert.partialDeepStrictEqual(await start(user), refusal(400, 'states is already running'));
    assert.partialDeepStrictEqual(
      await api('POST', `/users/${user}/servers/second`, {}),
      refusal(400, 'Named servers are not enabled.'),
    );
    assert.partialDeepStrictEqual(
      await api('DELETE', `/users/${user}/server`, { remove: true }),
      refusal(400, 'Cannot delete the default server'),
    );
    const letStop = simulated.hubs.hold(simulated.team.slug, user, 'stop');
    assert.equal((await stop(user)).status, 202, 'slow to stop');
    assert.partialDeepStrictEqual(await model(user), { pending: 'stop', ready: false, stopped: false });
    assert.partialDeepStrictEqual(await start(user), refusal(400, 'states is pending stop'));
    assert.equal((await stop(user)).status, 202);
    assert.partialDeepStrictEqual(
      await api('DELETE', `/users/${user}`),
      refusal(400, "states's server is in the process of stopping, please wait."),
    );
    letStop();
    await becomes(user, isStopped);
    for (const method of ['POST', 'DELETE']) {
      assert.partialDeepStrictEqual(await api(method, '/users/nobody/server'), refusal(404, 'Not Found'));
    }
    assert.partialDeepStrictEqual(
      await api('PATCH', `/users/${user}/server`),
      refusal(405, 'Method Not Allowed'),
    );
    assert.partialDeepStrictEqual(
      await simulated
        .send('POST', `/hub/api/users/${user}/server`)
        .then(({ status, headers }) => [status, headers.get('x-jupyterhub-version')]),
      [202, '5.5.0'],
    );
    await becomes(user, isReady);
    assert.equal((await stop(user)).status, 204);
  });

  it('simulated server: is listed by state', async () => {
    const [up, idle] = [await run('listed'), await add('unlisted')];
    const listed = async (query: string) =>
      asList((await api('GET', `/users?${query}`)).body).map((user) => asText(at(user, 'name')));
    for (const state of ['active', 'ready']) {
      const names = await listed(`state=${state}`);
      assert.deepEqual([names.includes(up), names.includes(idle)], [true, false], state);
    }
    const inactive = await listed('state=inactive');
    assert.deepEqual([inactive.includes(up), inactive.includes(idle)], [false, true]);
    assert.equal((await api('GET', '/users?state=asleep')).status, 400);
    const { body } = await api('GET', `/users/${idle}`);
    assert.deepEqual(at(body, 'servers'), {}, 'a stopped server is shown when asked for');
    await stop(up);
  });

  it('simulated server: starts with the last options when none are given', async () => {
    const user = await add('options');
    const options = async (body?: unknown) => {
      await api('POST', `/users/${user}/server`, body);
      const server = await becomes(user, isReady);
      await stop(user);
      return at(server, 'user_options');
    };
    assert.deepEqual(await options(offered), stored);
    assert.deepEqual(await options(), stored, 'no body: the saved ones');
    assert.deepEqual(await options({ size: 'large' }), { ...stored, size: 'large' });
    assert.deepEqual(await options(), { ...stored, size: 'large' });
    assert.deepEqual(await options({}), stored, 'version 5 takes an empty body for empty options');
  });

  it('simulated server: reports its pod’s events as progress towards 90 %', async () => {
    const user = await add('progress');
    /** All progress events of a start, from before its pod is running. */
    const followed = async () => {
      const letStart = simulated.hubs.hold(simulated.team.slug, user, 'start');
      await start(user);
      const following = await follow(user);
      await simulated.until('pods', async () => {
        const pod = await podOf(user);
        return pod !== undefined && hasStarted(pod) ? pod : undefined;
      });
      letStart();
      return eventsOf(following);
    };
    const events = await followed();
    const reasons = events
      .map((event) => at(event, 'raw_event', 'reason'))
      .filter((one) => one !== undefined);
    assert.deepEqual(reasons, ['Scheduled', 'Pulling', 'Pulled', 'Created', 'Started']);
    assert.deepEqual(
      events.map((event) => at(event, 'progress')),
      [0, 30, 50, 63, 72, 78, 100],
    );
    assert.match(
      asText(at(events[2], 'message')),
      /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \[Normal\] Pulling image "ghcr\.io\//,
    );
    assert.partialDeepStrictEqual(events.at(-1), { ready: true, url: '/user/progress/' });
    await stop(user);

    assert.equal((await followed()).length, 7, 'events of the former pod are not told again');
    await stop(user);
  });

  it('simulated server: keeps a progress stream open with blank lines', async () => {
    const user = await add('silent');
    const letStart = simulated.hubs.hold(simulated.team.slug, user, 'start');
    await start(user);
    const response = await follow(user);
    let text = '';
    for await (const part of response.body ?? []) {
      text += Buffer.from(part).toString();
      const isQuiet = /\[Normal\] Started.*\n\n\n\n\n\n/s.test(text);
      if (isQuiet) letStart();
    }
    assert.match(text, /"ready":true/);
    await stop(user);
  });

  it('simulated server: is stopped soon after its pod is deleted from outside', async () => {
    const user = await run('forced');
    const pod = await podOf(user);
    await simulated.client.delete('pods', simulated.namespace, nameOf(pod ?? assert.fail()), {
      gracePeriodSeconds: 0,
    });
    assert.partialDeepStrictEqual(await becomes(user, isStopped), { pending: null, started: null });
    assert.equal((await start(user)).status, 202);
    await becomes(user, isReady);
    assert.notEqual(uidOf((await podOf(user)) ?? assert.fail()), uidOf(pod ?? assert.fail()));
    await stop(user);
  });

  it('simulated server: waits until the kubelet has mounted the revision that a start names', async () => {
    const user = await add('revisions');
    await simulated.mount(8);
    await start(user, { ...offered, knada_revision: 8 });
    assert.deepEqual(await messages(user), [
      'Server requested',
      "Spawn failed: profiles_not_synced: The hub still has revision 7 of the notebook's profiles, not 8, after 0.3 seconds. Try again in a minute.",
    ]);
    assert.partialDeepStrictEqual(await becomes(user, isStopped), { pending: null, started: null });
    assert.equal(await podOf(user), undefined);

    await start(user, { ...offered, knada_revision: 8 });
    await simulated.touchHubPod('8');
    await becomes(user, isReady);
    await stop(user);
  });

  it('simulated server: is refused with the profiles’ messages, which later progress requests receive too', async () => {
    const user = await add('refused');
    await start(user, { profile: 'own-image' });
    const refused =
      "Spawn failed: no_such_profile: 'own-image' is not offered any more. There are: python-3-13.";
    assert.equal((await messages(user)).at(-1), refused);
    assert.deepEqual(await messages(user), [refused], 'until it is started again');
    await start(user);
    await becomes(user, isReady);
    await stop(user);
  });

  it('simulated server: fails with the API server’s message when its pod is refused', async () => {
    const user = await add('unmade');
    const account = simulated.team.id;
    await simulated.client.delete('serviceaccounts', simulated.namespace, account);
    await start(user);
    const message = (await messages(user)).at(-1) ?? '';
    assert.match(message, /^Spawn failed: \(403\)\nReason: Forbidden\nHTTP response headers: /);
    assert.match(message, /HTTP response body: \{"kind":"Status",.*service account .* not found/);
    await simulated.client.create({
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: account, namespace: simulated.namespace },
    });

    await simulated.client.create({
      apiVersion: 'v1',
      kind: 'ResourceQuota',
      metadata: { name: 'compute', namespace: simulated.namespace },
      spec: { hard: { 'limits.cpu': '400m' } },
    });
    await start(user);
    assert.match(
      (await messages(user)).at(-1) ?? '',
      /exceeded quota: compute, requested: limits\.cpu=500m, used: limits\.cpu=0, limited: limits\.cpu=400m/,
    );
    await simulated.client.delete('resourcequotas', simulated.namespace, 'compute');
  });

  it('simulated server: accepts its user’s valid tokens only, not the service’s', async () => {
    const [user, other] = [await run('tokens'), await add('others')];
    const kernels = (bearer: string) => call('GET', `/user/${user}/api/kernels`, undefined, bearer);
    const mint = async (body: unknown, of = user) => {
      const { status, body: token } = await api('POST', `/users/${of}/tokens`, body);
      assert.equal(status, 201, JSON.stringify(token));
      return { id: asText(at(token, 'id')), secret: asText(at(token, 'token')) };
    };
    const scopes = [`access:servers!user=${user}`];
    const probe = await mint({ scopes, expires_in: 60, note: 'probe' });
    assert.partialDeepStrictEqual(await kernels(probe.secret), { status: 200, body: [] });
    const status = await call('GET', `/user/${user}/api/status`, undefined, probe.secret);
    assert.partialDeepStrictEqual(status, { status: 200, body: { kernels: 0 } });

    simulated.hubs.setBusy(simulated.team.slug, user, true);
    assert.partialDeepStrictEqual(await kernels(probe.secret), { body: [{ execution_state: 'busy' }] });

    const others = await mint({}, other);
    const narrow = await mint({ scopes: [`read:users!user=${user}`] });
    for (const bearer of [simulated.token, others.secret, narrow.secret, '', 'f'.repeat(32)]) {
      assert.partialDeepStrictEqual(await kernels(bearer), { status: 403, body: { message: 'Forbidden' } });
    }
    assert.equal((await call('GET', `/user/${user}/lab`, undefined, '')).status, 200, 'a page to look at');

    aheadMs += 61_000;
    assert.equal((await kernels(probe.secret)).status, 403, 'expired');
    const left = asList(at((await api('GET', `/users/${user}/tokens`)).body, 'api_tokens'));
    assert.ok(!left.some((token) => at(token, 'id') === probe.id), 'and forgotten');
    const second = await mint({ scopes });
    assert.equal((await kernels(second.secret)).status, 200);
    assert.equal((await api('DELETE', `/users/${user}/tokens/${second.id}`)).status, 204);
    assert.equal((await kernels(second.secret)).status, 403);
    assert.partialDeepStrictEqual(
      await api('DELETE', `/users/${user}/tokens/${second.id}`),
      refusal(404, `No such token ${second.id} for user ${user}`),
    );
    for (const [body, message] of [
      [{ scopes: ['access:everything'] }, `"Scope 'access:everything' for token does not exist"`],
      [
        { scopes: ['access:servers'] },
        'Not assigning requested scopes access:servers not held by User tokens',
      ],
      [{ expires_in: '60' }, 'token expires_in must be null or integer, not "60"'],
    ] as const) {
      assert.partialDeepStrictEqual(await api('POST', `/users/${user}/tokens`, body), refusal(400, message));
    }
    const reached = simulated.hubs.serverRequests().filter((request) => request.user === user);
    assert.ok(reached.some(({ headers }) => headers.authorization === `token ${simulated.token}`));
    await stop(user);
    const gone = await call('GET', `/user/${user}/api/kernels`, undefined, (await mint({ scopes })).secret);
    assert.equal(gone.status, 424, 'the hub answers for a server that does not run');
  });

  it('simulated server: counts proxied requests as activity, which can be set to any time', async () => {
    const { slug } = simulated.team;
    const user = await run('active');
    const lastActivity = async () => Date.parse(asText(at(await model(user), 'last_activity')));
    const past = new Date(Date.now() - 5 * hourMs).toISOString();
    simulated.hubs.setActivity(slug, user, past);
    simulated.hubs.setStarted(slug, user, past);
    assert.equal(await lastActivity(), Date.parse(past));
    assert.equal(Date.parse(asText(at(await model(user), 'started'))), Date.parse(past));
    await call('GET', `/user/${user}/lab`);
    await becomes(user, (server) => Date.parse(asText(at(server, 'last_activity'))) > Date.now() - hourMs);

    const reporting = (at: unknown) => api('POST', `/users/${user}/activity`, { last_activity: at });
    const ahead = new Date(Date.now() + aheadMs + 60 * 60_000).toISOString();
    assert.match(
      asText(at((await reporting(ahead)).body, 'message')),
      /^Rejecting activity from more than an hour in the future: /,
    );
    assert.partialDeepStrictEqual(await reporting('soon'), refusal(400, "Not a valid timestamp: 'soon'"));
    assert.equal((await api('POST', `/users/${user}/activity`, {})).status, 400);
    await stop(user);
  });

  it('simulated server: is controlled over HTTP, with a message for what is missing', async () => {
    const { port } = simulated.hubs;
    const control = async (method: string, path: string, body?: unknown) => {
      const response = await fetch(`http://127.0.0.1:${port}/_sandbox/${path}`, {
        method,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { status: response.status, body: parseJson(await response.text()) };
    };
    const user = await run('played');
    const nine = '2026-11-23T09:00:00.000Z';
    const settings = { lastActivityAt: nine, startedAt: nine, busyKernel: true };
    const expected = { status: 200, body: { running: true, ...settings } };
    assert.deepEqual(await control('PUT', `team-a/users/${user}`, settings), expected);
    assert.deepEqual(await control('GET', `team-a/users/${user}`), expected);
    for (const [method, path, body, status, message] of [
      ['PUT', 'team-b/users/played', settings, 404, 'No hub of team-b is running.'],
      ['PUT', 'team-a/users/nobody', settings, 404, 'The hub of team-a has no user nobody.'],
      ['PUT', 'team-a/users/played', { busy: true }, 400, /^The body is /],
      ['PUT', 'team-a/users/played', { lastActivityAt: 'soon' }, 400, /^The body is /],
      ['PUT', 'team-a/users/played', undefined, 400, 'The body is not JSON.'],
      ['DELETE', 'team-a/users/played', undefined, 405, 'Use GET or PUT.'],
      [
        'GET',
        'team-a',
        undefined,
        404,
        'Served here: /_sandbox/<slug>/users/<user>, /_sandbox/<slug>/hub and /_sandbox/clock.',
      ],
    ] as const) {
      const answer = await control(method, path, body);
      assert.equal(answer.status, status, path);
      const told = asText(at(answer.body, 'message'));
      if (typeof message === 'string') assert.equal(told, message);
      else assert.match(told, message);
    }
    await stop(user);
    assert.partialDeepStrictEqual(await control('PUT', `team-a/users/${user}`, { busyKernel: true }), {
      status: 409,
      body: { message: 'The server of played is not running.' },
    });
    assert.throws(() => simulated.hubs.setBusy('team-a', user, true), /is not running/);
  });

  it('simulated server: is refused when too many start at once', async () => {
    const [first, second] = [await add('first'), await add('second')];
    simulated.hubs.limitSpawns(simulated.team.slug, 1);
    const letStart = simulated.hubs.hold(simulated.team.slug, first, 'start');
    await start(first);
    const answer = await start(second);
    assert.equal(answer.status, 429);
    const message = asText(at(answer.body, 'message'));
    assert.match(message, /^Too many users trying to log in right now\. Try again in [3-6]0 seconds\.$/);
    const seconds = Number(answer.headers.get('retry-after'));
    assert.ok(seconds >= 30 && seconds <= 60, `${seconds}`);
    letStart();
    await becomes(first, isReady);
    assert.equal((await start(second)).status, 202);
    await becomes(second, isReady);
    simulated.hubs.limitSpawns(simulated.team.slug, 64);
    for (const user of [first, second]) await stop(user);
  });

  it('simulated server: is removed with its user and tokens; the home stays', async () => {
    const user = await run('leaver');
    const minted = await api('POST', `/users/${user}/tokens`, {});
    const token = asText(at(minted.body, 'token'));
    assert.equal((await api('GET', `/users/${user}`, undefined, token)).status, 200);
    assert.equal((await api('DELETE', `/users/${user}`)).status, 204);
    assert.equal(await podOf(user), undefined);
    assert.equal((await api('GET', `/users/${user}`)).status, 404);
    assert.equal((await api('GET', `/users/${user}`, undefined, token)).status, 403);
    const home = await simulated.client.get('persistentvolumeclaims', simulated.namespace, `claim-${user}`);
    assert.ok(home);
    await add(user);
    assert.equal(
      (await api('GET', `/users/${user}`, undefined, token)).status,
      403,
      'not even for a namesake',
    );
  });

  it('simulated server: is checked after a restart of the hub, running or stopped meanwhile', async () => {
    const [stays, goes, starts] = [await run('stays'), await run('goes'), await add('starts')];
    const letStart = simulated.hubs.hold(simulated.team.slug, starts, 'start');
    await start(starts);
    const pod = uidOf((await podOf(stays)) ?? assert.fail());
    await simulated.goAway();
    assert.equal((await call('GET', `/user/${stays}/lab`)).status, 200, 'who has it open works on');
    assert.equal((await api('GET', '/')).status, 503);
    const { client, namespace } = simulated;
    await client.delete('pods', namespace, `jupyter-${goes}`, { gracePeriodSeconds: 0 });
    await simulated.comeBack();
    const checked = await becomes(stays, (server) => at(server, 'pending') === 'check');
    assert.partialDeepStrictEqual(checked, { ready: false, stopped: false });
    assert.partialDeepStrictEqual(await start(stays), refusal(400, `${stays} is pending check`));
    assert.equal(at(await becomes(stays, isReady), 'started'), at(checked, 'started'));
    assert.equal(uidOf((await podOf(stays)) ?? assert.fail()), pod);
    await becomes(goes, isStopped);
    assert.partialDeepStrictEqual(await becomes(starts, isReady), { pending: null }, 'its pod came up');
    letStart();
    for (const user of [stays, starts]) await stop(user);
  });

  it('simulated server: keeps running while its hub is frozen, until the hub’s pod is replaced', async () => {
    const user = await run('frozen');
    const pod = uidOf((await podOf(user)) ?? assert.fail());
    simulated.hubs.freeze(simulated.team.slug);
    const asked = api('GET', `/users/${user}`).then(
      () => 'answered',
      () => 'cut off',
    );
    assert.equal(await Promise.race([asked, wait(100, 'hangs')]), 'hangs');
    assert.equal((await call('GET', `/user/${user}/lab`)).status, 200);
    await simulated.restartHub();
    assert.equal(await asked, 'cut off');
    await becomes(user, isReady);
    assert.equal(uidOf((await podOf(user)) ?? assert.fail()), pod, 'the notebook ran on');
    await stop(user);
  });
});

describe('a simulated notebook server in a cluster that cannot run it', () => {
  let simulated: SimulatedHub;
  const missing = new Set<string>();
  const { api, becomes, isReady, isStopped, start, add, messages, podOf } = speaking(() => simulated);
  before(async () => {
    simulated = await startSimulatedHub({
      timings: { ...timings, startMs: 400 },
      kubelet: {
        pullable: (image) => !missing.has(image),
        pullBackOffMs: 50,
        room: { cpu: 4, memory: 8 * 1024 ** 3 },
      },
    });
  });
  after(async () => {
    await simulated.close();
    assert.deepEqual(simulated.failures, []);
  });
  const image = `${environment.image}@${environment.digest}`;
  const waiting = async (user: string): Promise<Json> => {
    const [container] = asList(at(await podOf(user), 'status', 'containerStatuses'));
    return at(container, 'state', 'waiting') ?? null;
  };

  it('simulated server: fails when its image cannot be pulled, with the reason', async () => {
    const user = await add('pulls');
    missing.add(image);
    await start(user);
    const backedOff = await simulated.until('pods', async () => {
      const state = await waiting(user);
      return at(state, 'reason') === 'ImagePullBackOff' ? state : undefined;
    });
    assert.match(asText(at(backedOff, 'message')), /^Back-off pulling image ".*": ErrImagePull: rpc error: /);
    const told = await messages(user);
    assert.ok(told.some((line) => line.includes(`[Warning] Failed to pull image "${image}": rpc error:`)));
    assert.ok(told.some((line) => line.endsWith(`[Normal] Back-off pulling image "${image}"`)));
    const { namespace } = simulated;
    const failed = `Spawn failed: pod ${namespace}/jupyter-pulls did not start in 0.4 seconds!`;
    assert.equal(told.at(-1), failed);
    await becomes(user, isStopped);
    assert.equal(await podOf(user), undefined);
  });

  it('simulated server: starts when the image becomes available in time', async () => {
    const user = await add('patient');
    missing.add(image);
    await start(user);
    await simulated.until('pods', async () =>
      at(await waiting(user), 'reason') === 'ImagePullBackOff' ? true : undefined,
    );
    missing.clear();
    await becomes(user, isReady);
    assert.equal((await api('DELETE', `/users/${user}/server`)).status, 204);
  });

  it('simulated server: stops a start that cannot succeed', async () => {
    const user = await add('gives-up');
    missing.add(image);
    await start(user);
    await simulated.until('pods', async () => (isMap(await waiting(user)) ? true : undefined));
    assert.equal((await api('DELETE', `/users/${user}/server`)).status, 204);
    assert.equal(await podOf(user), undefined);
    missing.clear();
  });

  it('simulated server: stays unscheduled when it requests more than the node has', async () => {
    const user = await add('large');
    const cpu = { guarantee: 5, limit: 5 };
    await simulated.mount(8, { resources: { cpu, memory: { guarantee: '1Gi', limit: '1Gi' } } });
    await simulated.touchHubPod('8');
    await start(user, { ...offered, knada_revision: 8 });
    const condition = await simulated.until('pods', async () =>
      asList(at(await podOf(user), 'status', 'conditions')).find(
        (one) => at(one, 'type') === 'PodScheduled' && at(one, 'status') === 'False',
      ),
    );
    assert.equal(at(condition, 'reason'), 'Unschedulable');
    const told = await messages(user);
    assert.match(told[1] ?? '', /\[Warning\] 0\/1 nodes are available: 1 Insufficient cpu\. /);
    assert.match(told.at(-1) ?? '', /did not start in 0\.4 seconds!$/);
  });
});

describe('the simulated hubs’ database', () => {
  it('hub database: keeps users, tokens, options and running servers over a restart of the simulator', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'hubs-'));
    const simulated = await startSimulatedHub({ timings, file: join(folder, 'hubs.json') });
    const { api, becomes, isReady, run } = speaking(() => simulated);
    try {
      const user = await run('kari');
      const minted = await api('POST', `/users/${user}/tokens`, { note: 'kept' });
      await simulated.restartSimulator();
      const token = asText(at(minted.body, 'token'));
      assert.equal((await api('GET', `/users/${user}`, undefined, token)).status, 200);
      assert.deepEqual(at(await becomes(user, isReady), 'user_options'), stored);
    } finally {
      await simulated.close();
      await rm(folder, { recursive: true });
    }
  });
});

describe('the simulated JupyterHub 6', () => {
  let simulated: SimulatedHub;
  const { api, becomes, isReady, add } = speaking(() => simulated);
  before(async () => {
    simulated = await startSimulatedHub({ timings, hubVersion: '6.1.1' });
  });
  after(() => simulated.close());

  it('JupyterHub 6: accepts user_options as a field or as the whole body, and none from an empty body', async () => {
    const user = await add('kari');
    const options = async (body?: unknown) => {
      const { status, headers } = await api('POST', `/users/${user}/server`, body);
      assert.deepEqual([status, headers.get('x-jupyterhub-version')], [202, '6.1.1']);
      const server = await becomes(user, isReady);
      assert.equal(at(server, 'display_name'), '');
      await api('DELETE', `/users/${user}/server`);
      return at(server, 'user_options');
    };
    assert.deepEqual(await options({ user_options: { ...offered, size: 'large' } }), {
      ...stored,
      size: 'large',
    });
    assert.deepEqual(await options({}), { ...stored, size: 'large' });
    assert.deepEqual(await options({ display_name: 'mine' }), { ...stored, size: 'large' });
    assert.deepEqual(await options({ profile: 'python-3-13' }), stored);
    const { status, body } = await api('POST', `/users/${user}/server`, { user_options: 'large' });
    assert.deepEqual([status, at(body, 'message')], [400, 'user_options must be an object or null']);
    assert.partialDeepStrictEqual(await api('GET', `/users/${user}/server`), {
      status: 200,
      body: { full_name: 'kari/', stopped: true },
    });
  });
});
