import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { describe, it, type TestContext } from 'node:test';
import { registerAuth } from '../../src/http/auth.ts';
import { registerEvents, type ServerEvent, type StreamLimits, streamEvents } from '../../src/http/events.ts';
import { Problem } from '../../src/model/problems.ts';
import { startIssuer } from './issuer.ts';
import { shell } from './shell.ts';

type Source = (signal: AbortSignal) => AsyncIterable<ServerEvent>;

const ample = { perCaller: 100, perInstance: 100 };

const streaming = async (
  source: Source,
  options: Parameters<typeof streamEvents>[3] = {},
  limits: StreamLimits = ample,
) => {
  const app = await shell();
  registerEvents(app, limits);
  app.get('/events', (request, reply) => streamEvents(request, reply, source, options));
  return app;
};

/** Listens on the loopback and opens the stream as a client that reads piece by piece. */
const open = async (app: Awaited<ReturnType<typeof shell>>) => {
  await app.listen({ port: 0, host: '127.0.0.1' });
  const address = app.server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const request = get({ port: address.port, host: '127.0.0.1', path: '/events' });
  const [response] = await once(request, 'response');
  response.setEncoding('utf8');
  return { request, response };
};

const untilAborted = (signal: AbortSignal) => (signal.aborted ? Promise.resolve() : once(signal, 'abort'));

const three: Source = async function* () {
  yield { id: '1.0', event: 'snapshot', data: { phase: 'Pending', text: 'two\nlines' } };
  yield { id: '1.1', data: { phase: 'Applying' } };
  yield { id: '1.2', data: { phase: 'Ready' } };
};

describe('a stream', () => {
  for (const accept of [
    undefined,
    '*/*',
    'text/*',
    'text/event-stream',
    'application/json, text/event-stream;q=0.1',
  ]) {
    it(`for Accept ${accept} has its events, in order, and ends with its source`, async () => {
      const app = await streaming(three);
      const answer = await app.inject({ url: '/events', headers: accept === undefined ? {} : { accept } });
      assert.equal(answer.statusCode, 200);
      assert.equal(answer.headers['content-type'], 'text/event-stream');
      assert.equal(answer.headers['cache-control'], 'no-cache, no-transform');
      assert.equal(
        answer.body,
        'id: 1.0\nevent: snapshot\ndata: {"phase":"Pending","text":"two\\nlines"}\n\n' +
          'id: 1.1\ndata: {"phase":"Applying"}\n\nid: 1.2\ndata: {"phase":"Ready"}\n\n',
      );
    });
  }

  for (const accept of ['application/json', 'text/html', 'text/event-stream;q=0, */*;q=0']) {
    it(`is refused for Accept ${accept}`, async () => {
      const answer = await (await streaming(three)).inject({ url: '/events', headers: { accept } });
      assert.deepEqual([answer.statusCode, answer.json().code], [406, 'not_acceptable']);
    });
  }

  it('an error before the snapshot is a problem and not a stream', async () => {
    // biome-ignore lint/correctness/useYield: it fails before it has anything to say
    const app = await streaming(async function* () {
      throw new Problem('not_found');
    });
    const answer = await app.inject('/events');
    assert.deepEqual([answer.statusCode, answer.headers['content-type']], [404, 'application/problem+json']);
  });

  it('a later error of the source asks the client to reconnect', async () => {
    const app = await streaming(async function* () {
      yield { data: 1 };
      throw new Error('store went away');
    });
    assert.equal((await app.inject('/events')).body, 'data: 1\n\nevent: reconnect\ndata: {}\n\n');
  });

  it('sends a comment line while nothing happens', async () => {
    const release = Promise.withResolvers<void>();
    const app = await streaming(
      async function* () {
        yield { data: 1 };
        await release.promise;
        yield { data: 2 };
      },
      { heartbeatMs: 5 },
    );
    const { response } = await open(app);
    let text = '';
    for await (const chunk of response) {
      text += chunk;
      if (text.split(': heartbeat').length > 3) release.resolve();
    }
    assert.match(text, /^data: 1\n\n(: heartbeat\n\n){3,}data: 2\n\n$/);
    await app.close();
  });

  it('a stream at its maximum age asks the client to reconnect and aborts its source', async () => {
    let stopped = false;
    const app = await streaming(
      async function* (signal) {
        yield { data: 1 };
        await untilAborted(signal);
        stopped = true;
      },
      { lifetimeMs: 30, heartbeatMs: 10_000 },
    );
    const { response } = await open(app);
    let text = '';
    for await (const chunk of response) text += chunk;
    assert.equal(text, 'data: 1\n\nevent: reconnect\ndata: {}\n\n');
    await app.close();
    assert.ok(stopped);
  });

  it('stops its source when the client leaves', { timeout: 5_000 }, async () => {
    const stopped = Promise.withResolvers<void>();
    const app = await streaming(async function* (signal) {
      yield { data: 1 };
      await untilAborted(signal);
      stopped.resolve();
    });
    const { request, response } = await open(app);
    await once(response, 'data');
    request.on('error', () => {});
    response.on('error', () => {});
    request.destroy();
    await stopped.promise;
    await app.close();
  });

  it('a stream ends when the app closes, and does not delay the close', { timeout: 5_000 }, async () => {
    const app = await streaming(async function* (signal) {
      yield { data: 1 };
      await untilAborted(signal);
    });
    const { response } = await open(app);
    let text = '';
    response.on('data', (chunk: string) => {
      text += chunk;
    });
    await once(response, 'data');
    const ended = once(response, 'end');
    await app.close();
    await ended;
    assert.equal(text, 'data: 1\n\nevent: reconnect\ndata: {}\n\n');
  });

  it('does not buffer ahead of a client that reads slowly', { timeout: 10_000 }, async () => {
    let produced = 0;
    const total = 400;
    const data = 'x'.repeat(64 * 1024);
    const app = await streaming(async function* () {
      while (produced < total) {
        produced++;
        yield { data };
      }
    });
    const { response } = await open(app);
    response.pause();
    // The buffers in between fill up, then the count stays the same while the client does not read.
    let before = -1;
    while (before !== produced) {
      before = produced;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.ok(produced < total, `${produced} of ${total} events were made for a client that read none`);
    let size = 0;
    for await (const chunk of response) size += chunk.length;
    assert.equal(size, total * (data.length + 'data: ""\n\n'.length));
    await app.close();
  });

  it('HEAD is answered with the headers only', { timeout: 5_000 }, async () => {
    const app = await streaming(async function* (signal) {
      yield { data: 1 };
      await untilAborted(signal);
    });
    const answer = await app.inject({ method: 'HEAD', url: '/events' });
    assert.deepEqual(
      [answer.statusCode, answer.headers['content-type'], answer.body],
      [200, 'text/event-stream', ''],
    );
  });
});

describe('open streams', () => {
  /** Says one thing and stays open. */
  const lasting: Source = async function* (signal) {
    yield { data: 1 };
    await untilAborted(signal);
  };

  /** An app with an issuer, streams that stay open, and people who open them. */
  const opening = async (t: TestContext, limits: StreamLimits, source: Source = lasting) => {
    const issuer = await startIssuer();
    const app = await shell();
    registerAuth(app, {
      issuers: [
        {
          issuer: issuer.url,
          audience: issuer.audience,
          algorithms: ['ES256'],
          userClaim: 'preferred_username',
        },
      ],
      adminGroups: [],
      auditorGroups: [],
      teamCreators: [],
    });
    registerEvents(app, limits);
    app.get('/events', (request, reply) => streamEvents(request, reply, source));
    await app.listen({ port: 0, host: '127.0.0.1' });
    t.after(async () => {
      await app.close();
      await issuer[Symbol.asyncDispose]();
    });
    const address = app.server.address();
    assert.ok(typeof address === 'object' && address !== null);
    const { port } = address;
    return async (email: string, claims: Record<string, unknown> = {}) => {
      const token = await issuer.token({ preferred_username: email, ...claims });
      const headers = { authorization: `Bearer ${token}` };
      const request = get({ port, host: '127.0.0.1', path: '/events', headers });
      const [answer] = await once(request, 'response');
      const response: IncomingMessage = answer;
      response.setEncoding('utf8').on('error', () => {});
      const read = async () => {
        let text = '';
        for await (const chunk of response) text += chunk;
        return text;
      };
      /** Disconnects, which the server learns of a moment later. */
      const leave = () => void request.destroy();
      return { status: response.statusCode, retryAfter: response.headers['retry-after'], read, leave };
    };
  };

  /** Opens until it is not refused any more. */
  const untilOpen = async (open: () => Promise<{ readonly status: number | undefined; read(): unknown }>) => {
    for (;;) {
      const stream = await open();
      if (stream.status !== 429) return stream;
      await stream.read();
    }
  };

  it('are limited per caller, with Retry-After', async (t) => {
    const open = await opening(t, { perCaller: 2, perInstance: 100 });
    const first = await open('kari@nav.no');
    assert.equal((await open('Kari@nav.no')).status, 200);
    const third = await open('kari@nav.no');
    assert.equal(third.status, 429);
    assert.equal(third.retryAfter, '30');
    const problem = JSON.parse(await third.read());
    assert.equal(problem.code, 'too_many_requests');
    assert.match(problem.detail, /^You have 2 event streams open/);
    assert.equal((await open('ola@nav.no')).status, 200);
    first.leave();
    assert.equal((await untilOpen(() => open('kari@nav.no'))).status, 200);
  });

  it('are limited per instance', async (t) => {
    const open = await opening(t, { perCaller: 2, perInstance: 2 });
    const first = await open('kari@nav.no');
    assert.equal((await open('ola@nav.no')).status, 200);
    const third = await open('siv@nav.no');
    assert.equal(third.status, 429);
    assert.match(JSON.parse(await third.read()).detail, /^Too many event streams are open/);
    first.leave();
    assert.equal((await untilOpen(() => open('siv@nav.no'))).status, 200);
  });

  it('that ended by themselves or with a problem no longer count', async (t) => {
    const open = await opening(t, { perCaller: 1, perInstance: 1 }, three);
    for (let n = 0; n < 5; n += 1) await (await open('kari@nav.no')).read();
    // biome-ignore lint/correctness/useYield: it fails before it has anything to say
    const failing: Source = async function* () {
      throw new Problem('not_found');
    };
    const openFailing = await opening(t, { perCaller: 1, perInstance: 1 }, failing);
    for (let n = 0; n < 5; n += 1) {
      const answer = await openFailing('kari@nav.no');
      assert.equal(answer.status, 404);
      await answer.read();
    }
  });

  it('end when the token expires, with a reason', async (t) => {
    const open = await opening(t, { perCaller: 1, perInstance: 1 });
    // Accepted for another second: 30 seconds after its expiry a token still is.
    const stream = await open('kari@nav.no', { exp: Math.floor(Date.now() / 1000) - 28 });
    assert.equal(stream.status, 200);
    assert.equal(await stream.read(), 'data: 1\n\nevent: reconnect\ndata: {"reason":"token_expired"}\n\n');
  });
});
