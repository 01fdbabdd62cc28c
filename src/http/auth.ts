import { hash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { decodeJwt, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { lowerCaseAscii } from '../lib/ascii.ts';
import { Lru } from '../lib/lru.ts';
import { Problem } from '../model/problems.ts';
import { Unavailable } from '../ports/unavailable.ts';
import { type Issuer, isGoogle, issuerProblem } from './issuer.ts';
import { keysOf } from './keys.ts';
import { toProblem } from './problem.ts';
import type { App } from './server.ts';

/** The person or service that a token identifies. */
export interface Caller {
  /** In lower case, as far as its letters are ASCII. */
  readonly email: string;
  /** The issuer’s identifier of the account, which stays when the e-mail changes: `oid` of Entra, otherwise `sub`. */
  readonly subject: string | null;
  /** What to call the caller, from the claim `name`; null without. For display only. */
  readonly name: string | null;
  /** When the token is no longer accepted; epoch milliseconds. */
  readonly validUntil: number;
  readonly groups: readonly string[];
  /** May do everything with every team. */
  readonly isAdmin: boolean;
  /** May read what is recorded for audits. */
  readonly isAuditor: boolean;
  /** May set `garTeam`. Every admin may. */
  readonly isTeamCreator: boolean;
}

interface AuthOptions {
  readonly issuers: readonly Issuer[];
  /** Groups whose members are platform admins. */
  readonly adminGroups: readonly string[];
  /** Groups whose members are auditors. */
  readonly auditorGroups: readonly string[];
  /** Groups, or e-mails of people and services. */
  readonly teamCreators: readonly string[];
  /** Epoch milliseconds. */
  readonly now?: () => number;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** The caller. Reading it on a public route is a programming error and throws. */
    readonly caller: Caller;
    identity: Caller | Problem | null;
  }
  interface FastifyContextConfig {
    /** No token is needed. */
    public?: boolean;
  }
}

const clockToleranceSeconds = 30;

/** How long a verified token is not verified again; a revoked key is accepted for this long. */
const believedMs = 5 * 60_000;
const rememberedTokens = 5_000;

const realm = 'Bearer realm="knada-notebooks"';
const asymmetric = /^(RS|PS|ES)(256|384|512)$|^EdDSA$|^Ed25519$/;

const refuse = (detail?: string, cause?: unknown) =>
  new Problem('unauthenticated', { ...(detail !== undefined && { detail }), cause });

/** The token of an Authorization header (RFC 6750, section 2.1). */
const bearerToken = (header: string) => /^Bearer +([A-Za-z0-9._~+/-]+=*) *$/i.exec(header)?.[1];

const isIn = (list: readonly string[]) => {
  const wanted = new Set(list);
  return (item: string) => wanted.has(item);
};

interface Verified {
  readonly caller: Caller;
  /** Epoch milliseconds. */
  readonly until: number;
}

/** Verifies tokens of the configured issuers. Throws Problem `unauthenticated`, or Unavailable without keys. */
export const createVerifier = (options: AuthOptions): ((token: string) => Promise<Verified>) => {
  const now = options.now ?? Date.now;
  const isAdminGroup = isIn(options.adminGroups);
  const isAuditorGroup = isIn(options.auditorGroups);
  const isCreatorGroup = isIn(options.teamCreators);
  const isCreatorEmail = isIn(options.teamCreators.map(lowerCaseAscii));
  const issuers = new Map<string, { readonly issuer: Issuer; readonly keys: JWTVerifyGetKey }>();
  for (const issuer of options.issuers) {
    if (issuers.has(issuer.issuer)) throw new TypeError(`Issuer ${issuer.issuer} is configured twice`);
    if (issuer.algorithms.length === 0 || !issuer.algorithms.every((name) => asymmetric.test(name)))
      throw new TypeError(`Issuer ${issuer.issuer} needs asymmetric algorithms`);
    if ([issuer.audience].flat().length === 0)
      throw new TypeError(`Issuer ${issuer.issuer} needs an audience`);
    const problem = isGoogle(issuer) ? issuerProblem(issuer) : undefined;
    if (problem !== undefined) throw new TypeError(problem);
    issuers.set(issuer.issuer, { issuer, keys: keysOf(issuer, now) });
  }

  const callerOf = (claims: JWTPayload, issuer: Issuer): Caller => {
    const email = emailIn(claims, issuer);
    const groups = groupsIn(claims, issuer);
    const isAdmin = groups.some(isAdminGroup);
    const isTeamCreator = isAdmin || isCreatorEmail(email) || groups.some(isCreatorGroup);
    const isAuditor = groups.some(isAuditorGroup);
    const subject = subjectIn(claims, issuer);
    const name = nameIn(claims);
    const validUntil = ((claims.exp ?? 0) + clockToleranceSeconds) * 1000;
    return { email, subject, name, validUntil, groups, isAdmin, isAuditor, isTeamCreator };
  };

  return async (token) => {
    const known = issuers.get(claimedIssuer(token));
    if (known === undefined) throw refuse('The token comes from an issuer that is not configured here.');
    const { issuer, keys } = known;
    const { payload } = await jwtVerify(token, keys, {
      issuer: issuer.issuer,
      audience: [issuer.audience].flat(),
      algorithms: [...issuer.algorithms],
      clockTolerance: clockToleranceSeconds,
      requiredClaims: ['exp'],
      currentDate: new Date(now()),
    }).catch((error: unknown) => {
      throw error instanceof Unavailable ? error : refuse(reasonOf(error), error);
    });
    if (issuer.tenantId !== undefined && payload.tid !== issuer.tenantId)
      throw refuse('The token is for another tenant.');
    assertAdmitted(payload, issuer);
    const expiresAt = (payload.exp ?? 0) * 1000;
    return { caller: callerOf(payload, issuer), until: Math.min(expiresAt, now() + believedMs) };
  };
};

/** Selects the keys to verify with. Nothing else of the token is trusted yet. */
const claimedIssuer = (token: string): string => {
  try {
    return decodeJwt(token).iss ?? '';
  } catch (error) {
    throw refuse('The bearer token is not a JWT.', error);
  }
};

const reasonOf = (error: unknown): string => {
  if (error instanceof errors.JWTExpired) return 'The token has expired.';
  if (error instanceof errors.JOSEAlgNotAllowed)
    return 'The token is signed with an algorithm that is not accepted here.';
  if (error instanceof errors.JWSSignatureVerificationFailed || error instanceof errors.JWKSNoMatchingKey)
    return 'The token is not signed by its issuer.';
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === 'aud') return 'The token is for another audience.';
    if (error.claim === 'nbf') return 'The token is not valid yet.';
    return `The token’s claim ${error.claim} is missing or wrong.`;
  }
  return 'The token could not be verified.';
};

const emailIn = (claims: JWTPayload, { userClaim }: Issuer): string => {
  const email = claims[userClaim];
  if (typeof email !== 'string' || !/^[^\s@]{1,64}@[^\s@]{1,189}$/.test(email))
    throw refuse(`The token does not say who you are: its claim ${userClaim} must be an e-mail address.`);
  if (userClaim === 'email' && claims.email_verified !== true)
    throw refuse('The token’s e-mail address is not verified (email_verified).');
  return lowerCaseAscii(email);
};

/** Entra’s `sub` differs from application to application; its `oid` is the account’s. */
const subjectIn = (claims: JWTPayload, { tenantId }: Issuer): string | null => {
  const subject = tenantId !== undefined && typeof claims.oid === 'string' ? claims.oid : claims.sub;
  return subject === undefined || subject === '' || subject.length > 255 ? null : subject;
};

const nameIn = ({ name }: JWTPayload): string | null => {
  const trimmed = typeof name === 'string' ? name.trim() : '';
  return trimmed === '' || trimmed.length > 255 ? null : trimmed;
};

/** The project of a service account: https://cloud.google.com/iam/docs/service-account-types. */
const projectOf = (email: string): string | undefined => {
  const [, ofUser, ofAppEngine] =
    /^[^@]+@([a-z0-9.-]+)\.iam\.gserviceaccount\.com$|^([a-z0-9-]+)@appspot\.gserviceaccount\.com$/.exec(
      email,
    ) ?? [];
  return ofUser ?? ofAppEngine;
};

/** Google’s `hd` is the Workspace domain of an account; an e-mail address of that domain alone proves nothing. */
const assertAdmitted = (claims: JWTPayload, issuer: Issuer): void => {
  const { hostedDomains, serviceAccountProjects } = issuer;
  if (hostedDomains === undefined && serviceAccountProjects === undefined) return;
  const { hd, email } = claims;
  if (typeof hd === 'string' && hostedDomains?.includes(lowerCaseAscii(hd))) return;
  const project = typeof email === 'string' && claims.email_verified === true ? projectOf(email) : undefined;
  if (project !== undefined && serviceAccountProjects?.includes(project)) return;
  throw refuse('The token is of a Google account that this API does not accept.');
};

/** Entra leaves the groups out when there are too many of them (overage); the caller then has none. */
const groupsIn = (claims: JWTPayload, { groupsClaim }: Issuer): readonly string[] => {
  if (groupsClaim === undefined) return [];
  const elsewhere: unknown = claims._claim_names;
  const isOverage =
    claims.hasgroups === true ||
    claims.hasgroups === 'true' ||
    (typeof elsewhere === 'object' && elsewhere !== null && Object.hasOwn(elsewhere, groupsClaim));
  const groups = claims[groupsClaim];
  if (isOverage || !Array.isArray(groups)) return [];
  return groups.filter((group) => typeof group === 'string');
};

/** `error_description` takes printable ASCII without quotes and backslashes (RFC 6750, section 3). */
const challenge = (problem: Problem, sentToken: boolean) => {
  if (!sentToken) return realm;
  const description = problem.detail.replaceAll('’', "'").replace(/[^ !#-[\]-~]/g, '?');
  return `${realm}, error="invalid_token", error_description="${description}"`;
};

/** Log lines of the request carry the account’s stable identifier, never its name. */
const identify = (request: FastifyRequest, reply: FastifyReply, caller: Caller): void => {
  request.identity = caller;
  if (caller.subject === null) return;
  request.log = request.log.child({ subject: caller.subject });
  reply.log = request.log;
};

const isOpen = (request: FastifyRequest) => request.is404 || request.routeOptions.config.public === true;

/**
 * Every route needs a valid bearer token unless its config says `public: true`. Handlers find the caller in
 * `request.caller`. It is identified in `onRequest` and enforced in `preParsing`, so a rate limit in between counts
 * refused requests too.
 */
export const registerAuth = (app: App, options: AuthOptions): void => {
  const now = options.now ?? Date.now;
  const verify = createVerifier(options);
  const verified = new Lru<Verified>(rememberedTokens);

  app.decorateRequest('identity', null);
  app.decorateRequest('caller', {
    getter() {
      if (this.identity === null || this.identity instanceof Problem)
        throw new TypeError('A public route read the caller');
      return this.identity;
    },
  });

  // A callback and not a promise: for a token in the cache this is the whole cost of authentication.
  app.addHook('onRequest', (request, reply, done) => {
    const { authorization } = request.headers;
    if (authorization === undefined || isOpen(request)) return done();
    const token = bearerToken(authorization);
    if (token === undefined) {
      request.identity = refuse('The Authorization header does not hold a bearer token.');
      return done();
    }
    const key = hash('sha256', token, 'base64url');
    const known = verified.get(key);
    if (known !== undefined && known.until > now()) {
      identify(request, reply, known.caller);
      return done();
    }
    verify(token)
      .then(
        (fresh) => {
          verified.set(key, fresh);
          identify(request, reply, fresh.caller);
        },
        (error: unknown) => {
          verified.delete(key);
          request.identity = toProblem(error);
        },
      )
      .then(() => done());
  });

  app.addHook('preParsing', (request, reply, payload, done) => {
    if (isOpen(request)) return done(null, payload);
    const { identity } = request;
    if (identity !== null && !(identity instanceof Problem)) return done(null, payload);
    const problem = identity ?? refuse();
    if (problem.code === 'unauthenticated')
      reply.header('www-authenticate', challenge(problem, identity !== null));
    done(problem);
  });
};
