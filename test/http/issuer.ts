import { once } from 'node:events';
import { createServer } from 'node:http';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';

const publicJwk = async (alg: string, kid: string) => {
  const pair = await generateKeyPair(alg, { extractable: true });
  return { alg, kid, ...pair, jwk: { ...(await exportJWK(pair.publicKey)), kid, alg, use: 'sig' } };
};
type Key = Awaited<ReturnType<typeof publicJwk>>;

/** An issuer on the loopback that can be taken away, and that counts who asks for its keys. */
export const startIssuer = async (alg = 'ES256') => {
  const keys: Key[] = [await publicJwk(alg, 'first')];
  const asked = { discovery: 0, keys: 0 };
  let away = false;
  const server = createServer((request, response) => {
    if (away) return void response.writeHead(503).end();
    response.setHeader('content-type', 'application/json');
    if (request.url === '/.well-known/openid-configuration') {
      asked.discovery++;
      return void response.end(JSON.stringify({ issuer: url, jwks_uri: `${url}/keys` }));
    }
    asked.keys++;
    response.end(JSON.stringify({ keys: keys.map(({ jwk }) => jwk) }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const url = typeof address === 'object' && address !== null ? `http://127.0.0.1:${address.port}` : '';

  return {
    url,
    asked,
    keys,
    audience: 'knada-notebooks',
    async roll() {
      keys.unshift(await publicJwk(alg, `roll-${keys.length}`));
    },
    goAway(yes: boolean) {
      away = yes;
    },
    /** A token of this issuer for Kari; `claims` add or replace, undefined removes. Times are epoch seconds. */
    async token(
      claims: Record<string, unknown> = {},
      { now = Date.now(), key = keys[0] }: { now?: number; key?: Key } = {},
    ) {
      if (key === undefined) throw new Error('the issuer has no key');
      const iat = Math.floor(now / 1000);
      const usual = {
        iss: url,
        aud: 'knada-notebooks',
        iat,
        exp: iat + 3600,
        preferred_username: 'Kari.Nordmann@nav.no',
      };
      return new SignJWT(JSON.parse(JSON.stringify({ ...usual, ...claims })))
        .setProtectedHeader({ alg: key.alg, kid: key.kid })
        .sign(key.privateKey);
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
};
