import { once } from 'node:events';
import { request as ask, createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';

/** What came in, as a system might quote it back: its line, its body and its headers. */
export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly quoted: string;
}

/** What happens to a request in place of being passed on: an answer, the end of its connection, or nothing ever. */
export type Mischief =
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body: string }
  | 'drop'
  | 'freeze';

/**
 * Stands before a simulator, so that our adapters can show it real credentials: `Authorization` goes on as `passOn`
 * has it. Every credential that came by is remembered.
 */
export const startMirror = async (
  target: string,
  passOn: (authorization: string | undefined) => string | undefined = (given) => given,
) => {
  const credentials = new Set<string>();
  let mischief: ((seen: Seen) => Mischief | undefined) | undefined;
  let met = 0;

  const forward = (request: IncomingMessage, body: string, response: ServerResponse): void => {
    const { authorization, ...headers } = request.headers;
    const passed = passOn(authorization);
    const upstream = ask(new URL(request.url ?? '/', target), {
      method: request.method,
      headers: { ...headers, ...(passed !== undefined && { authorization: passed }) },
    });
    upstream.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
      answer.on('error', () => response.destroy());
    });
    upstream.on('error', () => response.destroy());
    response.on('close', () => upstream.destroy());
    upstream.end(body);
  };

  const server = createServer(async (request, response) => {
    const { authorization } = request.headers;
    if (authorization !== undefined) credentials.add(authorization);
    const body = await text(request).catch(() => '');
    const { method = 'GET', url = '/' } = request;
    const done = mischief?.({
      method,
      url,
      quoted: `${method} ${url} ${body} ${JSON.stringify(request.headers)}`,
    });
    if (done === undefined) return forward(request, body, response);
    met += 1;
    if (done === 'freeze') return undefined;
    if (done === 'drop') return void request.socket.destroy();
    response.writeHead(done.status, { 'content-type': 'application/json', ...done.headers }).end(done.body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    /** Values of `Authorization` that were shown. */
    credentials,
    /** How many requests were not passed on. */
    met: () => met,
    set(next: typeof mischief): void {
      mischief = next;
    },
    async close(): Promise<void> {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
};
export type Mirror = Awaited<ReturnType<typeof startMirror>>;
