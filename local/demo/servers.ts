import assert from 'node:assert/strict';
import { asList, asText, at, type Json, parseJson } from '@knada/simulators/kubernetes/json.ts';
import { nameOf, uidOf } from '@knada/simulators/kubernetes/object.ts';
import { apiAt } from './api.ts';
import { expectStatus, hubPods, type Step, type Story, until, untilNothing } from './story.ts';

const kari = 'kari.nordmann@nav.no';
const path = '/teams/team-a/servers';
const server = `${path}/${kari}`;
const hour = 3600;

/** Follows an operation’s stream to its end. */
export const followed = async ({ kari: api }: Story, operation: Json): Promise<readonly Json[]> => {
  const events: Json[] = [];
  for await (const event of api.events(`/teams/team-a/operations/${asText(at(operation, 'id'))}/events`)) {
    events.push(event);
  }
  assert.equal(at(events.at(-1) ?? null, 'done'), true, JSON.stringify(events));
  assert.equal(at(events.at(-1) ?? null, 'error'), undefined, JSON.stringify(events));
  return events;
};

export const started = async (story: Story): Promise<readonly Json[]> =>
  followed(story, expectStatus(await story.kari.call('POST', `${server}/start`), 202));

const shown = async ({ kari: api }: Story): Promise<Json> => {
  const { body } = await api.call('GET', path);
  const found = asList(at(body, 'items')).find((one) => at(one, 'user') === kari);
  assert.ok(found !== undefined, JSON.stringify(body));
  return found;
};

const untilState = async (story: Story, wanted: string): Promise<void> =>
  untilNothing(async () => {
    const state = at(await shown(story), 'state');
    return state === wanted ? undefined : `the server is ${JSON.stringify(state)}, not ${wanted}`;
  }, 60_000);

const notebookPods = async ({ cluster, namespace }: Story) =>
  cluster.list('pods', { namespace, labelSelector: 'component=singleuser-server' });

/** The hub’s users, who are the people that can log in. */
const hubUsers = async ({ sandbox, cluster, namespace }: Story): Promise<readonly string[]> => {
  const secret = await cluster.get('secrets', namespace, 'notebook-hub');
  const token = Buffer.from(asText(at(secret, 'data', 'hub.services.knada-notebooks.apiToken')), 'base64');
  const headers = { authorization: `token ${token}` };
  const response = await fetch(`${sandbox.url('hubs')}/team-a/hub/api/users`, { headers });
  return asList(parseJson(await response.text())).map((user) => asText(at(user, 'name')));
};

const instant = (value: Json | undefined): number => Date.parse(asText(value));

/** Servers: listed, started, extended, restarted, and culled when idle. */
export const servers: readonly Step[] = [
  {
    says: 'a member who never started a server is listed as stopped',
    async run(story) {
      assert.partialDeepStrictEqual(await shown(story), { state: 'stopped', stopsAt: null });
    },
  },
  {
    says: 'a server starts, with progress, as its profile says',
    async run(story) {
      const events = await started(story);
      const progress = events.map((event) => Number(at(event, 'progress')));
      assert.deepEqual(
        progress,
        progress.toSorted((a, b) => a - b),
      );
      assert.equal(progress.at(-1), 100);
      assert.ok(new Set(progress).size > 2, `progress seen: ${progress.join(', ')}`);
      const [pod] = await notebookPods(story);
      assert.match(asText(at(asList(at(pod, 'spec', 'containers'))[0], 'image')), /@sha256:/);
    },
  },
  {
    says: 'a second start request changes nothing while the server is running',
    async run(story) {
      const before = (await notebookPods(story)).map(uidOf);
      const again = expectStatus(await story.kari.call('POST', `${server}/start`), 202);
      assert.equal(at(again, 'done'), true);
      assert.deepEqual((await notebookPods(story)).map(uidOf), before);
    },
  },
  {
    says: 'the list shows when the server will stop, and why',
    async run(story) {
      const seen = await shown(story);
      assert.partialDeepStrictEqual(seen, { state: 'running', stopsBecause: 'idle', pendingRestart: false });
      const left = (instant(at(seen, 'stopsAt')) - instant(at(seen, 'lastActivityAt'))) / 1000;
      assert.ok(Math.abs(left - hour) < 1, `stops ${left} seconds after the last activity`);
    },
  },
  {
    says: 'extending the server moves that time',
    async run(story) {
      const until = new Date(Date.now() + 5 * hour * 1000).toISOString();
      const extended = await story.kari.call('POST', `${server}/extend`, { body: { until } });
      assert.partialDeepStrictEqual(expectStatus(extended, 200), {
        stopsAt: until,
        stopsBecause: 'extended',
      });
      assert.equal(at(await shown(story), 'stopsAt'), until);
    },
  },
  {
    says: 'more memory shows as a pending restart, and a restart applies it',
    async run(story) {
      const body = { resources: { memory: { limit: '4Gi' } } };
      expectStatus(await story.kari.call('PATCH', '/teams/team-a/notebook', { body }), 200);
      assert.equal(at(await shown(story), 'pendingRestart'), true);
      const [before] = await notebookPods(story);
      const operation = expectStatus(await story.kari.call('POST', `${server}/restart`), 202);
      const twice = expectStatus(await story.kari.call('POST', `${server}/restart`), 202);
      assert.equal(at(twice, 'id'), at(operation, 'id'), 'a repeated request returns the same restart');
      await followed(story, operation);
      const [after] = await notebookPods(story);
      assert.notEqual(after && uidOf(after), before && uidOf(before));
      assert.equal(at(await shown(story), 'pendingRestart'), false);
    },
  },
  {
    says: 'another image is pending for a running server, and a restart brings it, or the profile that the member names',
    async run(story) {
      const image = 'ghcr.io/navikt/team-notebook:20261101-090000-1a2b3c4';
      const plan = await story.kari.call('POST', '/teams/team-a/notebook/plan', { body: { image } });
      const [waiting] = asList(at(expectStatus(plan, 200), 'serversPendingRestart'));
      assert.equal(at(waiting ?? null, 'user'), kari);
      expectStatus(await story.kari.call('PATCH', '/teams/team-a/notebook', { body: { image } }), 200);
      const [change] = asList(at(await shown(story), 'pendingChanges'));
      assert.partialDeepStrictEqual(change, { pointer: '/image' });
      assert.match(asText(at(change ?? null, 'to')), new RegExp(`^${image}@`));

      const { body } = await story.kari.call('GET', '/teams/team-a/notebook/profiles');
      const profiles = asList(at(body, 'items'));
      assert.deepEqual(
        profiles.filter((profile) => at(profile, 'chosen') === true).map((profile) => at(profile, 'slug')),
        ['own-image'],
      );
      const standard = asText(at(profiles[1], 'slug'));
      const differs = await story.kari.call('POST', `${server}/start`, { body: { profile: standard } });
      assert.equal(at(expectStatus(differs, 409), 'code'), 'profile_differs');
      for (const profile of [standard, 'own-image']) {
        const restart = await story.kari.call('POST', `${server}/restart`, { body: { profile } });
        await followed(story, expectStatus(restart, 202));
        assert.equal(at(await shown(story), 'profile', 'slug'), profile);
      }
      assert.match(asText(at(await shown(story), 'image')), new RegExp(`^${image}@`));
      assert.deepEqual(at(await shown(story), 'pendingChanges'), []);
    },
  },
  {
    says: 'restarting a frozen hub leaves its servers running',
    async run(story) {
      const before = { hub: await hubPods(story), pods: (await notebookPods(story)).map(uidOf) };
      story.hubs.freeze('team-a');
      const operation = expectStatus(await story.kari.call('POST', '/teams/team-a/hub/restart'), 202);
      const open = await story.kari.call('GET', '/teams/team-a/operations?open=true');
      assert.deepEqual(
        asList(at(open.body, 'items')).map((one) => at(one, 'id')),
        [at(operation, 'id')],
        'a page that is loaded again finds the restart',
      );
      await followed(story, operation);
      assert.notDeepEqual(await hubPods(story), before.hub);
      assert.deepEqual((await notebookPods(story)).map(uidOf), before.pods);
      // A hub that has started checks its servers first. Until then culling keeps them, and asks again a minute later.
      await untilState(story, 'running');
    },
  },
  {
    says: 'an idle server is stopped, and the history says why',
    async run(story) {
      await story.sandbox.moveClock(2 * hour);
      const token = await story.sandbox.issuer.token({ email: kari });
      story.kari = apiAt(story.sandbox.url('api'), token);
      const selection = { namespace: story.namespace, labelSelector: 'component=singleuser-server' };
      await until(story, 'pods', selection, (pods) => pods.length === 0, 'the idle server to stop');
      const culled = async () => {
        const { body } = await story.kari.call('GET', '/teams/team-a/history');
        return asList(at(body, 'items')).find((one) => at(one, 'action') === 'server_culled');
      };
      // The history entry is written just after the stop.
      let entry: Json | undefined;
      await untilNothing(async () => {
        entry = await culled();
        return entry === undefined ? 'the history says nothing of a stop' : undefined;
      }, 10_000);
      assert.match(asText(at(entry ?? null, 'reason')), /activity/i);
      const claims = await story.cluster.list('persistentvolumeclaims', { namespace: story.namespace });
      assert.ok(
        claims.map(nameOf).some((name) => name.startsWith('claim-')),
        'the home is kept',
      );
    },
  },
  {
    says: 'a new member can log in at once and a removed one cannot, without a hub restart',
    async run(story) {
      const hub = await hubPods(story);
      const ola = 'ola.nordmann@nav.no';
      const users = () => hubUsers(story);
      const membership = `/teams/team-a/members/${ola}`;
      expectStatus(await story.kari.call('PUT', membership), 200);
      assert.deepEqual((await users()).toSorted(), [kari, ola]);
      expectStatus(await story.kari.call('DELETE', membership), 204);
      assert.deepEqual(await users(), [kari]);
      assert.deepEqual(await hubPods(story), hub);
    },
  },
];
