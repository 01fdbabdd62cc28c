import { createHash, timingSafeEqual } from 'node:crypto';
import { kinds } from '../model/kinds.ts';
import type { TeamRecord } from '../model/record.ts';
import type { Cluster } from '../ports/cluster.ts';
import type { Store } from '../ports/store.ts';
import { Unavailable } from '../ports/unavailable.ts';
import { teamIdLabel, teamLabel } from '../teams/labels.ts';
import { hasNotebook, isRestricted } from '../teams/lifecycle.ts';
import { announceRun, type RunDeps } from './airflow-runs.ts';
import { closedSentence, destinationOf } from './destinations.ts';
import { parseAllowlist } from './entry.ts';
import { namesIn } from './hosts.ts';
import { allowedReview, parseReview, type Review } from './review.ts';

export interface AdmissionDeps extends RunDeps {
  /** Any of these is accepted; with none, every request is refused. 64 hexadecimal digits each. */
  readonly secrets: readonly string[];
  readonly cluster: Cluster;
  readonly store: Pick<Store, 'team'>;
  /**
   * Opens a team’s list for a notebook that is about to start; returns the team as it stands then. May outlast the
   * signal, and may throw.
   */
  readonly announce: (slug: string, signal: AbortSignal) => Promise<TeamRecord | undefined>;
  /** The API server waits 5 seconds; the default here is 3. */
  readonly deadlineMs?: number;
}

export interface AdmissionRequest {
  readonly method: string;
  /** `/<secret>`, without a query. */
  readonly path: string;
  readonly body: Uint8Array;
}

export interface AdmissionAnswer {
  readonly status: 200 | 400 | 404 | 405;
  readonly body: object;
}

/** The largest object that Kubernetes accepts. */
const largestBody = 3 * 1024 * 1024;

const digestOf = (text: string): Buffer => createHash('sha256').update(text).digest();

/**
 * Answers the API server’s AdmissionReview before it creates a pod. The answer is always `allowed`: a later reconcile
 * opens what is missing, and no review can open more than a team’s own list. The API server does not authenticate, so
 * the path is the secret and the review only a hint: the team’s list is read from the store, and reconcileRuns removes
 * what was opened for an Airflow run that never starts.
 */
export const admissionWith = (
  deps: AdmissionDeps,
): ((request: AdmissionRequest) => Promise<AdmissionAnswer>) => {
  const secrets = deps.secrets.map(digestOf);

  /** In constant time: the duration does not depend on how much of the secret matches, or which one. */
  const isSecret = (path: string): boolean => {
    const given = digestOf(path.slice(1));
    return secrets.filter((secret) => timingSafeEqual(secret, given)).length > 0;
  };

  return async ({ method, path, body }) => {
    if (!isSecret(path)) return { status: 404, body: { error: 'Not found.' } };
    if (method !== 'POST') return { status: 405, body: { error: 'Send an AdmissionReview by POST.' } };
    if (body.byteLength > largestBody) return malformed('The body is larger than 3 MiB.');
    const review = parseReview(jsonOf(body));
    if (review === undefined) return malformed('The body is not an AdmissionReview of admission.k8s.io/v1.');
    const { uid, operation, dryRun } = review;
    if (operation !== 'CREATE' || dryRun || review.namespace === '') return allowed(uid);
    return allowed(uid, await opened(deps, review));
  };
};

const malformed = (error: string): AdmissionAnswer => ({ status: 400, body: { error } });

const allowed = (uid: string, warnings: readonly string[] = []): AdmissionAnswer => ({
  status: 200,
  body: allowedReview(uid, warnings),
});

/** Undefined when the body is not JSON. */
const jsonOf = (body: Uint8Array): unknown => {
  try {
    return JSON.parse(Buffer.from(body).toString('utf8'));
  } catch {
    return undefined;
  }
};

const late = 'The allowlist could not be opened in time. Retrying within a minute.';

/** Opens what the pod may reach, always within the deadline; returns the warnings for the client that creates it. */
const opened = async (deps: AdmissionDeps, review: Review): Promise<readonly string[]> => {
  const { deadlineMs = 3_000, log } = deps;
  const { namespace, name, kind } = review;
  if (kind === 'other') return [];
  const signal = AbortSignal.timeout(deadlineMs);
  const { promise: ended, resolve } = Promise.withResolvers<readonly string[]>();
  const timer = setTimeout(() => resolve([late]), deadlineMs);
  try {
    const work =
      kind === 'notebook' ? openNotebook(deps, namespace, signal) : announceRun(deps, review, signal);
    // Not every store and hub honours the signal, so a late call is abandoned.
    work.catch(() => undefined);
    return await Promise.race([work, ended]);
  } catch (error) {
    log.warn({ namespace, pod: name, err: error }, 'pod not announced');
    return [
      error instanceof Unavailable
        ? `The allowlist could not be opened: ${error.message} Retrying within a minute.`
        : late,
    ];
  } finally {
    clearTimeout(timer);
  }
};

/** Only the namespace of the request is trusted. No warnings for pods that have no allowlist. */
const openNotebook = async (
  deps: AdmissionDeps,
  namespace: string,
  signal: AbortSignal,
): Promise<readonly string[]> => {
  const { cluster, store, announce } = deps;
  const found = await cluster.read({ ...kinds.namespace, name: namespace }, signal);
  const { [teamIdLabel]: id, [teamLabel]: slug } = found?.metadata.labels ?? {};
  if (slug === undefined || id === undefined) return [];
  const team = await store.team(slug);
  if (team?.id !== id || team.names.namespace !== namespace || !hasNotebook(team) || !isRestricted(team))
    return [];
  const now = await announce(slug, signal);
  return now === undefined ? [] : sentencesOf(deps, now, signal);
};

/** What keeps the list from being open: the fault in the team’s condition, and hosts without an address. */
const sentencesOf = async (
  { entries: options, settings, addresses }: AdmissionDeps,
  { notebook, status }: TeamRecord,
  signal: AbortSignal,
): Promise<readonly string[]> => {
  const condition = status.conditions.find(({ type }) => type === 'EgressEffective');
  if (condition !== undefined && condition.status !== 'True') return [condition.message];
  // With gke-fqdn the nodes resolve the names.
  if (notebook === null || settings.backend !== 'ip') return [];
  const { entries } = parseAllowlist(notebook.spec.allowlist.hosts, options);
  const known = await addresses(namesIn(entries, settings), signal);
  const hosts = new Map(entries.map(({ host, kind }) => [host, kind]));
  const reports = [...hosts].map(([host, kind]) => destinationOf(host, kind, known, settings).report);
  return [closedSentence(reports)].filter((sentence) => sentence !== undefined);
};
