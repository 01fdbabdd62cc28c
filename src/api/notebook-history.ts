import Type from 'typebox';
import { pageAnswer, pageRequest } from '../http/pages.ts';
import { etagOf, WriteHeaders } from '../http/preconditions.ts';
import type { App } from '../http/server.ts';
import { imageProblems } from '../images/resolve.ts';
import { closed, ref } from '../lib/schema.ts';
import { HistoryItem, HistoryPage, type HistoryRecord } from '../model/history.ts';
import { Notebook } from '../model/notebook.ts';
import { PageQuery } from '../model/page.ts';
import { Problem } from '../model/problems.ts';
import type { TeamRecord } from '../model/record.ts';
import { Slug, TeamPath } from '../model/team.ts';
import { restoreSpec } from '../notebooks/spec.ts';
import { teamOf } from './access.ts';
import {
  type NotebookRouteDeps,
  orderProblems,
  reconcileNow,
  submitOrder,
  versionOf,
  viewOf,
} from './notebook-orders.ts';

export const historySchemas = [HistoryItem, HistoryPage];

const tags = ['notebooks'];

/** The entry without what only operators need. */
const shown = ({ bySubject: _, ...item }: HistoryRecord): HistoryItem => item;

/** The number of a history entry; short enough to be exact. */
const entryNumber = /^[1-9][0-9]{0,14}$/;

/** The history of a team, and the way back to a configuration in it. */
export const registerNotebookHistory = (app: App, deps: NotebookRouteDeps): void => {
  const { store } = deps;

  app.route({
    method: 'GET',
    url: '/v1/teams/:team/history',
    schema: {
      operationId: 'listHistory',
      summary: 'List the changes to a team and its notebook, newest first',
      description:
        'Each entry says who made the change, when, and the values before and after. An entry with a revision can be restored by restoreRevision.',
      tags,
      problems: ['invalid_cursor'],
      params: TeamPath,
      querystring: PageQuery,
      response: { 200: ref(HistoryPage) },
    },
    handler: async ({ params, query, caller }) => {
      const team = await teamOf(store, params.team, caller);
      const list = { name: 'history', view: team.id, position: entryNumber };
      const { limit, after } = pageRequest(query, list);
      const before = after === undefined ? {} : { before: Number(after) };
      return pageAnswer(await store.history(team.slug, { limit, ...before }), list, shown);
    },
  });

  app.route({
    method: 'POST',
    url: '/v1/teams/:team/history/:revision/restore',
    schema: {
      operationId: 'restoreRevision',
      summary: 'Restore an earlier configuration',
      description:
        'Orders the notebook configuration of that revision again, under today’s rules, which let only owners opt out of the allowlist. Members are not restored. Home volumes that have grown since keep their size.',
      tags,
      problems: [...orderProblems, ...imageProblems, 'revision_mismatch'],
      params: closed({
        team: Slug,
        revision: Type.Integer({
          minimum: 1,
          maximum: 2_147_483_647,
          description: 'A notebook revision of the history.',
        }),
      }),
      headers: WriteHeaders,
      response: { 200: ref(Notebook) },
    },
    handler: async ({ params, caller, headers }, reply) => {
      await teamOf(store, params.team, caller);
      const item = await store.notebookRevision(params.team, params.revision);
      const { spec } = item ?? {};
      if (spec === undefined) {
        throw new Problem('not_found', {
          detail: `The history has no notebook revision ${params.revision}.`,
        });
      }
      const specFor = ({ notebook }: TeamRecord) => restoreSpec(spec, notebook?.spec, deps.limits);
      const { team } = await submitOrder(
        { slug: params.team, caller, headers, specFor, action: 'notebook_restored' },
        deps,
      );
      const reconciled = await reconcileNow(team, deps);
      return reply.header('etag', etagOf(versionOf(reconciled))).send(viewOf(reconciled));
    },
  });
};
