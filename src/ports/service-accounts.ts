import type { IamOutcome, IamPolicy } from './iam.ts';

/** Google service accounts of the configured project. Throws Unavailable('iam'). `id`: the part before the @. */
export interface ServiceAccounts {
  account(
    id: string,
    signal: AbortSignal,
  ): Promise<{ readonly email: string; readonly description: string } | undefined>;
  /** Throws QuotaExceeded when the project’s quota of service accounts is exhausted. */
  createAccount(
    id: string,
    display: { readonly name: string; readonly description: string },
    signal: AbortSignal,
  ): Promise<'created' | 'exists'>;
  /** Does nothing when there is no such account. */
  deleteAccount(id: string, signal: AbortSignal): Promise<void>;
  policy(id: string, signal: AbortSignal): Promise<IamPolicy | undefined>;
  setPolicy(id: string, policy: IamPolicy, signal: AbortSignal): Promise<IamOutcome>;
}
