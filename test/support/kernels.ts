import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import Type, { type TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { WebSocket } from 'undici';

const Kernels = Type.Array(Type.Object({ id: Type.String(), execution_state: Type.String() }));
const Kernel = Type.Object({ id: Type.String() });

const patienceMs = 120_000;

/**
 * The kernels of the notebook server at this address, with a token that may use it: gives it one that computes and says
 * nothing from now on; or, with false, has its kernels wait for the next cell. Holds when this resolves.
 */
export const setKernelBusy = async (url: string, token: string, busy: boolean): Promise<void> => {
  const send = async (method: string, path: string, body?: unknown): Promise<Response> => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { authorization: `token ${token}`, 'content-type': 'application/json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response;
  };
  const read = async <T extends TSchema>(schema: T, response: Response) =>
    Value.Parse(schema, await response.json());
  const kernels = async () => read(Kernels, await send('GET', '/api/kernels'));
  const becomes = async (state: string): Promise<void> => {
    const deadline = AbortSignal.timeout(patienceMs);
    while (!(await kernels()).some(({ execution_state }) => execution_state === state)) {
      await delay(100, undefined, { signal: deadline });
    }
  };
  if (busy) {
    const { id } = await read(Kernel, await send('POST', '/api/kernels', {}));
    const channels = `${url.replace('http', 'ws')}/api/kernels/${id}/channels`;
    await execute(channels, token, 'import time; time.sleep(3600)');
    await becomes('busy');
  } else {
    for (const { id } of await kernels()) await send('POST', `/api/kernels/${id}/interrupt`);
    await becomes('idle');
  }
};

/** Hands code to a kernel and leaves, like a user who closes the laptop. Answers once the kernel has taken it. */
const execute = async (url: string, token: string, code: string): Promise<void> => {
  const socket = new WebSocket(url, { headers: { authorization: `token ${token}` } });
  const opened = Promise.withResolvers<void>();
  const taken = Promise.withResolvers<void>();
  const fail = () => {
    opened.reject(new Error('the kernel has no socket'));
    taken.reject(new Error('the kernel closed its socket'));
  };
  taken.promise.catch(() => undefined);
  socket.addEventListener('open', () => opened.resolve());
  socket.addEventListener('error', fail);
  socket.addEventListener('close', fail);
  socket.addEventListener('message', ({ data }) => {
    if (String(data).includes('"execute_input"')) taken.resolve();
  });
  await opened.promise;
  const header = {
    msg_id: randomUUID(),
    session: randomUUID(),
    username: '',
    date: new Date().toISOString(),
    msg_type: 'execute_request',
    version: '5.3',
  };
  const content = { code, silent: false, store_history: false, user_expressions: {}, allow_stdin: false };
  socket.send(
    JSON.stringify({ header, parent_header: {}, metadata: {}, content, channel: 'shell', buffers: [] }),
  );
  await taken.promise;
  socket.close();
};
