import { type Json, parseJson } from '@knada/simulators/kubernetes/json.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Json;
}

export interface Call {
  readonly body?: Json;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The API as one caller uses it. */
export interface Api {
  call(method: string, path: string, call?: Call): Promise<Answer>;
  /** The events of a stream, one by one, until it ends. */
  events(path: string): AsyncGenerator<Json>;
}

/** Requests below `<base>/v1`, with a bearer token if given. */
export const apiAt = (base: string, token?: string): Api => {
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const request = (method: string, path: string, { body, headers }: Call, signal: AbortSignal) =>
    fetch(`${base}/v1${path}`, {
      method,
      signal,
      headers: {
        ...authorization,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  return {
    async call(method, path, call = {}) {
      const response = await request(method, path, call, AbortSignal.timeout(30_000));
      const text = await response.text();
      const isJson = (response.headers.get('content-type') ?? '').includes('json');
      return { status: response.status, headers: response.headers, body: isJson ? parseJson(text) : text };
    },
    async *events(path) {
      const response = await request('GET', path, {}, AbortSignal.timeout(60_000));
      if (!response.ok || response.body === null) throw new Error(`GET ${path} answered ${response.status}`);
      let text = '';
      for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
        text += part;
        const frames = text.split('\n\n');
        text = frames.pop() ?? '';
        for (const frame of frames) {
          const data = frame.split('\n').find((line) => line.startsWith('data: '));
          if (data !== undefined) yield parseJson(data.slice('data: '.length));
        }
      }
    },
  };
};
