import { isDeepStrictEqual } from 'node:util';
import { lowerCaseAscii } from '../lib/ascii.ts';
import type { IamOutcome } from '../ports/iam.ts';
import type { SecretMetadata } from '../ports/secret-manager.ts';
import {
  addressOf,
  boundFor,
  boundWith,
  fingerprint,
  type Grants,
  nextPolicy,
  principalOf,
} from './bindings.ts';
import { conflictBackoff, ProvisioningBlocked, type ProvisioningContext } from './context.ts';
import { type GrantLedger, intentValidMs, ledgerAnnotation, readLedger, withLedger } from './grant-ledger.ts';
import { readOwnSecret } from './team-secret.ts';

/** A principal that Google refused is retried after this long. */
const refusedForMs = 600_000;

/** What the secret’s policy does not hold yet. */
export interface Withheld {
  /** Principals that Google refuses. */
  readonly refused: readonly string[];
  /** Secret Manager does not know the team’s own service account yet. */
  readonly isAccountPending: boolean;
}

/** Writes the ledger unless it is unchanged; undefined when the secret has changed since it was read. */
const writeLedger = async (
  { deps, team, signal }: ProvisioningContext,
  secret: SecretMetadata,
  ledger: GrantLedger,
): Promise<SecretMetadata | undefined> => {
  const annotations = withLedger(secret.annotations, ledger);
  if (isDeepStrictEqual(annotations, secret.annotations)) return secret;
  const written = await deps.secretManager.annotate(
    team.names.secret.id,
    { annotations, etag: secret.etag },
    signal,
  );
  return written === 'conflict' ? undefined : written;
};

/** Which of the new principals Google does not know; Google names them by address. */
const namedIn = (
  { member }: Extract<IamOutcome, { outcome: 'unknown_member' }>,
  added: Grants,
): string | undefined => {
  const principals = [...added.keys()];
  if (member === undefined) return principals.length === 1 ? principals[0] : undefined;
  return principals.find((principal) => addressOf(principal) === lowerCaseAscii(member));
};

/**
 * Makes the secret’s policy hold these grants, and removes those that we gave before. Undefined when there is no
 * secret. GrantLedger explains the order of its writes.
 */
export const applyGrants = async (
  context: ProvisioningContext,
  wanted: Grants,
): Promise<Withheld | undefined> => {
  const { deps, team, signal } = context;
  const { secretManager, clock } = deps;
  const own = principalOf(team.names.googleServiceAccount.email);
  const backOff = conflictBackoff(context, `The policy of secret ${team.names.secret.id}`);
  const refused = new Set<string>();
  let isAccountPending = false;
  /** Google did not name the principal that it refuses, so they are added one by one. */
  let isOneByOne = false;

  for (;;) {
    const secret = await readOwnSecret(context);
    if (secret === undefined) return undefined;
    const ledger = readLedger(secret.annotations);
    if (ledger === 'unreadable') {
      throw new ProvisioningBlocked(
        'Conflict',
        `The annotation ${ledgerAnnotation} of secret ${team.names.secret.id} was changed by someone else. Remove it, and remove former members from the secret’s policy.`,
      );
    }
    const now = clock.now();
    const isRetried = now - ledger.refusedAt >= refusedForMs;
    const isRefused = (principal: string) =>
      refused.has(principal) || (!isRetried && ledger.refused.has(fingerprint(principal)));
    const withheld = new Set([...wanted.keys()].filter((principal) => isRefused(principal)));
    const withheldNow = new Set(isAccountPending ? [...withheld, own] : withheld);

    const policy = await secretManager.policy(team.names.secret.id, signal);
    if (policy === undefined) return undefined;
    let next = nextPolicy(policy, wanted, ledger.bound, withheldNow);
    if (isOneByOne && next !== undefined && next.added.size > 1) {
      const [, ...others] = next.added.keys();
      next = nextPolicy(policy, wanted, ledger.bound, new Set([...withheldNow, ...others]));
    }

    let recorded = { secret, ledger };
    if (next !== undefined && next.added.size > 0) {
      const intent: GrantLedger = {
        ...ledger,
        bound: boundWith(ledger.bound, next.added),
        // Later than the last one, so the text differs and the etag changes with it.
        notedAt: Math.max(now, ledger.notedAt + 1),
      };
      const written = await writeLedger(context, secret, intent);
      if (written === undefined) {
        await backOff();
        continue;
      }
      recorded = { secret: written, ledger: intent };
    }
    if (next !== undefined) {
      const result = await secretManager.setPolicy(team.names.secret.id, next.policy, signal);
      if (result.outcome === 'conflict') {
        await backOff();
        continue;
      }
      if (result.outcome === 'unknown_member') {
        const unknown = namedIn(result, next.added);
        if (unknown === own) isAccountPending = true;
        else if (unknown !== undefined) refused.add(unknown);
        else if (result.member === undefined && next.added.size > 1) isOneByOne = true;
        else
          throw new ProvisioningBlocked(
            'Unavailable',
            `Google refuses the policy of secret ${team.names.secret.id}: ${result.message}`,
          );
        continue;
      }
      if (isOneByOne) continue;
    }

    const mayForget = next !== undefined || now - recorded.ledger.notedAt >= intentValidMs;
    const settled: GrantLedger = {
      ...recorded.ledger,
      bound: mayForget ? boundFor(recorded.ledger.bound, wanted) : recorded.ledger.bound,
      refused: new Set([...withheld].map(fingerprint)),
      refusedAt: refused.size > 0 ? now : withheld.size > 0 ? ledger.refusedAt : 0,
    };
    if ((await writeLedger(context, recorded.secret, settled)) === undefined) {
      await backOff();
      continue;
    }
    return { refused: [...withheld], isAccountPending };
  }
};
