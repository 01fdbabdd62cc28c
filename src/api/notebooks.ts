import type { FastifyReply } from 'fastify';
import Type from 'typebox';
import {
  checkPreconditions,
  entityTags,
  etagOf,
  NotModified,
  preconditionsOf,
  ReadHeaders,
  unchanged,
  WriteHeaders,
} from '../http/preconditions.ts';
import type { App } from '../http/server.ts';
import { assertFits } from '../http/validation.ts';
import { imageProblems } from '../images/resolve.ts';
import { closed, ref } from '../lib/schema.ts';
import { Condition, Phase } from '../model/condition.ts';
import { EgressPreset, FieldLimits, FieldRule, NotebookLimits } from '../model/limits.ts';
import {
  Notebook,
  NotebookImage,
  NotebookOrder,
  NotebookPatch,
  NotebookSpec,
  NotebookStatus,
  notebookParts,
  RetryOrder,
} from '../model/notebook.ts';
import { complete } from '../model/notebook-fields.ts';
import type { OperationRecord } from '../model/operation.ts';
import { Problem } from '../model/problems.ts';
import type { TeamRecord } from '../model/record.ts';
import { TeamPath } from '../model/team.ts';
import { TeamLimits } from '../model/team-limits.ts';
import { limitsView } from '../notebooks/limits.ts';
import { assertNotebookStays, deleteNotebook, refreshImage, retryNotebook } from '../notebooks/rules.ts';
import { applyPatch, boundsFaults } from '../notebooks/spec.ts';
import { assertOwner } from '../teams/roles.ts';
import { assertStays, authorOf } from '../teams/rules.ts';
import { actorOf, authorize, teamOf } from './access.ts';
import {
  type NotebookRouteDeps,
  orderProblems,
  reconcileNow,
  submitOrder,
  versionOf,
  viewOf,
} from './notebook-orders.ts';
import { acceptedOperation, followOrder, sendOperation } from './operation-answer.ts';

export const notebookSchemas = [
  Condition,
  EgressPreset,
  FieldLimits,
  FieldRule,
  Notebook,
  NotebookImage,
  NotebookLimits,
  NotebookOrder,
  NotebookPatch,
  NotebookSpec,
  ...notebookParts,
  NotebookStatus,
  Phase,
  RetryOrder,
  TeamLimits,
];

const tags = ['notebooks'];
const ofNotebook = { type: 'notebook', team: 'team-a', user: null } as const;

export const registerNotebooks = (app: App, deps: NotebookRouteDeps): void => {
  const { store, clock, limits, operations } = deps;
  const accepted = (reply: FastifyReply, team: TeamRecord, operation: OperationRecord) =>
    sendOperation(reply, operation, { slug: team.slug, team });
  const view = (team: TeamRecord): Notebook => viewOf(team);
  const answer = (reply: FastifyReply, team: TeamRecord) =>
    reply.header('etag', etagOf(versionOf(team))).send(view(team));

  app.route({
    method: 'GET',
    url: '/v1/teams/:team/notebook',
    schema: {
      operationId: 'getNotebook',
      summary: 'Get the notebook: its configuration and its status',
      description:
        'While a change is being applied, reading looks at the cluster as well, at most once a second per team. watchNotebook streams the same.',
      tags,
      problems: ['notebook_not_ordered'],
      params: TeamPath,
      headers: ReadHeaders,
      response: { 200: ref(Notebook), 304: NotModified },
    },
    handler: async (request, reply) => {
      const read = await teamOf(store, request.params.team, request.caller);
      view(read);
      const team = await deps.look(read);
      if (team === undefined) throw new Problem('not_found');
      const notebook = view(team);
      if (unchanged(request, reply, versionOf(team))) return reply.code(304).send();
      return notebook;
    },
  });

  app.route({
    method: 'PUT',
    url: '/v1/teams/:team/notebook',
    attachValidation: true,
    schema: {
      operationId: 'putNotebook',
      summary: 'Order a notebook, or replace the order',
      description:
        'Fields that are left out take their defaults; {} is a valid order. An order that changes nothing writes nothing. Only owners can opt out of the allowlist, which an order without it does.',
      tags,
      problems: [...orderProblems, ...imageProblems, 'revision_mismatch'],
      params: TeamPath,
      headers: Type.Object({
        ...WriteHeaders.properties,
        'if-none-match': entityTags('* creates the notebook only if there is none yet.', '*'),
      }),
      body: ref(NotebookOrder),
      response: { 200: ref(Notebook), 201: ref(Notebook) },
    },
    handler: async (request, reply) => {
      const { params, body, caller, headers } = request;
      assertFits(request, boundsFaults(body, limits));
      const { team, created } = await submitOrder(
        {
          slug: params.team,
          caller,
          headers,
          specFor: () => complete(body, limits),
          action: 'notebook_changed',
        },
        deps,
      );
      if (created) reply.code(201).header('location', `/v1/teams/${team.slug}/notebook`);
      return answer(reply, await reconcileNow(team, deps));
    },
  });

  app.route({
    method: 'PATCH',
    url: '/v1/teams/:team/notebook',
    attachValidation: true,
    schema: {
      operationId: 'patchNotebook',
      summary: 'Change a notebook',
      description:
        'A merge patch (RFC 7396): fields that are left out stay as they are, null resets a field to its default. Only owners can opt out of the allowlist.',
      tags,
      problems: ['notebook_not_ordered', ...orderProblems, ...imageProblems, 'revision_mismatch'],
      params: TeamPath,
      headers: WriteHeaders,
      body: ref(NotebookPatch),
      response: { 200: ref(Notebook) },
    },
    handler: async (request, reply) => {
      const { params, body, caller, headers } = request;
      assertFits(request, boundsFaults(body, limits));
      const specFor = ({ notebook }: TeamRecord): NotebookSpec => {
        if (notebook === null) throw new Problem('notebook_not_ordered');
        return applyPatch(notebook.spec, body, limits);
      };
      const { team } = await submitOrder(
        { slug: params.team, caller, headers, specFor, action: 'notebook_changed' },
        deps,
      );
      return answer(reply, await reconcileNow(team, deps));
    },
  });

  app.route({
    method: 'DELETE',
    url: '/v1/teams/:team/notebook',
    schema: {
      operationId: 'deleteNotebook',
      summary: 'Delete the notebook',
      description:
        'Only owners can delete it. Home volumes are kept unless deleteHomes is true. The team and its namespace stay. While the notebook is being deleted, another request returns the same operation. An open retry ends.',
      tags,
      problems: ['notebook_not_ordered', 'forbidden', 'revision_mismatch', 'deleting', 'busy'],
      params: TeamPath,
      headers: WriteHeaders,
      querystring: closed({
        deleteHomes: Type.Optional(Type.Boolean({ description: 'Delete the home volumes permanently.' })),
      }),
      response: acceptedOperation({
        kind: 'delete_notebook',
        target: ofNotebook,
        progress: 40,
        message: 'Waiting for the hub to go (1 left).',
      }),
    },
    handler: async ({ params, query, caller, headers, log }, reply) => {
      const preconditions = preconditionsOf(headers);
      const { deleteHomes = false } = query;
      const before = await teamOf(store, params.team, caller);
      view(before);
      assertOwner(before, caller, 'delete its notebook');
      const operation = operations.newId();
      const changed = await store.change(params.team, (current) => {
        const team = authorize(current, caller);
        assertOwner(team, caller, 'delete its notebook');
        assertStays(team);
        checkPreconditions(preconditions, team.notebook === null ? undefined : versionOf(team));
        return deleteNotebook(team, { deleteHomes, operation }, actorOf(caller, clock));
      });
      const team = authorize(changed, caller);
      const id = team.notebook?.deletion?.operation;
      if (id === undefined) throw new Problem('notebook_not_ordered');
      log.info({ team: team.slug, deleteHomes, operation: id }, 'notebook deletion requested');
      const order = { id, kind: 'delete_notebook', ...authorOf(actorOf(caller, clock)) } as const;
      return accepted(reply, team, await followOrder(team, order, deps));
    },
  });

  app.route({
    method: 'POST',
    url: '/v1/teams/:team/notebook/retry',
    config: { optionalBody: true },
    schema: {
      operationId: 'retryNotebook',
      summary: 'Retry a failed roll-out',
      description:
        'Flux stops after its retries. This gives the current release a new try, with force also when nothing has changed. The operation ends when Flux has installed the hub, or has given up. While it is open, another request returns the same operation; with force, it starts again.',
      tags,
      problems: ['notebook_not_ordered', 'deleting', 'busy'],
      params: TeamPath,
      body: ref(RetryOrder),
      response: acceptedOperation({
        kind: 'retry_notebook',
        target: ofNotebook,
        progress: 50,
        message: 'Flux is working on the hub.',
      }),
    },
    handler: async ({ params, body, caller }, reply) => {
      const { force = false } = body;
      const before = await teamOf(store, params.team, caller);
      view(before);
      const seen = before.notebook?.retry?.operation;
      const present = seen === undefined ? undefined : await store.operation(before.slug, seen);
      const open = present?.outcome === null ? present : undefined;
      const newId = open?.id ?? operations.newId();
      const changed = await store.change(params.team, (current) => {
        const team = authorize(current, caller);
        assertNotebookStays(team);
        const isOpen = open !== undefined && team.notebook?.retry?.operation === open.id;
        // Another request has retried it since: this one joins that operation.
        const isOvertaken = team.notebook?.retry?.operation !== seen;
        if (isOvertaken || (isOpen && (open.force || !force))) return undefined;
        return retryNotebook(team, force, actorOf(caller, clock), newId);
      });
      const team = authorize(changed, caller);
      const id = team.notebook?.retry?.operation;
      if (id === undefined) throw new Problem('notebook_not_ordered');
      const order = { id, kind: 'retry_notebook', ...authorOf(actorOf(caller, clock)), force } as const;
      return accepted(reply, team, await followOrder(team, order, deps));
    },
  });

  app.route({
    method: 'POST',
    url: '/v1/teams/:team/notebook/refresh-image',
    config: { etag: true },
    schema: {
      operationId: 'refreshImage',
      summary: 'Use the digest that the image’s tag points to now',
      description: 'Running servers keep their image until their next start.',
      tags,
      problems: ['notebook_not_ordered', ...imageProblems, 'deleting', 'busy'],
      params: TeamPath,
      response: { 200: ref(Notebook) },
    },
    handler: async ({ params, caller }, reply) => {
      const team = await teamOf(store, params.team, caller);
      const { image } = view(team).spec;
      if (image === null) throw new Problem('not_found', { detail: 'The notebook has no image of its own.' });
      const pinned = await deps.pinImage(image, team);
      const changed = await store.change(params.team, (current) =>
        refreshImage(authorize(current, caller), pinned, actorOf(caller, clock)),
      );
      return answer(reply, await reconcileNow(authorize(changed, caller), deps));
    },
  });

  app.route({
    method: 'GET',
    url: '/v1/limits',
    schema: {
      operationId: 'getLimits',
      summary:
        'Get the default and the bounds of every field, the rules between fields, the limits on teams, and the presets of allowlists',
      description:
        'What a form needs: the label, the type, the default, the bounds, the unit and the pattern of each field, as the operator has set them, and the rules between fields. Labels and messages are in English and Norwegian.',
      tags,
      response: { 200: ref(NotebookLimits) },
    },
    handler: async () => ({
      ...limitsView(limits),
      teams: deps.teamLimits,
      egressPresets: [...deps.allowlist.presets].map(([name, hosts]) => ({ name, hosts: [...hosts] })),
    }),
  });
};
