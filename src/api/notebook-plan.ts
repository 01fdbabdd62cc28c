import Type from 'typebox';
import { stringify } from 'yaml';
import type { Addresses } from '../egress/destinations.ts';
import { parseAllowlist } from '../egress/entry.ts';
import { namesIn } from '../egress/hosts.ts';
import type { EgressSettings } from '../egress/policy.ts';
import { unreachableEntries } from '../egress/unreachable.ts';
import { negotiate } from '../http/accept.ts';
import type { App } from '../http/server.ts';
import { assertFits } from '../http/validation.ts';
import { imageProblems } from '../images/resolve.ts';
import { closed, ref } from '../lib/schema.ts';
import { Change } from '../model/change.ts';
import { Manifest, ManifestPage } from '../model/manifest.ts';
import { NotebookPatch, type NotebookSpec } from '../model/notebook.ts';
import { complete } from '../model/notebook-fields.ts';
import { Plan, PlannedChange, ServerPendingRestart } from '../model/plan.ts';
import type { TeamRecord } from '../model/record.ts';
import { TeamPath } from '../model/team.ts';
import { UnreachableEntry } from '../model/unreachable-entry.ts';
import { planChange } from '../notebooks/plan.ts';
import { orderNotebook } from '../notebooks/rules.ts';
import { applyPatch, boundsFaults, withCanonicalImage } from '../notebooks/spec.ts';
import type { Manifest as KubernetesObject } from '../ports/cluster.ts';
import type { Servers } from '../servers/servers.ts';
import { assertMayOptOut } from '../teams/roles.ts';
import { actorOf, teamOf } from './access.ts';
import { checkOrder, type NotebookRouteDeps, orderProblems, viewOf } from './notebook-orders.ts';

export const planSchemas = [
  Change,
  Manifest,
  ManifestPage,
  Plan,
  PlannedChange,
  ServerPendingRestart,
  UnreachableEntry,
];

const tags = ['notebooks'];

/** Secrets show which keys they have, and none of their values. */
const redacted = (object: KubernetesObject): KubernetesObject =>
  object.kind === 'Secret' && object.data !== undefined
    ? { ...object, data: Object.fromEntries(Object.keys(object.data).map((key) => [key, '<redacted>'])) }
    : object;

/** What the routes of plans need. */
export interface PlanRouteDeps extends NotebookRouteDeps {
  readonly servers: Pick<Servers, 'pendingRestarts'>;
  readonly egress: { readonly settings: EgressSettings };
  /** The addresses of these names, as far as they are known or DNS answers in time; writes nothing. */
  readonly previewAddresses: (names: readonly string[]) => Promise<Addresses>;
}

/** What a change of the notebook would do, and the Kubernetes objects behind it. */
export const registerNotebookPlan = (app: App, deps: PlanRouteDeps): void => {
  const { store, clock, limits } = deps;

  const unreachableIn = async ({ allowlist }: NotebookSpec) => {
    if (!allowlist.enabled) return [];
    const { settings } = deps.egress;
    const { entries } = parseAllowlist(allowlist.hosts, deps.allowlist);
    const addresses = await deps.previewAddresses(namesIn(entries, settings));
    return [...unreachableEntries(entries, addresses, settings)];
  };

  const manifestsOf = async (team: TeamRecord) =>
    (await deps.render(team)).map(redacted).map((object) => ({ ...object }));

  app.route({
    method: 'POST',
    url: '/v1/teams/:team/notebook/plan',
    attachValidation: true,
    config: { optionalBody: true },
    schema: {
      operationId: 'planNotebook',
      summary: 'Preview a change; writes nothing',
      description:
        'Takes the body of patchNotebook. Without a notebook, it plans the first order. Names the running servers that would wait for a restart, and the entries of the allowlist that notebooks could not reach now.',
      tags,
      problems: [...orderProblems, ...imageProblems],
      params: TeamPath,
      querystring: closed({
        manifests: Type.Optional(Type.Boolean({ description: 'Include the objects that would be applied.' })),
      }),
      body: ref(NotebookPatch),
      response: { 200: ref(Plan) },
    },
    handler: async (request) => {
      const { params, body, caller, query } = request;
      assertFits(request, boundsFaults(body, limits));
      const team = await teamOf(store, params.team, caller);
      const before = team.notebook?.spec ?? null;
      const spec = withCanonicalImage(applyPatch(before ?? complete({}, limits), body, limits));
      assertMayOptOut(team, spec, caller);
      const image = await checkOrder(spec, team, deps);
      const decision = orderNotebook(
        team,
        { spec, image, release: deps.newRelease(team) },
        actorOf(caller, clock),
        before === null ? 'notebook_ordered' : 'notebook_changed',
      );
      const planned = decision?.next ?? team;
      const [waiting, unreachable] = await Promise.all([
        before === null ? [] : deps.servers.pendingRestarts(team, planned),
        unreachableIn(spec),
      ]);
      const plan = {
        ...planChange(before, spec),
        serversPendingRestart: waiting && [...waiting],
        unreachableEntries: unreachable,
      };
      if (query.manifests !== true) return plan;
      return { ...plan, manifests: await manifestsOf(planned) };
    },
  });

  app.route({
    method: 'GET',
    url: '/v1/teams/:team/notebook/manifests',
    schema: {
      operationId: 'getManifests',
      summary: 'Get the Kubernetes objects that are applied',
      description: 'JSON, or YAML with Accept: application/yaml. Secrets show only their keys.',
      tags,
      problems: ['notebook_not_ordered', 'not_acceptable'],
      params: TeamPath,
      response: {
        200: {
          description: 'The objects, in the order in which they are applied.',
          content: {
            'application/json': { schema: ref(ManifestPage) },
            'application/yaml': { schema: Type.String({ description: 'One YAML document per object.' }) },
          },
        },
      },
    },
    handler: async (request, reply) => {
      const team = await teamOf(store, request.params.team, request.caller);
      viewOf(team);
      const items = await manifestsOf(team);
      if (negotiate(request, ['application/json', 'application/yaml']) === 'application/json') {
        return reply.type('application/json').send({ items, nextCursor: null });
      }
      const documents = items.map((object) => stringify(object)).join('---\n');
      return reply
        .type('application/yaml')
        .serializer(String)
        .send(documents as never);
    },
  });
};
