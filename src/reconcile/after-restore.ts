import { forEachConcurrently } from '../lib/concurrency.ts';
import { isoOf } from '../lib/time.ts';
import { kinds } from '../model/kinds.ts';
import type { TeamRecord } from '../model/record.ts';
import type { Cluster, Manifest } from '../ports/cluster.ts';
import type { Clock, Log } from '../ports/runtime.ts';
import type { Store } from '../ports/store.ts';
import { revisionAnnotation, teamIdLabel } from '../teams/labels.ts';

export interface RestoreDeps {
  readonly store: Pick<Store, 'teams' | 'change'>;
  readonly cluster: Pick<Cluster, 'list' | 'read'>;
  readonly clock: Clock;
  readonly log: Log;
}

/** What an operator sees after the step. */
export interface RestoreReport {
  /** Teams whose objects in the cluster were newer than the store, with the revision before and after. */
  readonly raised: readonly { readonly slug: string; readonly from: number; readonly to: number }[];
  /** Namespaces of teams that the restored store does not know. They are left alone. */
  readonly unknown: readonly string[];
}

/** Kinds that stand for every team, and that our account may list in the whole cluster. */
const stampedKinds = [kinds.serviceAccount, kinds.helmRelease, kinds.networkPolicy];

const listMs = 30_000;
const atOnce = 8;
const pageSize = 200;

const revisionOf = ({ metadata }: Manifest): number => {
  const revision = Number(metadata.annotations?.[revisionAnnotation] ?? 0);
  return Number.isSafeInteger(revision) ? revision : 0;
};

/**
 * Makes a store that was restored from a backup the truth again. The cluster refuses a lower revision than it has seen,
 * so every team whose objects are newer than its record gets a revision above theirs, and is due now. What people asked
 * for stays as the backup has it. Safe to repeat; the second time it changes nothing.
 */
export const raiseAboveCluster = async ({
  store,
  cluster,
  clock,
  log,
}: RestoreDeps): Promise<RestoreReport> => {
  const highest = new Map<string, number>();
  const namespaces = new Map<string, string>();
  for (const kind of stampedKinds) {
    const objects = await cluster.list({ ...kind, withLabels: [teamIdLabel] }, AbortSignal.timeout(listMs));
    for (const object of objects) {
      const id = object.metadata.labels?.[teamIdLabel] ?? '';
      highest.set(id, Math.max(highest.get(id) ?? 0, revisionOf(object)));
      namespaces.set(id, object.metadata.namespace ?? '');
    }
  }
  const raised: { slug: string; from: number; to: number }[] = [];
  const raise = async ({ slug, id, names, generation }: TeamRecord): Promise<void> => {
    const ref = { ...kinds.namespace, name: names.namespace };
    // The namespace is applied first, so it may be newer than everything in it.
    const namespace = await cluster.read(ref, AbortSignal.timeout(listMs));
    const seen = Math.max(highest.get(id) ?? 0, namespace === undefined ? 0 : revisionOf(namespace));
    if (seen <= generation) return;
    const dueAt = isoOf(clock.now());
    await store.change(slug, (team) =>
      team.id !== id || team.generation > seen
        ? undefined
        : { next: { ...team, generation: seen + 1, reconcile: { dueAt, failures: 0 } } },
    );
    log.warn({ team: slug, from: generation, to: seen + 1 }, 'revision raised above the cluster');
    raised.push({ slug, from: generation, to: seen + 1 });
  };
  const known = new Set<string>();
  for (let after: string | undefined, isLast = false; !isLast; ) {
    const page = await store.teams({ limit: pageSize, ...(after === undefined ? {} : { after }) });
    for (const { id } of page.items) known.add(id);
    await forEachConcurrently(page.items, atOnce, raise);
    after = page.next;
    isLast = after === undefined;
  }
  const unknown = [...namespaces].flatMap(([id, namespace]) => (known.has(id) ? [] : [namespace]));
  return {
    raised: raised.toSorted((a, b) => (a.slug < b.slug ? -1 : 1)),
    unknown: [...new Set(unknown)].toSorted(),
  };
};
