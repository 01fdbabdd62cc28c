import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { type AugmentedRequest, OAuth2Server } from 'oauth2-mock-server';

/** The audience of tokens unless the issuer, or a request, names another one. */
export const usualAudience = 'api';
/** The `tid` of every token. */
export const tenantId = 'a1b2c3d4-0000-4000-8000-0000000000aa';

export interface Issuer {
  /** The `iss` of its tokens; discovery lies below it. */
  readonly url: string;
  /** A token as GET /token makes it. */
  token(claims: TokenRequest): Promise<string>;
  close(): Promise<void>;
}

export interface TokenRequest {
  readonly email: string;
  readonly groups?: readonly string[];
  /** Seconds; negative for a token that has expired already. */
  readonly expiresIn?: number;
  readonly audience?: string;
}

const usage =
  'Name the user: /token?email=kari@example.com[&groups=a,b][&expiresIn=<seconds>][&audience=<other>]\n';

const one = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value[0] : value;

const requestOf = (query: AugmentedRequest['query']): TokenRequest | undefined => {
  const email = one(query.email)?.trim() ?? '';
  const expiresIn = Number(one(query.expiresIn) ?? 3600);
  if (!/^[^@\s]+@[^@\s]+$/.test(email) || !Number.isInteger(expiresIn)) return undefined;
  const groups = (one(query.groups) ?? '').split(',').filter((group) => group !== '');
  const named = one(query.audience);
  return { email, groups, expiresIn, ...(named === undefined ? {} : { audience: named }) };
};

/** The signing key is generated once and kept, so tokens survive a restart. */
const loadKey = async (server: OAuth2Server, file: string | undefined): Promise<void> => {
  if (file !== undefined && existsSync(file)) {
    const key: Record<string, unknown> = JSON.parse(readFileSync(file, 'utf8'));
    await server.issuer.keys.add(key);
    return;
  }
  const key = await server.issuer.keys.generate('RS256', { kid: randomUUID() });
  if (file !== undefined) writeFileSync(file, JSON.stringify(key), { mode: 0o600 });
};

/**
 * Simulates Entra ID: discovery, JWKS, and `GET /token`, which signs in the user that the query names. Its tokens have the
 * claims of an Entra ID access token, version 2.0. `keyFile`: where the signing key is kept; without it, each start
 * makes a new one.
 */
export const startIssuer = async (options: {
  readonly port: number;
  readonly host?: string;
  readonly keyFile?: string;
  readonly audience?: string;
}): Promise<Issuer> => {
  const server = new OAuth2Server();
  await loadKey(server, options.keyFile);

  const { audience = usualAudience } = options;
  const token = ({ email, groups = [], expiresIn = 3600, audience: aud = audience }: TokenRequest) =>
    server.issuer.buildToken({
      expiresIn,
      scopesOrTransform: (_header, payload) => {
        Object.assign(payload, { aud, tid: tenantId, ver: '2.0', sub: email, preferred_username: email });
        if (groups.length > 0) payload.groups = groups;
      },
    });

  const answerToken = async (request: AugmentedRequest, response: ServerResponse): Promise<void> => {
    const wanted = requestOf(request.query);
    response.setHeader('content-type', 'text/plain; charset=utf-8');
    response.setHeader('cache-control', 'no-store');
    response.statusCode = wanted === undefined ? 400 : 200;
    response.end(wanted === undefined ? usage : await token(wanted));
  };
  server.service.addRoute('GET', '/token', answerToken);

  await server.start(options.port, options.host ?? '127.0.0.1');
  const url = server.issuer.url;
  if (url === undefined) throw new Error('The issuer has no address.');
  return { url, token, close: () => server.stop() };
};
