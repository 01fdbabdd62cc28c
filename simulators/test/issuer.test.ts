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

  it('answers a token as plain text, signed with the key that it publishes', async () => {
    const { status, type, text } = await get('?email=kari@example.com&groups=a,b');
    assert.equal(status, 200);
    assert.match(type ?? '', /^text\/plain/);
    const { payload } = await verify(text);
    assert.equal(payload.preferred_username, 'kari@example.com');
    assert.deepEqual(payload.groups, ['a', 'b']);
    assert.equal(payload.tid, tenantId);
  });

  it('leaves the groups out when there are none, as Entra does', async () => {
    const { payload } = await verify((await get('?email=kari@example.com')).text);
    assert.equal('groups' in payload, false);
  });

  it('is found by discovery under the name that its tokens carry', async () => {
    const response = await fetch(`${issuer.url}/.well-known/openid-configuration`);
    const document: unknown = await response.json();
    assert.partialDeepStrictEqual(document, { issuer: issuer.url, jwks_uri: `${issuer.url}/jwks` });
  });

  it('makes tokens that have expired, and tokens for somebody else', async () => {
    const expired = (await get('?email=kari@example.com&expiresIn=-60')).text;
    await assert.rejects(verify(expired), errors.JWTExpired);
    const foreign = (await get('?email=kari@example.com&audience=other')).text;
    await assert.rejects(verify(foreign), errors.JWTClaimValidationFailed);
    await verify(foreign, { audience: 'other' });
  });

  it('says how to ask when nobody is named', async () => {
    for (const query of ['', '?email=', '?email=kari', '?email=kari@example.com&expiresIn=soon']) {
      const { status, text } = await get(query);
      assert.equal(status, 400, query);
      assert.match(text, /\/token\?email=/);
    }
  });

  it('keeps its key, so that a token outlives a restart', async () => {
    const { text } = await get('?email=kari@example.com');
    const before = issuer.url;
    await issuer.close();
    issuer = await start();
    await verify(text, { issuer: before });
  });
});
