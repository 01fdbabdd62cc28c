import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { fetch, type Response } from 'undici';
import { startKubernetes } from '../kubernetes/server.ts';
import { absent, startApiServer } from '../real/kube-apiserver.ts';
import { definitions } from './definitions.ts';
import type { WireServer } from './kubernetes-wire/client.ts';

/**
 * Field ownership by comparison: whatever a few managers apply, patch and put, in whatever order, the simulator and
 * the real server answer alike and end with the same object and the same owners.
 */

type Body = { readonly [field: string]: unknown };

interface Step {
  readonly verb: 'apply' | 'merge' | 'put' | 'post';
  readonly manager: string;
  readonly force: boolean;
  readonly body: Body;
}

interface Kind {
  readonly title: string;
  /**
   * Of custom resources the real server stores, and hides, what is empty in metadata, and a defaulted status with
   * the second write. Each costs one more write, which is not imitated; nothing else differs.
   */
  readonly metadata?: fc.Arbitrary<Body>;
  readonly hidesWrites?: true;
  readonly path: string;
  readonly envelope: Body;
  readonly content: fc.Arbitrary<Body>;
}

const manager = fc.constantFrom('red', 'blue');
const text = fc.constantFrom('1', '2');
const some = <T>(keys: readonly string[], value: fc.Arbitrary<T>): fc.Arbitrary<Record<string, T>> =>
  fc.dictionary(fc.constantFrom(...keys), value, { maxKeys: keys.length });

const metadata = fc.record(
  {
    labels: some(['x', 'y'], text),
    annotations: some(['n'], text),
    finalizers: fc.uniqueArray(fc.constantFrom('example.com/a', 'example.com/b'), { maxLength: 2 }),
  },
  { requiredKeys: [] },
);

const loose = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 2 },
    fc.constantFrom<unknown>('s', 1, true, null),
    fc.array(fc.constantFrom<unknown>(1, { name: 'a' }), { maxLength: 2 }),
    some(['a', 'b'], tie('value')),
  ),
})).value;

const container = fc.record(
  {
    image: fc.constantFrom('i:1', 'i:2'),
    args: fc.array(text, { maxLength: 2 }),
    env: fc.uniqueArray(fc.record({ name: fc.constantFrom('A', 'B'), value: text }), {
      selector: ({ name }) => name,
      maxLength: 2,
    }),
    ports: fc.uniqueArray(
      fc.record(
        {
          containerPort: fc.constantFrom(80, 81),
          protocol: fc.constantFrom('TCP', 'UDP'),
          name: fc.constantFrom('p', 'q'),
        },
        { requiredKeys: ['containerPort'] },
      ),
      { selector: ({ containerPort, protocol = 'TCP' }) => `${containerPort}${protocol}`, maxLength: 2 },
    ),
    resources: fc.record({ limits: some(['cpu', 'memory'], fc.constantFrom('1', '1000m', '1Gi', '1024Mi')) }),
  },
  { requiredKeys: ['image'] },
);

const containers = fc
  .uniqueArray(fc.tuple(fc.constantFrom('main', 'side', 'more'), container), {
    selector: ([name]) => name,
    minLength: 1,
    maxLength: 3,
  })
  .map((all) => all.map(([name, one]) => ({ name, ...one })));

const KINDS: readonly Kind[] = [
  {
    title: 'config maps',
    path: '/api/v1/namespaces/<namespace>/configmaps',
    envelope: { apiVersion: 'v1', kind: 'ConfigMap' },
    content: fc.record(
      { data: some(['a', 'b', 'c'], text), immutable: fc.constant(false) },
      { requiredKeys: [] },
    ),
  },
  {
    title: 'custom resources without a schema',
    metadata: fc.constant({}),
    path: '/apis/source.toolkit.fluxcd.io/v1/namespaces/<namespace>/helmrepositories',
    envelope: { apiVersion: 'source.toolkit.fluxcd.io/v1', kind: 'HelmRepository' },
    content: fc.record({ spec: some(['a', 'b'], loose), status: some(['s'], text) }, { requiredKeys: [] }),
  },
  {
    title: 'deployments',
    path: '/apis/apps/v1/namespaces/<namespace>/deployments',
    envelope: { apiVersion: 'apps/v1', kind: 'Deployment' },
    content: fc
      .record(
        { replicas: fc.constantFrom(1, 2), containers, paused: fc.boolean() },
        { requiredKeys: ['containers'] },
      )
      .map(({ containers: list, ...rest }) => ({
        spec: {
          ...rest,
          selector: { matchLabels: { a: 'b' } },
          template: { metadata: { labels: { a: 'b' } }, spec: { containers: list } },
        },
      })),
  },
  {
    title: 'network policies',
    path: '/apis/networking.k8s.io/v1/namespaces/<namespace>/networkpolicies',
    envelope: { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy' },
    content: fc
      .record(
        {
          podSelector: fc.record({ matchLabels: some(['x', 'y'], text) }, { requiredKeys: [] }),
          policyTypes: fc.constantFrom(['Egress'], ['Ingress', 'Egress'], []),
          egress: fc.array(
            fc.record(
              {
                ports: fc.array(
                  fc.record(
                    { port: fc.constantFrom(80, 443), protocol: fc.constantFrom('TCP', 'UDP') },
                    { requiredKeys: ['port'] },
                  ),
                  { maxLength: 2 },
                ),
              },
              { requiredKeys: [] },
            ),
            { maxLength: 2 },
          ),
        },
        { requiredKeys: [] },
      )
      .map((spec) => ({ spec })),
  },
];

const RELEASE: Kind = {
  title: 'Helm releases',
  hidesWrites: true,
  path: '/apis/helm.toolkit.fluxcd.io/v2/namespaces/<namespace>/helmreleases',
  envelope: { apiVersion: 'helm.toolkit.fluxcd.io/v2', kind: 'HelmRelease' },
  content: fc
    .record(
      {
        interval: fc.constantFrom('1m', '5m'),
        suspend: fc.boolean(),
        values: some(['a', 'b'], loose),
        valuesFrom: fc.array(fc.record({ kind: fc.constant('ConfigMap'), name: fc.constantFrom('x', 'y') }), {
          maxLength: 2,
        }),
        install: fc.record(
          { remediation: fc.record({ retries: fc.constantFrom(1, 2) }) },
          { requiredKeys: [] },
        ),
        upgrade: fc.record({ crds: fc.constantFrom('Skip', 'Create') }, { requiredKeys: [] }),
        version: fc.constantFrom('4.4.0', '*'),
      },
      { requiredKeys: ['interval'] },
    )
    .map(({ version, ...rest }) => ({
      spec: {
        ...rest,
        chart: {
          spec: {
            chart: 'jupyterhub',
            sourceRef: { kind: 'HelmRepository', name: 'jupyterhub' },
            ...(version === undefined ? {} : { version }),
          },
        },
      },
    })),
};

const stepsOf = (kind: Kind): fc.Arbitrary<Step[]> =>
  fc.array(
    fc
      .record({
        verb: fc.constantFrom<Step['verb']>('apply', 'apply', 'apply', 'merge', 'put', 'post'),
        manager,
        force: fc.boolean(),
        metadata: kind.metadata ?? metadata,
        content: kind.content,
      })
      .map(({ verb, manager: name, force, metadata: meta, content }) => ({
        verb,
        manager: name,
        force,
        body: { ...kind.envelope, metadata: { name: 'it', ...meta }, ...content },
      })),
    { minLength: 2, maxLength: 6 },
  );

const policy = (spec: Body): Body => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name: 'it' },
  spec,
});

/** Found once: an empty list inside a rule is a change to the real server, though it is not stored. */
const EMPTY_LISTS: Step[] = [
  { verb: 'apply', manager: 'red', force: false, body: policy({ egress: [{}] }) },
  { verb: 'put', manager: 'red', force: false, body: policy({ egress: [{ ports: [] }] }) },
  { verb: 'apply', manager: 'red', force: false, body: policy({ ingress: [] }) },
  { verb: 'apply', manager: 'red', force: false, body: policy({ ingress: [] }) },
];

describe('field ownership: the simulator answers as the real server', { skip: await absent() }, () => {
  let servers: readonly WireServer[] = [];
  before(async () => {
    const kubernetes = await startKubernetes();
    const simulator: WireServer = {
      fetch: (path, init) => fetch(`${kubernetes.url}${path}`, init),
      customResources: ['helmreleases'],
      close: () => kubernetes.close(),
    };
    servers = [await startApiServer({ definitions }), simulator];
  });
  after(async () => {
    for (const server of servers) await server.close();
  });

  for (const kind of [...KINDS, RELEASE]) {
    it(`for ${kind.title}`, async (t) => {
      const namespace = `own-${randomUUID().slice(0, 8)}`;
      for (const server of servers)
        await send(server, 'POST', '/api/v1/namespaces', { metadata: { name: namespace } });
      const path = kind.path.replace('<namespace>', namespace);
      if (kind === RELEASE && servers[0]?.customResources.includes('helmreleases') !== true) {
        return t.skip('their definition is not installed');
      }
      let serial = 0;
      await fc.assert(
        fc.asyncProperty(stepsOf(kind), async (steps) => {
          serial += 1;
          const name = `it-${serial}`;
          let last = ['', ''];
          for (const step of steps) {
            const body = { ...step.body, metadata: { ...(step.body.metadata as Body), name } };
            const answers = await Promise.all(
              servers.map((server) => perform(server, path, name, { ...step, body })),
            );
            const [real, simulated] = answers.map((answer, index) =>
              comparable(kind, answer, last[index] ?? ''),
            );
            assert.deepEqual(simulated, real);
            last = answers.map((answer, index) => versionOf(answer.body) || (last[index] ?? ''));
          }
        }),
        {
          numRuns: Number(process.env.OWNERSHIP_RUNS ?? 40),
          // The same sequences each time, so the build is deterministic; vary the seed to search further.
          seed: Number(process.env.OWNERSHIP_SEED ?? 1),
          examples: kind.title === 'network policies' ? [[EMPTY_LISTS]] : [],
        },
      );
    });
  }
});

interface Answer {
  readonly status: number;
  readonly body: Body;
}

async function send(
  server: WireServer,
  method: string,
  path: string,
  body: unknown,
  type = 'application/json',
): Promise<Answer> {
  const answer: Response = await server.fetch(path, {
    method,
    headers: { 'content-type': type },
    body: JSON.stringify(body),
  });
  return { status: answer.status, body: (await answer.json()) as Body };
}

function perform(server: WireServer, path: string, name: string, step: Step): Promise<Answer> {
  const query = `fieldManager=${step.manager}`;
  switch (step.verb) {
    case 'apply':
      return send(
        server,
        'PATCH',
        `${path}/${name}?${query}&force=${step.force}`,
        step.body,
        'application/apply-patch+yaml',
      );
    case 'merge':
      return send(server, 'PATCH', `${path}/${name}?${query}`, step.body, 'application/merge-patch+json');
    case 'post':
      return send(server, 'POST', `${path}?${query}`, step.body);
    case 'put':
      return send(server, 'PUT', `${path}/${name}?${query}`, step.body);
    default:
      return step.verb satisfies never;
  }
}

const versionOf = (body: Body): string => String((body.metadata as Body | undefined)?.resourceVersion ?? '');

/** What both must agree on: everything but names of the moment, and whether something was written. */
function comparable(kind: Kind, { status, body }: Answer, last: string): unknown {
  if (body.kind === 'Status')
    return { status, reason: body.reason, message: status === 409 ? body.message : '' };
  const { uid, creationTimestamp, resourceVersion, managedFields, ...kept } = (body.metadata ?? {}) as Body;
  const entries = (Array.isArray(managedFields) ? managedFields : []) as Body[];
  const owners = entries
    .map(({ time, ...entry }) => ({ ...entry, isTimed: time !== undefined }))
    .toSorted((a, b) => (identity(a) < identity(b) ? -1 : 1));
  return {
    status,
    isIdentified: uid !== undefined && creationTimestamp !== undefined,
    isWritten: kind.hidesWrites === true || resourceVersion !== last,
    object: { ...body, metadata: kept },
    owners,
  };
}

const identity = (entry: Body): string => [entry.operation, entry.manager, entry.subresource].join();
