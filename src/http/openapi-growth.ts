import { handlerRules } from '../lib/schema.ts';
import type { OpenapiDocument } from './openapi.ts';

type Json = Record<string, unknown>;
const isNode = (value: unknown): value is Json => typeof value === 'object' && value !== null;

const int32Maximum = 2_147_483_647;

const formatOf = ({ type, format, maximum }: Json): string | undefined => {
  const types = [type].flat();
  if (format !== undefined) return undefined;
  if (types.includes('number')) return 'double';
  if (!types.includes('integer')) return undefined;
  return typeof maximum === 'number' && maximum <= int32Maximum ? 'int32' : 'int64';
};

const withKnownValues = (values: readonly unknown[], description: unknown): string => {
  const list = `Known values: ${values.map((value) => `\`${value}\``).join(', ')}. Expect others.`;
  return typeof description === 'string' ? `${description} ${list}` : list;
};

const grownNode = (node: unknown, isExample = false): unknown => {
  if (Array.isArray(node)) return node.map((item) => grownNode(item, isExample));
  if (!isNode(node) || isExample) return node;
  const { [handlerRules]: rules, ...own } = node;
  const fields = Object.entries({ ...own, ...(isNode(rules) ? rules : {}) }).map(([key, value]) => [
    key,
    // What stands under an example is data, also when it looks like a schema.
    grownNode(value, ['example', 'examples', 'default', 'enum', 'x-extensible-enum'].includes(key)),
  ]);
  const grown: Json = Object.fromEntries(fields);
  const isObject = [node.type].flat().includes('object') && isNode(node.properties);
  if (isObject && node.additionalProperties === undefined) grown.additionalProperties = true;
  const format = formatOf(node);
  if (format !== undefined) grown.format = format;
  const values = node['x-extensible-enum'];
  if (Array.isArray(values)) grown.description = withKnownValues(values, node.description);
  return grown;
};

/**
 * The document with its room to grow written out: an object that is not closed says `additionalProperties: true`, an open
 * list of values names them in its description, numbers have the format that generators choose their type by, and the rules
 * that a handler enforces stand beside those of the schema.
 */
export const grown = (document: OpenapiDocument): OpenapiDocument => grownNode(document) as OpenapiDocument;
