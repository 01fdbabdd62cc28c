import assert from 'node:assert/strict';
import { it } from 'node:test';
import {
  added,
  becomes,
  type HubUnderTest,
  isUnavailable,
  running,
  serverOf,
  signal,
  stopped,
} from './hub-under-test.ts';

export const activityContract = (open: () => Promise<HubUnderTest>): void => {
  it('moves the last activity when the notebook is used', async () => {
    const hub = await open();
    const name = await added(hub);
    await running(hub, name);
    await hub.letTimePass(2000);
    const before = hub.now();
    await hub.use(name);
    // JupyterHub may report an earlier time: it keeps what the proxy saw, not when the proxy reported it.
    await becomes(
      hub,
      name,
      'used',
      ({ lastActivityAt }) => Date.parse(lastActivityAt ?? '') >= before - 500,
    );
    await stopped(hub, name);
  });

  it('moves reported activity forward only, and rejects it far in the future', async () => {
    const hub = await open();
    const { hubs, team } = hub;
    const name = await added(hub);
    await running(hub, name);
    const minutes = (count: number): string => new Date(hub.now() + count * 60_000).toISOString();
    const [ahead, before, tooFar] = [minutes(45), minutes(-45), minutes(90)];
    const lastActivity = async () => Date.parse((await serverOf(hub, name))?.lastActivityAt ?? '');
    await hubs.reportActivity(team, name, ahead, signal());
    assert.equal(await lastActivity(), Date.parse(ahead));
    await hubs.reportActivity(team, name, before, signal());
    assert.equal(await lastActivity(), Date.parse(ahead));
    await assert.rejects(hubs.reportActivity(team, name, tooFar, signal()), RangeError);
    assert.equal(await lastActivity(), Date.parse(ahead));
    await stopped(hub, name);
  });

  it('counts a stop as activity, so the product keeps the last activity before it', async () => {
    const hub = await open();
    const name = await added(hub);
    await running(hub, name);
    await hub.letTimePass(2000);
    const before = hub.now();
    const { lastActivityAt } = await stopped(hub, name);
    assert.ok(Date.parse(lastActivityAt ?? '') >= before - 1000, `${lastActivityAt}`);
  });

  it('distinguishes a busy kernel from an idle one, and deletes the token that it used', async () => {
    const hub = await open();
    const { hubs, team, token } = hub;
    const name = await added(hub);
    await running(hub, name);
    assert.equal(await hubs.isBusy(team, name, signal()), false, 'without a kernel');
    await hub.setBusy(name, true);
    const [notes, requests] = [await hub.tokenNotes(name), await hub.notebookRequests(name)];
    assert.equal(await hubs.isBusy(team, name, signal()), true);
    assert.deepEqual(await hub.tokenNotes(name), notes);
    const probes = (await hub.notebookRequests(name)).slice(requests.length);
    assert.ok(
      probes.some(({ path }) => path.endsWith('/api/kernels')),
      'the server itself was asked',
    );
    await hub.setBusy(name, false);
    assert.equal(await hubs.isBusy(team, name, signal()), false, 'with a kernel that waits');

    await hubs.reportActivity(team, name, new Date(hub.now()).toISOString(), signal());
    await stopped(hub, name);
    const text = JSON.stringify(await hub.notebookRequests(name));
    assert.ok(!text.includes(token), 'our token reached a notebook');
  });

  it('reports no kernel activity for a stopped server', async () => {
    const hub = await open();
    const name = await added(hub);
    await assert.rejects(hub.hubs.isBusy(hub.team, name, signal()), isUnavailable);
    assert.deepEqual(await hub.tokenNotes(name), []);
  });
};
