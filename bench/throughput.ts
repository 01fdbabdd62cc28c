// Responses per second over the loopback, in short alternating slices.

import { freePort } from '@knada/simulators/real/free-port.ts';
import { Pool } from 'undici';
import { interleaved, printRatios, printTable, ratiosTo } from './measure.ts';
import { start, stop, untilAnswered } from './process.ts';
import { prepare } from './product.ts';

const connections = 20;
const sliceMs = 1_000;
const rounds = Number(process.env.ROUNDS ?? 12);

/** Counts the responses within one slice; throws on any other status. */
const slice = async (
  pool: Pool,
  request: { readonly path: string; readonly headers: Readonly<Record<string, string>> },
  status: number,
): Promise<number> => {
  let answers = 0;
  const end = performance.now() + sliceMs;
  const client = async () => {
    while (performance.now() < end) {
      const answer = await pool.request({ ...request, method: 'GET' });
      await answer.body.dump();
      if (answer.statusCode !== status) throw new Error(`${request.path} answered ${answer.statusCode}`);
      answers += 1;
    }
  };
  await Promise.all(Array.from({ length: connections }, client));
  return answers;
};

export const throughput = async (): Promise<void> => {
  const product = await prepare();
  const { environment, path, headers } = product;
  const opened: (() => Promise<void>)[] = [];
  const serve = async (script: string, env: Readonly<Record<string, string>>) => {
    const port = await freePort();
    const child = start(script, port, env);
    const pool = new Pool(`http://127.0.0.1:${port}`, { connections });
    opened.push(async () => {
      await pool.destroy();
      await stop(child);
    });
    await untilAnswered(child, { port, path, headers });
    return pool;
  };
  try {
    const bare = await serve('bench/servers/bare-fastify.ts', { BODY: product.body });
    const logging = await serve('src/main.ts', { ...environment, LOG_LEVEL: 'info' });
    const silent = await serve('src/main.ts', { ...environment, LOG_LEVEL: 'warn' });
    const { headers: answered } = await silent.request({ method: 'GET', path, headers });
    const known = { ...headers, 'if-none-match': String(answered.etag) };
    const subjects = {
      'bare Fastify, the same document': () => slice(bare, { path, headers }, 200),
      getNotebook: () => slice(logging, { path, headers }, 200),
      'getNotebook, without request logs': () => slice(silent, { path, headers }, 200),
      'getNotebook, not modified (304)': () => slice(silent, { path, headers: known }, 304),
      'no token (401), without request logs': () => slice(silent, { path, headers: {} }, 401),
      '/livez, without request logs': () => slice(silent, { path: '/livez', headers: {} }, 200),
    };
    for (const warmUp of Object.values(subjects)) await warmUp();
    const measured = await interleaved(subjects, rounds);
    const base = measured['bare Fastify, the same document'] ?? [];
    printTable(
      `Throughput: answers per second, ${connections} connections (${rounds} slices each)`,
      ['', 'to bare Fastify'],
      Object.entries(measured).map(([name, values]) => [name, printRatios(ratiosTo(base, values))]),
    );
  } finally {
    for (const close of opened) await close();
    await product.close();
  }
};
