import assert from 'node:assert/strict';
import { it } from 'node:test';
import {
  added,
  type HubUnderTest,
  isUnavailable,
  newUserName,
  running,
  signal,
  start,
  stop,
  stopped,
  until,
} from './hub-under-test.ts';

export const availabilityContract = (open: () => Promise<HubUnderTest>): void => {
  it('is unavailable with a wrong token, and the error does not contain it', async () => {
    const hub = await open();
    const wrong = 'f'.repeat(64);
    const hubs = hub.withTokens([wrong]);
    const refused = (error: unknown) => {
      isUnavailable(error);
      assert.match(String(error), /token/);
      assert.ok(!String(error).includes(wrong));
      return true;
    };
    await assert.rejects(hubs.users(hub.team, signal()), refused);
    await assert.rejects(start({ ...hub, hubs }, newUserName()), refused);
  });

  it('uses the older token until the hub accepts the newer one', async () => {
    const hub = await open();
    const name = await added(hub);
    const hubs = hub.withTokens(['e'.repeat(64), hub.token]);
    assert.equal((await hubs.user(hub.team, name, signal()))?.name, name);
    assert.equal(await hubs.removeUser(hub.team, name, signal()), 'removed');
  });

  it('is unavailable while it is down, and never shows a running server as stopped afterwards', async () => {
    const hub = await open();
    const { hubs, team } = hub;
    const name = await added(hub);
    await running(hub, name);
    await hub.goAway();
    await assert.rejects(hubs.users(team, signal()), isUnavailable);
    await assert.rejects(hubs.user(team, name, signal()), isUnavailable);
    await assert.rejects(stop(hub, name), isUnavailable);
    await hub.comeBack();
    const server = await until(hub, 'the hub knows the server again', async () => {
      const found = await hubs.user(team, name, signal()).catch(isUnavailable);
      if (found === true) return undefined;
      assert.ok(found?.server, 'the hub forgot the person');
      assert.equal(found.server.stopped, false);
      return found.server.ready ? found.server : undefined;
    });
    assert.equal(server.pending, null);
    await stopped(hub, name);
  });
};
