import type { Caller } from '../http/auth.ts';
import { pageAnswer, pageRequest } from '../http/pages.ts';
import type { App } from '../http/server.ts';
import { closed, ref } from '../lib/schema.ts';
import {
  isByReconcile,
  Operation,
  OperationPage,
  type OperationRecord,
  OperationResult,
  OperationTarget,
  operationFilter,
} from '../model/operation.ts';
import { PageQuery } from '../model/page.ts';
import { Problem } from '../model/problems.ts';
import type { TeamRecord } from '../model/record.ts';
import { OperationPath } from '../model/server.ts';
import { TeamPath } from '../model/team.ts';
import type { OperationPosition, Store } from '../ports/store.ts';
import type { BoundedReconcile } from '../reconcile/bounded.ts';
import { followedBy } from '../servers/follow-reconcile.ts';
import type { Operations } from '../servers/operations.ts';
import { authorize, teamOf } from './access.ts';
import { operationView } from './operation-view.ts';

export const operationSchemas = [Operation, OperationPage, OperationResult, OperationTarget];

/** What every route needs that starts or shows operations. */
export interface OperationRouteDeps {
  readonly store: Store;
  readonly operations: Pick<Operations, 'poll' | 'page' | 'follow' | 'newId'>;
  /** One bounded reconcile for a reader: at most once a second per team, and only while a change is under way. */
  readonly look: BoundedReconcile['whileUnderWay'];
}

/** An operation, and its team if that still exists. */
export interface ReadOperation {
  readonly operation: OperationRecord;
  readonly team: TeamRecord | undefined;
}

/**
 * Members read the operations of their team. The deletion of a team is read by those who were members when it was
 * requested, also when the slug belongs to another team now. Throws the same Problem `not_found` for everyone else.
 */
const assertMayRead = (operation: OperationRecord, team: TeamRecord | undefined, caller: Caller): void => {
  if (operation.kind !== 'delete_team') {
    authorize(team, caller);
    return;
  }
  if (!caller.isAdmin && !operation.readers?.includes(caller.email)) throw new Problem('not_found');
};

/** The operation, advanced by one step if one is due. `percent`: as `poll`. Throws Problem `not_found`. */
export const readOperation = async (
  { store, operations, look }: OperationRouteDeps,
  { slug, id, caller }: { readonly slug: string; readonly id: string; readonly caller: Caller },
  percent?: number,
): Promise<ReadOperation> => {
  const [stored, team] = await Promise.all([store.operation(slug, id), store.team(slug)]);
  if (stored === undefined) throw new Problem('not_found');
  assertMayRead(stored, team, caller);
  const isWorkedOn = stored.outcome === null && isByReconcile(stored);
  if (isWorkedOn && team !== undefined && followedBy(team).includes(id)) await look(team);
  const operation = await operations.poll(slug, id, percent);
  if (operation === undefined) throw new Problem('not_found');
  return { operation, team };
};

/** Where a page of operations may start. */
const positionForm = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z op-[0-9a-f]{16}$/;
const positionText = ({ createdAt, id }: OperationPosition): string => `${createdAt} ${id}`;
const positionOf = (text: string): OperationPosition => {
  const [createdAt = '', id = ''] = text.split(' ');
  return { createdAt, id };
};

export const registerOperations = (app: App, deps: OperationRouteDeps): void => {
  const { store, operations } = deps;

  app.route({
    method: 'GET',
    url: '/v1/teams/:team/operations',
    schema: {
      operationId: 'listOperations',
      summary: 'List the operations of a team, newest first',
      description:
        'Operations on its servers, its hub, its notebook and the team itself. One that is done is listed for a week.',
      tags: ['servers'],
      problems: ['invalid_cursor'],
      params: TeamPath,
      querystring: closed({ ...PageQuery.properties, ...operationFilter }),
      response: { 200: ref(OperationPage) },
    },
    handler: async ({ params, query, caller }) => {
      const team = await teamOf(store, params.team, caller);
      const { open } = query;
      const view = `${team.id} ${open ?? 'all'}`;
      const list = { name: 'operations', view, position: positionForm };
      const { limit, after } = pageRequest(query, list);
      const { items, hasMore } = await operations.page(team, {
        limit,
        ...(open === undefined ? {} : { open }),
        ...(after === undefined ? {} : { before: positionOf(after) }),
      });
      const last = items.at(-1);
      const next = hasMore && last !== undefined ? { next: positionText(last) } : {};
      const context = { slug: team.slug, team };
      return pageAnswer({ items, ...next }, list, (operation) => operationView(operation, context));
    },
  });

  app.route({
    method: 'GET',
    url: '/v1/teams/:team/operations/:operation',
    schema: {
      operationId: 'getOperation',
      summary: 'Get an operation',
      description:
        'Reading an open operation advances it. One that is done can be read for a week; the deletion of a team also when the team is gone, by those who were its members.',
      tags: ['servers'],
      params: OperationPath,
      response: { 200: ref(Operation) },
    },
    handler: async ({ params, caller }) => {
      const { team: slug, operation: id } = params;
      const { operation, team } = await readOperation(deps, { slug, id, caller });
      return operationView(operation, { slug, team });
    },
  });
};
