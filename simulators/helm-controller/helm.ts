import { randomBytes } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { Client } from '../kubernetes/client.ts';
import { asList, asMap, asText, at, type JsonMap, parseJson } from '../kubernetes/json.ts';
import { isBeingDeleted, type KubeObject, nameOf, withMetadata } from '../kubernetes/object.ts';
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
  'deployments',
  'services',
  'rolebindings',
  'roles',
  'persistentvolumeclaims',
  'configmaps',
  'secrets',
  'serviceaccounts',
  'networkpolicies',
] as const;

interface Part {
  readonly plural: (typeof chartKinds)[number];
  readonly object: KubeObject;
}

/** The content of a release version: enough to roll back to it. */
export interface StoredRelease {
  readonly chartVersion: string;
  readonly values: JsonMap;
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
  return {
    chartVersion: asText(at(body, 'chart', 'metadata', 'version')),
    values: asMap(at(body, 'config')),
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

/** Tokens that the chart generates at the first install and looks up afterwards. */
const keptTokens = async (client: Client, namespace: string, values: JsonMap): Promise<JsonMap> => {
  const secret = await client.get('secrets', namespace, 'hub');
  const before = asMap(at(secret, 'data'));
  const services = Object.keys(asMap(at(values, 'hub', 'services')));
  const keys = [
    'hub.config.ConfigurableHTTPProxy.auth_token',
    'hub.config.CryptKeeper.keys',
    'hub.config.JupyterHub.cookie_secret',
    ...services.map((service) => `hub.services.${service}.apiToken`),
  ];
  return Object.fromEntries(keys.map((key) => [key, before[key] ?? hex64()]));
};

/** Applies the release’s objects, and deletes those of an earlier version that this one lacks. */
export const applyRelease = async (
  client: Client,
  owner: Owner,
  wish: Pick<Wish, 'release' | 'namespace'>,
  { chartVersion, values }: StoredRelease,
  podAnnotations: JsonMap = {},
): Promise<void> => {
  const kept = await keptTokens(client, wish.namespace, values);
  const objects = renderChart({
    name: wish.release,
    namespace: wish.namespace,
    chartVersion,
    values: withPodAnnotations(values, podAnnotations),
    kept,
  });
  const before = await installed(client, owner, wish.namespace);
  for (const object of objects) {
    const labels = { ...asMap(object.metadata.labels), ...ownerLabels(owner) };
    await client.apply(withMetadata(object, { labels }), { force: true });
  }
  const wanted = new Set(objects.map((object) => `${object.kind}/${nameOf(object)}`));
  for (const { plural, object } of before) {
    if (!wanted.has(`${object.kind}/${nameOf(object)}`))
      await client.delete(plural, wish.namespace, nameOf(object));
  }
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
