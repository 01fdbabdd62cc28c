import Type, { type Static } from 'typebox';
import { answer, closed, nullable } from '../lib/schema.ts';

const text = {
  cpu: 'Cores that the servers of the team may reserve together, by their guarantees.',
  memory: 'Memory that the servers of the team may reserve together, by their guarantees: <n>Mi or <n>Gi.',
  members: 'The most members.',
  home: 'The size of all home volumes together: <n>Mi or <n>Gi.',
} as const;

const quantityPattern = '^[1-9][0-9]{0,5}(Mi|Gi)$';

const amount = (description: string, example: string) =>
  nullable(
    Type.String({
      pattern: quantityPattern,
      description: `${description} null: unlimited.`,
      examples: [example],
    }),
  );

const fields = {
  cpu: nullable(
    Type.Number({
      minimum: 0.001,
      maximum: 100_000,
      description: `${text.cpu} null: unlimited.`,
      examples: [16],
    }),
  ),
  memory: amount(text.memory, '64Gi'),
  members: nullable(
    Type.Integer({
      minimum: 1,
      maximum: 500,
      description: `${text.members} null: only the platform’s limit.`,
      examples: [20],
    }),
  ),
  home: amount(text.home, '500Gi'),
};

const optional = {
  cpu: Type.Optional(fields.cpu),
  memory: Type.Optional(fields.memory),
  members: Type.Optional(fields.members),
  home: Type.Optional(fields.home),
};

/** What a team may use; null for what is not limited. */
export const TeamQuota = answer(fields, { $id: 'TeamQuota' });
export type TeamQuota = Static<typeof TeamQuota>;

const description = 'Only platform admins can set it.';
const examples = [{ cpu: 16, memory: '64Gi', members: 20, home: '500Gi' }];

/** The quota of a new team: what is left out is not limited. */
export const TeamQuotaOrder = closed(optional, { $id: 'TeamQuotaOrder', description, examples });
export type TeamQuotaOrder = Static<typeof TeamQuotaOrder>;

/** Part of a merge patch (RFC 7396): what is left out stays, null removes one limit, or all of them. */
export const TeamQuotaPatch = nullable(closed(optional, { $id: 'TeamQuotaPatch', description, examples }));
export type TeamQuotaPatch = Static<typeof TeamQuotaPatch>;

export const unlimited: TeamQuota = { cpu: null, memory: null, members: null, home: null };
