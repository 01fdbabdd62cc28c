import { setTimeout as sleep } from 'node:timers/promises';
import { asMap, asText, isMap, type Json, type JsonMap, parseJson } from '../kubernetes/json.ts';
import type { ProfileConvention } from './conventions.ts';

/** The notebook is not started, and the message says why. */
export class SpawnRefused extends Error {}

const refuse = (code: string, sentence: string): SpawnRefused => new SpawnRefused(`${code}: ${sentence}`);

export interface Profile {
  readonly slug: string;
  readonly isDefault: boolean;
  readonly override: JsonMap;
}

/** As Python prints a value of JSON. */
const repr = (value: Json | undefined): string => {
  if (value === null || value === undefined) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  return typeof value === 'string' ? `'${value}'` : JSON.stringify(value);
};

const profileOf = (value: Json): Profile => {
  if (!isMap(value)) throw new Error('a profile is not an object');
  for (const key of ['slug', 'display_name'] as const) {
    if (typeof value[key] !== 'string') throw new Error(`a profile has no usable ${key}`);
  }
  if (!isMap(value.kubespawner_override)) throw new Error('a profile has no usable kubespawner_override');
  return {
    slug: asText(value.slug),
    isDefault: value.default === true,
    override: asMap(value.kubespawner_override),
  };
};

/** What a start uses, and what the hub stores as the user’s options. */
export interface ChosenProfile {
  readonly profile: Profile;
  readonly options: JsonMap;
}

interface List {
  readonly revision: number;
  /** A choice from before this revision counts no longer. */
  readonly choicesFrom: number;
  readonly profiles: readonly Profile[];
}

/**
 * KubeSpawner profiles that a hub reads from mounted files at every start: the last valid list, and
 * the refusal of a start that the list does not allow.
 */
type Convention = Pick<ProfileConvention, 'folder' | 'revisionOption' | 'chosenAtOption' | 'choicesFromFile'>;

export class NotebookProfiles {
  readonly #files: () => Readonly<Record<string, string>>;
  readonly #convention: Convention;
  readonly #waitMs: number;
  readonly #pollMs: number;
  #list: List | undefined;
  #fault: string | undefined;

  constructor(options: {
    readonly files: () => Readonly<Record<string, string>>;
    readonly convention: Convention;
    readonly waitMs: number;
    readonly pollMs: number;
  }) {
    this.#files = options.files;
    this.#convention = options.convention;
    this.#waitMs = options.waitMs;
    this.#pollMs = options.pollMs;
    this.#load();
  }

  /** The profile that a start is for. Throws SpawnRefused; rejects when the signal ends the wait. */
  async choose(given: Json, signal: AbortSignal): Promise<ChosenProfile> {
    const { revisionOption, chosenAtOption } = this.#convention;
    const { [revisionOption]: needed, ...options } = asMap(given);
    // One alone is in options that the hub repeats; a request has both or neither.
    const isStored = (needed !== undefined) !== chosenAtOption in options;
    const list = await this.#synced(needed === undefined ? -1 : needed, signal);
    const [first] = list.profiles;
    if (first === undefined) {
      throw refuse(
        'no_environment',
        'There is nothing to start: the team has no image of its own, and the platform offers no Python environment.',
      );
    }
    const wanted = options.profile;
    const found = list.profiles.find(({ slug }) => slug === wanted);
    if (wanted && found === undefined && !isStored) {
      const offered = list.profiles.map(({ slug }) => slug).join(', ');
      throw refuse('no_such_profile', `${repr(wanted)} is not offered any more. There are: ${offered}.`);
    }
    const date = options[chosenAtOption] ?? (isStored ? 0 : list.revision);
    const chosenAt = typeof date === 'number' && Number.isInteger(date) ? date : 0;
    const isChosen = found !== undefined && chosenAt >= list.choicesFrom;
    const profile = isChosen ? found : (list.profiles.find(({ isDefault }) => isDefault) ?? first);
    const isAsWanted = profile.slug === wanted;
    return {
      profile,
      options: {
        ...options,
        profile: profile.slug,
        [chosenAtOption]: isAsWanted ? chosenAt : list.revision,
      },
    };
  }

  async #synced(needed: Json, signal: AbortSignal): Promise<List> {
    if (typeof needed !== 'number' || !Number.isInteger(needed)) {
      throw refuse(
        'invalid_revision',
        `${this.#convention.revisionOption} must be an integer, not ${repr(needed)}.`,
      );
    }
    const deadline = Date.now() + this.#waitMs;
    for (this.#load(); this.#revision < needed; this.#load()) {
      if (Date.now() >= deadline) {
        const why = this.#fault === undefined ? '. Try again in a minute.' : ` (${this.#fault}).`;
        throw refuse(
          'profiles_not_synced',
          `The hub still has revision ${this.#revision} of the notebook's profiles, not ${needed}, after ${this.#waitMs / 1000} seconds${why}`,
        );
      }
      await sleep(this.#pollMs, undefined, { signal });
    }
    if (this.#list !== undefined) return this.#list;
    throw refuse(
      'profiles_not_synced',
      `The hub has not been able to read the notebook's profiles yet (${this.#fault}). Try again in a minute.`,
    );
  }

  get #revision(): number {
    return this.#list?.revision ?? -1;
  }

  #load(): void {
    try {
      this.#list = this.#read();
      this.#fault = undefined;
    } catch (error) {
      this.#fault = error instanceof Error ? error.message : String(error);
    }
  }

  #read(): List {
    const revision = this.#integer('revision');
    const profiles = parseJson(this.#text('profiles.json'));
    if (!Array.isArray(profiles)) throw new Error('profiles.json is not a list');
    const { choicesFromFile } = this.#convention;
    const choicesFrom = choicesFromFile in this.#files() ? this.#integer(choicesFromFile) : 0;
    return { revision, choicesFrom, profiles: profiles.map(profileOf) };
  }

  #integer(name: string): number {
    const text = this.#text(name).trim();
    if (!/^[+-]?[0-9]+$/.test(text)) {
      throw new Error(`invalid literal for int() with base 10: '${text}'`);
    }
    return Number(text);
  }

  #text(name: string): string {
    const text = this.#files()[name];
    if (text === undefined) {
      throw new Error(`[Errno 2] No such file or directory: '${this.#convention.folder}/${name}'`);
    }
    return text;
  }
}
