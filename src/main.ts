// The API’s process on Cloud Run: configuration → adapters → app → listen → close gracefully. With --check-config it only
// checks the configuration; with --after-restore it makes a restored store the truth again and ends.

import { buildApp } from './api/app.ts';
import { assemble } from './assemble.ts';
import { ConfigError, loadConfig } from './config.ts';
import { closeGracefully } from './http/guards.ts';
import { createLogger } from './logging.ts';
import { openOutside } from './open.ts';
import { raiseAboveCluster } from './reconcile/after-restore.ts';

const start = async (): Promise<void> => {
  const config = loadConfig(process.env);
  if (process.argv.includes('--check-config')) {
    const { checkConfig } = await import('./check-config.ts');
    checkConfig(config);
    console.log('The configuration is valid.');
    return;
  }
  const log = createLogger(config.logLevel);
  const revision = process.env.K_REVISION;
  const outside = await openOutside(config, log);
  if (process.argv.includes('--after-restore')) {
    console.log(JSON.stringify(await raiseAboveCluster(outside), undefined, 2));
    await outside.close();
    return;
  }
  const { deps } = assemble(config, outside);
  const app = await buildApp({
    config,
    deps,
    logger: log,
    // Cloud Run’s front end appends the caller’s address; a local process has no proxy.
    trustedProxies: revision === undefined ? 0 : 1,
    ...(revision === undefined ? {} : { revision }),
  });
  closeGracefully(app, () => outside.close());
  await app.listen({ port: config.port, host: config.host });
};

try {
  await start();
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
