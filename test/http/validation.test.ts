import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import Type from 'typebox';
import { faultOf } from '../../src/http/faults.ts';
import type { App } from '../../src/http/server.ts';
import { compileSchemas } from '../../src/http/validation.ts';
import { closed, nullable, oneOf, ref } from '../../src/lib/schema.ts';
import { NotebookOrder, NotebookPatch, notebookParts } from '../../src/model/notebook.ts';
import { MemberOrder, Slug, TeamOrder } from '../../src/model/team.ts';
import { TeamQuotaOrder } from '../../src/model/team-quota.ts';
import { shell } from './shell.ts';

const params = closed({ team: Slug });
const querystring = closed({
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200 })),
  deleteHomes: Type.Optional(Type.Boolean()),
});

/** Echoes what its handlers receive, which shows what validation did to it. */
const echo = async () => {
  const app = await shell();
  for (const schema of [
    MemberOrder,
    TeamOrder,
    TeamQuotaOrder,
    NotebookOrder,
    NotebookPatch,
    ...notebookParts,
  ])
    app.addSchema(schema);
  app.post('/teams', { schema: { body: ref(TeamOrder) } }, async (request) => ({ body: request.body }));
  app.put('/teams/:team', { schema: { params, querystring, body: ref(NotebookOrder) } }, async (request) => ({
    params: request.params,
    query: request.query,
    body: request.body,
  }));
  app.patch('/teams/:team', { schema: { params, body: ref(NotebookPatch) } }, async (request) => ({
    body: request.body,
  }));
  app.post('/teams/:team/refresh', { schema: { params } }, async (request) => ({
    body: request.body ?? null,
  }));
  app.post(
    '/teams/:team/retry',
    {
      config: { optionalBody: true },
      schema: { params, body: closed({ force: Type.Optional(Type.Boolean()) }) },
    },
    async (request) => ({ body: request.body }),
  );
  return app;
};

const faultsOf = (answer: { json(): { errors?: { pointer: string; code: string; message: string }[] } }) =>
  (answer.json().errors ?? []).map(({ pointer, code }) => `${pointer} ${code}`);

/** What the server answers to these bytes: the status and the body. */
const raw = async (app: App, head: readonly string[], body: string) => {
  const { port } = new URL(await app.listen({ host: '127.0.0.1', port: 0 }));
  const socket = connect(Number(port), '127.0.0.1');
  socket.write(
    ['POST /teams/team-a/retry HTTP/1.1', 'host: x', 'connection: close', ...head, '', body].join('\r\n'),
  );
  const answer = await text(socket);
  await app.close();
  return `${answer.split(' ')[1]} ${answer.slice(answer.indexOf('\r\n\r\n') + 4)}`;
};

describe('a body that may be left out', () => {
  const types = [
    'application/json',
    'text/plain',
    'application/x-www-form-urlencoded',
    'nonsense',
    undefined,
  ];
  const typed = (type: string | undefined) => (type === undefined ? [] : [`content-type: ${type}`]);

  for (const type of types) {
    it(`may be empty, of the content type ${type}, with a length or in chunks`, async () => {
      for (const head of [[], ['content-length: 0']]) {
        assert.equal(await raw(await echo(), [...typed(type), ...head], ''), '200 {"body":{}}');
      }
      const chunked = [...typed(type), 'transfer-encoding: chunked'];
      assert.equal(await raw(await echo(), chunked, '0\r\n\r\n'), '200 {"body":{}}');
    });
  }

  it('may be null or {}', async () => {
    const app = await echo();
    const headers = { 'content-type': 'application/json' };
    for (const payload of ['null', '{}', ' null ']) {
      const answer = await app.inject({ method: 'POST', url: '/teams/team-a/retry', headers, payload });
      assert.deepEqual([answer.statusCode, answer.json()], [200, { body: {} }], payload);
    }
  });

  it('is read to its end when it comes in chunks', async () => {
    const chunked = ['content-type: application/json', 'transfer-encoding: chunked'];
    const body = '8\r\n{"force"\r\n6\r\n:true}\r\n0\r\n\r\n';
    assert.equal(await raw(await echo(), chunked, body), '200 {"body":{"force":true}}');
  });

  it('is refused when it is of another type, or no object', async () => {
    const post = (type: string, payload: string) =>
      echo().then((app) =>
        app.inject({
          method: 'POST',
          url: '/teams/team-a/retry',
          headers: { 'content-type': type },
          payload,
        }),
      );
    assert.equal((await post('text/plain', 'force')).statusCode, 415);
    assert.equal((await post('application/json', '[]')).statusCode, 400);
    assert.equal((await post('application/json', '0')).statusCode, 400);
  });

  it('may not be null where it is needed', async () => {
    const app = await echo();
    const headers = { 'content-type': 'application/json' };
    const answer = await app.inject({ method: 'PATCH', url: '/teams/team-a', headers, payload: 'null' });
    assert.equal(answer.statusCode, 400);
  });
});

describe('a body', () => {
  it('is refused with all its faults at once, including those of the query, each once', async () => {
    const app = await echo();
    const answer = await app.inject({
      method: 'PUT',
      url: '/teams/team-a?limit=0&page=2',
      payload: {
        image: 5,
        culling: { timeoutSeconds: '3600', timeout: 1 },
        resources: { cpu: { limit: null }, memory: { limit: '2GB' } },
        allowlist: { hosts: 'pypi.org' },
      },
    });
    assert.equal(answer.statusCode, 400);
    assert.deepEqual(faultsOf(answer).sort(), [
      '/allowlist/hosts wrong_type',
      '/culling/timeout unknown_field',
      '/culling/timeoutSeconds wrong_type',
      '/image wrong_type',
      '/query/limit out_of_range',
      '/query/page unknown_field',
      '/resources/cpu/limit wrong_type',
      '/resources/memory/limit bad_format',
    ]);
  });

  it('a body is accepted as sent: no value is coerced, defaulted or dropped', async () => {
    const app = await echo();
    for (const payload of [{}, { culling: {} }, { image: null }, { allowlist: { hosts: [] } }]) {
      const answer = await app.inject({ method: 'PUT', url: '/teams/team-a', payload });
      assert.deepEqual(answer.json().body, payload);
    }
  });

  it('may have null in every field of a patch, but not in a number of an order', async () => {
    const app = await echo();
    const payload = {
      resources: null,
      culling: { timeoutSeconds: null },
      pip: { userInstallByDefault: null },
    };
    const patched = await app.inject({ method: 'PATCH', url: '/teams/team-a', payload });
    assert.deepEqual(patched.json().body, payload);
    const ordered = await app.inject({ method: 'PUT', url: '/teams/team-a', payload });
    assert.deepEqual(faultsOf(ordered), [
      '/resources wrong_type',
      '/culling/timeoutSeconds wrong_type',
      '/pip/userInstallByDefault wrong_type',
    ]);
  });

  it('a slug of 26 characters is too long, with a readable message', async () => {
    const app = await echo();
    const answer = await app.inject({ method: 'POST', url: '/teams', payload: { slug: 'a'.repeat(26) } });
    assert.deepEqual(answer.json().errors, [
      { pointer: '/slug', code: 'too_long', message: 'Must have at most 25 characters.' },
    ]);
  });

  it('the fault of a misspelt field suggests the intended one', async () => {
    const app = await echo();
    for (const [sent, meant] of [
      ['ghcr_repositories', 'ghcrRepositories'],
      ['member', 'members'],
      ['Slug', 'slug'],
    ] as const) {
      const answer = await app.inject({
        method: 'POST',
        url: '/teams',
        payload: { slug: 'team-a', [sent]: [] },
      });
      assert.deepEqual(answer.json().errors, [
        {
          pointer: `/${sent}`,
          code: 'unknown_field',
          message: `There is no such field. Did you mean "${meant}"?`,
        },
      ]);
    }
  });

  it('points to an unknown field as RFC 6901 specifies', async () => {
    const app = await echo();
    const answer = await app.inject({
      method: 'POST',
      url: '/teams',
      payload: { slug: 'team-a', 'a/b~c': 1 },
    });
    assert.deepEqual(faultsOf(answer), ['/a~1b~0c unknown_field']);
  });

  for (const payload of ['null', '[]', '"slug"', '7']) {
    it(`that is ${payload} and not an object is refused whole`, async () => {
      const app = await echo();
      const headers = { 'content-type': 'application/json' };
      const answer = await app.inject({ method: 'POST', url: '/teams', payload, headers });
      assert.deepEqual([answer.statusCode, ...faultsOf(answer)], [400, ' wrong_type']);
    });
  }

  it('that is missing is reported, or counts as {} if the operation allows it', async () => {
    const app = await echo();
    const missing = await app.inject({ method: 'POST', url: '/teams' });
    assert.deepEqual([missing.statusCode, ...faultsOf(missing)], [400, ' required']);
    const optional = await app.inject({ method: 'POST', url: '/teams/team-a/retry' });
    assert.deepEqual([optional.statusCode, optional.json()], [200, { body: {} }]);
  });

  it('is refused by an operation without one', async () => {
    const app = await echo();
    const url = '/teams/team-a/refresh';
    const answer = await app.inject({ method: 'POST', url, payload: { force: true } });
    assert.deepEqual([answer.statusCode, ...faultsOf(answer)], [400, '/force unknown_field']);
    assert.equal((await app.inject({ method: 'POST', url, payload: {} })).statusCode, 200);
  });

  it('the number of reported faults is limited', async () => {
    const app = await echo();
    const payload = Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`x${i}`, 1]));
    const answer = await app.inject({ method: 'POST', url: '/teams', payload });
    assert.equal(answer.json().errors.length, 500);
  });
});

describe('a path and a query', () => {
  for (const team of [
    'a'.repeat(26),
    'Team-A',
    'a',
    'team_a',
    '-team',
    'team--a',
    '1team',
    'team%20a',
    'te%C3%A5m',
  ]) {
    it(`with the team ${team} answer like a path that does not exist`, async () => {
      const app = await echo();
      const strange = await app.inject({ method: 'PUT', url: `/teams/${team}`, payload: { nonsense: 1 } });
      const absent = await app.inject({ method: 'PUT', url: '/nowhere/at/all', payload: {} });
      const withoutInstance = (body: string) => body.replace(/urn:uuid:[0-9a-f-]+/, '');
      assert.deepEqual(
        [strange.statusCode, withoutInstance(strange.body)],
        [404, withoutInstance(absent.body)],
      );
    });
  }

  it('are texts that are converted to the types of their schema', async () => {
    const app = await echo();
    const answer = await app.inject({
      method: 'PUT',
      url: '/teams/team-a?limit=20&deleteHomes=true',
      payload: {},
    });
    assert.deepEqual(answer.json().query, { limit: 20, deleteHomes: true });
  });

  for (const query of [
    'limit=',
    'limit=2.5',
    'limit=1&limit=2',
    'limit=ten',
    'deleteHomes=yes',
    'deleteHomes=1',
  ]) {
    it(`are refused if they cannot be converted: ${query}`, async () => {
      const app = await echo();
      const answer = await app.inject({ method: 'PUT', url: `/teams/team-a?${query}`, payload: {} });
      assert.deepEqual(
        [answer.statusCode, ...faultsOf(answer)],
        [400, `/query/${query.split('=')[0]} wrong_type`],
      );
    });
  }
});

describe('faults', () => {
  const schema = closed({
    list: Type.Optional(Type.Array(Type.Integer(), { minItems: 1, maxItems: 2 })),
    choice: Type.Optional(oneOf(['gar', 'ghcr'])),
    above: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 1 })),
    text: Type.Optional(Type.String({ minLength: 2, pattern: '^[a-z]*$', description: 'Small letters' })),
    when: Type.Optional(Type.String({ format: 'date-time' })),
    where: Type.Optional(nullable(Type.String({ format: 'uri' }))),
    id: Type.Optional(Type.String({ format: 'uuid' })),
    same: Type.Optional(Type.Array(Type.Integer(), { uniqueItems: true })),
  });
  for (const [value, code, message] of [
    [{ list: [] }, 'too_short', 'Must have at least 1 item.'],
    [{ list: [1, 2, 3] }, 'too_many', 'Must have at most 2 items.'],
    [{ list: ['1'] }, 'wrong_type', 'Must be a whole number.'],
    [{ choice: 'docker' }, 'not_in_list', 'Must be one of "gar", "ghcr".'],
    [{ above: 0 }, 'out_of_range', 'Must be more than 0.'],
    [{ above: 2 }, 'out_of_range', 'Must be at most 1.'],
    [{ text: 'a' }, 'too_short', 'Must have at least 2 characters.'],
    [{ text: 'AB' }, 'bad_format', 'Small letters. Must match ^[a-z]*$'],
    [{ when: 'today' }, 'bad_format', 'Must be an instant such as 2026-11-23T09:00:00Z.'],
    [{ where: 'here' }, 'bad_format', 'Must be a URI with its scheme.'],
    [{ where: 1 }, 'wrong_type', 'Must be a text or null.'],
    [{ id: '1' }, 'bad_format', 'Must be a UUID.'],
    [{ same: [1, 1] }, 'invalid', 'Must NOT have duplicate items (items ## 1 and 0 are identical).'],
  ] as const) {
    it(`describe ${JSON.stringify(value)}: ${message}`, async () => {
      const server = await shell();
      server.post('/', { schema: { body: schema } }, async () => ({}));
      const { errors } = (await server.inject({ method: 'POST', url: '/', payload: value })).json();
      assert.deepEqual(
        errors.map((e: { code: string; message: string }) => [e.code, e.message]),
        [[code, message]],
      );
    });
  }

  it('every schema keyword has a message, including unknown ones', () => {
    const fault = faultOf({
      keyword: 'contains',
      params: {},
      instancePath: '/x',
      schemaPath: '',
      message: 'must contain',
    });
    assert.deepEqual(fault, { pointer: '/x', code: 'invalid', message: 'Must contain.' });
  });

  it('any invalid JSON gives a problem, never an internal error', async () => {
    const server = await echo();
    await fc.assert(
      fc.asyncProperty(fc.json(), async (payload) => {
        const headers = { 'content-type': 'application/json' };
        const { statusCode } = await server.inject({ method: 'PUT', url: '/teams/team-a', payload, headers });
        assert.ok(statusCode === 200 || statusCode === 400, `${statusCode} for ${payload}`);
      }),
      { numRuns: 200 },
    );
  });
});

describe('schemas', () => {
  it('are compiled when first used, all of them by compileSchemas, and a broken one fails there', async () => {
    const app = await shell();
    app.get(
      '/',
      {
        schema: {
          querystring: Type.Unsafe<unknown>({ type: 'object', properties: { a: { $ref: 'Nowhere' } } }),
        },
      },
      async () => ({}),
    );
    await app.ready();
    assert.throws(() => compileSchemas(app), /Nowhere/);
    const good = await echo();
    await good.ready();
    assert.equal(compileSchemas(good), 9);
  });

  it('response schemas emit only the fields that they name', async () => {
    const app = await shell();
    const answer = closed({ name: Type.String() });
    app.get('/', { schema: { response: { 200: answer } } }, async () => ({ name: 'a', token: 'secret' }));
    assert.equal((await app.inject('/')).body, '{"name":"a"}');
  });
});
