import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import type { Server } from '../../src/model/server.ts';
import { assertProblem, creators, kari, openApi } from '../support/api.ts';
import { scriptedHub } from '../support/hubs.ts';

const api = await openApi();
after(() => api.close());
const asKari = api.asPerson(kari, creators);
const ola = 'ola.nordmann@nav.no';

interface Event {
  readonly event: string;
  readonly data: { readonly items: readonly Server[]; readonly nextCursor: null };
}

const aTeam = async () => {
  const team = await api.newTeam({ members: [{ email: kari }, { email: ola, username: 'ola' }] });
  api.outside.pinImage = async (reference) => ({
    reference,
    digest: `sha256:${'a'.repeat(64)}`,
    resolvedAt: api.now(),
    newerDigest: null,
  });
  assert.equal((await asKari.put(`${team}/notebook`, { image: 'ghcr.io/navikt/x:1' })).statusCode, 201);
  const hub = scriptedHub({ clock: { now: () => Date.parse(api.now()) }, team: await api.record(team) });
  await hub.add(kari, 'ola');
  let asked = 0;
  const users: typeof hub.hubs.users = (...given) => {
    asked += 1;
    return hub.hubs.users(...given);
  };
  Object.assign(api.outside, { hubs: { ...hub.hubs, users }, cluster: hub.cluster });
  return {
    team,
    hub,
    asked: () => asked,
    pass(seconds: number) {
      api.advance(seconds * 1_000);
      hub.settle();
    },
  };
};

const listening = api.app.listen({ host: '127.0.0.1', port: 0 });

/** Opens the stream as a browser does. `next` resolves with the next event, and with undefined once the stream has ended. */
const watch = async (team: string, email = kari) => {
  const gone = new AbortController();
  const token = await api.issuer.token({ preferred_username: email });
  const answer = await fetch(`${await listening}${team}/servers/events`, {
    headers: { authorization: `Bearer ${token}` },
    signal: AbortSignal.any([gone.signal, AbortSignal.timeout(30_000)]),
  });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get('content-type'), 'text/event-stream');
  const events = (async function* (): AsyncGenerator<Event> {
    let text = '';
    for await (const part of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      const frames = `${text}${part}`.split('\n\n');
      text = frames.pop() ?? '';
      for (const frame of frames) {
        const [, event = '', data = ''] = /^event: (\w+)\ndata: (.+)$/m.exec(frame) ?? [];
        if (event !== '') yield { event, data: JSON.parse(data) };
      }
    }
  })();
  return {
    next: async (): Promise<Event | undefined> => (await events.next()).value ?? undefined,
    leave: () => gone.abort(),
  };
};

const states = (event: Event | undefined) => {
  assert.equal(event?.event, 'servers');
  return event?.data.items.map(({ user, state }) => `${user} ${state}`);
};

describe('watchServers', () => {
  it('sends every server first, and all of them again after a change, wherever it was made', async () => {
    const scene = await aTeam();
    const stream = await watch(scene.team);
    const first = await stream.next();
    assert.deepEqual(states(first), [`${kari} stopped`, 'ola stopped']);
    assert.deepEqual(first?.data, (await asKari.get(`${scene.team}/servers`)).json());

    // At the hub’s own page.
    scene.hub.run('ola');
    scene.pass(2);
    assert.deepEqual(states(await stream.next()), [`${kari} stopped`, 'ola running']);

    const { id } = (await asKari.post(`${scene.team}/servers/${encodeURIComponent(kari)}/start`)).json();
    scene.pass(1);
    const starting = await stream.next();
    assert.equal(starting?.data.items[0]?.operation, id);
    stream.leave();
  });

  it('asks the hub once a second, however many watch, and not for a stream that was left', async () => {
    const scene = await aTeam();
    const streams = await Promise.all(Array.from({ length: 5 }, () => watch(scene.team)));
    await Promise.all(streams.map(({ next }) => next()));
    assert.equal(scene.asked(), 1, 'the clock stands still');
    scene.hub.run(kari);
    scene.pass(2);
    const seen = await Promise.all(streams.map(({ next }) => next()));
    for (const event of seen) assert.deepEqual(states(event), [`${kari} running`, 'ola stopped']);
    assert.equal(scene.asked(), 2);
    for (const { leave } of streams) leave();
    const asked = scene.asked();
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    scene.pass(2);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    assert.equal(scene.asked(), asked);
  });

  it('says nothing while neither hub nor cluster answers, and goes on afterwards', async () => {
    const scene = await aTeam();
    const stream = await watch(scene.team);
    await stream.next();
    scene.hub.goAway();
    scene.hub.clusterGoesAway();
    const before = scene.asked();
    const next = stream.next();
    while (scene.asked() < before + 2) {
      scene.pass(2);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    scene.hub.comeBack();
    scene.hub.run('ola');
    while (
      (await Promise.race([next, new Promise((resolve) => setTimeout(resolve, 50, 'pending'))])) === 'pending'
    )
      scene.pass(2);
    assert.deepEqual(states(await next), [`${kari} stopped`, 'ola running']);
    stream.leave();
  });

  it('answers hub_unavailable when neither the hub nor the cluster answers the first request', async () => {
    const scene = await aTeam();
    scene.hub.goAway();
    scene.hub.clusterGoesAway();
    assertProblem(await asKari.get(`${scene.team}/servers/events`), 'hub_unavailable');
  });

  it('ends with deleted when the notebook is gone, and for a member who was removed', async () => {
    const scene = await aTeam();
    const { slug } = await api.record(scene.team);
    const [stream, olas] = await Promise.all([watch(scene.team), watch(scene.team, ola)]);
    await Promise.all([stream.next(), olas.next()]);
    await api.store.change(slug, (current) => ({
      next: { ...current, members: current.members.filter(({ email }) => email === kari) },
    }));
    scene.pass(2);
    assert.deepEqual(states(await stream.next()), [`${kari} stopped`]);
    assert.equal((await olas.next())?.event, 'reconnect');
    assert.equal(await olas.next(), undefined);
    await api.store.change(slug, (current) => ({ next: { ...current, notebook: null } }));
    assert.equal((await stream.next())?.event, 'deleted');
    assert.equal(await stream.next(), undefined);
  });

  it('needs a notebook, and is nothing to a stranger', async () => {
    const bare = await api.newTeam();
    assertProblem(await asKari.get(`${bare}/servers/events`), 'notebook_not_ordered');
    const stranger = api.asPerson('stranger@nav.no');
    assertProblem(await stranger.get(`${bare}/servers/events`), 'not_found');
  });
});
