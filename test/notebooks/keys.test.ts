import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { hubSecret, hubToken, type MasterKey } from '../../src/notebooks/keys.ts';

const key: MasterKey = { id: '2026-11', key: 'ab'.repeat(32) };
const older: MasterKey = { id: '2025-11', key: 'cd'.repeat(32) };
const meta = { namespace: 'team-team-a-3f9c', labels: { a: 'b' }, annotations: { 'knada.io/revision': '3' } };

const secretOf = (id: string, keys: readonly MasterKey[] = [key]): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(hubSecret(id, keys, meta).data ?? {}).map(([name, value]) => [
      name,
      Buffer.from(value, 'base64').toString(),
    ]),
  );

/** HKDF-SHA256 by the letter of RFC 5869, for one block of output and an empty salt. */
const hkdf = (secret: string, info: string): string => {
  const extracted = createHmac('sha256', Buffer.alloc(32)).update(secret).digest();
  return createHmac('sha256', extracted).update(info).update(Buffer.of(1)).digest('hex');
};

const names = [
  'hub.config.CryptKeeper.keys',
  'hub.config.JupyterHub.cookie_secret',
  'hub.services.knada-notebooks.apiToken',
] as const;

describe('the keys of a hub', () => {
  it('are exactly the three that the chart requires, 64 hexadecimal digits each', () => {
    const secret = secretOf('team-a-3f9c');
    assert.deepEqual(Object.keys(secret).sort(), names);
    for (const value of Object.values(secret)) assert.match(value, /^[0-9a-f]{64}$/);
    const { metadata, type, kind, apiVersion } = hubSecret('team-a-3f9c', [key], meta);
    assert.deepEqual(
      { apiVersion, kind, type, metadata },
      { apiVersion: 'v1', kind: 'Secret', type: 'Opaque', metadata: { name: 'notebook-hub', ...meta } },
    );
  });

  it('the keys are HKDF-SHA256 of the master key, and stable', () => {
    for (const name of names) {
      assert.equal(secretOf('team-a-3f9c')[name], hkdf(key.key, `knada-notebooks/v1/${name}/team-a-3f9c`));
    }
    assert.equal(
      hubToken('team-a-3f9c', key),
      '5fbe70b61adbcb7b9ba506a7be781a08590ac3d7658b333f533e14c5b5afc542',
    );
  });

  it('share no value between teams, purposes and master keys', () => {
    const id = fc.stringMatching(/^[a-z][a-z0-9]{1,24}-[0-9a-f]{4}$/);
    fc.assert(
      fc.property(fc.uniqueArray(id, { minLength: 2, maxLength: 2 }), (ids) => {
        const values = [key, older].flatMap((master) =>
          ids.flatMap((team) => Object.values(secretOf(team, [master]))),
        );
        assert.equal(new Set(values).size, 12);
      }),
    );
  });

  it('the keys include the service’s token for the hub', () => {
    assert.equal(secretOf('team-a-3f9c')[names[2]], hubToken('team-a-3f9c', key));
  });

  it('the keys come from the newest master key after a rotation, and stored login state stays readable', () => {
    const rotated = secretOf('team-a-3f9c', [key, older]);
    const before = secretOf('team-a-3f9c', [older]);
    const after = secretOf('team-a-3f9c', [key]);
    assert.equal(rotated[names[2]], after[names[2]]);
    assert.equal(rotated[names[1]], after[names[1]]);
    assert.equal(rotated[names[0]], `${after[names[0]]};${before[names[0]]}`);
  });

  it('require a master key', () => {
    assert.throws(() => hubSecret('team-a-3f9c', [], meta), TypeError);
  });
});
