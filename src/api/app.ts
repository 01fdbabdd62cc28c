import type { FastifyBaseLogger } from 'fastify';
import packageJson from '../../package.json' with { type: 'json' };
import { registerAuth } from '../http/auth.ts';
import { registerEvents, type StreamLimits } from '../http/events.ts';
import { registerGuards, registerRateLimit } from '../http/guards.ts';
import { registerHealth } from '../http/health.ts';
import type { Issuer } from '../http/issuer.ts';
import { registerOpenapi } from '../http/openapi.ts';
import { type App, createServer } from '../http/server.ts';
import { registerAllowlistHosts } from './allowlist-hosts.ts';
import { type EgressRouteDeps, egressSchemas, registerEgress } from './egress.ts';
import { type EnvironmentRouteDeps, environmentSchemas, registerEnvironments } from './environments.ts';
import { type ImageRouteDeps, imageSchemas, registerImages } from './images.ts';
import { registerNotebookEvents } from './notebook-events.ts';
import { historySchemas, registerNotebookHistory } from './notebook-history.ts';
import type { NotebookRouteDeps } from './notebook-orders.ts';
import { planSchemas, registerNotebookPlan } from './notebook-plan.ts';
import { notebookSchemas, registerNotebooks } from './notebooks.ts';
import { registerOperationEvents } from './operation-events.ts';
import { registerOperations } from './operations.ts';
import { registerSecrets, type SecretRouteDeps, secretSchemas } from './secrets.ts';
import { registerServers, type ServerRouteDeps, serverSchemas } from './servers.ts';
import { registerTeams, type TeamRouteDeps, teamSchemas } from './teams.ts';

const description = `Orders and operates the Jupyter notebooks of NAV’s data teams: one JupyterHub per team.

Send a bearer token of a configured issuer. Lists are paginated, changes accept \`If-Match\`, and every error is a
problem document (RFC 9457) with a stable \`code\`.

Packages that \`pip install --user\` puts into a notebook’s home survive a stop; packages that are installed globally do not.`;

const tags = [
  { name: 'teams', description: 'Teams and their members.' },
  {
    name: 'notebooks',
    description: 'The notebook of a team: its configuration, its status and its history.',
  },
  { name: 'servers', description: 'The members’ notebook servers, and operations on them.' },
  { name: 'secrets', description: 'The team’s secret in Secret Manager.' },
  { name: 'environments', description: 'The available Python environments.' },
  { name: 'images', description: 'The images that a team may run.' },
  { name: 'egress', description: 'The destinations that notebooks may connect to.' },
  { name: 'health', description: 'Liveness and readiness.' },
];

/** Everything that the routes depend on. */
export type RouteDeps = TeamRouteDeps &
  NotebookRouteDeps &
  ServerRouteDeps &
  SecretRouteDeps &
  EnvironmentRouteDeps &
  ImageRouteDeps &
  EgressRouteDeps;

interface AppOptions {
  readonly config: {
    readonly auth: {
      readonly issuers: readonly Issuer[];
      readonly platformAdminGroups: readonly string[];
      readonly teamCreators: readonly string[];
    };
    readonly corsOrigins: readonly string[];
    readonly rateLimitPerMinute: number;
    readonly streams: StreamLimits;
  };
  readonly deps: RouteDeps;
  readonly logger?: FastifyBaseLogger;
  readonly trustedProxies?: number;
  /** The deployed revision, where there is one. */
  readonly revision?: string;
}

/** The API with all its routes. It does not listen and opens no connection. */
export const buildApp = async ({
  config,
  deps,
  logger,
  trustedProxies,
  revision,
}: AppOptions): Promise<App> => {
  const app = createServer({
    ...(logger === undefined ? {} : { logger }),
    ...(trustedProxies === undefined ? {} : { trustedProxies }),
  });
  const schemas = [
    teamSchemas,
    notebookSchemas,
    planSchemas,
    historySchemas,
    environmentSchemas,
    imageSchemas,
    egressSchemas,
    serverSchemas,
    secretSchemas,
  ];
  for (const schema of schemas.flat()) app.addSchema(schema);

  await registerGuards(app, { corsOrigins: config.corsOrigins });
  registerAuth(app, {
    issuers: config.auth.issuers,
    adminGroups: config.auth.platformAdminGroups,
    teamCreators: config.auth.teamCreators,
  });
  await registerRateLimit(app, config.rateLimitPerMinute);
  registerEvents(app, config.streams);
  registerOpenapi(app, { title: 'KNADA Notebooks', version: packageJson.version, description, tags });
  registerHealth(app, {
    ping: () => deps.store.ping(),
    name: packageJson.name,
    version: packageJson.version,
    ...(revision === undefined ? {} : { revision }),
  });

  registerTeams(app, deps);
  registerNotebooks(app, deps);
  registerAllowlistHosts(app, deps);
  registerNotebookPlan(app, deps);
  registerNotebookHistory(app, deps);
  registerNotebookEvents(app, deps);
  registerServers(app, deps);
  registerOperations(app, deps);
  registerOperationEvents(app, deps);
  registerSecrets(app, deps);
  registerEnvironments(app, deps);
  registerImages(app, deps);
  registerEgress(app, deps);
  return app;
};
