import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { ServiceAccounts } from '../../src/ports/service-accounts.ts';

export interface IdentitiesUnderTest {
  readonly serviceAccounts: ServiceAccounts;
  readonly project: string;
  /** An id that no account has had yet. */
  readonly newId: () => string;
  /** The e-mail of a service account that does not exist. */
  readonly unknown: string;
}

const signal = () => AbortSignal.timeout(10_000);
const role = 'roles/iam.workloadIdentityUser';
const display = { name: 'team-a', description: 'Notebooks of team-a. [knada-notebooks team-a-3f9c]' };

/** What everything that plays IAM’s service accounts, Google’s included, must do. */
export const serviceAccountsContract = (open: () => IdentitiesUnderTest): void => {
  const anAccount = async () => {
    const { serviceAccounts, newId, project } = open();
    const id = newId();
    assert.equal(await serviceAccounts.createAccount(id, display, signal()), 'created');
    return { serviceAccounts, id, email: `${id}@${project}.iam.gserviceaccount.com` };
  };

  it('returns undefined for an account that was never created', async () => {
    const { serviceAccounts, newId } = open();
    const id = newId();
    assert.equal(await serviceAccounts.account(id, signal()), undefined);
    assert.equal(await serviceAccounts.policy(id, signal()), undefined);
    await serviceAccounts.deleteAccount(id, signal());
  });

  it('creates an account once, with its description', async () => {
    const { serviceAccounts, id, email } = await anAccount();
    const other = { name: 'other', description: 'other' };
    assert.equal(await serviceAccounts.createAccount(id, other, signal()), 'exists');
    assert.deepEqual(await serviceAccounts.account(id, signal()), {
      email,
      description: display.description,
    });
  });

  it('writes a policy only over the one that was read', async () => {
    const { serviceAccounts, id } = await anAccount();
    const { project } = open();
    const read = await serviceAccounts.policy(id, signal());
    assert.ok(read);
    assert.deepEqual(read.bindings, []);
    const bindings = [{ role, members: [`serviceAccount:${project}.svc.id.goog[team-x/x]`] }];
    assert.deepEqual(await serviceAccounts.setPolicy(id, { ...read, bindings }, signal()), {
      outcome: 'written',
    });
    assert.deepEqual(await serviceAccounts.setPolicy(id, { ...read, bindings: [] }, signal()), {
      outcome: 'conflict',
    });
    const now = await serviceAccounts.policy(id, signal());
    assert.deepEqual(now?.bindings, bindings);
    assert.notEqual(now.etag, read.etag);
  });

  it('returns the conditions of a policy and writes them back unchanged', async () => {
    const { serviceAccounts, id, email } = await anAccount();
    const condition = { title: 'never', expression: 'request.time < timestamp("2020-01-01T00:00:00Z")' };
    const bindings = [{ role, members: [`serviceAccount:${email}`], condition }];
    const read = await serviceAccounts.policy(id, signal());
    assert.ok(read);
    assert.deepEqual(await serviceAccounts.setPolicy(id, { ...read, bindings }, signal()), {
      outcome: 'written',
    });
    const now = await serviceAccounts.policy(id, signal());
    assert.ok(now);
    assert.equal(now.version, 3);
    assert.partialDeepStrictEqual(now.bindings, bindings);
    assert.deepEqual(await serviceAccounts.setPolicy(id, now, signal()), { outcome: 'written' });
    assert.deepEqual((await serviceAccounts.policy(id, signal()))?.bindings, now.bindings);
  });

  it('names a principal that Google does not know', async () => {
    const { serviceAccounts, id } = await anAccount();
    const { unknown } = open();
    const read = await serviceAccounts.policy(id, signal());
    assert.ok(read);
    const bindings = [{ role, members: [`serviceAccount:${unknown}`] }];
    const result = await serviceAccounts.setPolicy(id, { ...read, bindings }, signal());
    assert.equal(result.outcome, 'unknown_member');
    assert.equal(result.member, unknown);
  });

  it('reports a workload pool that does not exist, without naming a member', async () => {
    const { serviceAccounts, id } = await anAccount();
    const read = await serviceAccounts.policy(id, signal());
    assert.ok(read);
    const bindings = [{ role, members: ['serviceAccount:no-such-project-0.svc.id.goog[team-x/x]'] }];
    await assert.rejects(serviceAccounts.setPolicy(id, { ...read, bindings }, signal()), {
      name: 'Unavailable',
      message: /Identity Pool does not exist \(no-such-project-0\.svc\.id\.goog\)/,
    });
  });

  it('deletes an account, and repeats change nothing', async () => {
    const { serviceAccounts, id } = await anAccount();
    await serviceAccounts.deleteAccount(id, signal());
    await serviceAccounts.deleteAccount(id, signal());
    assert.equal(await serviceAccounts.account(id, signal()), undefined);
    const policy = { bindings: [], etag: 'ACAB' };
    assert.deepEqual(await serviceAccounts.setPolicy(id, policy, signal()), { outcome: 'conflict' });
  });
};
