import Type, { type Static } from 'typebox';
import { answer, closed, enforcedByHandler, Instant, known, nullable, oneOf, ref } from '../lib/schema.ts';
import { Phase } from './condition.ts';
import { pageOf } from './page.ts';
import { TeamQuota, TeamQuotaOrder, TeamQuotaPatch } from './team-quota.ts';
import { TeamWarning } from './team-warnings.ts';

export const slugPattern = '^[a-z][a-z0-9]*(-[a-z0-9]+)*$';

/** Two to 25 characters; it becomes a DNS label of the hub’s address. */
export const Slug = Type.String({
  pattern: slugPattern,
  minLength: 2,
  maxLength: 25,
  description: 'Lower-case letters, digits and single hyphens; starts with a letter.',
  examples: ['team-a'],
});

/** The path parameters of every operation on a team. */
export const TeamPath = closed({ team: Slug });

const email = Type.String({
  format: 'email',
  maxLength: 254,
  description: 'Compared without regard to case and stored in lower case.',
  examples: ['kari.nordmann@nav.no'],
});

/** Hub user names as they are stored; they become pod and volume names by way of a slug. */
export const usernamePattern = '^[a-z0-9]([a-z0-9._@+-]*[a-z0-9])?$';

const orderedUsername = Type.String({
  pattern: '^[A-Za-z0-9]([A-Za-z0-9._@+-]*[A-Za-z0-9])?$',
  maxLength: 254,
  description:
    'The name of the hub user, stored in lower case. A new member’s default is the e-mail; a member keeps the one they have.',
  examples: ['kari'],
});

/** An owner may do everything, a member everything but what only owners may do. */
export const roles = ['owner', 'member'] as const;

const orderedRole = oneOf(roles, {
  description:
    'Owners manage members, opt out of the allowlist and delete; members do everything else. A new member’s default is member; a member keeps the role they have.',
  examples: ['member'],
});

export const MemberOrder = closed(
  { email, username: Type.Optional(orderedUsername), role: Type.Optional(orderedRole) },
  { $id: 'MemberOrder' },
);
export type MemberOrder = Static<typeof MemberOrder>;

/** The body of addMember. */
export const MemberSettings = closed(
  { username: Type.Optional(orderedUsername), role: Type.Optional(orderedRole) },
  { $id: 'MemberSettings', examples: [{ role: 'member' }] },
);
export type MemberSettings = Static<typeof MemberSettings>;

export const Member = answer(
  {
    // No format: a creator’s e-mail is whatever the issuer calls one.
    email: Type.String({ description: 'In lower case.', examples: ['kari.nordmann@nav.no'] }),
    username: Type.String({ description: 'The name of the hub user.', examples: ['kari'] }),
    role: known(roles, {
      description: 'Owners manage members, opt out of the allowlist and delete; members do everything else.',
      examples: ['owner'],
    }),
  },
  { $id: 'Member' },
);
export type Member = Static<typeof Member>;

export const MemberPage = pageOf(ref(Member), 'MemberPage');

/** The most members that a team may have. */
export const membersMax = 500;

/** The path of a person who is to be a member. */
export const MemberPath = closed({
  team: Slug,
  email: Type.String({
    format: 'email',
    pattern: '^[^\\s@/\\\\]+@[^\\s@/\\\\]+$',
    maxLength: 254,
    description:
      'The person’s e-mail, compared without regard to case. An e-mail with a slash cannot be in a path; use updateTeam.',
    examples: ['ola.nordmann@nav.no'],
  }),
});

/** The path of a person who may be a member: whatever an issuer calls an e-mail, since creators become members by it. */
export const LeaverPath = closed({
  team: Slug,
  email: Type.String({
    pattern: '^[^\\s@/\\\\]+@[^\\s@/\\\\]+$',
    maxLength: 254,
    description:
      'The member’s e-mail, compared without regard to case. An e-mail with a slash cannot be in a path; use updateTeam.',
    examples: ['ola.nordmann@nav.no'],
  }),
});

const members = Type.Array(ref(MemberOrder), { maxItems: membersMax });

/** The longest name of a GHCR repository below its owner, and the longest spelling of one in a request. */
export const ghcrRepositoryMax = 200;
export const ghcrSpellingMax = 512;

const repositoryPart = '[A-Za-z0-9]+(([._-]+|%2[Ff])[A-Za-z0-9]+)*';
const repositoryPattern = `^([A-Za-z]+://(git@)?|git@github\\.com:)?${repositoryPart}(/${repositoryPart})*([/:@?#].*)?$`;

const ghcrRepositories = Type.Array(
  enforcedByHandler(
    Type.String({
      maxLength: ghcrSpellingMax,
      examples: ['my-image-repo/notebook', 'https://github.com/navikt/my-image-repo'],
    }),
    { pattern: repositoryPattern },
  ),
  {
    maxItems: 100,
    description:
      'The GHCR repositories of the team’s images, below the configured owner, in any usual spelling: the name, owner/name, ghcr.io/owner/name with or without a tag, or the address of the repository or the package on github.com. The name is stored, and duplicates are merged.',
  },
);

const garTeam = nullable(
  Type.String({
    pattern: '^[a-z][a-z0-9-]{0,61}[a-z0-9]$',
    description:
      'The team’s repository in Google Artifact Registry. Only platform admins and team creators can set it.',
    examples: ['team-a'],
  }),
);

export const TeamOrder = closed(
  {
    slug: Slug,
    members: Type.Optional(members),
    ghcrRepositories: Type.Optional(ghcrRepositories),
    garTeam: Type.Optional(garTeam),
    quota: Type.Optional(ref(TeamQuotaOrder)),
  },
  {
    $id: 'TeamOrder',
    examples: [{ slug: 'team-a', members: [{ email: 'kari.nordmann@nav.no', username: 'kari' }] }],
  },
);
export type TeamOrder = Static<typeof TeamOrder>;

/** A merge patch (RFC 7396): an array replaces the whole array, null resets to the default. */
export const TeamPatch = closed(
  {
    members: Type.Optional(nullable(members)),
    ghcrRepositories: Type.Optional(nullable(ghcrRepositories)),
    garTeam: Type.Optional(garTeam),
    quota: Type.Optional(ref(TeamQuotaPatch)),
  },
  {
    $id: 'TeamPatch',
    examples: [{ members: [{ email: 'kari.nordmann@nav.no' }, { email: 'ola.nordmann@nav.no' }] }],
  },
);
export type TeamPatch = Static<typeof TeamPatch>;

export const Team = answer(
  {
    slug: Slug,
    id: Type.String({
      description: 'The slug and four hexadecimal digits; never reused.',
      examples: ['team-a-3f9c'],
    }),
    namespace: Type.String({
      description: 'The team’s Kubernetes namespace.',
      examples: ['team-team-a-3f9c'],
    }),
    hubUrl: Type.String({ format: 'uri', examples: ['https://team-a.jupyter.knada.io'] }),
    serviceAccount: Type.String({
      description: 'The Google service account that the team’s notebooks run as.',
      examples: ['team-a-3f9c@knada-gcp.iam.gserviceaccount.com'],
    }),
    members: Type.Array(ref(Member)),
    ghcrRepositories: Type.Array(Type.String({ examples: ['my-image-repo/notebook'] }), {
      description: 'The names of the team’s GHCR repositories below the configured owner, sorted.',
    }),
    garTeam: nullable(Type.String({ examples: ['team-a'] })),
    quota: ref(TeamQuota),
    phase: ref(Phase),
    revision: Type.Integer({ minimum: 1, description: 'Incremented with every change that was requested.' }),
    createdAt: Instant,
    updatedAt: Instant,
    warnings: Type.Array(ref(TeamWarning), {
      description:
        'What createTeam, or an updateTeam that sets ghcrRepositories, found out about the repositories; it never refuses them for it. Empty in every other answer: nothing is stored.',
    }),
  },
  { $id: 'Team' },
);
export type Team = Static<typeof Team>;

export const TeamPage = pageOf(ref(Team), 'TeamPage');
