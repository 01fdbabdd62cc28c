import type { App } from '../http/server.ts';
import { ref } from '../lib/schema.ts';
import { Me, Membership } from '../model/me.ts';
import { ownedBy } from '../ports/store.ts';
import { mayCreateTeam } from '../teams/limits.ts';
import type { TeamRouteDeps } from './teams.ts';

export const meSchemas = [Me, Membership];

export const registerMe = (app: App, { store, teamLimits }: TeamRouteDeps): void => {
  app.route({
    method: 'GET',
    url: '/v1/me',
    schema: {
      operationId: 'getMe',
      summary: 'Get who you are, your teams and what you may do',
      description: 'What a frontend needs to show after a login. All teams are listed, not one page of them.',
      tags: ['me'],
      response: { 200: ref(Me) },
    },
    handler: async ({ caller }) => {
      const { email, name, isAdmin, isAuditor } = caller;
      const [teams, count] = await Promise.all([store.memberships(email), store.countTeams()]);
      const counts = { owned: ownedBy(teams), teams: count };
      const mayCreateTeams = mayCreateTeam(counts, teamLimits, caller);
      return { email, name, isAdmin, isAuditor, mayCreateTeams, teams: [...teams] };
    },
  });
};
