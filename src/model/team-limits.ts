import Type, { type Static } from 'typebox';
import { answer } from '../lib/schema.ts';

/** Which teams may be created, and who may be a member; set by the operator. */
export const TeamLimits = answer(
  {
    maxPerPerson: Type.Integer({
      minimum: 0,
      description:
        'The most teams that one person may own when creating another. Platform admins are exempt.',
      examples: [20],
    }),
    max: Type.Integer({ minimum: 0, description: 'The most teams of the platform.', examples: [5000] }),
    membersMax: Type.Integer({ minimum: 1, description: 'The most members of a team.', examples: [500] }),
    reservedSlugs: Type.Array(Type.String(), {
      description: 'Slugs that no team may have.',
      examples: [['hub', 'www']],
    }),
    memberEmailDomains: Type.Array(Type.String(), {
      description: 'The domains of e-mails that can become members; empty for any.',
      examples: [['nav.no']],
    }),
  },
  { $id: 'TeamLimits' },
);
export type TeamLimits = Static<typeof TeamLimits>;
