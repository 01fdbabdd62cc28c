import Type, { type Static } from 'typebox';
import { answer, known, nullable, ref } from '../lib/schema.ts';
import { roles, Slug } from './team.ts';

/** A team of the caller, and what the caller is in it. */
export const Membership = answer(
  { slug: Slug, role: known(roles, { examples: ['owner'] }) },
  { $id: 'Membership' },
);
export type Membership = Static<typeof Membership>;

export const Me = answer(
  {
    email: Type.String({
      description: 'As in the token, in lower case; the e-mail of your memberships.',
      examples: ['kari.nordmann@nav.no'],
    }),
    name: nullable(
      Type.String({ description: 'From the token; null without.', examples: ['Kari Nordmann'] }),
    ),
    isAdmin: Type.Boolean({ description: 'May do everything with every team.' }),
    isAuditor: Type.Boolean({ description: 'May read the audit trail of the platform.' }),
    mayCreateTeams: Type.Boolean({
      description:
        'Whether createTeam would accept another team of yours now. Its limits are in getLimits; a slug may still be taken or reserved.',
    }),
    teams: Type.Array(ref(Membership), {
      description: 'Every team that you are a member of, by slug. An admin has access to more.',
    }),
  },
  { $id: 'Me' },
);
export type Me = Static<typeof Me>;
