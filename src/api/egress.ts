import type { CurrentEgress } from '../egress/current-egress.ts';
import { type EntryOptions, parseAllowlist } from '../egress/entry.ts';
import { explain, parseDestination } from '../egress/explain.ts';
import { chooseBackend } from '../egress/fqdn.ts';
import { addressesIn } from '../egress/freshness.ts';
import { namesOf } from '../egress/hosts.ts';
import type { EgressSettings } from '../egress/policy.ts';
import { egressVerdict } from '../egress/verdict.ts';
import { egressView, egressSchemas as viewSchemas } from '../egress/view.ts';
import type { App } from '../http/server.ts';
import { ref } from '../lib/schema.ts';
import { AllowlistEntries, AllowlistEntry, AllowlistError, ParsedAllowlist } from '../model/allowlist.ts';
import { Egress, EgressAnswer, EgressQuestion } from '../model/egress.ts';
import { Problem } from '../model/problems.ts';
import type { NotebookRecord, TeamRecord } from '../model/record.ts';
import { TeamPath } from '../model/team.ts';
import type { Manifest } from '../ports/cluster.ts';
import type { Clock } from '../ports/runtime.ts';
import type { Store } from '../ports/store.ts';
import { isOwned } from '../teams/desired.ts';
import { teamOf } from './access.ts';

export const egressSchemas = [
  AllowlistEntry,
  AllowlistError,
  AllowlistEntries,
  ParsedAllowlist,
  EgressQuestion,
  EgressAnswer,
  ...viewSchemas,
];

const tags = ['egress'];
const deadlineMs = 5_000;
const unseen =
  'This answer is based on the allowlist alone: the cluster does not answer, so whether it is enforced is unknown.';

export interface EgressRouteDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly allowlist: EntryOptions;
  /** The operator’s egress settings, and the policies of a namespace with the known addresses of these hosts. */
  readonly egress: {
    readonly settings: EgressSettings;
    readonly look: (
      namespace: string,
      names: readonly string[],
      signal: AbortSignal,
    ) => Promise<CurrentEgress>;
  };
}

export const registerEgress = (app: App, { allowlist, egress, store, clock }: EgressRouteDeps): void => {
  app.route({
    method: 'POST',
    url: '/v1/allowlist/validate',
    schema: {
      operationId: 'validateAllowlist',
      summary: 'Validate allowlist entries; writes nothing',
      description:
        'Every entry is parsed by the same rules as in an order. Entries that can be used and entries that cannot are returned apart, each error with its position in the list.',
      tags,
      body: ref(AllowlistEntries),
      response: { 200: ref(ParsedAllowlist) },
    },
    handler: async ({ body }) => parseAllowlist(body.entries, allowlist),
  });

  const notebookOf = ({ notebook }: TeamRecord): NotebookRecord => {
    if (notebook === null) throw new Problem('notebook_not_ordered');
    return notebook;
  };

  /** The team’s allowlist, the known addresses of its hosts and of `others`, and the policies in the cluster. */
  const egressStateOf = async (team: TeamRecord, others: readonly string[] = []) => {
    const { enabled, hosts: listed } = notebookOf(team).spec.allowlist;
    const { entries } = parseAllowlist(listed, allowlist);
    const names = [...new Set([...namesOf(team, { ...egress, entries: allowlist }), ...others])];
    const { hosts, policies, servesFqdn } = await egress.look(
      team.names.namespace,
      enabled ? names : [],
      AbortSignal.timeout(deadlineMs),
    );
    // No answer from the cluster does not mean that FQDNNetworkPolicy is not served.
    const isServed = policies === undefined || servesFqdn;
    const backend = chooseBackend(egress.settings.backend, isServed ? ['v1alpha1'] : []);
    return { enabled, entries, hosts, policies, settings: { ...egress.settings, backend } };
  };

  app.route({
    method: 'GET',
    url: '/v1/teams/:team/egress',
    schema: {
      operationId: 'getEgress',
      summary: 'Get what each allowlist entry opens now, and whether the allowlist is enforced',
      description:
        'For each entry: its status, the addresses that are open, and those that DNS answers but that are never opened. widenedBy names policies of others that open more than the allowlist.',
      tags,
      problems: ['notebook_not_ordered'],
      params: TeamPath,
      response: { 200: ref(Egress) },
    },
    handler: async ({ params, caller }) => {
      const team = await teamOf(store, params.team, caller);
      const state = await egressStateOf(team);
      return egressView({
        ...state,
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
      summary: 'Check whether a notebook may connect to a destination; writes nothing',
      description:
        'The answer holds for a notebook that is running now. It names the entry, or the policy, that decides.',
      tags,
      problems: ['notebook_not_ordered'],
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
      const state = await egressStateOf(team, destination.kind === 'name' ? [destination.host] : []);
      const addresses = addressesIn(state.hosts);
      const isOurs = (policy: Manifest) => isOwned(policy, team);
      const answer = explain(destination, {
        ...state,
        addresses,
        verdict: egressVerdict({ ...state, addresses, isOurs, problem: undefined }),
        internalSuffixes: allowlist.internalSuffixes,
        foreign: state.policies?.filter((policy) => !isOurs(policy)) ?? [],
      });
      if (!state.enabled || state.policies !== undefined) return answer;
      return { ...answer, because: `${answer.because} ${unseen}` };
    },
  });
};
