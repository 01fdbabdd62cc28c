import type { OpenapiDocument } from '../../src/http/openapi.ts';
import { pointerToken } from '../../src/lib/json.ts';

type Node = Readonly<Record<string, unknown>>;
const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const nodeAt = (node: unknown, ...path: readonly string[]): Node =>
  path.reduce<Node>((at, name) => (isNode(at[name]) ? at[name] : {}), isNode(node) ? node : {});
const listOf = (value: unknown): readonly unknown[] =>
  Array.isArray(value) ? value : value === undefined ? [] : [value];

type Side = 'request' | 'answer';

interface Place {
  readonly side: Side;
  /** Where the schema stands: an operation’s body or response, or a component. */
  readonly where: string;
  readonly schema: Node;
  /** A component, or the schema of a body, a response or a parameter. */
  readonly isTop: boolean;
  /** The name of the property that it is the schema of. */
  readonly name?: string;
}

/** Kubernetes objects: their fields are Kubernetes’ own. The document itself is no shape of ours either. */
const foreign = ['Manifest'];

/** Enum values that are Kubernetes’ own words; every other is in snake_case. */
const camelCased = /(?:[/ ](?:Phase|ConditionReason|phase)|\/Condition\/(?:type|status|reason))$/;

/** Instants that are called otherwise in Kubernetes, or that a person says. */
const otherInstants = ['lastTransitionTime', 'asOf', 'until', 'since'];

const schemasIn = function* (place: Place): Generator<Place> {
  yield place;
  const { schema, side, where } = place;
  for (const [name, inner] of Object.entries(nodeAt(schema, 'properties')))
    if (isNode(inner))
      yield* schemasIn({ side, where: where + pointerToken(name), schema: inner, isTop: false, name });
  for (const keyword of ['items', 'additionalProperties']) {
    const inner = schema[keyword];
    if (isNode(inner)) yield* schemasIn({ side, where: `${where}/*`, schema: inner, isTop: false });
  }
};

const componentOf = (schema: Node): string | undefined =>
  typeof schema.$ref === 'string' ? schema.$ref.replace(/^.*\//, '') : undefined;

interface OperationOf {
  readonly where: string;
  readonly operation: OpenapiDocument['paths'][string][string];
}

const operationsOf = (document: OpenapiDocument): readonly OperationOf[] =>
  Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => ({
      where: `${method.toUpperCase()} ${path}`,
      operation,
    })),
  );

const responsesOf = (document: OpenapiDocument, { operation }: OperationOf) =>
  Object.entries(operation.responses).map(([status, response]) => {
    const name = componentOf(response);
    return { status, response: name === undefined ? response : (document.components.responses[name] ?? {}) };
  });

/** Every schema of the contract with the side that it is on, each component once per side. */
const placesOf = (document: OpenapiDocument): readonly Place[] => {
  const places: Place[] = [];
  const seen = new Set<string>();
  const visit = (place: Place): void => {
    for (const one of schemasIn(place)) {
      places.push(one);
      const name = componentOf(one.schema);
      const component = name === undefined ? undefined : document.components.schemas[name];
      if (name === undefined || component === undefined || seen.has(`${name} ${one.side}`)) continue;
      seen.add(`${name} ${one.side}`);
      visit({ side: one.side, where: `/${name}`, schema: component, isTop: true });
    }
  };
  for (const at of operationsOf(document)) {
    const top = (side: Side, where: string, schema: unknown) =>
      isNode(schema) && visit({ side, where, schema, isTop: true });
    for (const { name, schema } of at.operation.parameters ?? [])
      top('request', `${at.where} ${name}`, schema);
    for (const media of Object.values(at.operation.requestBody?.content ?? {}))
      top('request', `${at.where} body`, media.schema);
    for (const { status, response } of responsesOf(document, at))
      for (const media of Object.values(response.content ?? {}))
        top('answer', `${at.where} ${status}`, media.schema);
  }
  return places;
};

const kindsOf = ({ type }: Node): readonly unknown[] => listOf(type);

const schemaFaults = (document: OpenapiDocument): readonly string[] => {
  const sides = new Map<string, Side>();
  return placesOf(document).flatMap(({ side, where, schema, isTop, name }) => {
    const faults: string[] = [];
    const fault = (sentence: string) => faults.push(`${where} ${sentence}`);
    const kinds = kindsOf(schema);
    const component = isTop ? where.match(/^\/([A-Za-z]+)$/)?.[1] : undefined;
    if (component !== undefined && foreign.includes(component)) return [];

    if (kinds.includes('object') && schema.properties !== undefined) {
      if (!isTop) fault('is an object without a name: make it a component');
      if (side === 'request' && schema.additionalProperties !== false)
        fault('is a request that is not closed');
      if (side === 'answer' && schema.additionalProperties !== true)
        fault('is an answer that cannot gain a field');
      // Most generators do not read null where the type is a reference to an object.
      if (side === 'answer' && kinds.includes('null'))
        fault('is an object of an answer that may be null: leave its field out instead');
      if (component !== undefined) {
        if (sides.has(component) && sides.get(component) !== side)
          fault('is used in requests and in answers: give each its own');
        sides.set(component, side);
      }
    }
    if (component === 'Version' || component === 'Environment')
      fault('has a name that every SDK has already');

    const values = [...listOf(schema.enum), ...listOf(schema['x-extensible-enum'])];
    if (side === 'answer' && schema.enum !== undefined) fault('is an answer that cannot gain a value');
    if (values.includes(null)) fault('has null in its list of values');
    for (const value of values) {
      const form = camelCased.test(where) ? /^[A-Z][A-Za-z0-9]*$/ : /^[a-z][a-z0-9]*(_[a-z0-9]+)*$/;
      if (typeof value === 'string' && !form.test(value)) fault(`has the value "${value}" in another casing`);
    }

    if (kinds.includes('number') && schema.format !== 'double') fault('is a number without format double');
    if (kinds.includes('integer') && !['int32', 'int64'].includes(String(schema.format)))
      fault('is an integer without a format');
    if (name !== undefined) {
      if (schema.format === 'date-time' && !/At$|^at$/.test(name) && !otherInstants.includes(name))
        fault('is an instant whose name does not end in At');
      if (/^port|Port$/.test(name) && !kinds.includes('integer')) fault('is a port that is no integer');
      if (name === 'path') fault('is called path: a place in a document is a pointer');
    }
    return faults;
  });
};

const operationFaults = (document: OpenapiDocument): readonly string[] =>
  operationsOf(document).flatMap((at) => {
    const { where, operation } = at;
    const faults: string[] = [];
    const fault = (sentence: string) => faults.push(`${where} ${sentence}`);
    if (typeof operation.description !== 'string' || operation.description === '')
      fault('needs a description');

    const responses = responsesOf(document, at);
    const successes = responses.filter(({ status }) => status.startsWith('2'));
    const shapes = new Set(
      successes.map(({ response }) =>
        JSON.stringify(nodeAt(response, 'content', 'application/json', 'schema')),
      ),
    );
    if (shapes.size > 1) fault('has more than one type of success');

    if (String(operation.operationId).startsWith('list')) {
      const page = componentOf(nodeAt(successes[0]?.response, 'content', 'application/json', 'schema'));
      const schema = document.components.schemas[page ?? ''] ?? {};
      const required = listOf(schema.required);
      const cursor = kindsOf(nodeAt(schema, 'properties', 'nextCursor'));
      const isPage = required.includes('items') && required.includes('nextCursor') && cursor.includes('null');
      if (!isPage) fault('is a list that is no page {items, nextCursor}');
    }

    const fallback = componentOf(operation.responses.default ?? {});
    if (fallback !== 'Problem') fault('has no default problem');
    for (const { status, response } of responses) {
      const headers = Object.keys(response.headers ?? {});
      for (const name of ['x-request-id', 'ratelimit-limit', 'deprecation', 'sunset'])
        if (!headers.includes(name)) fault(`${status} does not document ${name}`);
      if ((status === '429' || status === '503') && !headers.includes('retry-after'))
        fault(`${status} does not document retry-after`);
      const problem = nodeAt(response, 'content', 'application/problem+json', 'schema').$ref;
      if (/^[45]|default/.test(status) && problem !== '#/components/schemas/Problem')
        fault(`${status} is no problem`);
      const stream = nodeAt(response, 'content', 'text/event-stream');
      if ('schema' in stream && componentOf(nodeAt(stream, 'schema')) === undefined)
        fault('streams events whose type has no name');
      if ('schema' in stream && stream.examples === undefined && stream.example === undefined)
        fault('streams without an example');
    }
    const isConditional = (operation.parameters ?? []).some(({ name }) => name.startsWith('if-'));
    for (const { status, response } of successes)
      if (isConditional && ['200', '201'].includes(status) && nodeAt(response, 'headers').etag === undefined)
        fault(`${status} does not document etag`);
    return faults;
  });

/**
 * What makes v1 able to grow and its SDKs pleasant, as sentences about what breaks it; an empty list is a good contract.
 * Requests are closed and answers open; every object has a name; every list is a page; every success has one type.
 */
export const v1Faults = (document: OpenapiDocument): readonly string[] => [
  ...new Set([...operationFaults(document), ...schemaFaults(document)]),
];
