import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import Type from 'typebox';
import { Value } from 'typebox/value';
import { openSqliteStore } from '../../src/adapters/sqlite.ts';
import { defaultEntryOptions } from '../../src/egress/entry.ts';
import { noNotebooks } from '../../src/egress/live-egress.ts';
import { defaultEgressSettings } from '../../src/egress/policy.ts';
import { kinds } from '../../src/model/kinds.ts';
import { defaultLimits } from '../../src/model/limits.ts';
import type { NotebookImage, NotebookOrder, NotebookSpec } from '../../src/model/notebook.ts';
import { complete } from '../../src/model/notebook-fields.ts';
import type { TeamRecord } from '../../src/model/record.ts';
import { platformHash, releaseSpec } from '../../src/notebooks/desired.ts';
import { isPlatformContentOf } from '../../src/notebooks/platform-content.ts';
import { deleteNotebook, orderNotebook, retryNotebook } from '../../src/notebooks/rules.ts';
import type { Cluster, Manifest } from '../../src/ports/cluster.ts';
import type { DnsAnswer, DnsResolver } from '../../src/ports/dns.ts';
import type { Log } from '../../src/ports/runtime.ts';
import type { Decide } from '../../src/ports/store.ts';
import type { ReconcileDeps } from '../../src/reconcile/context.ts';
import { reconcileWith } from '../../src/reconcile/reconcile.ts';
import { renderWith } from '../../src/reconcile/render.ts';
import type { ProvisionResult } from '../../src/secrets/provision.ts';
import { deleteTeam, newTeam } from '../../src/teams/rules.ts';
import { aPlatform } from '../notebooks/platform.ts';
import type { Send } from './cluster-files.ts';
import { aHub } from './hub-users.ts';
import { aMoment, aNaming } from './records.ts';

/** A running API server: the adapter connected to it, and direct access for other users. */
export interface Kubernetes {
  readonly cluster: Cluster;
  readonly send: Send;
}

/** Flux’s status of a hub that Helm has deployed. */
const DeployedStatus = Type.Object({
  history: Type.Array(Type.Object({ status: Type.Literal('deployed') }), { minItems: 1 }),
});

interface After {
  after(cleanUp: () => Promise<unknown>): void;
}

/** An object as the API server gives it, with what our port leaves out. */
export interface Raw extends Manifest {
  readonly metadata: Manifest['metadata'] & { readonly uid: string; readonly resourceVersion: string };
}
const RawAnswer = Type.Object({
  metadata: Type.Object({ name: Type.String(), uid: Type.String(), resourceVersion: Type.String() }),
});
const RawList = Type.Object({ items: Type.Array(RawAnswer) });

/** The API path of each kind that the tests read. */
const paths: Readonly<Record<string, string>> = {
  ServiceAccount: 'api/v1/serviceaccounts',
  ConfigMap: 'api/v1/configmaps',
  Secret: 'api/v1/secrets',
  Pod: 'api/v1/pods',
  PersistentVolumeClaim: 'api/v1/persistentvolumeclaims',
  ResourceQuota: 'api/v1/resourcequotas',
  NetworkPolicy: 'apis/networking.k8s.io/v1/networkpolicies',
  HelmRelease: 'apis/helm.toolkit.fluxcd.io/v2/helmreleases',
};

export const pathOf = (namespace: string, kind: string, name = ''): string => {
  if (kind === 'Namespace') return `/api/v1/namespaces/${namespace}`;
  const path = paths[kind];
  assert.ok(path !== undefined, kind);
  const slash = path.lastIndexOf('/');
  const object = name === '' ? '' : `/${name}`;
  return `/${path.slice(0, slash)}/namespaces/${namespace}${path.slice(slash)}${object}`;
};

/** What Kubernetes puts into a namespace in its own time. */
const furniture = ['kube-root-ca.crt', 'default'];

export const platform = aPlatform();
const egress = { settings: defaultEgressSettings, entries: defaultEntryOptions };
const renderLive = renderWith({
  masterKeys: [{ id: platform.keyId, key: 'c0ffee'.repeat(11) }],
  environments: [
    {
      python: '3.13',
      image: 'europe-north1-docker.pkg.dev/knada-gcp/knada-north/jupyter:2026-11-20-abc-3.13',
      digest: `sha256:${'a'.repeat(64)}`,
      drivers: ['Oracle', 'Postgres'],
      default: true,
    },
  ],
  egress,
});
/** As it is for a team none of whose notebooks runs. */
export const render = (team: TeamRecord): readonly Manifest[] => renderLive(team, noNotebooks);

const kari = 'kari.nordmann@nav.no';
export const signal = (): AbortSignal => AbortSignal.timeout(60_000);

/** Waits for what the cluster does in its own time. */
export const eventually = async <T>(look: () => Promise<T | undefined | false>): Promise<T> => {
  const deadline = AbortSignal.timeout(45_000);
  for (let pauseMs = 10; ; pauseMs = Math.min(pauseMs * 2, 500)) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    await wait(pauseMs, undefined, { signal: deadline });
  }
};

/** One team in a store of its own, on a cluster that it shares with others, at an hour that the test sets. */
export type World = Awaited<ReturnType<typeof aWorld>>;

export const aWorld = async (t: After, { cluster, send }: Kubernetes) => {
  const store = openSqliteStore({ file: ':memory:', naming: aNaming });
  let now = Date.parse(aMoment);
  const clock = { now: () => now };
  const events: { readonly event: string; readonly fields: object }[] = [];
  const note = (fields: object, event: string) => void events.push({ event, fields });
  const log: Log = { info: note, warn: note, error: note };
  const slug = `t${randomBytes(4).toString('hex')}`;
  const namespaces = new Set<string>();
  t.after(async () => {
    await Promise.all([...namespaces].map((one) => send('DELETE', pathOf(one, 'Namespace'))));
    await store.close();
  });

  const act = () => ({ by: kari, now: new Date(now).toISOString() });
  const record = async (): Promise<TeamRecord> => {
    const team = await store.team(slug);
    assert.ok(team !== undefined, 'there is no such team');
    return team;
  };
  const change = async (decide: Decide): Promise<TeamRecord> => {
    const team = await store.change(slug, decide);
    assert.ok(team !== undefined, 'there is no such team');
    return team;
  };
  const hub = aHub();
  const dns = new Map<string, readonly string[] | (() => DnsAnswer)>();
  const names: DnsResolver = {
    async resolve(name) {
      const zone = dns.get(name) ?? [];
      if (typeof zone === 'function') return zone();
      const addresses = zone.map((address) => ({ address, ttlSeconds: 60 }));
      return addresses.length === 0 ? { answer: 'absent' } : { answer: 'addresses', addresses };
    },
  };
  const google: { answer: ProvisionResult; asked: number; dismantled: { deleteSecret: boolean }[] } = {
    answer: { state: 'ready' },
    asked: 0,
    dismantled: [],
  };
  const reconcileThrough = (outside: Partial<ReconcileDeps>) =>
    reconcileWith({
      store,
      cluster,
      clock,
      render: renderLive,
      hubs: hub.port,
      egress,
      settleOperations: async () => {},
      isPlatformContent: isPlatformContentOf({ hub: { existingSecret: 'hub-login' } }, ['ConfigMap istio-*']),
      dns: names,
      random: () => 0,
      google: {
        async provision() {
          google.asked++;
          return google.answer;
        },
        async dismantle(_team, options) {
          google.dismantled.push(options);
          return { state: 'gone' };
        },
      },
      log,
      ...outside,
    });
  const look = (
    through: Cluster = cluster,
    deadline = signal(),
    options: { readonly announced?: boolean } = {},
  ) => reconcileThrough({ cluster: through })(slug, deadline, options);
  /** The same with other ports in place of the world’s. */
  const reconcile = (outside: Partial<ReconcileDeps>, deadline = signal()) =>
    reconcileThrough(outside)(slug, deadline);
  const namespace = async () => (await record()).names.namespace;

  const create = async (overrides: Partial<TeamRecord> = {}): Promise<TeamRecord> => {
    const id = `${slug}-${randomBytes(2).toString('hex')}`;
    const team = { ...newTeam({ slug }, id, act(), aNaming), ...overrides };
    namespaces.add(team.names.namespace);
    const at = act().now;
    const outcome = await store.create(team, {
      at,
      by: kari,
      action: 'team_created',
      revision: null,
      changes: [],
    });
    assert.equal(outcome, 'created');
    return team;
  };

  const place = (spec: NotebookSpec, image: NotebookImage | null = null) =>
    change((team) =>
      orderNotebook(
        team,
        {
          spec,
          image,
          release: { platformHash: platformHash(platform), spec: releaseSpec(team, platform) },
        },
        act(),
        team.notebook === null ? 'notebook_ordered' : 'notebook_changed',
      ),
    );

  const list = async (kind: string, where: string): Promise<readonly Raw[]> => {
    const { body } = await send('GET', pathOf(where, kind));
    assert.ok(Value.Check(RawList, body), JSON.stringify(body));
    // What an API server lists is a Kubernetes object, checked as far as the tests rely on it.
    const apiVersion = (paths[kind] ?? '').split('/').slice(1, -1).join('/');
    return body.items.map((item) => ({ ...(item as unknown as Raw), kind, apiVersion }));
  };

  const raw = async (kind: string, name: string, where?: string): Promise<Raw | undefined> => {
    const { code, body } = await send('GET', pathOf(where ?? (await namespace()), kind, name));
    if (code === 404) return undefined;
    assert.ok(code === 200 && Value.Check(RawAnswer, body), JSON.stringify(body));
    return body as unknown as Raw;
  };

  /** The hub’s Deployment, which goes with the HelmRelease. */
  const installHub = async (): Promise<void> => {
    const where = await namespace();
    const release = await raw('HelmRelease', 'jupyterhub', where);
    assert.ok(release);
    const labels = { component: 'hub', release: (await record()).names.releaseName };
    const { apiVersion, kind } = kinds.helmRelease;
    const owner = { apiVersion, kind, name: 'jupyterhub', uid: release.metadata.uid };
    const path = `/apis/apps/v1/namespaces/${where}/deployments/hub?fieldManager=helm&force=true`;
    const deployment = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'hub', labels, ownerReferences: [owner] },
      spec: {
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers: [{ name: 'hub', image: 'hub:1' }] } },
      },
    };
    const { code, body } = await send('PATCH', path, deployment, 'application/apply-patch+yaml');
    assert.ok(code === 200 || code === 201, JSON.stringify(body));
  };

  return {
    slug,
    store,
    cluster,
    send,
    clock,
    events,
    /** The team’s hub: its users, and whether it answers. */
    hub,
    /** What names resolve to, or what is answered each time; others do not exist. */
    dns,
    names,
    /** What becomes of the team’s secret and account. */
    google,
    record,
    change,
    look,
    reconcile,
    namespace,
    create,
    place,
    act,
    raw,
    list,

    pass: (seconds: number) => {
      now += seconds * 1000;
    },

    /** The notebook ordered, or changed to another order. */
    order: (wish: NotebookOrder = {}) => place(complete(wish, defaultLimits)),
    retry: (force: boolean) => change((team) => retryNotebook(team, force, act())),
    deleteNotebook: (deleteHomes = false) => change((team) => deleteNotebook(team, { deleteHomes }, act())),
    deleteTeam: (deleteHomes = false) =>
      change((team) => deleteTeam(team, { deleteHomes, deleteSecret: false }, act())),

    /** A team with its notebook ordered and everything applied. */
    async ordered(wish: NotebookOrder = {}): Promise<TeamRecord> {
      await create();
      await place(complete(wish, defaultLimits));
      const team = await look();
      assert.equal(conditionOf(team, 'Applied')?.status, 'True', JSON.stringify(team?.status));
      return record();
    },

    /** Everything in the team’s namespace and the namespace itself, by kind and name. */
    async objects(where?: string): Promise<ReadonlyMap<string, Raw>> {
      const name = where ?? (await namespace());
      const contents = await Promise.all(Object.keys(paths).map((kind) => list(kind, name)));
      const itself = await raw('Namespace', name, name);
      const found = contents.flat().filter(({ metadata }) => !furniture.includes(metadata.name));
      return new Map([
        ...(itself === undefined ? [] : [[`Namespace ${name}`, itself] as const]),
        ...found.map((object) => [`${object.kind} ${object.metadata.name}`, object] as const),
      ]);
    },

    /** Changes an object as another user, by a JSON merge patch. */
    async edit(kind: string, name: string, patch: object): Promise<void> {
      const path = pathOf(await namespace(), kind, name);
      const { code, body } = await send('PATCH', path, patch, 'application/merge-patch+json');
      assert.equal(code, 200, JSON.stringify(body));
    },

    async put(kind: string, manifest: object): Promise<Raw> {
      // A pod needs its account, which a new namespace gets in its own time.
      if (kind === 'Pod') await eventually(() => raw('ServiceAccount', 'default'));
      const { code, body } = await send('POST', pathOf(await namespace(), kind), manifest);
      assert.ok(code === 201 && Value.Check(RawAnswer, body), JSON.stringify(body));
      return body as unknown as Raw;
    },

    async delete(kind: string, name: string): Promise<void> {
      const { code } = await send('DELETE', pathOf(await namespace(), kind, name));
      assert.ok(code === 200 || code === 202, `${code}`);
    },

    /** What Flux says of the hub. Of a deployed one it has made the Deployment. */
    async report(status: object): Promise<void> {
      if (Value.Check(DeployedStatus, status)) await installHub();
      const path = `${pathOf(await namespace(), 'HelmRelease', 'jupyterhub')}/status`;
      const { code, body } = await send('PATCH', path, { status }, 'application/merge-patch+json');
      assert.equal(code, 200, JSON.stringify(body));
    },
  };
};

export const conditionOf = (team: TeamRecord | undefined, type: string) =>
  team?.status.conditions.find((condition) => condition.type === type);

/** Which version each object is at: two of these are equal exactly when nothing was written in between. */
export const versions = (objects: ReadonlyMap<string, Raw>): Readonly<Record<string, string>> =>
  Object.fromEntries(
    [...objects].map(([name, { metadata }]) => [name, `${metadata.uid} at ${metadata.resourceVersion}`]),
  );

/** The content of each object, without metadata about its creation. */
export const contents = (objects: ReadonlyMap<string, Raw>): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    [...objects].map(([name, { metadata, spec, data, type }]) => {
      const { labels, annotations } = metadata;
      return [name, { labels, annotations, spec, data, type }];
    }),
  );

/** A pod as the hub makes one for a member, or as the chart makes the hub. */
export const aPod = (name: string, labels: Readonly<Record<string, string>>) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, labels },
  spec: { containers: [{ name: 'notebook', image: 'ghcr.io/navikt/jupyter:1' }] },
});

/** A member’s home as KubeSpawner makes it. */
export const aHome = (name: string, teamId: string) => ({
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  metadata: { name, labels: { component: 'singleuser-storage', 'knada.io/team-id': teamId } },
  spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '10Gi' } } },
});
