import { createHash, timingSafeEqual } from 'node:crypto';
import { kinds } from '../model/kinds.ts';
import { namespaceOf } from '../model/names.ts';
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
  /** Any of these opens; with none, nothing does. 64 hexadecimal digits each. */
  readonly secrets: readonly string[];
  readonly cluster: Cluster;
  readonly store: Pick<Store, 'team'>;
  /**
   * Opens a team’s list for a notebook that is about to come; answers the team as it stands then. May go on for
   * longer than the signal, and throw.
   */
  readonly announce: (slug: string, signal: AbortSignal) => Promise<TeamRecord | undefined>;
  /** The API server waits for 5 seconds; by default 3 are ours. */
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

/** The largest object that Kubernetes takes. */
const largestBody = 3 * 1024 * 1024;

const digestOf = (text: string): Buffer => createHash('sha256').update(text).digest();

/**
 * What the API server asks before it makes a pod. The answer is always yes: a pod that starts with too little is
 * caught up with, and nothing on this way can open more than a team’s own list. The API server does not say
 * who it is, so that the path is the secret, and the question a hint: what a notebook may reach is read anew, and
 * what was opened for an Airflow run that never comes is taken back by reconcileRuns.
 */
export const admissionWith = (
  deps: AdmissionDeps,
): ((request: AdmissionRequest) => Promise<AdmissionAnswer>) => {
  const secrets = deps.secrets.map(digestOf);

  /** In a time that does not tell how much of it is right, nor which of them. */
  const isSecret = (path: string): boolean => {
    const given = digestOf(path.slice(1));
    return secrets.filter((secret) => timingSafeEqual(secret, given)).length > 0;
  };

  return async ({ method, path, body }) => {
    if (!isSecret(path)) return { status: 404, body: { error: 'There is nothing here.' } };
    if (method !== 'POST') return { status: 405, body: { error: 'Send an AdmissionReview by POST.' } };
    if (body.byteLength > largestBody) return malformed('The body is larger than 3 MiB.');
    const review = parseReview(jsonOf(body));
    if (review === undefined) return malformed('This is no AdmissionReview of admission.k8s.io/v1.');
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

/** Undefined for what is no JSON. */
const jsonOf = (body: Uint8Array): unknown => {
  try {
    return JSON.parse(Buffer.from(body).toString('utf8'));
  } catch {
    return undefined;
  }
};

const late = 'The allowlist could not be opened in time; it is tried again within a minute.';

/** Opens what the pod may reach, within the deadline whatever happens; answers sentences for whoever creates it. */
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
    // Not every store and hub can be told to stop: whoever is late is left alone.
    work.catch(() => undefined);
    return await Promise.race([work, ended]);
  } catch (error) {
    log.warn({ namespace, pod: name, err: error }, 'pod not announced');
    return [
      error instanceof Unavailable
        ? `The allowlist could not be opened: ${error.message} It is tried again within a minute.`
        : late,
    ];
  } finally {
    clearTimeout(timer);
  }
};

/** Of the request only the namespace is believed. Says nothing to whom it does not concern. */
const openNotebook = async (
  deps: AdmissionDeps,
  namespace: string,
  signal: AbortSignal,
): Promise<readonly string[]> => {
  const { cluster, store, announce } = deps;
  const found = await cluster.read({ ...kinds.namespace, name: namespace }, signal);
  const { [teamIdLabel]: id, [teamLabel]: slug } = found?.metadata.labels ?? {};
  if (slug === undefined || id === undefined || namespaceOf(id) !== namespace) return [];
  const team = await store.team(slug);
  if (team?.id !== id || !hasNotebook(team) || !isRestricted(team)) return [];
  const now = await announce(slug, signal);
  return now === undefined ? [] : sentencesOf(deps, now, signal);
};

/** What stands in the way of the list: a fault that the team’s condition tells, and hosts without an address. */
const sentencesOf = async (
  { entries: options, settings, addresses }: AdmissionDeps,
  { notebook, status }: TeamRecord,
  signal: AbortSignal,
): Promise<readonly string[]> => {
  const condition = status.conditions.find(({ type }) => type === 'EgressEffective');
  if (condition !== undefined && condition.status !== 'True') return [condition.message];
  // GKE’s nodes look names up by themselves.
  if (notebook === null || settings.backend !== 'ip') return [];
  const { entries } = parseAllowlist(notebook.spec.allowlist.hosts, options);
  const known = await addresses(namesIn(entries, settings), signal);
  const hosts = new Map(entries.map(({ host, kind }) => [host, kind]));
  const reports = [...hosts].map(([host, kind]) => destinationOf(host, kind, known, settings).report);
  return [closedSentence(reports)].filter((sentence) => sentence !== undefined);
};
