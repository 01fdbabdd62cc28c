import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Response } from 'undici';
import { asMap, at, type JsonMap, parseJson } from '../kubernetes/json.ts';
import { FQDN_POLICIES, groupVersionOf, RESOURCES } from '../kubernetes/resources.ts';
import { type ApiServer, absent, startApiServer } from '../real/kube-apiserver.ts';
import { definitions } from './definitions.ts';
import { condense, shortName } from './openapi-schemas.ts';

const FILE = new URL('../kubernetes/schemas.txt', import.meta.url);
const KINDS = [...RESOURCES, FQDN_POLICIES.v1alpha3];

const typesOf = (text: string): Map<string, string> =>
  new Map(text.split('\n\n').map((block) => [block.split(/[\s{]/)[0] ?? '', block.trim()]));

/** The document at a path; the server publishes those of custom resources a moment after they are installed. */
async function published(server: ApiServer, path: string): Promise<Response> {
  for (const deadline = Date.now() + 20_000; ; await delay(50)) {
    const answer = await server.fetch(path);
    if (answer.ok) return answer;
    assert.ok(Date.now() < deadline, `${path} is not published`);
  }
}

describe('the simulator’s schemas', { skip: await absent() }, () => {
  it('schemas.txt: equals what the real server publishes (WRITE_SCHEMAS=1 writes it)', async () => {
    const server = await startApiServer({ definitions });
    try {
      const components = new Map<string, JsonMap>();
      for (const groupVersion of new Set(KINDS.map(groupVersionOf))) {
        const path = groupVersion.includes('/') ? `apis/${groupVersion}` : `api/${groupVersion}`;
        const isExpected = KINDS.some(
          (kind) =>
            groupVersionOf(kind) === groupVersion &&
            (!kind.custom || server.customResources.includes(kind.plural)),
        );
        if (!isExpected) continue;
        const answer = await published(server, `/openapi/v3/${path}`);
        const schemas = asMap(at(parseJson(await answer.text()), 'components', 'schemas'));
        for (const [name, schema] of Object.entries(schemas)) components.set(name, asMap(schema));
      }
      const roots = [...components.keys()].filter((name) =>
        KINDS.some((kind) => kind.schema === shortName(name)),
      );
      const text = condense(components, roots);
      if (process.env.WRITE_SCHEMAS === '1') writeFileSync(FILE, text);
      const [ours, theirs] = [typesOf(readFileSync(FILE, 'utf8')), typesOf(text)];
      for (const [name, type] of theirs) assert.equal(ours.get(name), type);
      // Custom resources are only published where their definitions are installed.
      const custom = /^(helm\.|networking\.FQDN)/;
      for (const name of ours.keys())
        assert.ok(theirs.has(name) || custom.test(name), `${name} is not published`);
    } finally {
      await server.close();
    }
  });
});
