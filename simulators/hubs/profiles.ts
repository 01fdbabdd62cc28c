import { setTimeout as sleep } from 'node:timers/promises';
import { asMap, asText, at, isMap, type Json, type JsonMap, parseJson } from '../kubernetes/json.ts';

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

interface List {
  readonly revision: number;
  readonly profiles: readonly Profile[];
}

/**
 * KubeSpawner profiles that a hub reads from mounted files at every start: the last valid list, and
 * the refusal of a start that the list does not allow.
 */
export class NotebookProfiles {
  readonly #files: () => Readonly<Record<string, string>>;
  readonly #folder: string;
  readonly #revisionOption: string;
  readonly #waitMs: number;
  readonly #pollMs: number;
  #list: List | undefined;
  #fault: string | undefined;

  constructor(options: {
    readonly files: () => Readonly<Record<string, string>>;
    /** Where the files are mounted; named in error messages. */
    readonly folder: string;
    /** The user option that names the lowest revision a start may use. */
    readonly revisionOption: string;
    readonly waitMs: number;
    readonly pollMs: number;
  }) {
    this.#files = options.files;
    this.#folder = options.folder;
    this.#revisionOption = options.revisionOption;
    this.#waitMs = options.waitMs;
    this.#pollMs = options.pollMs;
    this.#load();
  }

  /** The profile that a start is for. Throws SpawnRefused; rejects when the signal ends the wait. */
  async choose(options: Json, signal: AbortSignal): Promise<Profile> {
    const needed = at(options, this.#revisionOption);
    await this.#untilSynced(needed === undefined ? -1 : needed, signal);
    if (this.#list === undefined) {
      throw refuse(
        'profiles_not_synced',
        `The hub has not been able to read the notebook's profiles yet (${this.#fault}). Try again in a minute.`,
      );
    }
    const { profiles } = this.#list;
    const [first] = profiles;
    if (first === undefined) {
      throw refuse(
        'no_environment',
        'There is nothing to start: the team has no image of its own, and the platform offers no Python environment.',
      );
    }
    const wanted = at(options, 'profile');
    if (!wanted) return profiles.find(({ isDefault }) => isDefault) ?? first;
    const chosen = profiles.find(({ slug }) => slug === wanted);
    if (chosen !== undefined) return chosen;
    const offered = profiles.map(({ slug }) => slug).join(', ');
    throw refuse('no_such_profile', `${repr(wanted)} is not offered any more. There are: ${offered}.`);
  }

  async #untilSynced(needed: Json, signal: AbortSignal): Promise<void> {
    if (typeof needed !== 'number' || !Number.isInteger(needed)) {
      throw refuse('invalid_revision', `${this.#revisionOption} must be an integer, not ${repr(needed)}.`);
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
    const revision = this.#text('revision').trim();
    if (!/^[+-]?[0-9]+$/.test(revision)) {
      throw new Error(`invalid literal for int() with base 10: '${revision}'`);
    }
    const profiles = parseJson(this.#text('profiles.json'));
    if (!Array.isArray(profiles)) throw new Error('profiles.json is not a list');
    return { revision: Number(revision), profiles: profiles.map(profileOf) };
  }

  #text(name: string): string {
    const text = this.#files()[name];
    if (text === undefined) {
      throw new Error(`[Errno 2] No such file or directory: '${this.#folder}/${name}'`);
    }
    return text;
  }
}
