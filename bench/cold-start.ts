// Time from spawn to the first 200, compared within each round.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { freePort } from '@knada/simulators/real/free-port.ts';
import { interleaved, printRatios, printTable, ratiosTo } from './measure.ts';
import { start, stop, untilAnswered } from './process.ts';
import { prepare } from './product.ts';

const rounds = Number(process.env.ROUNDS ?? 9);

export const coldStart = async (): Promise<void> => {
  const product = await prepare();
  const cache = { NODE_COMPILE_CACHE: join(product.folder, 'cache') };
  const cacheOfAll = { NODE_COMPILE_CACHE: join(product.folder, 'cache-of-all') };

  const first =
    (script: string, env: Readonly<Record<string, string>>, what: 'livez' | 'notebook') => async () => {
      const port = await freePort();
      const question =
        what === 'livez' ? { port, path: '/livez' } : { port, path: product.path, headers: product.headers };
      const from = performance.now();
      const child = start(script, port, env);
      try {
        await untilAnswered(child, question);
        return performance.now() - from;
      } finally {
        await stop(child);
      }
    };

  const [http, framework, api, eager] = [
    'bench/servers/bare-http.ts',
    'bench/servers/bare-fastify.ts',
    'src/main.ts',
    'bench/servers/eager.ts',
  ] as const;
  const { environment } = product;
  const subjects = {
    'bare node:http': first(http, {}, 'livez'),
    'bare Fastify': first(framework, {}, 'livez'),
    'the API, /livez': first(api, environment, 'livez'),
    'the API, an authenticated getNotebook': first(api, environment, 'notebook'),
    'the same, with the image’s compile cache': first(api, { ...environment, ...cache }, 'notebook'),
    'the same, with a complete compile cache': first(api, { ...environment, ...cacheOfAll }, 'notebook'),
    'the API, all clients imported eagerly, /livez': first(eager, environment, 'livez'),
    'the same, an authenticated getNotebook': first(eager, environment, 'notebook'),
  };
  try {
    // As the Dockerfile does.
    const warm = (env: Readonly<Record<string, string>>, ...args: readonly string[]) =>
      spawnSync(process.execPath, args, { env: { PATH: process.env.PATH, ...environment, ...env } });
    warm(cache, '--input-type=module', '--eval', "await import('./src/api/app.ts')");
    const port = await freePort();
    const child = start(api, port, { ...environment, ...cacheOfAll });
    await untilAnswered(child, { port, path: product.path, headers: product.headers });
    await stop(child);

    const measured = await interleaved(subjects, rounds);
    const of = (name: keyof typeof subjects) => measured[name] ?? [];
    printTable(
      `Cold start: spawn to the first 200 (${rounds} rounds)`,
      ['', 'to bare node:http', 'to the API, an authenticated getNotebook'],
      Object.keys(subjects).map((name) => [
        name,
        printRatios(ratiosTo(of('bare node:http'), measured[name] ?? [])),
        printRatios(ratiosTo(of('the API, an authenticated getNotebook'), measured[name] ?? [])),
      ]),
    );
  } finally {
    await product.close();
  }
};
