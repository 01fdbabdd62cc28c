import { hkdfSync } from 'node:crypto';
import type { Manifest } from '../ports/cluster.ts';
import type { Meta } from '../teams/desired.ts';

/** A key of the platform (HUB_MASTER_KEYS) with the name that it is rotated by. The list is newest first. */
export interface MasterKey {
  readonly id: string;
  /** At least 64 hexadecimal digits; used as text, not decoded. */
  readonly key: string;
}

/** The name of the Secret in hub.existingSecret. */
export const hubSecretName = 'notebook-hub';

/** The name of this product’s service at the hub, and of the role with its scopes. */
export const hubService = 'knada-notebooks';

const tokenKey = `hub.services.${hubService}.apiToken`;

/**
 * 64 hexadecimal digits by HKDF-SHA256 (RFC 5869) with an empty salt. The info names product, purpose and team, so
 * no two of them share a value. Changing it logs out every member and invalidates every token.
 */
const derived = (masterKey: MasterKey, id: string, purpose: string): string =>
  Buffer.from(hkdfSync('sha256', masterKey.key, '', `knada-notebooks/v1/${purpose}/${id}`, 32)).toString(
    'hex',
  );

/** The API token of a team’s hub, derived from this master key; it is not stored. */
export const hubToken = (id: string, masterKey: MasterKey): string => derived(masterKey, id, tokenKey);

/** The key of the hashes of requests that carry an Idempotency-Key. */
export const requestKey = (masterKey: MasterKey): string => derived(masterKey, '', 'request');

/**
 * The three keys of a hub, derived from the newest master key. Authentication state in the hub’s database (CryptKeeper)
 * stays readable with the older ones: the chart splits that entry at semicolons and encrypts with the first.
 * The proxy’s token is not included: the chart generates and keeps its own.
 */
export const hubSecret = (id: string, masterKeys: readonly MasterKey[], meta: Meta): Manifest => {
  const [newest] = masterKeys;
  if (newest === undefined) throw new TypeError('hubSecret needs at least one master key');
  const encoded = (text: string) => Buffer.from(text).toString('base64');
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: hubSecretName, ...meta },
    type: 'Opaque',
    data: {
      'hub.config.CryptKeeper.keys': encoded(
        masterKeys.map((masterKey) => derived(masterKey, id, 'hub.config.CryptKeeper.keys')).join(';'),
      ),
      'hub.config.JupyterHub.cookie_secret': encoded(
        derived(newest, id, 'hub.config.JupyterHub.cookie_secret'),
      ),
      [tokenKey]: encoded(hubToken(id, newest)),
    },
  };
};
