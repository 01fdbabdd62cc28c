import Type from 'typebox';
import type { Caller } from '../http/auth.ts';
import { type IdempotencyDeps, IdempotencyHeaders, idempotencyProblems, once } from '../http/idempotency.ts';
import type { App } from '../http/server.ts';
import { closed, ref } from '../lib/schema.ts';
import type { HistoryEvent } from '../model/history.ts';
import { Problem } from '../model/problems.ts';
import type { TeamRecord } from '../model/record.ts';
import { Secret, SecretVersion, SecretVersionOrder } from '../model/secret.ts';
import { Slug, TeamPath } from '../model/team.ts';
import type { Clock } from '../ports/runtime.ts';
import type { SecretManager } from '../ports/secret-manager.ts';
import type { Store } from '../ports/store.ts';
import { QuotaExceeded, Unavailable } from '../ports/unavailable.ts';
import type { BoundedReconcile } from '../reconcile/bounded.ts';
import { payloadOf, secretView } from '../secrets/secret.ts';
import { assertStays, authored } from '../teams/rules.ts';
import { actorOf, teamOf } from './access.ts';

export const secretSchemas = [Secret, SecretVersion, SecretVersionOrder];

const tags = ['secrets'];
const deadlineMs = 10_000;

/** Room for 65,536 bytes as base64, or as text in which every byte is escaped, and the JSON around it. */
const bodyLimit = 512 * 1024;

const VersionPath = closed({
  team: Slug,
  version: Type.String({
    pattern: '^[1-9][0-9]{0,9}$',
    description: 'The number of a version.',
    examples: ['3'],
  }),
});

export interface SecretRouteDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly googleProject: string;
  readonly secretManager: SecretManager;
  readonly idempotency: IdempotencyDeps;
  /** One bounded reconcile after a write; answers the team as it is then, undefined when it is gone. */
  readonly reconcile: BoundedReconcile['afterWrite'];
}

/** The team’s secret in Google Secret Manager: list, add, enable and disable versions. No route returns a payload. */
export const registerSecrets = (app: App, deps: SecretRouteDeps): void => {
  const { store, clock, secretManager, googleProject } = deps;
  const signal = () => AbortSignal.timeout(deadlineMs);

  /** Writes a history entry, which never holds the payload. */
  const recordChange = async (
    { slug, id }: TeamRecord,
    caller: Caller,
    action: HistoryEvent['action'],
    { version, state }: SecretVersion,
    from: string | null,
  ): Promise<void> => {
    const author = authored(actorOf(caller, clock));
    const changes = [{ pointer: `/secret/versions/${version}`, from, to: state }];
    await store.change(slug, (current) =>
      current.id === id
        ? { next: current, event: { ...author, action, revision: null, changes } }
        : undefined,
    );
  };

  app.route({
    method: 'GET',
    url: '/v1/teams/:team/secret',
    schema: {
      operationId: 'getSecret',
      summary: 'Get the team’s secret: its name, its reader and its versions',
      description:
        'A payload can be read in a notebook or in the Google Cloud console, not through this API.',
      tags,
      problems: ['not_found', 'upstream_unavailable'],
      params: TeamPath,
      response: { 200: ref(Secret) },
    },
    handler: async ({ params, caller }) => {
      const team = await teamOf(store, params.team, caller);
      // Not created yet, or deleted by hand: it has no versions either way, and reconcile creates it.
      const versions = (await secretManager.versions(team.names.secret.id, signal())) ?? [];
      return secretView(team, googleProject, versions);
    },
  });

  app.route({
    method: 'POST',
    url: '/v1/teams/:team/secret/versions',
    bodyLimit,
    schema: {
      operationId: 'addSecretVersion',
      summary: 'Add a version to the team’s secret',
      description:
        'The payload is passed to Secret Manager and not stored elsewhere; the response has only the version. Notebooks that read `versions/latest` get it immediately.',
      tags,
      problems: ['not_found', 'deleting', 'upstream_unavailable', 'busy', ...idempotencyProblems],
      params: TeamPath,
      headers: IdempotencyHeaders,
      body: ref(SecretVersionOrder),
      response: { 201: ref(SecretVersion) },
    },
    handler: async ({ params, body, caller, headers, log }, reply) => {
      const team = await teamOf(store, params.team, caller);
      assertStays(team);
      const payload = payloadOf(body);
      let mayHaveHappened = false;
      const add = async () => {
        try {
          mayHaveHappened = true;
          const version = await secretManager.addVersion(team.names.secret.id, payload, signal());
          mayHaveHappened = version !== undefined;
          return version;
        } catch (error) {
          mayHaveHappened = !(error instanceof QuotaExceeded);
          if (!(error instanceof Unavailable) || error instanceof QuotaExceeded) throw error;
          throw new Problem('upstream_unavailable', {
            detail:
              'Secret Manager did not answer. The version may have been added; check the team’s secret before you try again.',
            cause: error,
          });
        }
      };
      const run = async () => {
        let added = await add();
        if (added === undefined) {
          // The request can arrive before the first reconcile has created the secret.
          await deps.reconcile(team);
          added = await add();
        }
        if (added === undefined) {
          throw new Problem('upstream_unavailable', {
            detail:
              'The team’s secret does not exist yet; the condition SecretReady says why. Try again shortly.',
            retryAfterSeconds: 30,
          });
        }
        await recordChange(team, caller, 'secret_version_added', added, null);
        log.info({ team: team.slug, version: added.version, bytes: payload.length }, 'secret version added');
        // A version has no resource of its own; the secret lists it.
        return { status: 201, headers: { location: `/v1/teams/${team.slug}/secret` }, body: added };
      };
      const request = {
        key: headers['idempotency-key'],
        caller: caller.email,
        operation: `addSecretVersion ${team.id}`,
        body,
      };
      const answer = await once(deps.idempotency, request, {
        isRepeatable: false,
        mayHaveHappened: () => mayHaveHappened,
        run,
      });
      return reply.code(201).headers(answer.headers).send(answer.body);
    },
  });

  const toggleRoute = (enabled: boolean) => ({
    method: 'POST' as const,
    url: `/v1/teams/:team/secret/versions/:version/${enabled ? 'enable' : 'disable'}`,
    schema: {
      operationId: enabled ? 'enableSecretVersion' : 'disableSecretVersion',
      summary: enabled ? 'Enable a secret version' : 'Disable a secret version',
      description: enabled
        ? 'A version that is already enabled stays enabled.'
        : 'The version cannot be read until it is enabled again, also not as `latest`; its payload is kept.',
      tags,
      problems: [
        'not_found',
        'deleting',
        'secret_version_destroyed',
        'upstream_unavailable',
        'busy',
      ] as const,
      params: VersionPath,
      response: { 200: ref(SecretVersion) },
    },
  });
  for (const enabled of [true, false]) {
    const { schema, ...route } = toggleRoute(enabled);
    app.route({
      ...route,
      schema: { ...schema, problems: [...schema.problems] },
      handler: async ({ params, caller, log }) => {
        const team = await teamOf(store, params.team, caller);
        assertStays(team);
        const state = enabled ? 'enabled' : 'disabled';
        const before = await secretManager.versions(team.names.secret.id, signal());
        const already = before?.find((one) => one.version === params.version && one.state === state);
        if (already !== undefined) return already;
        const outcome = await secretManager.setEnabled(
          team.names.secret.id,
          params.version,
          enabled,
          signal(),
        );
        if (outcome === undefined) {
          throw new Problem('not_found', { detail: `The team’s secret has no version ${params.version}.` });
        }
        if (outcome === 'destroyed') throw new Problem('secret_version_destroyed');
        const [action, from] = enabled
          ? (['secret_version_enabled', 'disabled'] as const)
          : (['secret_version_disabled', 'enabled'] as const);
        await recordChange(team, caller, action, outcome, from);
        log.info({ team: team.slug, version: outcome.version }, `secret version ${outcome.state}`);
        return outcome;
      },
    });
  }
};
