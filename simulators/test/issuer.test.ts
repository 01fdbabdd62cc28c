import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createRemoteJWKSet, errors, jwtVerify } from 'jose';
import { usualAudience as audience, type Issuer, startIssuer, tenantId } from '../issuer/server.ts';

describe('the token issuer', () => {
  let folder: string;
  let issuer: Issuer;
  const start = () => startIssuer({ port: 0, keyFile: join(folder, 'issuer-key.json') });
  const get = async (query: string) => {
    const response = await fetch(`${issuer.url}/token${query}`);
    return {
      status: response.status,
      type: response.headers.get('content-type'),
      text: await response.text(),
    };
  };
  const verify = (token: string, options: { audience?: string; issuer?: string } = {}) =>
    jwtVerify(token, createRemoteJWKSet(new URL(`${issuer.url}/jwks`)), {
      issuer: issuer.url,
      audience,
      algorithms: ['RS256'],
      ...options,
    });

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'issuer-'));
    issuer = await start();
  });
  after(async () => {
    await issuer.close();
    await rm(folder, { recursive: true });
  });

  it('issuer: answers a token as plain text, signed with its published key', async () => {
    const { status, type, text } = await get('?email=kari@example.com&groups=a,b');
    assert.equal(status, 200);
    assert.match(type ?? '', /^text\/plain/);
    const { payload } = await verify(text);
    assert.equal(payload.preferred_username, 'kari@example.com');
    assert.deepEqual(payload.groups, ['a', 'b']);
    assert.equal(payload.tid, tenantId);
  });

  it('issuer: leaves out empty groups, as Entra ID does', async () => {
    const { payload } = await verify((await get('?email=kari@example.com')).text);
    assert.equal('groups' in payload, false);
  });

  it('issuer: is discoverable under the issuer of its tokens', async () => {
    const response = await fetch(`${issuer.url}/.well-known/openid-configuration`);
    const document: unknown = await response.json();
    assert.partialDeepStrictEqual(document, { issuer: issuer.url, jwks_uri: `${issuer.url}/jwks` });
  });

  it('issuer: issues expired tokens and tokens of another audience on request', async () => {
    const expired = (await get('?email=kari@example.com&expiresIn=-60')).text;
    await assert.rejects(verify(expired), errors.JWTExpired);
    const foreign = (await get('?email=kari@example.com&audience=other')).text;
    await assert.rejects(verify(foreign), errors.JWTClaimValidationFailed);
    await verify(foreign, { audience: 'other' });
  });

  it('issuer: answers its usage when no user is named', async () => {
    for (const query of ['', '?email=', '?email=kari', '?email=kari@example.com&expiresIn=soon']) {
      const { status, text } = await get(query);
      assert.equal(status, 400, query);
      assert.match(text, /\/token\?email=/);
    }
  });

  it('issuer: keeps its key, so a token survives a restart', async () => {
    const { text } = await get('?email=kari@example.com');
    const before = issuer.url;
    await issuer.close();
    issuer = await start();
    await verify(text, { issuer: before });
  });
});
