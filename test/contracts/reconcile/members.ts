import assert from 'node:assert/strict';
import { it } from 'node:test';
import { patchTeam } from '../../../src/teams/rules.ts';
import { aWorld, conditionOf, type Kubernetes, type World } from '../../support/world.ts';

const kari = 'kari.nordmann@nav.no';
const ola = 'ola.nordmann@nav.no';

import { reports } from './hub-status.ts';

/** Flux has installed the hub. */
const installed = async (world: World): Promise<void> => {
  const release = await world.raw('HelmRelease', 'jupyterhub');
  const observedGeneration = release?.metadata.generation ?? 0;
  const ready = { type: 'Ready', status: 'True', reason: 'InstallSucceeded', message: 'installed' };
  const lastTransitionTime = '2026-11-23T09:00:00Z';
  await world.report({
    observedGeneration,
    history: reports.ready.history,
    conditions: [{ ...ready, observedGeneration, lastTransitionTime }],
  });
};

const members = (world: World, ...emails: readonly string[]) =>
  world.change((team) =>
    patchTeam(team, { members: emails.map((email) => ({ email, role: 'owner' })) }, world.act(), {
      requester: { email: 'admin@nav.no', isAdmin: true },
    }),
  );

/** How the hub’s users are made the team’s members; to be called inside a `describe` that names the API server. */
export const membersAtTheHub = (open: () => Kubernetes): void => {
  it('adds the members once the hub is running, and does not call an absent hub', async (t) => {
    const world = await aWorld(t, open());
    await world.ordered();
    assert.deepEqual(world.hub.calls, []);
    assert.equal(conditionOf(await world.record(), 'MembersSynced')?.reason, 'NoHub');
    await installed(world);
    const team = await world.look();
    assert.deepEqual([...world.hub.users], [kari]);
    assert.equal(conditionOf(team, 'MembersSynced')?.status, 'True');
    assert.equal(team?.status.phase, 'Ready');
  });

  it('removes former members with a history entry, and restarts nothing', async (t) => {
    const world = await aWorld(t, open());
    await world.ordered();
    await installed(world);
    await members(world, kari, ola);
    await world.look();
    const before = await world.raw('HelmRelease', 'jupyterhub');
    await members(world, kari);
    const team = await world.look();
    assert.deepEqual([...world.hub.users], [kari]);
    assert.equal(conditionOf(team, 'MembersSynced')?.status, 'True');
    const { items } = await world.store.history(world.slug, { limit: 1 });
    assert.partialDeepStrictEqual(items[0], {
      action: 'hub_user_removed',
      changes: [{ pointer: `/hubUsers/${ola}`, from: ola, to: null }],
    });
    const after = await world.raw('HelmRelease', 'jupyterhub');
    assert.equal(after?.metadata.generation, before?.metadata.generation);
  });

  it('removes manually added hub users, since only members may log in', async (t) => {
    const world = await aWorld(t, open());
    await world.ordered();
    await installed(world);
    world.hub.users.add('somebody@else.no');
    await world.look();
    assert.deepEqual([...world.hub.users], [kari]);
  });

  it('synchronizes members when an unavailable hub returns, and reports the pending ones meanwhile', async (t) => {
    const world = await aWorld(t, open());
    await world.ordered();
    await installed(world);
    await members(world, kari, ola);
    await world.look();
    world.hub.state.away = true;
    await members(world, kari, 'per.hansen@nav.no');
    const away = await world.look();
    const condition = conditionOf(away, 'MembersSynced');
    assert.equal(condition?.status, 'Unknown');
    assert.equal(
      condition?.message,
      `The hub does not answer. Still to be added: per.hansen@nav.no. Still to be removed: ${ola}.`,
    );
    assert.equal(away?.status.phase, 'Ready');
    world.hub.state.away = false;
    world.pass(60);
    assert.deepEqual(await world.store.due(world.act().now, 10), [world.slug]);
    await world.look();
    assert.deepEqual([...world.hub.users].toSorted(), [kari, 'per.hansen@nav.no']);
  });

  it('waits for a former member’s server to stop before it removes the user', async (t) => {
    const world = await aWorld(t, open());
    await world.ordered();
    await installed(world);
    await members(world, kari, ola);
    await world.look();
    world.hub.stopping.add(ola);
    await members(world, kari);
    const team = await world.look();
    assert.match(conditionOf(team, 'MembersSynced')?.message ?? '', /stopping.*removed: ola/);
    await world.look();
    assert.deepEqual([...world.hub.users], [kari]);
  });

  it('removes 600 leavers over several attempts, each bounded, those with a running server first', async (t) => {
    const world = await aWorld(t, open());
    await world.ordered();
    await installed(world);
    await world.look();
    for (let n = 0; n < 600; n += 1) world.hub.users.add(`leaver-${n}@nav.no`);
    world.hub.active.add('leaver-599@nav.no');
    const removals = () => world.hub.calls.filter((call) => call.startsWith('remove ')).length;
    let attempts = 0;
    for (let before = 0; world.hub.users.size > 1; attempts += 1) {
      const team = await world.look();
      assert.ok(removals() > before, 'every attempt makes progress');
      assert.ok(removals() - before <= 250, 'no attempt removes more than a hub does in its deadline');
      assert.equal(world.hub.users.has('leaver-599@nav.no'), false);
      before = removals();
      assert.equal(team?.status.phase, 'Ready');
      if (world.hub.users.size === 1) break;
      assert.match(conditionOf(team, 'MembersSynced')?.message ?? '', /limited number.*removed: leaver/);
      world.pass(30);
      assert.deepEqual(await world.store.due(world.act().now, 10), [world.slug]);
    }
    assert.ok(attempts >= 2, `${attempts}`);
    assert.equal(conditionOf(await world.record(), 'MembersSynced')?.status, 'True');
  });
};
