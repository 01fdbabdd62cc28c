import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { Ajv2020, type ErrorObject } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import fc from 'fast-check';
import { pointerToken } from '../../src/lib/json.ts';
import { type Fault, Problem } from '../../src/model/problems.ts';
import { kari, openApi } from '../support/api.ts';
import { scriptedHub } from '../support/hubs.ts';
import { aSecretManager } from '../support/secret-manager.ts';
import { fitting, spoilt } from './arbitrary.ts';

/** FUZZ_RUNS and FUZZ_SEED ask for more, and for the same again; a failure prints its seed. */
const runs = Number(process.env.FUZZ_RUNS ?? 60);
const seed = process.env.FUZZ_SEED === undefined ? {} : { seed: Number(process.env.FUZZ_SEED) };

const api = await openApi();
after(() => api.close());
const asKari = api.asPerson(kari);
const components = api.document.components.schemas;

api.outside.look = async (team) => {
  if (team.deletion !== null || team.notebook?.deletion) return undefined;
  return team.status.phase === 'Ready' ? team : api.reach(team, { phase: 'Ready' });
};
api.outside.pinImage = async (reference) => {
  if (reference.length % 3 === 0) throw new Problem('image_not_found_or_private');
  return { reference, digest: `sha256:${'a'.repeat(64)}`, resolvedAt: api.now(), newerDigest: null };
};

const ajv = new Ajv2020({ strict: false, allErrors: true, ownProperties: true });
addFormats.default(ajv);
ajv.addSchema(api.document, 'api');

const methods = { get: 'GET', put: 'PUT', post: 'POST', patch: 'PATCH', delete: 'DELETE' } as const;
const isMethod = (name: string): name is keyof typeof methods => name in methods;

const here = 'HERE';
/** Mostly what fits, sometimes anything. */
const mostly = <T>(good: fc.Arbitrary<T>, other: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 4, arbitrary: good }, { weight: 1, arbitrary: other });
const header = fc.stringMatching(/^[ -~]{0,20}$/);
const headers = {
  'if-match': mostly(fc.constantFrom('*', '"1.0"', '"1.1"', '"2.1"'), header),
  'if-none-match': mostly(fc.constantFrom('*', '"1.0"', '"1.1"'), header),
  accept: mostly(fc.constantFrom('*/*', 'application/json', 'application/yaml', 'text/event-stream'), header),
};

const mapped = (values: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]));

/** Requests of one operation, most of which it takes. */
const requestsOf = (path: string, verb: keyof typeof methods) => {
  const operation = api.document.paths[path]?.[verb];
  assert.ok(operation);
  const { parameters = [], requestBody } = operation;
  const segments = fc.tuple(
    ...path.split('/').map((segment) => {
      if (!segment.startsWith('{')) return fc.constant(segment);
      const parameter = parameters.find(({ in: where, name }) => where === 'path' && `{${name}}` === segment);
      const good =
        segment === '{team}' ? fc.constant(here) : fitting(parameter?.schema, components).map(String);
      return mostly(good, fc.string({ maxLength: 30 })).map(encodeURIComponent);
    }),
  );
  const query = fc
    .record(
      Object.fromEntries(
        parameters
          .filter((parameter) => parameter.in === 'query')
          .map(({ name, schema, example }) => [
            name,
            mostly(
              fc.oneof(fitting(schema, components), ...(example === undefined ? [] : [fc.constant(example)])),
              fc.string({ maxLength: 12 }),
            ),
          ]),
      ),
      { requiredKeys: [] },
    )
    .map((chosen) => new URLSearchParams(mapped(chosen)));
  const type = Object.keys(requestBody?.content ?? {})[0];
  const schema = type === undefined ? undefined : requestBody?.content[type]?.schema;
  const good = fitting(schema, components);
  const bodyPointer =
    type === undefined
      ? undefined
      : ['paths', path, verb, 'requestBody', 'content', type, 'schema'].map(pointerToken).join('');
  return fc.record({
    // The stream of the servers has no end; a HEAD is answered as the request would be.
    method: fc.constant(path.endsWith('/servers/events') ? 'HEAD' : methods[verb]),
    segments,
    query,
    headers: fc.record(headers, { requiredKeys: [] }),
    body: type === undefined ? fc.constant(undefined) : fc.oneof(good, spoilt(good)),
    bodyPointer: fc.constant(bodyPointer),
  });
};

const operations = Object.entries(api.document.paths).flatMap(([path, verbs]) =>
  Object.keys(verbs)
    .filter(isMethod)
    .map((verb) => requestsOf(path, verb)),
);

const structural = ['required', 'unknown_field', 'wrong_type'];
/** What only the schema of a body refuses; handlers have bounds and lists of their own. */
const isOfSchema = ({ pointer, code }: Fault) =>
  structural.includes(code) && !/^\/(?:query|header)\//.test(pointer);

/** Forms and lengths of texts are the rules that handlers may enforce, after the state and with codes of their own. */
const mayBeOfHandler = ({ keyword }: ErrorObject) => ['pattern', 'minLength', 'maxLength'].includes(keyword);

describe('any request', () => {
  it('gets a documented answer, and never an internal error', async () => {
    let sent = 0;
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(...operations), { minLength: 4, maxLength: 12 }),
        async (requests) => {
          const team = await api.newTeam({ members: [{ email: kari, username: 'kari' }] });
          const clock = { now: () => Date.parse(api.now()) };
          const { hubs, cluster, ...hub } = scriptedHub({ clock, team: await api.record(team) });
          await hub.add('kari');
          if (requests.length % 2 > 0) hub.run('kari');
          Object.assign(api.outside, { hubs, cluster, secretManager: aSecretManager(clock) });
          if (requests.length % 4 > 0) await asKari.put(`${team}/notebook`, {});
          for (const { method, segments, query, headers, body, bodyPointer } of requests) {
            const slug = team.replace('/v1/teams/', '');
            const path = segments.map((segment) => (segment === here ? slug : segment)).join('/');
            const answer = await asKari.send({
              method,
              url: `${path}?${query}`,
              headers: { ...headers, ...(body !== undefined && { 'content-type': 'application/json' }) },
              ...(body !== undefined && { payload: JSON.stringify(body) }),
            });
            sent += 1;
            if (answer.statusCode < 300) accepted += 1;
            if (body === undefined || bodyPointer === undefined || answer.statusCode === 404) continue;
            // What came over the wire, and not what was meant: JSON has no -0 and no lone surrogates.
            const arrived: unknown = JSON.parse(JSON.stringify(body));
            const { code, errors = [] }: { code?: string; errors?: readonly Fault[] } = answer.json();
            if (code === 'malformed') continue;
            const fits = ajv.compile({ $ref: `api#${bodyPointer}` });
            const refused = errors.filter((fault) => code === 'validation_failed' && isOfSchema(fault));
            if (fits(arrived)) assert.deepEqual(refused, [], JSON.stringify(arrived));
            else if (fits.errors?.every(mayBeOfHandler))
              assert.ok(answer.statusCode >= 400, `taken: ${JSON.stringify(arrived)}`);
            else assert.equal(answer.statusCode, 400, `taken: ${JSON.stringify(arrived)}`);
          }
        },
      ),
      { numRuns: runs, ...seed },
    );
    // Not everything was refused at the door.
    assert.ok(accepted > sent / 10, `${accepted} of ${sent} accepted`);
  });
});
