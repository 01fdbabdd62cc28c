// Writes openapi/openapi.json and docs/errors.md from the code; with --check, fails when one is stale.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { buildApp } from '../src/api/app.ts';
import { assemble } from '../src/assemble.ts';
import { loadConfig } from '../src/config.ts';
import { errorReference } from '../src/http/codes.ts';
import { openapiDocument, printedJson } from '../src/http/openapi.ts';
import { createLogger } from '../src/logging.ts';
import { openOutside } from '../src/open.ts';

const root = new URL('../', import.meta.url);

/** Enough of an environment to declare the routes; none of these systems is contacted. */
const environment = {
  STORE: 'sqlite::memory:',
  GOOGLE_CLOUD_PROJECT: 'knada-gcp',
  CLUSTER: 'http://127.0.0.1:1',
  AUTH_ISSUERS: JSON.stringify([
    {
      issuer: 'https://issuer.example',
      audience: 'knada-notebooks',
      algorithms: ['RS256'],
      userClaim: 'email',
    },
  ]),
  HUB_URL_TEMPLATE: 'https://{slug}.jupyter.knada.io',
  HUB_API_URL_TEMPLATE: 'https://{slug}.jupyter.knada.io',
  HUB_MASTER_KEYS: `contract:${'0'.repeat(64)}`,
  HUB_VALUES_FILE: 'hub-values.yaml',
  ALLOW_INSECURE_HUB_AUTH: '1',
};

const document = async (): Promise<string> => {
  const config = loadConfig(environment, () => '{}');
  const outside = await openOutside(config, createLogger('silent'));
  const { deps } = assemble(config, outside);
  const app = await buildApp({ config, deps });
  await app.ready();
  const text = printedJson(await openapiDocument(app));
  await app.close();
  await outside.close();
  return text;
};

const current = (path: string): string => {
  try {
    return readFileSync(new URL(path, root), 'utf8');
  } catch {
    return '';
  }
};

const files = { 'openapi/openapi.json': await document(), 'docs/errors.md': errorReference() };
const stale = Object.entries(files).filter(([path, text]) => current(path) !== text);

if (process.argv.includes('--check')) {
  for (const [path] of stale) console.error(`${path} is stale; run: npm run openapi`);
  process.exitCode = stale.length > 0 ? 1 : 0;
} else {
  for (const [path, text] of stale) {
    mkdirSync(new URL('.', new URL(path, root)), { recursive: true });
    writeFileSync(new URL(path, root), text);
    console.log(`${path} written`);
  }
}
