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

/** What a refresh did, for the log and for whoever called it. */
export interface RefreshReport {
  readonly environments: number;
  /** Whether members are offered something else than before; every team’s profiles are then rendered anew. */
  readonly changed: boolean;
  /** Sources that gave no answer; what was known of them stands. */
  readonly silent: readonly string[];
  readonly imagesChecked: number;
}

const teamsPerPage = 100;
const atOnce = 8;
const catalogueDeadlineMs = 30_000;
const imageDeadlineMs = 10_000;

/** What is asked of a registry about a team’s own image. Unknown answers change nothing. */
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
    // Another image by now: what we know is of no interest.
    if (current.notebook?.image?.digest !== image.digest) return undefined;
    const now = clock.now();
    const told = newer === undefined ? undefined : recordNewerDigest(current, newer ?? image.digest);
    const before = told?.next ?? current;
    const absence = there ? present : notThere(before.notebook?.imageAbsence ?? present, now);
    if (there === false && absence.missing)
      log.warn({ team: team.slug, digest: image.digest }, 'image in use is gone');
    return (there === undefined ? undefined : recordAbsence(before, absence, isoOf(now))) ?? told;
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
 * One call of the scheduler: looks at every source of the catalogue and at the teams’ own images. A source that is
 * away leaves its part as it was. A team is touched only when something about it has changed.
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
      // The regular look renders its profiles anew in any case; the next refresh asks for its image again.
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
    log.warn({ sources: next.sources.filter(({ error }) => error !== null) }, 'sources silent');
  return { environments: next.items.length, changed, silent, imagesChecked };
};
