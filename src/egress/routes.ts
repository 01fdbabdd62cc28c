import Type from 'typebox';
import type { Deps } from '../deps.ts';
import type { App } from '../http/server.ts';
import { Problem } from '../problems.ts';
import type { NotebookRecord, TeamRecord } from '../record.ts';
import { closed, ref } from '../schema.ts';
import { teamOf } from '../teams/access.ts';
import { isOwned } from '../teams/desired.ts';
import { namespaceOf } from '../teams/names.ts';
import { TeamPath } from '../teams/team.ts';
import { namesIn } from './airflow.ts';
import { AllowlistEntry, AllowlistError, ParsedAllowlist, parseAllowlist } from './entry.ts';
import { explain, parseDestination } from './explain.ts';
import { chooseBackend } from './fqdn.ts';
import { addressesIn } from './freshness.ts';
import { Egress, egressView, egressSchemas as viewSchemas } from './view.ts';

const AllowlistOrder = closed(
  {
    entries: Type.Array(Type.String({ examples: ['pypi.org', 'informatica.nav.no:6005-6010'] }), {
      maxItems: 1000,
    }),
  },
  { $id: 'AllowlistOrder' },
);

const EgressQuestion = closed(
  {
    destination: Type.String({
      maxLength: 2048,
      description: 'A host with a port, 443 when there is none; a URL will do.',
      examples: ['dm08-scan.adeo.no:1521'],
    }),
  },
  { $id: 'EgressQuestion' },
);

const EgressAnswer = closed(
  {
    allowed: Type.Boolean({ description: 'Whether a notebook that runs now may connect there.' }),
    because: Type.String({ examples: ['dm08-scan.adeo.no:1521 opens it, at 198.35.26.96.'] }),
    entry: Type.Optional(
      Type.String({ description: 'The entry that opens it.', examples: ['dm08-scan.adeo.no:1521'] }),
    ),
  },
  { $id: 'EgressAnswer' },
);

export const egressSchemas = [
  AllowlistEntry,
  AllowlistError,
  AllowlistOrder,
  ParsedAllowlist,
  EgressQuestion,
  EgressAnswer,
  ...viewSchemas,
];

const tags = ['egress'];
const deadlineMs = 5_000;
const unseen = 'That is what the list says: the cluster does not answer, so nobody knows whether it holds.';

export const registerEgress = (
  app: App,
  { allowlist, egress, store, clock }: Pick<Deps, 'allowlist' | 'egress' | 'store' | 'clock'>,
): void => {
  app.route({
    method: 'POST',
    url: '/v1/allowlist/validate',
    schema: {
      operationId: 'validateAllowlist',
      summary: 'Which entries an allowlist would take; writes nothing',
      tags,
      body: ref(AllowlistOrder),
      response: { 200: ref(ParsedAllowlist) },
    },
    handler: async ({ body }) => parseAllowlist(body.entries, allowlist),
  });

  const notebookOf = ({ notebook }: TeamRecord): NotebookRecord => {
    if (notebook === null) throw new Problem('not_found', { detail: 'No notebook is ordered.' });
    return notebook;
  };

  /** The list, and what is known of it; `besides`: a host that is asked for. */
  const sightOf = async (team: TeamRecord, besides: readonly string[] = []) => {
    const { enabled, hosts: listed } = notebookOf(team).spec.allowlist;
    const { entries } = parseAllowlist(listed, allowlist);
    const google = egress.settings.googleApis === 'resolve' ? egress.settings.googleApiHosts : [];
    const names = [...new Set([...namesIn(entries, egress.settings), ...google, ...besides])];
    const { hosts, policies, servesFqdn } = await egress.look(
      namespaceOf(team.id),
      enabled ? names : [],
      AbortSignal.timeout(deadlineMs),
    );
    // A cluster that is silent has not taken GKE’s own policies away.
    const isServed = policies === undefined || servesFqdn;
    const backend = chooseBackend(egress.settings.backend, isServed ? ['v1alpha1'] : []);
    return { enabled, entries, hosts, policies, settings: { ...egress.settings, backend } };
  };

  app.route({
    method: 'GET',
    url: '/v1/teams/:team/egress',
    schema: {
      operationId: 'getEgress',
      summary: 'What the allowlist opens now, entry by entry, and whether it holds',
      tags,
      params: TeamPath,
      response: { 200: ref(Egress) },
    },
    handler: async ({ params, caller }) => {
      const team = await teamOf(store, params.team, caller);
      const sight = await sightOf(team);
      return egressView({
        ...sight,
        isOurs: (policy) => isOwned(policy, team),
        now: clock.now(),
      });
    },
  });

  app.route({
    method: 'POST',
    url: '/v1/teams/:team/egress/check',
    schema: {
      operationId: 'checkEgress',
      summary: 'Whether a notebook may connect to a destination, and by what; writes nothing',
      tags,
      params: TeamPath,
      body: ref(EgressQuestion),
      response: { 200: ref(EgressAnswer) },
    },
    handler: async ({ params, body, caller }) => {
      const team = await teamOf(store, params.team, caller);
      const asked = parseDestination(body.destination, allowlist);
      if (!asked.ok) {
        const { code, message } = asked;
        throw new Problem('validation_failed', { errors: [{ pointer: '/destination', code, message }] });
      }
      const { destination } = asked;
      const sight = await sightOf(team, destination.kind === 'name' ? [destination.host] : []);
      const answer = explain(destination, {
        ...sight,
        addresses: addressesIn(sight.hosts),
        internalSuffixes: allowlist.internalSuffixes,
        foreign: sight.policies?.filter((policy) => !isOwned(policy, team)) ?? [],
      });
      if (!sight.enabled || sight.policies !== undefined) return answer;
      return { ...answer, because: `${answer.because} ${unseen}` };
    },
  });
};
