import type { FastifyReply } from 'fastify';
import Type from 'typebox';
import {
  checkPreconditions,
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
import { NotebookLimits } from '../model/limits.ts';
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
import { Problem } from '../model/problems.ts';
import type { TeamRecord } from '../model/record.ts';
import { TeamPath } from '../model/team.ts';
import { limitsView } from '../notebooks/limits.ts';
import { deleteNotebook, refreshImage, retryNotebook } from '../notebooks/rules.ts';
import { applyPatch, boundsFaults } from '../notebooks/spec.ts';
import { actorOf, authorize, teamOf } from './access.ts';
import {
  type NotebookRouteDeps,
  orderProblems,
  reconcileNow,
  submitOrder,
  versionOf,
  viewOf,
} from './notebook-orders.ts';

export const notebookSchemas = [
  Condition,
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
];

const tags = ['notebooks'];

export const registerNotebooks = (app: App, deps: NotebookRouteDeps): void => {
  const { store, clock, limits } = deps;
  const view = (team: TeamRecord): Notebook => viewOf(team);
  const answer = (reply: FastifyReply, team: TeamRecord) =>
    reply.header('etag', etagOf(versionOf(team))).send(view(team));

  app.route({
    method: 'GET',
    url: '/v1/teams/:team/notebook',
    schema: {
      operationId: 'getNotebook',
      summary: 'Get the notebook: its configuration and its status',
      tags,
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
        'Fields that are left out take their defaults; {} is a valid order. An order that changes nothing writes nothing.',
      tags,
      problems: [...orderProblems, ...imageProblems, 'revision_mismatch'],
      params: TeamPath,
      headers: Type.Object({
        ...WriteHeaders.properties,
        'if-none-match': Type.Optional(
          Type.String({ description: '* creates the notebook only if there is none yet.' }),
        ),
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
        'A merge patch (RFC 7396): fields that are left out stay as they are, null resets a field to its default.',
      tags,
      problems: [...orderProblems, ...imageProblems, 'revision_mismatch'],
      params: TeamPath,
      headers: WriteHeaders,
      body: ref(NotebookPatch),
      response: { 200: ref(Notebook) },
    },
    handler: async (request, reply) => {
      const { params, body, caller, headers } = request;
      assertFits(request, boundsFaults(body, limits));
      const specFor = ({ notebook }: TeamRecord): NotebookSpec => {
        if (notebook === null)
          throw new Problem('not_found', { detail: 'No notebook is ordered; PUT orders one.' });
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
      description: 'Home volumes are kept unless deleteHomes is true. The team and its namespace stay.',
      tags,
      problems: ['revision_mismatch', 'busy'],
      params: TeamPath,
      headers: WriteHeaders,
      querystring: closed({
        deleteHomes: Type.Optional(Type.Boolean({ description: 'Delete the home volumes permanently.' })),
      }),
      response: { 202: ref(Notebook) },
    },
    handler: async ({ params, query, caller, headers, log }, reply) => {
      const preconditions = preconditionsOf(headers);
      const { deleteHomes = false } = query;
      view(await teamOf(store, params.team, caller));
      const changed = await store.change(params.team, (current) => {
        const team = authorize(current, caller);
        checkPreconditions(preconditions, team.notebook === null ? undefined : versionOf(team));
        return deleteNotebook(team, { deleteHomes }, actorOf(caller, clock));
      });
      const team = authorize(changed, caller);
      const deleting = view(team);
      log.info({ team: team.slug, deleteHomes }, 'notebook deletion requested');
      const reconciled = await reconcileNow(team, deps);
      return reply.code(202).send(reconciled.notebook === null ? deleting : view(reconciled));
    },
  });

  app.route({
    method: 'POST',
    url: '/v1/teams/:team/notebook/retry',
    config: { optionalBody: true },
    schema: {
      operationId: 'retryNotebook',
      summary: 'Retry a failed roll-out',
      tags,
      problems: ['deleting', 'busy'],
      params: TeamPath,
      body: ref(RetryOrder),
      response: { 202: ref(Notebook) },
    },
    handler: async ({ params, body, caller }, reply) => {
      view(await teamOf(store, params.team, caller));
      const changed = await store.change(params.team, (current) =>
        retryNotebook(authorize(current, caller), body.force ?? false, actorOf(caller, clock)),
      );
      const team = await reconcileNow(authorize(changed, caller), deps);
      return reply.code(202).send(view(team));
    },
  });

  app.route({
    method: 'POST',
    url: '/v1/teams/:team/notebook/refresh-image',
    schema: {
      operationId: 'refreshImage',
      summary: 'Use the digest that the image’s tag points to now',
      description: 'Running servers keep their image until their next start.',
      tags,
      problems: [...imageProblems, 'deleting', 'busy'],
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
      summary: 'Get the default and the bounds of every field',
      tags,
      response: { 200: ref(NotebookLimits) },
    },
    handler: async () => limitsView(limits),
  });
};
