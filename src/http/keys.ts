import { createLocalJWKSet, createRemoteJWKSet, errors, type JWTVerifyGetKey } from 'jose';
import { Unavailable } from '../ports/unavailable.ts';

interface KeySource {
  readonly issuer: string;
  readonly jwksUri?: string;
}

const timeoutMs = 5_000;

/** The delay before the next fetch after a failed one. */
const cooldownMs = 30_000;

/** jose’s errors about the token, as opposed to those about fetching the keys. */
const verdicts = ['ERR_JWKS_NO_MATCHING_KEY', 'ERR_JWKS_MULTIPLE_MATCHING_KEYS', 'ERR_JOSE_NOT_SUPPORTED'];
const isVerdict = (error: unknown) => error instanceof errors.JOSEError && verdicts.includes(error.code);

const isLoopback = ({ hostname }: URL) => ['localhost', '127.0.0.1', '[::1]'].includes(hostname);

/** The address of an issuer's keys, from its discovery document (OpenID Connect Discovery 1.0, section 4). */
const discover = async (issuer: string): Promise<URL> => {
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const answer = await fetch(url, { signal: AbortSignal.timeout(timeoutMs), redirect: 'error' });
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}`);
  const document: { issuer?: unknown; jwks_uri?: unknown } = Object(await answer.json());
  if (document.issuer !== issuer) throw new Error(`${url} speaks for another issuer`);
  if (typeof document.jwks_uri !== 'string') throw new Error(`${url} names no jwks_uri`);
  const keys = new URL(document.jwks_uri);
  if (keys.protocol !== 'https:' && !isLoopback(keys)) throw new Error(`${url} names keys without TLS`);
  return keys;
};

/**
 * The public keys of an issuer, fetched when first needed and again when a token names an unknown key. While the issuer
 * is unavailable, the last known keys stay valid; a token with an unknown key then gets `Unavailable`, since it can be
 * neither accepted nor rejected.
 */
export const keysOf = (source: KeySource, now: () => number): JWTVerifyGetKey => {
  let remote: ReturnType<typeof createRemoteJWKSet> | undefined;
  let connecting: Promise<ReturnType<typeof createRemoteJWKSet>> | undefined;
  let failedAt = Number.NEGATIVE_INFINITY;
  let failure: unknown;

  const connect = async () => {
    const url = source.jwksUri === undefined ? await discover(source.issuer) : new URL(source.jwksUri);
    remote = createRemoteJWKSet(url, { timeoutDuration: timeoutMs, cooldownDuration: cooldownMs });
    return remote;
  };
  const connected = () => {
    connecting ??= connect().finally(() => {
      connecting = undefined;
    });
    return connecting;
  };

  const lastKnown: JWTVerifyGetKey = async (header, token) => {
    const known = remote?.jwks();
    if (known !== undefined) {
      try {
        return await createLocalJWKSet(known)(header, token);
      } catch (error) {
        if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      }
    }
    throw new Unavailable('issuer', `The keys of ${source.issuer} cannot be read`, { cause: failure });
  };

  return async (header, token) => {
    if (now() - failedAt < cooldownMs) return lastKnown(header, token);
    try {
      return await (remote ?? (await connected()))(header, token);
    } catch (error) {
      if (isVerdict(error)) throw error;
      failedAt = now();
      failure = error;
      return lastKnown(header, token);
    }
  };
};
