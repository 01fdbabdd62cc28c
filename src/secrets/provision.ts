import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { googleServiceAccount, namespaceOf, serviceAccountOf } from '../model/names.ts';
import type { TeamRecord } from '../model/record.ts';
import {
  type IamOutcome,
  QuotaExceeded,
  type SecretManager,
  type SecretMetadata,
  type ServiceAccounts,
} from '../ports/google.ts';
import type { Clock } from '../ports/runtime.ts';
import { Unavailable } from '../ports/unavailable.ts';
import {
  addressOf,
  boundFor,
  boundWith,
  fingerprint,
  type Grants,
  grantsOn,
  nextPolicy,
  principalOf,
  workloadIdentityRole,
  workloadPrincipal,
} from './bindings.ts';
import { goodForMs, type Memory, readMemory, withMemory } from './grant-ledger.ts';

/** The members and names of a team; nothing else of it matters here. */
export type SecretTeam = Pick<TeamRecord, 'id' | 'slug' | 'members'>;

/** What a look at the team’s secret and identity came to, for the condition SecretReady. */
export type Provisioned =
  | { readonly state: 'ready' }
  /** It works, but not for everybody yet. */
  | {
      readonly state: 'incomplete';
      readonly reason: 'UnknownMembers' | 'AccountPending';
      readonly message: string;
    }
  | Failed;

/** `Unavailable`: nobody knows. `QuotaExceeded` ends when an operator does something, `Conflict` when somebody does. */
export interface Failed {
  readonly state: 'failed';
  readonly reason: 'Conflict' | 'QuotaExceeded' | 'Unavailable';
  readonly message: string;
}

export type Dismantled = { readonly state: 'gone' } | Failed;

export interface ProvisionDeps {
  readonly secretManager: SecretManager;
  readonly serviceAccounts: ServiceAccounts;
  readonly clock: Clock;
  readonly googleProject: string;
  readonly workloadPool: string;
  /** Waits between two tries; milliseconds. */
  readonly wait?: (ms: number) => Promise<unknown>;
}

const managedBy = 'knada-notebooks';

const labelsOf = ({ id, slug }: SecretTeam) => ({
  'managed-by': managedBy,
  'knada-team-id': id,
  'knada-team': slug,
});

const isOurSecret = ({ labels }: SecretMetadata, { id }: Pick<TeamRecord, 'id'>): boolean =>
  labels['managed-by'] === managedBy && labels['knada-team-id'] === id;

/** What tells our service accounts from others’: service accounts have no labels. */
const markOf = ({ id }: SecretTeam): string => `[${managedBy} ${id}]`;

/** Policies that somebody else changed meanwhile are read again this often. */
const mostConflicts = 6;
const jitterMs = 150;

/** A principal whom Google refused is tried again after this long. */
const refusedForMs = 600_000;

/** Something of the team’s name is in the way, or keeps moving. */
class ProvisioningStopped extends Error {
  override readonly name = 'Halt';
  readonly reason: Failed['reason'];
  constructor(reason: Failed['reason'], message: string) {
    super(message);
    this.reason = reason;
  }
}

const failedOf = (error: unknown): Failed => {
  if (error instanceof ProvisioningStopped)
    return { state: 'failed', reason: error.reason, message: error.message };
  if (error instanceof QuotaExceeded) {
    return { state: 'failed', reason: 'QuotaExceeded', message: error.message };
  }
  if (error instanceof Unavailable) return { state: 'failed', reason: 'Unavailable', message: error.message };
  throw error;
};

/** One look at one team. */
interface ProvisionContext {
  readonly deps: ProvisionDeps;
  readonly team: SecretTeam;
  readonly signal: AbortSignal;
}

/** Counts lost races; waits a moment after each, and gives up after some. */
const races = ({ deps, signal }: ProvisionContext, what: string) => {
  const { wait = sleep } = deps;
  let lost = 0;
  return async (): Promise<void> => {
    lost += 1;
    if (lost >= mostConflicts || signal.aborted) {
      throw new ProvisioningStopped(
        'Unavailable',
        `${what} is being changed by others at the same time; it is tried again.`,
      );
    }
    await wait(Math.random() * jitterMs * lost);
  };
};

const ensureAccount = async ({ deps, team, signal }: ProvisionContext): Promise<void> => {
  const { serviceAccounts } = deps;
  const found = async () => {
    const account = await serviceAccounts.account(team.id, signal);
    if (account !== undefined && !account.description.includes(markOf(team))) {
      throw new ProvisioningStopped(
        'Conflict',
        `${account.email} exists and is not this team’s; it is left alone.`,
      );
    }
    return account !== undefined;
  };
  if (await found()) return;
  const description = `Notebooks of team ${team.slug}. ${markOf(team)}`;
  const outcome = await serviceAccounts.createAccount(team.id, { name: team.slug, description }, signal);
  if (outcome === 'exists' && !(await found())) {
    throw new ProvisioningStopped(
      'Unavailable',
      `Google does not show the service account ${team.id} yet; it is tried again.`,
    );
  }
};

const readSecret = async ({ deps, team, signal }: ProvisionContext): Promise<SecretMetadata | undefined> => {
  const secret = await deps.secretManager.secret(team.id, signal);
  if (secret !== undefined && !isOurSecret(secret, team)) {
    throw new ProvisioningStopped(
      'Conflict',
      `Secret ${team.id} exists and is not this team’s; it is left alone.`,
    );
  }
  return secret;
};

/** Writes what is remembered, unless it is that already; undefined when the secret has changed meanwhile. */
const remember = async (
  { deps, team, signal }: ProvisionContext,
  secret: SecretMetadata,
  memory: Memory,
): Promise<SecretMetadata | undefined> => {
  const annotations = withMemory(secret.annotations, memory);
  if (isDeepStrictEqual(annotations, secret.annotations)) return secret;
  const written = await deps.secretManager.annotate(team.id, { annotations, etag: secret.etag }, signal);
  return written === 'conflict' ? undefined : written;
};

interface Bindings {
  /** Principals whom Google refuses. */
  readonly refused: readonly string[];
  /** The team’s own account is not known to Secret Manager yet. */
  readonly isAccountPending: boolean;
}

/**
 * Makes the secret’s policy hold these grants, and takes away those that we gave before. Undefined when the secret is
 * not there. The order of its writes is explained with Memory.
 */
const bind = async (pass: ProvisionContext, wanted: Grants): Promise<Bindings | undefined> => {
  const { deps, team, signal } = pass;
  const { secretManager, clock } = deps;
  const own = principalOf(googleServiceAccount(team.id, deps.googleProject));
  const lostRace = races(pass, `The policy of secret ${team.id}`);
  const refused = new Set<string>();
  let isAccountPending = false;
  /** Google did not say whom it refuses: one at a time then. */
  let isOneByOne = false;

  for (;;) {
    const secret = await readSecret(pass);
    if (secret === undefined) return undefined;
    const memory = readMemory(secret.annotations);
    if (memory === 'unreadable') {
      throw new ProvisioningStopped(
        'Conflict',
        `Somebody changed the annotation ${managedBy} of secret ${team.id}; remove it, and whoever left the team from its policy.`,
      );
    }
    const now = clock.now();
    const isRetried = now - memory.refusedAt >= refusedForMs;
    const isRefused = (principal: string) =>
      refused.has(principal) || (!isRetried && memory.refused.has(fingerprint(principal)));
    const withheld = new Set([...wanted.keys()].filter((principal) => isRefused(principal)));
    const withheldNow = new Set(isAccountPending ? [...withheld, own] : withheld);

    const policy = await secretManager.policy(team.id, signal);
    if (policy === undefined) return undefined;
    let next = nextPolicy(policy, wanted, memory.bound, withheldNow);
    if (isOneByOne && next !== undefined && next.added.size > 1) {
      const [, ...others] = next.added.keys();
      next = nextPolicy(policy, wanted, memory.bound, new Set([...withheldNow, ...others]));
    }

    let noted = { secret, memory };
    if (next !== undefined && next.added.size > 0) {
      const note: Memory = {
        ...memory,
        bound: boundWith(memory.bound, next.added),
        // Later than the last one, so that the text is another one and the etag with it.
        notedAt: Math.max(now, memory.notedAt + 1),
      };
      const written = await remember(pass, secret, note);
      if (written === undefined) {
        await lostRace();
        continue;
      }
      noted = { secret: written, memory: note };
    }
    if (next !== undefined) {
      const result = await secretManager.setPolicy(team.id, next.policy, signal);
      if (result.outcome === 'conflict') {
        await lostRace();
        continue;
      }
      if (result.outcome === 'unknown_member') {
        const unknown = namedIn(result, next.added);
        if (unknown === own) isAccountPending = true;
        else if (unknown !== undefined) refused.add(unknown);
        else if (result.member === undefined && next.added.size > 1) isOneByOne = true;
        else
          throw new ProvisioningStopped(
            'Unavailable',
            `Google refuses the policy of secret ${team.id}: ${result.message}`,
          );
        continue;
      }
      if (isOneByOne) continue;
    }

    const mayForget = next !== undefined || now - noted.memory.notedAt >= goodForMs;
    const settled: Memory = {
      ...noted.memory,
      bound: mayForget ? boundFor(noted.memory.bound, wanted) : noted.memory.bound,
      refused: new Set([...withheld].map(fingerprint)),
      refusedAt: refused.size > 0 ? now : withheld.size > 0 ? memory.refusedAt : 0,
    };
    if ((await remember(pass, noted.secret, settled)) === undefined) {
      await lostRace();
      continue;
    }
    return { refused: [...withheld], isAccountPending };
  }
};

/** Which of the new principals Google does not know; it names addresses. */
const namedIn = (
  { member }: Extract<IamOutcome, { outcome: 'unknown_member' }>,
  added: Grants,
): string | undefined => {
  const principals = [...added.keys()];
  if (member === undefined) return principals.length === 1 ? principals[0] : undefined;
  return principals.find((principal) => addressOf(principal) === member.toLowerCase());
};

/** Lets the team’s Kubernetes service account act as its Google one. False: Google does not know that one yet. */
const bindWorkload = async (pass: ProvisionContext): Promise<boolean> => {
  const { deps, team, signal } = pass;
  const principal = workloadPrincipal(deps.workloadPool, namespaceOf(team.id), serviceAccountOf(team.id));
  const wanted: Grants = new Map([[principal, new Set([workloadIdentityRole])]]);
  const lostRace = races(pass, `The policy of the service account ${team.id}`);
  for (;;) {
    const policy = await deps.serviceAccounts.policy(team.id, signal);
    if (policy === undefined) return false;
    const next = nextPolicy(policy, wanted, new Map());
    if (next === undefined) return true;
    const result = await deps.serviceAccounts.setPolicy(team.id, next.policy, signal);
    if (result.outcome === 'written') return true;
    if (result.outcome === 'unknown_member') {
      throw new ProvisioningStopped(
        'Unavailable',
        `Google refuses the policy of the service account ${team.id}: ${result.message}`,
      );
    }
    await lostRace();
  }
};

const ensureSecret = async (pass: ProvisionContext, wanted: Grants): Promise<Bindings> => {
  const { deps, team, signal } = pass;
  const lostRace = races(pass, `Secret ${team.id}`);
  for (;;) {
    const bindings = await bind(pass, wanted);
    if (bindings !== undefined) return bindings;
    // It was not there a moment ago: new, or taken away under us.
    if ((await deps.secretManager.createSecret(team.id, labelsOf(team), signal)) === 'exists')
      await lostRace();
  }
};

const withoutAccess = (addresses: readonly string[]): string => {
  const named = addresses.slice(0, 10).join(', ');
  const more = addresses.length > 10 ? ` and ${addresses.length - 10} more` : '';
  const [have, accounts, whom] =
    addresses.length === 1 ? ['has', 'account', 'it'] : ['have', 'accounts', 'them'];
  return `${named}${more} ${have} no access to the secret: Google knows no such ${accounts}, or the organisation’s policy does not let ${whom} in. Everybody else has access.`;
};

const pending =
  'The team’s service account is new and not known everywhere at Google yet; it gets its access within minutes.';

/**
 * Makes the team’s Google service account, its secret, everybody’s access to it, and the way from the notebooks to
 * the account. Safe to repeat, also at the same time; a second time on the same state writes nothing. What the outside
 * answers is in the result; it throws nothing else than what nobody expected.
 */
export const provisionWith =
  (deps: ProvisionDeps) =>
  async (team: SecretTeam, signal: AbortSignal): Promise<Provisioned> => {
    const pass = { deps, team, signal };
    try {
      await ensureAccount(pass);
      const emails = team.members.map(({ email }) => email);
      const wanted = grantsOn(emails, googleServiceAccount(team.id, deps.googleProject));
      const { refused, isAccountPending } = await ensureSecret(pass, wanted);
      const isWorkloadBound = await bindWorkload(pass);
      const isPending = isAccountPending || !isWorkloadBound;
      if (refused.length > 0) {
        const message = withoutAccess(refused.map(addressOf).toSorted());
        return {
          state: 'incomplete',
          reason: 'UnknownMembers',
          message: isPending ? `${message} ${pending}` : message,
        };
      }
      if (isPending) return { state: 'incomplete', reason: 'AccountPending', message: pending };
      return { state: 'ready' };
    } catch (error) {
      return failedOf(error);
    }
  };

/**
 * Takes away what `provision` made: our bindings, the secret when asked or when it never had a version, then the
 * service account. What is not the team’s stays. Safe to repeat.
 */
export const dismantleWith =
  (deps: ProvisionDeps) =>
  async (
    team: SecretTeam,
    { deleteSecret }: { readonly deleteSecret: boolean },
    signal: AbortSignal,
  ): Promise<Dismantled> => {
    const pass = { deps, team, signal };
    const { secretManager, serviceAccounts } = deps;
    try {
      const secret = await secretManager.secret(team.id, signal);
      if (secret !== undefined && isOurSecret(secret, team)) {
        // With the secret its policy goes as well.
        if (!deleteSecret) await bind(pass, new Map());
        // After the bindings: nobody of the team can add a version any more.
        const isEmpty = deleteSecret || (await secretManager.versions(team.id, signal))?.length === 0;
        if (isEmpty) await secretManager.deleteSecret(team.id, signal);
      }
      const account = await serviceAccounts.account(team.id, signal);
      if (account?.description.includes(markOf(team))) await serviceAccounts.deleteAccount(team.id, signal);
      return { state: 'gone' };
    } catch (error) {
      return failedOf(error);
    }
  };

/**
 * Whether the team’s secret has a version that would be lost with it. A secret of that name that is not the team’s is
 * never deleted, so it counts for nothing. Throws Unavailable.
 */
export const secretExistsWith =
  ({ secretManager }: Pick<ProvisionDeps, 'secretManager'>) =>
  async (team: Pick<TeamRecord, 'id'>, signal: AbortSignal): Promise<boolean> => {
    const secret = await secretManager.secret(team.id, signal);
    if (secret === undefined || !isOurSecret(secret, team)) return false;
    return (
      (await secretManager.versions(team.id, signal))?.some(({ state }) => state !== 'destroyed') === true
    );
  };
