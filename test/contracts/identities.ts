import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { ServiceAccounts } from '../../src/ports/google.ts';

export interface IdentitiesUnderTest {
  readonly identities: ServiceAccounts;
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
export const identitiesContract = (open: () => IdentitiesUnderTest): void => {
  const anAccount = async () => {
    const { identities, newId, project } = open();
    const id = newId();
    assert.equal(await identities.createAccount(id, display, signal()), 'created');
    return { identities, id, email: `${id}@${project}.iam.gserviceaccount.com` };
  };

  it('knows nothing of an account that was never made', async () => {
    const { identities, newId } = open();
    const id = newId();
    assert.equal(await identities.account(id, signal()), undefined);
    assert.equal(await identities.policy(id, signal()), undefined);
    await identities.deleteAccount(id, signal());
  });

  it('makes an account once, and tells what it is for', async () => {
    const { identities, id, email } = await anAccount();
    const other = { name: 'other', description: 'other' };
    assert.equal(await identities.createAccount(id, other, signal()), 'exists');
    assert.deepEqual(await identities.account(id, signal()), { email, description: display.description });
  });

  it('takes a policy over the one that was read, and over no other', async () => {
    const { identities, id } = await anAccount();
    const { project } = open();
    const read = await identities.policy(id, signal());
    assert.ok(read);
    assert.deepEqual(read.bindings, []);
    const bindings = [{ role, members: [`serviceAccount:${project}.svc.id.goog[team-x/x]`] }];
    assert.deepEqual(await identities.setPolicy(id, { ...read, bindings }, signal()), { outcome: 'written' });
    assert.deepEqual(await identities.setPolicy(id, { ...read, bindings: [] }, signal()), {
      outcome: 'conflict',
    });
    const now = await identities.policy(id, signal());
    assert.deepEqual(now?.bindings, bindings);
    assert.notEqual(now.etag, read.etag);
  });

  it('shows conditions, and takes them back as they were', async () => {
    const { identities, id, email } = await anAccount();
    const condition = { title: 'never', expression: 'request.time < timestamp("2020-01-01T00:00:00Z")' };
    const bindings = [{ role, members: [`serviceAccount:${email}`], condition }];
    const read = await identities.policy(id, signal());
    assert.ok(read);
    assert.deepEqual(await identities.setPolicy(id, { ...read, bindings }, signal()), { outcome: 'written' });
    const now = await identities.policy(id, signal());
    assert.ok(now);
    assert.equal(now.version, 3);
    assert.partialDeepStrictEqual(now.bindings, bindings);
    assert.deepEqual(await identities.setPolicy(id, now, signal()), { outcome: 'written' });
    assert.deepEqual((await identities.policy(id, signal()))?.bindings, now.bindings);
  });

  it('names a principal that Google does not know', async () => {
    const { identities, id } = await anAccount();
    const { unknown } = open();
    const read = await identities.policy(id, signal());
    assert.ok(read);
    const bindings = [{ role, members: [`serviceAccount:${unknown}`] }];
    const result = await identities.setPolicy(id, { ...read, bindings }, signal());
    assert.equal(result.outcome, 'unknown_member');
    assert.equal(result.member, unknown);
  });

  it('says of a workload pool that does not exist that it does not, and blames nobody', async () => {
    const { identities, id } = await anAccount();
    const read = await identities.policy(id, signal());
    assert.ok(read);
    const bindings = [{ role, members: ['serviceAccount:no-such-project-0.svc.id.goog[team-x/x]'] }];
    await assert.rejects(identities.setPolicy(id, { ...read, bindings }, signal()), {
      name: 'Unavailable',
      message: /Identity Pool does not exist \(no-such-project-0\.svc\.id\.goog\)/,
    });
  });

  it('deletes an account, as often as one likes', async () => {
    const { identities, id } = await anAccount();
    await identities.deleteAccount(id, signal());
    await identities.deleteAccount(id, signal());
    assert.equal(await identities.account(id, signal()), undefined);
    const policy = { bindings: [], etag: 'ACAB' };
    assert.deepEqual(await identities.setPolicy(id, policy, signal()), { outcome: 'conflict' });
  });
};
