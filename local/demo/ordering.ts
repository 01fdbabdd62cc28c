import assert from 'node:assert/strict';
import { asList, asMap, asText, at, type Json } from '@knada/simulators/kubernetes/json.ts';
import { nameOf } from '@knada/simulators/kubernetes/object.ts';
import { apiAt } from './api.ts';
import {
  expectStatus,
  firstOverride,
  hubPods,
  isReady,
  notebook,
  releaseOf,
  type Step,
  writesDuring,
} from './story.ts';

/** A team, its notebook, and changes to it. */
export const ordering: readonly Step[] = [
  {
    says: 'the API accepts the issuer’s token and refuses a request without one',
    async run(story) {
      const url = `${story.sandbox.url('issuer')}/token?email=kari.nordmann@nav.no`;
      const token = await (await fetch(url)).text();
      story.kari = apiAt(story.sandbox.url('api'), token);
      assert.deepEqual(expectStatus(await story.kari.call('GET', '/teams'), 200), {
        items: [],
        nextCursor: null,
      });
      expectStatus(await apiAt(story.sandbox.url('api')).call('GET', '/teams'), 401);
    },
  },
  {
    says: 'creating a team creates its namespace',
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
    says: 'an empty order uses every default',
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
    says: 'the event stream reports progress until Ready, then ends',
    async run({ kari }) {
      const phases: Json[] = [];
      for await (const event of kari.events(`${notebook}/events`)) {
        phases.push(at(event, 'status', 'phase') ?? null);
      }
      assert.equal(phases.at(-1), 'Ready', `phases seen: ${phases.join(', ')}`);
    },
  },
  {
    says: 'the cluster has the HelmRelease, profiles, policies, service account and hub keys',
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
    says: 'repeating the order writes nothing to the cluster',
    async run(story) {
      const writes = await writesDuring(story, async () => {
        const again = expectStatus(await story.kari.call('PUT', notebook, { body: {} }), 200);
        assert.equal(at(again, 'revision'), 1);
      });
      assert.deepEqual(writes, []);
    },
  },
  {
    says: 'a plan shows the effect of more CPU and changes nothing',
    async run(story) {
      const body = { resources: { cpu: { limit: 2 } } };
      const plan = expectStatus(await story.kari.call('POST', `${notebook}/plan`, { body }), 200);
      assert.partialDeepStrictEqual(plan, {
        changes: [{ pointer: '/resources/cpu/limit', from: 0.5, to: 2 }],
        restartsHub: false,
        runningServers: 'next_start',
      });
      const current = expectStatus(await story.kari.call('GET', notebook), 200);
      assert.equal(at(current, 'revision'), 1);
    },
  },
  {
    says: 'more CPU changes the profiles, leaves the HelmRelease unchanged and restarts no hub',
    async run(story) {
      const before = { release: await releaseOf(story), pods: await hubPods(story) };
      const { headers } = await story.kari.call('GET', notebook);
      const patched = await story.kari.call('PATCH', notebook, {
        body: { resources: { cpu: { limit: 2 } } },
        headers: { 'if-match': headers.get('etag') ?? '', 'content-type': 'application/merge-patch+json' },
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
    says: 'a change based on an older revision is refused with 412',
    async run({ kari }) {
      const { headers } = await kari.call('GET', notebook);
      // As it was before the change above.
      const earlier = (headers.get('etag') ?? '').replace(/[0-9]+[.][0-9]+"$/, '1.0"');
      const stale = await kari.call('PATCH', notebook, {
        body: { resources: { cpu: { limit: 4 } } },
        headers: { 'if-match': earlier },
      });
      assert.equal(at(expectStatus(stale, 412), 'code'), 'revision_mismatch');
    },
  },
  {
    says: 'the history shows who changed what, and an earlier revision can be restored',
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
        changes: [{ pointer: '/resources/cpu/limit', from: 0.5, to: 2 }],
      });
      const restored = expectStatus(await kari.call('POST', '/teams/team-a/history/1/restore'), 200);
      assert.equal(at(restored, 'revision'), 3);
      assert.equal(at(restored, 'spec', 'resources', 'cpu', 'limit'), 0.5);
      assert.equal(at(await firstOverride(story), 'cpu_limit'), 0.5);
    },
  },
];
