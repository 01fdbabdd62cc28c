const { api } = document.body.dataset;
const pause = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));
let token = '';
let signingIn;

/** A refusal. Its cause is the problem document of the API (RFC 9457). */
export class Problem extends Error {}

/** What the page does when a token is needed, and when the API stops or starts answering. */
export const hooks = { signIn: async () => '', outage: (_isAway) => {} };

/**
 * A request with the caller’s token. A read is repeated until the API answers; a write never is.
 * @type {(method: string, path: string, options?: any) => Promise<Response>}
 */
export const send = async (method, path, { body, headers, signal } = {}) => {
  const isRead = method === 'GET';
  for (;;) {
    const used = token;
    const response = await fetch(api + path, {
      method,
      signal,
      headers: { authorization: `Bearer ${used}`, 'content-type': 'application/json', ...headers },
      body: body && JSON.stringify(body),
    }).catch(() => signal?.throwIfAborted());
    const isAway = !response || response.status === 429 || response.status > 500;
    if (isRead) hooks.outage(isAway);
    if (response?.ok) return response;
    if (response?.status === 401) {
      if (token === used) signingIn ??= hooks.signIn();
      token = (await signingIn) ?? token;
      signingIn = undefined;
    } else if (isRead && isAway) await pause(response?.headers.get('retry-after') ?? 2);
    else throw new Problem(method, { cause: (await response?.json().catch(() => null)) ?? {} });
  }
};
export const read = async (path) => (await send('GET', path)).json();

/** The data of a stream whenever it changes. Connects again when the stream ends, until `signal` is aborted. */
export async function* watch(path, signal) {
  for (let last = '', rest = 0; !signal.aborted; await pause(rest)) {
    try {
      const { body } = await send('GET', path, { signal });
      let text = '';
      rest = 10; // Unless the stream says otherwise, nothing more is expected soon.
      for await (const part of body.pipeThrough(new TextDecoderStream())) {
        const frames = (text + part).split('\n\n');
        text = frames.pop();
        for (const frame of frames) {
          const [, event, data = last] = /^event: (.*)\ndata: (.*)/m.exec(frame) ?? [];
          if (event === 'reconnect') rest = 1;
          else if (data !== last) yield JSON.parse(data);
          last = data;
        }
      }
    } catch (error) {
      if (error instanceof Problem) throw error;
      rest = 1; // The connection broke.
    }
  }
}
