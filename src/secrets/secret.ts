import type { FaultCode } from '../model/faults.ts';
import { type NamedTeam, secretVariable } from '../model/names.ts';
import { type Fault, Problem } from '../model/problems.ts';
import {
  payloadMaxBytes,
  type Secret,
  type SecretVersion,
  type SecretVersionOrder,
} from '../model/secret.ts';

const fault = (pointer: string, code: FaultCode, message: string): never => {
  const errors: readonly Fault[] = [{ pointer, code, message }];
  throw new Problem('validation_failed', { errors });
};

/**
 * The payload of an order. Throws Problem `validation_failed`, which never quotes it, for none or both of the two forms,
 * for invalid text or base64, and for more bytes than Secret Manager accepts.
 */
export const payloadOf = ({ data, dataBase64 }: SecretVersionOrder): Uint8Array => {
  if (data === undefined && dataBase64 === undefined)
    return fault('', 'payload_missing', 'Send either data or dataBase64.');
  if (data !== undefined && dataBase64 !== undefined) {
    return fault('/dataBase64', 'payload_twice', 'Send data or dataBase64, not both.');
  }
  if (data?.isWellFormed() === false) {
    // UTF-8 cannot encode a lone surrogate; a different text would be stored.
    return fault('/data', 'not_text', 'The text contains a lone surrogate. Send binary data as dataBase64.');
  }
  const pointer = data === undefined ? '/dataBase64' : '/data';
  const payload = data === undefined ? Buffer.from(dataBase64 ?? '', 'base64') : Buffer.from(data, 'utf8');
  // Node skips characters that are not base64, so the decoded payload must encode to the same text.
  if (data === undefined && payload.toString('base64') !== dataBase64) {
    return fault(pointer, 'not_base64', 'This is not base64 with padding (RFC 4648, section 4).');
  }
  if (payload.length > payloadMaxBytes) {
    return fault(
      pointer,
      'payload_too_large',
      `The payload has ${payload.length} bytes; Secret Manager accepts at most ${payloadMaxBytes}.`,
    );
  }
  return payload;
};

/** The team’s secret as the API returns it. */
export const secretView = (
  { names }: NamedTeam,
  googleProject: string,
  versions: readonly SecretVersion[],
): Secret => {
  const { secret } = names;
  const serviceAccount = names.googleServiceAccount.email;
  return {
    name: secret.name,
    env: secretVariable,
    serviceAccount,
    versions: versions.map(({ version, state, createdAt }) => ({ version, state, createdAt })),
    consoleUrl: `https://console.cloud.google.com/security/secret-manager/secret/${secret.id}/versions?project=${googleProject}`,
    grantCommand: `gcloud secrets add-iam-policy-binding SECRET --project=PROJECT --member=serviceAccount:${serviceAccount} --role=roles/secretmanager.secretAccessor`,
  };
};
