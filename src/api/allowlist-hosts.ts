import type { FastifyReply } from 'fastify';
import Type from 'typebox';
import { canonicalItem, parseAllowlist } from '../egress/entry.ts';
import type { Caller } from '../http/auth.ts';
import { etagOf } from '../http/preconditions.ts';
import type { App } from '../http/server.ts';
import { closed, enforcedByHandler, ref } from '../lib/schema.ts';
import { entryInPathPattern } from '../model/allowlist.ts';
import type { FaultCode } from '../model/faults.ts';
import { Notebook, type NotebookSpec } from '../model/notebook.ts';
import { Problem } from '../model/problems.ts';
import type { TeamRecord } from '../model/record.ts';
import { Slug } from '../model/team.ts';
import { withHost, withoutHost } from '../notebooks/allowlist-hosts.ts';
import { orderNotebook, pinnedImage } from '../notebooks/rules.ts';
import { withCanonicalImage } from '../notebooks/spec.ts';
import { actorOf, authorize } from './access.ts';
import { type NotebookRouteDeps, reconcileNow, versionOf, viewOf } from './notebook-orders.ts';

const tags = ['egress'];

const HostPath = closed({
  team: Slug,
  entry: enforcedByHandler(
    Type.String({
      minLength: 1,
      maxLength: 300,
      pattern: '^[^/]+$',
      description:
        'An entry as in the allowlist: a host with or without a port, or `preset:<name>`; percent-encoded, `pypi.org%3A443`. It contains no slash: a range of addresses is edited with patchNotebook.',
      examples: ['pypi.org:443'],
    }),
    { pattern: entryInPathPattern },
  ),
});

const problems = ['notebook_not_ordered', 'deleting', 'invalid_allowlist', 'busy'] as const;

/** One entry of the allowlist at a time: two people who edit it at the same time lose nothing. */
export const registerAllowlistHosts = (app: App, deps: NotebookRouteDeps): void => {
  const { store, clock, allowlist } = deps;

  const refuse = (code: FaultCode, message: string): never => {
    throw new Problem('invalid_allowlist', { errors: [{ pointer: '/path/entry', code, message }] });
  };

  /** An entry that today’s rules refuse may still be stored; it is the same as one with the same text. */
  const keyOf = (entry: string): string => {
    const item = canonicalItem(entry, allowlist);
    return item.ok ? item.canonical : entry;
  };

  const answer = (reply: FastifyReply, team: TeamRecord) =>
    reply.header('etag', etagOf(versionOf(team))).send(viewOf(team));

  /** Decided on the newest state of the team, inside the write. */
  const edit = async (
    slug: string,
    caller: Caller,
    reply: FastifyReply,
    specFor: (spec: NotebookSpec) => NotebookSpec,
  ) => {
    let isChanged = false;
    const changed = await store.change(slug, (stored) => {
      const current = authorize(stored, caller);
      if (current.notebook === null) throw new Problem('notebook_not_ordered');
      const edited = specFor(current.notebook.spec);
      isChanged = edited !== current.notebook.spec;
      if (!isChanged) return undefined;
      const spec = withCanonicalImage(edited);
      return orderNotebook(
        current,
        { spec, image: pinnedImage(current, spec), release: deps.newRelease(current) },
        actorOf(caller, clock),
        'notebook_changed',
      );
    });
    const team = authorize(changed, caller);
    return answer(reply, isChanged ? await reconcileNow(team, deps) : team);
  };

  app.route({
    method: 'PUT',
    url: '/v1/teams/:team/notebook/allowlist/hosts/:entry',
    config: { etag: true },
    schema: {
      operationId: 'addAllowlistHost',
      summary: 'Add an entry to the allowlist',
      description:
        'Needs no read before it: two people who add entries at the same time lose none. An entry that is on the list already, however it was written, stays as it is. Takes effect like patchNotebook, also for running servers.',
      tags,
      problems: [...problems],
      params: HostPath,
      response: { 200: ref(Notebook) },
    },
    handler: ({ params: { team, entry }, caller }, reply) =>
      edit(team, caller, reply, (spec) => {
        const item = canonicalItem(entry, allowlist);
        if (!item.ok) return refuse(item.code, item.message);
        const next = withHost(spec, entry, keyOf);
        // The other entries are as they were accepted; only the length of the list is new.
        const long = parseAllowlist(next.allowlist.hosts, allowlist).errors.find(
          ({ code }) => code === 'too_many_entries',
        );
        return next !== spec && long !== undefined ? refuse(long.code, long.message) : next;
      }),
  });

  app.route({
    method: 'DELETE',
    url: '/v1/teams/:team/notebook/allowlist/hosts/:entry',
    config: { etag: true },
    schema: {
      operationId: 'removeAllowlistHost',
      summary: 'Remove an entry from the allowlist',
      description:
        'Removes the entry however it was written. An entry that is not on the list is no error. A host of a preset stays open as long as the preset is on the list.',
      tags,
      problems: [...problems],
      params: HostPath,
      response: { 200: ref(Notebook) },
    },
    handler: ({ params: { team, entry }, caller }, reply) =>
      edit(team, caller, reply, (spec) => {
        const next = withoutHost(spec, entry, keyOf);
        const item = canonicalItem(entry, allowlist);
        return next === spec && !item.ok ? refuse(item.code, item.message) : next;
      }),
  });
};
