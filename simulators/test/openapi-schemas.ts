import { asList, asMap, asText, asTexts, at, isMap, type Json, type JsonMap } from '../kubernetes/json.ts';

/**
 * Condenses a real API server's OpenAPI v3 documents into schemas.txt: only what decides how objects are
 * merged, pruned and checked. `roots` are type names as they stand in the documents.
 *
 * Built-in types keep their structure and the defaults of list keys; custom resources also keep their
 * defaults and limits, which the real server takes from the same schema.
 */
export function condense(components: ReadonlyMap<string, JsonMap>, roots: readonly string[]): string {
  const done = new Map<string, string[]>();
  const waiting = [...roots];
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
    const schema = components.get(name);
    if (done.has(shortName(name)) || schema === undefined) continue;
    writeType(shortName(name), schema, !name.startsWith('io.k8s.'), done, waiting);
  }
  return [...done.keys()]
    .toSorted()
    .map((name) => `${(done.get(name) ?? []).join('\n')}\n`)
    .join('\n');
}

/** `io.k8s.api.core.v1.Pod` is `core.Pod`. */
export function shortName(name: string): string {
  const parts = name.split('.');
  return `${parts.at(-3)}.${parts.at(-1)}`;
}

const OWN_RULES = [
  'io.k8s.apimachinery.pkg.api.resource.Quantity',
  'io.k8s.apimachinery.pkg.runtime.RawExtension',
];

function writeType(
  name: string,
  schema: JsonMap,
  custom: boolean,
  done: Map<string, string[]>,
  waiting: string[],
): void {
  const lines: string[] = [];
  done.set(name, lines);
  const traits: JsonMap = {};
  if (schema['x-kubernetes-map-type'] === 'atomic') traits.atomic = true;
  if (schema['x-kubernetes-preserve-unknown-fields'] === true) traits.open = true;
  const required = asTexts(schema.required);
  if (custom && required.length > 0) traits.required = required;
  const rules = asList(schema['x-kubernetes-validations']).map((rule) => ({
    rule: at(rule, 'rule') ?? '',
    message: at(rule, 'message') ?? '',
  }));
  if (custom && rules.length > 0) traits.rules = rules;
  lines.push(withTraits(name, traits));
  for (const [field, property] of Object.entries(asMap(schema.properties)).toSorted(([a], [b]) =>
    a < b ? -1 : 1,
  )) {
    const described = describe(`${name}.${field}`, asMap(property), custom, done, waiting);
    const keyed = !custom && field === 'protocol' && asMap(property).default !== undefined;
    if (keyed) described.traits.default = asMap(property).default ?? null;
    if (!custom && isMap(asMap(property).default) && isDeclaredType(described.type))
      described.traits.struct = true;
    if (!custom && required.includes(field) && /^[[{]/.test(described.type)) described.traits.written = true;
    lines.push(`  ${withTraits(`${field} ${described.type}`, described.traits)}`);
  }
}

/**
 * A default of {} marks a field that the server always writes: a struct, not a pointer to one. Lists and maps that
 * are required are always written too, as null when there is nothing in them.
 */
const isDeclaredType = (type: string): boolean => /^[a-z]+\./.test(type);

const withTraits = (text: string, traits: JsonMap): string =>
  Object.keys(traits).length === 0 ? text : `${text} ${JSON.stringify(traits)}`;

interface Described {
  readonly type: string;
  readonly traits: JsonMap;
}

function describe(
  path: string,
  property: JsonMap,
  custom: boolean,
  done: Map<string, string[]>,
  waiting: string[],
): Described {
  const traits: JsonMap = custom ? limits(property) : {};
  if (property['x-kubernetes-map-type'] === 'atomic') traits.atomic = true;
  const reference = asText(property.$ref) || asText(at(asList(property.allOf)[0], '$ref'));
  if (reference !== '') {
    const target = reference.slice(reference.lastIndexOf('/') + 1);
    if (target === OWN_RULES[0]) return { type: 'scalar', traits };
    if (target === OWN_RULES[1]) return { type: 'untyped', traits };
    const scalar = SCALAR_TYPES[shortName(target)];
    if (scalar !== undefined) return { type: scalar, traits };
    waiting.push(target);
    return { type: shortName(target), traits };
  }
  switch (property.type) {
    case 'string':
      return { type: ['', 'byte'].includes(asText(property.format)) ? 'string' : 'scalar', traits };
    case 'integer':
      return { type: 'integer', traits };
    case 'number':
      return { type: 'number', traits };
    case 'boolean':
      return { type: 'boolean', traits };
    case 'array':
      Object.assign(traits, listTraits(property));
      return {
        type: `[${describe(`${path}.item`, asMap(property.items), custom, done, waiting).type}]`,
        traits,
      };
    case 'object': {
      if (isMap(property.properties)) {
        writeType(path, property, custom, done, waiting);
        return { type: path, traits };
      }
      if (isMap(property.additionalProperties)) {
        return {
          type: `{${describe(`${path}.value`, property.additionalProperties, custom, done, waiting).type}}`,
          traits,
        };
      }
      return { type: 'any', traits };
    }
    default:
      return { type: property['x-kubernetes-int-or-string'] === true ? 'scalar' : 'any', traits };
  }
}

/** Named types that are not objects. */
const SCALAR_TYPES: Readonly<Record<string, string>> = {
  'meta.Time': 'scalar',
  'meta.MicroTime': 'scalar',
  'meta.FieldsV1': 'any',
  'util.IntOrString': 'scalar',
  'apiextensions.JSON': 'any',
  'apiextensions.JSONSchemaPropsOrArray': 'any',
  'apiextensions.JSONSchemaPropsOrBool': 'any',
  'apiextensions.JSONSchemaPropsOrStringArray': 'any',
  'apiextensions.CustomResourceSubresourceStatus': 'any',
};

function listTraits(property: JsonMap): JsonMap {
  const traits: JsonMap = {};
  if (property['x-kubernetes-list-type'] === 'set') traits.set = true;
  if (property['x-kubernetes-list-type'] === 'map')
    traits.keys = property['x-kubernetes-list-map-keys'] ?? [];
  if (asText(property['x-kubernetes-patch-strategy']).split(',').includes('merge')) {
    traits.patch = property['x-kubernetes-patch-merge-key'] ?? '';
  }
  return traits;
}

const LIMITS = [
  'default',
  'enum',
  'pattern',
  'minimum',
  'maximum',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
];

function limits(property: JsonMap): JsonMap {
  const found: [string, Json][] = [];
  for (const limit of LIMITS) {
    const value = property[limit];
    if (value !== undefined) found.push([limit, value]);
  }
  return Object.fromEntries(found);
}
