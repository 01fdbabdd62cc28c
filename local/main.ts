// `npm run local`: the whole product on this machine. Ctrl-C stops it; the data is kept for the next run.
import { resolve } from 'node:path';
import { parseArgs, styleText } from 'node:util';
import { CannotStart, type Sandbox, startSandbox } from './sandbox.ts';
import { welcome } from './welcome.ts';

const help = `npm run local [-- options]

  --fresh        start empty: removes the data of earlier runs
  --kubeconfig   use kubectl's current context instead of the simulated cluster (requires Flux)
  --verbose      print every log line

LOCAL_PORT (8080) is the API's port; the sandbox also uses the eight ports after it. Data is kept in LOCAL_DIR (.local).
`;

const optionsOf = () => {
  try {
    return parseArgs({
      options: {
        fresh: { type: 'boolean' },
        kubeconfig: { type: 'boolean' },
        verbose: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    }).values;
  } catch (error) {
    throw new CannotStart(`${error instanceof Error ? error.message : String(error)}\n\n${help}`);
  }
};

const portOf = (): number => {
  const port = Number(process.env.LOCAL_PORT ?? 8080);
  if (Number.isInteger(port) && port >= 1024 && port <= 65_527) return port;
  throw new CannotStart(`LOCAL_PORT must be a port from 1024 to 65527, not "${process.env.LOCAL_PORT}".`);
};

const print = (line: string): void => console.log(line);

const run = async (): Promise<number> => {
  const { fresh = false, kubeconfig = false, verbose = false, help: wantsHelp } = optionsOf();
  if (wantsHelp === true) {
    print(help);
    return 0;
  }
  const { promise: asked, resolve: ask } = Promise.withResolvers<'asked'>();
  const stop = (): void => ask('asked');
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);
  // Started by scripts/run.mjs; stops when that process is gone.
  process.once('disconnect', stop);
  process.channel?.unref();

  const starting = startSandbox({
    port: portOf(),
    folder: resolve(process.env.LOCAL_DIR ?? '.local'),
    fresh,
    kubeconfig,
    verbose,
    print,
  });
  const started: Sandbox | 'asked' = await Promise.race([starting, asked]);
  if (started === 'asked') {
    // Stopped while starting: what has started has to be stopped too.
    await starting.then(
      (sandbox) => sandbox.close(),
      () => undefined,
    );
    return 0;
  }
  print(welcome(started, { kubeconfig }));
  const report = await Promise.race([started.died, asked.then(() => undefined)]);
  await started.close();
  if (report === undefined) return 0;
  console.error(styleText('red', `\n${report}`));
  return 1;
};

try {
  process.exitCode = await run();
} catch (error) {
  if (!(error instanceof CannotStart)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
