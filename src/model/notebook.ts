import Type, { type Static } from 'typebox';
import { closed, Instant, nullable, ref } from '../lib/schema.ts';
import { Condition, Phase } from './condition.ts';

/** Kubernetes quantities, binary suffixes only; decimals allowed. */
const quantity = (description: string, example: string) =>
  Type.String({ pattern: '^[0-9]+(\\.[0-9]+)?(Mi|Gi)$', maxLength: 16, description, examples: [example] });

/** What is configured, with every field present. Bounds are the platform’s (GET /v1/limits). */
export const NotebookSpec = closed(
  {
    resources: closed({
      cpu: closed({
        guarantee: Type.Number({ description: 'Cores that a notebook always has.', examples: [0.2] }),
        limit: Type.Number({ description: 'Cores that a notebook may use at most.', examples: [0.5] }),
      }),
      memory: closed({
        guarantee: quantity('Memory that a notebook always has, as <n>Mi or <n>Gi.', '1Gi'),
        limit: quantity('Memory that a notebook may use; above it the kernel is killed.', '2Gi'),
      }),
    }),
    image: nullable(
      Type.String({
        maxLength: 1024,
        description:
          'The team’s own image with its tag, pinned by digest when ordered. null: only the standard environments.',
        examples: ['ghcr.io/navikt/my-notebook:20261123-090000-abc1234'],
      }),
    ),
    culling: closed({
      timeoutSeconds: Type.Integer({
        description: 'A notebook that was idle for longer than this is switched off.',
        examples: [3600],
      }),
      maxAgeSeconds: Type.Integer({
        description: 'A notebook that has run for longer than this is switched off, idle or not.',
        examples: [604800],
      }),
      keepBusyKernels: Type.Boolean({ description: 'A running computation counts as activity.' }),
    }),
    allowlist: closed({
      enabled: Type.Boolean({
        description: 'false: no restriction. true: notebooks reach the listed hosts and nothing else.',
      }),
      hosts: Type.Array(
        Type.String({ maxLength: 65536, examples: ['pypi.org', 'informatica.nav.no:6005-6010'] }),
        {
          description: 'host[:port[-port]]; the port is 443 when none is given.',
        },
      ),
    }),
    storage: closed({
      home: quantity('Size of each member’s home volume. It can only grow.', '10Gi'),
    }),
    pip: closed({
      userInstallByDefault: Type.Boolean({
        description:
          'Sets PIP_USER=1: what pip installs lands in the home volume and survives a restart. What is installed globally is gone with the next stop.',
      }),
    }),
  },
  { $id: 'NotebookSpec' },
);
export type NotebookSpec = Static<typeof NotebookSpec>;

type Partially<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { [K in keyof T]?: Partially<T[K]> }
    : T;

type Nullably<T> = T extends readonly unknown[]
  ? T | null
  : T extends object
    ? { [K in keyof T]?: Nullably<T[K]> | null }
    : T | null;

interface JsonSchema {
  readonly [keyword: string]: unknown;
}

const isSchema = (value: unknown): value is JsonSchema => typeof value === 'object' && value !== null;

/** The same fields, every one optional; with `alsoNull` each may be null as well. One source for three shapes. */
const relaxed = (schema: JsonSchema, alsoNull: boolean): JsonSchema => {
  const { required: _required, $id: _id, ...rest } = schema;
  const type = alsoNull && typeof rest.type === 'string' ? { type: [rest.type, 'null'] } : {};
  if (!isSchema(rest.properties)) return { ...rest, ...type };
  const fields = Object.entries(rest.properties).map(([name, field]) => [
    name,
    isSchema(field) ? relaxed(field, alsoNull) : field,
  ]);
  return { ...rest, ...type, properties: Object.fromEntries(fields) };
};

const exampleOrder = {
  resources: { cpu: { guarantee: 0.5, limit: 2 }, memory: { guarantee: '2Gi', limit: '4Gi' } },
  culling: { timeoutSeconds: 7200 },
};

/** The body of PUT: what is left out takes its default; `{}` is a valid order. */
export const NotebookOrder = Type.Unsafe<Partially<NotebookSpec>>({
  ...relaxed({ ...NotebookSpec }, false),
  $id: 'NotebookOrder',
  examples: [{}, exampleOrder],
});
export type NotebookOrder = Static<typeof NotebookOrder>;

/** The body of PATCH, a merge patch (RFC 7396): null means back to the default. */
export const NotebookPatch = Type.Unsafe<Nullably<NotebookSpec>>({
  ...relaxed({ ...NotebookSpec }, true),
  type: 'object',
  $id: 'NotebookPatch',
  examples: [exampleOrder, { culling: null }],
});
export type NotebookPatch = Static<typeof NotebookPatch>;

/** The pinned image of the team, as it was found in its registry. */
export const NotebookImage = closed(
  {
    reference: Type.String({
      description: 'As ordered, with the tag.',
      examples: ['ghcr.io/navikt/my-notebook:20261123-090000-abc1234'],
    }),
    digest: Type.String({ description: 'What runs.', examples: [`sha256:${'a'.repeat(64)}`] }),
    resolvedAt: Instant,
    newerDigest: nullable(Type.String({ description: 'Where the tag points now, when it has moved.' })),
  },
  { $id: 'NotebookImage' },
);
export type NotebookImage = Static<typeof NotebookImage>;

export const NotebookStatus = closed(
  {
    phase: ref(Phase),
    conditions: Type.Array(ref(Condition)),
    url: Type.String({
      format: 'uri',
      description: 'Where the team’s members log in.',
      examples: ['https://team-a.jupyter.knada.io'],
    }),
    image: Type.Optional(ref(NotebookImage)),
    observedRevision: Type.Integer({
      description: 'The newest notebook revision that the cluster has in full; 0 for none.',
    }),
  },
  { $id: 'NotebookStatus' },
);
export type NotebookStatus = Static<typeof NotebookStatus>;

export const Notebook = closed(
  {
    spec: ref(NotebookSpec),
    status: ref(NotebookStatus),
    revision: Type.Integer({ minimum: 1, description: 'Counts what people asked for.' }),
    createdAt: Instant,
    updatedAt: Instant,
    updatedBy: Type.String({ description: 'Who asked last.', examples: ['kari.nordmann@nav.no'] }),
  },
  { $id: 'Notebook' },
);
export type Notebook = Static<typeof Notebook>;

export const RetryOrder = closed(
  {
    force: Type.Optional(
      Type.Boolean({ description: 'Install even when nothing has changed.', examples: [true] }),
    ),
  },
  { $id: 'RetryOrder' },
);
export type RetryOrder = Static<typeof RetryOrder>;
