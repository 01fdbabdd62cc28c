import assert from 'node:assert/strict';
import { after, beforeEach, describe, it } from 'node:test';
import { admins, assertProblem, kari, openApi } from '../support/api.ts';

const ola = 'ola.nordmann@nav.no';
const auditors = ['knada-auditors'];
const api = await openApi({
  environment: {
    MAX_TEAMS_PER_PERSON: '2',
    MAX_TEAMS: '6',
    MEMBER_EMAIL_DOMAINS: 'nav.no',
    AUDITOR_GROUPS: auditors.join(','),
  },
});
after(() => api.close());
beforeEach(async () => {
  for (const { team } of await api.everything()) await api.store.remove(team.slug, team);
});

const asKari = api.asPerson(kari);
const asOla = api.asPerson(ola);
const asAdmin = api.asPerson('admin@nav.no', admins);
const create = (client: typeof asKari, slug: string, more: object = {}) =>
  client.post('/v1/teams', { slug, ...more });

describe('the limit of teams per person', () => {
  it('is met by the teams that the person owns, up to the last one', async () => {
    await create(asKari, 'first');
    assert.equal((await asKari.get('/v1/me')).json().mayCreateTeams, true);
    assert.equal((await create(asKari, 'second')).statusCode, 201);
    assert.equal((await asKari.get('/v1/me')).json().mayCreateTeams, false);
    const refused = await api.writesNothing(() => create(asKari, 'third'));
    assertProblem(refused, 'quota_exceeded');
    assert.match(refused.json().detail, /You own 2 of at most 2 teams \(0 left\)/);
  });

  it('does not count teams of which the person is a member only', async () => {
    for (const slug of ['olas', 'olas-other']) await create(asOla, slug, { members: [{ email: kari }] });
    for (const slug of ['first', 'second']) assert.equal((await create(asKari, slug)).statusCode, 201);
  });

  it('counts a team again when the person becomes its owner, and no longer when they leave', async () => {
    await create(asOla, 'olas', { members: [{ email: kari, role: 'owner' }] });
    await create(asKari, 'first');
    assertProblem(await create(asKari, 'second'), 'quota_exceeded');
    await asKari.delete(`/v1/teams/olas/members/${kari}`);
    assert.equal((await create(asKari, 'second')).statusCode, 201);
  });

  it('counts a team while it is being deleted', async () => {
    for (const slug of ['first', 'second']) await create(asKari, slug);
    await asKari.delete('/v1/teams/first');
    assertProblem(await create(asKari, 'third'), 'quota_exceeded');
  });

  it('is not exceeded by concurrent requests', async () => {
    const answers = await Promise.all(['aa', 'bb', 'cc', 'dd'].map((slug) => create(asKari, slug)));
    assert.deepEqual(answers.map(({ statusCode }) => statusCode).toSorted(), [201, 201, 409, 409]);
  });

  it('does not bind admins', async () => {
    for (const slug of ['aa', 'bb', 'cc']) assert.equal((await create(asAdmin, slug)).statusCode, 201);
    assert.equal((await asAdmin.get('/v1/me')).json().mayCreateTeams, true);
  });
});

describe('the limit of teams in all', () => {
  it('binds everyone', async () => {
    for (const slug of ['aa', 'bb', 'cc', 'dd', 'ee']) await create(asAdmin, slug);
    assert.equal((await create(asKari, 'ff')).statusCode, 201);
    for (const client of [asKari, asAdmin]) {
      const refused = await api.writesNothing(() => create(client, 'gg'));
      assertProblem(refused, 'quota_exceeded');
      assert.match(refused.json().detail, /The platform has 6 of at most 6 teams \(0 left\)/);
      assert.equal((await client.get('/v1/me')).json().mayCreateTeams, false);
    }
  });
});

describe('a reserved slug', () => {
  it('is refused to everyone', async () => {
    for (const client of [asKari, asAdmin]) {
      for (const slug of ['hub', 'kube-system']) {
        const refused = await api.writesNothing(() => create(client, slug));
        assertProblem(refused, 'slug_reserved', ['/slug slug_reserved']);
      }
      assert.equal((await create(client, `hub-${client === asKari ? 'a' : 'b'}`)).statusCode, 201);
    }
  });
});

describe('the creator of a team', () => {
  it('is its owner, and the others are what the list says', async () => {
    const members = [
      { email: ola },
      { email: 'anne@nav.no', role: 'owner' },
      { email: kari, username: 'KARI' },
    ];
    const { members: made } = (await create(asKari, 'first', { members })).json();
    assert.deepEqual(made, [
      { email: 'anne@nav.no', username: 'anne@nav.no', role: 'owner' },
      { email: kari, username: 'kari', role: 'owner' },
      { email: ola, username: ola, role: 'member' },
    ]);
  });

  it('is its owner too when an admin creates it for others', async () => {
    const { members } = (await create(asAdmin, 'first', { members: [{ email: ola, role: 'owner' }] })).json();
    assert.deepEqual(
      members.map(({ email, role }: { email: string; role: string }) => [email, role]),
      [
        ['admin@nav.no', 'owner'],
        [ola, 'owner'],
      ],
    );
  });

  it('cannot be listed as a member', async () => {
    const members = [
      { email: ola, role: 'owner' },
      { email: kari.toUpperCase(), role: 'member' },
    ];
    assertProblem(await api.writesNothing(() => create(asKari, 'first', { members })), 'validation_failed', [
      '/members/1/role creator_is_owner',
    ]);
  });

  it('counts among the most members that a team can have', async () => {
    const others = (count: number) => Array.from({ length: count }, (_, n) => ({ email: `n${n}@nav.no` }));
    assertProblem(
      await api.writesNothing(() => create(asKari, 'first', { members: others(500) })),
      'validation_failed',
      ['/members too_many'],
    );
    assert.equal((await create(asKari, 'first', { members: others(499) })).json().members.length, 500);
  });
});

describe('getMe', () => {
  it('says who the caller is and what they may do', async () => {
    assert.deepEqual((await asKari.get('/v1/me')).json(), {
      email: kari,
      name: null,
      isAdmin: false,
      isAuditor: false,
      mayCreateTeams: true,
      teams: [],
    });
    const asBoth = api.asPerson('Both@nav.no', [...admins, ...auditors]);
    const { email, isAdmin, isAuditor } = (await asBoth.get('/v1/me')).json();
    assert.deepEqual({ email, isAdmin, isAuditor }, { email: 'both@nav.no', isAdmin: true, isAuditor: true });
  });

  it('has the name that the token gives', async () => {
    const token = await api.issuer.token({ preferred_username: kari, name: 'Kari Nordmann' });
    const answer = await api.anonymous({ authorization: `Bearer ${token}` }).get('/v1/me');
    assert.equal(answer.json().name, 'Kari Nordmann');
  });

  it('lists every team of the caller with the role there', async () => {
    await create(asKari, 'zz');
    await create(asOla, 'mm', { members: [{ email: kari }] });
    await create(asOla, 'aa');
    assert.deepEqual((await asKari.get('/v1/me')).json().teams, [
      { slug: 'mm', role: 'member' },
      { slug: 'zz', role: 'owner' },
    ]);
    await asOla.put(`/v1/teams/mm/members/${kari}`, { role: 'owner' });
    await asKari.delete(`/v1/teams/zz/members/${kari}`);
    assert.deepEqual((await asKari.get('/v1/me')).json().teams, [
      { slug: 'mm', role: 'owner' },
      { slug: 'zz', role: 'owner' },
    ]);
  });
});

describe('getLimits', () => {
  it('has the limits on teams as the operator set them', async () => {
    const { reservedSlugs, ...teams } = (await asKari.get('/v1/limits')).json().teams;
    assert.deepEqual(teams, { maxPerPerson: 2, max: 6, membersMax: 500, memberEmailDomains: ['nav.no'] });
    assert.ok(reservedSlugs.includes('hub'));
  });
});
