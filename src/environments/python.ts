import { Check, Errors } from 'typebox/value';
import { isoOf } from '../lib/time.ts';
import { type CycleStatus, type PythonStatus, ReleaseCycle } from '../model/environment.ts';
import snapshot from './release-cycle.snapshot.json' with { type: 'json' };
import { comparePython } from './tags.ts';

export type ParsedReleaseCycle =
  | { readonly ok: true; readonly cycle: ReleaseCycle }
  | { readonly ok: false; readonly message: string };

/** One Python version on a given day. `endOfLife` is the last day on which it is supported. */
export interface PythonVersion {
  readonly version: string;
  readonly status: PythonStatus;
  readonly firstRelease: string;
  readonly endOfLife: string;
  readonly isEndOfLife: boolean;
}

/** PEP 602: from 3.13 on, a version gets bug fixes for two years after its release, then security fixes only. */
const TWO_YEARS_OF_BUGFIX_SINCE = '3.13';
const BUGFIX_YEARS = 2;

/**
 * Parses upstream’s document. One unknown value, or a day that does not exist, rejects the whole document: an older,
 * consistent document is better than a newer one with gaps.
 */
export function parseReleaseCycle(document: unknown): ParsedReleaseCycle {
  if (!Check(ReleaseCycle, document)) {
    const [first] = Errors(ReleaseCycle, document);
    return { ok: false, message: `Not a release cycle: ${first?.instancePath || '/'} ${first?.message}.` };
  }
  for (const [version, { first_release, end_of_life }] of Object.entries(document)) {
    const wrong = [first_release, end_of_life].find((date) => !isCalendarDate(date));
    if (wrong !== undefined) return { ok: false, message: `Python ${version}: there is no day ${wrong}.` };
  }
  return { ok: true, cycle: document };
}

/**
 * Every version of the cycle at `now` (epoch milliseconds), 3.9 before 3.10. Upstream changes a status by hand, early or
 * late, so the dates are used too: a released version is not "prerelease", and a version past its last day is at its end
 * of life, whatever its status.
 */
export function pythonVersions(cycle: ReleaseCycle, now: number): readonly PythonVersion[] {
  const today = isoOf(now).slice(0, 10);
  return Object.entries(cycle)
    .map(([version, entry]) => {
      const firstRelease = lastDay(entry.first_release);
      const endOfLife = lastSupportedDay(entry.status, entry.end_of_life);
      const status = effectiveStatus(version, entry.status, firstRelease, endOfLife, today);
      return { version, status, firstRelease, endOfLife, isEndOfLife: status === 'end_of_life' };
    })
    .sort((a, b) => comparePython(a.version, b.version));
}

/** Whether a version is released and still gets fixes. */
export function isSupported({ status }: PythonVersion): boolean {
  return status === 'bugfix' || status === 'security';
}

/**
 * The release cycle snapshot of this version, for the first start and for outages of upstream. The dates keep it
 * correct: a version in it retires on its day. Its source is in the file.
 */
export const releaseCycleSnapshot: { readonly cycle: ReleaseCycle; readonly fetchedAt: string } = {
  cycle: shippedCycle(),
  fetchedAt: snapshot.fetchedAt,
};

function shippedCycle(): ReleaseCycle {
  const parsed = parseReleaseCycle(snapshot.cycle);
  if (!parsed.ok) throw new Error(parsed.message);
  return parsed.cycle;
}

function effectiveStatus(
  version: string,
  stated: CycleStatus,
  firstRelease: string,
  endOfLife: string,
  today: string,
): PythonStatus {
  if (stated === 'end-of-life' || today > endOfLife) return 'end_of_life';
  if (stated === 'security') return stated;
  if (today < firstRelease) return stated;
  const outOfBugfix =
    comparePython(version, TWO_YEARS_OF_BUGFIX_SINCE) >= 0 && today >= yearsAfter(firstRelease, BUGFIX_YEARS);
  return outOfBugfix ? 'security' : 'bugfix';
}

/**
 * Before its end of life only the month of a version is known: the first of the month is a placeholder that would
 * retire the version a month early (upstream’s own tools use the last day of the month).
 */
function lastSupportedDay(status: CycleStatus, date: string): string {
  const isPlaceholder = status !== 'end-of-life' && date.endsWith('-01') && date.length === 10;
  return lastDay(isPlaceholder ? date.slice(0, 7) : date);
}

/** A month as its last day; a day as itself. */
function lastDay(date: string): string {
  if (date.length === 10) return date;
  const [year = 0, month = 0] = date.split('-').map(Number);
  return isoOf(Date.UTC(year, month, 0)).slice(0, 10);
}

function yearsAfter(day: string, years: number): string {
  return `${Number(day.slice(0, 4)) + years}${day.slice(4)}`;
}

function isCalendarDate(date: string): boolean {
  const day = lastDay(date);
  const ms = Date.parse(`${day}T00:00:00.000Z`);
  return !Number.isNaN(ms) && isoOf(ms).startsWith(day);
}
