import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import spectralCore, { type RulesetDefinition } from '@stoplight/spectral-core';
import spectralRulesets from '@stoplight/spectral-rulesets';
import { printedJson } from '../../src/http/openapi.ts';
import { compileSchemas } from '../../src/http/validation.ts';
import { openApi } from '../support/api.ts';
import { exampleFaults, openapiFaults } from './openapi-rules.ts';

const { Spectral } = spectralCore;
const { oas } = spectralRulesets;
const root = new URL('../../', import.meta.url);
const run = (file: string, ...args: string[]) =>
  promisify(execFile)(file, args, { cwd: fileURLToPath(root) });

describe('the contract', async () => {
  const api = await openApi();
  after(() => api.close());

  it('is served as it is committed', async () => {
    const committed = readFileSync(new URL('openapi/openapi.json', root), 'utf8');
    assert.equal((await api.app.inject('/openapi.json')).body, committed, 'run: npm run openapi');
    assert.equal(printedJson(JSON.parse(committed)), committed);
  });

  it('is what the script writes, and so is the error reference', async () => {
    await run(process.execPath, 'scripts/openapi.ts', '--check');
  });

  it('follows our rules, and every example matches its schema', () => {
    assert.deepEqual(openapiFaults(api.document), []);
    assert.deepEqual(exampleFaults(api.document), []);
  });

  it('compiles completely', () => {
    assert.ok(compileSchemas(api.app) > 60);
  });

  it('passes redocly’s rules without a warning', async () => {
    const { stderr } = await run(
      fileURLToPath(new URL('node_modules/.bin/redocly', root)),
      'lint',
      '--max-problems=1000',
      'openapi/openapi.json',
    );
    assert.doesNotMatch(stderr, /warning/i);
    assert.match(stderr, /Your API description is valid/);
  });

  it('passes spectral’s OpenAPI rules without a warning', async () => {
    const spectral = new Spectral();
    spectral.setRuleset(oas as RulesetDefinition);
    const findings = await spectral.run(
      JSON.parse(readFileSync(new URL('openapi/openapi.json', root), 'utf8')),
    );
    assert.deepEqual(
      findings.map(({ code, path, message }) => `${code} ${path.join('/')}: ${message}`),
      [],
    );
  });

  it('has the operations of teams, notebooks and their limits', () => {
    const ids = Object.values(api.document.paths).flatMap((operations) =>
      Object.values(operations).map((operation) => String(operation.operationId)),
    );
    for (const id of [
      ...['listTeams', 'createTeam', 'getTeam', 'updateTeam', 'deleteTeam'],
      ...['getNotebook', 'putNotebook', 'patchNotebook', 'planNotebook', 'deleteNotebook', 'retryNotebook'],
      ...[
        'getManifests',
        'listHistory',
        'restoreRevision',
        'watchNotebook',
        'getLimits',
        'validateAllowlist',
      ],
    ])
      assert.ok(ids.includes(id), id);
    assert.equal(new Set(ids).size, ids.length);
  });
});
