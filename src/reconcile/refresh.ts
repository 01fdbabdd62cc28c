import { offersTheSame } from '../environments/catalogue.ts';
import { refreshCatalogue, type CatalogueRefreshDeps as SourceDeps } from '../environments/refresh.ts';
import { notThere, present } from '../images/absence.ts';
import { newerDigest, stillThere } from '../images/resolve.ts';
import { forEachConcurrently } from '../lib/concurrency.ts';
import { isoOf } from '../lib/time.ts';
import type { Catalogue } from '../model/catalogue.ts';
import type { TeamRecord } from '../model/record.ts';
import { recordAbsence, recordNewerDigest } from '../notebooks/rules.ts';
import type { Clock, Log } from '../ports/runtime.ts';
import type { Store } from '../ports/store.ts';

export interface RefreshDeps extends SourceDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
}

/** What a refresh did, for the log and for its caller. */
export interface RefreshReport {
  readonly environments: number;
  /** Whether the offered environments have changed; every team’s profiles are then rendered again. */
  readonly changed: boolean;
  /** Sources that did not answer; what was known of them stands. */
  readonly silent: readonly string[];
  readonly imagesChecked: number;
}

const teamsPerPage = 100;
const atOnce = 8;
const catalogueDeadlineMs = 30_000;
const imageDeadlineMs = 10_000;

/** Asks the registry about a team’s own image. Without an answer nothing changes. */
const checkImage = async (
  { registries, store, clock, log }: RefreshDeps,
  team: TeamRecord,
): Promise<void> => {
  const image = team.notebook?.image;
  if (image === null || image === undefined) return;
  const signal = AbortSignal.timeout(imageDeadlineMs);
  const newer = await newerDigest(registries, image, signal, { fresh: true });
  const there = await stillThere(registries, image, signal);
  await store.change(team.slug, (current) => {
    // The image has been changed since.
    if (current.notebook?.image?.digest !== image.digest) return undefined;
    const now = clock.now();
    const withDigest = newer === undefined ? undefined : recordNewerDigest(current, newer ?? image.digest);
    const before = withDigest?.next ?? current;
    const absence = there ? present : notThere(before.notebook?.imageAbsence ?? present, now);
    if (there === false && absence.missing)
      log.warn({ team: team.slug, digest: image.digest }, 'image in use was deleted');
    return (there === undefined ? undefined : recordAbsence(before, absence, isoOf(now))) ?? withDigest;
  });
};

const logLosses = (log: Log, before: Catalogue | undefined, after: Catalogue): void => {
  const offered = new Set(after.items.map(({ python }) => python));
  for (const { python, image } of before?.items ?? []) {
    if (offered.has(python)) continue;
    const reason = after.gaps.find((gap) => gap.python === python)?.reason;
    log.warn({ python, image, reason }, 'environment no longer offered');
  }
};

/**
 * One call of the scheduler: reads every source of the catalogue and checks the teams’ own images. The part of a source
 * that does not answer stays as it was. A team is written only when something about it has changed.
 */
export const refresh = async (deps: RefreshDeps): Promise<RefreshReport> => {
  const { store, clock, log } = deps;
  const before = await store.catalogue();
  const signal = AbortSignal.timeout(catalogueDeadlineMs);
  const next = await refreshCatalogue(deps, before, clock.now(), signal);
  const stored = await store.changeCatalogue((current) =>
    current !== undefined && current.revision >= next.revision ? undefined : next,
  );
  const changed = stored === next && !offersTheSame(before, next);
  if (changed) logLosses(log, before, next);

  let imagesChecked = 0;
  const visit = async (team: TeamRecord): Promise<void> => {
    if (team.notebook === null || team.deletion !== null) return;
    try {
      if (changed) {
        const dueAt = isoOf(clock.now());
        await store.change(team.slug, (current) => ({
          next: { ...current, reconcile: { ...current.reconcile, dueAt } },
        }));
      }
      if (team.notebook.image === null) return;
      imagesChecked += 1;
      await checkImage(deps, team);
    } catch (error) {
      // The regular reconcile renders its profiles in any case; the next refresh checks its image again.
      log.error({ team: team.slug, err: error }, 'refresh of a team failed');
    }
  };

  let after: string | undefined;
  do {
    const page = await store.teams({ limit: teamsPerPage, ...(after === undefined ? {} : { after }) });
    await forEachConcurrently(page.items, atOnce, visit);
    after = page.next;
  } while (after !== undefined);

  const silent = next.sources.filter(({ error }) => error !== null).map(({ name }) => name);
  if (silent.length > 0)
    log.warn({ sources: next.sources.filter(({ error }) => error !== null) }, 'sources not available');
  return { environments: next.items.length, changed, silent, imagesChecked };
};
