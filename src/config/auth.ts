import Type from 'typebox';
import { issuerProblem } from '../http/issuer.ts';
import { lowerCaseAscii } from '../lib/ascii.ts';
import { closed, oneOf } from '../lib/schema.ts';
import type { Variables } from './variables.ts';

const domain = Type.String({ pattern: '^[a-z0-9-]+(\\.[a-z0-9-]+)+$' });
const project = Type.String({ pattern: '^[a-z][a-z0-9-]{4,28}[a-z0-9]$' });

const Issuer = closed({
  issuer: Type.String({ format: 'uri' }),
  audience: Type.Union([
    Type.String({ minLength: 1 }),
    Type.Array(Type.String({ minLength: 1 }), { minItems: 1 }),
  ]),
  jwksUri: Type.Optional(Type.String({ format: 'uri' })),
  algorithms: Type.Array(
    oneOf(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA']),
    { minItems: 1 },
  ),
  tenantId: Type.Optional(Type.String({ minLength: 1 })),
  userClaim: Type.String({ minLength: 1 }),
  groupsClaim: Type.Optional(Type.String({ minLength: 1 })),
  hostedDomains: Type.Optional(Type.Array(domain, { minItems: 1 })),
  serviceAccountProjects: Type.Optional(Type.Array(project, { minItems: 1 })),
});

const issuersOf = (env: Variables) => {
  const issuers = env.json('AUTH_ISSUERS', Type.Array(Issuer, { minItems: 1 })) ?? [];
  if (new Set(issuers.map(({ issuer }) => issuer)).size !== issuers.length) {
    env.fault('AUTH_ISSUERS', 'names an issuer twice');
  }
  for (const issuer of issuers) {
    const problem = issuerProblem(issuer);
    if (problem !== undefined) env.fault('AUTH_ISSUERS', problem);
  }
  return issuers;
};

export const corsOriginsOf = (env: Variables): readonly string[] => {
  const origins = env.list('CORS_ORIGINS');
  for (const origin of origins) {
    // As a browser sends it: no path, no default port, lower case.
    if (URL.parse(origin)?.origin !== origin) {
      env.fault('CORS_ORIGINS', `"${origin}" is not an origin such as https://knorten.knada.io`);
    }
  }
  return origins;
};

/** Whose tokens are accepted, and who may do more than a member. */
export const authOf = (env: Variables) => ({
  issuers: issuersOf(env),
  platformAdminGroups: env.list('PLATFORM_ADMIN_GROUPS'),
  auditorGroups: env.list('AUDITOR_GROUPS'),
  teamCreators: env.list('TEAM_CREATORS').map(lowerCaseAscii),
});
