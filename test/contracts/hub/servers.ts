import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { HubUser } from '../../../src/ports/hubs.ts';
import {
  added,
  becomes,
  type HubUnderTest,
  isReady,
  isStopped,
  newUserName,
  passing,
  progressOf,
  refusalOf,
  running,
  serverOf,
  signal,
  start,
  stop,
  stopped,
} from './hub-under-test.ts';

export const serversContract = (open: () => Promise<HubUnderTest>): void => {
  it('starts a server and reports its progress until it is ready', async () => {
    const hub = await open();
    const { offered } = hub;
    const name = await added(hub);
    const before = hub.now();
    assert.equal(await start(hub, name), 'starting');
    const lines = await passing(hub, progressOf(hub, name));
    assert.ok(lines.every(({ progress }) => progress >= 0 && progress <= 100));
    assert.deepEqual(lines.at(-1)?.progress, 100);
    assert.deepEqual(
      lines.map(({ outcome }) => outcome).filter((outcome) => outcome !== undefined),
      ['ready'],
    );
    assert.equal(lines.at(-1)?.outcome, 'ready');

    const server = await serverOf(hub, name);
    assert.ok(server !== null);
    const { startedAt, lastActivityAt, ...rest } = server;
    const { profile, chosenAt: profileChosenAt } = offered;
    assert.deepEqual(rest, { ready: true, stopped: false, pending: null, profile, profileChosenAt });
    // The hub’s clock may round, and JupyterHub keeps no milliseconds in some databases.
    assert.ok(Date.parse(startedAt ?? '') >= before - 1000, `started ${startedAt}`);
    assert.ok(lastActivityAt === null || !Number.isNaN(Date.parse(lastActivityAt)));
    await stopped(hub, name);
  });

  it('lists as active exactly the users with a running or pending server', async () => {
    const hub = await open();
    const { hubs, team } = hub;
    const [runs, starts, neverStarted] = [await added(hub), await added(hub), await added(hub)];
    const release = await hub.hold(starts, 'start');
    await running(hub, runs);
    await start(hub, starts);
    await becomes(hub, starts, 'starting', ({ pending }) => pending === 'spawn');
    const active = new Map<string, HubUser>();
    for (const user of await hubs.users(team, signal(), { active: true })) active.set(user.name, user);
    assert.equal(active.get(runs)?.server?.ready, true);
    assert.equal(active.get(starts)?.server?.pending, 'spawn');
    assert.equal(active.has(neverStarted), false);
    await release();
    await becomes(hub, starts, 'ready', isReady);
    await stopped(hub, runs);
    await stopped(hub, starts);
    const left = (await hubs.users(team, signal(), { active: true })).map(({ name }) => name);
    assert.ok(!left.includes(runs) && !left.includes(starts));
    const all = await hubs.users(team, signal());
    assert.equal(all.find(({ name }) => name === runs)?.server?.stopped, true);
  });

  it('reports a server as ready when its progress is requested after the start', async () => {
    const hub = await open();
    const name = await added(hub);
    await running(hub, name);
    const lines = await passing(hub, progressOf(hub, name));
    assert.deepEqual(
      lines.map(({ progress, outcome }) => ({ progress, outcome })),
      [{ progress: 100, outcome: 'ready' }],
    );
    await stopped(hub, name);
  });

  it('reports no progress of a server that is not starting', async () => {
    const hub = await open();
    const name = await added(hub);
    assert.deepEqual(await passing(hub, progressOf(hub, name)), []);
    assert.deepEqual(await passing(hub, progressOf(hub, newUserName())), []);
  });

  it('refuses to start a running server', async () => {
    const hub = await open();
    const name = await added(hub);
    await running(hub, name);
    assert.equal(refusalOf(await start(hub, name)), 'already_running');
    await stopped(hub, name);
  });

  it('treats a second start as the pending one', async () => {
    const hub = await open();
    const name = await added(hub);
    const release = await hub.hold(name, 'start');
    assert.equal(await start(hub, name), 'starting');
    assert.equal(await start(hub, name), 'starting');
    await release();
    const { startedAt } = await becomes(hub, name, 'ready', isReady);
    assert.ok(startedAt !== null);
    await stopped(hub, name);
  });

  it('refuses to start or stop for an unknown user', async () => {
    const hub = await open();
    const name = newUserName();
    assert.equal(refusalOf(await start(hub, name)), 'no_such_user');
    assert.equal(refusalOf(await stop(hub, name)), 'no_such_user');
  });

  it('reports why a start failed, and starts again afterwards', async () => {
    const hub = await open();
    const name = await added(hub);
    await hub.failNextStart(name, 'There is no room for this notebook.');
    assert.equal(await start(hub, name), 'starting');
    const lines = await passing(hub, progressOf(hub, name));
    assert.equal(lines.at(-1)?.outcome, 'failed');
    assert.match(lines.at(-1)?.message ?? '', /There is no room for this notebook\./);
    await becomes(hub, name, 'stopped', isStopped);
    await running(hub, name);
    await stopped(hub, name);
  });

  it('stops a server; a second stop changes nothing', async () => {
    const hub = await open();
    const name = await added(hub);
    await running(hub, name);
    const server = await stopped(hub, name);
    assert.equal(server.ready, false);
    assert.equal(server.startedAt, null);
    assert.equal(await passing(hub, stop(hub, name)), 'stopped');
  });

  it('stops nothing for a user who never started a server', async () => {
    const hub = await open();
    const name = await added(hub);
    assert.equal(await passing(hub, stop(hub, name)), 'stopped');
  });

  it('reports a slow server as stopping, accepts a second stop, and refuses a start meanwhile', async () => {
    const hub = await open();
    const name = await added(hub);
    await running(hub, name);
    const release = await hub.hold(name, 'stop');
    assert.equal(await passing(hub, stop(hub, name)), 'stopping');
    const server = await becomes(hub, name, 'stopping', ({ pending }) => pending === 'stop');
    assert.equal(server.ready, false);
    assert.equal(server.stopped, false);
    assert.equal(await passing(hub, stop(hub, name)), 'stopping');
    assert.equal(refusalOf(await start(hub, name)), 'pending_stop');
    assert.equal(await passing(hub, hub.hubs.removeUser(hub.team, name, signal())), 'stopping');
    await release();
    await becomes(hub, name, 'stopped', isStopped);
  });

  it('cancels a pending start, and its progress stream ends', async () => {
    const hub = await open();
    const name = await added(hub);
    const release = await hub.hold(name, 'start');
    assert.equal(await start(hub, name), 'starting');
    const server = await becomes(hub, name, 'starting', ({ pending }) => pending === 'spawn');
    assert.equal(server.ready, false);
    assert.equal(server.stopped, false);
    const followed = progressOf(hub, name);
    await stopped(hub, name);
    await release();
    // JupyterHub 5 and 6 may call it ready: for a second, what was cancelled is not pending and not yet stopped. So the
    // outcome says that the start is over; what became of it, the server does.
    const lines = await passing(hub, followed);
    assert.notEqual(lines.at(-1)?.outcome, undefined);
    assert.equal((await serverOf(hub, name))?.stopped, true);
  });

  it('restarts a server: the new one has a later start', async () => {
    const hub = await open();
    const name = await added(hub);
    const first = await running(hub, name);
    await stopped(hub, name);
    await hub.letTimePass(1000);
    const second = await running(hub, name);
    assert.ok(Date.parse(second.startedAt ?? '') > Date.parse(first.startedAt ?? ''));
    await stopped(hub, name);
  });
};
