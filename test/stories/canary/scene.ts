import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { isReady } from '@knada/simulators/cluster/kubelet.ts';
import { NotThere } from '@knada/simulators/hubs/control.ts';
import { cull } from '../../../src/culling/cull.ts';
import { refreshHosts } from '../../../src/egress/addresses.ts';
import { reconcileRuns } from '../../../src/egress/airflow-runs.ts';
import { forEachConcurrently } from '../../../src/lib/concurrency.ts';
import type { TeamRecord } from '../../../src/model/record.ts';
import { hubSecretName } from '../../../src/notebooks/keys.ts';
import { refresh } from '../../../src/reconcile/refresh.ts';
import { tick } from '../../../src/reconcile/tick.ts';
import { admins, creators, kari } from '../../support/api.ts';
import { aReview } from '../../support/reviews.ts';
import { listen, lookAtGoogle, lookIntoStore } from './evidence.ts';
import { failures, registryFailures } from './failures.ts';
import {
  type Broken,
  brokenRequests,
  ending,
  type Fields,
  healthy,
  initOf,
  isHarmless,
  members,
  type Operation,
  ofServers,
  post,
  readOperations,
  urlOf,
} from './operations.ts';
import { admissionSecret, evidence, payload } from './planted.ts';
import type { World } from './world.ts';

/** Uses every operation, then once more with each outside system failing; returns what happened. */
export const playScene = async (world: World) => {
  const token = await world.issuer.token({ preferred_username: kari, groups: [...admins, ...creators] });
  const operations = readOperations(world.document);
  const teams = Object.entries(failures).flatMap(([system, ways]) =>
    Object.entries(ways).map(([how, mischief], n) => ({ slug: `${system}-${n}`, system, how, mischief })),
  );
  const everybody = [healthy, ...teams.map(({ slug }) => slug)];
  let passes = 0;
  /** Teams and registries for which a failure was injected. */
  const troubled = new Set<string>();
  /** Status codes by operation id and slug. */
  const answers = new Map<string, Map<string, number>>();
  /** The teams as first created, by slug. */
  const records = new Map<string, TeamRecord>();
  /** A token signed by a key that could not be fetched. */
  let unverified = '';
  /** The latest operation on a server of each team. */
  const latest = new Map<string, string>();

  /** Sends one request and keeps every byte of the response; a stream is read for a moment. */
  const send = async (
    what: string,
    method: string,
    path: string,
    init: { readonly headers?: Fields; readonly body?: string } = {},
  ): Promise<{ status: number; body: string }> => {
    const { headers = {}, body } = init;
    const isStream = /\/events(?:\?|$)/.test(path);
    const deadline = AbortSignal.timeout(isStream ? 400 : 30_000);
    let answer = { status: 0, body: '' };
    let head = '';
    try {
      const response = await fetch(`${world.url}${path}`, {
        method,
        redirect: 'manual',
        signal: deadline,
        headers: { authorization: `Bearer ${token}`, ...headers },
        ...(body !== undefined && { body }),
      });
      head = JSON.stringify([response.status, response.statusText, ...response.headers]);
      answer = { status: response.status, body: '' };
      const decoder = new TextDecoder();
      const stream: AsyncIterable<Uint8Array> | null = response.body;
      if (stream !== null)
        for await (const chunk of stream) answer.body += decoder.decode(chunk, { stream: true });
    } catch (error) {
      assert.ok(isStream && deadline.aborted, `${what}: ${String(error)}`);
    }
    evidence.push({ where: `response to ${what}`, text: `${head}\n${answer.body}` });
    return answer;
  };

  /** Sends an operation as documented. */
  const use = async (operation: Operation, team: string): Promise<void> => {
    const { id, method } = operation;
    const { status: code, body } = await send(
      `${id} of ${team}`,
      method,
      urlOf(operation, team, latest),
      initOf(operation, team),
    );
    if (ofServers.includes(id) && code === 202) latest.set(team, JSON.parse(body).id);
    answers.set(id, (answers.get(id) ?? new Map<string, number>()).set(team, code));
  };
  const operation = (id: string): Operation => {
    const found = operations.find((one) => one.id === id);
    assert.ok(found, id);
    return found;
  };

  const until = async (what: string, look: () => Promise<boolean>): Promise<void> => {
    const end = Date.now() + 120_000;
    while (!(await look())) {
      assert.ok(Date.now() < end, `${what}: timed out`);
      await sleep(100);
    }
  };
  const teamNow = async (slug: string) => {
    const team = await world.store.team(slug);
    assert.ok(team, slug);
    return team;
  };

  const admission = async (path: string, body: Uint8Array) => {
    const answer = await world.parted.admission({ method: 'POST', path, body });
    evidence.push({ where: 'an answer to the API server', text: JSON.stringify(answer) });
  };
  /** Runs the functions, with servers that are due for culling and kernels that are busy. */
  const functions = async (): Promise<void> => {
    const { parted, hubs } = world;
    // Hubs that did not answer are not asked again for a while.
    passes += 1;
    for (const slug of everybody) {
      try {
        hubs.setBusy(slug, 'kari', true);
        const before = new Date(Date.now() - 7_200_000).toISOString();
        hubs.setStarted(slug, 'kari', before);
        hubs.setActivity(slug, 'kari', before);
      } catch (error) {
        // Her server is not running: an injected failure prevented it.
        assert.ok(error instanceof NotThere);
      }
    }
    const left = await Promise.all(everybody.map((slug) => world.store.team(slug)));
    const labels = { component: 'singleuser-server', app: 'jupyterhub' };
    const reviews = left.flatMap((team) =>
      team === undefined
        ? []
        : Buffer.from(JSON.stringify(aReview({ namespace: team.names.namespace, labels }))),
    );
    await Promise.allSettled([
      refreshHosts(parted.addresses),
      tick(parted.tick),
      reconcileRuns(parted.runs),
      cull({ ...parted.cull, clock: { now: () => Date.now() + passes * 3_600_000 } }),
      refresh(parted.refresh),
      ...reviews.map((review) => admission(`/${admissionSecret}`, review)),
      admission(`/${admissionSecret}`, Buffer.from(`{"request": "${payload}`)),
      ...reviews.slice(0, 1).map((review) => admission(`/${payload}`, review)),
    ]);
  };

  /** A team with its notebook ready, Kari’s server running, and two versions of its secret. */
  const ready = async (slug: string): Promise<void> => {
    const order = { slug, members, garTeam: slug };
    assert.equal((await send('createTeam', 'POST', '/v1/teams', post(order))).status, 201, slug);
    await use(operation('putNotebook'), slug);
    const { namespace } = (await teamNow(slug)).names;
    await until(`the hub of ${slug} was awaited`, async () => {
      const pods = await world.client.list('pods', { namespace, labelSelector: 'component=hub' });
      return pods.some(isReady);
    });
    await until(`the notebook of ${slug} was awaited`, async () => {
      await world.parted.deps.reconcile(await teamNow(slug));
      return (await teamNow(slug)).status.phase === 'Ready';
    });
    const secret = `/v1/teams/${slug}/secret/versions`;
    const encoded = { dataBase64: Buffer.from(payload).toString('base64') };
    for (const body of [{ data: payload }, encoded]) {
      const { status: code, body: said } = await send('addSecretVersion', 'POST', secret, post(body));
      assert.equal(code, 201, said);
    }
    await use(operation('startServer'), slug);
    await until(`the server of ${slug} was awaited`, async () => {
      const { status: code, body } = await send('listServers', 'GET', `/v1/teams/${slug}/servers`);
      if (code !== 200) return false;
      const items: readonly { user: string; state: string }[] = JSON.parse(body).items;
      return items.some(({ user, state }) => user === 'kari' && state === 'running');
    });
  };

  /** Sends bytes that are not an HTTP request, on a connection of their own. */
  const sendBytes = async (bytes: string): Promise<void> => {
    const socket = connect(world.port, '127.0.0.1');
    socket.end(bytes);
    evidence.push({ where: 'the answer to malformed HTTP', text: await text(socket) });
  };

  /** Waits until the team’s operation has ended. */
  const settled = (team: string): Promise<void> =>
    until(`the operation of ${team} was awaited`, async () => {
      await world.parted.tick.advanceOperations();
      const known = await world.store.operation(team, latest.get(team) ?? '');
      return known === undefined || known.outcome !== null;
    });

  /** Uses every operation without any failure. */
  const useAll = async (): Promise<void> => {
    await Promise.all(operations.filter(isHarmless).map((one) => use(one, healthy)));
    for (const id of ofServers) {
      await use(operation(id), healthy);
      await settled(healthy);
    }
  };

  const sendBroken = async (): Promise<void> => {
    for (const one of operations) {
      const send1 = ([what, url, init]: Broken) => send(`${one.id} with ${what}`, one.method, url, init);
      await Promise.all(brokenRequests(one, token, latest).map(send1));
    }
    await sendBytes(`GET /${payload} HTTP/9.9\r\n\r\n`);
    const endless = `Bearer ${payload.repeat(1_000)}`;
    await sendBytes(`GET /livez HTTP/1.1\r\nhost: x\r\nauthorization: ${endless}\r\n\r\n`);
  };

  /** Watches a start whose hub reports a false failure. */
  const followStart = async (): Promise<void> => {
    const { slug = '' } = teams.find(({ how }) => how === 'reports a failed start') ?? {};
    await use(operation('stopServer'), slug);
    await settled(slug);
    const release = world.hubs.hold(slug, 'kari', 'start');
    await use(operation('startServer'), slug);
    await until('progress was awaited', async () => {
      await use(operation('watchOperation'), slug);
      return troubled.has(slug);
    });
    release();
  };

  /** Uses every team operation and the functions while each team has one failing outside system. */
  const useWithTrouble = async (): Promise<void> => {
    for (const system of ['kubernetes', 'google', 'hubs'] as const) {
      const concerned = teams.filter((one) => one.system === system);
      world.mirrors[system].set((seen) => {
        const met = concerned.find(
          ({ slug }) => seen.quoted.includes(`${slug}-`) || seen.url.includes(`/${slug}/`),
        );
        const done = met?.mischief(seen);
        if (met !== undefined && done !== undefined) troubled.add(met.slug);
        return done;
      });
    }
    // Deleted by someone else; it is created again.
    const { slug: refused = '' } = teams.find(({ how }) => how === 'refuses the secret of the hub') ?? {};
    await world.client.delete('secrets', (await teamNow(refused)).names.namespace, hubSecretName);
    const harmless = operations.filter(isHarmless).filter(({ path }) => path.includes('{team}'));
    // Before the requests, which change when a server is due for culling.
    await functions();
    // Few at a time: all requests share one process, and each has a deadline.
    await forEachConcurrently(teams, 6, ({ slug }) =>
      forEachConcurrently(harmless, 6, (one) => use(one, slug)),
    );
    await followStart();
    await Promise.all(teams.map(({ slug }) => Promise.all(ofServers.map((id) => use(operation(id), slug)))));
    for (const { id } of records.values()) lookAtGoogle(world, id);
    await Promise.all(
      everybody.map(async (slug) => {
        for (const id of ending) await use(operation(id), slug);
      }),
    );
    for (const name of ['pypi.org', 'data.ssb.no']) world.dns.fail(name);
    await functions();
  };

  const useWithoutRegistries = async (): Promise<void> => {
    // The image’s name selects the failure; other requests get each failure in turn.
    const ways = Object.entries(registryFailures);
    let turn = 0;
    world.mirrors.registries.set(({ url, ...seen }) => {
      turn += 1;
      const way = ways.find(([how]) => url.includes(how)) ?? ways[turn % ways.length];
      troubled.add(way?.[0] ?? '');
      return way?.[1]({ url, ...seen });
    });
    const images = ways.flatMap(([how]) => [
      `ghcr.io/navikt/${how}:1`,
      `europe-north1-docker.pkg.dev/nais-management-233d/${healthy}/${how}:1`,
    ]);
    await Promise.all([
      ...images.map((wanted) =>
        send(
          `resolveImage of ${wanted}`,
          'POST',
          '/v1/images/resolve',
          post({ image: wanted, team: 'plain' }),
        ),
      ),
      refresh(world.parted.refresh),
    ]);
  };

  const useWithoutStore = async (): Promise<void> => {
    world.breakStore(true);
    await Promise.all([...operations.map((one) => use(one, 'nobody')), functions()]);
    world.breakStore(false);
  };

  const useWithoutIssuer = async (): Promise<void> => {
    await world.issuer.roll();
    world.issuer.goAway(true);
    unverified = await world.issuer.token({ preferred_username: kari });
    const headers = { authorization: `Bearer ${unverified}` };
    const { status: code } = await send('listTeams without keys', 'GET', '/v1/teams', { headers });
    assert.equal(code, 503);
  };

  listen(world);
  await refresh(world.parted.refresh);
  for (const slug of ['idle', 'plain']) {
    const { status: code } = await send(
      'createTeam',
      'POST',
      '/v1/teams',
      post({ slug, members, garTeam: healthy }),
    );
    assert.equal(code, 201, slug);
  }
  await forEachConcurrently(everybody, 4, ready);
  for (const slug of everybody) records.set(slug, await teamNow(slug));

  await useAll();
  await sendBroken();
  await useWithTrouble();
  await useWithoutRegistries();
  await useWithoutStore();
  await useWithoutIssuer();
  lookIntoStore(world);
  // What is still running ends, and is logged.
  await world.app.close();
  return { token, unverified, operations, teams, records, troubled, answers };
};
