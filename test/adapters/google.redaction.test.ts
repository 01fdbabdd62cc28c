import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { inspect } from 'node:util';
import { googleEndpoints, startGoogle } from '@knada/simulators/google/server.ts';
import fc from 'fast-check';
import { openServiceAccounts } from '../../src/adapters/iam.ts';
import { openSecretManager } from '../../src/adapters/secret-manager.ts';
import { UpstreamMessage } from '../../src/lib/redaction.ts';

const project = 'knada-local';
const id = 'local-team-3f9c';
const signal = () => AbortSignal.timeout(10_000);

/** Answers every request with this body, and keeps what was sent. */
const answering = (t: TestContext, status: number, body: unknown) => {
  const sent: string[] = [];
  t.mock.method(globalThis, 'fetch', async (_url: unknown, init?: RequestInit) => {
    sent.push(String(init?.body ?? ''));
    return new Response(JSON.stringify(body), { status });
  });
  return sent;
};

const name = fc.stringMatching(/^[a-z]{1,8}(-[a-z]{1,8}){0,2}$/);
const plain = { noNullPrototype: true } as const;
const members = fc.array(
  name.map((local) => `user:${local}@nav.no`),
  { minLength: 1, maxLength: 3 },
);
const binding = fc.record({ role: name.map((role) => `roles/${role}`), members }, plain);
const policyBody = fc.record(
  {
    etag: fc.base64String({ minLength: 4, maxLength: 12 }),
    version: fc.constant(3),
    bindings: fc.array(binding, { maxLength: 4 }),
  },
  plain,
);
/** A value and a token that is somewhere in its text. */
const withTokenInside = <T>(values: fc.Arbitrary<T>) =>
  fc.tuple(values, fc.nat(), fc.integer({ min: 1, max: 12 })).map(([value, at, length]) => {
    const text = JSON.stringify(value);
    const start = at % text.length;
    return { value, token: text.slice(start, start + length) };
  });
const isHeaderSafe = ({ token }: { token: string }) => /^[\x21-\x7e]+$/.test(token);

describe('redaction', () => {
  it('leaves a policy as Google returned it, whatever the token is, and writes it back unchanged', async (t) => {
    const property = fc.asyncProperty(
      withTokenInside(policyBody).filter(isHeaderSafe),
      async ({ value, token }) => {
        const sent = answering(t, 200, value);
        const accounts = openServiceAccounts({ project, accessToken: async () => token });
        const policy = await accounts.policy(id, signal());
        assert.deepEqual(policy, value);
        await accounts.setPolicy(id, policy, signal());
        assert.deepEqual(JSON.parse(sent[1] ?? ''), { policy: value });
        t.mock.restoreAll();
      },
    );
    await fc.assert(property);
  });

  it('leaves a service account as Google returned it, whatever the token is', async (t) => {
    const account = fc.record({ email: name.map((at) => `${at}@x.example`), description: name }, plain);
    const property = fc.asyncProperty(
      withTokenInside(account).filter(isHeaderSafe),
      async ({ value, token }) => {
        answering(t, 200, value);
        const accounts = openServiceAccounts({ project, accessToken: async () => token });
        assert.deepEqual(await accounts.account(id, signal()), value);
        t.mock.restoreAll();
      },
    );
    await fc.assert(property);
  });

  it('follows the decision which principal Google does not know', async (t) => {
    const message = name.map((local) => ({ local, text: `User ${local}@nav.no does not exist.` }));
    const property = fc.asyncProperty(
      withTokenInside(message.map(({ text }) => text)).filter(isHeaderSafe),
      async ({ value, token }) => {
        answering(t, 400, { error: { code: 400, status: 'INVALID_ARGUMENT', message: value } });
        const accounts = openServiceAccounts({ project, accessToken: async () => token });
        const result = await accounts.setPolicy(id, { bindings: [], etag: 'e' }, signal());
        assert.equal(result.outcome, 'unknown_member');
        assert.equal(result.member, /User (\S+)/.exec(value)?.[1]);
        assert.ok(!result.message.includes(token), result.message);
        t.mock.restoreAll();
      },
    );
    await fc.assert(property);
  });

  it('follows the decision in Secret Manager too', async () => {
    const google = await startGoogle({ project });
    try {
      const endpoints = JSON.parse(googleEndpoints(google.url));
      const secretManager = openSecretManager({ project, region: 'europe-north1', endpoints });
      const member = 'ola.local@nav.no';
      const message = `User ${member} does not exist (token local).`;
      google.fault(/:setIamPolicy/, {
        status: 400,
        body: JSON.stringify({ error: { code: 400, status: 'INVALID_ARGUMENT', message } }),
      });
      const result = await secretManager.setPolicy(id, { bindings: [], etag: 'ACAB' }, signal());
      assert.equal(result.outcome, 'unknown_member');
      assert.equal(result.member, member);
      assert.ok(!result.message.includes('local'), result.message);
    } finally {
      await google.close();
    }
  });

  it('applies to a message in every rendering, and not to decisions based on it', () => {
    const message = new UpstreamMessage('Bearer s3cret was refused for s3cret-team', ['s3cret', '']);
    for (const rendered of [`${message}`, String(message), JSON.stringify({ message }), inspect(message)]) {
      assert.ok(!rendered.includes('s3cret'), rendered);
    }
    assert.equal(`${message}`, 'Bearer … was refused for …-team');
    assert.equal(message.exec(/for (\S+)/)?.[1], 's3cret-team');
  });
});
