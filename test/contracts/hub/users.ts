import assert from 'node:assert/strict';
import { it } from 'node:test';
import { hubScopes } from '../../../src/notebooks/values.ts';
import { added, type HubUnderTest, newUserName, passing, running, signal, until } from './hub-under-test.ts';

export const usersContract = (open: () => Promise<HubUnderTest>): void => {
  it('reports the hub’s version', async () => {
    const { hubs, team, major } = await open();
    assert.match(await hubs.version(team, signal()), new RegExp(`^${major}\\.[0-9]+\\.`));
  });

  it('grants the service exactly the scopes that the product requests', async () => {
    const { scopes } = await open();
    assert.deepEqual(scopes.toSorted(), hubScopes.toSorted());
  });

  it('adds a user once and reports it the second time', async () => {
    const { hubs, team } = await open();
    const name = newUserName();
    assert.equal(await hubs.user(team, name, signal()), undefined);
    assert.equal(await hubs.addUser(team, name, signal()), 'added');
    assert.equal(await hubs.addUser(team, name, signal()), 'exists');
    assert.deepEqual(await hubs.user(team, name, signal()), { name, server: null });
  });

  it('removes a user once and reports it the second time', async () => {
    const hub = await open();
    const { hubs, team } = hub;
    const name = await added(hub);
    assert.equal(await hubs.removeUser(team, name, signal()), 'removed');
    assert.equal(await hubs.user(team, name, signal()), undefined);
    assert.equal(await hubs.removeUser(team, name, signal()), 'absent');
  });

  it('removes a user together with a running server', async () => {
    const hub = await open();
    const { hubs, team } = hub;
    const name = await added(hub);
    await running(hub, name);
    await until(hub, `${name} is removed`, async () => {
      const answer = await passing(hub, hubs.removeUser(team, name, signal()));
      return answer === 'stopping' ? undefined : answer;
    });
    assert.equal(await hubs.user(team, name, signal()), undefined);
    const active = await hubs.users(team, signal(), { active: true });
    assert.ok(!active.some((user) => user.name === name));
  });

  it('lists 250 users over all pages, each once', async () => {
    const { hubs, team } = await open();
    const names = Array.from({ length: 250 }, newUserName);
    for (const name of names) await hubs.addUser(team, name, signal());
    const listed = (await hubs.users(team, signal())).map(({ name }) => name);
    assert.equal(new Set(listed).size, listed.length);
    const missing = names.filter((name) => !listed.includes(name));
    assert.deepEqual(missing, []);
  });
};
