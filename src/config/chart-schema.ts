import { Ajv, type ErrorObject } from 'ajv';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { isObject, type JsonObject } from '../lib/json.ts';

/** JSON Schema drafts by the schema’s `$schema`. */
const drafts = [
  [/draft-07\/schema/, Ajv],
  [/2019-09\/schema/, Ajv2019],
  [/2020-12\/schema/, Ajv2020],
] as const;

/** Without `required`: the chart’s own values, which Helm puts under ours, provide what the schema requires. */
const withoutRequired = (schema: unknown): unknown => {
  if (Array.isArray(schema)) return schema.map(withoutRequired);
  if (!isObject(schema)) return schema;
  return Object.fromEntries(
    Object.entries(schema)
      .filter(([key, value]) => !(key === 'required' && Array.isArray(value)))
      .map(([key, value]) => [key, withoutRequired(value)]),
  );
};

const pathOf = (pointer: string): string =>
  pointer
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
    .join('.');

/** Never the value itself, which may be a secret. */
const sentenceOf = ({ keyword, instancePath, params, message }: ErrorObject): string | undefined => {
  const path = pathOf(instancePath);
  if (keyword === 'additionalProperties') {
    const name = String(params.additionalProperty);
    return `${path === '' ? name : `${path}.${name}`} is not a value of the chart.`;
  }
  // Says only that one of the branches, each of which has its own fault, does not fit.
  if (keyword === 'if') return undefined;
  return `${path === '' ? 'The document' : path} ${message ?? 'is not valid'}.`;
};

/**
 * What a chart’s values.schema.json has against these values: a sentence with its path for each fault. Throws
 * TypeError for a schema that cannot be used.
 */
export const chartFaults = (values: JsonObject, schema: unknown): readonly string[] => {
  if (!isObject(schema)) throw new TypeError('is not a JSON Schema');
  const declared = String(schema.$schema ?? 'http://json-schema.org/draft-07/schema#');
  const draft = drafts.find(([pattern]) => pattern.test(declared));
  if (draft === undefined) throw new TypeError(`is of a draft that is not supported: ${declared}`);
  const [, Compiler] = draft;
  const ajv = new Compiler({ strict: false, allErrors: true, validateFormats: false });
  const { $schema: _, ...body } = schema;
  const lenient = withoutRequired(body);
  if (!isObject(lenient)) throw new TypeError('is not a JSON Schema');
  const validate = ajv.compile(lenient);
  if (validate(values)) return [];
  return [...new Set((validate.errors ?? []).flatMap((error) => sentenceOf(error) ?? []))];
};
