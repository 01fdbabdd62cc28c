import { exampleOf } from '../../../src/http/example.ts';
import type { openapiDocument } from '../../../src/http/openapi.ts';
import { kari } from '../../support/api.ts';
import { payload } from './planted.ts';

type OpenapiDocument = Awaited<ReturnType<typeof openapiDocument>>;
export const healthy = 'healthy';

const methods = { get: 'GET', put: 'PUT', post: 'POST', patch: 'PATCH', delete: 'DELETE' } as const;
const isMethod = (name: string): name is keyof typeof methods => name in methods;
export type Fields = Readonly<Record<string, string>>;

export interface Operation {
  readonly id: string;
  readonly method: (typeof methods)[keyof typeof methods];
  readonly path: string;
  readonly parameters: Fields;
  readonly query: Fields;
  readonly queries: readonly string[];
  /** Undefined for an operation without a body. */
  readonly body: ((team: string) => unknown) | undefined;
}

const image = 'ghcr.io/navikt/team-notebook:20261115-090000-5d6e7f8';
export const members = [{ email: kari, username: 'kari' }];
let created = 0;
/** Bodies for operations whose documented example would have no effect here. */
const bodies: Readonly<Record<string, (team: string) => unknown>> = {
  resolveImage: (team) => ({ image, team }),
  createTeam: () => {
    created += 1;
    return { slug: `new-${created}`, members };
  },
  updateTeam: () => ({ members: [...members, { email: 'ola.nordmann@nav.no', username: 'ola' }] }),
  putNotebook: () => ({ image, allowlist: { enabled: true, hosts: ['pypi.org', 'data.ssb.no:443'] } }),
  addSecretVersion: () => ({ data: payload }),
  checkEgress: () => ({ destination: 'pypi.org:443' }),
  extendServer: () => ({ until: new Date(Date.now() + 7_200_000).toISOString() }),
};
export const ending = ['deleteNotebook', 'deleteTeam'];
const withAll: Readonly<Record<string, Fields>> = {
  deleteTeam: { deleteSecret: 'true', deleteHomes: 'true' },
};
/** Run one after the other, the hub last. */
export const ofServers = ['extendServer', 'restartServer', 'stopServer', 'startServer', 'restartHub'];

export const isHarmless = ({ id }: Operation): boolean => ![...ending, ...ofServers].includes(id);

/** What is wrong with the request, its URL, and its headers and body. */
export type Broken = readonly [string, string, { readonly headers?: Fields; readonly body?: string }];

/** Every operation of the OpenAPI document, with its documented examples. */
export const readOperations = ({ paths, components }: OpenapiDocument): readonly Operation[] => {
  return Object.entries(paths).flatMap(([path, verbs]) =>
    Object.entries(verbs).flatMap(([verb, { operationId, requestBody, parameters = [] }]): Operation[] => {
      if (!isMethod(verb)) return [];
      const content = Object.values(requestBody?.content ?? {})[0];
      const sample = (one: (typeof parameters)[number]) =>
        String(one.example ?? exampleOf(one.schema, components.schemas));
      const of = (where: string, needed: boolean): Fields =>
        Object.fromEntries(
          parameters
            .filter((one) => one.in === where && (!needed || one.required === true))
            .map((one) => [one.name, sample(one)]),
        );
      const id = String(operationId);
      const example = content?.example ?? exampleOf(content?.schema, components.schemas);
      return [
        {
          id,
          method: methods[verb],
          path,
          parameters: of('path', true),
          query: of('query', true),
          queries: Object.keys(of('query', false)),
          body: content === undefined ? undefined : (bodies[id] ?? (() => example)),
        },
      ];
    }),
  );
};

/** `latest`: the newest operation on a server, by team. `more` overrides path parameters. */
export const urlOf = (
  operation: Operation,
  team: string,
  latest: ReadonlyMap<string, string>,
  more: Fields = {},
): string => {
  const { path, parameters, query } = operation;
  const own = { team, user: 'kari', version: '1', operation: latest.get(team) ?? 'op-0' };
  const values: Fields = { ...parameters, ...own, ...more };
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(values[name] ?? ''));
  const asked = new URLSearchParams({ ...query, ...withAll[operation.id] }).toString();
  return asked === '' ? filled : `${filled}?${asked}`;
};
const jsonType = { 'content-type': 'application/json' };
export const initOf = ({ body }: Operation, team: string) => (body === undefined ? {} : post(body(team)));
export const post = (value: unknown) => ({ headers: jsonType, body: JSON.stringify(value) });

/** Malformed requests of an operation, each with the secret in it. */
export const brokenRequests = (
  operation: Operation,
  token: string,
  latest: ReadonlyMap<string, string>,
): readonly Broken[] => {
  const { method, path, query, queries, body } = operation;
  // Some of these are taken: they must do no harm.
  const team = isHarmless(operation) ? healthy : 'idle';
  const url = urlOf(operation, team, latest);
  const fine = initOf(operation, team);
  const headers = { 'content-type': 'application/json' };
  const withQuery = (name: string) =>
    `${path === url ? path : url.split('?')[0]}?${new URLSearchParams({ ...query, [name]: payload })}`;
  const parameters = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name);
  const valid = body?.(team);
  const fields = typeof valid === 'object' && valid !== null ? Object.keys(valid) : [];
  const inBody: readonly (readonly [string, string])[] =
    body === undefined
      ? []
      : [
          ['malformed JSON', `{"data": "${payload}`],
          ['JSON that breaks off at it', `{"data": ${payload}}`],
          ['a text for a body', JSON.stringify(payload)],
          ['a list for a body', JSON.stringify([payload])],
          ['an unknown field', JSON.stringify({ ...Object(valid), unexpected: payload })],
          [
            'two payloads',
            JSON.stringify({ data: payload, dataBase64: Buffer.from(payload).toString('base64') }),
          ],
          ['what is no base64', JSON.stringify({ dataBase64: `${payload}=` })],
          ['a body that is too long', JSON.stringify({ ...Object(valid), data: payload.repeat(14_000) })],
          ...fields.flatMap((field): (readonly [string, string])[] => [
            [`an object in ${field}`, JSON.stringify({ ...Object(valid), [field]: { payload } })],
            [`a list in ${field}`, JSON.stringify({ ...Object(valid), [field]: [{ payload }] })],
          ]),
        ];
  return [
    ...inBody.map(([what, text]) => [what, url, { headers, body: text }] as const),
    ...(method === 'GET'
      ? []
      : [
          [
            'another content type',
            url,
            { headers: { 'content-type': `text/plain; x=${payload}` }, body: payload },
          ] as const,
        ]),
    // Of an image that is none the answer says what is wrong with which part of it.
    ...['unknown', ...queries.filter((name) => name !== 'image')].map(
      (name) => [`query ${name}`, withQuery(name), fine] as const,
    ),
    ...parameters.map(
      (name) => [`path ${name}`, urlOf(operation, team, latest, { [name]: payload }), fine] as const,
    ),
    ['a path that is none', `${path.replaceAll(/[{}]/g, '')}/${payload}`, fine],
    ...['Basic', 'Token', 'token', 'Bearer', 'Bearer x'].map(
      (scheme) =>
        [
          `Authorization ${scheme}`,
          url,
          { ...fine, headers: { ...headers, authorization: `${scheme} ${payload}` } },
        ] as const,
    ),
    [
      'a forged token',
      url,
      { ...fine, headers: { ...headers, authorization: `Bearer ${token.slice(0, -8)}AAAAAAAA` } },
    ],
    ...[
      'if-match',
      'if-none-match',
      'accept',
      'x-request-id',
      'origin',
      'cookie',
      'traceparent',
      'last-event-id',
    ].map((name) => [`header ${name}`, url, { ...fine, headers: { ...headers, [name]: payload } }] as const),
  ];
};
