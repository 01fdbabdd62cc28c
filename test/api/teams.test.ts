import assert from 'node:assert/strict';
import { after, afterEach, describe, it } from 'node:test';
import { Unavailable } from '../../src/ports/unavailable.ts';
import { admins, assertProblem, creators, kari, openApi, versionIn } from '../support/api.ts';
import { assertSucceeded } from '../support/operations.ts';
import { aMoment } from '../support/records.ts';

const api = await openApi();
after(() => api.close());
afterEach(() => api.calm());

const ola = 'ola.nordmann@nav.no';
const asKari = api.asPerson('Kari.Nordmann@NAV.no');
const asOla = api.asPerson(ola);
const asAdmin = api.asPerson('admin@nav.no', admins);
const member = (email: string, username = email, role = 'member') => ({ email, username, role });
const owner = (email: string, username = email) => member(email, username, 'owner');

describe('createTeam', () => {
  it('answers the team with its names, its location and its ETag', async () => {
    const answer = await asKari.post('/v1/teams', { slug: 'dagpenger' });
    assert.equal(answer.statusCode, 201);
    const { id, ...team } = answer.json();
    assert.match(id, /^dagpenger-[0-9a-f]{4}$/);
    assert.deepEqual(team, {
      slug: 'dagpenger',
      namespace: `team-${id}`,
      hubUrl: 'https://dagpenger.jupyter.knada.io',
      serviceAccount: `${id}@knada-gcp.iam.gserviceaccount.com`,
      members: [owner(kari)],
      ghcrRepositories: [],
      garTeam: null,
      quota: { cpu: null, memory: null, members: null, home: null },
      phase: 'Pending',
      revision: 1,
      createdAt: aMoment,
      updatedAt: aMoment,
      warnings: [],
    });
    assert.equal(answer.headers.location, '/v1/teams/dagpenger');
    assert.equal(versionIn(answer), '1.0');
    assert.equal(api.reconciled.at(-1), 'dagpenger');
    assert.deepEqual((await asKari.get('/v1/teams/dagpenger')).json(), { id, ...team });
  });

  it('lower-cases e-mails, sorts the members and includes the caller', async () => {
    const answer = await asKari.post('/v1/teams', {
      slug: 'pensjon',
      members: [{ email: 'Ola.Nordmann@nav.no', username: 'ola' }, { email: 'Anne@nav.no' }],
      ghcrRepositories: ['b/notebook', 'a', 'a'],
    });
    assert.deepEqual(answer.json().members, [member('anne@nav.no'), owner(kari), member(ola, 'ola')]);
    assert.deepEqual(answer.json().ghcrRepositories, ['a', 'b/notebook']);
  });

  it('does not add a caller who is already in the list, in any spelling', async () => {
    const answer = await asKari.post('/v1/teams', {
      slug: 'egen',
      members: [{ email: 'KARI.nordmann@nav.no', username: 'kari' }],
    });
    assert.deepEqual(answer.json().members, [owner(kari, 'kari')]);
  });

  it('refuses a taken slug, and leaves its team unchanged', async () => {
    await asOla.post('/v1/teams', { slug: 'opptatt' });
    const answer = await api.writesNothing(() => asKari.post('/v1/teams', { slug: 'opptatt' }));
    assertProblem(answer, 'team_exists');
    assert.equal(answer.headers.location, undefined);
  });

  it('gives every team a new id, also when the slug was used before', async () => {
    const { id } = (await asKari.post('/v1/teams', { slug: 'igjen' })).json();
    assert.equal(await api.store.remove('igjen', await api.record('/v1/teams/igjen')), 'removed');
    assert.notEqual((await asKari.post('/v1/teams', { slug: 'igjen' })).json().id, id);
  });

  it('lets only admins and team creators set garTeam', async () => {
    const order = (slug: string) => ({ slug, garTeam: 'nada' });
    const answer = await api.writesNothing(() => asKari.post('/v1/teams', order('gar-kari')));
    assertProblem(answer, 'forbidden');
    const groups = [admins, creators];
    for (const [index, group] of groups.entries()) {
      const made = await api.asPerson(kari, group).post('/v1/teams', order(`gar-${index}`));
      assert.equal(made.json().garTeam, 'nada');
    }
    assert.equal((await asKari.post('/v1/teams', { slug: 'gar-null', garTeam: null })).statusCode, 201);
  });

  it('names every duplicate member', async () => {
    const answer = await api.writesNothing(() =>
      asKari.post('/v1/teams', {
        slug: 'dobbel',
        members: [
          { email: 'a@nav.no', username: 'a' },
          { email: 'A@nav.no', username: 'b' },
          { email: 'c@nav.no', username: 'a' },
          { email: 'd@nav.no' },
        ],
      }),
    );
    assertProblem(answer, 'validation_failed', [
      '/members/1/email duplicate',
      '/members/2/username duplicate',
    ]);
  });

  it('requires a username if the e-mail does not give a valid one', async () => {
    const members = [{ email: 'a/b@nav.no' }, { email: "o'brien@nav.no", username: 'obrien' }];
    const answer = await api.writesNothing(() => asKari.post('/v1/teams', { slug: 'navn', members }));
    assertProblem(answer, 'validation_failed', ['/members/0/username username_needed']);
    const asBrien = api.asPerson("o'brien@nav.no");
    const alone = await api.writesNothing(() => asBrien.post('/v1/teams', { slug: 'navn' }));
    assertProblem(alone, 'validation_failed', ['/members/0/username username_needed']);
    const named = await asBrien.post('/v1/teams', { slug: 'navn', members: members.slice(1) });
    assert.deepEqual(named.json().members, [owner("o'brien@nav.no", 'obrien')]);
  });

  it('the response has the state after the first reconcile', async () => {
    api.outside.reconcile = (team) => api.reach(team, { phase: 'Applying' });
    const answer = await asKari.post('/v1/teams', { slug: 'straks' });
    assert.deepEqual([answer.json().phase, versionIn(answer)], ['Applying', '1.1']);
  });

  it('the team is created even if the first reconcile has no result', async () => {
    api.outside.reconcile = async () => undefined;
    assert.equal((await asKari.post('/v1/teams', { slug: 'borte' })).statusCode, 201);
  });
});

describe('getTeam', () => {
  it('answers 304 to the current ETag, in every notation', async () => {
    const path = await api.newTeam();
    const { etag } = (await asKari.get(path)).headers;
    assert.match(String(etag), /^"team-\d+-[0-9a-f]{4}\.1\.0"$/);
    for (const header of ['"1.0"', 'W/"1.0"', '"0.9", "1.0"', '*']) {
      const answer = await asKari.get(path, { 'if-none-match': await api.tagged(path, header) });
      assert.deepEqual([answer.statusCode, answer.body, versionIn(answer)], [304, '', '1.0'], header);
    }
    for (const header of ['"1.1"', '"2.0"', '"1"']) {
      assert.equal(
        (await asKari.get(path, { 'if-none-match': await api.tagged(path, header) })).statusCode,
        200,
        header,
      );
    }
  });

  it('has a new ETag when the status has changed', async () => {
    const path = await api.newTeam();
    api.outside.look = (team) => api.reach(team, { phase: 'Ready' });
    const answer = await asKari.get(path, { 'if-none-match': await api.tagged(path, '"1.0"') });
    assert.deepEqual([answer.statusCode, answer.json().phase], [200, 'Ready']);
    assert.equal(versionIn(answer), '1.1');
  });

  it('refuses an invalid If-None-Match', async () => {
    const path = await api.newTeam();
    const answer = await asKari.get(path, { 'if-none-match': 'unquoted' });
    assertProblem(answer, 'validation_failed', ['/header/if-none-match bad_format']);
  });

  it('is visible to members, in any case of their e-mail, and to admins', async () => {
    const path = await api.newTeam({ members: [{ email: 'Ola.Nordmann@nav.no' }] });
    for (const client of [asKari, api.asPerson('OLA.NORDMANN@nav.no'), asAdmin])
      assert.equal((await client.get(path)).statusCode, 200);
  });

  it('answers HEAD like GET, without the body', async () => {
    const path = await api.newTeam();
    const answer = await asKari.send({ method: 'HEAD', url: path });
    assert.deepEqual([answer.statusCode, answer.body, versionIn(answer)], [200, '', '1.0']);
  });
});

describe('updateTeam', () => {
  it('replaces lists as a whole, and keeps omitted fields', async () => {
    const path = await api.newTeam({ members: [{ email: ola }], ghcrRepositories: ['one'], garTeam: 'nada' });
    api.advance(1000);
    const answer = await asKari.patch(path, { members: [{ email: kari, username: 'kari' }] });
    assert.deepEqual([answer.statusCode, versionIn(answer)], [200, '2.0']);
    const { members, ghcrRepositories, garTeam, revision, updatedAt } = answer.json();
    assert.deepEqual(members, [owner(kari, 'kari')]);
    assert.deepEqual([ghcrRepositories, garTeam, revision], [['one'], 'nada', 2]);
    assert.equal(updatedAt, api.now());
    const [newest] = (await api.store.history(path.slice(10), { limit: 1 })).items;
    assert.equal(newest?.action, 'team_updated');
    assert.deepEqual(
      newest?.changes.map((change) => change.pointer),
      ['/members'],
    );
  });

  it('resets null to the default, in both content types', async () => {
    for (const type of ['application/merge-patch+json', 'application/json; charset=utf-8']) {
      const path = await api.newTeam({ ghcrRepositories: ['one'], garTeam: 'nada' });
      const patch = { ghcrRepositories: null, garTeam: null };
      const answer = await asKari.patch(path, patch, { 'content-type': type });
      assert.deepEqual([answer.json().ghcrRepositories, answer.json().garTeam], [[], null]);
    }
  });

  it('writes nothing when nothing changes', async () => {
    const path = await api.newTeam({ ghcrRepositories: ['one'] });
    const before = await api.everything();
    for (const patch of [
      {},
      { ghcrRepositories: ['one', 'one'] },
      { members: [{ email: 'KARI.nordmann@nav.no' }] },
    ]) {
      const answer = await asKari.patch(path, patch);
      assert.deepEqual([answer.statusCode, versionIn(answer)], [200, '1.0']);
    }
    assert.deepEqual(await api.everything(), before);
  });

  it('compares the revision of If-Match, not the status', async () => {
    const path = await api.newTeam();
    await api.reach(await api.record(path), { phase: 'Applying' });
    const done = await asKari.patch(
      path,
      { ghcrRepositories: ['one'] },
      { 'if-match': await api.tagged(path, '"1.0"') },
    );
    assert.equal(versionIn(done), '2.1');
    for (const header of ['"1.0"', '"1.1"', 'W/"2.1"', '"3.1", "4.1"']) {
      const answer = await api.writesNothing(async () =>
        asKari.patch(path, { ghcrRepositories: [] }, { 'if-match': await api.tagged(path, header) }),
      );
      assertProblem(answer, 'revision_mismatch');
      assert.equal(answer.headers.etag, undefined);
    }
    for (const header of ['*', '"1.0", "2.0"'])
      assert.equal(
        (await asKari.patch(path, {}, { 'if-match': await api.tagged(path, header) })).statusCode,
        200,
      );
  });

  it('lets only admins and team creators change garTeam; any member may remove it', async () => {
    const path = await api.newTeam({ garTeam: 'nada' });
    const answer = await api.writesNothing(() => asKari.patch(path, { garTeam: 'other' }));
    assertProblem(answer, 'forbidden');
    assert.equal((await asAdmin.patch(path, { garTeam: 'other' })).json().garTeam, 'other');
    assert.equal((await asKari.patch(path, { garTeam: null })).json().garTeam, null);
  });

  it('refuses duplicate members', async () => {
    const path = await api.newTeam();
    const patch = {
      members: [{ email: kari }, { email: ola }, { email: 'OLA.nordmann@nav.no', username: 'ola' }],
    };
    const answer = await api.writesNothing(() => asKari.patch(path, patch));
    assertProblem(answer, 'validation_failed', ['/members/2/email duplicate']);
  });

  it('is refused once the team is being deleted', async () => {
    const path = await api.newTeam();
    await asKari.delete(path);
    assertProblem(await api.writesNothing(() => asKari.patch(path, { members: [] })), 'deleting');
  });
});

describe('deleteTeam', () => {
  it('answers 202 with the operation that deletes it', async () => {
    const path = await api.newTeam();
    const answer = await asKari.delete(path, { 'if-match': await api.tagged(path, '"1.0"') });
    assert.equal(answer.statusCode, 202);
    assert.partialDeepStrictEqual(answer.json(), {
      kind: 'delete_team',
      target: { type: 'team', user: null },
      done: false,
    });
    assert.equal((await asKari.get(path)).json().phase, 'Deleting');
    assert.deepEqual((await api.record(path)).deletion, {
      requestedAt: api.now(),
      deleteHomes: false,
      deleteSecret: false,
      operation: answer.json().id,
    });
  });

  it('is refused while there are homes, unless their deletion is requested', async () => {
    const path = await api.newTeam();
    api.outside.hasHomes = async () => true;
    assertProblem(await api.writesNothing(() => asKari.delete(path)), 'homes_exist');
    const answer = await asKari.delete(`${path}?deleteHomes=true&deleteSecret=true`);
    assert.equal(answer.statusCode, 202);
    const { deletion } = await api.record(path);
    assert.deepEqual([deletion?.deleteHomes, deletion?.deleteSecret], [true, true]);
  });

  it('is refused while the cluster cannot report whether there are homes', async () => {
    const path = await api.newTeam();
    api.outside.hasHomes = async () => {
      throw new Unavailable('kubernetes', 'connect ECONNREFUSED 10.0.0.1:443');
    };
    const answer = await api.writesNothing(() => asKari.delete(path));
    assertProblem(answer, 'upstream_unavailable');
    assert.doesNotMatch(answer.body, /10\.0\.0\.1|ECONN/);
  });

  it('may be repeated, and a repeat can only add to the request', async () => {
    const path = await api.newTeam();
    const { id } = (await asKari.delete(`${path}?deleteHomes=true`)).json();
    assert.equal((await asKari.delete(path)).json().id, id);
    assert.equal((await api.record(path)).deletion?.deleteHomes, true);
    await asKari.delete(`${path}?deleteSecret=true`);
    const { deletion } = await api.record(path);
    assert.deepEqual([deletion?.deleteHomes, deletion?.deleteSecret], [true, true]);
  });

  it('requires the current revision', async () => {
    const path = await api.newTeam();
    const answer = await api.writesNothing(async () =>
      asKari.delete(path, { 'if-match': await api.tagged(path, '"7.0"') }),
    );
    assertProblem(answer, 'revision_mismatch');
  });

  it('answers 202 when the first attempt completes the deletion, and 404 afterwards', async () => {
    const path = await api.newTeam();
    api.outside.reconcile = async (team) => {
      await api.store.remove(team.slug, team);
      return undefined;
    };
    const answer = await asKari.delete(path);
    assert.equal(answer.statusCode, 202);
    assertSucceeded(answer.json());
    assertProblem(await asKari.delete(path), 'not_found');
  });
});

describe('listTeams', () => {
  const anne = 'anne.lister@nav.no';
  const asAnne = api.asPerson(anne);
  const slugs = (answer: { json(): { items: { slug: string }[] } }) =>
    answer.json().items.map(({ slug }) => slug);
  const make = async (...names: string[]) => {
    for (const slug of names) await asAnne.post('/v1/teams', { slug });
  };

  it('lists the caller’s teams by slug, and every team for an admin', async () => {
    await make('liste-c', 'liste-a', 'liste-e');
    assert.deepEqual(slugs(await asAnne.get('/v1/teams')), ['liste-a', 'liste-c', 'liste-e']);
    const all = (await api.everything()).map(({ team }) => team.slug);
    assert.deepEqual(slugs(await asAdmin.get('/v1/teams?limit=200')), all);
    assert.deepEqual((await api.asPerson('nobody@nav.no').get('/v1/teams')).json(), {
      items: [],
      nextCursor: null,
    });
  });

  it('pages without a gap or a repeat while teams are created and deleted', async () => {
    const first = await asAnne.get('/v1/teams?limit=2');
    assert.deepEqual(slugs(first), ['liste-a', 'liste-c']);
    await make('liste-b', 'liste-d', 'liste-f');
    const second = await asAnne.get(`/v1/teams?limit=2&cursor=${first.json().nextCursor}`);
    assert.deepEqual(slugs(second), ['liste-d', 'liste-e']);
    const third = await asAnne.get(`/v1/teams?limit=2&cursor=${second.json().nextCursor}`);
    assert.deepEqual(
      third.json().items.map(({ slug }: { slug: string }) => slug),
      ['liste-f'],
    );
    assert.equal(third.json().nextCursor, null);
  });

  it('refuses a cursor of another caller, of another list, or with arbitrary text', async () => {
    const { nextCursor } = (await asAnne.get('/v1/teams?limit=1')).json();
    const path = await api.newTeam();
    await asKari.patch(path, { ghcrRepositories: ['one'] });
    const history = (await asKari.get(`${path}/history?limit=1`)).json().nextCursor;
    for (const [client, cursor] of [
      [asAdmin, nextCursor],
      [asKari, nextCursor],
      [asKari, history],
      [asAnne, `${nextCursor}x`],
      [asAnne, ''],
      [asAnne, Buffer.from('["liste-a"]').toString('base64url')],
      [asAnne, Buffer.from('{}').toString('base64url')],
      [asAnne, '%00'],
    ] as const)
      assertProblem(await client.get(`/v1/teams?cursor=${cursor}`), 'invalid_cursor');
  });

  it('accepts a limit of 1 to 200', async () => {
    for (const limit of ['0', '201', '1.5', 'x', '', '-0', '1e400'])
      assert.equal((await asAnne.get(`/v1/teams?limit=${limit}`)).statusCode, 400, limit);
    assertProblem(await asAnne.get('/v1/teams?limit=0&cursr=x'), 'validation_failed', [
      '/query/limit out_of_range',
      '/query/cursr unknown_field',
    ]);
  });
});
