import { Unavailable } from './unavailable.ts';

/** A version of a secret; never its payload. */
export interface StoredSecretVersion {
  /** Its number, such as 3. */
  readonly version: string;
  readonly state: 'enabled' | 'disabled' | 'destroyed';
  /** ISO 8601 UTC. */
  readonly createdAt: string;
}

/** What a secret is, apart from its versions. */
export interface SecretMetadata {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Another one after every change of labels or annotations. */
  readonly etag: string;
}

/** Who may do what: Google’s IAM, in one form for secrets and service accounts. Conditions are others’ and kept. */
export interface IamBinding {
  readonly role: string;
  readonly members: readonly string[];
  readonly condition?: unknown;
}

export interface IamPolicy {
  readonly bindings: readonly IamBinding[];
  readonly etag: string;
  readonly version?: number;
  /** Whatever else is in it (audit configuration), to be written back as it was read. */
  readonly rest?: Readonly<Record<string, unknown>>;
}

/**
 * What a write of a policy came to. `conflict`: somebody wrote in between, read again. `unknown_member`: Google knows
 * no such principal; `member` when it says which.
 */
export type IamOutcome =
  | { readonly outcome: 'written' }
  | { readonly outcome: 'conflict' }
  | { readonly outcome: 'unknown_member'; readonly member: string | undefined; readonly message: string };

/** Google answered that a quota is used up; the message says which. Retried with backoff. */
export class QuotaExceeded extends Unavailable {}

/** Google Secret Manager. Throws Unavailable('secret-manager'); `id` is the secret’s, in the configured project. */
export interface SecretManager {
  secret(id: string, signal: AbortSignal): Promise<SecretMetadata | undefined>;
  createSecret(
    id: string,
    labels: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<'created' | 'exists'>;
  /** Replaces the annotations of the secret that was read. `conflict`: it is another one by now, or gone. */
  annotate(
    id: string,
    secret: Pick<SecretMetadata, 'annotations' | 'etag'>,
    signal: AbortSignal,
  ): Promise<SecretMetadata | 'conflict'>;
  /** With all its versions, for good. Does nothing when it is gone. */
  deleteSecret(id: string, signal: AbortSignal): Promise<void>;
  policy(id: string, signal: AbortSignal): Promise<IamPolicy | undefined>;
  setPolicy(id: string, policy: IamPolicy, signal: AbortSignal): Promise<IamOutcome>;
  /** Newest first, all pages; undefined when there is no such secret. */
  versions(id: string, signal: AbortSignal): Promise<readonly StoredSecretVersion[] | undefined>;
  /** The payload goes nowhere else. Undefined when there is no such secret. */
  addVersion(id: string, payload: Uint8Array, signal: AbortSignal): Promise<StoredSecretVersion | undefined>;
  /** `destroyed`: it is gone for good. */
  setEnabled(
    id: string,
    version: string,
    enabled: boolean,
    signal: AbortSignal,
  ): Promise<StoredSecretVersion | 'destroyed' | undefined>;
}

/** Google service accounts of the configured project. Throws Unavailable('iam'). `id`: the part before the @. */
export interface ServiceAccounts {
  account(
    id: string,
    signal: AbortSignal,
  ): Promise<{ readonly email: string; readonly description: string } | undefined>;
  /** Throws QuotaExceeded when the project has no room for another one. */
  createAccount(
    id: string,
    display: { readonly name: string; readonly description: string },
    signal: AbortSignal,
  ): Promise<'created' | 'exists'>;
  /** Does nothing when it is gone. */
  deleteAccount(id: string, signal: AbortSignal): Promise<void>;
  policy(id: string, signal: AbortSignal): Promise<IamPolicy | undefined>;
  setPolicy(id: string, policy: IamPolicy, signal: AbortSignal): Promise<IamOutcome>;
}
