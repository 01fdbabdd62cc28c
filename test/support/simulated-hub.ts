import { startDeployments } from '@knada/simulators/cluster/deployments.ts';
import { isReady, type KubeletOptions, startKubelet } from '@knada/simulators/cluster/kubelet.ts';
import { installRelease } from '@knada/simulators/helm-controller/helm.ts';
import { type HubsOptions, startHubs } from '@knada/simulators/hubs/server.ts';
import { asMap, type JsonMap, parseJson } from '@knada/simulators/kubernetes/json.ts';
import { type KubeObject, nameOf, uidOf } from '@knada/simulators/kubernetes/object.ts';
import { startKubernetes } from '@knada/simulators/kubernetes/server.ts';
import { hubConventions } from '../../local/conventions.ts';
import type { NotebookSpec } from '../../src/model/notebook.ts';
import type { NotebookRecord } from '../../src/model/record.ts';
import { hubSecretName, hubService } from '../../src/notebooks/keys.ts';
import {
  type ProfileEnvironment,
  profilesConfigMap,
  profilesConfigMapName,
} from '../../src/notebooks/profiles.ts';
import { valuesOf } from '../../src/notebooks/values.ts';
import { metaOf } from '../../src/teams/desired.ts';
import { aPlatform } from '../notebooks/platform.ts';
import { aNotebook, anOrderedRecord, aSpec, named } from './records.ts';

/** One standard environment, the profile `python-3-13`. */
export const environment: ProfileEnvironment = {
  python: '3.13',
  image: 'ghcr.io/navikt/knada-images/jupyter:20261120-3.13',
  digest: `sha256:${'b'.repeat(64)}`,
  drivers: [],
  default: true,
};

const json = (value: unknown): JsonMap => asMap(parseJson(JSON.stringify(value)));

/**
 * A team’s hub in a simulated cluster, installed as Flux would with our values and our ConfigMap, with everything in
 * the cluster fast. Nothing of the product but what it writes takes part.
 */
export const startSimulatedHub = async (
  options: Partial<HubsOptions> & {
    readonly kubelet?: Partial<KubeletOptions>;
    readonly values?: JsonMap;
  } = {},
) => {
  const team = named({ slug: 'team-a', id: 'team-a-1234' });
  const { namespace, serviceAccount } = team.names;
  const token = 'a'.repeat(64);
  const { kubelet, values = {}, ...hubOptions } = options;
  const failures: string[] = [];
  const onFailure = (what: string, error: unknown) => void failures.push(`${what}: ${String(error)}`);

  const kubernetes = await startKubernetes();
  const client = kubernetes.client('test');
  const parts = [startKubelet({ client, podReadyMs: 5, podStopMs: 5, onFailure, ...kubelet })];
  let deployments = startDeployments({ client, onFailure });
  const startTheHubs = () =>
    startHubs({
      port: 0,
      client: kubernetes.client('hub'),
      conventions: hubConventions,
      onFailure,
      ...hubOptions,
    });
  let hubs = await startTheHubs();

  const hubPod = async (): Promise<KubeObject | undefined> =>
    (await client.list('pods', { namespace, labelSelector: 'component=hub' })).find(isReady);
  /** Watches the changes of a kind in the namespace until one matches. */
  const until = async <T>(plural: string, look: () => Promise<T | undefined>): Promise<T> => {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const again = () => {
      look().then((found) => {
        if (found !== undefined) resolve(found);
      }, reject);
    };
    const stop = client.watch(plural, { namespace }, again);
    again();
    try {
      return await promise;
    } finally {
      stop();
    }
  };
  const hubIsUp = () => until('pods', hubPod);

  const mount = async (
    revision: number,
    spec: Partial<NotebookSpec> = {},
    environments: readonly ProfileEnvironment[] = [environment],
    notebook: Partial<NotebookRecord> = {},
  ): Promise<void> => {
    const record = anOrderedRecord({
      ...team,
      generation: revision,
      notebook: aNotebook({ spec: aSpec(spec), ...notebook }),
    });
    const map = profilesConfigMap(record, environments, metaOf(record));
    await client.apply(json({ ...map, metadata: { ...map.metadata, namespace } }), { force: true });
  };

  await client.create({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: namespace, labels: { 'knada.io/team': team.slug, 'knada.io/team-id': team.id } },
  });
  await client.create({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: serviceAccount, namespace },
  });
  // The account of the hub’s own pods, which a new namespace gets in its own time.
  await until('serviceaccounts', () => client.get('serviceaccounts', namespace, 'default'));
  await mount(7);
  await client.create({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: hubSecretName, namespace },
    data: { [`hub.services.${hubService}.apiToken`]: Buffer.from(token).toString('base64') },
  });
  const chart = { ...json(valuesOf(team, aPlatform())), ...values };
  await installRelease(
    client,
    { name: 'jupyterhub', namespace },
    { release: `jupyterhub-${team.id}`, namespace, chartVersion: '4.4.0', values: chart },
  );
  await hubIsUp();

  const url = () => `http://127.0.0.1:${hubs.port}/${team.slug}`;
  /** A request as our service sends it, or with another token; '' is without one. */
  const send = (method: string, path: string, body?: unknown, bearer = token): Promise<Response> =>
    fetch(`${url()}${path}`, {
      method,
      headers: bearer === '' ? {} : { authorization: `token ${bearer}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });

  return {
    team,
    namespace,
    token,
    kubernetes,
    client,
    /** What parts of the cluster or the hubs have failed at. */
    failures,
    get hubs() {
      return hubs;
    },
    url,
    send,
    until,
    hubIsUp,
    /** Has the ConfigMap hold these profiles; the hub sees them when the kubelet does. */
    mount,
    /** Changes the hub’s pod as the product does, so the kubelet syncs it. */
    async touchHubPod(value: string): Promise<void> {
      const pod = await hubIsUp();
      await client.patch('pods', namespace, nameOf(pod), {
        metadata: { annotations: { 'knada.io/sync': value } },
      });
    },
    async removeProfiles(): Promise<void> {
      await client.delete('configmaps', namespace, profilesConfigMapName);
    },
    /** As `kubectl rollout restart`. */
    async restartHub(): Promise<void> {
      const before = uidOf(await hubIsUp());
      const annotations = { 'kubectl.kubernetes.io/restartedAt': new Date().toISOString() };
      await client.patch('deployments', namespace, 'hub', {
        spec: { template: { metadata: { annotations } } },
      });
      await until('pods', async () => {
        const pod = await hubPod();
        return pod !== undefined && uidOf(pod) !== before ? pod : undefined;
      });
    },
    /** The hub’s pod goes and no other comes; notebook servers run on. */
    async goAway(): Promise<void> {
      await deployments.close();
      const pod = await hubIsUp();
      await client.delete('pods', namespace, nameOf(pod));
      await until('pods', async () =>
        (await client.get('pods', namespace, nameOf(pod))) === undefined ? true : undefined,
      );
    },
    async comeBack(): Promise<void> {
      deployments = startDeployments({ client, onFailure });
      await hubIsUp();
    },
    /** The simulator of the hubs restarts on the same files. */
    async restartSimulator(): Promise<void> {
      await hubs.close();
      hubs = await startTheHubs();
    },
    async close(): Promise<void> {
      await hubs.close();
      await deployments.close();
      for (const part of parts) await part.close();
      await kubernetes.close();
    },
  };
};

export type SimulatedHub = Awaited<ReturnType<typeof startSimulatedHub>>;
