import { isoOf } from '../lib/time.ts';
/**
 * A parsed tag of a standard image. The formats of navikt/knada-images over time:
 * `A` 2023-06-16-738148c-3.10 · `B` 20250115-4cd26f3-3.11 · `C` 20251124-120000-3.11.
 *
 * `builtAt` is the time in the tag, read as UTC. It was the commit’s author date in the author’s own time zone, with a
 * precision of days in A and B, so it can be off by a day either way.
 */
export interface StandardTag {
  readonly tag: string;
  readonly python: string;
  readonly builtAt: string;
  readonly format: 'A' | 'B' | 'C';
  readonly commit?: string;
}

/** A tag as a registry lists it. `pushedAt` is an instant; `index` its position in a list from old to new. */
export interface ListedTag {
  readonly tag: string;
  readonly pushedAt?: string | undefined;
  readonly index?: number | undefined;
}

/** The newest tag of one Python version, with the time of its push when the registry says. */
export interface NewestTag extends StandardTag {
  readonly pushedAt?: string;
}

/**
 * Tags this close together are ordered by their push: two author time zones are at most 26 hours apart (UTC+14 to
 * UTC-12), and formats A and B have the day only.
 */
const TIE_MS = 26 * 3600 * 1000;

const MAX_TAG_LENGTH = 128;
const DAY = String.raw`(?<day>\d{4}-\d{2}-\d{2})`;
const COMPACT_DAY = String.raw`(?<day>\d{8})`;
const COMMIT = '(?<commit>[0-9a-f]{7,40})';
const PYTHON = String.raw`(?<python>3\.(?:0|[1-9]\d?))`;

const formats = [
  { format: 'A', pattern: new RegExp(`^${DAY}-${COMMIT}-${PYTHON}$`) },
  { format: 'B', pattern: new RegExp(`^${COMPACT_DAY}-${COMMIT}-${PYTHON}$`) },
  { format: 'C', pattern: new RegExp(String.raw`^${COMPACT_DAY}-(?<time>\d{6})-${PYTHON}$`) },
] as const;

/** Format C for an image whose name contains its Python version: dataverk-airflow-cg-python-3.13:20260618-040506. */
const plainC = new RegExp(String.raw`^${COMPACT_DAY}-(?<time>\d{6})$`);
const pythonVersion = new RegExp(`^${PYTHON}$`);
const jupyterTag = new RegExp(`^python-${PYTHON}$`);
const pythonInName = new RegExp(`-python-${PYTHON}$`);

/**
 * Parses the tag of a standard image; undefined when it has none of the formats or names a day that does not exist.
 * `pythonOfImage` is for an image whose name contains its Python version; its tags must not repeat it.
 */
export function parseStandardTag(tag: string, pythonOfImage?: string): StandardTag | undefined {
  if (tag.length > MAX_TAG_LENGTH) return undefined;
  if (pythonOfImage !== undefined) {
    if (!pythonVersion.test(pythonOfImage)) return undefined;
    const found = plainC.exec(tag)?.groups;
    return found && standardTag(tag, 'C', { ...found, python: pythonOfImage });
  }
  for (const { format, pattern } of formats) {
    const found = pattern.exec(tag)?.groups;
    if (found) return standardTag(tag, format, found);
  }
  return undefined;
}

/** The Python version in an image's name (`…-python-3.13`), undefined when there is none. */
export function pythonOfImageName(path: string): string | undefined {
  return pythonInName.exec(path)?.groups?.python;
}

/**
 * The Python version of a tag of Jupyter’s own images (`python-3.13`); undefined for every other tag, including those
 * of a patch release (`python-3.13.14`) or a single platform (`x86_64-python-3.13`).
 */
export function parseJupyterTag(tag: string): string | undefined {
  return jupyterTag.exec(tag)?.groups?.python;
}

/** Compares Python versions numerically: 3.9 comes before 3.10. */
export function comparePython(a: string, b: string): number {
  const [aMajor = 0, aMinor = 0] = a.split('.').map(Number);
  const [bMajor = 0, bMinor = 0] = b.split('.').map(Number);
  return aMajor - bMajor || aMinor - bMinor;
}

/**
 * The newest tag of each Python version, highest version first. Tags without a known format are ignored. Within 26
 * hours of the newest, the push time decides if all of them have one, else the time in the tag, then the position in
 * the list, then the text. The order of the input does not matter.
 */
export function newestPerPython(
  tags: readonly ListedTag[],
  pythonOfImage?: string,
): ReadonlyMap<string, NewestTag> {
  const candidates = tags.flatMap((listed) => {
    const standard = parseStandardTag(listed.tag, pythonOfImage);
    return standard === undefined ? [] : [{ standard, listed, pushedMs: instantMs(listed.pushedAt) }];
  });
  const byPython = Map.groupBy(candidates, ({ standard }) => standard.python);
  const newest = new Map<string, NewestTag>();
  for (const python of [...byPython.keys()].sort(comparePython).reverse()) {
    const best = newestOf(byPython.get(python) ?? []);
    if (best === undefined) continue;
    const { standard, pushedMs } = best;
    newest.set(python, {
      ...standard,
      ...(pushedMs !== undefined && { pushedAt: isoOf(pushedMs) }),
    });
  }
  return newest;
}

interface Candidate {
  readonly standard: StandardTag;
  readonly listed: ListedTag;
  readonly pushedMs: number | undefined;
}

function newestOf(candidates: readonly Candidate[]): Candidate | undefined {
  const latestMs = candidates.reduce(
    (latest, { standard }) => Math.max(latest, builtMs(standard)),
    -Infinity,
  );
  const close = candidates.filter(({ standard }) => latestMs - builtMs(standard) <= TIE_MS);
  const byPush = close.every(({ pushedMs }) => pushedMs !== undefined);
  const byIndex = close.every(({ listed }) => listed.index !== undefined);
  return close.toSorted(
    (a, b) =>
      (byPush ? (b.pushedMs ?? 0) - (a.pushedMs ?? 0) : 0) ||
      builtMs(b.standard) - builtMs(a.standard) ||
      (byIndex ? (b.listed.index ?? 0) - (a.listed.index ?? 0) : 0) ||
      (a.standard.tag < b.standard.tag ? 1 : a.standard.tag > b.standard.tag ? -1 : 0),
  )[0];
}

function standardTag(
  tag: string,
  format: StandardTag['format'],
  { day = '', time = '000000', python = '', commit }: Readonly<Record<string, string | undefined>>,
): StandardTag | undefined {
  const builtAt = utc(day.replaceAll('-', ''), time);
  if (builtAt === undefined) return undefined;
  return { tag, python, builtAt, format, ...(commit !== undefined && { commit }) };
}

/** YYYYMMDD and HHMMSS as an instant; undefined for the 31st of February. */
function utc(day: string, time: string): string | undefined {
  const [date, clock] = [
    `${day.slice(0, 4)}-${day.slice(4, 6)}-${day.slice(6)}`,
    `${time.slice(0, 2)}:${time.slice(2, 4)}:${time.slice(4)}`,
  ];
  const text = `${date}T${clock}.000Z`;
  const ms = Date.parse(text);
  // Date.parse accepts some days that do not exist; formatting the result reveals them.
  return Number.isNaN(ms) || isoOf(ms) !== text ? undefined : text;
}

function builtMs({ builtAt }: StandardTag): number {
  return Date.parse(builtAt);
}

function instantMs(text: string | undefined): number | undefined {
  const ms = text === undefined ? Number.NaN : Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}
