import { parse as parseYaml } from 'yaml';
import { applyDefaults } from './defaults.ts';
import { asMap, isMap, type Json, parseJson } from './json.ts';
import { dropUnknown, holdsEmpties, normalizeBuiltIn, withDefaults, withoutNulls } from './normalize.ts';
import { asObject, type KubeObject } from './object.ts';
import type { Target } from './request.ts';
import { groupVersionOf, type Resource } from './resources.ts';
import { schemaOf } from './schema.ts';
import { badRequest, unsupportedMediaType } from './status.ts';
import { typeFaults } from './structured-merge.ts';

const METADATA = schemaOf(undefined);

/** Reads the body of a POST or PUT: JSON or YAML. */
export function parseBody(text: string, contentType: string, resource: Resource): Json {
  const media = contentType.split(';')[0]?.trim() ?? '';
  if (!['', 'application/json', 'application/yaml'].includes(media)) {
    throw unsupportedMediaType(
      'the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf',
    );
  }
  try {
    return media === 'application/yaml' ? parseYamlBody(text) : parseJson(text);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw badRequest(
      `the object provided is unrecognized (must be of type ${resource.kind}): couldn't get version/kind; json parse error: ${why}`,
    );
  }
}

/** Parses YAML, and with it JSON; 400 when it is neither. */
export function parseYamlBody(text: string): Json {
  try {
    const value: Json = parseYaml(text);
    return value;
  } catch (error) {
    throw badRequest(`error decoding YAML: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Parses a JSON or merge patch; 400 when it is no JSON. */
export function parsePatch(text: string): Json {
  try {
    return parseJson(text);
  } catch (error) {
    throw badRequest(`error decoding patch: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** An object as it was sent, in the forms that the server needs. */
export interface Decoded {
  readonly object: KubeObject;
  /** The same with empty values inside atomic lists, which count when changes are recorded. */
  readonly full: KubeObject;
  readonly warnings: readonly string[];
  /** Empty lists or maps were sent; they are not stored. */
  readonly hasEmpties: boolean;
}

/** Turns what was sent into the object as the server holds it; unknown fields are dropped and reported. */
export function decode(target: Target, body: Json, fieldValidation: string): Decoded {
  const { resource } = target;
  if (!isMap(body))
    throw badRequest(`the object provided is unrecognized (must be of type ${resource.kind})`);
  const sent = asObject(body);
  if (resource.custom && sent.kind === '') {
    throw badRequest(
      `the object provided is unrecognized (must be of type ${resource.kind}): Object 'Kind' is missing`,
    );
  }
  const groupVersion = groupVersionOf(resource);
  const [kind, apiVersion] = [sent.kind || resource.kind, sent.apiVersion || groupVersion];
  if (kind !== resource.kind || apiVersion !== groupVersion) {
    throw badRequest(
      `${kind} in version "${apiVersion}" cannot be handled as a ${resource.kind}: the API version and kind in the data do not match those of the request`,
    );
  }
  const schema = schemaOf(resource.schema);
  const unknown: string[] = [];
  const known = asObject(dropUnknown(schema, { ...sent, kind, apiVersion }, unknown));
  if (unknown.length > 0 && fieldValidation === 'Strict') {
    const list = unknown.map((field) => `unknown field "${field}"`).join(', ');
    throw badRequest(
      `${kind} in version "${apiVersion}" cannot be handled as a ${kind}: strict decoding error: ${list}`,
    );
  }
  const warnings = fieldValidation === 'Ignore' ? [] : unknown.map((field) => `unknown field "${field}"`);
  if (resource.custom) {
    const { metadata = {} } = asMap(normalizeBuiltIn(METADATA, { metadata: known.metadata }));
    const object = asObject(withDefaults(schema, withoutNulls(schema, { ...known, metadata })));
    return { object, full: object, warnings, hasEmpties: false };
  }
  const [fault] = typeFaults(schema, known).filter((one) => !one.message.startsWith('duplicate'));
  if (fault !== undefined) {
    const field = `${kind}${fault.path}`;
    throw badRequest(
      `${kind} in version "${apiVersion}" cannot be handled as a ${kind}: json: cannot unmarshal into Go struct field ${field}: ${fault.message}`,
    );
  }
  const full = applyDefaults(asObject(normalizeBuiltIn(schema, known, 'keep-in-lists')));
  const object = asObject(normalizeBuiltIn(schema, full));
  const inMemory = applyDefaults(asObject(normalizeBuiltIn(schema, known, 'keep')));
  return { object, full, warnings, hasEmpties: holdsEmpties(schema, inMemory) };
}
