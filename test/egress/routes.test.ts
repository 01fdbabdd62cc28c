import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { assertProblem, kari, openApi } from '../support/api.ts';

const api = await openApi({ environment: { EGRESS_INTERNAL_SUFFIXES: 'adeo.no' } });
after(() => api.close());
const asKari = api.asPerson(kari);

const validate = (entries: readonly unknown[]) =>
  api.writesNothing(() => asKari.post('/v1/allowlist/validate', { entries }));

describe('validateAllowlist', () => {
  it('answers good entries and bad ones apart, each bad one with its place', async () => {
    const answer = await validate(['https://pypi.org/simple', '*.nav.no', 'ssb.no:8080-8090', 'db.adeo.no']);
    assert.equal(answer.statusCode, 200);
    const { entries, errors } = answer.json();
    assert.deepEqual(entries, [
      {
        entry: 'pypi.org:443',
        host: 'pypi.org',
        portStart: 443,
        portEnd: 443,
        kind: 'name',
        warnings: ['normalized'],
      },
      {
        entry: 'ssb.no:8080-8090',
        host: 'ssb.no',
        portStart: 8080,
        portEnd: 8090,
        kind: 'name',
        warnings: [],
      },
    ]);
    assert.deepEqual(
      errors.map(({ index, entry, code }: { index: number; entry: string; code: string }) => [
        index,
        entry,
        code,
      ]),
      [
        [1, '*.nav.no', 'wildcard_not_supported'],
        [3, 'db.adeo.no', 'internal_name'],
      ],
    );
  });

  it('says what an order would say: the same code at the same place', async () => {
    const hosts = ['pypi.org', 'localhost', '10.0.0.1', 'a..b.no', 'pypi.org:0', 'two.no, three.no'];
    const { errors }: { errors: { index: number; code: string }[] } = (await validate(hosts)).json();
    const path = `${await api.newTeam()}/notebook`;
    const order = { allowlist: { enabled: true, hosts } };
    const answer = await api.writesNothing(() => asKari.put(path, order));
    assert.equal(errors.length, 5);
    assertProblem(
      answer,
      'invalid_allowlist',
      errors.map(({ index, code }) => `/allowlist/hosts/${index} ${code}`),
    );
  });

  it('takes an empty list, and says where a long one is cut', async () => {
    assert.deepEqual((await validate([])).json(), { entries: [], errors: [] });
    const many = Array.from({ length: 201 }, (_, i) => `host-${i}.nav.no`);
    const { entries, errors } = (await validate(many)).json();
    assert.equal(entries.length, 200);
    assert.deepEqual([errors.length, errors[0].index, errors[0].code], [1, 200, 'too_many_entries']);
  });

  it('refuses what is no list of texts', async () => {
    assertProblem(await validate([1, null, 'pypi.org', ['x']]), 'validation_failed', [
      '/entries/0 wrong_type',
      '/entries/1 wrong_type',
      '/entries/3 wrong_type',
    ]);
    const many = Array.from({ length: 1001 }, () => 'a.no');
    assertProblem(await validate(many), 'validation_failed', ['/entries too_many']);
  });
});
