import { createHash } from 'node:crypto';
import { Refusal } from './errors.ts';
import type { Binding, Policy } from './state.ts';

/** The principals that a policy may name. */
export interface Principals {
  /** Google’s message that refuses this member; undefined when it is accepted. */
  refusalOf(member: string): Refusal | undefined;
}

const forms =
  /^(?:(?:user|serviceAccount|group|domain):\S+|deleted:(?:user|serviceAccount|group):\S+\?uid=[0-9]+|allUsers|allAuthenticatedUsers|principal(?:Set)?:\/\/\S+)$/;

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const invalid = (message: string) => new Refusal('INVALID_ARGUMENT', message);

/** Addresses of accounts have no case at Google. */
const normal = (member: string): string =>
  /^(?:user|group|serviceAccount):/.test(member) && !member.includes('[')
    ? member.slice(0, member.indexOf(':')) + member.slice(member.indexOf(':')).toLowerCase()
    : member;

const readBinding = (value: unknown): Binding => {
  if (
    !isRecord(value) ||
    typeof value.role !== 'string' ||
    !/^(roles|projects|organizations)\//.test(value.role)
  )
    throw invalid('Invalid role in a binding.');
  const members = Array.isArray(value.members) ? value.members : [];
  const texts = members.map((member: unknown) => {
    if (typeof member !== 'string' || !forms.test(member)) {
      throw invalid(`Invalid member ${String(member)}: its type prefix is missing or unknown.`);
    }
    return normal(member);
  });
  const { condition } = value;
  if (condition !== undefined && condition !== null) {
    if (!isRecord(condition) || typeof condition.expression !== 'string' || condition.expression === '') {
      throw invalid('A condition needs an expression.');
    }
    return { role: value.role, members: [...new Set(texts)], condition };
  }
  return { role: value.role, members: [...new Set(texts)] };
};

const keyOf = ({ role, condition }: Binding): string => JSON.stringify([role, condition ?? null]);

/** One binding per role and condition, none without members, as Google stores them. */
const merged = (bindings: readonly Binding[]): Binding[] => {
  const byKey = new Map<string, Binding>();
  for (const binding of bindings) {
    const before = byKey.get(keyOf(binding));
    const members = [...new Set([...(before?.members ?? []), ...binding.members])];
    byKey.set(keyOf(binding), { ...binding, members });
  }
  return [...byKey.values()].filter(({ members }) => members.length > 0);
};

const mostPrincipals = 1500;

/** What `setIamPolicy` makes of a request; throws the Refusal that Google would answer. */
export const replaced = (
  current: Policy,
  request: unknown,
  principals: Principals,
  newEtag: () => string,
): Policy => {
  const policy = isRecord(request) ? request.policy : undefined;
  if (!isRecord(policy)) throw invalid('Request contains an invalid argument.');
  const version = policy.version ?? 0;
  if (version !== 0 && version !== 1 && version !== 3) throw invalid('Invalid policy version.');
  // A policy of an older version has no conditions, and with an etag cannot remove those that it does not show.
  const hasEtag = typeof policy.etag === 'string' && policy.etag !== '';
  if (hasEtag && policy.etag !== current.etag) {
    throw new Refusal(
      'ABORTED',
      `There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff. The request's ETag '${String(policy.etag)}' did not match the current policy's ETag '${current.etag}'.`,
    );
  }
  const bindings = merged((Array.isArray(policy.bindings) ? policy.bindings : []).map(readBinding));
  const isConditional = [...bindings, ...(hasEtag ? current.bindings : [])].some(
    ({ condition }) => condition,
  );
  if (isConditional && version !== 3) {
    throw invalid('A policy with conditional bindings must specify version 3.');
  }
  const members = bindings.flatMap((binding) => binding.members);
  if (members.length > mostPrincipals) {
    throw invalid(
      `The number of members in the policy (${members.length}) is larger than the maximum allowed size 1500.`,
    );
  }
  for (const member of members) {
    const refused = principals.refusalOf(member);
    if (refused !== undefined) throw refused;
  }
  const auditConfigs = Array.isArray(policy.auditConfigs) ? policy.auditConfigs : [];
  return { bindings, etag: newEtag(), ...(auditConfigs.length > 0 && { auditConfigs }) };
};

/** A policy as `getIamPolicy` shows it: older versions contain names in place of conditions. */
export const shown = (policy: Policy, requestedVersion: number): object => {
  const isConditional = policy.bindings.some(({ condition }) => condition !== undefined);
  if (!isConditional) return { version: 1, ...policy };
  if (requestedVersion >= 3) return { version: 3, ...policy };
  const bindings = policy.bindings.map(({ role, members, condition }) => {
    if (condition === undefined) return { role, members };
    const hash = createHash('sha256').update(JSON.stringify(condition)).digest('hex').slice(0, 20);
    return { role: `${role}_withcond_${hash}`, members };
  });
  return { version: 1, ...policy, bindings };
};

const readVersions = ['secretmanager.versions.get', 'secretmanager.versions.list'];

/** Permissions of the predefined roles, as Google documents them, for what is simulated. */
const permissions: Readonly<Record<string, readonly string[]>> = {
  'roles/secretmanager.secretAccessor': ['secretmanager.versions.access'],
  'roles/secretmanager.secretVersionAdder': ['secretmanager.versions.add'],
  'roles/secretmanager.secretVersionManager': [
    ...['add', 'destroy', 'disable', 'enable'].map((verb) => `secretmanager.versions.${verb}`),
    ...readVersions,
  ],
  'roles/secretmanager.viewer': [
    'secretmanager.secrets.get',
    'secretmanager.secrets.getIamPolicy',
    'secretmanager.secrets.list',
    ...readVersions,
  ],
  'roles/iam.workloadIdentityUser': [
    'iam.serviceAccounts.getAccessToken',
    'iam.serviceAccounts.getOpenIdToken',
  ],
  'roles/iam.serviceAccountTokenCreator': ['iam.serviceAccounts.getAccessToken'],
};

/** Whether the policy grants the permission. Conditions are not evaluated: a conditional binding grants nothing. */
export const allows = (policy: Policy, principal: string, permission: string): boolean =>
  policy.bindings.some(
    ({ role, members, condition }) =>
      condition === undefined &&
      members.includes(principal) &&
      permissions[role]?.includes(permission) === true,
  );
