import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { inspect } from 'node:util';
import { type Fault, type Google, googleEndpoints, startGoogle } from '@knada/simulators/google/server.ts';
import { originOf } from '../../src/adapters/google-endpoints.ts';
import { openServiceAccounts } from '../../src/adapters/iam.ts';
import { openSecretManager } from '../../src/adapters/secret-manager.ts';
import type { SecretManager } from '../../src/ports/secret-manager.ts';
import type { ServiceAccounts } from '../../src/ports/service-accounts.ts';
import { QuotaExceeded, Unavailable } from '../../src/ports/unavailable.ts';

const project = 'knada-gcp';
const id = 'team-a-3f9c';
const email = `${id}@${project}.iam.gserviceaccount.com`;
const canary = 'canary-0f9d2b7e-never-to-be-seen';
const canaryBase64 = Buffer.from(canary).toString('base64');
const signal = () => AbortSignal.timeout(10_000);

/** Everything that a logger could find in an error. */
const everythingOf = (error: unknown): string => inspect(error, { depth: 20, showHidden: true });

/** Google’s error as it stands on the wire. */
const said = (status: number, name: string, message: string): Fault => ({
  status,
  body: JSON.stringify({ error: { code: status, status: name, message } }),
});

describe('errors of Google’s APIs', () => {
  let google: Google;
  let secretManager: SecretManager;
  let serviceAccounts: ServiceAccounts;

  before(async () => {
    google = await startGoogle({ project });
    const endpoints = JSON.parse(googleEndpoints(google.url));
    secretManager = openSecretManager({ project, region: 'europe-north1', endpoints });
    serviceAccounts = openServiceAccounts({ project, endpoints });
    await secretManager.createSecret(id, {}, signal());
    await serviceAccounts.createAccount(id, { name: id, description: '' }, signal());
  });
  after(() => google.close());

  /** Every call of both ports on a secret and an account that exist. */
  const calls: readonly (readonly [string, (signal: AbortSignal) => Promise<unknown>])[] = [
    ['secret', (signal) => secretManager.secret(id, signal)],
    ['createSecret', (signal) => secretManager.createSecret('team-b-3f9c', {}, signal)],
    ['annotate', (signal) => secretManager.annotate(id, { annotations: {}, etag: 'x' }, signal)],
    ['deleteSecret', (signal) => secretManager.deleteSecret(id, signal)],
    ['policy of a secret', (signal) => secretManager.policy(id, signal)],
    [
      'setPolicy of a secret',
      (signal) => secretManager.setPolicy(id, { bindings: [], etag: 'ACAB' }, signal),
    ],
    ['versions', (signal) => secretManager.versions(id, signal)],
    ['addVersion', (signal) => secretManager.addVersion(id, Buffer.from(canary), signal)],
    ['setEnabled', (signal) => secretManager.setEnabled(id, '1', true, signal)],
    ['account', (signal) => serviceAccounts.account(id, signal)],
    ['createAccount', (signal) => serviceAccounts.createAccount(id, { name: id, description: '' }, signal)],
    ['deleteAccount', (signal) => serviceAccounts.deleteAccount(id, signal)],
    ['policy of an account', (signal) => serviceAccounts.policy(id, signal)],
    [
      'setPolicy of an account',
      (signal) => serviceAccounts.setPolicy(id, { bindings: [], etag: 'ACAB' }, signal),
    ],
  ];

  const failureUnder = async (
    fault: Fault,
    call: (signal: AbortSignal) => Promise<unknown>,
  ): Promise<Unavailable> => {
    const end = google.fault(/./, fault);
    try {
      const outcome = await call(signal()).then(
        (value) => ({ value }),
        (error: unknown) => ({ error }),
      );
      assert.ok('error' in outcome, `answered ${inspect(outcome)}`);
      assert.ok(outcome.error instanceof Unavailable, everythingOf(outcome.error));
      return outcome.error;
    } finally {
      end();
    }
  };

  const unanswered: readonly (readonly [string, Fault, RegExp])[] = [
    ['a connection that breaks', 'reset', /cannot be reached/],
    ['a proxy’s page with status 502', { status: 502 }, /cannot be reached|answered 502/],
    ['a proxy’s page with status 404', { status: 404 }, /cannot be reached|answered 404/],
    ['a proxy’s page with status 409', { status: 409 }, /cannot be reached|answered 409/],
    ['a page in place of JSON', 'garbage', /cannot be reached|returned an invalid response/],
    ['its own failure', said(500, 'INTERNAL', 'Internal error encountered.'), /failed.*Internal error/s],
    ['an outage', said(503, 'UNAVAILABLE', 'The service is currently unavailable.'), /failed/],
  ];
  for (const [what, fault, message] of unanswered) {
    for (const [name, call] of calls) {
      it(`${what} makes ${name} Unavailable, and nothing else`, async () => {
        const error = await failureUnder(fault, call);
        if (name !== 'addVersion') assert.match(error.message, message);
        assert.equal(error.cause, undefined, 'Google’s errors carry the request');
        assert.ok(!(error instanceof QuotaExceeded));
      });
    }
  }

  for (const [name, call] of calls) {
    const isSecret = !name.includes('ccount');
    it(`a missing role makes ${name} Unavailable, and names the role`, async () => {
      const error = await failureUnder(said(403, 'PERMISSION_DENIED', 'Permission denied.'), call);
      const role = isSecret ? 'the role knadaNotebooksSecrets' : 'the role knadaNotebooksAccounts';
      assert.ok(error.message.includes(`${role} on project ${project}`), error.message);
      assert.equal(error.system, isSecret ? 'secret-manager' : 'iam');
    });

    it(`a rejected token makes ${name} Unavailable, with the reason`, async () => {
      const error = await failureUnder(
        said(401, 'UNAUTHENTICATED', 'Request had invalid credentials.'),
        call,
      );
      assert.match(error.message, /does not accept this service’s identity/);
    });

    it(`an exhausted quota makes ${name} QuotaExceeded, and names the quota`, async () => {
      const error = await failureUnder('quota', call);
      assert.ok(error instanceof QuotaExceeded);
      assert.match(
        error.message,
        isSecret ? /secretmanager\.googleapis\.com\/manage_requests/ : /iam\.googleapis/,
      );
    });

    it(`no answer ends ${name} at the caller’s deadline`, async () => {
      const end = google.fault(/./, 'hang');
      try {
        const quick = call(AbortSignal.timeout(30));
        await assert.rejects(quick, { name: 'Unavailable', message: /did not answer in time/ });
      } finally {
        end();
      }
    });
  }

  it('the limit of service accounts in a project is reported with Google’s message', async () => {
    google.quotas.serviceAccounts = 1;
    const create = serviceAccounts.createAccount('team-c-3f9c', { name: 'c', description: '' }, signal());
    await assert.rejects(create, {
      name: 'Unavailable',
      message: /Maximum number of service accounts on project reached/,
    });
    google.quotas.serviceAccounts = 100;
  });

  describe('about the members of a policy', () => {
    const refused: readonly (readonly [string, Fault, string | undefined])[] = [
      ['a user', said(400, 'INVALID_ARGUMENT', 'User kari@nav.no does not exist.'), 'kari@nav.no'],
      ['an account', said(400, 'INVALID_ARGUMENT', `Service account ${email} does not exist.`), email],
      ['a group', said(400, 'INVALID_ARGUMENT', 'Group ops@nav.no does not exist.'), 'ops@nav.no'],
      [
        'another kind of principal',
        said(
          400,
          'INVALID_ARGUMENT',
          'Account ops@nav.no is of type "group". Please set the type prefix to be "group:".',
        ),
        'ops@nav.no',
      ],
      [
        'a user outside the organization, without naming them',
        said(
          400,
          'FAILED_PRECONDITION',
          'One or more users named in the policy do not belong to a permitted customer,  perhaps due to an organization policy.',
        ),
        undefined,
      ],
    ];
    for (const [what, fault, member] of refused) {
      it(`names ${what} as unknown`, async () => {
        const end = google.fault(/:setIamPolicy/, fault);
        try {
          const policy = { bindings: [], etag: 'ACAB' };
          for (const result of [
            await secretManager.setPolicy(id, policy, signal()),
            await serviceAccounts.setPolicy(id, policy, signal()),
          ]) {
            assert.equal(result.outcome, 'unknown_member');
            assert.equal(result.member, member);
          }
        } finally {
          end();
        }
      });
    }

    it('names the member whom the organization’s policy excludes', async () => {
      google.principals.forbid('outsider@example.com');
      const read = await secretManager.policy(id, signal());
      assert.ok(read);
      const members = ['user:outsider@example.com'];
      const bindings = [{ role: 'roles/secretmanager.viewer', members }];
      const result = await secretManager.setPolicy(id, { ...read, bindings }, signal());
      assert.equal(result.outcome, 'unknown_member');
      assert.equal(result.member, 'outsider@example.com');
    });

    it('names no member for any other refusal', async () => {
      const end = google.fault(
        /:setIamPolicy/,
        said(400, 'INVALID_ARGUMENT', 'Role roles/x is not supported.'),
      );
      try {
        const policy = { bindings: [], etag: 'ACAB' };
        await assert.rejects(secretManager.setPolicy(id, policy, signal()), {
          name: 'Unavailable',
          message: /rejected the request\. .*Role roles\/x is not supported/,
        });
      } finally {
        end();
      }
    });
  });

  describe('with a payload', () => {
    const quoting = `Invalid value at 'payload.data' (TYPE_BYTES), Base64 decoding failed for "${canaryBase64}" (${canary})`;
    const faults: readonly Fault[] = [
      'reset',
      'garbage',
      'quota',
      { status: 413, body: canary },
      { status: 200, body: canary },
      ...(['INVALID_ARGUMENT', 'RESOURCE_EXHAUSTED', 'PERMISSION_DENIED', 'INTERNAL'] as const).map((name) =>
        said(name === 'INTERNAL' ? 500 : 400, name, quoting),
      ),
    ];
    for (const fault of faults) {
      it(`never repeats it (${typeof fault === 'string' ? fault : `${fault.status} ${fault.body?.slice(0, 40)}`})`, async () => {
        const error = await failureUnder(fault, () =>
          secretManager.addVersion(id, Buffer.from(canary), signal()),
        );
        for (const form of [canary, canaryBase64, Buffer.from(canary).toString('hex')]) {
          assert.ok(!everythingOf(error).includes(form), everythingOf(error));
        }
      });
    }
  });

  it('no error contains a token', async () => {
    const token = 'ya29.canary-token';
    const endpoints = JSON.parse(googleEndpoints(google.url));
    const strange = openSecretManager({ project, region: 'x', endpoints, accessToken: async () => token });
    const other = openServiceAccounts({ project, endpoints, accessToken: async () => token });
    for (const call of [strange.secret(id, signal()), other.account(id, signal())]) {
      const error = await call.then(
        () => assert.fail('a strange token was taken'),
        (failure: unknown) => failure,
      );
      assert.match(everythingOf(error), /does not accept this service’s identity/);
      assert.ok(!everythingOf(error).includes(token), everythingOf(error));
    }
  });
});

describe('the endpoints of Google’s APIs', () => {
  it('are Google’s, unless a simulator on this machine is configured', () => {
    assert.equal(originOf('iam.googleapis.com'), 'https://iam.googleapis.com');
    assert.equal(
      originOf('iam.googleapis.com', { 'iam.googleapis.com': 'http://127.0.0.1:8086' }),
      'http://127.0.0.1:8086',
    );
  });

  for (const origin of [
    'http://10.0.0.1:80',
    'https://127.0.0.1:1',
    'http://localhost.example.com:80',
    'http://127.0.0.1',
  ]) {
    it(`are never ${origin}`, () => {
      assert.throws(() => originOf('iam.googleapis.com', { 'iam.googleapis.com': origin }), TypeError);
    });
  }

  it('send no real token to a simulator, and no fake token to Google', async () => {
    const seen: string[] = [];
    const original = globalThis.fetch;
    globalThis.fetch = async (_url, init) => {
      seen.push(new Headers(init?.headers).get('authorization') ?? '');
      return new Response(JSON.stringify({ email }));
    };
    try {
      const accessToken = async () => 'real';
      await openServiceAccounts({ project, accessToken }).account(id, signal());
      const endpoints = { 'iam.googleapis.com': 'http://127.0.0.1:1' };
      await openServiceAccounts({ project, endpoints }).account(id, signal());
    } finally {
      globalThis.fetch = original;
    }
    assert.deepEqual(seen, ['Bearer real', 'Bearer local']);
  });
});
