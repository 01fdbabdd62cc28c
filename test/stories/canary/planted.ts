import { randomBytes } from 'node:crypto';

export const hex = (): string => randomBytes(32).toString('hex');
/** A member’s secret; only Secret Manager may ever hold it. */
export const payload = `Kanari-${randomBytes(30).toString('base64url')}`;
export const googleToken = `ya29.${randomBytes(40).toString('base64url')}`;
export const kubernetesToken = `kube-${randomBytes(40).toString('base64url')}`;
export const masterKeys = [
  { id: 'newer', key: hex() },
  { id: 'older', key: hex() },
];
export const admissionSecret = hex();
/** Part of the store’s error message, which may appear in the log only. */
export const storeWords = `store-${hex()}`;

/** Every response that a caller received, by where it came from. */
export const evidence: { where: string; text: string }[] = [];
export const logged: string[] = [];
/** What the store holds, and what Google holds besides the secrets’ versions. */
export const kept: { where: string; text: string }[] = [];
/** Every object of the cluster in every state it had, without the hub’s keys; those are in `hubSecrets`, by namespace. */
export const applied: { where: string; text: string }[] = [];
export const hubSecrets = new Map<string, string>();

/** The part of a JWT that cannot be guessed. */
export const signatureOf = (jwt: string): string => jwt.split('.')[2] ?? '';
