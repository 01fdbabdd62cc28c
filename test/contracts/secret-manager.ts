import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { IamPolicy } from '../../src/ports/iam.ts';
import type { SecretManager } from '../../src/ports/secret-manager.ts';

/** A secretManager and what must be true of its project. */
export interface VaultUnderTest {
  readonly secretManager: SecretManager;
  /** An id that no secret has had yet. */
  readonly newId: () => string;
  /** A principal whom Google knows. */
  readonly known: string;
  /** The e-mail of a service account that does not exist. */
  readonly unknown: string;
}

const signal = () => AbortSignal.timeout(10_000);
const accessor = 'roles/secretmanager.secretAccessor';
const labels = { 'managed-by': 'knada-notebooks', 'knada-team-id': 'team-a-3f9c' };

const policyOf = async (secretManager: SecretManager, id: string): Promise<IamPolicy> => {
  const policy = await secretManager.policy(id, signal());
  assert.ok(policy);
  return policy;
};

/** What everything that plays Secret Manager, Google’s included, must do. */
export const secretManagerContract = (open: () => VaultUnderTest): void => {
  const aSecret = async (): Promise<{ secretManager: SecretManager; id: string }> => {
    const { secretManager, newId } = open();
    const id = newId();
    assert.equal(await secretManager.createSecret(id, labels, signal()), 'created');
    return { secretManager, id };
  };

  it('returns undefined for a secret that was never created', async () => {
    const { secretManager, newId } = open();
    const id = newId();
    assert.equal(await secretManager.secret(id, signal()), undefined);
    assert.equal(await secretManager.policy(id, signal()), undefined);
    assert.equal(await secretManager.versions(id, signal()), undefined);
    assert.equal(await secretManager.addVersion(id, Buffer.from('x'), signal()), undefined);
    assert.equal(await secretManager.setEnabled(id, '1', true, signal()), undefined);
    await secretManager.deleteSecret(id, signal());
  });

  it('makes a secret once, with its labels and without a version', async () => {
    const { secretManager, id } = await aSecret();
    assert.equal(await secretManager.createSecret(id, {}, signal()), 'exists');
    const secret = await secretManager.secret(id, signal());
    assert.deepEqual(secret?.labels, labels);
    assert.deepEqual(secret.annotations, {});
    assert.notEqual(secret.etag, '');
    assert.deepEqual(await secretManager.versions(id, signal()), []);
  });

  it('writes annotations over those that were read, and over no others', async () => {
    const { secretManager, id } = await aSecret();
    const read = await secretManager.secret(id, signal());
    assert.ok(read);
    const written = await secretManager.annotate(id, { annotations: { a: '1' }, etag: read.etag }, signal());
    assert.ok(written !== 'conflict');
    assert.notEqual(written.etag, read.etag);
    const again = await secretManager.annotate(id, { annotations: { b: '2' }, etag: read.etag }, signal());
    assert.equal(again, 'conflict');
    assert.deepEqual(await secretManager.secret(id, signal()), written);
    assert.deepEqual(written.annotations, { a: '1' });
    assert.deepEqual(written.labels, labels, 'labels stay');
    const next = await secretManager.annotate(id, { annotations: {}, etag: written.etag }, signal());
    assert.ok(next !== 'conflict');
    assert.deepEqual(next.annotations, {});
  });

  it('does not annotate a secret that was deleted', async () => {
    const { secretManager, id } = await aSecret();
    const read = await secretManager.secret(id, signal());
    assert.ok(read);
    await secretManager.deleteSecret(id, signal());
    assert.equal(await secretManager.annotate(id, read, signal()), 'conflict');
  });

  it('writes a policy only over the one that was read', async () => {
    const { secretManager, id } = await aSecret();
    const { known } = open();
    const read = await policyOf(secretManager, id);
    assert.deepEqual(read.bindings, []);
    const wanted = { ...read, bindings: [{ role: accessor, members: [known] }] };
    assert.deepEqual(await secretManager.setPolicy(id, wanted, signal()), { outcome: 'written' });
    assert.deepEqual(await secretManager.setPolicy(id, { ...read, bindings: [] }, signal()), {
      outcome: 'conflict',
    });
    const now = await policyOf(secretManager, id);
    assert.deepEqual(now.bindings, wanted.bindings);
    assert.notEqual(now.etag, read.etag);
  });

  it('returns the conditions of a policy and writes them back unchanged', async () => {
    const { secretManager, id } = await aSecret();
    const { known } = open();
    const condition = {
      title: 'until new year',
      description: '',
      expression: 'request.time < timestamp("2027-01-01T00:00:00Z")',
    };
    const bindings = [
      { role: accessor, members: [known], condition },
      { role: 'roles/secretmanager.viewer', members: [known] },
    ];
    const read = await policyOf(secretManager, id);
    assert.deepEqual(await secretManager.setPolicy(id, { ...read, bindings }, signal()), {
      outcome: 'written',
    });
    const shown = await policyOf(secretManager, id);
    assert.equal(shown.version, 3);
    const conditional = shown.bindings.find((binding) => binding.condition !== undefined);
    assert.partialDeepStrictEqual(conditional, {
      role: accessor,
      members: [known],
      condition: { title: condition.title, expression: condition.expression },
    });
    const rest = shown.bindings.filter(({ role }) => role === accessor);
    assert.deepEqual(await secretManager.setPolicy(id, { ...shown, bindings: rest }, signal()), {
      outcome: 'written',
    });
    assert.deepEqual((await policyOf(secretManager, id)).bindings, [conditional]);
  });

  it('names a principal that Google does not know', async () => {
    const { secretManager, id } = await aSecret();
    const { known, unknown } = open();
    const read = await policyOf(secretManager, id);
    const members = [known, `serviceAccount:${unknown}`];
    const result = await secretManager.setPolicy(
      id,
      { ...read, bindings: [{ role: accessor, members }] },
      signal(),
    );
    assert.equal(result.outcome, 'unknown_member');
    assert.equal(result.member, unknown);
    assert.deepEqual(await policyOf(secretManager, id), read, 'nothing was written');
  });

  it('does not write the policy of a deleted secret', async () => {
    const { secretManager, id } = await aSecret();
    const read = await policyOf(secretManager, id);
    await secretManager.deleteSecret(id, signal());
    assert.deepEqual(await secretManager.setPolicy(id, read, signal()), { outcome: 'conflict' });
  });

  it('counts versions from 1 and lists the newest first', async () => {
    const { secretManager, id } = await aSecret();
    const before = Date.now();
    const first = await secretManager.addVersion(id, Buffer.from('one'), signal());
    const second = await secretManager.addVersion(id, Buffer.from('two'), signal());
    assert.deepEqual([first?.version, second?.version], ['1', '2']);
    assert.deepEqual([first?.state, second?.state], ['enabled', 'enabled']);
    assert.deepEqual(await secretManager.versions(id, signal()), [second, first]);
    // A minute for clocks that differ.
    assert.ok(Math.abs(Date.parse(first?.createdAt ?? '') - before) < 60_000, first?.createdAt);
  });

  it('accepts a payload of 65,536 arbitrary bytes and refuses a larger one', async () => {
    const { secretManager, id } = await aSecret();
    const largest = Buffer.alloc(65_536, 0xff);
    assert.equal((await secretManager.addVersion(id, largest, signal()))?.version, '1');
    await assert.rejects(secretManager.addVersion(id, Buffer.alloc(65_537, 0xff), signal()), {
      name: 'Unavailable',
    });
    assert.equal((await secretManager.versions(id, signal()))?.length, 1);
  });

  it('disables and enables a version, and repeats of either change nothing', async () => {
    const { secretManager, id } = await aSecret();
    const added = await secretManager.addVersion(id, Buffer.from('one'), signal());
    const disabled = { ...added, state: 'disabled' };
    assert.deepEqual(await secretManager.setEnabled(id, '1', false, signal()), disabled);
    assert.deepEqual(await secretManager.setEnabled(id, '1', false, signal()), disabled);
    assert.deepEqual(await secretManager.versions(id, signal()), [disabled]);
    assert.deepEqual(await secretManager.setEnabled(id, '1', true, signal()), added);
    assert.deepEqual(await secretManager.setEnabled(id, '1', true, signal()), added);
    assert.equal(await secretManager.setEnabled(id, '2', true, signal()), undefined);
  });

  it('deletes a secret with all its versions, and creates an empty one afterwards', async () => {
    const { secretManager, id } = await aSecret();
    await secretManager.addVersion(id, Buffer.from('one'), signal());
    await secretManager.deleteSecret(id, signal());
    await secretManager.deleteSecret(id, signal());
    assert.equal(await secretManager.secret(id, signal()), undefined);
    assert.equal(await secretManager.createSecret(id, labels, signal()), 'created');
    assert.deepEqual(await secretManager.versions(id, signal()), []);
    assert.deepEqual((await policyOf(secretManager, id)).bindings, []);
  });
};
