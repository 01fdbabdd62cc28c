import Type, { type Static } from 'typebox';
import { referencePattern } from '../lib/oci.ts';
import { quantityPattern } from '../lib/quantity.ts';
import { answer, closed, enforcedByHandler, handlerRules, Instant, nullable, ref } from '../lib/schema.ts';
import { entryPattern } from './allowlist.ts';
import { Condition, Phase } from './condition.ts';

/** Kubernetes quantities, binary suffixes only; decimals allowed. */
const quantity = (description: string, example: string) =>
  Type.String({ pattern: quantityPattern, maxLength: 16, description, examples: [example] });

/** A complete configuration; each object in it is a component of its own. notebook-fields.ts has a row for every field. */
const spec = answer(
  {
    resources: answer(
      {
        cpu: answer(
          {
            guarantee: Type.Number({
              description: 'Cores that are reserved for a notebook.',
              examples: [0.2],
            }),
            limit: Type.Number({ description: 'The most cores that a notebook may use.', examples: [0.5] }),
          },
          { $id: 'CpuResources' },
        ),
        memory: answer(
          {
            guarantee: quantity('Memory that is reserved for a notebook, as <n>Mi or <n>Gi.', '1Gi'),
            limit: quantity('The most memory that a notebook may use; above it the kernel is killed.', '2Gi'),
          },
          { $id: 'MemoryResources' },
        ),
      },
      { $id: 'Resources' },
    ),
    image: nullable(
      enforcedByHandler(
        Type.String({
          maxLength: 1024,
          description:
            'The team’s own image in GHCR or Google Artifact Registry, with its tag; its path has at most 255 characters. It is pinned by digest when ordered. An image that is ordered or changed is what every member’s server starts with next, until the member chooses another profile. null: standard environments only.',
          examples: ['ghcr.io/navikt/my-notebook:20261123-090000-abc1234'],
        }),
        { pattern: referencePattern },
      ),
    ),
    standardEnvironments: Type.Boolean({
      description:
        'Whether members can choose the standard environments beside the team’s own image. false needs an own image, which is then the only choice.',
    }),
    culling: answer(
      {
        timeoutSeconds: Type.Integer({
          description: 'A server that is idle for longer than this is stopped.',
          examples: [3600],
        }),
        maxAgeSeconds: Type.Integer({
          description: 'A server that has run for longer than this is stopped, idle or not.',
          examples: [604800],
        }),
        keepBusyKernels: Type.Boolean({ description: 'Whether a busy kernel counts as activity.' }),
      },
      { $id: 'Culling' },
    ),
    allowlist: answer(
      {
        enabled: Type.Boolean({
          description: 'Whether notebooks can reach only the listed hosts. false: no restriction.',
        }),
        hosts: Type.Array(
          enforcedByHandler(
            Type.String({ maxLength: 65536, examples: ['pypi.org', 'informatica.nav.no:6005-6010'] }),
            { pattern: entryPattern },
          ),
          {
            description:
              'host[:port[-port]] or preset:<name>; the default port is 443. A host is a full public name or an IPv4 address; ports are 1 to 65535, and a range has at most 100. validateAllowlist says what is wrong with an entry.',
          },
        ),
      },
      { $id: 'Allowlist' },
    ),
    storage: answer(
      { home: quantity('Size of each member’s home volume. It can grow but not shrink.', '10Gi') },
      { $id: 'Storage' },
    ),
    pip: answer(
      {
        userInstallByDefault: Type.Boolean({
          description:
            'Sets PIP_USER=1: packages that pip installs are stored in the home volume and survive a restart. Packages that are installed globally are lost when the server stops.',
        }),
      },
      { $id: 'Pip' },
    ),
  },
  { $id: 'NotebookSpec' },
);

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

interface Component extends JsonSchema {
  readonly $id: string;
}

const isSchema = (value: unknown): value is JsonSchema => typeof value === 'object' && value !== null;

type Form = 'Spec' | 'Order' | 'Patch';

/** `Culling` is `CullingOrder` in an order and `CullingPatch` in a patch. */
const nameIn = (form: Form, id: unknown): string =>
  form === 'Spec' ? String(id) : `${String(id).replace(/Spec$/, '')}${form}`;

const alsoNull = (type: unknown) => (typeof type === 'string' ? { type: [type, 'null'] } : {});

/** An answer may hold what an earlier version accepted. */
const withoutHandlerRules = ({ [handlerRules]: _, ...schema }: JsonSchema): JsonSchema =>
  isSchema(schema.items) ? { ...schema, items: withoutHandlerRules(schema.items) } : schema;

/**
 * The schema and the objects in it as components, which refer to each other by name. In an order every field is optional
 * and no other is accepted; in a patch every field is nullable as well, except the patch itself.
 */
const componentsOf = (
  schema: JsonSchema,
  form: Form,
  isWhole = true,
): readonly [Component, ...Component[]] => {
  const { required, $id, properties, ...rest } = schema;
  const parts = isSchema(properties) ? Object.entries(properties) : [];
  const inner: Component[] = [];
  const fields = parts.map(([name, field]) => {
    if (!isSchema(field)) return [name, field];
    if (field.$id === undefined)
      return [
        name,
        form === 'Spec'
          ? withoutHandlerRules(field)
          : { ...field, ...(form === 'Patch' ? alsoNull(field.type) : {}) },
      ];
    const [part, ...below] = componentsOf(field, form, false);
    inner.push(part, ...below);
    return [name, { $ref: part.$id }];
  });
  const whole = {
    ...rest,
    ...(form === 'Spec' ? { required } : { additionalProperties: false }),
    ...(form === 'Patch' && !isWhole ? alsoNull(rest.type) : {}),
    $id: nameIn(form, $id),
    properties: Object.fromEntries(fields),
  };
  return [whole, ...inner];
};

const [specSchema, ...specParts] = componentsOf({ ...spec }, 'Spec');
const [orderSchema, ...orderParts] = componentsOf({ ...spec }, 'Order');
const [patchSchema, ...patchParts] = componentsOf({ ...spec }, 'Patch');

/** The components that NotebookSpec, NotebookOrder and NotebookPatch refer to. */
export const notebookParts: readonly Component[] = [...specParts, ...orderParts, ...patchParts];

export const NotebookSpec = Type.Unsafe<Static<typeof spec>>(specSchema);
export type NotebookSpec = Static<typeof spec>;

const exampleOrder = {
  resources: { cpu: { guarantee: 0.5, limit: 2 }, memory: { guarantee: '2Gi', limit: '4Gi' } },
  culling: { timeoutSeconds: 7200 },
};

/** The body of PUT: fields that are left out take their defaults; `{}` is a valid order. */
export const NotebookOrder = Type.Unsafe<Partially<NotebookSpec>>({
  ...orderSchema,
  examples: [{}, exampleOrder],
});
export type NotebookOrder = Static<typeof NotebookOrder>;

/** The body of PATCH, a merge patch (RFC 7396): null resets a field to its default. */
export const NotebookPatch = Type.Unsafe<Nullably<NotebookSpec>>({
  ...patchSchema,
  examples: [exampleOrder, { culling: null }],
});
export type NotebookPatch = Static<typeof NotebookPatch>;

/** The team’s image, pinned to the digest that its registry had. */
export const NotebookImage = answer(
  {
    reference: Type.String({
      description: 'The image as ordered, with its tag.',
      examples: ['ghcr.io/navikt/my-notebook:20261123-090000-abc1234'],
    }),
    digest: Type.String({ description: 'The digest that runs.', examples: [`sha256:${'a'.repeat(64)}`] }),
    resolvedAt: Instant,
    newerDigest: nullable(
      Type.String({ description: 'The digest that the tag points to now, if it has moved.' }),
    ),
  },
  { $id: 'NotebookImage' },
);
export type NotebookImage = Static<typeof NotebookImage>;

export const NotebookStatus = answer(
  {
    phase: ref(Phase),
    conditions: Type.Array(ref(Condition)),
    url: Type.String({
      format: 'uri',
      description: 'Address at which the team’s members log in.',
      examples: ['https://team-a.jupyter.knada.io'],
    }),
    image: Type.Optional(ref(NotebookImage)),
    observedRevision: Type.Integer({
      description: 'The newest notebook revision that is fully applied; 0 for none.',
    }),
  },
  { $id: 'NotebookStatus' },
);
export type NotebookStatus = Static<typeof NotebookStatus>;

export const Notebook = answer(
  {
    spec: ref(NotebookSpec),
    status: ref(NotebookStatus),
    revision: Type.Integer({ minimum: 1, description: 'Rises with every requested change.' }),
    createdAt: Instant,
    updatedAt: Instant,
    updatedBy: Type.String({ description: 'Who made the last change.', examples: ['kari.nordmann@nav.no'] }),
  },
  { $id: 'Notebook' },
);
export type Notebook = Static<typeof Notebook>;

export const RetryOrder = closed(
  {
    force: Type.Optional(
      Type.Boolean({ description: 'Upgrade the release even if nothing has changed.', examples: [true] }),
    ),
  },
  { $id: 'RetryOrder' },
);
export type RetryOrder = Static<typeof RetryOrder>;
