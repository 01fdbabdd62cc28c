import assert from 'node:assert/strict';
import { it } from 'node:test';
import { aWorld, conditionOf, eventually, type Kubernetes } from '../../support/world.ts';

/** How Google’s side of a team is kept in order; to be called inside a `describe` that names the API server. */
export const secretOfTheTeam = (open: () => Kubernetes): void => {
  it('provisions the secret with the team, and again only after a change or half an hour', async (t) => {
    const world = await aWorld(t, open());
    await world.create();
    assert.equal(conditionOf(await world.look(), 'SecretReady')?.status, 'True');
    await world.look();
    assert.equal(world.google.asked, 1);
    await world.order();
    await world.look();
    assert.equal(world.google.asked, 2);
    world.pass(31 * 60);
    await world.look();
    assert.equal(world.google.asked, 3);
  });

  it('retries a failing secret with backoff, and gives the reason in the condition', async (t) => {
    const world = await aWorld(t, open());
    await world.create();
    const message = 'The project has no room for another service account.';
    world.google.answer = { state: 'failed', reason: 'QuotaExceeded', message };
    const waits: number[] = [];
    for (let look = 0; look < 3; look++) {
      const team = await world.look();
      assert.partialDeepStrictEqual(conditionOf(team, 'SecretReady'), { status: 'False', message });
      assert.notEqual(team?.status.phase, 'Ready');
      waits.push((Date.parse(team?.reconcile.dueAt ?? '') - world.clock.now()) / 1000);
      world.pass(waits.at(-1) ?? 0);
    }
    assert.deepEqual(waits, [2, 4, 8]);
    world.google.answer = { state: 'ready' };
    assert.equal((await world.look())?.status.phase, 'Ready');
  });

  it('is unknown, never missing, while Google does not answer', async (t) => {
    const world = await aWorld(t, open());
    await world.create();
    world.google.answer = {
      state: 'failed',
      reason: 'Unavailable',
      message: 'Secret Manager did not answer.',
    };
    const team = await world.look();
    assert.equal(conditionOf(team, 'SecretReady')?.status, 'Unknown');
    assert.equal(team?.status.phase, 'Ready');
  });

  it('names a member whom Google does not know, and is in place for the others', async (t) => {
    const world = await aWorld(t, open());
    await world.create();
    const message = 'Google does not know per@nav.no; everybody else may read the secret.';
    world.google.answer = { state: 'incomplete', reason: 'UnknownMembers', message };
    const team = await world.look();
    assert.partialDeepStrictEqual(conditionOf(team, 'SecretReady'), { status: 'True', message });
    await world.look();
    assert.equal(world.google.asked, 2, 'the member may have come to Google meanwhile');
  });

  it('deletes the secret last with the team, and not with a notebook', async (t) => {
    const world = await aWorld(t, open());
    await world.ordered();
    await world.deleteNotebook();
    await world.look();
    assert.deepEqual(world.google.dismantled, []);
    await world.deleteTeam();
    const where = await world.namespace();
    await eventually(async () => {
      const isThere = (await world.raw('Namespace', where, where)) !== undefined;
      await world.look();
      if (isThere && (await world.raw('Namespace', where, where)) !== undefined) {
        assert.deepEqual(world.google.dismantled, [], 'not while the namespace is there');
      }
      return (await world.store.team(world.slug)) === undefined;
    });
    assert.equal(await world.store.team(world.slug), undefined);
    assert.deepEqual(world.google.dismantled.at(-1), { deleteSecret: false });
  });
};
