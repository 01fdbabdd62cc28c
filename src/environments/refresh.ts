import { notThere, present } from '../images/absence.ts';
import { parseReference } from '../images/reference.ts';
import { isoOf } from '../lib/time.ts';
import type { Catalogue, CatalogueSource, StandardEntry } from '../model/catalogue.ts';
import type { StandardImage } from '../model/environment.ts';
import type { PythonReleases, Registries } from '../ports/registries.ts';
import { Unavailable } from '../ports/unavailable.ts';
import { catalogueOf, shippedCatalogue, sourceNames } from './catalogue.ts';
import { jupyterTags } from './jupyter.ts';
import { isSupported, parseReleaseCycle, pythonVersions } from './python.ts';
import { type NewestTag, newestPerPython, pythonOfImageName } from './tags.ts';

export interface CatalogueRefreshDeps {
  readonly registries: Registries;
  readonly pythonReleases: PythonReleases;
  readonly standardImages: readonly StandardImage[];
}

/** The result of reading one source: its part of the catalogue, new or unchanged. */
interface SourceResult<T> {
  readonly value: T;
  /** Why it is unchanged; null: the source answered. */
  readonly error: string | null;
}

/**
 * The next catalogue, from the current answers of all sources; `now` in epoch milliseconds. A source without a valid
 * answer leaves its part unchanged and has its error recorded; an image that a registry reports as missing is kept until
 * it was missing twice, ten minutes apart. Never throws because of a source.
 */
export const refreshCatalogue = async (
  deps: CatalogueRefreshDeps,
  previous: Catalogue | undefined,
  now: number,
  signal: AbortSignal,
): Promise<Catalogue> => {
  const before = previous ?? shippedCatalogue(deps.standardImages, now);
  const [cycle, jupyter, lists] = await Promise.all([
    readSource(before.cycle, () => readCycle(deps.pythonReleases, before, signal)),
    readSource(before.jupyter, () => readJupyter(deps.pythonReleases, signal)),
    Promise.all(deps.standardImages.map((image) => listTags(deps.registries, image, signal))),
  ]);
  const offerable = new Set(
    pythonVersions(cycle.value, now)
      .filter((version) => isSupported(version) && Object.hasOwn(jupyter.value, version.version))
      .map(({ version }) => version),
  );
  const standard = await Promise.all(
    lists.map(async (list) => {
      const entries = before.standard.filter(({ repository }) => repository === list.repository);
      return { ...(await nextEntries(deps.registries, list, entries, offerable, now, signal)), list };
    }),
  );
  const sources = [
    { name: sourceNames.python, error: cycle.error },
    { name: sourceNames.jupyter, error: jupyter.error },
    ...standard.map(({ list, error }) => ({ name: list.repository, error })),
  ];
  const listed = standard.map(({ list, entries }): [string, string[]] => {
    if (list.answer === 'tags') return [list.repository, [...list.newest.keys()]];
    const isGone = list.answer === 'absent' && entries.every(({ missing }) => missing);
    return [list.repository, isGone ? [] : (before.listed[list.repository] ?? [])];
  });
  return catalogueOf(
    {
      revision: before.revision + 1,
      cycle: cycle.value,
      jupyter: jupyter.value,
      standard: standard.flatMap(({ entries }) => entries),
      listed: Object.fromEntries(listed),
      sources: sources.map((source) => recordSource(source, before.sources, now)),
    },
    deps.standardImages,
    now,
  );
};

const recordSource = (
  { name, error }: { readonly name: string; readonly error: string | null },
  before: readonly CatalogueSource[],
  now: number,
): CatalogueSource => {
  const checkedAt = isoOf(now);
  const answeredAt = before.find((source) => source.name === name)?.answeredAt ?? null;
  return { name, checkedAt, answeredAt: error === null ? checkedAt : answeredAt, error };
};

/** The message of an expected error, which is shown to users; unexpected errors are not. */
const sentenceOf = (error: unknown): string =>
  error instanceof Unavailable ? error.message : 'It could not be read.';

const readSource = async <T>(before: T, ask: () => Promise<T>): Promise<SourceResult<T>> => {
  try {
    return { value: await ask(), error: null };
  } catch (error) {
    return { value: before, error: sentenceOf(error) };
  }
};

const readCycle = async (releases: PythonReleases, before: Catalogue, signal: AbortSignal) => {
  const parsed = parseReleaseCycle(await releases.releaseCycle(signal));
  if (!parsed.ok) throw new Unavailable(sourceNames.python, parsed.message);
  // Upstream never removes a version: a document that lacks one is incomplete.
  const lost = Object.keys(before.cycle).find((version) => !Object.hasOwn(parsed.cycle, version));
  if (lost !== undefined)
    throw new Unavailable(sourceNames.python, `Python ${lost} is missing from the document.`);
  return parsed.cycle;
};

const readJupyter = async (releases: PythonReleases, signal: AbortSignal) => {
  const tags = jupyterTags(await releases.jupyterTags(signal));
  if (Object.keys(tags).length === 0) {
    throw new Unavailable(sourceNames.jupyter, 'There is no tag of any Python version.');
  }
  return tags;
};

type ListedSource = { readonly repository: string; readonly host: string; readonly path: string } & (
  | {
      readonly answer: 'tags';
      readonly tags: ReadonlySet<string>;
      readonly newest: ReadonlyMap<string, NewestTag>;
    }
  | { readonly answer: 'absent' }
  | { readonly answer: 'unknown'; readonly message: string }
);

const listTags = async (
  registries: Registries,
  { repository }: StandardImage,
  signal: AbortSignal,
): Promise<ListedSource> => {
  const parsed = parseReference(repository);
  if (!parsed.ok) return { repository, host: '', path: '', answer: 'unknown', message: parsed.message };
  const { host, path } = parsed.reference;
  const source = { repository, host, path };
  const unknown = (message: string): ListedSource => ({ ...source, answer: 'unknown', message });
  try {
    const answer = await registries.tags({ host, path }, signal, { fresh: true });
    if (answer.answer === 'unknown') return unknown(answer.message);
    if (answer.answer === 'absent') return { ...source, answer: 'absent' };
    // The newest tag may be in the missing part.
    if (answer.value.partial) return unknown('The list of tags is incomplete.');
    const tags = new Set(answer.value.tags.map(({ tag }) => tag));
    return {
      ...source,
      answer: 'tags',
      tags,
      newest: newestPerPython(answer.value.tags, pythonOfImageName(path)),
    };
  } catch (error) {
    return unknown(sentenceOf(error));
  }
};

const nextEntries = async (
  registries: Registries,
  list: ListedSource,
  before: readonly StandardEntry[],
  offerable: ReadonlySet<string>,
  now: number,
  signal: AbortSignal,
): Promise<{ entries: readonly StandardEntry[]; error: string | null }> => {
  if (list.answer === 'unknown') return { entries: before, error: list.message };
  const gone = (entry: StandardEntry): StandardEntry => ({ ...entry, ...notThere(entry, now) });
  if (list.answer === 'absent') {
    return { entries: before.map(gone), error: 'The repository does not exist, or it is private.' };
  }

  let error: string | null = null;
  const next = async (python: string): Promise<StandardEntry | undefined> => {
    const known = before.find((entry) => entry.python === python);
    const newest = list.newest.get(python);
    if (known !== undefined && !list.tags.has(known.tag)) {
      const isOlder = newest === undefined || Date.parse(newest.builtAt) <= Date.parse(known.builtAt);
      const missed = gone(known);
      // The newest image is missing; an older one replaces it once that is confirmed.
      if (isOlder && (newest === undefined || !missed.missing)) return missed;
    }
    if (newest === undefined) return known;
    const { host, path, repository } = list;
    const answer = await registries
      .digest({ host, path, tag: newest.tag }, signal, { fresh: true })
      .catch((thrown: unknown) => ({ answer: 'unknown', message: sentenceOf(thrown) }) as const);
    if (answer.answer === 'found') {
      const { tag, builtAt, pushedAt = null } = newest;
      return { repository, python, tag, digest: answer.value, builtAt, pushedAt, ...present };
    }
    if (answer.answer === 'unknown') {
      error = answer.message;
      return known;
    }
    error = `The tag ${newest.tag} is listed, but its image does not exist.`;
    return known?.tag === newest.tag ? gone(known) : known;
  };
  const pythons = new Set([...list.newest.keys(), ...before.map(({ python }) => python)]);
  const entries = await Promise.all([...pythons].filter((python) => offerable.has(python)).map(next));
  return { entries: entries.filter((entry) => entry !== undefined), error };
};
