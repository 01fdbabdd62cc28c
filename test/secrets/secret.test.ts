import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Problem } from '../../src/model/problems.ts';
import { payloadMaxBytes } from '../../src/model/secret.ts';
import { payloadOf, secretView } from '../../src/secrets/secret.ts';
import { aRecord } from '../support/records.ts';

const refused = (
  work: () => unknown,
): { readonly code: string; readonly pointer: string; readonly text: string } => {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof Problem);
    assert.equal(error.code, 'validation_failed');
    const [fault] = error.errors ?? [];
    return { code: fault?.code ?? '', pointer: fault?.pointer ?? '', text: JSON.stringify(error.errors) };
  }
  return assert.fail('it was taken');
};

describe('the payload of a secret version', () => {
  it('is the text as UTF-8, or the bytes of the base64', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 300 }), (data) => {
        assert.deepEqual(Buffer.from(payloadOf({ data })), Buffer.from(data, 'utf8'));
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (bytes) => {
        const dataBase64 = Buffer.from(bytes).toString('base64');
        assert.deepEqual(new Uint8Array(payloadOf({ dataBase64 })), bytes);
      }),
    );
  });

  it('is either text or base64, not both and not neither', () => {
    assert.equal(refused(() => payloadOf({})).code, 'payload_missing');
    assert.equal(refused(() => payloadOf({ data: 'x', dataBase64: 'eA==' })).code, 'payload_twice');
  });

  it('is refused when it is not valid base64, instead of truncated', () => {
    for (const dataBase64 of ['eA', 'eA=', 'e A==', 'eA==\n', 'eA-_', 'Zm9v!', '====', 'eB==']) {
      assert.deepEqual(refused(() => payloadOf({ dataBase64 })).code, 'not_base64', dataBase64);
    }
  });

  it('is refused when UTF-8 cannot encode it, instead of replaced', () => {
    for (const data of ['\ud800', 'a\udc00b', '\udc00\ud800']) {
      const { code, pointer } = refused(() => payloadOf({ data }));
      assert.deepEqual([code, pointer], ['not_text', '/data']);
    }
  });

  it('is limited to 65,536 bytes, counted decoded', () => {
    const most = 'x'.repeat(payloadMaxBytes);
    assert.equal(payloadOf({ data: most }).length, payloadMaxBytes);
    assert.equal(refused(() => payloadOf({ data: `${most}x` })).code, 'payload_too_large');
    // Half as many characters, each of two bytes, and one more.
    assert.equal(refused(() => payloadOf({ data: 'ø'.repeat(payloadMaxBytes / 2 + 1) })).pointer, '/data');
    const dataBase64 = Buffer.alloc(payloadMaxBytes + 1).toString('base64');
    assert.equal(refused(() => payloadOf({ dataBase64 })).pointer, '/dataBase64');
  });

  it('is never quoted in a fault', () => {
    const canary = 'canary-5f2b'.repeat(10_000);
    for (const order of [
      { data: canary },
      { dataBase64: `${canary}!` },
      { data: canary, dataBase64: canary },
    ]) {
      assert.ok(!refused(() => payloadOf(order)).text.includes('canary'));
    }
  });
});

describe('the team’s secret', () => {
  it('shows the exact command that gives its service account access to a secret in another project', () => {
    const secret = secretView(aRecord(), 'knada-gcp', []);
    assert.deepEqual(secret, {
      name: 'projects/knada-gcp/secrets/team-a-3f9c',
      env: 'KNADA_TEAM_SECRET',
      serviceAccount: 'team-a-3f9c@knada-gcp.iam.gserviceaccount.com',
      versions: [],
      consoleUrl:
        'https://console.cloud.google.com/security/secret-manager/secret/team-a-3f9c/versions?project=knada-gcp',
      grantCommand:
        'gcloud secrets add-iam-policy-binding SECRET --project=PROJECT --member=serviceAccount:team-a-3f9c@knada-gcp.iam.gserviceaccount.com --role=roles/secretmanager.secretAccessor',
    });
  });
});
