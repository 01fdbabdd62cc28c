import { hkdfSync } from 'node:crypto';
import type { Manifest } from '../ports/cluster.ts';
import type { Meta } from '../teams/desired.ts';

/** A key of the platform (HUB_MASTER_KEYS) with the name that it is rotated by. The list is newest first. */
export interface MasterKey {
  readonly id: string;
  /** At least 64 hexadecimal digits; taken as the text it is. */
  readonly key: string;
}

/** The name of the Secret in the chart value hub.existingSecret. */
export const hubSecretName = 'notebook-hub';

/** The name of this API as a service of the hub; a role of the same name holds its scopes. */
export const hubService = 'knada-notebooks';

const tokenKey = `hub.services.${hubService}.apiToken`;

/**
 * 64 hexadecimal digits by HKDF-SHA256 (RFC 5869) with an empty salt. The info names product, purpose and team, so no
 * two keys share a value. Changing it logs every member out and invalidates every token.
 */
const derived = (masterKey: MasterKey, id: string, purpose: string): string =>
  Buffer.from(hkdfSync('sha256', masterKey.key, '', `knada-notebooks/v1/${purpose}/${id}`, 32)).toString(
    'hex',
  );

/** The token for a team’s hub, derived from this master key and never stored. */
export const hubToken = (id: string, masterKey: MasterKey): string => derived(masterKey, id, tokenKey);

/**
 * The three keys of a hub, made with the newest master key. Login state in the hub’s database (CryptKeeper) stays
 * readable with the older ones: the chart splits that entry at semicolons and encrypts with the first.
 * The proxy’s token is not among them: the chart makes and keeps its own.
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
