import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { unlimited } from '../../src/model/team-quota.ts';
import { admins, assertProblem, creators, kari, openApi } from '../support/api.ts';

const ola = 'ola.nordmann@nav.no';
const siri = 'siri@nav.no';
const api = await openApi();
after(() => api.close());

const asKari = api.asPerson(kari);
const asOla = api.asPerson(ola);
const asAdmin = api.asPerson('admin@nav.no', admins);
const asCreator = api.asPerson(kari, creators);

const quota = { cpu: 1.5, memory: '4Gi', members: 3, home: '20Gi' };
const generationOf = async (path: string) => (await api.store.team(path.slice(10)))?.generation ?? 0;

describe('a team’s quota', () => {
  it('is unlimited until an admin sets it, and is shown to members', async () => {
    const path = await api.newTeam({ members: [{ email: ola }] });
    assert.deepEqual((await asOla.get(path)).json().quota, unlimited);
    const before = await generationOf(path);
    const changed = await asAdmin.patch(path, { quota: { cpu: 1.5, members: 3 } });
    assert.equal(changed.statusCode, 200);
    const set = { ...unlimited, cpu: 1.5, members: 3 };
    assert.deepEqual(changed.json().quota, set);
    assert.deepEqual((await asOla.get(path)).json().quota, set);
    assert.equal(await generationOf(path), before + 1);
    const { items } = await api.store.history(path.slice(10), { limit: 1 });
    assert.deepEqual(items[0]?.changes, [{ pointer: '/quota', from: unlimited, to: set }]);
  });

  it('is set when an admin creates the team', async () => {
    const made = await asAdmin.post('/v1/teams', { slug: 'made', quota });
    assert.equal(made.statusCode, 201);
    assert.deepEqual(made.json().quota, quota);
  });

  it('is merged by a patch, and removed by null', async () => {
    const path = await api.newTeam();
    await asAdmin.patch(path, { quota });
    const merged = (await asAdmin.patch(path, { quota: { cpu: null, home: '30Gi' } })).json();
    assert.deepEqual(merged.quota, { ...quota, cpu: null, home: '30Gi' });
    assert.deepEqual((await asAdmin.patch(path, { quota: null })).json().quota, unlimited);
  });

  it('can be neither set, raised nor removed by an owner, a member or a team creator', async () => {
    const path = await api.newTeam({ members: [{ email: ola }] });
    await asAdmin.patch(path, { quota });
    for (const client of [asKari, asOla, asCreator]) {
      for (const patch of [{ cpu: 8 }, { members: null }, null]) {
        const refused = await api.writesNothing(() => client.patch(path, { quota: patch }));
        assertProblem(refused, 'forbidden');
        assert.match(refused.json().detail, /Only a platform admin can set, change or remove the quota/);
      }
      assert.equal((await client.patch(path, { quota })).statusCode, 200, 'the same quota');
    }
    for (const client of [asKari, asCreator]) {
      const refused = await api.writesNothing(() => client.post('/v1/teams', { slug: 'mine', quota }));
      assertProblem(refused, 'forbidden');
    }
  });

  it('has amounts that Kubernetes has', async () => {
    const path = await api.newTeam();
    const rows: readonly (readonly [object, string])[] = [
      [{ cpu: 0 }, '/quota/cpu out_of_range'],
      [{ cpu: '2' }, '/quota/cpu wrong_type'],
      [{ memory: '4' }, '/quota/memory bad_format'],
      [{ memory: '0Gi' }, '/quota/memory bad_format'],
      [{ home: '1.5Gi' }, '/quota/home bad_format'],
      [{ members: 0 }, '/quota/members out_of_range'],
      [{ members: 1.5 }, '/quota/members wrong_type'],
      [{ pods: 3 }, '/quota/pods unknown_field'],
    ];
    for (const [wrong, fault] of rows) {
      const refused = await api.writesNothing(() => asAdmin.patch(path, { quota: wrong }));
      assertProblem(refused, 'validation_failed', [fault]);
    }
  });
});

describe('a quota of members', () => {
  it('ends at the last one, by each way to add somebody', async () => {
    const path = await api.newTeam();
    await asAdmin.patch(path, { quota: { members: 2 } });
    assert.equal((await asKari.put(`${path}/members/${ola}`)).statusCode, 200);
    for (const refused of [
      await api.writesNothing(() => asKari.put(`${path}/members/${siri}`)),
      await api.writesNothing(() =>
        asKari.patch(path, { members: [{ email: kari }, { email: ola }, { email: siri }] }),
      ),
      await api.writesNothing(() => asAdmin.put(`${path}/members/${siri}`)),
    ]) {
      assertProblem(refused, 'quota_exceeded');
      assert.match(refused.json().detail, /2 of at most 2 members \(0 left\).*would make it 3/);
    }
    const others = [{ email: ola }, { email: siri }];
    const made = await api.writesNothing(() =>
      asAdmin.post('/v1/teams', { slug: 'full', members: others, quota: { members: 2 } }),
    );
    assertProblem(made, 'quota_exceeded');
  });

  it('can be below what the team has: members stay, can change and leave, and nobody joins', async () => {
    const path = await api.newTeam({ members: [{ email: ola }, { email: siri }] });
    assert.equal((await asAdmin.patch(path, { quota: { members: 1 } })).statusCode, 200);
    assert.equal((await asKari.put(`${path}/members/${ola}`, { role: 'owner' })).statusCode, 200);
    assertProblem(await asKari.put(`${path}/members/anne@nav.no`), 'quota_exceeded');
    assert.equal((await asKari.delete(`${path}/members/${siri}`)).statusCode, 204);
    assertProblem(await asKari.put(`${path}/members/${siri}`), 'quota_exceeded');
  });
});

describe('a quota of resources', () => {
  it('refuses an order, a patch and a plan of which no server fits', async () => {
    const path = await api.newTeam();
    await asAdmin.patch(path, { quota });
    const tooLarge = { resources: { cpu: { guarantee: 2, limit: 2 } } };
    for (const refused of [
      await api.writesNothing(() => asKari.put(`${path}/notebook`, tooLarge)),
      await api.writesNothing(() => asKari.post(`${path}/notebook/plan`, tooLarge)),
    ]) {
      assertProblem(refused, 'quota_exceeded');
      assert.match(refused.json().detail, /CPU guarantee of 2 cores, and the team’s quota is 1\.5 cores/);
    }
    const fitting = { resources: { cpu: { guarantee: 1.5, limit: 2 } } };
    assert.equal((await asKari.put(`${path}/notebook`, fitting)).statusCode, 201);
    const patch = { storage: { home: '21Gi' } };
    const etag = await api.tagged(`${path}/notebook`, '"1.0"');
    const refused = await api.writesNothing(() =>
      asKari.patch(`${path}/notebook`, patch, { 'if-match': etag }),
    );
    assertProblem(refused, 'quota_exceeded');
    assert.match(refused.json().detail, /home volume of 21Gi, and the team’s quota is 20Gi/);
  });
});
