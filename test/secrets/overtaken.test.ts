import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { googleEndpoints, startGoogle } from '@knada/simulators/google/server.ts';
import { openServiceAccounts } from '../../src/adapters/iam.ts';
import { openSecretManager } from '../../src/adapters/secret-manager.ts';
import type { SecretTeam } from '../../src/secrets/context.ts';
import { intentValidMs } from '../../src/secrets/grant-ledger.ts';
import { provisioningWith } from '../../src/secrets/provisioning.ts';
import { secretExistsWith } from '../../src/secrets/team-secret.ts';
import { heldBack } from '../support/held-back.ts';
import { named } from '../support/records.ts';

const project = 'knada-gcp';
const id = 'team-a-3f9c';
const [kari, ola] = ['kari@nav.no', 'ola@nav.no'];
const signal = () => AbortSignal.timeout(20_000);

const teamOf = (...emails: readonly string[]): SecretTeam => ({
  ...named({ id, slug: 'team-a' }),
  members: emails.map((email) => ({ email, username: email })),
});

class Outdated extends Error {}

const aGoogle = async (t: TestContext) => {
  const google = await startGoogle({ project });
  t.after(() => google.close());
  const endpoints = JSON.parse(googleEndpoints(google.url));
  let now = Date.parse('2026-11-23T09:00:00.000Z');
  const ports = {
    secretManager: openSecretManager({ project, region: 'europe-north1', endpoints }),
    serviceAccounts: openServiceAccounts({ project, endpoints }),
  };
  const with_ = (own: typeof ports) =>
    provisioningWith({
      ...own,
      clock: { now: () => now },
      workloadPool: `${project}.svc.id.goog`,
      wait: async () => {},
      random: () => 0.5,
    });
  return {
    google,
    ports,
    on: with_,
    ...with_(ports),
    advance: (ms: number) => {
      now += ms;
    },
    holders: () => (google.policies.secret(id)?.bindings ?? []).flatMap(({ members }) => members),
    /** Calls since then that change something. */
    writesSince: (start: number) =>
      google
        .calls()
        .slice(start)
        .filter(({ method, path }) => method !== 'GET' && !path.endsWith(':getIamPolicy')),
  };
};
type OpenedGoogle = Awaited<ReturnType<typeof aGoogle>>;

/** Every call of a provisioning that grants or creates, in its order; a member joins, so nothing is there before. */
const calls = [
  ['serviceAccounts', 'createAccount'],
  ['secretManager', 'createSecret'],
  ['secretManager', 'annotate'],
  ['secretManager', 'setPolicy'],
  ['serviceAccounts', 'setPolicy'],
] as const;

const methods: readonly string[] = calls.map(([, method]) => method);

const moves: readonly (readonly [
  title: string,
  now: SecretTeam | undefined,
  happens: (google: OpenedGoogle) => Promise<unknown>,
])[] = [
  [
    'the team is deleted',
    undefined,
    ({ dismantle }) => dismantle(teamOf(kari, ola), { deleteSecret: false }, signal()),
  ],
  ['a member leaves', teamOf(kari), ({ provision }) => provision(teamOf(kari), signal(), async () => {})],
];

describe('provisioning, overtaken by a change of the team', () => {
  it('makes only the granting and creating calls that this file lists', async (t) => {
    const { google, provision, writesSince } = await aGoogle(t);
    await provision(teamOf(kari, ola), signal(), async () => {});
    assert.equal(writesSince(0).length, calls.length, JSON.stringify(google.calls()));
  });

  for (const [index] of calls.entries()) {
    it(`checks the order right before call ${index + 1} (${methods[index]}) and makes none once it has changed`, async (t) => {
      const { provision, writesSince } = await aGoogle(t);
      let checks = 0;
      const assertWanted = async () => {
        checks += 1;
        if (checks > index) throw new Outdated();
      };
      await assert.rejects(provision(teamOf(kari, ola), signal(), assertWanted), Outdated);
      assert.equal(writesSince(0).length, index, 'the calls before it');
    });
  }

  for (const [title, now, happens] of moves) {
    for (const [port, method] of calls) {
      it(`leaves nothing of the old order when ${title} while ${port}.${method} is held back`, async (t) => {
        const google = await aGoogle(t);
        const held = heldBack(google.ports[port], (call) => call.method === method);
        let isOutdated = false;
        const assertWanted = async () => {
          if (isOutdated) throw new Outdated();
        };
        const late = google
          .on({ ...google.ports, [port]: held.port })
          .provision(teamOf(kari, ola), signal(), assertWanted);
        const ended = late.then(
          () => undefined,
          (error: unknown) => error,
        );
        await Promise.race([held.reached, late.then(() => assert.fail('it was never called'))]);
        isOutdated = true;
        await happens(google);
        held.letGo();
        const error = await ended;
        assert.ok(error === undefined || error instanceof Outdated, String(error));

        // What reconcile does once it has seen that the order has changed.
        await happens(google);
        const holders = google.holders();
        assert.ok(!holders.includes(`user:${ola}`), holders.join());
        if (now === undefined) {
          assert.deepEqual(holders, []);
          assert.equal(google.google.account(`${id}@${project}.iam.gserviceaccount.com`), undefined);
          assert.equal(google.google.secret(id), undefined);
        } else {
          assert.ok(holders.includes(`user:${kari}`));
        }
      });
    }
  }

  it('keeps a secret that has versions, and no one’s access to it, when the late call follows the deletion', async (t) => {
    const google = await aGoogle(t);
    await google.provision(teamOf(kari), signal(), async () => {});
    await google.ports.secretManager.addVersion(id, Buffer.from('kept'), signal());
    const held = heldBack(google.ports.secretManager, ({ method }) => method === 'setPolicy');
    const late = google
      .on({ ...google.ports, secretManager: held.port })
      .provision(teamOf(kari, ola), signal(), async () => {});
    await held.reached;
    const remove = () => google.dismantle(teamOf(kari, ola), { deleteSecret: false }, signal());
    await remove();
    held.letGo();
    await late;
    await remove();
    assert.deepEqual(google.holders(), []);
    assert.equal(await secretExistsWith(google.ports)(teamOf(), signal()), true);
    google.advance(intentValidMs);
    await remove();
    assert.deepEqual(google.holders(), []);
  });
});
