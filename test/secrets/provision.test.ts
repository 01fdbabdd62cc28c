import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type Fault, googleEndpoints, startGoogle } from '@knada/simulators/google/server.ts';
import fc from 'fast-check';
import { openServiceAccounts } from '../../src/adapters/iam.ts';
import { openSecretManager } from '../../src/adapters/secret-manager.ts';
import type { SecretManager } from '../../src/ports/secret-manager.ts';
import { Unavailable } from '../../src/ports/unavailable.ts';
import { memberRoles } from '../../src/secrets/bindings.ts';
import type { SecretTeam } from '../../src/secrets/context.ts';
import { dismantleWith } from '../../src/secrets/dismantle.ts';
import { intentValidMs, ledgerAnnotation } from '../../src/secrets/grant-ledger.ts';
import { type ProvisionResult, provisionWith } from '../../src/secrets/provision.ts';
import { secretExistsWith } from '../../src/secrets/team-secret.ts';
import { named } from '../support/records.ts';

const project = 'knada-gcp';
const id = 'team-a-3f9c';
const account = `${id}@${project}.iam.gserviceaccount.com`;
const [accessor, manager, viewer] = memberRoles;
const [kari, ola, per] = ['kari@nav.no', 'ola@nav.no', 'per@nav.no'];
const workload = `serviceAccount:${project}.svc.id.goog[team-${id}/${id}]`;
/** After this no pass can still be about to bind. */
const later = intentValidMs + 60_000;

const teamOf = (...emails: readonly string[]): SecretTeam => ({
  ...named({ id, slug: 'team-a' }),
  members: emails.map((email) => ({ email, username: email })),
});

/** A project of its own, and the product’s adapters on it. */
const open = async () => {
  const google = await startGoogle({ project });
  const endpoints = JSON.parse(googleEndpoints(google.url));
  let now = Date.parse('2026-11-23T09:00:00.000Z');
  const deps = {
    secretManager: openSecretManager({ project, region: 'europe-north1', endpoints }),
    serviceAccounts: openServiceAccounts({ project, endpoints }),
    clock: { now: () => now },
    googleProject: project,
    workloadPool: `${project}.svc.id.goog`,
    wait: async () => {},
    random: () => 0.5,
  };
  const signal = () => AbortSignal.timeout(20_000);
  /** Writes since a moment, as `METHOD path`. */
  const writesSince = (start: number) =>
    google
      .calls()
      .slice(start)
      .filter(({ method, path }) => method !== 'GET' && !path.endsWith(':getIamPolicy'))
      .map(({ method, path }) => `${method} ${path.split('/').at(-1)}`);
  const provision = (...emails: readonly string[]) => provisionWith(deps)(teamOf(...emails), signal());
  return {
    google,
    deps,
    provision,
    dismantle: (deleteSecret: boolean) => dismantleWith(deps)(teamOf(kari), { deleteSecret }, signal()),
    secretExists: () => secretExistsWith(deps)(teamOf(), signal()),
    addVersion: (text: string) => deps.secretManager.addVersion(id, Buffer.from(text), signal()),
    advance: (ms: number) => {
      now += ms;
    },
    /** Role by role, who holds it on the secret. */
    holders: (): Record<string, readonly string[]> =>
      Object.fromEntries(
        (google.policies.secret(id)?.bindings ?? [])
          .filter(({ condition }) => condition === undefined)
          .map(({ role, members }) => [role, members.toSorted()] as const)
          .toSorted(),
      ),
    async writes(work: () => Promise<unknown>): Promise<readonly string[]> {
      const start = google.calls().length;
      await work();
      return writesSince(start);
    },
  };
};

const wanted = (...emails: readonly string[]): Record<string, readonly string[]> => {
  const users = emails.map((email) => `user:${email}`).toSorted();
  return Object.fromEntries([
    [accessor, [`serviceAccount:${account}`, ...users]] as const,
    ...(users.length === 0 ? [] : [[manager, users] as const, [viewer, users] as const]),
  ]);
};

const reasonOf = (result: ProvisionResult): string => (result.state === 'ready' ? 'ready' : result.reason);

describe('provisioning a team’s secret and service account', () => {
  let world: Awaited<ReturnType<typeof open>>;
  beforeEach(async () => {
    world = await open();
  });
  afterEach(() => world.google.close());

  describe('when every call succeeds', () => {
    it('creates the service account, the secret in the region, the members’ access and the notebooks’ access', async () => {
      const { google, provision, holders } = world;
      assert.deepEqual(await provision(kari, ola), { state: 'ready' });
      assert.deepEqual(holders(), wanted(kari, ola));
      const secret = google.secret(id);
      assert.deepEqual(secret?.labels, {
        'managed-by': 'knada-notebooks',
        'knada-team-id': id,
        'knada-team': 'team-a',
      });
      assert.deepEqual(secret.replication, { userManaged: { replicas: [{ location: 'europe-north1' }] } });
      assert.deepEqual(secret.versions, []);
      assert.deepEqual(google.policies.account(account)?.bindings, [
        { role: 'roles/iam.workloadIdentityUser', members: [workload] },
      ]);
    });

    it('writes nothing the second time', async () => {
      const { provision, writes } = world;
      await provision(kari, ola);
      assert.deepEqual(await writes(() => provision(kari, ola)), []);
    });

    it('gives access to new members and removes that of former members', async () => {
      const { provision, holders, writes } = world;
      await provision(kari, ola);
      assert.deepEqual(await provision(ola, per), { state: 'ready' });
      assert.deepEqual(holders(), wanted(ola, per));
      assert.deepEqual(await writes(() => provision(ola, per)), []);
      assert.deepEqual(await provision(), { state: 'ready' });
      assert.deepEqual(holders(), wanted());
      await provision(kari);
      assert.deepEqual(holders(), wanted(kari), 'and back');
    });

    it('gives access to a member that is a service account', async () => {
      const { provision, holders } = world;
      const robot = 'robot@other-project.iam.gserviceaccount.com';
      await provision(robot);
      assert.deepEqual(holders()[manager], [`serviceAccount:${robot}`]);
    });

    it('restores access that another user removed', async () => {
      const { google, provision, holders } = world;
      await provision(kari);
      google.policies.changeSecret(id, () => []);
      google.policies.changeAccount(account, () => []);
      await provision(kari);
      assert.deepEqual(holders(), wanted(kari));
      assert.equal(google.policies.account(account)?.bindings.length, 1);
    });
  });

  describe('with bindings of others', () => {
    const foreign = [
      { role: accessor, members: ['group:ops@nav.no', `user:${per}`] },
      { role: accessor, members: [`user:${kari}`], condition: { title: 'x', expression: 'false' } },
      { role: 'roles/secretmanager.admin', members: ['group:admins@nav.no'] },
    ];

    it('leaves them unchanged when members join and leave', async () => {
      const { google, provision } = world;
      await provision(kari);
      google.policies.changeSecret(id, (bindings) => [...foreign.slice(1), ...bindings]);
      google.policies.changeSecret(id, (bindings) =>
        bindings.map((one) =>
          one.role === accessor && one.condition === undefined
            ? { ...one, members: ['group:ops@nav.no', ...one.members, `user:${per}`] }
            : one,
        ),
      );
      await provision(kari, ola, per);
      await provision();
      const left = google.policies.secret(id)?.bindings ?? [];
      assert.deepEqual(left.slice(0, 2), foreign.slice(1));
      assert.deepEqual(left[2]?.members.toSorted(), [
        'group:ops@nav.no',
        `serviceAccount:${account}`,
        `user:${per}`,
      ]);
      assert.equal(left.length, 3);
    });

    it('keeps a binding that is made at the same time as ours', async () => {
      const { google, provision, holders } = world;
      await provision(kari);
      google.before(/POST .*secrets.*:setIamPolicy/, () =>
        google.policies.changeSecret(id, (bindings) => [...bindings, ...foreign.slice(2)]),
      );
      assert.deepEqual(await provision(ola), { state: 'ready' });
      assert.deepEqual(holders(), {
        'roles/secretmanager.admin': ['group:admins@nav.no'],
        ...wanted(ola),
      });
    });

    it('gives up after several lost races, with the reason', async () => {
      const { google, provision, holders } = world;
      await provision(kari);
      const interfere = () => {
        google.policies.changeSecret(id, (bindings) => bindings);
        google.before(/POST .*secrets.*:setIamPolicy/, interfere);
      };
      google.before(/POST .*secrets.*:setIamPolicy/, interfere);
      const result = await provision(ola);
      assert.equal(reasonOf(result), 'Unavailable');
      assert.deepEqual(holders(), wanted(kari));
    });
  });

  describe('with concurrent changes', () => {
    it('ends with the members of the last order, and removes no one else', async () => {
      const { provision, holders, writes } = world;
      await provision(kari);
      const both = await Promise.all([provision(kari, ola), provision(kari, ola, per)]);
      for (const result of both) assert.notEqual(reasonOf(result), 'UnknownMembers');
      assert.deepEqual(await provision(kari, ola, per), { state: 'ready' });
      assert.deepEqual(holders(), wanted(kari, ola, per));
      assert.deepEqual(await writes(() => provision(kari, ola, per)), []);
    });

    it('records a member whom an outdated pass is about to add', async () => {
      const { deps, provision, holders } = world;
      await provision(ola);
      const slow: SecretManager = {
        ...deps.secretManager,
        async setPolicy(...args) {
          assert.deepEqual(await provision(ola), { state: 'ready' });
          return deps.secretManager.setPolicy(...args);
        },
      };
      const outdated = provisionWith({ ...deps, secretManager: slow });
      await outdated(teamOf(kari, ola), AbortSignal.timeout(20_000));
      assert.deepEqual(holders(), wanted(kari, ola));
      await provision(ola);
      assert.deepEqual(holders(), wanted(ola));
    });

    it('removes a former member whom an outdated pass adds again, in any order of calls and crashes', async () => {
      const crash = fc.option(fc.record({ nth: fc.nat(8), isDone: fc.boolean() }));
      const pass = fc.record({ members: fc.subarray([kari, ola, per]), crash });
      const passes = fc.array(pass, { minLength: 1, maxLength: 3 });
      await fc.assert(
        fc.asyncProperty(
          fc.scheduler(),
          fc.subarray([kari, ola]),
          passes,
          async (scheduler, before, others) => {
            const one = await open();
            try {
              await one.provision(...before);
              const under = [{ members: [ola], crash: null }, ...others].map(
                ({ members, crash: crashes }) => {
                  let calls = 0;
                  // A crash is a pending answer: a rejection would be unhandled while it waits for its turn.
                  const scheduled = <A extends unknown[], T>(call: (...args: A) => Promise<T>) => {
                    const inTurn = scheduler.scheduleFunction(async (...args: A) => {
                      const isLast = calls === crashes?.nth;
                      calls += 1;
                      if (isLast && crashes?.isDone === false) return 'crash' as const;
                      const answer = await call(...args);
                      return isLast ? 'crash' : { answer };
                    });
                    return async (...args: A): Promise<T> => {
                      const result = await inTurn(...args);
                      if (result === 'crash') throw new Unavailable('secret-manager', 'crash');
                      return result.answer;
                    };
                  };
                  const { secretManager } = one.deps;
                  const interleaved: SecretManager = {
                    ...secretManager,
                    secret: scheduled(secretManager.secret),
                    annotate: scheduled(secretManager.annotate),
                    policy: scheduled(secretManager.policy),
                    setPolicy: scheduled(secretManager.setPolicy),
                  };
                  const signal = AbortSignal.timeout(20_000);
                  return provisionWith({ ...one.deps, secretManager: interleaved })(
                    teamOf(...members),
                    signal,
                  );
                },
              );
              await scheduler.waitFor(Promise.all(under));
              assert.deepEqual(await one.provision(ola), { state: 'ready' });
              assert.deepEqual(one.holders(), wanted(ola));
              one.advance(later);
              await one.provision(ola);
              const remembered = JSON.parse(one.google.secret(id)?.annotations[ledgerAnnotation] ?? '{}');
              assert.equal(Object.keys(remembered.bound).length, 2, 'Ola and the account');
            } finally {
              await one.google.close();
            }
          },
        ),
        { numRuns: 60 },
      );
    });
  });

  describe('with a member whom Google does not know', () => {
    it('gives access to the others, and names the unknown member', async () => {
      const { google, provision, holders } = world;
      google.principals.unknown(ola);
      const result = await provision(kari, ola, per);
      assert.equal(reasonOf(result), 'UnknownMembers');
      assert.match(result.state === 'incomplete' ? result.message : '', /^ola@nav\.no has no access/);
      assert.deepEqual(holders(), wanted(kari, per));
    });

    it('retries after ten minutes, and not earlier', async () => {
      const { google, provision, holders, writes, advance } = world;
      google.principals.unknown(ola);
      const first = await provision(kari, ola);
      assert.deepEqual(await writes(() => provision(kari, ola)), []);
      assert.deepEqual(await provision(kari, ola), first, 'the same is said');
      google.principals.known(ola);
      assert.equal(reasonOf(await provision(kari, ola)), 'UnknownMembers');
      advance(600_000);
      assert.deepEqual(await provision(kari, ola), { state: 'ready' });
      assert.deepEqual(holders(), wanted(kari, ola));
    });

    it('treats members whom the organization’s policy excludes the same', async () => {
      const { google, provision, holders } = world;
      for (const email of [ola, per]) google.principals.forbid(email);
      const result = await provision(kari, ola, per);
      assert.match(result.state === 'incomplete' ? result.message : '', /^ola@nav\.no, per@nav\.no have no/);
      assert.deepEqual(holders(), wanted(kari));
    });

    it('finds the unknown member when Google does not name one', async () => {
      const { google, provision, holders, deps } = world;
      google.principals.unknown(ola);
      const { setPolicy } = deps.secretManager;
      deps.secretManager.setPolicy = async (...args) => {
        const result = await setPolicy(...args);
        return result.outcome === 'unknown_member' ? { ...result, member: undefined } : result;
      };
      const result = await provision(kari, ola, per);
      assert.match(result.state === 'incomplete' ? result.message : '', /^ola@nav\.no has no access/);
      assert.deepEqual(holders(), wanted(kari, per));
    });

    it('forgets an unknown member who leaves the team', async () => {
      const { google, provision, writes } = world;
      google.principals.unknown(ola);
      await provision(kari, ola);
      assert.deepEqual(await provision(kari), { state: 'ready' });
      assert.deepEqual(await writes(() => provision(kari)), []);
    });

    it('waits for the team’s own service account to propagate', async () => {
      const { google, provision, holders } = world;
      google.principals.spreadSlowly(2);
      const result = await provision(kari);
      assert.equal(reasonOf(result), 'AccountPending');
      assert.deepEqual(holders()[viewer], [`user:${kari}`], 'members do not wait for it');
      await provision(kari);
      assert.deepEqual(await provision(kari), { state: 'ready' });
      assert.deepEqual(holders(), wanted(kari));
    });
  });

  describe('with an obstacle', () => {
    it('leaves a secret of another owner alone', async () => {
      const { google, provision, dismantle, secretExists, addVersion } = world;
      google.putSecret(id, { owner: 'somebody' });
      await addVersion('theirs');
      const result = await provision(kari);
      assert.equal(reasonOf(result), 'Conflict');
      assert.match(result.state === 'failed' ? result.message : '', /was not changed/);
      assert.deepEqual(google.policies.secret(id)?.bindings, []);
      assert.equal(await secretExists(), false);
      await dismantle(true);
      assert.equal(google.secret(id)?.versions.length, 1);
    });

    it('leaves a service account of another owner alone', async () => {
      const { google, provision, dismantle } = world;
      google.putAccount(account, 'made by somebody');
      assert.equal(reasonOf(await provision(kari)), 'Conflict');
      assert.deepEqual(google.policies.account(account)?.bindings, []);
      assert.deepEqual(await dismantle(true), { state: 'gone' });
      assert.ok(google.account(account));
    });

    it('names the exhausted quota, and continues when there is room', async () => {
      const { google, provision } = world;
      google.quotas.serviceAccounts = 0;
      const result = await provision(kari);
      assert.equal(reasonOf(result), 'QuotaExceeded');
      assert.match(result.state === 'failed' ? result.message : '', /Maximum number of service accounts/);
      google.quotas.serviceAccounts = 100;
      assert.deepEqual(await provision(kari), { state: 'ready' });
    });

    it('removes nothing based on a ledger that another writer changed', async () => {
      const { deps, provision, holders } = world;
      await provision(kari, ola);
      const signal = AbortSignal.timeout(5_000);
      const read = await deps.secretManager.secret(id, signal);
      assert.ok(read);
      await deps.secretManager.annotate(id, { ...read, annotations: { [ledgerAnnotation]: '{}' } }, signal);
      assert.equal(reasonOf(await provision(kari)), 'Conflict');
      assert.deepEqual(holders(), wanted(kari, ola));
    });
  });

  describe('when a call fails', () => {
    const faults: readonly Fault[] = ['reset', 'lost', { status: 503 }, 'garbage', 'quota'];

    /** What stands at the end, but for etags and times. */
    const standing = ({ google, holders }: typeof world) => ({
      holders: holders(),
      account: google.policies.account(account)?.bindings,
      labels: google.secret(id)?.labels,
      remembered: JSON.parse(google.secret(id)?.annotations[ledgerAnnotation] ?? '{}').bound,
    });

    const foreign = {
      role: accessor,
      members: [`user:${per}`],
      condition: { title: 'x', expression: 'false' },
    };

    for (const fault of faults) {
      const named = typeof fault === 'string' ? fault : `status ${fault.status}`;
      it(`completes in the next pass after a failure of ${named}, duplicates nothing and removes nothing of others`, async () => {
        const run = async (nth: number | undefined) => {
          const one = await open();
          try {
            await one.provision(kari, per);
            one.google.policies.changeSecret(id, (bindings) => [foreign, ...bindings]);
            const start = one.google.calls().length;
            const end = one.google.fault(/./, fault, { after: nth ?? Number.POSITIVE_INFINITY, times: 1 });
            const first = await one.provision(kari, ola);
            const calls = one.google.calls().length - start;
            end();
            const second = await one.provision(kari, ola);
            // Former members are removed from the ledger an hour later at the latest.
            one.advance(later);
            await one.provision(kari, ola);
            assert.deepEqual(await one.writes(() => one.provision(kari, ola)), []);
            return { first, second, calls, standing: standing(one), policy: one.google.policies.secret(id) };
          } finally {
            await one.google.close();
          }
        };
        const undisturbed = await run(undefined);
        assert.ok(undisturbed.calls >= 6);
        for (let nth = 0; nth < undisturbed.calls; nth++) {
          const { first, second, standing: end, policy } = await run(nth);
          assert.ok(
            ['QuotaExceeded', 'Unavailable'].includes(reasonOf(first)),
            `${nth}: ${JSON.stringify(first)}`,
          );
          assert.deepEqual(second, { state: 'ready' }, String(nth));
          assert.deepEqual(end, undisturbed.standing, String(nth));
          assert.deepEqual(policy?.bindings[0], foreign);
        }
      });

      it(`completes the first provisioning in the next pass after a failure of ${named}`, async () => {
        for (let nth = 0; ; nth++) {
          const one = await open();
          try {
            const end = one.google.fault(/./, fault, { after: nth, times: 1 });
            const first = await one.provision(kari);
            end();
            if (first.state === 'ready') return;
            assert.deepEqual(await one.provision(kari), { state: 'ready' }, String(nth));
            assert.deepEqual(one.holders(), wanted(kari));
          } finally {
            await one.google.close();
          }
        }
      });

      it(`completes the deletion in the next attempt after a failure of ${named}`, async () => {
        for (let nth = 0; ; nth++) {
          const one = await open();
          try {
            await one.provision(kari);
            await one.addVersion('kept');
            one.google.policies.changeSecret(id, (bindings) => [foreign, ...bindings]);
            const end = one.google.fault(/./, fault, { after: nth, times: 1 });
            const first = await one.dismantle(false);
            end();
            assert.deepEqual(await one.dismantle(false), { state: 'gone' }, String(nth));
            assert.equal(one.google.account(account), undefined);
            assert.deepEqual(one.google.policies.secret(id)?.bindings, [foreign]);
            if (first.state === 'gone') return;
          } finally {
            await one.google.close();
          }
        }
      });
    }

    it('gives up at its deadline', async () => {
      const { google, deps } = world;
      google.fault(/./, 'hang');
      const result = await provisionWith(deps)(teamOf(kari), AbortSignal.timeout(50));
      assert.equal(reasonOf(result), 'Unavailable');
      assert.match(result.state === 'failed' ? result.message : '', /did not answer in time/);
    });
  });

  describe('when the team is deleted', () => {
    it('deletes everything if that was requested', async () => {
      const { google, provision, dismantle, addVersion, secretExists } = world;
      await provision(kari);
      await addVersion('x');
      assert.equal(await secretExists(), true);
      assert.deepEqual(await dismantle(true), { state: 'gone' });
      assert.equal(google.secret(id), undefined);
      assert.equal(google.account(account), undefined);
      assert.deepEqual(await dismantle(true), { state: 'gone' });
    });

    it('keeps a secret that has a version, and removes the team’s access to it', async () => {
      const { google, provision, dismantle, addVersion } = world;
      await provision(kari, ola);
      await addVersion('x');
      assert.deepEqual(await dismantle(false), { state: 'gone' });
      assert.equal(google.secret(id)?.versions.length, 1);
      assert.deepEqual(google.policies.secret(id)?.bindings, []);
      assert.equal(google.account(account), undefined);
    });

    it('deletes a secret whose versions are all destroyed, and keeps one with a single version left', async () => {
      const { google, provision, dismantle, addVersion, secretExists } = world;
      await provision(kari);
      await addVersion('first');
      await addVersion('second');
      const destroy = (version: number) =>
        fetch(`${google.url}/v1/projects/${project}/secrets/${id}/versions/${version}:destroy`, {
          method: 'POST',
          headers: { authorization: 'Bearer local', 'content-type': 'application/json' },
          body: '{}',
        });
      assert.equal((await destroy(1)).status, 200);
      assert.equal(await secretExists(), true, 'the second version is left');
      assert.equal((await destroy(2)).status, 200);
      assert.equal(await secretExists(), false);
      assert.deepEqual(await dismantle(false), { state: 'gone' });
      assert.equal(google.secret(id), undefined);
    });

    it('deletes a secret that never had a version', async () => {
      const { google, provision, dismantle, secretExists } = world;
      await provision(kari);
      assert.equal(await secretExists(), false);
      assert.deepEqual(await dismantle(false), { state: 'gone' });
      assert.equal(google.secret(id), undefined);
    });
  });
});
