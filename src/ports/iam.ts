/** A Google IAM policy, in one form for secrets and service accounts. Conditions are kept as they were read. */
export interface IamBinding {
  readonly role: string;
  readonly members: readonly string[];
  readonly condition?: unknown;
}

export interface IamPolicy {
  readonly bindings: readonly IamBinding[];
  readonly etag: string;
  readonly version?: number;
  /** The policy’s other fields (audit configuration), which are written back as they were read. */
  readonly rest?: Readonly<Record<string, unknown>>;
}

/**
 * The outcome of a policy write. `conflict`: the policy has changed since it was read. `unknown_member`: Google does
 * not accept a principal; `member` names it when Google does.
 */
export type IamOutcome =
  | { readonly outcome: 'written' }
  | { readonly outcome: 'conflict' }
  | { readonly outcome: 'unknown_member'; readonly member: string | undefined; readonly message: string };
