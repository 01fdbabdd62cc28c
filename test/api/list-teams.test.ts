import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { admins, assertProblem, kari, ola, openApi } from '../support/api.ts';
import { anEvent, aRecord } from '../support/records.ts';

const api = await openApi();
after(() => api.close());
const [asKari, asAdmin] = [api.asPerson(kari), api.asPerson('anne@nav.no', admins)];

const [ofKari, ofOla] = [kari, ola].map((email) => [{ email, username: email, role: 'owner' as const }]);
const ready = { status: { ...aRecord().status, phase: 'Ready' as const } };
for (const team of [
  aRecord({ slug: 'data-a', members: ofKari ?? [], ...ready }),
  aRecord({ slug: 'data-b', members: ofOla ?? [], ...ready }),
  aRecord({ slug: 'data-c', members: ofKari ?? [] }),
  aRecord({ slug: 'web', members: ofKari ?? [], ...ready }),
])
  await api.store.create(team, anEvent());

const slugsOf = async (client: typeof asKari, query: string) => {
  const answer = await client.get(`/v1/teams?${query}`);
  assert.equal(answer.statusCode, 200, answer.body);
  return answer
    .json()
    .items.map(({ slug }: { slug: string }) => slug)
    .join(' ');
};

describe('listTeams', () => {
  it('filters by phase, slug prefix and member, by slug ascending', async () => {
    assert.equal(await slugsOf(asKari, ''), 'data-a data-c web');
    assert.equal(await slugsOf(asKari, 'phase=Ready'), 'data-a web');
    assert.equal(await slugsOf(asKari, 'slugPrefix=data-'), 'data-a data-c');
    assert.equal(await slugsOf(asAdmin, 'slugPrefix=data-&phase=Ready'), 'data-a data-b');
    assert.equal(await slugsOf(asAdmin, `member=${encodeURIComponent('Ola.Nordmann@NAV.no')}`), 'data-b');
    assert.equal(await slugsOf(asKari, `member=${kari}`), 'data-a data-c web');
  });

  it('lets only a platform admin name another person', async () => {
    assertProblem(await asKari.get(`/v1/teams?member=${ola}`), 'forbidden');
  });

  it('keeps its filters from page to page, and refuses the cursor of another filter', async () => {
    const first = (await asKari.get('/v1/teams?phase=Ready&limit=1')).json();
    assert.ok(first.nextCursor !== null);
    const next = await asKari.get(`/v1/teams?phase=Ready&limit=1&cursor=${first.nextCursor}`);
    assert.equal(next.json().items[0].slug, 'web');
    assertProblem(await asKari.get(`/v1/teams?limit=1&cursor=${first.nextCursor}`), 'invalid_cursor');
  });

  it('refuses a phase, a prefix and an e-mail of another form', async () => {
    assertProblem(await asKari.get('/v1/teams?phase=ready'), 'validation_failed', [
      '/query/phase not_in_list',
    ]);
    assertProblem(await asKari.get('/v1/teams?slugPrefix=A'), 'validation_failed', [
      '/query/slugPrefix bad_format',
    ]);
    assertProblem(await asKari.get('/v1/teams?member=ola'), 'validation_failed', [
      '/query/member bad_format',
    ]);
  });
});
