import { readFileSync } from 'node:fs';
import { platformOf } from './assemble/notebooks.ts';
import { chartFaults } from './config/chart-schema.ts';
import type { ReadFile } from './config/hub.ts';
import { type Config, ConfigError, namingOf } from './config.ts';
import { at, isObject } from './lib/json.ts';
import { releaseSpec } from './notebooks/desired.ts';
import { newTeam } from './teams/rules.ts';

/** Any team: its values differ from another team’s in names only. */
const sampleOf = (config: Config) =>
  newTeam(
    { slug: 'team' },
    'team-0000',
    { by: 'someone@example.org', now: new Date(0).toISOString() },
    namingOf(config),
  );

const schemaIn = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    throw new TypeError('is not JSON');
  }
};

const readingFault = (error: unknown): string => {
  if (error instanceof TypeError) return error.message;
  const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
  return code === undefined ? 'is not a JSON Schema' : `cannot be read: ${code}`;
};

const faultsOf = (config: Config, file: string, readFile: ReadFile): readonly string[] => {
  try {
    const values = at(releaseSpec(sampleOf(config), platformOf(config)), 'values');
    const faults = chartFaults(isObject(values) ? values : {}, schemaIn(readFile(file)));
    return faults.map((fault) => `HUB_VALUES_FILE: ${fault}`);
  } catch (error) {
    return [`HUB_VALUES_SCHEMA_FILE: ${readingFault(error)}`];
  }
};

/**
 * Validates what takes longer than a start may: the values of a hub, as they are merged for a team, against the
 * chart’s schema, if HUB_VALUES_SCHEMA_FILE names one. Throws ConfigError.
 */
export const checkConfig = (
  config: Config,
  readFile: ReadFile = (path) => readFileSync(path, 'utf8'),
): void => {
  const file = config.hub.valuesSchemaFile;
  const faults = file === undefined ? [] : faultsOf(config, file, readFile);
  if (faults.length > 0) throw new ConfigError(faults);
};
