import { parse as parseYaml, YAMLParseError } from 'yaml';
import { isObject } from '../lib/json.ts';
import { platformFaults } from '../notebooks/platform-faults.ts';
import type { Variables } from './variables.ts';

export type ReadFile = (path: string) => string;

const masterKeysOf = (env: Variables) => {
  const keys = env.list('HUB_MASTER_KEYS').map((item) => {
    const [, id = '', key = ''] = /^([a-z0-9-]{1,32}):((?:[0-9a-fA-F]{2}){32,})$/.exec(item) ?? [];
    if (id === '') {
      env.fault('HUB_MASTER_KEYS', 'each key is id:key, the key at least 64 hexadecimal digits');
    }
    return { id, key };
  });
  if (keys.length === 0) env.fault('HUB_MASTER_KEYS', 'is missing');
  const ids = keys.map(({ id }) => id).filter((id) => id !== '');
  if (new Set(ids).size !== ids.length) env.fault('HUB_MASTER_KEYS', 'names a key id twice');
  return keys;
};

/** A template’s placeholders: the team’s slug, id and namespace. */
const templateOf = (env: Variables, name: string): string => {
  const template = env.text(name);
  if (template === '') return template;
  if (!/^https?:\/\//.test(template)) env.fault(name, 'must start with https:// or http://');
  if (!/\{(slug|id|namespace)\}/.test(template))
    env.fault(name, 'must name the team by {slug}, {id} or {namespace}');
  return template;
};

/** Never the parser’s own message: it quotes the file, which may hold secrets. */
const unreadable = (error: unknown): string => {
  if (error instanceof YAMLParseError) {
    return `is not YAML: ${error.code}${error.linePos ? ` in line ${error.linePos[0].line}` : ''}`;
  }
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
    return `cannot be read: ${error.code}`;
  }
  return 'is not YAML';
};

const valuesOf = (env: Variables, readFile: ReadFile) => {
  const allowInsecureAuth = env.flag('ALLOW_INSECURE_HUB_AUTH');
  const file = env.text('HUB_VALUES_FILE');
  if (file === '') return {};
  let values: unknown;
  try {
    values = parseYaml(readFile(file)) ?? {};
  } catch (error) {
    env.fault('HUB_VALUES_FILE', unreadable(error));
    return {};
  }
  if (!isObject(values)) {
    env.fault('HUB_VALUES_FILE', 'must be a YAML mapping of chart values');
    return {};
  }
  for (const fault of platformFaults(values, { allowInsecureAuth })) env.fault('HUB_VALUES_FILE', fault);
  return values;
};

const helmRepositoryOf = (env: Variables) => {
  const text = env.matching(
    'HELM_REPOSITORY',
    /^[a-z0-9-]+\/[a-z0-9.-]+$/,
    '<namespace>/<name>',
    'flux-system/jupyterhub',
  );
  const [namespace = '', name = ''] = text.split('/');
  return { namespace, name };
};

/** The teams’ hubs: how to reach them, their chart and its values. */
export const hubOf = (env: Variables, readFile: ReadFile) => ({
  urlTemplate: templateOf(env, 'HUB_URL_TEMPLATE'),
  apiUrlTemplate: templateOf(env, 'HUB_API_URL_TEMPLATE'),
  masterKeys: masterKeysOf(env),
  chartVersion: env.matching(
    'HUB_CHART_VERSION',
    /^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$/,
    'an exact version',
    '4.4.0',
  ),
  helmRepository: helmRepositoryOf(env),
  values: valuesOf(env, readFile),
  /** The chart’s values.schema.json, for --check-config. */
  valuesSchemaFile: env.optional('HUB_VALUES_SCHEMA_FILE'),
});
