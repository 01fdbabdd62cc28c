import assert from 'node:assert/strict';
import { asList, at, type Json } from '@knada/simulators/kubernetes/json.ts';
import { nameOf } from '@knada/simulators/kubernetes/object.ts';
import { started } from './servers.ts';
import { expectStatus, notebook, type Step, type Story, until } from './story.ts';

const policies = async ({ cluster, namespace }: Story): Promise<readonly string[]> =>
  (await cluster.list('networkpolicies', { namespace }))
    .map(nameOf)
    .filter((name) => name.startsWith('notebook-egress-'))
    .toSorted();

const opened = async ({ cluster, namespace }: Story): Promise<readonly string[]> => {
  const allow = await cluster.get('networkpolicies', namespace, 'notebook-egress-allow');
  return [...JSON.stringify(allow ?? {}).matchAll(/"cidr":"([^"]+)"/g)].map(([, cidr = '']) => cidr);
};

const allowlist = (hosts: readonly string[]): { body: Json } => ({
  body: { allowlist: { enabled: true, hosts: [...hosts] } },
});

const check = async ({ kari }: Story, destination: string): Promise<Json> =>
  expectStatus(await kari.call('POST', '/teams/team-a/egress/check', { body: { destination } }), 200);

/** Egress: restricted as soon as a team opts in, and open only to its allowlist while a server is running. */
export const egress: readonly Step[] = [
  {
    says: 'opting in replaces the open policy with the baseline',
    async run(story) {
      expectStatus(await story.kari.call('PATCH', notebook, allowlist(['pypi.org'])), 200);
      assert.deepEqual(await policies(story), ['notebook-egress-baseline']);
    },
  },
  {
    says: 'the allowlist is open before a started server is ready',
    async run(story) {
      await started(story);
      assert.deepEqual(await policies(story), ['notebook-egress-allow', 'notebook-egress-baseline']);
      assert.ok((await opened(story)).length > 0);
      assert.equal(at(await check(story, 'pypi.org:443'), 'allowed'), true);
      assert.equal(at(await check(story, 'api.github.com'), 'allowed'), false);
    },
  },
  {
    says: 'a changed list reaches the running server within the request and restarts nothing',
    async run(story) {
      const pods = async () => (await story.cluster.list('pods', { namespace: story.namespace })).map(nameOf);
      const before = { pods: await pods(), opened: await opened(story) };
      expectStatus(await story.kari.call('PATCH', notebook, allowlist(['api.github.com'])), 200);
      const after = await opened(story);
      assert.ok(after.length > 0);
      assert.ok(
        after.every((cidr) => !before.opened.includes(cidr)),
        'removed entries are closed',
      );
      assert.deepEqual(await pods(), before.pods);
      assert.equal(at(await check(story, 'api.github.com'), 'allowed'), true);
    },
  },
  {
    says: 'getEgress shows each entry, and a list with an invalid entry is rejected as a whole',
    async run(story) {
      const { kari } = story;
      const mixed = ['api.github.com', 'missing.example.com', 'private.example.com'];
      expectStatus(await kari.call('PATCH', notebook, allowlist(mixed)), 200);
      const seen = expectStatus(await kari.call('GET', '/teams/team-a/egress'), 200);
      const statuses = asList(at(seen, 'entries')).map((entry) => [at(entry, 'host'), at(entry, 'status')]);
      assert.deepEqual(statuses, [
        ['api.github.com', 'resolved'],
        ['missing.example.com', 'unresolved'],
        ['private.example.com', 'blocked_private_answer'],
      ]);
      assert.equal(at(seen, 'effective'), true);
      const bad = await kari.call('PATCH', notebook, allowlist(['pypi.org', '*.example.com', '10.0.0.1']));
      const problem = expectStatus(bad, 422);
      assert.equal(at(problem, 'code'), 'invalid_allowlist');
      assert.equal(asList(at(problem, 'errors')).length, 2);
    },
  },
  {
    says: 'the allowlist is closed when the server stops',
    async run(story) {
      const stop = await story.kari.call('POST', '/teams/team-a/servers/kari.nordmann@nav.no/stop');
      expectStatus(stop, 202);
      const selection = { namespace: story.namespace };
      const closed = (names: readonly string[]) => !names.includes('notebook-egress-allow');
      await until(story, 'networkpolicies', selection, (found) => closed(found.map(nameOf)), 'it to close');
      assert.deepEqual(await policies(story), ['notebook-egress-baseline']);
    },
  },
  {
    says: 'opting out restores open egress and leaves no other policy behind',
    async run(story) {
      const body = { allowlist: { enabled: false } };
      expectStatus(await story.kari.call('PATCH', notebook, { body }), 200);
      assert.deepEqual(await policies(story), ['notebook-egress-open']);
    },
  },
];
