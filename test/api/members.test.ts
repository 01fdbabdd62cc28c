import assert from 'node:assert/strict';
import { after, afterEach, describe, it } from 'node:test';
import type { HistoryItem } from '../../src/model/history.ts';
import { membersMax } from '../../src/model/team.ts';
import { admins, assertProblem, type Client, kari, openApi, versionIn } from '../support/api.ts';
import { heldBack } from '../support/held-back.ts';

const api = await openApi({ environment: { MEMBER_EMAIL_DOMAINS: 'nav.no,trygdeetaten.no' } });
after(() => api.close());
afterEach(() => api.calm());

const ola = 'ola.nordmann@nav.no';
const siri = 'siri@nav.no';
const asKari = api.asPerson(kari);
const asOla = api.asPerson(ola);
const asAdmin = api.asPerson('admin@nav.no', admins);
const member = (email: string, role = 'member', username = email) => ({ email, username, role });

/** The path of a team that Kari owns and Ola is a member of. */
const aTeam = (...more: readonly object[]) => api.newTeam({ members: [{ email: ola }, ...more] });
const newest = async (path: string): Promise<HistoryItem | undefined> =>
  (await api.store.history(path.slice(10), { limit: 1 })).items[0];
const membersAt = async (path: string) => (await asAdmin.get(path)).json().members;

describe('listMembers', () => {
  it('has every member with the role, by e-mail, page by page', async () => {
    const path = await aTeam({ email: 'anne@nav.no', role: 'owner', username: 'anne' });
    const all = [member('anne@nav.no', 'owner', 'anne'), member(kari, 'owner'), member(ola)];
    assert.deepEqual((await asOla.get(`${path}/members`)).json(), { items: all, nextCursor: null });
    const first = (await asOla.get(`${path}/members?limit=2`)).json();
    assert.deepEqual(first.items, all.slice(0, 2));
    await asKari.delete(`${path}/members/anne@nav.no`);
    await asKari.put(`${path}/members/zoe@nav.no`);
    const second = (await asOla.get(`${path}/members?limit=2&cursor=${first.nextCursor}`)).json();
    assert.deepEqual(second, { items: [member(ola), member('zoe@nav.no')], nextCursor: null });
  });

  it('takes no cursor of another team', async () => {
    const path = await aTeam();
    const { nextCursor } = (await asKari.get(`${path}/members?limit=1`)).json();
    const other = await aTeam();
    assertProblem(await asKari.get(`${other}/members?cursor=${nextCursor}`), 'invalid_cursor');
  });
});

describe('addMember', () => {
  it('adds a member by e-mail, with the team’s new ETag and a history entry', async () => {
    const path = await aTeam();
    const before = await api.record(path);
    const answer = await asKari.put(`${path}/members/Siri@NAV.no`, {});
    assert.deepEqual([answer.statusCode, answer.json(), versionIn(answer)], [200, member(siri), '2.0']);
    assert.equal(api.reconciled.at(-1), path.slice(10));
    const { generation, members } = await api.record(path);
    assert.equal(generation, before.generation + 1);
    assert.deepEqual(members, [...before.members, member(siri)]);
    const { at, n: _, ...entry } = (await newest(path)) ?? {};
    assert.equal(at, api.now());
    assert.deepEqual(entry, {
      by: kari,
      action: 'member_added',
      revision: null,
      changes: [{ pointer: `/members/${siri}`, from: null, to: member(siri) }],
    });
  });

  it('takes an absent body like an empty one', async () => {
    const path = await aTeam();
    assert.deepEqual((await asKari.put(`${path}/members/${siri}`)).json(), member(siri));
  });

  it('changes nothing when it is repeated', async () => {
    const path = await aTeam();
    const order = { username: 'Siri', role: 'owner' };
    await asKari.put(`${path}/members/${siri}`, order);
    const before = await api.everything();
    for (const body of [order, {}, { role: 'owner' }, { username: 'siri' }]) {
      const answer = await asKari.put(`${path}/members/${siri}`, body);
      assert.deepEqual([answer.statusCode, answer.json()], [200, member(siri, 'owner', 'siri')]);
    }
    assert.deepEqual(await api.everything(), before);
  });

  it('changes a role and leaves the hub user and what is applied alone', async () => {
    const path = await aTeam({ email: siri, username: 'siri' });
    const before = await api.record(path);
    const answer = await asKari.put(`${path}/members/${siri}`, { role: 'owner' });
    assert.deepEqual(answer.json(), member(siri, 'owner', 'siri'));
    const { generation, reconcile, revision } = await api.record(path);
    assert.deepEqual([generation, reconcile], [before.generation, before.reconcile]);
    assert.equal(revision, before.revision + 1);
    assert.equal((await newest(path))?.action, 'member_changed');
  });

  it('changes a hub user, which is applied, and leaves the role alone', async () => {
    const path = await aTeam({ email: siri, role: 'owner' });
    const before = await api.record(path);
    const answer = await asKari.put(`${path}/members/${siri}`, { username: 'siri' });
    assert.deepEqual(answer.json(), member(siri, 'owner', 'siri'));
    assert.equal((await api.record(path)).generation, before.generation + 1);
  });

  for (const [spelling, email] of [
    ['a%2Bb%40nav.no', 'a+b@nav.no'],
    ['a+b@nav.no', 'a+b@nav.no'],
    ['A%2bB@NAV.NO', 'a+b@nav.no'],
    ['o%27brien@nav.no', "o'brien@nav.no"],
    ['a%25b@nav.no', 'a%b@nav.no'],
  ] as const) {
    it(`finds ${email} by ${spelling} in the path`, async () => {
      const path = await aTeam();
      const answer = await asKari.put(`${path}/members/${spelling}`, { username: 'someone' });
      assert.deepEqual(answer.json(), member(email, 'member', 'someone'));
      assert.equal((await asKari.delete(`${path}/members/${spelling}`)).statusCode, 204);
      assert.deepEqual(await membersAt(path), [member(kari, 'owner'), member(ola)]);
    });
  }

  it('is not found for a path that is no e-mail', async () => {
    const path = await aTeam();
    await api.writesNothing(async () => {
      for (const email of [
        'siri',
        'a@b@nav.no',
        '@nav.no',
        'a%20b@nav.no',
        'a%0A@nav.no',
        'siri@nav',
        '%40',
      ]) {
        assertProblem(await asKari.put(`${path}/members/${email}`, {}), 'not_found');
      }
    });
  });

  it('needs a hub user of the member’s own', async () => {
    const path = await aTeam({ email: siri, username: 'siri' });
    await api.writesNothing(async () => {
      assertProblem(
        await asKari.put(`${path}/members/anne@nav.no`, { username: 'SIRI' }),
        'validation_failed',
        ['/username duplicate'],
      );
      assertProblem(await asKari.put(`${path}/members/o'brien@nav.no`, {}), 'validation_failed', [
        '/username username_needed',
      ]);
      assertProblem(
        await asKari.put(`${path}/members/anne@nav.no`, { username: 'a/b', role: 'admin', x: 1 }),
        'validation_failed',
        ['/username bad_format', '/role not_in_list', '/x unknown_field'],
      );
    });
  });

  it('keeps an owner', async () => {
    const path = await aTeam();
    const demotion = { role: 'member' };
    assertProblem(
      await api.writesNothing(() => asKari.put(`${path}/members/${kari}`, demotion)),
      'last_owner',
    );
    assertProblem(
      await api.writesNothing(() => asAdmin.put(`${path}/members/${kari}`, demotion)),
      'last_owner',
    );
    await asKari.put(`${path}/members/${ola}`, { role: 'owner' });
    assert.equal((await asKari.put(`${path}/members/${kari}`, demotion)).json().role, 'member');
    assertProblem(await asKari.put(`${path}/members/${siri}`), 'forbidden');
  });

  it('is conditional on the team’s revision if asked for', async () => {
    const path = await aTeam();
    const ifMatch = async (tag: string) => ({ 'if-match': await api.tagged(path, tag) });
    assertProblem(
      await asKari.put(`${path}/members/${siri}`, {}, await ifMatch('"7.0"')),
      'revision_mismatch',
    );
    assert.equal((await asKari.put(`${path}/members/${siri}`, {}, await ifMatch('"1.0"'))).statusCode, 200);
    assertProblem(
      await asKari.delete(`${path}/members/${siri}`, await ifMatch('"1.0"')),
      'revision_mismatch',
    );
  });

  it('takes members up to the limit of a team', async () => {
    const path = await api.newTeam();
    const filled = (count: number) =>
      api.store.change(path.slice(10), (current) => ({
        next: {
          ...current,
          members: [
            ...current.members.filter(({ email }) => email === kari),
            ...Array.from({ length: count - 1 }, (_, index) => ({
              email: `n${index}@nav.no`,
              username: `n${index}`,
              role: 'member' as const,
            })),
          ],
        },
      }));
    await filled(membersMax - 1);
    assert.equal((await asKari.put(`${path}/members/${siri}`)).statusCode, 200);
    const refused = await api.writesNothing(() => asKari.put(`${path}/members/${ola}`));
    assertProblem(refused, 'quota_exceeded');
    assert.match(refused.json().detail, /500 of 500 members/);
    assert.equal((await asKari.put(`${path}/members/${siri}`, { role: 'owner' })).statusCode, 200);
  });

  it('is over once the team is being deleted', async () => {
    const path = await aTeam();
    await asKari.delete(path);
    await api.writesNothing(async () => {
      assertProblem(await asKari.put(`${path}/members/${siri}`), 'deleting');
      assertProblem(await asKari.delete(`${path}/members/${ola}`), 'deleting');
    });
  });
});

describe('removeMember', () => {
  it('removes a member, whatever the case of the e-mail, with a history entry', async () => {
    const path = await aTeam();
    const answer = await asKari.delete(`${path}/members/OLA.nordmann@nav.no`);
    assert.deepEqual([answer.statusCode, answer.body], [204, '']);
    assert.deepEqual(await membersAt(path), [member(kari, 'owner')]);
    assert.equal(api.reconciled.at(-1), path.slice(10));
    assertProblem(await asOla.get(path), 'not_found');
    const entry = await newest(path);
    assert.deepEqual([entry?.by, entry?.action], [kari, 'member_removed']);
    assert.deepEqual(entry?.changes, [{ pointer: `/members/${ola}`, from: member(ola), to: null }]);
  });

  it('is a success for someone who is no member', async () => {
    const path = await aTeam();
    const before = await api.everything();
    assert.equal((await asKari.delete(`${path}/members/${siri}`)).statusCode, 204);
    assert.deepEqual(await api.everything(), before);
  });

  it('lets an owner leave when another one stays', async () => {
    const path = await aTeam({ email: siri, role: 'owner' });
    assert.equal((await asKari.delete(`${path}/members/${kari}`)).statusCode, 204);
    assertProblem(await asKari.get(path), 'not_found');
    const last = await api.writesNothing(() => asAdmin.delete(`${path}/members/${siri}`));
    assertProblem(last, 'last_owner');
    assert.match(last.json().detail, /siri@nav\.no is the last owner/);
  });

  it('removes a creator whose e-mail only the issuer accepts', async () => {
    const odd = 'robot@localhost';
    const path = '/v1/teams/roboten';
    assert.equal((await api.asPerson(odd).post('/v1/teams', { slug: 'roboten' })).statusCode, 201);
    await asAdmin.put(`${path}/members/${kari}`, { role: 'owner' });
    assert.equal((await asAdmin.delete(`${path}/members/${odd}`)).statusCode, 204);
  });
});

describe('the members in updateTeam', () => {
  it('keep the role and the hub user that the list leaves out', async () => {
    const path = await aTeam({ email: siri, username: 'siri', role: 'owner' });
    const answer = await asKari.patch(path, {
      members: [
        { email: kari },
        { email: 'SIRI@nav.no' },
        { email: ola, role: 'owner' },
        { email: 'ny@nav.no' },
      ],
    });
    assert.deepEqual(answer.json().members, [
      member(kari, 'owner'),
      member('ny@nav.no'),
      member(ola, 'owner'),
      member(siri, 'owner', 'siri'),
    ]);
  });

  it('cannot leave out the caller, nor the last owner', async () => {
    const path = await aTeam({ email: siri, role: 'owner' });
    await api.writesNothing(async () => {
      for (const members of [null, [], [{ email: siri }]])
        assertProblem(await asKari.patch(path, { members }), 'removes_you');
      assertProblem(await asAdmin.patch(path, { members: [{ email: ola }] }), 'last_owner');
      assertProblem(await asAdmin.patch(path, { members: null }), 'last_owner');
      const demoted = [kari, siri].map((email) => ({ email, role: 'member' }));
      assertProblem(await asKari.patch(path, { members: demoted }), 'last_owner');
    });
  });

  it('are for owners to change, also beside another change', async () => {
    const path = await aTeam();
    const patch = { members: [{ email: kari }, { email: ola, role: 'owner' }], ghcrRepositories: ['x'] };
    const answer = await api.writesNothing(() => asOla.patch(path, patch));
    assertProblem(answer, 'forbidden');
    assert.match(
      answer.json().detail,
      /Only owners .* can change its members\. Ask an owner \(kari\.nordmann/,
    );
  });

  it('change roles without anything to apply', async () => {
    const path = await aTeam();
    const before = await api.record(path);
    await asKari.patch(path, { members: [{ email: kari }, { email: ola, role: 'owner' }] });
    const { generation, revision } = await api.record(path);
    assert.deepEqual([generation, revision], [before.generation, before.revision + 1]);
    await asKari.patch(path, { members: [{ email: kari }, { email: ola, username: 'ola' }] });
    assert.equal((await api.record(path)).generation, before.generation + 1);
  });
});

describe('the domains of members’ e-mails', () => {
  const faults = ['/members/1/email email_domain_not_allowed', '/members/3/email email_domain_not_allowed'];
  const members = ['a@nav.no', 'b@gmail.com', 'c@TRYGDEETATEN.no', 'd@evil-nav.no'].map((email) => ({
    email,
  }));

  it('are checked with one fault per e-mail, when a team is created and when it is changed', async () => {
    const path = await aTeam();
    await api.writesNothing(async () => {
      const created = await asKari.post('/v1/teams', { slug: 'domener', members });
      assertProblem(created, 'email_domain_not_allowed', faults);
      assertProblem(await asAdmin.patch(path, { members }), 'email_domain_not_allowed', faults);
      const added = await asKari.put(`${path}/members/b@sub.nav.no`, {});
      assertProblem(added, 'email_domain_not_allowed', ['/path/email email_domain_not_allowed']);
      assert.match(added.body, /accepts e-mails of nav\.no, trygdeetaten\.no only/);
    });
  });

  it('bind neither a creator nor those who are members already', async () => {
    const guest = 'gjest@example.com';
    const created = await api
      .asPerson(guest)
      .post('/v1/teams', { slug: 'gjester', members: [{ email: guest }] });
    assert.deepEqual(created.json().members, [member(guest, 'owner')]);
    const path = '/v1/teams/gjester';
    const patched = await api
      .asPerson(guest)
      .patch(path, { members: [{ email: guest, username: 'gjest' }, { email: ola }] });
    assert.deepEqual(patched.json().members, [member(guest, 'owner', 'gjest'), member(ola)]);
    assert.equal((await asAdmin.put(`${path}/members/${guest}`, {})).statusCode, 200);
  });
});

describe('a decision that is held back', () => {
  const changes = {
    removed: { code: 'not_found', change: (path: string) => asAdmin.delete(`${path}/members/${kari}`) },
    demoted: {
      code: 'forbidden',
      change: (path: string) => asAdmin.put(`${path}/members/${kari}`, { role: 'member' }),
    },
  } as const;
  const patch = { members: [{ email: kari }, { email: ola }, { email: siri }] };
  const requests: Readonly<Record<string, (path: string) => ReturnType<Client['get']>>> = {
    addMember: (path) => asKari.put(`${path}/members/friend@nav.no`, {}),
    'addMember for a role': (path) => asKari.put(`${path}/members/${ola}`, { role: 'owner' }),
    removeMember: (path) => asKari.delete(`${path}/members/${ola}`),
    updateTeam: (path) => asKari.patch(path, patch),
    deleteTeam: (path) => asKari.delete(path),
    deleteNotebook: (path) => asKari.delete(`${path}/notebook`),
    'putNotebook without the allowlist': (path) => asKari.put(`${path}/notebook`, {}),
    'patchNotebook without the allowlist': (path) => asKari.patch(`${path}/notebook`, { allowlist: null }),
    'restoreRevision without the allowlist': (path) => asKari.post(`${path}/history/1/restore`),
  };
  for (const [title, request] of Object.entries(requests)) {
    for (const [what, { code, change }] of Object.entries(changes)) {
      it(`${title}: is taken on the team in which the caller was ${what} meanwhile`, async () => {
        const path = await aTeam({ email: 'anne@nav.no', role: 'owner' });
        await asKari.put(`${path}/notebook`, {});
        await asKari.patch(`${path}/notebook`, { allowlist: { enabled: true } });
        const slug = path.slice(10);
        const held = heldBack(api.store, ({ method, given }) => method === 'change' && given[0] === slug);
        api.outside.store = held.port;
        const late = request(path);
        await held.reached;
        api.outside.store = api.store;
        assert.ok((await change(path)).statusCode < 300);
        const before = await api.everything();
        held.letGo();
        assertProblem(await late, code);
        assert.deepEqual(await api.everything(), before);
      });
    }
  }
});
