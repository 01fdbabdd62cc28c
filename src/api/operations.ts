import type { App } from '../http/server.ts';
import { ref } from '../lib/schema.ts';
import { Operation, type OperationRecord } from '../model/operation.ts';
import { Problem } from '../model/problems.ts';
import type { TeamRecord } from '../model/record.ts';
import { OperationPath } from '../model/server.ts';
import { operationView } from '../servers/operation-view.ts';
import type { Servers } from '../servers/servers.ts';
import { teamOf } from './access.ts';
import type { ServerRouteDeps } from './servers.ts';

/** The operation, advanced by one step if one is due. `percent`: as `poll`. Throws Problem `not_found`. */
export const advancedOperation = async (
  servers: Servers,
  team: TeamRecord,
  id: string,
  percent?: number,
): Promise<OperationRecord> => {
  const operation = await servers.poll(team, id, percent);
  if (operation === undefined) throw new Problem('not_found');
  return operation;
};

export const registerOperations = (app: App, { store, servers }: ServerRouteDeps): void => {
  app.route({
    method: 'GET',
    url: '/v1/teams/:team/operations/:operation',
    schema: {
      operationId: 'getOperation',
      summary: 'Get an operation',
      description: 'Reading an open operation advances it. A finished one can be read for a week.',
      tags: ['servers'],
      params: OperationPath,
      response: { 200: ref(Operation) },
    },
    handler: async ({ params, caller }) => {
      const team = await teamOf(store, params.team, caller);
      return operationView(await advancedOperation(servers, team, params.operation));
    },
  });
};
