import assert from 'node:assert/strict';
import { after, afterEach, describe, it } from 'node:test';
import { admins, assertProblem, kari } from '../support/api.ts';
import { openWithRegistries } from '../support/registries.ts';

const world = await openWithRegistries();
after(() => world.close());
const registries = { ...world.outside.registries };
afterEach(() => void Object.assign(world.outside, { registries }));

const asKari = world.asPerson(kari);
let created = 0;
const create = (ghcrRepositories: readonly string[], headers: Readonly<Record<string, string>> = {}) =>
  asKari.post('/v1/teams', { slug: `repos-${++created}`, ghcrRepositories }, headers);
const warningsIn = ({ warnings }: { warnings: { pointer: string; code: string }[] }) =>
  warnings.map(({ pointer, code }) => `${pointer} ${code}`);

describe('the GHCR repositories of a team', () => {
  it('are stored by name, in whatever spelling they are sent, and merged', async () => {
    const spellings = [
      'team-notebook',
      'navikt/team-notebook',
      'ghcr.io/NAVIKT/Team-Notebook:latest',
      'https://github.com/navikt/team-notebook.git',
      'https://github.com/orgs/navikt/packages/container/package/team-notebook/',
      `ghcr.io/navikt/team-notebook@sha256:${'a'.repeat(64)}`,
    ];
    const answer = await create(spellings);
    assert.equal(answer.statusCode, 201, answer.body);
    assert.deepEqual(answer.json().ghcrRepositories, ['team-notebook']);
    const path = String(answer.headers.location);
    const { revision } = await world.record(path);
    for (const spelling of spellings) {
      const patched = await asKari.patch(path, { ghcrRepositories: [spelling] });
      assert.deepEqual(patched.json().ghcrRepositories, ['team-notebook'], spelling);
    }
    assert.equal((await world.record(path)).revision, revision);
    const { items } = (await asKari.get(`${path}/images`)).json();
    assert.deepEqual(
      items.map(({ image }: { image: string }) => image),
      ['ghcr.io/navikt/team-notebook'],
    );
  });

  it('are refused together with every other fault, with the owner in the sentence', async () => {
    const order = {
      slug: 'X',
      ghcrRepositories: ['ghcr.io/other/x', 'ok', 'docker.io/library/x', 'no name'],
    };
    const answer = await world.writesNothing(() => asKari.post('/v1/teams', order));
    assertProblem(answer, 'validation_failed', [
      '/slug too_short',
      '/ghcrRepositories/0 owner_not_allowed',
      '/ghcrRepositories/2 registry_not_allowed',
      '/ghcrRepositories/3 bad_format',
    ]);
    const { errors } = answer.json();
    const fault = errors.find(({ pointer }: { pointer: string }) => pointer === '/ghcrRepositories/0');
    assert.match(fault.message, /“other”; only repositories of navikt can be used/);
    const path = await world.newTeam();
    const refused = await asKari.patch(path, { ghcrRepositories: ['ghcr.io/other/x'] });
    assertProblem(refused, 'validation_failed', ['/ghcrRepositories/0 owner_not_allowed']);
  });

  it('are accepted with a warning if GHCR does not have them, on creation and on update', async () => {
    const missing = '/ghcrRepositories/0 repository_not_found_or_private';
    const answer = await create(['nowhere-to-be-found', 'team-notebook']);
    assert.equal(answer.statusCode, 201);
    assert.deepEqual(warningsIn(answer.json()), [missing]);
    assert.equal(
      answer.json().warnings[0].message,
      'ghcr.io/navikt/nowhere-to-be-found does not exist, or the platform is not allowed to read it. Check its name and its visibility.',
    );
    const path = String(answer.headers.location);
    assert.deepEqual((await world.record(path)).ghcrRepositories, ['nowhere-to-be-found', 'team-notebook']);
    const unchanged = await asKari.patch(path, {
      ghcrRepositories: ['team-notebook', 'nowhere-to-be-found'],
    });
    assert.deepEqual([unchanged.statusCode, ...warningsIn(unchanged.json())], [200, missing]);
    const fixed = await asKari.patch(path, { ghcrRepositories: ['team-notebook'] });
    assert.deepEqual(fixed.json().warnings, []);
  });

  it('have no warnings in any other answer, and ask no registry for one', async () => {
    const path = String((await create(['not-there-either'])).headers.location);
    const requests = await world.requests(async () => {
      assert.deepEqual((await asKari.get(path)).json().warnings, []);
      const patched = await asKari.patch(path, { members: [{ email: kari }] });
      assert.deepEqual(patched.json().warnings, []);
      const list = await world.asPerson('admin@nav.no', admins).get('/v1/teams?limit=200');
      for (const { warnings } of list.json().items) assert.deepEqual(warnings, []);
    });
    assert.equal(requests, 0);
  });

  it('are accepted while GHCR is unavailable, with a warning that they were not checked', async () => {
    const answer = await world.away(() => create(['never-asked-before']));
    assert.equal(answer.statusCode, 201);
    assert.deepEqual(warningsIn(answer.json()), ['/ghcrRepositories/0 repository_not_checked']);
  });

  it('are accepted after two seconds in all if GHCR does not answer at all', async () => {
    let asked = 0;
    const never = () => {
      asked += 1;
      return new Promise<never>(() => {});
    };
    Object.assign(world.outside, { registries: { ...registries, tags: never } });
    const names = Array.from({ length: 100 }, (_, i) => `silent-${i}`);
    const before = performance.now();
    const answer = await create(names);
    const elapsed = performance.now() - before;
    assert.equal(answer.statusCode, 201);
    assert.equal(answer.json().warnings.length, 100);
    assert.ok(
      warningsIn(answer.json()).every((warning) => warning.endsWith(' repository_not_checked')),
      answer.body,
    );
    assert.ok(asked > 0 && asked < 100, `${asked} requests`);
    assert.ok(elapsed > 1_500 && elapsed < 6_000, `${elapsed} ms`);
  });

  it('are accepted if the check itself fails', async () => {
    const broken = () => Promise.reject(new TypeError('broken'));
    Object.assign(world.outside, { registries: { ...registries, tags: broken } });
    const answer = await create(['x']);
    assert.equal(answer.statusCode, 201);
    assert.deepEqual(warningsIn(answer.json()), ['/ghcrRepositories/0 repository_not_checked']);
  });

  it('have the same warnings when a request is repeated with its Idempotency-Key', async () => {
    const key = { 'idempotency-key': 'repositories-1' };
    const first = await create(['lost-and-gone'], key);
    created -= 1;
    const again = await create(['lost-and-gone'], key);
    assert.equal(warningsIn(first.json()).length, 1);
    assert.equal(again.body, first.body);
  });
});
