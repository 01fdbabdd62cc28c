import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, request as httpRequest } from 'node:http';
import { describe, it } from 'node:test';
import Type from 'typebox';
import { registerAuth } from '../../src/http/auth.ts';
import { registerRateLimit } from '../../src/http/guards.ts';
import type { Issuer } from '../../src/http/issuer.ts';
import { closed } from '../../src/lib/schema.ts';
import { startIssuer } from './issuer.ts';
import { shell } from './shell.ts';

const json = { 'content-type': 'application/json' };
const order = closed({ text: Type.Optional(Type.String()) });

const open = async (...args: Parameters<typeof shell>) => {
  const app = await shell(...args);
  app.get('/teams/:team/notebook', async (request) => request.params);
  app.put('/teams/:team/notebook', { schema: { body: order } }, async (request) => request.body);
  app.patch('/teams/:team/notebook', { schema: { body: order } }, async (request) => request.body);
  app.post('/teams/:team/retry', async (request) => ({ body: request.body ?? null }));
  return app;
};

describe('a path', () => {
  for (const url of [
    '/teams/%2e%2e%2fadmin/notebook',
    '/teams/a%2Fb/notebook',
    '/teams/a%5cb/notebook',
    '/teams/a\\b/notebook',
    '/teams/a%00/notebook',
    '/teams/a%0d%0ab/notebook',
    '/teams/a%7f/notebook',
    '/teams//notebook',
    '//teams/a/notebook',
    '/teams/../notebook',
    '/teams/%2e%2E/notebook',
    '/teams/./notebook',
    '/teams/%2e/notebook',
    '/teams/a/notebook/',
    '/teams/a/notebook/.',
    '/Teams/a/notebook',
  ]) {
    it(`${url} answers 404`, async () => {
      const app = await open();
      // Not as an object: the URL class would tidy the path up before it is sent.
      const answer = await raw(app, url);
      assert.deepEqual([answer.status, JSON.parse(answer.body).code], [404, 'not_found']);
    });
  }

  it('a path with harmless dots and percent signs is accepted', async () => {
    const app = await open();
    assert.deepEqual((await app.inject('/teams/kari..n%40nav.no/notebook?next=//x/../y%2f')).json(), {
      team: 'kari..n@nav.no',
    });
  });
});

/** Sends a path as it stands, over the loopback. */
const raw = async (app: Awaited<ReturnType<typeof open>>, path: string) => {
  await app.listen({ port: 0, host: '127.0.0.1' });
  const address = app.server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const request = httpRequest({ host: '127.0.0.1', port: address.port, path, agent: false }).end();
  const [response] = await once(request, 'response');
  let body = '';
  for await (const chunk of response) body += chunk;
  await app.close();
  return { status: response.statusCode, body };
};

describe('a body', () => {
  it('a body of up to 64 KiB is accepted and a larger one refused', async () => {
    const app = await open();
    const size = 64 * 1024;
    const payload = (bytes: number) => JSON.stringify({ text: 'x'.repeat(bytes - '{"text":""}'.length) });
    const put = (bytes: number) =>
      app.inject({ method: 'PUT', url: '/teams/a/notebook', headers: json, payload: payload(bytes) });
    assert.equal((await put(size)).statusCode, 200);
    const answer = await put(size + 1);
    assert.deepEqual([answer.statusCode, answer.json().code], [413, 'payload_too_large']);
  });

  for (const payload of [
    '{"text":',
    '{"text":"a"',
    "{'text':1}",
    '\u0000',
    '{"__proto__":{"a":1}}',
    '{"constructor":{"prototype":{}}}',
  ]) {
    it(`${JSON.stringify(payload)} is malformed`, async () => {
      const app = await open();
      const answer = await app.inject({ method: 'PUT', url: '/teams/a/notebook', headers: json, payload });
      assert.deepEqual([answer.statusCode, answer.json().code], [400, 'malformed']);
    });
  }

  for (const [method, type, status] of [
    ['PUT', 'application/json', 200],
    ['PUT', 'application/json; charset=utf-8', 200],
    ['PUT', 'application/merge-patch+json', 415],
    ['PUT', 'text/plain', 415],
    ['PUT', 'application/x-www-form-urlencoded', 415],
    ['PUT', 'application/xml', 415],
    ['PUT', 'nonsense', 415],
    ['PATCH', 'application/json', 200],
    ['PATCH', 'application/merge-patch+json', 200],
    ['PATCH', 'application/merge-patch+json; charset=utf-8', 200],
    ['PATCH', 'application/json-patch+json', 415],
  ] as const) {
    it(`of ${type} is ${status === 200 ? 'accepted' : 'refused'} by ${method}`, async () => {
      const app = await open();
      const headers = { 'content-type': type };
      const answer = await app.inject({ method, url: '/teams/a/notebook', headers, payload: '{"text":"a"}' });
      assert.equal(answer.statusCode, status);
      if (status !== 415) return;
      assert.equal(answer.json().code, 'unsupported_media_type');
      assert.match(String(answer.headers.accept), method === 'PATCH' ? /merge-patch/ : /^application\/json$/);
    });
  }

  for (const type of [
    'application/json',
    'application/x-www-form-urlencoded',
    'text/plain',
    'rubbish',
    undefined,
  ]) {
    it(`that is empty, with type ${type}, counts as no body if none is required`, async () => {
      const app = await open();
      const headers = { 'content-length': '0', ...(type && { 'content-type': type }) };
      const answer = await app.inject({ method: 'POST', url: '/teams/a/retry', headers });
      assert.deepEqual([answer.statusCode, answer.json()], [200, { body: null }]);
    });
  }
});

describe('every response', () => {
  it('has a generated request id, independent of the client’s', async () => {
    const app = await open();
    const headers = { 'x-request-id': 'theirs', 'request-id': 'theirs' };
    const [one, two] = [
      await app.inject({ url: '/teams/a/notebook', headers }),
      await app.inject('/nowhere'),
    ];
    assert.match(String(one.headers['x-request-id']), /^[0-9a-f]{8}-[0-9a-f]{4}-4/);
    assert.notEqual(one.headers['x-request-id'], two.headers['x-request-id']);
  });

  it('has security headers, errors included', async () => {
    const app = await open();
    for (const url of ['/teams/a/notebook', '/nowhere']) {
      const { headers } = await app.inject(url);
      assert.equal(headers['content-security-policy'], "default-src 'none';frame-ancestors 'none'");
      assert.equal(headers['x-content-type-options'], 'nosniff');
      assert.equal(headers['x-frame-options'], 'DENY');
      assert.match(String(headers['strict-transport-security']), /max-age=31536000/);
      assert.match(String(headers['cache-control']), /no-cache|no-store/);
      assert.equal(headers['x-powered-by'], undefined);
    }
  });
});

describe('CORS', () => {
  const preflight = { 'access-control-request-method': 'PUT', origin: 'https://knorten.knada.io' };

  it('is disabled unless configured', async () => {
    const app = await open();
    const asked = await app.inject({ method: 'OPTIONS', url: '/teams/a/notebook', headers: preflight });
    assert.equal(asked.statusCode, 405);
    const got = await app.inject({ url: '/teams/a/notebook', headers: { origin: preflight.origin } });
    assert.equal(got.headers['access-control-allow-origin'], undefined);
  });

  it('allows the configured origins and no others', async () => {
    const app = await open({}, { corsOrigins: ['https://knorten.knada.io', 'https://knorten.dev.knada.io'] });
    const allowed = async (origin: string, method: 'GET' | 'OPTIONS') =>
      (await app.inject({ method, url: '/teams/a/notebook', headers: { ...preflight, origin } })).headers[
        'access-control-allow-origin'
      ];
    for (const method of ['GET', 'OPTIONS'] as const) {
      assert.equal(await allowed('https://knorten.knada.io', method), 'https://knorten.knada.io');
      assert.equal(await allowed('https://knorten.dev.knada.io', method), 'https://knorten.dev.knada.io');
      for (const origin of [
        'https://evil.example',
        'https://knorten.knada.io.evil.example',
        'http://knorten.knada.io',
        'null',
      ]) {
        assert.equal(await allowed(origin, method), undefined);
      }
    }
  });

  it('exposes to a page the headers that it needs, for errors too', async () => {
    const app = await open({}, { corsOrigins: ['https://knorten.knada.io'] });
    const { headers } = await app.inject({ method: 'OPTIONS', url: '/teams/a/notebook', headers: preflight });
    for (const name of ['authorization', 'content-type', 'if-match', 'if-none-match', 'idempotency-key'])
      assert.match(String(headers['access-control-allow-headers']), new RegExp(name));
    assert.match(String(headers['access-control-allow-methods']), /PUT, PATCH, DELETE/);
    const failed = await app.inject({ url: '/nowhere', headers: { origin: preflight.origin } });
    for (const name of [
      'etag',
      'location',
      'retry-after',
      'x-request-id',
      'ratelimit-reset',
      'sunset',
      'allow',
    ])
      assert.match(String(failed.headers['access-control-expose-headers']), new RegExp(name));
    assert.equal(failed.headers['access-control-allow-origin'], preflight.origin);
    const { statusCode } = await app.inject({ method: 'DELETE', url: '/teams/a/notebook' });
    assert.equal(statusCode, 405, 'OPTIONS for everybody does not make every path exist');
  });
});

describe('the rate limit', () => {
  const limited = async (perMinute: number, issuers: readonly Issuer[] = []) => {
    const app = await shell({ trustedProxies: 1 });
    registerAuth(app, { issuers, adminGroups: [], auditorGroups: [], teamCreators: [] });
    await registerRateLimit(app, perMinute);
    app.get('/me', async (request) => request.caller);
    app.get('/public', { config: { public: true } }, async () => ({}));
    return (url: string, token?: string, address = '203.0.113.7') =>
      app.inject({
        url,
        headers: {
          'x-forwarded-for': `198.51.100.1, ${address}`,
          ...(token && { authorization: `Bearer ${token}` }),
        },
      });
  };

  it('the rate limit counts a caller across addresses and tokens, separately from others', async () => {
    await using issuer = await startIssuer();
    const { audience, url } = issuer;
    const ask = await limited(3, [
      { issuer: url, audience, algorithms: ['ES256'], userClaim: 'preferred_username' },
    ]);
    for (let i = 0; i < 3; i++) {
      assert.equal(
        (await ask('/me', await issuer.token({ jti: String(i) }), `203.0.113.${i}`)).statusCode,
        200,
      );
    }
    const fourth = await ask('/me', await issuer.token());
    assert.deepEqual([fourth.statusCode, fourth.json().code], [429, 'too_many_requests']);
    const wait = Number(fourth.headers['retry-after']);
    assert.ok(wait >= 1 && wait <= 60, `Retry-After ${fourth.headers['retry-after']}`);
    assert.equal(
      (await ask('/me', await issuer.token({ preferred_username: 'ola@nav.no' }))).statusCode,
      200,
    );
    assert.equal((await ask('/public')).statusCode, 200);
  });

  it('the rate limit counts refused, unknown and public requests by address', async () => {
    const ask = await limited(3);
    assert.equal((await ask('/me')).statusCode, 401);
    assert.equal((await ask('/me', 'forged')).statusCode, 401);
    assert.equal((await ask('/nowhere')).statusCode, 404);
    for (const url of ['/me', '/nowhere', '/public']) assert.equal((await ask(url)).statusCode, 429);
    assert.equal((await ask('/public', undefined, '203.0.113.8')).statusCode, 200);
  });

  it('is off at 0', async () => {
    const ask = await limited(0);
    for (let i = 0; i < 50; i++) assert.equal((await ask('/public')).statusCode, 200);
  });
});

describe('closing', () => {
  it('closing finishes requests in flight and closes idle connections', { timeout: 5_000 }, async () => {
    const app = await shell();
    const [started, release] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    app.get('/', async () => {
      started.resolve();
      await release.promise;
      return { done: true };
    });
    await app.listen({ port: 0, host: '127.0.0.1' });
    const address = app.server.address();
    assert.ok(typeof address === 'object' && address !== null);
    const agent = new Agent({ keepAlive: true });
    const request = httpRequest({ host: '127.0.0.1', port: address.port, agent }).end();
    await started.promise;
    const done = app.close();
    release.resolve();
    const [response] = await once(request, 'response');
    let body = '';
    for await (const chunk of response) body += chunk;
    assert.equal(body, '{"done":true}');
    await done;
    agent.destroy();
  });
});
