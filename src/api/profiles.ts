import type { App } from '../http/server.ts';
import { ref } from '../lib/schema.ts';
import { Problem } from '../model/problems.ts';
import { NotebookProfile, NotebookProfilePage } from '../model/profile.ts';
import { TeamPath } from '../model/team.ts';
import type { Store } from '../ports/store.ts';
import type { Servers } from '../servers/servers.ts';
import { teamOf } from './access.ts';

export const profileSchemas = [NotebookProfile, NotebookProfilePage];

/** What the routes of profiles need. */
export interface ProfileRouteDeps {
  readonly store: Store;
  readonly servers: Servers;
}

export const registerProfiles = (app: App, { store, servers }: ProfileRouteDeps): void => {
  app.route({
    method: 'GET',
    url: '/v1/teams/:team/notebook/profiles',
    schema: {
      operationId: 'listProfiles',
      summary: 'List the profiles that a member’s server can start with',
      description:
        'What the hub’s start page offers: the team’s own image first, then the standard environments, and after them those that are not offered any more but still in use. All are on one page.',
      tags: ['notebooks'],
      problems: ['notebook_not_ordered'],
      params: TeamPath,
      response: { 200: ref(NotebookProfilePage) },
    },
    handler: async ({ params, caller }) => {
      const team = await teamOf(store, params.team, caller);
      if (team.notebook === null) throw new Problem('notebook_not_ordered');
      const user = team.members.find(({ email }) => email === caller.email)?.username;
      return { items: [...(await servers.profiles(team, user))], nextCursor: null };
    },
  });
};
