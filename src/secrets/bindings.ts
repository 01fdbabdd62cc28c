import { createHash } from 'node:crypto';
import { lowerCaseAscii } from '../lib/ascii.ts';
import type { IamBinding, IamPolicy } from '../ports/iam.ts';

/** The roles of a member on the team’s secret. */
export const memberRoles = [
  'roles/secretmanager.secretAccessor',
  'roles/secretmanager.secretVersionManager',
  'roles/secretmanager.viewer',
] as const;

/** The role of the team’s service account on it: read. */
export const readerRole = memberRoles[0];

/** Lets a Kubernetes service account act as the Google service account whose policy grants it this role. */
export const workloadIdentityRole = 'roles/iam.workloadIdentityUser';

/**
 * The principal of an e-mail address. Service accounts are recognized by their domain; every other address is a user,
 * since members sign in and groups cannot.
 */
export const principalOf = (email: string): string => {
  const address = lowerCaseAscii(email);
  return `${address.endsWith('.gserviceaccount.com') ? 'serviceAccount' : 'user'}:${address}`;
};

/** The e-mail address of a principal. */
export const addressOf = (principal: string): string => principal.slice(principal.indexOf(':') + 1);

/** A Kubernetes service account as Google’s IAM names it. */
export const workloadPrincipal = (pool: string, namespace: string, serviceAccount: string): string =>
  `serviceAccount:${pool}[${namespace}/${serviceAccount}]`;

/** Roles by principal. */
export type Grants = ReadonlyMap<string, ReadonlySet<string>>;

/** All roles on the team’s secret. */
export const grantsOn = (memberEmails: readonly string[], serviceAccount: string): Grants => {
  const grants = new Map<string, ReadonlySet<string>>();
  for (const email of memberEmails) grants.set(principalOf(email), new Set(memberRoles));
  const reader = principalOf(serviceAccount);
  return grants.has(reader) ? grants : grants.set(reader, new Set([readerRole]));
};

/** A short hash of a principal. The form that Google gives a deleted principal has the same one. */
export const fingerprint = (principal: string): string => {
  const [, live = principal] = /^deleted:(.*?)(?:\?uid=\d+)?$/.exec(principal) ?? [];
  return createHash('sha256').update(lowerCaseAscii(live)).digest('base64url').slice(0, 12);
};

/** The roles that we gave, by the fingerprint of the principal. */
export type Bound = ReadonlyMap<string, ReadonlySet<string>>;

const holds = (grants: Bound | Grants, key: string, role: string): boolean =>
  grants.get(key)?.has(role) === true;

const union = (all: Bound, more: Bound): Bound => {
  const keys = new Set([...all.keys(), ...more.keys()]);
  return new Map([...keys].map((key) => [key, new Set([...(all.get(key) ?? []), ...(more.get(key) ?? [])])]));
};

/** Keyed by fingerprint instead of principal. */
const fingerprinted = (grants: Grants): Bound =>
  new Map([...grants].map(([principal, roles]) => [fingerprint(principal), roles]));

/** The roles that we will have given once these grants are added. */
export const boundWith = (bound: Bound, added: Grants): Bound => union(bound, fingerprinted(added));

/** The part of it that is still wanted. */
export const boundFor = (bound: Bound, wanted: Grants): Bound => {
  const keep = fingerprinted(wanted);
  return new Map(
    [...bound].flatMap(([key, roles]) => {
      const kept = [...roles].filter((role) => holds(keep, key, role));
      return kept.length === 0 ? [] : [[key, new Set(kept)] as const];
    }),
  );
};

/** A policy that differs from the one that was read, and the grants that are new in it. */
export interface NextPolicy {
  readonly policy: IamPolicy;
  readonly added: Grants;
}

const hasCondition = ({ condition }: IamBinding): boolean => condition !== undefined && condition !== null;

/**
 * The policy with all wanted roles and without those that we gave and that are no longer wanted; undefined when nothing
 * differs. Everything else stays as it was read, in its order: conditions, other roles, and members of the same roles
 * that are not in `bound`, so someone else bound them. The form that Google gives a deleted account
 * (`deleted:…?uid=`) counts as the account that was bound: no one can use it.
 * `withheld`: principals that are wanted but not to be added now; they keep what they have.
 */
export const nextPolicy = (
  policy: IamPolicy,
  wanted: Grants,
  bound: Bound,
  withheld: ReadonlySet<string> = new Set(),
): NextPolicy | undefined => {
  const wantedLive = new Map([...wanted].map(([principal, roles]) => [lowerCaseAscii(principal), roles]));
  const pair = (role: string, member: string): string => `${role} ${lowerCaseAscii(member)}`;
  const there = new Set(
    policy.bindings.flatMap((binding) =>
      hasCondition(binding) ? [] : binding.members.map((member) => pair(binding.role, member)),
    ),
  );
  const added = new Map<string, Set<string>>();
  const missing = new Map<string, string[]>();
  for (const [principal, roles] of wanted) {
    if (withheld.has(principal)) continue;
    for (const role of roles) {
      if (there.has(pair(role, principal))) continue;
      missing.set(role, [...(missing.get(role) ?? []), principal]);
      added.set(principal, (added.get(principal) ?? new Set()).add(role));
    }
  }

  const ours = boundWith(bound, added);
  const isObsolete = (member: string, role: string): boolean =>
    !holds(wantedLive, lowerCaseAscii(member), role) && holds(ours, fingerprint(member), role);
  let isChanged = added.size > 0;
  const kept = policy.bindings.flatMap((binding): IamBinding[] => {
    if (hasCondition(binding)) return [binding];
    const members = binding.members.filter((member) => !isObsolete(member, binding.role));
    if (members.length === binding.members.length) return [binding];
    isChanged = true;
    return [{ ...binding, members }];
  });
  if (!isChanged) return undefined;

  const bindings = kept.map((binding) => {
    const joiners = hasCondition(binding) ? undefined : missing.get(binding.role);
    if (joiners === undefined) return binding;
    missing.delete(binding.role);
    return { ...binding, members: [...binding.members, ...joiners] };
  });
  for (const [role, members] of missing) bindings.push({ role, members });
  // Google stores no binding without members.
  return { policy: { ...policy, bindings: bindings.filter(({ members }) => members.length > 0) }, added };
};
