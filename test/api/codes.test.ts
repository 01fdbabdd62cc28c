import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { statusOf } from '../../src/http/problem.ts';
import type { Code } from '../../src/model/code.ts';
import { hubConfig } from '../../src/notebooks/hub-config.ts';
import { hubFailure } from '../../src/servers/failure.ts';
import { assertProblem, openApi } from '../support/api.ts';

const api = await openApi();
after(() => api.close());
const anyone = api.anonymous();

const listed: readonly Code[] = (await anyone.get('/v1/codes')).json().items;
const codesOf = (...kinds: readonly Code['kind'][]): readonly string[] =>
  listed.filter(({ kind }) => kinds.includes(kind)).map(({ code }) => code);

/** The values of a component of the contract, which the answers of every test are validated against. */
const valuesIn = (name: string): readonly string[] => {
  const component: Readonly<Record<string, unknown>> = Object(api.document.components.schemas[name]);
  const values = component['x-extensible-enum'];
  assert.ok(Array.isArray(values), name);
  return values;
};

describe('listCodes', () => {
  it('is public, on one page, and cacheable', async () => {
    const answer = await anyone.get('/v1/codes');
    assert.deepEqual([answer.statusCode, answer.json().nextCursor], [200, null]);
    assert.match(String(answer.headers['cache-control']), /^public, max-age=[1-9]/);
    const etag = String(answer.headers.etag);
    for (const header of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
      const again = await anyone.get('/v1/codes', { 'if-none-match': header });
      assert.deepEqual([again.statusCode, again.body, again.headers.etag], [304, '', etag], header);
    }
    assert.equal((await anyone.get('/v1/codes', { 'if-none-match': '"other"' })).statusCode, 200);
    assertProblem(await anyone.get('/v1/codes', { 'if-none-match': 'other' }), 'validation_failed', [
      '/header/if-none-match bad_format',
    ]);
  });

  it('has every code and reason of the contract, each once per kind', () => {
    assert.deepEqual(codesOf('problem').toSorted(), valuesIn('ProblemCode').toSorted());
    const entryCodes = codesOf('allowlist');
    for (const code of valuesIn('FaultCode'))
      assert.ok(codesOf('fault').includes(code) || entryCodes.includes(code), code);
    for (const code of codesOf('fault')) assert.ok(valuesIn('FaultCode').includes(code), code);
    assert.deepEqual(codesOf('condition_reason').toSorted(), valuesIn('ConditionReason').toSorted());
    assert.deepEqual(codesOf('operation_reason').toSorted(), valuesIn('OperationReason').toSorted());
    const keys = listed.map(({ kind, code }) => `${kind} ${code}`);
    assert.equal(new Set(keys).size, keys.length);
  });

  it('has the status of a problem, and null for every other kind', () => {
    const statuses: Readonly<Record<string, number>> = statusOf;
    for (const { kind, code, status } of listed)
      assert.equal(status, kind === 'problem' ? statuses[code] : null, `${kind} ${code}`);
  });

  for (const { kind, code, title, help } of listed) {
    it(`explains ${kind} ${code} in English and in Norwegian`, () => {
      assert.notEqual(help.en, help.nb);
      for (const text of [title.en, title.nb]) assert.match(text, /^[A-ZÆØÅ][^.!?]*[^.!?\s]$/);
      for (const text of [help.en, help.nb]) assert.match(text, /^(?:[A-ZÆØÅ]|[a-z]+=)[^!?]*[.]$/);
      assert.ok(title.en.length <= 40 && title.nb.length <= 40, 'a title is short');
      assert.doesNotMatch(help.nb, /\b(?:the|and|of|is|you|your)\b/i);
    });
  }
});

describe('the reasons with which our hub configuration refuses a start', () => {
  const refused = [...hubConfig.matchAll(/NotebookRefused\(\s*"([a-z_]+)"/g)].map(([, code = '']) => code);

  it('are at least the four that exist today', () => assert.ok(new Set(refused).size >= 4));

  for (const reason of new Set(refused)) {
    it(`include ${reason}, which reaches clients as the reason of the operation`, () => {
      assert.equal(hubFailure(`Spawn failed: ${reason}: No.`).reason, reason);
      assert.ok(codesOf('operation_reason').includes(reason));
    });
  }
});
