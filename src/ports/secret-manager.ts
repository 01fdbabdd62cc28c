import type { SecretVersion } from '../model/secret.ts';
import type { IamOutcome, IamPolicy } from './iam.ts';

/** A secret without its versions. */
export interface SecretMetadata {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Changes with every change of labels or annotations. */
  readonly etag: string;
}

/** Google Secret Manager. Throws Unavailable('secret-manager'); `id` is the secret’s, in the configured project. */
export interface SecretManager {
  secret(id: string, signal: AbortSignal): Promise<SecretMetadata | undefined>;
  createSecret(
    id: string,
    labels: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<'created' | 'exists'>;
  /** Replaces the annotations of the secret that was read. `conflict`: it has changed since, or was deleted. */
  annotate(
    id: string,
    secret: Pick<SecretMetadata, 'annotations' | 'etag'>,
    signal: AbortSignal,
  ): Promise<SecretMetadata | 'conflict'>;
  /** Deletes it with all its versions, permanently. Does nothing when there is no such secret. */
  deleteSecret(id: string, signal: AbortSignal): Promise<void>;
  policy(id: string, signal: AbortSignal): Promise<IamPolicy | undefined>;
  setPolicy(id: string, policy: IamPolicy, signal: AbortSignal): Promise<IamOutcome>;
  /** Newest first, all pages, never a payload; undefined when there is no such secret. */
  versions(id: string, signal: AbortSignal): Promise<readonly SecretVersion[] | undefined>;
  /** The payload is sent nowhere else. Undefined when there is no such secret. */
  addVersion(id: string, payload: Uint8Array, signal: AbortSignal): Promise<SecretVersion | undefined>;
  /** `destroyed`: the version was destroyed and cannot be enabled again. */
  setEnabled(
    id: string,
    version: string,
    enabled: boolean,
    signal: AbortSignal,
  ): Promise<SecretVersion | 'destroyed' | undefined>;
}
