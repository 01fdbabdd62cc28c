import assert from 'node:assert/strict';
import type { Client, Selection } from '../kubernetes/client.ts';
import type { Json } from '../kubernetes/json.ts';
import { asList, asMap, asText, at, parseJson, without } from '../kubernetes/json.ts';
import type { KubeObject } from '../kubernetes/object.ts';
import { nameOf, uidOf } from '../kubernetes/object.ts';
import type { Kubernetes } from '../kubernetes/server.ts';
import type { Registries } from '../registries/server.ts';
import type { Sandbox } from '../sandbox.ts';
import { type Answer, type Api, apiAt } from './api.ts';

/** What the steps share. A step adds what later ones need. */
export interface Story {
  readonly sandbox: Sandbox;
  readonly kubernetes: Kubernetes;
  readonly cluster: Client;
  readonly registries: Registries;
  kari: Api;
  /** Namespace of team-a. */
  namespace: string;
}

/** One step of the story. It throws unless what `says` says is so. */
export interface Step {
  readonly says: string;
  run(story: Story): Promise<void>;
}

const notebook = '/teams/team-a/notebook';
const ownRepository = 'navikt/team-notebook';
const ownImage = `ghcr.io/${ownRepository}:main`;

/** Waits for a condition of the cluster, looking again at each change of a kind. */
const until = async (
  { cluster }: Story,
  plural: string,
  selection: Selection,
  wanted: (objects: readonly KubeObject[]) => boolean,
  what: string,
): Promise<void> => {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const look = async () => {
    if (wanted(await cluster.list(plural, selection))) resolve();
  };
  const timer = setTimeout(() => reject(new Error(`waited 30 seconds for ${what}`)), 30_000);
  const stop = cluster.watch(plural, selection, () => void look().catch(reject));
  look().catch(reject);
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    stop();
  }
};

/** Asks until the answer has this status, as a client would that has been told 202. */
const untilStatus = async (api: Api, path: string, status: number): Promise<Answer> => {
  const end = Date.now() + 30_000;
  for (;;) {
    const answer = await api.call('GET', path);
    if (answer.status === status) return answer;
    assert.ok(
      Date.now() < end,
      `GET ${path} did not come to ${status}; last: ${JSON.stringify(answer.body)}`,
    );
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
};

const expectStatus = (answer: Answer, status: number): Json => {
  assert.equal(answer.status, status, JSON.stringify(answer.body));
  return answer.body;
};

const isReady = (object: KubeObject): boolean =>
  asList(at(object, 'status', 'conditions')).some(
    (condition) => at(condition, 'type') === 'Ready' && at(condition, 'status') === 'True',
  );

const profilesOf = async ({ cluster, namespace }: Story): Promise<Json> => {
  const map = await cluster.get('configmaps', namespace, 'notebook-profiles');
  return parseJson(asText(at(map, 'data', 'profiles.json')));
};
const firstOverride = async (story: Story): Promise<Json | undefined> =>
  at(asList(await profilesOf(story))[0], 'kubespawner_override');

const releaseOf = async ({ cluster, namespace }: Story): Promise<KubeObject> => {
  const release = await cluster.get('helmreleases', namespace, 'jupyterhub');
  assert.ok(release, 'there is a HelmRelease');
  return release;
};
const hubPods = async ({ cluster, namespace }: Story): Promise<string[]> =>
  (await cluster.list('pods', { namespace, labelSelector: 'component=hub' })).map(uidOf);

/** Writes to the cluster by this product while something happens. */
const writesDuring = async ({ kubernetes }: Story, happens: () => Promise<unknown>): Promise<string[]> => {
  const writes: string[] = [];
  const stop = kubernetes.onRequest((entry) => {
    if (entry.via === 'http' && entry.isWrite) writes.push(`${entry.method} ${entry.path}`);
  });
  await happens();
  stop();
  return writes;
};

/** A problem without what may differ between two that say the same. */
const withoutInstance = (body: Json): Json => without(asMap(body), 'instance');

/** The story so far, in order. Later parts of the product add their steps before the last two. */
export const steps: readonly Step[] = [
  {
    says: 'a token of the issuer opens the API, and without one it stays shut',
    async run(story) {
      const url = `${story.sandbox.url('issuer')}/token?email=kari.nordmann@nav.no`;
      const token = await (await fetch(url)).text();
      story.kari = apiAt(story.sandbox.url('api'), token);
      assert.deepEqual(expectStatus(await story.kari.call('GET', '/teams'), 200), { items: [] });
      expectStatus(await apiAt(story.sandbox.url('api')).call('GET', '/teams'), 401);
    },
  },
  {
    says: 'a team is created, and its namespace stands in the cluster',
    async run(story) {
      const created = await story.kari.call('POST', '/teams', { body: { slug: 'team-a' } });
      const team = expectStatus(created, 201);
      assert.match(created.headers.get('location') ?? '', /\/v1\/teams\/team-a$/);
      assert.equal(at(asList(at(team, 'members'))[0], 'email'), 'kari.nordmann@nav.no');
      story.namespace = asText(at(team, 'namespace'));
      const namespace = await story.cluster.get('namespaces', '', story.namespace);
      assert.equal(at(namespace, 'metadata', 'labels', 'knada.io/team'), 'team-a');
    },
  },
  {
    says: 'an empty order takes every default',
    async run({ kari }) {
      const ordered = expectStatus(await kari.call('PUT', notebook, { body: {} }), 201);
      assert.partialDeepStrictEqual(at(ordered, 'spec'), {
        resources: { cpu: { guarantee: 0.2, limit: 0.5 }, memory: { guarantee: '1Gi', limit: '2Gi' } },
        culling: { timeoutSeconds: 3600 },
        image: null,
      });
      assert.equal(at(ordered, 'revision'), 1);
    },
  },
  {
    says: 'the event stream follows it until it is Ready, then ends',
    async run({ kari }) {
      const phases: Json[] = [];
      for await (const event of kari.events(`${notebook}/events`)) {
        phases.push(at(event, 'status', 'phase') ?? null);
      }
      assert.equal(phases.at(-1), 'Ready', `phases seen: ${phases.join(', ')}`);
    },
  },
  {
    says: 'HelmRelease, profiles, policies, service account and hub keys stand in Kubernetes',
    async run(story) {
      const { cluster, namespace } = story;
      const release = await releaseOf(story);
      assert.ok(isReady(release));
      assert.equal(at(release, 'spec', 'chart', 'spec', 'chart'), 'jupyterhub');
      const override = asMap(await firstOverride(story));
      assert.match(asText(override.image), /@sha256:[0-9a-f]{64}$/);
      assert.equal(override.cpu_limit, 0.5);
      const policies = (await cluster.list('networkpolicies', { namespace })).map(nameOf);
      assert.ok(policies.includes('notebook-egress-open'), policies.join(', '));
      const account = await cluster.get('serviceaccounts', namespace, namespace.replace(/^team-/, ''));
      assert.match(
        asText(at(account, 'metadata', 'annotations', 'iam.gke.io/gcp-service-account')),
        /@knada-local\.iam\.gserviceaccount\.com$/,
      );
      const secret = await cluster.get('secrets', namespace, 'notebook-hub');
      assert.deepEqual(Object.keys(asMap(at(secret, 'data'))).toSorted(), [
        'hub.config.CryptKeeper.keys',
        'hub.config.JupyterHub.cookie_secret',
        'hub.services.knada-notebooks.apiToken',
      ]);
    },
  },
  {
    says: 'the same order again writes nothing to the cluster',
    async run(story) {
      const writes = await writesDuring(story, async () => {
        const again = expectStatus(await story.kari.call('PUT', notebook, { body: {} }), 200);
        assert.equal(at(again, 'revision'), 1);
      });
      assert.deepEqual(writes, []);
    },
  },
  {
    says: 'a plan tells what more CPU would mean, and changes nothing',
    async run(story) {
      const body = { resources: { cpu: { limit: 2 } } };
      const plan = expectStatus(await story.kari.call('POST', `${notebook}/plan`, { body }), 200);
      assert.partialDeepStrictEqual(plan, {
        changes: [{ path: '/resources/cpu/limit', from: 0.5, to: 2 }],
        restartsHub: false,
        runningServers: 'next_start',
      });
      const current = expectStatus(await story.kari.call('GET', notebook), 200);
      assert.equal(at(current, 'revision'), 1);
    },
  },
  {
    says: 'more CPU changes the profiles and restarts no hub: the HelmRelease stays as it is',
    async run(story) {
      const before = { release: await releaseOf(story), pods: await hubPods(story) };
      const patched = await story.kari.call('PATCH', notebook, {
        body: { resources: { cpu: { limit: 2 } } },
        headers: { 'if-match': '"1"', 'content-type': 'application/merge-patch+json' },
      });
      assert.equal(at(expectStatus(patched, 200), 'revision'), 2);
      assert.equal(at(await firstOverride(story), 'cpu_limit'), 2);
      const after = await releaseOf(story);
      assert.deepEqual(after.spec, before.release.spec);
      assert.equal(after.metadata.generation, before.release.metadata.generation);
      assert.deepEqual(await hubPods(story), before.pods);
    },
  },
  {
    says: 'a change decided on an older revision is refused with 412',
    async run({ kari }) {
      const stale = await kari.call('PATCH', notebook, {
        body: { resources: { cpu: { limit: 4 } } },
        headers: { 'if-match': '"1"' },
      });
      assert.equal(at(expectStatus(stale, 412), 'code'), 'revision_mismatch');
    },
  },
  {
    says: 'the history tells who changed what, and an earlier revision is restored',
    async run(story) {
      const { kari } = story;
      const history = expectStatus(
        await kari.call('GET', `${notebook.replace('/notebook', '')}/history`),
        200,
      );
      const [latest] = asList(at(history, 'items'));
      assert.partialDeepStrictEqual(latest, {
        by: 'kari.nordmann@nav.no',
        action: 'notebook_changed',
        revision: 2,
        changes: [{ path: '/resources/cpu/limit', from: 0.5, to: 2 }],
      });
      const restored = expectStatus(await kari.call('POST', '/teams/team-a/history/1/restore'), 200);
      assert.equal(at(restored, 'revision'), 3);
      assert.equal(at(restored, 'spec', 'resources', 'cpu', 'limit'), 0.5);
      assert.equal(at(await firstOverride(story), 'cpu_limit'), 0.5);
    },
  },
  {
    says: 'the environments are the newest standard image of each Python, with what is missing and why',
    async run({ kari, registries }) {
      const { items, gaps } = asMap(expectStatus(await kari.call('GET', '/environments'), 200));
      const offered = asList(items ?? null);
      assert.ok(offered.length > 0);
      for (const item of offered) {
        const [, path = '', tag = ''] = /^ghcr\.io\/([^:]+):(.+)$/.exec(asText(at(item, 'image'))) ?? [];
        assert.equal(at(item, 'digest'), registries.digest(path, tag));
      }
      assert.equal(offered.filter((item) => at(item, 'default') === true).length, 1);
      assert.ok(asList(gaps ?? null).every((gap) => asText(at(gap, 'message')) !== ''));
    },
  },
  {
    says: "the team's own image is pinned by digest and comes first in its profiles",
    async run(story) {
      const { kari, registries } = story;
      const wrong = await kari.call('PATCH', notebook, { body: { image: `${ownImage}x` } });
      assert.equal(at(expectStatus(wrong, 422), 'code'), 'tag_not_found');
      const patched = expectStatus(await kari.call('PATCH', notebook, { body: { image: ownImage } }), 200);
      const digest = registries.digest(ownRepository, 'main');
      assert.equal(at(patched, 'status', 'image', 'digest'), digest);
      assert.equal(at(await firstOverride(story), 'image'), `${ownImage}@${digest}`);
    },
  },
  {
    says: 'a tag that has moved is told, and taken when asked: no hub restarts',
    async run(story) {
      const { kari, registries, sandbox } = story;
      const before = { release: await releaseOf(story), pods: await hubPods(story) };
      const old = registries.digest(ownRepository, 'main');
      const moved = registries.digest(ownRepository, '20261101-090000-1a2b3c4');
      registries.moveTag(ownRepository, 'main', moved);
      const refreshed = await fetch(`${sandbox.url('functions')}/refresh`, { method: 'POST' });
      assert.equal(refreshed.status, 200);
      const told = expectStatus(await kari.call('GET', notebook), 200);
      assert.equal(at(told, 'status', 'image', 'digest'), old);
      assert.equal(at(told, 'status', 'image', 'newerDigest'), moved);
      const taken = expectStatus(await kari.call('POST', `${notebook}/refresh-image`), 200);
      assert.partialDeepStrictEqual(at(taken, 'status', 'image'), { digest: moved, newerDigest: null });
      assert.equal(at(await firstOverride(story), 'image'), `${ownImage}@${moved}`);
      assert.deepEqual((await releaseOf(story)).spec, before.release.spec);
      assert.deepEqual(await hubPods(story), before.pods);
    },
  },
  {
    says: "a stranger's 404 is the same as for a team that does not exist",
    async run({ sandbox }) {
      const ola = apiAt(sandbox.url('api'), await sandbox.issuer.token({ email: 'ola.nordmann@nav.no' }));
      const hidden = await ola.call('GET', notebook);
      const missing = await ola.call('GET', notebook.replace('team-a', 'team-z'));
      expectStatus(hidden, 404);
      expectStatus(missing, 404);
      assert.deepEqual(withoutInstance(hidden.body), withoutInstance(missing.body));
    },
  },
  {
    says: 'with Kubernetes away an order is accepted and shown as Pending with the reason',
    async run({ kari, kubernetes }) {
      kubernetes.faults.set(() => ({ drop: true }));
      expectStatus(await kari.call('POST', '/teams', { body: { slug: 'team-b' } }), 201);
      const ordered = expectStatus(await kari.call('PUT', '/teams/team-b/notebook', { body: {} }), 201);
      assert.equal(at(ordered, 'status', 'phase'), 'Pending');
      const applied = asList(at(ordered, 'status', 'conditions')).find(
        (one) => at(one, 'type') === 'Applied',
      );
      assert.equal(at(applied, 'status'), 'Unknown');
      assert.match(asText(at(applied, 'reason')), /Unavailable$/);
      assert.notEqual(at(applied, 'message'), '');
    },
  },
  {
    says: 'once Kubernetes is back the next tick applies it without anybody asking',
    async run(story) {
      story.kubernetes.faults.set(undefined);
      const selection = { labelSelector: 'knada.io/team=team-b' };
      // Only the cluster is looked at: a GET of the notebook would lend a hand.
      await until(story, 'helmreleases', selection, (found) => found.some(isReady), 'the hub of team-b');
      const events = story.kari.events('/teams/team-b/notebook/events');
      let last: Json = null;
      for await (const event of events) last = event;
      assert.equal(at(last, 'status', 'phase'), 'Ready');
    },
  },
  {
    says: 'a larger home is ordered, and the volume that exists grows',
    async run(story) {
      const { cluster, kari, namespace } = story;
      // As KubeSpawner makes it at a member's first start.
      const claim = {
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        metadata: {
          name: 'claim-kari',
          namespace,
          labels: { component: 'singleuser-storage', 'hub.jupyter.org/username': 'kari' },
        },
        spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '10Gi' } } },
      };
      await cluster.create(claim);
      await cluster.updateStatus({ ...claim, status: { phase: 'Bound', capacity: { storage: '10Gi' } } });
      const body = { storage: { home: '20Gi' } };
      const plan = expectStatus(await kari.call('POST', `${notebook}/plan`, { body }), 200);
      assert.equal(at(plan, 'restartsHub'), false);
      expectStatus(await kari.call('PATCH', notebook, { body }), 200);
      const grown = await cluster.get('persistentvolumeclaims', namespace, 'claim-kari');
      assert.equal(at(grown, 'spec', 'resources', 'requests', 'storage'), '20Gi');
      const shrunk = await kari.call('PATCH', notebook, { body: { storage: { home: '5Gi' } } });
      assert.equal(at(expectStatus(shrunk, 409), 'code'), 'cannot_shrink');
    },
  },
  {
    says: 'deleting the notebook takes the hub away and keeps the homes',
    async run(story) {
      const { cluster, kari, namespace } = story;
      expectStatus(await kari.call('DELETE', notebook), 202);
      await untilStatus(kari, notebook, 404);
      assert.equal(await cluster.get('helmreleases', namespace, 'jupyterhub'), undefined);
      assert.ok(await cluster.get('persistentvolumeclaims', namespace, 'claim-kari'));
      expectStatus(await kari.call('GET', '/teams/team-a'), 200);
    },
  },
  {
    says: 'a team with homes is deleted only when told to, and then leaves nothing behind',
    async run(story) {
      const { cluster, kari, namespace } = story;
      const refused = expectStatus(await kari.call('DELETE', '/teams/team-a'), 409);
      assert.equal(at(refused, 'code'), 'homes_exist');
      const told = await kari.call('DELETE', '/teams/team-a?deleteHomes=true&deleteSecret=true');
      expectStatus(told, 202);
      await untilStatus(kari, '/teams/team-a', 404);
      assert.equal(await cluster.get('namespaces', '', namespace), undefined);
    },
  },
];
