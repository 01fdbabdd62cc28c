import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { pino } from 'pino';
import Type from 'typebox';
import { errorReference } from '../../src/http/codes.ts';
import { statusOf, typeOf } from '../../src/http/problem.ts';
import type { App } from '../../src/http/server.ts';
import { closed } from '../../src/lib/schema.ts';
import { catalogue, Problem, type ProblemCode } from '../../src/model/problems.ts';
import { Unavailable } from '../../src/ports/unavailable.ts';
import { shell, timeless } from './shell.ts';

const logOf = () => {
  const lines: Record<string, unknown>[] = [];
  return {
    lines,
    logger: pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line)) }),
  };
};

/** Sends bytes as they are and answers everything that comes back. */
const raw = async (app: App, bytes: string): Promise<string> => {
  await app.listen({ port: 0, host: '127.0.0.1' });
  const address = app.server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const socket = connect(address.port, '127.0.0.1');
  socket.end(bytes);
  let answer = '';
  socket.on('data', (chunk) => {
    answer += chunk;
  });
  await once(socket, 'close');
  await app.close();
  return answer;
};

describe('problems', () => {
  it('have the status, type and texts of the catalogue, for every code', async () => {
    const app = await shell();
    app.get('/:code', async (request) => {
      const { code } = request.params as { code: ProblemCode };
      throw new Problem(code);
    });
    for (const [code, [title, detail]] of Object.entries(catalogue)) {
      const answer = await app.inject(`/${code}`);
      const status = statusOf[code as ProblemCode];
      assert.equal(answer.statusCode, status);
      assert.equal(answer.headers['content-type'], 'application/problem+json');
      assert.deepEqual(timeless(answer.body), {
        type: typeOf(code as ProblemCode),
        title,
        status,
        code,
        detail,
      });
      assert.equal(answer.json().instance, `urn:uuid:${answer.headers['x-request-id']}`);
      assert.equal(answer.headers['retry-after'], status === 503 ? '5' : undefined);
    }
  });

  it('have every fault, one per pointer', async () => {
    const app = await shell();
    app.get('/', async () => {
      throw new Problem('validation_failed', {
        errors: [
          { pointer: '/a', code: 'wrong_type', message: 'first' },
          { pointer: '/b', code: 'required', message: 'other' },
          { pointer: '/a', code: 'invalid', message: 'second' },
        ],
      });
    });
    assert.deepEqual((await app.inject('/')).json().errors, [
      { pointer: '/a', code: 'wrong_type', message: 'first' },
      { pointer: '/b', code: 'required', message: 'other' },
    ]);
  });

  it('internal errors reveal nothing, and are logged with their cause', async () => {
    const { lines, logger } = logOf();
    const app = await shell({ logger });
    app.get('/', async () => {
      throw new Error('password is hunter2', { cause: new Error('deep down') });
    });
    const answer = await app.inject('/');
    assert.equal(answer.statusCode, 500);
    assert.doesNotMatch(answer.body, /hunter2|deep|problem\.test/);
    const logged = lines.find((line) => line.msg === 'request failed');
    assert.match(JSON.stringify(logged), /hunter2.*deep down/);
    assert.equal(logged?.reqId, answer.headers['x-request-id']);
  });

  it('an unavailable adapter is a 503 with Retry-After', async () => {
    const app = await shell();
    app.get('/', async () => {
      throw new Unavailable('firestore', 'deadline exceeded at 10.0.0.7');
    });
    const answer = await app.inject('/');
    assert.deepEqual(
      [answer.statusCode, answer.json().code, answer.headers['retry-after']],
      [503, 'upstream_unavailable', '5'],
    );
    assert.doesNotMatch(answer.body, /10\.0\.0\.7|firestore/);
  });

  it('never have the ETag or Location that a handler had set before it failed', async () => {
    const app = await shell();
    app.get('/', async (_request, reply) => {
      reply.header('etag', '"1.0"').header('location', '/x');
      throw new Problem('busy', { retryAfterSeconds: 1.2 });
    });
    const { headers } = await app.inject('/');
    assert.deepEqual([headers.etag, headers.location, headers['retry-after']], [undefined, undefined, '2']);
  });

  it('a response that does not match its schema is an internal error', async () => {
    const app = await shell();
    app.get(
      '/',
      { schema: { response: { 200: closed({ a: Type.String() }) } } },
      async () => ({}) as { a: string },
    );
    const answer = await app.inject('/');
    assert.deepEqual([answer.statusCode, answer.json().code], [500, 'internal']);
  });

  it('an unknown path is 404, and an unsupported method is 405', async () => {
    const app = await shell();
    app.get('/teams/:team/notebook', async () => ({}));
    app.put('/teams/:team/notebook', async () => ({}));
    assert.equal((await app.inject('/teams/a')).json().code, 'not_found');
    assert.equal((await app.inject('/teams/a/notebook/')).json().code, 'not_found');
    const answer = await app.inject({ method: 'DELETE', url: '/teams/a/notebook?x=/y' });
    assert.deepEqual(
      [answer.statusCode, answer.json().code, answer.headers.allow],
      [405, 'method_not_allowed', 'GET, HEAD, PUT'],
    );
  });

  it('a method that no route has is 405 whatever body and content type come with it', async (t) => {
    const app = await shell();
    t.after(() => app.close());
    app.get('/teams', async () => ({}));
    await app.listen({ host: '127.0.0.1', port: 0 });
    const address = app.server.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    const requests = [
      { method: 'QUERY' },
      { method: 'QUERY', headers: { 'content-type': 'text/plain' }, body: 'teams' },
      { method: 'PATCH', headers: { 'content-type': 'application/json' }, body: '{' },
      { method: 'PUT', headers: { 'content-type': 'image/png' }, body: 'x'.repeat(100_000) },
      { method: 'PROPFIND' },
    ];
    for (const request of requests) {
      const answer = await fetch(`http://127.0.0.1:${port}/teams`, request);
      const { code }: { code?: unknown } = Object(await answer.json());
      assert.deepEqual(
        [answer.status, code, answer.headers.get('allow')],
        [405, 'method_not_allowed', 'GET, HEAD'],
        JSON.stringify(request).slice(0, 80),
      );
    }
  });

  for (const [what, url, status, code] of [
    ['a percent sign without its digits', '/teams/%zz', 404, 'not_found'],
    ['a parameter of 400 characters', `/teams/${'a'.repeat(400)}`, 414, 'uri_too_long'],
  ] as const) {
    it(`answer ${what} with ${status}`, async () => {
      const app = await shell();
      app.get('/teams/:team', async () => ({}));
      const answer = await app.inject(url);
      assert.deepEqual([answer.statusCode, answer.json().code], [status, code]);
      assert.equal(answer.headers['content-type'], 'application/problem+json');
      assert.equal(answer.json().instance, `urn:uuid:${answer.headers['x-request-id']}`);
    });
  }

  for (const [what, bytes, status, code] of [
    ['what is not HTTP', 'HELLO\r\n\r\n', 400, 'malformed'],
    [
      'header fields of 20 KiB',
      `GET / HTTP/1.1\r\nhost: x\r\na: ${'b'.repeat(20_000)}\r\n\r\n`,
      431,
      'headers_too_large',
    ],
    [
      'two lengths',
      'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab',
      400,
      'malformed',
    ],
  ] as const) {
    it(`answer ${what} with ${status} and close the connection`, async () => {
      const [head = '', body = ''] = (await raw(await shell(), bytes)).split('\r\n\r\n');
      assert.match(head, new RegExp(`^HTTP/1.1 ${status} `));
      assert.match(head, /content-type: application\/problem\+json/);
      assert.match(head, /connection: close/);
      assert.equal(JSON.parse(body).code, code);
    });
  }

  it('are documented as they are returned', () => {
    assert.equal(readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8'), errorReference());
  });
});
