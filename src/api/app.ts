import type { FastifyBaseLogger } from 'fastify';
import packageJson from '../../package.json' with { type: 'json' };
import { registerAuth } from '../http/auth.ts';
import { registerEvents, type StreamLimits } from '../http/events.ts';
import { registerGuards, registerRateLimit } from '../http/guards.ts';
import { registerHealth } from '../http/health.ts';
import type { Issuer } from '../http/issuer.ts';
import { registerOpenapi } from '../http/openapi.ts';
import { type App, createServer } from '../http/server.ts';
import { ConditionReason } from '../model/condition-reasons.ts';
import { eventSchemas } from '../model/events.ts';
import { OperationReason } from '../model/operation-reasons.ts';
import { boundsInContract } from '../notebooks/contract-bounds.ts';
import { registerAllowlistHosts } from './allowlist-hosts.ts';
import { codeSchemas, registerCodes } from './codes.ts';
import { type EgressRouteDeps, egressSchemas, registerEgress } from './egress.ts';
import { type EnvironmentRouteDeps, environmentSchemas, registerEnvironments } from './environments.ts';
import { type ImageRouteDeps, imageSchemas, registerImages } from './images.ts';
import { meSchemas, registerMe } from './me.ts';
import { memberSchemas, registerMembers } from './members.ts';
import { registerNotebookEvents } from './notebook-events.ts';
import { historySchemas, registerNotebookHistory } from './notebook-history.ts';
import type { NotebookRouteDeps } from './notebook-orders.ts';
import { type PlanRouteDeps, planSchemas, registerNotebookPlan } from './notebook-plan.ts';
import { notebookSchemas, registerNotebooks } from './notebooks.ts';
import { registerOperationEvents } from './operation-events.ts';
import { operationSchemas, registerOperations } from './operations.ts';
import { profileSchemas, registerProfiles } from './profiles.ts';
import { registerSecrets, type SecretRouteDeps, secretSchemas } from './secrets.ts';
import { registerServerEvents } from './server-events.ts';
import { registerServers, type ServerRouteDeps, serverSchemas } from './servers.ts';
import { registerTeams, type TeamRouteDeps, teamSchemas } from './teams.ts';

const description = `Orders and operates the Jupyter notebooks of NAV’s data teams: one JupyterHub per team.

Send a bearer token of a configured issuer. Every list is a page, \`{items, nextCursor}\`; changes accept \`If-Match\`; every
error is a problem document (RFC 9457) with a stable \`code\`, which \`listCodes\` explains in English and Norwegian.

## What may change within v1

A client that was written for v1 keeps working. Operations, optional request fields and optional parameters may be added.
Answers may gain fields, and strings with \`x-extensible-enum\` may gain values: accept what you do not know. Requests are
closed: an unknown field is an error, never ignored. A status that is not listed has the body of \`default\`, a problem.

Nothing that is released is removed or narrowed without notice: the operation is marked \`deprecated\` and answers with the
headers \`Deprecation\` (RFC 9745) and \`Sunset\` (RFC 8594), at least six months ahead.

## Conventions

Instants are ISO 8601 in UTC, and their names end in \`At\`; durations are whole seconds, and their names end in \`Seconds\`; CPU is
in cores; memory and storage are \`<n>Mi\` or \`<n>Gi\`. A pointer is a JSON pointer (RFC 6901). Condition types, their reasons
and phases are written in CamelCase, as in Kubernetes; every other listed value is in snake_case.

## In a browser

Streams are server-sent events over a GET request with the \`Authorization\` header, which \`EventSource\` cannot set. Read them
with \`fetch\`, and never put a token into a URL:

\`\`\`js
const response = await fetch('/v1/teams/team-a/notebook/events', { headers: { authorization: \`Bearer \${token}\` } });
for await (const text of response.body.pipeThrough(new TextDecoderStream())) console.log(text);
\`\`\`

## Packages

Packages that \`pip install --user\` puts into a notebook’s home survive a stop; packages that are installed globally do not.`;

const tags = [
  { name: 'me', description: 'The caller.' },
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
  { name: 'codes', description: 'Codes and reasons, and what they mean.' },
  { name: 'health', description: 'Liveness and readiness.' },
];

/** Of several fields, one must be sent. */
const exactlyOne = { minProperties: 1, maxProperties: 1 };

/** Everything that the routes depend on. */
export type RouteDeps = TeamRouteDeps &
  NotebookRouteDeps &
  PlanRouteDeps &
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
      readonly auditorGroups: readonly string[];
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
    memberSchemas,
    meSchemas,
    notebookSchemas,
    planSchemas,
    profileSchemas,
    historySchemas,
    environmentSchemas,
    imageSchemas,
    egressSchemas,
    serverSchemas,
    operationSchemas,
    eventSchemas,
    secretSchemas,
    codeSchemas,
    [ConditionReason, OperationReason],
  ];
  for (const schema of schemas.flat()) app.addSchema(schema);

  await registerGuards(app, { corsOrigins: config.corsOrigins });
  registerAuth(app, {
    issuers: config.auth.issuers,
    adminGroups: config.auth.platformAdminGroups,
    auditorGroups: config.auth.auditorGroups,
    teamCreators: config.auth.teamCreators,
  });
  await registerRateLimit(app, config.rateLimitPerMinute);
  registerEvents(app, config.streams);
  registerOpenapi(app, {
    title: 'KNADA Notebooks',
    version: packageJson.version,
    description,
    tags,
    refinements: {
      ...boundsInContract(deps.limits),
      SecretVersionOrder: exactlyOne,
      ExtendOrder: exactlyOne,
    },
  });
  registerHealth(app, {
    ping: () => deps.store.ping(),
    name: packageJson.name,
    version: packageJson.version,
    ...(revision === undefined ? {} : { revision }),
  });

  registerCodes(app);
  registerTeams(app, deps);
  registerMembers(app, deps);
  registerMe(app, deps);
  registerNotebooks(app, deps);
  registerAllowlistHosts(app, deps);
  registerNotebookPlan(app, deps);
  registerProfiles(app, deps);
  registerNotebookHistory(app, deps);
  registerNotebookEvents(app, deps);
  registerServers(app, deps);
  registerOperations(app, deps);
  registerOperationEvents(app, deps);
  registerServerEvents(app, deps);
  registerSecrets(app, deps);
  registerEnvironments(app, deps);
  registerImages(app, deps);
  registerEgress(app, deps);
  return app;
};
