import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { exampleOf } from '../../src/http/example.ts';
import type { OpenapiDocument } from '../../src/http/openapi.ts';
import { isObject } from '../../src/lib/json.ts';

/** What a later version of the service may send: a field and a value that v1 does not declare. */
export const newField = 'fieldOfALaterVersion';
export const newValue = 'value_of_a_later_version';

/** Every optional field present and nothing null, or every optional field absent and null wherever it is allowed. */
export const shapes = ['full', 'sparse'] as const;
export type Shape = (typeof shapes)[number];

type Node = Readonly<Record<string, unknown>>;

const nodeAt = (node: unknown, name: string): Node => {
  const inner = isObject(node) ? node[name] : undefined;
  return isObject(inner) ? inner : {};
};

const resolved = (node: unknown, components: unknown): Node => {
  const { $ref }: { $ref?: unknown } = Object(node);
  if (typeof $ref !== 'string') return Object(node);
  const [, section = '', name = ''] = /^#\/components\/(\w+)\/(\w+)$/.exec($ref) ?? [];
  return nodeAt(nodeAt(components, section), name);
};

/**
 * A value of this schema as a later version may send it: each object with a field more, each `x-extensible-enum` with a
 * value that is not listed. v1 promises that clients may meet both.
 */
export const newerValue = (schema: unknown, components: unknown, shape: Shape): unknown => {
  const node = resolved(schema, components);
  const { properties, items, type, additionalProperties } = node;
  const types = [type].flat();
  if (shape === 'sparse' && types.includes('null')) return null;
  if (node['x-extensible-enum'] !== undefined) return newValue;
  if (types.includes('array')) return shape === 'full' ? [newerValue(items, components, shape)] : [];
  if (types.includes('object') && isObject(properties)) {
    const required: readonly unknown[] = Array.isArray(node.required) ? node.required : [];
    const known = Object.entries(properties)
      .filter(([name]) => shape === 'full' || required.includes(name))
      .map(([name, field]) => [name, newerValue(field, components, shape)]);
    return { ...Object.fromEntries(known), [newField]: newValue };
  }
  if (types.includes('object')) {
    const ofEntry = isObject(additionalProperties)
      ? newerValue(additionalProperties, components, shape)
      : newValue;
    return { [newField]: ofEntry };
  }
  const examples = (Array.isArray(node.examples) ? node.examples : []).filter((one) => one !== null);
  if (type === undefined && node.enum === undefined && examples.length === 0) return { [newField]: newValue };
  const notNull = { ...node, examples, type: types.filter((one) => one !== 'null') };
  return exampleOf(notNull, nodeAt(components, 'schemas'));
};

/** One operation of the contract with a request that it takes; clients bind the arguments by their names. */
export interface Call {
  readonly operation: string;
  readonly tag: string;
  readonly method: string;
  readonly path: string;
  /** Whether it takes no token. */
  readonly isPublic: boolean;
  readonly parameters: readonly { readonly in: string; readonly name: string; readonly value: unknown }[];
  /** The component that the body is of, and a body. */
  readonly body: { readonly schema: string; readonly value: unknown } | null;
}

const isJson = (mediaType: string): boolean => mediaType.endsWith('json');

interface Operation {
  readonly call: Call;
  readonly status: number;
  readonly schema: unknown;
  readonly headers: Node;
}

/** Every operation of the contract that does not stream. */
const operationsOf = (document: OpenapiDocument): readonly Operation[] =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).flatMap(
      ([method, { operationId, tags, security, parameters = [], requestBody, responses }]) => {
        const [status, response] =
          Object.entries(responses).find(([one]) => one.startsWith('2')) ??
          Object.entries(responses)[0] ??
          [];
        const media = Object.entries(response?.content ?? {});
        if (media.some(([type]) => type === 'text/event-stream')) return [];
        const { schemas } = document.components;
        const asked = Object.entries(requestBody?.content ?? {}).find(([type]) => isJson(type))?.[1];
        const call: Call = {
          operation: String(operationId),
          tag: String([tags].flat()[0]),
          method: method.toUpperCase(),
          path,
          isPublic: Array.isArray(security) && security.length === 0,
          parameters: parameters.map(({ in: place, name, schema, example }) => ({
            in: place,
            name,
            value: example ?? exampleOf(schema, schemas),
          })),
          body:
            asked === undefined
              ? null
              : {
                  schema: String(nodeAt(asked, 'schema').$ref).replace(/^.*\//, ''),
                  value: asked.example ?? exampleOf(asked.schema, schemas),
                },
        };
        const answered = media.find(([type]) => isJson(type))?.[1];
        return [
          {
            call,
            status: Number(status),
            schema: answered?.schema ?? null,
            headers: Object(response?.headers),
          },
        ];
      },
    ),
  );

export const callsOf = (document: OpenapiDocument): readonly Call[] =>
  operationsOf(document).map(({ call }) => call);

/** The answers that each operation gives here, by its id; null without a body. */
export const newerAnswers = (document: OpenapiDocument, shape: Shape): ReadonlyMap<string, unknown> =>
  new Map(
    operationsOf(document).map(({ call, schema }) => [
      call.operation,
      schema === null ? null : newerValue(schema, document.components, shape),
    ]),
  );

/** A status that no operation lists: its body is a problem, as of `default`. */
const unlistedStatus = 418;

export const newerProblem = (document: OpenapiDocument): Node => ({
  ...Object(newerValue({ $ref: '#/components/schemas/Problem' }, document.components, 'full')),
  status: unlistedStatus,
});

/** A request as the contract sees it. */
export interface Received {
  readonly operation: string;
  readonly authorization: string | undefined;
  readonly parameters: ReadonlyMap<string, string>;
  readonly body: unknown;
}

export interface NewerServer {
  /** Where the server answers: in one of the shapes, or with a problem whatever it is asked. */
  url(answer: Shape | 'problem'): string;
  /** The requests since the last call, oldest first. */
  received(): readonly Received[];
  close(): Promise<void>;
}

const pathPattern = (path: string): RegExp =>
  new RegExp(`^${path.replaceAll('.', '\\.').replaceAll(/\{(\w+)\}/g, '(?<$1>[^/]+)')}$`);

/** A server of a later version that still serves v1: it answers every operation of the contract that does not stream. */
export const startNewerServer = async (document: OpenapiDocument): Promise<NewerServer> => {
  const operations = operationsOf(document).map((operation) => ({
    ...operation,
    pattern: pathPattern(operation.call.path),
  }));
  const received: Received[] = [];

  const reply = async (request: IncomingMessage) => {
    const [, answer = '', path = '', query = ''] =
      /^\/([a-z]+)(\/[^?]*)\??(.*)$/.exec(request.url ?? '') ?? [];
    // A written segment goes before a parameter.
    const asked = operations
      .filter(({ call, pattern }) => call.method === request.method && pattern.test(path))
      .sort((a, b) => a.call.path.split('{').length - b.call.path.split('{').length)[0];
    if (asked === undefined) return { status: 404, headers: {}, body: { unknown: request.url } };
    const inPath = Object.entries(asked.pattern.exec(path)?.groups ?? {});
    const body = await text(request);
    received.push({
      operation: asked.call.operation,
      authorization: request.headers.authorization,
      parameters: new Map([
        ...inPath.map(([name, value]): [string, string] => [name, decodeURIComponent(value)]),
        ...new URLSearchParams(query),
        ...asked.call.parameters
          .filter((one) => one.in === 'header' && request.headers[one.name] !== undefined)
          .map(({ name }): [string, string] => [name, String(request.headers[name])]),
      ]),
      body: body === '' ? null : JSON.parse(body),
    });
    const headers = Object.fromEntries(
      Object.entries(asked.headers).map(([name, header]) => {
        const { schema } = resolved(header, document.components);
        return [name, String(exampleOf(schema, document.components.schemas))];
      }),
    );
    const shape = shapes.find((one) => one === answer);
    if (shape === undefined) {
      const type = 'application/problem+json';
      return {
        status: unlistedStatus,
        headers: { ...headers, 'content-type': type },
        body: newerProblem(document),
      };
    }
    if (asked.schema === null) return { status: asked.status, headers };
    return {
      status: asked.status,
      headers: { ...headers, 'content-type': 'application/json; charset=utf-8' },
      body: newerValue(asked.schema, document.components, shape),
    };
  };

  const server = createServer((request, response) => {
    reply(request).then(
      ({ status, headers, body }) => {
        response.writeHead(status, headers).end(body === undefined ? undefined : JSON.stringify(body));
      },
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject).listen(0, '127.0.0.1', resolve);
  await promise;
  const { port }: AddressInfo = Object(server.address());
  return {
    url: (answer) => `http://127.0.0.1:${port}/${answer}`,
    received: () => received.splice(0),
    close: async () => {
      const closed = new Promise((done) => server.close(done));
      server.closeAllConnections();
      await closed;
    },
  };
};
