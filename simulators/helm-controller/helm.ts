import { randomBytes } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { Client } from '../kubernetes/client.ts';
import {
  asList,
  asMap,
  asText,
  at,
  type Json,
  type JsonMap,
  parseJson,
  sameJson,
} from '../kubernetes/json.ts';
import { asObject, isBeingDeleted, type KubeObject, nameOf, withMetadata } from '../kubernetes/object.ts';
import { renderChart } from './chart.ts';
import type { Wish } from './release.ts';

/** The HelmRelease that owns objects: Flux labels what it has installed. */
export interface Owner {
  readonly name: string;
  readonly namespace: string;
}

/** The chart’s kinds, in the order in which Helm deletes them. */
const chartKinds = [
  'ingresses',
  'statefulsets',
  'deployments',
  'services',
  'rolebindings',
  'roles',
  'persistentvolumeclaims',
  'configmaps',
  'secrets',
  'serviceaccounts',
  'poddisruptionbudgets',
  'networkpolicies',
] as const;

interface Part {
  readonly plural: (typeof chartKinds)[number];
  readonly object: KubeObject;
}

/** The content of a release version. */
export interface StoredRelease {
  readonly chartVersion: string;
  readonly values: JsonMap;
  /** As rendered: a rollback applies them again, and drift is what differs from them. */
  readonly objects: readonly KubeObject[];
}

const storageName = (release: string, version: number): string => `sh.helm.release.v1.${release}.v${version}`;

/** Helm’s own record of a release version: a Secret with gzipped JSON, base64 twice. */
export const store = async (
  client: Client,
  wish: Pick<Wish, 'release' | 'namespace' | 'chart'>,
  version: number,
  stored: StoredRelease,
  status: string,
): Promise<void> => {
  const body = {
    name: wish.release,
    namespace: wish.namespace,
    version,
    info: { status },
    chart: { metadata: { name: wish.chart, version: stored.chartVersion } },
    config: stored.values,
    manifest: stored.objects.map((object) => JSON.stringify(object)).join('\n---\n'),
  };
  const packed = gzipSync(JSON.stringify(body)).toString('base64');
  await client.apply(
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: {
        name: storageName(wish.release, version),
        namespace: wish.namespace,
        labels: { name: wish.release, owner: 'helm', status, version: String(version) },
      },
      type: 'helm.sh/release.v1',
      data: { release: Buffer.from(packed).toString('base64') },
    },
    { force: true },
  );
};

export const stored = async (
  client: Client,
  release: string,
  namespace: string,
  version: number,
): Promise<StoredRelease | undefined> => {
  const secret = await client.get('secrets', namespace, storageName(release, version));
  if (secret === undefined) return undefined;
  const packed = Buffer.from(asText(at(secret, 'data', 'release')), 'base64').toString();
  const body = parseJson(gunzipSync(Buffer.from(packed, 'base64')).toString());
  // Written by an earlier version of this simulator.
  if (asText(at(body, 'manifest')) === '') return undefined;
  return {
    chartVersion: asText(at(body, 'chart', 'metadata', 'version')),
    values: asMap(at(body, 'config')),
    objects: asText(at(body, 'manifest'))
      .split('\n---\n')
      .map((text) => asObject(asMap(parseJson(text)))),
  };
};

const ownerLabels = (owner: Owner): Record<string, string> => ({
  'helm.toolkit.fluxcd.io/name': owner.name,
  'helm.toolkit.fluxcd.io/namespace': owner.namespace,
});

const selector = (labels: Record<string, string>): string =>
  Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(',');

const installed = async (client: Client, owner: Owner, namespace: string): Promise<Part[]> => {
  const labelSelector = selector(ownerLabels(owner));
  const lists = await Promise.all(
    chartKinds.map(async (plural) =>
      (await client.list(plural, { namespace, labelSelector })).map((object) => ({ plural, object })),
    ),
  );
  return lists.flat();
};

const hex64 = (): string => Buffer.from(randomBytes(32).toString('hex')).toString('base64');

const proxyTokenKey = 'hub.config.ConfigurableHTTPProxy.auth_token';

/** Tokens that the chart generates at the first install and looks up afterwards. */
const keptTokens = (secret: KubeObject | undefined, values: JsonMap): JsonMap => {
  const before = asMap(at(secret, 'data'));
  const services = Object.keys(asMap(at(values, 'hub', 'services')));
  const keys = [
    proxyTokenKey,
    'hub.config.CryptKeeper.keys',
    'hub.config.JupyterHub.cookie_secret',
    ...services.map((service) => `hub.services.${service}.apiToken`),
  ];
  return Object.fromEntries(keys.map((key) => [key, before[key] ?? hex64()]));
};

/** The chart with these values, as Flux has Helm render it now. */
export const renderRelease = async (
  client: Client,
  owner: Owner,
  {
    release,
    namespace,
    chartVersion,
    values,
  }: Pick<Wish, 'release' | 'namespace' | 'chartVersion' | 'values'>,
  podAnnotations: JsonMap = {},
): Promise<StoredRelease> => {
  const before = await client.get('secrets', namespace, 'hub');
  const kept = keptTokens(before, values);
  const rendered = renderChart({
    name: release,
    namespace,
    chartVersion,
    values: withPodAnnotations(values, podAnnotations),
    kept,
    proxyToken: before === undefined ? hex64() : asText(kept[proxyTokenKey]),
  });
  const objects = rendered.map((object) =>
    withMetadata(object, { labels: { ...asMap(object.metadata.labels), ...ownerLabels(owner) } }),
  );
  return { chartVersion, values, objects };
};

/** Applies the release’s objects, and deletes those of an earlier version that this one lacks. */
export const applyRelease = async (
  client: Client,
  owner: Owner,
  namespace: string,
  { objects }: StoredRelease,
): Promise<void> => {
  const before = await installed(client, owner, namespace);
  for (const object of objects) {
    await client.apply(object, { force: true }).catch((error: unknown) => {
      const { apiVersion, kind } = object;
      const group = apiVersion.includes('/') ? apiVersion : `/${apiVersion}`;
      const why = error instanceof Error ? error.message : String(error);
      throw new Error(
        `server-side apply failed for object ${namespace}/${nameOf(object)} ${group}, Kind=${kind}: ${why}`,
      );
    });
  }
  const wanted = new Set(objects.map((object) => `${object.kind}/${nameOf(object)}`));
  for (const { plural, object } of before) {
    if (!wanted.has(`${object.kind}/${nameOf(object)}`))
      await client.delete(plural, namespace, nameOf(object));
  }
};

/** Installs or upgrades a release by hand, without a HelmRelease’s record of it. @testonly */
export const installRelease = async (
  client: Client,
  owner: Owner,
  wish: Pick<Wish, 'release' | 'namespace' | 'chartVersion' | 'values'>,
): Promise<void> => applyRelease(client, owner, wish.namespace, await renderRelease(client, owner, wish));

/** An object of the deployed release that is not as it was applied. */
export interface Change {
  readonly object: KubeObject;
  /** As Flux words it. */
  readonly summary: string;
}

/** The fields that a chart sets. */
const contentOf = ({ spec, data, rules, subjects, metadata }: KubeObject): Json => ({
  spec: spec ?? null,
  data: data ?? null,
  rules: rules ?? null,
  subjects: subjects ?? null,
  labels: metadata.labels ?? null,
});

/** What of the release was deleted or changed since it was applied, as a dry run of applying it shows. */
export const driftOf = async (
  client: Client,
  owner: Owner,
  namespace: string,
  { objects }: StoredRelease,
): Promise<readonly Change[]> => {
  const keyOf = (object: KubeObject): string => `${object.kind}/${namespace}/${nameOf(object)}`;
  const parts = await installed(client, owner, namespace);
  const live = new Map(parts.map(({ object }) => [keyOf(object), object]));
  const changes: Change[] = [];
  for (const object of objects) {
    const found = live.get(keyOf(object));
    if (found === undefined) {
      changes.push({ object, summary: `${keyOf(object)} removed` });
      continue;
    }
    const after = await client.apply(object, { force: true, dryRun: true });
    if (!sameJson(contentOf(after), contentOf(found)))
      changes.push({ object, summary: `${keyOf(object)} changed (0 additions, 1 changes, 0 removals)` });
  }
  return changes;
};

/** Applies the objects that have drifted as they were. */
export const correctDrift = async (client: Client, changes: readonly Change[]): Promise<void> => {
  for (const { object } of changes) await client.apply(object, { force: true });
};

const withPodAnnotations = (values: JsonMap, annotations: JsonMap): JsonMap => {
  if (Object.keys(annotations).length === 0) return values;
  const hub = asMap(values.hub);
  return { ...values, hub: { ...hub, annotations: { ...asMap(hub.annotations), ...annotations } } };
};

/** Removes the release’s objects and Helm’s records of it. What KubeSpawner created is not Helm’s, so it stays. */
export const uninstallRelease = async (
  client: Client,
  owner: Owner,
  release: string,
  namespace: string,
): Promise<void> => {
  for (const { plural, object } of await installed(client, owner, namespace)) {
    if (!isBeingDeleted(object)) await client.delete(plural, namespace, nameOf(object));
  }
  const labelSelector = selector({ owner: 'helm', name: release });
  for (const record of await client.list('secrets', { namespace, labelSelector })) {
    await client.delete('secrets', namespace, nameOf(record));
  }
};

export interface Wait {
  /** The deployments that are not available yet, as Helm's wait words it. */
  readonly missing: readonly string[];
  /** One of them has failed. */
  readonly hopeless: boolean;
}

/** Whether Helm still has a record of the release: without one it was uninstalled. */
export const isStored = async (client: Client, release: string, namespace: string): Promise<boolean> => {
  const labelSelector = selector({ owner: 'helm', name: release });
  return (await client.list('secrets', { namespace, labelSelector })).length > 0;
};

/** The state of the release's deployments. */
export const lookAtPods = async (client: Client, owner: Owner, namespace: string): Promise<Wait> => {
  const labelSelector = selector(ownerLabels(owner));
  const deployments = await client.list('deployments', { namespace, labelSelector });
  const unready = deployments.filter(
    ({ metadata, spec, status }) =>
      at(status, 'observedGeneration') !== metadata.generation ||
      at(status, 'availableReplicas') !== at(spec, 'replicas') ||
      at(status, 'updatedReplicas') !== at(spec, 'replicas'),
  );
  const isStuck = ({ metadata, status }: KubeObject): boolean =>
    at(status, 'observedGeneration') === metadata.generation &&
    asList(at(status, 'conditions')).some(
      (condition) => at(condition, 'reason') === 'ProgressDeadlineExceeded',
    );
  return {
    missing: unready.map(
      (one) => `Deployment/${namespace}/${nameOf(one)} status: '${isStuck(one) ? 'Failed' : 'InProgress'}'`,
    ),
    hopeless: unready.some(isStuck),
  };
};
