import { setTimeout as wait } from 'node:timers/promises';
import Type from 'typebox';
import { stringify } from 'yaml';
import { type EntryOptions, parseAllowlist } from '../egress/entry.ts';
import { negotiate } from '../http/accept.ts';
import type { Caller } from '../http/auth.ts';
import { type ServerEvent, streamEvents } from '../http/events.ts';
import { PageQuery, pageAnswer, pageOf, pageRequest } from '../http/pages.ts';
import {
  checkPreconditions,
  etagOf,
  NotModified,
  preconditionsOf,
  ReadHeaders,
  unchanged,
  type Version,
  WriteHeaders,
} from '../http/preconditions.ts';
import type { App } from '../http/server.ts';
import { assertFits } from '../http/validation.ts';
import { imageProblems } from '../images/resolve.ts';
import { closed, ref } from '../lib/schema.ts';
import { Change } from '../model/change.ts';
import { Condition, Phase } from '../model/condition.ts';
import { HistoryItem } from '../model/history.ts';
import { type Limits, NotebookLimits } from '../model/limits.ts';
import { Manifest, Manifests } from '../model/manifest.ts';
import { hubUrl } from '../model/names.ts';
import {
  Notebook,
  NotebookImage,
  NotebookOrder,
  NotebookPatch,
  NotebookSpec,
  NotebookStatus,
  RetryOrder,
} from '../model/notebook.ts';
import { Plan } from '../model/plan.ts';
import { Problem } from '../model/problems.ts';
import type { Release, TeamRecord } from '../model/record.ts';
import { Slug, TeamPath } from '../model/team.ts';
import { limitsView } from '../notebooks/limits.ts';
import { planned } from '../notebooks/plan.ts';
import {
  assertNotebookStays,
  deleteNotebook,
  notebookView,
  order,
  retry,
  takeDigest,
} from '../notebooks/rules.ts';
import { assertWithinBounds, boundsFaults, complete, patched, restored } from '../notebooks/spec.ts';
import type { Manifest as KubernetesObject } from '../ports/cluster.ts';
import type { Clock } from '../ports/runtime.ts';
import type { Decision, Store } from '../ports/store.ts';
import type { BoundedReconcile } from '../reconcile/bounded.ts';
import { actorOf, authorize, teamOf } from './access.ts';

const HistoryPage = pageOf(ref(HistoryItem), 'HistoryPage');

export const notebookSchemas = [
  Change,
  Condition,
  HistoryItem,
  HistoryPage,
  Manifest,
  Manifests,
  Notebook,
  NotebookImage,
  NotebookLimits,
  NotebookOrder,
  NotebookPatch,
  NotebookSpec,
  NotebookStatus,
  Phase,
  Plan,
  RetryOrder,
];

const tags = ['notebooks'];
const orderProblems = ['deleting', 'cannot_shrink', 'invalid_allowlist', 'busy'] as const;

/** A watcher is told of a change after this long at most; faster would not be faster than a team is looked at. */
const watchEveryMs = 1_000;

const versionOf = (team: TeamRecord): Version => ({
  revision: team.notebookRevision,
  statusVersion: team.statusVersion,
});

/** Secrets show which keys they have, and nothing of what is in them. */
const redacted = (object: KubernetesObject): KubernetesObject =>
  object.kind === 'Secret' && object.data !== undefined
    ? { ...object, data: Object.fromEntries(Object.keys(object.data).map((key) => [key, '<redacted>'])) }
    : object;

export interface NotebookRouteDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly limits: Limits;
  readonly hubUrlTemplate: string;
  readonly allowlist: EntryOptions;
  /** The release of a team’s first order, from the platform of now. */
  readonly newRelease: (team: Pick<TeamRecord, 'slug' | 'id'>) => Release;
  /** What the image’s tag points to now, pinned. Throws the Problem of whatever is wrong with it. */
  readonly pinImage: (image: string, team: TeamRecord) => Promise<NotebookImage>;
  /** Every object of the team as it is to be applied. */
  readonly render: (team: TeamRecord) => Promise<readonly KubernetesObject[]>;
  /** One bounded look right after a write; answers the team as it stands then, undefined when it is gone. */
  readonly reconcile: BoundedReconcile['afterWrite'];
  /** The same for who watches: at most once a second per team, and only while something is under way. */
  readonly look: BoundedReconcile['whileUnderWay'];
}

export const registerNotebooks = (app: App, deps: NotebookRouteDeps): void => {
  const { store, clock, limits } = deps;
  const act = (caller: Caller) => actorOf(caller, clock);

  /** Throws `not_found` when no notebook is ordered. */
  const view = (team: TeamRecord): Notebook => {
    const notebook = notebookView(team, hubUrl(deps.hubUrlTemplate, team));
    if (notebook === undefined) throw new Problem('not_found', { detail: 'No notebook is ordered.' });
    return notebook;
  };

  const assertAllowlist = (spec: NotebookSpec): void => {
    const { errors } = parseAllowlist(spec.allowlist.hosts, deps.allowlist);
    if (errors.length === 0) return;
    throw new Problem('invalid_allowlist', {
      errors: errors.map(({ index, code, message }) => ({
        pointer: `/allowlist/hosts/${index}`,
        code,
        message,
      })),
    });
  };

  /** The image as it is pinned already; a change elsewhere asks no registry and undoes no refresh. */
  const kept = (spec: NotebookSpec, { notebook }: TeamRecord): NotebookImage | null =>
    notebook !== null && notebook.spec.image === spec.image ? notebook.image : null;

  const pinned = async (spec: NotebookSpec, team: TeamRecord): Promise<NotebookImage | null> =>
    spec.image === null ? null : (kept(spec, team) ?? (await deps.pinImage(spec.image, team)));

  /** Everything that the outside world or our rules have to say of a configuration. */
  const checked = async (spec: NotebookSpec, team: TeamRecord): Promise<NotebookImage | null> => {
    assertWithinBounds(spec, limits);
    assertAllowlist(spec);
    return pinned(spec, team);
  };

  /**
   * Orders what `make` makes of the notebook as it stands: decided on the newest team, again if that has moved.
   * The image is asked for once more only when the decision came to another one.
   */
  const submitOrder = async (
    slug: string,
    caller: Caller,
    headers: Parameters<typeof preconditionsOf>[0],
    make: (team: TeamRecord) => NotebookSpec,
    action: 'notebook_changed' | 'notebook_restored',
  ): Promise<{ team: TeamRecord; created: boolean }> => {
    const preconditions = preconditionsOf(headers);
    let team = await teamOf(store, slug, caller);
    for (;;) {
      assertNotebookStays(team);
      checkPreconditions(preconditions, team.notebook === null ? undefined : versionOf(team));
      const wanted = make(team);
      const image = await checked(wanted, team);
      let created = false;
      let moved = false;
      const changed = await store.change(slug, (current): Decision | undefined => {
        const present = authorize(current, caller);
        checkPreconditions(preconditions, present.notebook === null ? undefined : versionOf(present));
        const spec = make(present);
        moved = spec.image !== wanted.image;
        if (moved) return undefined;
        assertWithinBounds(spec, limits);
        created = present.notebook === null;
        const ordering = { spec, image: kept(spec, present) ?? image, release: deps.newRelease(present) };
        const what = created && action === 'notebook_changed' ? 'notebook_ordered' : action;
        return order(present, ordering, act(caller), what);
      });
      team = authorize(changed, caller);
      if (!moved) return { team, created };
    }
  };

  const reconcileNow = async (team: TeamRecord): Promise<TeamRecord> => (await deps.reconcile(team)) ?? team;

  app.route({
    method: 'GET',
    url: '/v1/teams/:team/notebook',
    schema: {
      operationId: 'getNotebook',
      summary: 'The notebook: what is ordered, and how far it is',
      tags,
      params: TeamPath,
      headers: ReadHeaders,
      response: { 200: ref(Notebook), 304: NotModified },
    },
    handler: async (request, reply) => {
      const team = await teamOf(store, request.params.team, request.caller);
      view(team);
      const looked = await deps.look(team);
      if (looked === undefined) throw new Problem('not_found');
      const notebook = view(looked);
      if (unchanged(request, reply, versionOf(looked))) return reply.code(304).send();
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
        'What is left out takes its default; {} is a valid order. An order that changes nothing writes nothing.',
      tags,
      problems: [...orderProblems, ...imageProblems, 'revision_mismatch'],
      params: TeamPath,
      headers: Type.Object({
        ...WriteHeaders.properties,
        'if-none-match': Type.Optional(
          Type.String({ description: '* orders only when there is no notebook yet.' }),
        ),
      }),
      body: ref(NotebookOrder),
      response: { 200: ref(Notebook), 201: ref(Notebook) },
    },
    handler: async (request, reply) => {
      const { params, body, caller, headers } = request;
      assertFits(request, boundsFaults(body, limits));
      const { team, created } = await submitOrder(
        params.team,
        caller,
        headers,
        () => complete(body, limits),
        'notebook_changed',
      );
      const looked = await reconcileNow(team);
      if (created) reply.code(201).header('location', `/v1/teams/${team.slug}/notebook`);
      return reply.header('etag', etagOf(versionOf(looked))).send(view(looked));
    },
  });

  app.route({
    method: 'PATCH',
    url: '/v1/teams/:team/notebook',
    attachValidation: true,
    schema: {
      operationId: 'patchNotebook',
      summary: 'Change a notebook',
      description: 'A merge patch (RFC 7396): what is left out stays, null goes back to the default.',
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
      const make = ({ notebook }: TeamRecord): NotebookSpec => {
        if (notebook === null)
          throw new Problem('not_found', { detail: 'No notebook is ordered; PUT orders one.' });
        return patched(notebook.spec, body, limits);
      };
      const { team } = await submitOrder(params.team, caller, headers, make, 'notebook_changed');
      const looked = await reconcileNow(team);
      return reply.header('etag', etagOf(versionOf(looked))).send(view(looked));
    },
  });

  app.route({
    method: 'POST',
    url: '/v1/teams/:team/notebook/plan',
    attachValidation: true,
    config: { optionalBody: true },
    schema: {
      operationId: 'planNotebook',
      summary: 'What a change would mean; writes nothing',
      description: 'Takes the body of patchNotebook. Without a notebook it plans the first order.',
      tags,
      problems: [...orderProblems, ...imageProblems],
      params: TeamPath,
      querystring: closed({
        manifests: Type.Optional(
          Type.Boolean({ description: 'Answer the objects that would be applied, too.' }),
        ),
      }),
      body: ref(NotebookPatch),
      response: { 200: ref(Plan) },
    },
    handler: async (request) => {
      const { params, body, caller, query } = request;
      assertFits(request, boundsFaults(body, limits));
      const team = await teamOf(store, params.team, caller);
      const before = team.notebook?.spec ?? null;
      const spec = patched(before ?? complete({}, limits), body, limits);
      const image = await checked(spec, team);
      const decision = order(
        team,
        { spec, image, release: deps.newRelease(team) },
        act(caller),
        before === null ? 'notebook_ordered' : 'notebook_changed',
      );
      const plan = planned(before, spec);
      if (query.manifests !== true) return plan;
      return { ...plan, manifests: await manifestsOf(decision?.next ?? team) };
    },
  });

  app.route({
    method: 'DELETE',
    url: '/v1/teams/:team/notebook',
    schema: {
      operationId: 'deleteNotebook',
      summary: 'Delete the notebook',
      description: 'The home volumes are kept unless you say otherwise; the team and its namespace stay.',
      tags,
      problems: ['revision_mismatch', 'busy'],
      params: TeamPath,
      headers: WriteHeaders,
      querystring: closed({
        deleteHomes: Type.Optional(Type.Boolean({ description: 'Delete the home volumes for good.' })),
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
        return deleteNotebook(team, { deleteHomes }, act(caller));
      });
      const team = authorize(changed, caller);
      const asked = view(team);
      log.info({ team: team.slug, deleteHomes }, 'notebook deletion asked for');
      const looked = await reconcileNow(team);
      return reply.code(202).send(looked.notebook === null ? asked : view(looked));
    },
  });

  app.route({
    method: 'POST',
    url: '/v1/teams/:team/notebook/retry',
    config: { optionalBody: true },
    schema: {
      operationId: 'retryNotebook',
      summary: 'Give a failed roll-out a new try',
      tags,
      problems: ['deleting', 'busy'],
      params: TeamPath,
      body: ref(RetryOrder),
      response: { 202: ref(Notebook) },
    },
    handler: async ({ params, body, caller }, reply) => {
      view(await teamOf(store, params.team, caller));
      const changed = await store.change(params.team, (current) =>
        retry(authorize(current, caller), body.force ?? false, act(caller)),
      );
      const looked = await reconcileNow(authorize(changed, caller));
      return reply.code(202).send(view(looked));
    },
  });

  const manifestsOf = async (team: TeamRecord) =>
    (await deps.render(team)).map(redacted).map((object) => ({ ...object }));

  app.route({
    method: 'POST',
    url: '/v1/teams/:team/notebook/refresh-image',
    schema: {
      operationId: 'refreshImage',
      summary: 'Take the newer digest of the same tag',
      description: 'Running servers keep what they have until their next start.',
      tags,
      problems: [...imageProblems, 'deleting', 'busy'],
      params: TeamPath,
      response: { 200: ref(Notebook) },
    },
    handler: async ({ params, caller }, reply) => {
      const team = await teamOf(store, params.team, caller);
      const image = view(team).spec.image;
      if (image === null) throw new Problem('not_found', { detail: 'No image of your own is ordered.' });
      const found = await deps.pinImage(image, team);
      const changed = await store.change(params.team, (current) =>
        takeDigest(authorize(current, caller), found, act(caller)),
      );
      const looked = await reconcileNow(authorize(changed, caller));
      return reply.header('etag', etagOf(versionOf(looked))).send(view(looked));
    },
  });

  app.route({
    method: 'GET',
    url: '/v1/teams/:team/notebook/manifests',
    schema: {
      operationId: 'getManifests',
      summary: 'The Kubernetes objects that are applied',
      description: 'JSON, or YAML with Accept: application/yaml. Secrets show their keys only.',
      tags,
      problems: ['not_acceptable'],
      params: TeamPath,
      response: {
        200: {
          description: 'The objects, in the order in which they are applied.',
          content: {
            'application/json': { schema: ref(Manifests) },
            'application/yaml': { schema: Type.String({ description: 'One YAML document per object.' }) },
          },
        },
      },
    },
    handler: async (request, reply) => {
      const team = await teamOf(store, request.params.team, request.caller);
      view(team);
      const items = await manifestsOf(team);
      if (negotiate(request, ['application/json', 'application/yaml']) === 'application/json') {
        return reply.type('application/json').send({ items });
      }
      const documents = items.map((object) => stringify(object)).join('---\n');
      return reply
        .type('application/yaml')
        .serializer(String)
        .send(documents as never);
    },
  });

  app.route({
    method: 'GET',
    url: '/v1/teams/:team/history',
    schema: {
      operationId: 'getHistory',
      summary: 'Who changed what, when, newest first',
      tags,
      problems: ['invalid_cursor'],
      params: TeamPath,
      querystring: PageQuery,
      response: { 200: ref(HistoryPage) },
    },
    handler: async ({ params, query, caller }) => {
      const team = await teamOf(store, params.team, caller);
      const list = { name: 'history', view: team.id };
      const { limit, after } = pageRequest(query, list);
      const before = after === undefined ? {} : { before: Number(after) };
      return pageAnswer(await store.history(team.slug, { limit, ...before }), list, (item) => item);
    },
  });

  app.route({
    method: 'POST',
    url: '/v1/teams/:team/history/:revision/restore',
    schema: {
      operationId: 'restoreRevision',
      summary: 'Order again what was ordered once',
      description:
        'Takes the notebook’s configuration of that revision, never its members, and checks it as of today. Home volumes that have grown since stay as large as they are.',
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
          detail: `There is no notebook revision ${params.revision} in the history.`,
        });
      }
      const { team } = await submitOrder(
        params.team,
        caller,
        headers,
        ({ notebook }) => restored(spec, notebook?.spec, limits),
        'notebook_restored',
      );
      const looked = await reconcileNow(team);
      return reply.header('etag', etagOf(versionOf(looked))).send(view(looked));
    },
  });

  app.route({
    method: 'GET',
    url: '/v1/teams/:team/notebook/events',
    schema: {
      operationId: 'watchNotebook',
      summary: 'The notebook now, then every change until it is Ready',
      description:
        'Server-sent events; each carries a Notebook. Coming back gives a fresh snapshot. getNotebook is its twin to poll.',
      tags,
      problems: ['not_acceptable'],
      params: TeamPath,
      response: {
        200: {
          description:
            'Events of type notebook; deleted when it is gone; reconnect asks you to connect again, with the reason token_expired once your token has expired.',
          content: { 'text/event-stream': { schema: Type.String() } },
        },
      },
    },
    handler: async (request, reply) => {
      const { params, caller } = request;
      const first = await teamOf(store, params.team, caller);
      view(first);
      return streamEvents(request, reply, (signal) => changesOf(first, caller, signal));
    },
  });

  async function* changesOf(
    first: TeamRecord,
    caller: Caller,
    signal: AbortSignal,
  ): AsyncGenerator<ServerEvent> {
    let sent: string | undefined;
    for (let team: TeamRecord | undefined = first; !signal.aborted; team = await store.team(first.slug)) {
      const looked = team === undefined ? undefined : await deps.look(team);
      if (looked === undefined || looked.id !== first.id || looked.notebook === null) {
        yield { event: 'deleted', data: {} };
        return;
      }
      // Whoever was taken out of the team meanwhile sees no more of it.
      const notebook = view(authorize(looked, caller));
      const { revision, statusVersion } = versionOf(looked);
      const id = `${revision}.${statusVersion}`;
      if (id !== sent) {
        yield { id, event: 'notebook', data: notebook };
        sent = id;
      }
      if (notebook.status.phase === 'Ready') return;
      await wait(watchEveryMs, undefined, { signal }).catch(() => {});
    }
  }

  app.route({
    method: 'GET',
    url: '/v1/limits',
    schema: {
      operationId: 'getLimits',
      summary: 'Defaults and bounds of every field, for forms',
      tags,
      response: { 200: ref(NotebookLimits) },
    },
    handler: async () => limitsView(limits),
  });
};
