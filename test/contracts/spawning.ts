import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import Type, { type Static } from 'typebox';
import { Value } from 'typebox/value';
import type { NamedTeam } from '../../src/model/names.ts';
import { type Product, startProduct } from '../kubespawner/spawning/product.ts';
import type { SpawningHub } from '../kubespawner/spawning/spawning-hub.ts';
import { kari } from '../support/api.ts';
import { pathOf } from '../support/world.ts';

const slug = 'team-a';
const repository = 'our-notebook';

const Pod = Type.Object({
  metadata: Type.Object({
    name: Type.String(),
    uid: Type.String(),
    labels: Type.Record(Type.String(), Type.String()),
    annotations: Type.Record(Type.String(), Type.String()),
  }),
  spec: Type.Object({
    serviceAccountName: Type.String(),
    containers: Type.Array(Type.Object({ image: Type.String() })),
  }),
});
type Pod = Static<typeof Pod>;
const List = Type.Object({ items: Type.Array(Pod) });
const Claims = Type.Object({
  items: Type.Array(
    Type.Object({
      metadata: Type.Object({ annotations: Type.Optional(Type.Record(Type.String(), Type.String())) }),
    }),
  ),
});
const Token = Type.Object({ token: Type.String() });
const pointersOf = (server: { readonly pendingChanges: readonly { readonly pointer: string }[] }) =>
  server.pendingChanges.map(({ pointer }) => pointer);

/**
 * A team’s notebooks from the order to the last stop, at the API’s own operations: the product, a hub, and the cluster in
 * which the hub starts its servers. Called inside a `describe` that names them; each test has a member of its own.
 */
export const spawningContract = (open: () => SpawningHub): void => {
  let hub: SpawningHub;
  let product: Product;
  let team: NamedTeam;
  const member = (name: string) => `${name}@nav.no`;
  const members = ['starts', 'images', 'culled', 'leaver', 'hub.restart'].map(member);

  const conditions = async () => {
    const { status } = await product.ask(200, 'GET', `/${slug}/notebook`);
    return new Map<string, string>(
      status.conditions.map((one: { readonly type: string; readonly status: string }) => [
        one.type,
        one.status,
      ]),
    );
  };
  const pods = async (component: string): Promise<readonly Pod[]> => {
    const { body } = await hub.send(
      'GET',
      `${pathOf(team.names.namespace, 'Pod')}?labelSelector=component%3D${component}`,
    );
    return Value.Parse(List, body).items;
  };
  const podOf = async (user: string): Promise<Pod | undefined> =>
    (await pods('singleuser-server')).find(
      ({ metadata }) => metadata.annotations['hub.jupyter.org/username'] === user,
    );
  const running = async (user: string): Promise<Pod> =>
    (await podOf(user)) ?? assert.fail(`no pod of ${user}`);
  const hubPods = async () => (await pods('hub')).map(({ metadata }) => metadata.uid);
  const imageOf = ({ spec }: Pod) => spec.containers[0]?.image;
  const server = (user: string) => product.server(slug, user);
  const start = (user: string) => product.done(slug, `/servers/${user}/start`);
  const stop = (user: string) => product.done(slug, `/servers/${user}/stop`);
  /** A token that the member has made at the hub. */
  const tokenOf = async (user: string): Promise<string> => {
    const answer = await product.hub(slug, 'POST', `/users/${user}/tokens`, { note: 'of the member' });
    assert.equal(answer.status, 201, answer.text);
    return Value.Parse(Token, answer.json()).token;
  };
  const usersOfHub = async () => {
    const users = await product.hubs.users(team, AbortSignal.timeout(60_000));
    return users.map(({ name }) => name).toSorted();
  };

  before(async () => {
    hub = open();
    product = await startProduct(hub.cluster, hub.urlTemplate);
    await product.ask(201, 'POST', '', {
      slug,
      members: [{ email: kari, role: 'owner' }, ...members.map((email) => ({ email }))],
      ghcrRepositories: [repository],
    });
    team = await product.record(slug);
    hub.host(team);
    await product.ask(201, 'PUT', `/${slug}/notebook`, {});
    await product.until(slug, 'the hub is there, with its users', async () => {
      const now = await conditions();
      return now.get('HubReady') === 'True' && now.get('MembersSynced') === 'True' ? true : undefined;
    });
  });
  after(async () => {
    await product?.close();
  });

  it('spawning: the members are the hub’s users, and a new one becomes one without a restart', async () => {
    assert.deepEqual(await usersOfHub(), [kari, ...members].toSorted());
    const before = await hubPods();
    assert.equal(before.length, 1);
    const added = member('added');
    await product.ask(200, 'PUT', `/${slug}/members/${added}`, {});
    await product.until(slug, 'the hub has the new member', async () =>
      (await usersOfHub()).includes(added) ? true : undefined,
    );
    assert.deepEqual(await hubPods(), before);
  });

  it('spawning: a start reports the cluster’s events, and ends with a pod of the order’s', async () => {
    const user = member('starts');
    const letGo = hub.hold(user);
    const operation = await product.ask(202, 'POST', `/${slug}/servers/${user}/start`, {});
    await product.until(slug, 'the hub is starting it', async () =>
      (await server(user)).state === 'starting' && (await podOf(user)) !== undefined ? true : undefined,
    );
    const followed = product.follow(slug, operation);
    const told = product.progress(team, user);
    await told.first;
    letGo();
    const { events, last } = await followed;
    assert.equal(last.error, undefined, JSON.stringify(last));
    const percents: readonly number[] = events.map(({ progress }) => progress);
    assert.deepEqual(
      percents,
      percents.toSorted((a, b) => a - b),
      'the progress never falls',
    );
    const lines = await told.lines;
    const text = lines.map(({ message }) => message).join('\n');
    assert.match(text, /\[Normal\] Successfully assigned /);
    assert.match(text, /\[Normal\] Started container/);
    assert.deepEqual(lines.at(-1)?.outcome, 'ready');

    const pod = await running(user);
    assert.partialDeepStrictEqual(pod.metadata, {
      labels: {
        component: 'singleuser-server',
        release: team.names.releaseName,
        'knada.io/team-id': team.id,
        'hub.jupyter.org/network-access-hub': 'true',
      },
      annotations: { 'knada.io/profile': 'python-3-13' },
    });
    assert.equal(pod.spec.serviceAccountName, team.names.serviceAccount);
    const shown = await server(user);
    assert.partialDeepStrictEqual(shown, {
      state: 'running',
      stopsBecause: 'idle',
      profile: { slug: 'python-3-13' },
      image: imageOf(pod),
      pendingChanges: [],
      pendingRestart: false,
    });
    const again = await product.done(slug, `/servers/${user}/start`);
    assert.notEqual(again.id, operation.id);
    assert.equal(
      (await running(user)).metadata.uid,
      pod.metadata.uid,
      'a running server is not started again',
    );
    await stop(user);
    assert.equal((await server(user)).state, 'stopped');
    assert.equal(await podOf(user), undefined);
    const { body } = await hub.send('GET', pathOf(team.names.namespace, 'PersistentVolumeClaim'));
    const homes = Value.Parse(Claims, body).items.map(
      ({ metadata }) => metadata.annotations?.['hub.jupyter.org/username'],
    );
    assert.ok(homes.includes(user), 'the home outlives the server');
  });

  it('spawning: the team’s image is pending for a running server, and a restart brings it', async () => {
    const user = member('images');
    await start(user);
    const before = await running(user);
    const { startedAt } = await server(user);
    const hubs = await hubPods();
    const digest = product.publish(`navikt/${repository}`, '1');
    await product.ask(200, 'PATCH', `/${slug}/notebook`, { image: `ghcr.io/navikt/${repository}:1` });
    const pending = await product.until(slug, 'a restart is pending', async () => {
      const shown = await server(user);
      return shown.pendingRestart === true ? shown : undefined;
    });
    assert.deepEqual(pointersOf(pending), ['/profile', '/image']);
    assert.equal(imageOf(await running(user)), imageOf(before), 'an order touches no running server');

    await product.done(slug, `/servers/${user}/restart`);
    const pod = await running(user);
    assert.notEqual(pod.metadata.uid, before.metadata.uid);
    assert.equal(imageOf(pod), `ghcr.io/navikt/${repository}:1@${digest}`);
    const shown = await server(user);
    assert.partialDeepStrictEqual(shown, {
      state: 'running',
      profile: { slug: 'own-image' },
      image: imageOf(pod),
      pendingChanges: [],
    });
    assert.ok(Date.parse(shown.startedAt) > Date.parse(startedAt));

    await stop(user);
    assert.deepEqual(await hubPods(), hubs, 'no order restarts the hub');
  });

  it('spawning: culling spares an extended server, then one with a busy kernel, and stops it after both', async () => {
    const user = member('culled');
    await start(user);
    assert.equal((await server(user)).stopsBecause, 'idle');
    const { stopsAt, stopsBecause } = await product.ask(200, 'POST', `/${slug}/servers/${user}/extend`, {
      forSeconds: 4 * 3_600,
    });
    assert.equal(stopsBecause, 'extended');
    assert.ok(Math.abs(Date.parse(stopsAt) - Date.now() - 4 * 3_600_000) < 120_000, stopsAt);
    assert.partialDeepStrictEqual(await product.cull(3), { stopped: 0, postponed: 0, failed: 0 });

    const token = await tokenOf(user);
    await hub.setBusy(user, true, token);
    assert.partialDeepStrictEqual(await product.cull(6), { stopped: 0, postponed: 1, failed: 0 });
    assert.equal((await server(user)).state, 'running');
    await hub.setBusy(user, false, token);
    assert.partialDeepStrictEqual(await product.cull(8), { stopped: 1, failed: 0 });
    await product.until(slug, 'its pod is gone', async () =>
      (await server(user)).state === 'stopped' && (await podOf(user)) === undefined ? true : undefined,
    );
    const { items } = await product.store.history(slug, { limit: 20 });
    const culled = items.filter(({ action }) => action === 'server_culled');
    assert.deepEqual(culled[0]?.changes, [{ pointer: `/servers/${user}`, from: 'running', to: 'stopped' }]);
  });

  it('spawning: a leaver’s server is stopped, and the leaver’s token starts nothing', async () => {
    const user = member('leaver');
    const token = await tokenOf(user);
    const asMember = (method: string, path: string) => product.hub(slug, method, path, undefined, token);
    assert.equal((await asMember('GET', `/users/${user}`)).status, 200);
    const started = await asMember('POST', `/users/${user}/server`);
    assert.ok(started.status === 201 || started.status === 202, started.text);
    await product.until(slug, 'the member’s own start is running', async () =>
      (await server(user)).state === 'running' ? true : undefined,
    );

    await product.ask(204, 'DELETE', `/${slug}/members/${user}`);
    await product.until(slug, 'the leaver is no hub user and has no pod', async () =>
      !(await usersOfHub()).includes(user) && (await podOf(user)) === undefined ? true : undefined,
    );
    assert.equal((await asMember('GET', `/users/${user}`)).status, 403);
    assert.equal((await asMember('POST', `/users/${user}/server`)).status, 403);
    assert.equal(await podOf(user), undefined);
    const synced = await product.until(slug, 'the members are in step', async () => {
      const now = await conditions();
      return now.get('MembersSynced') === 'True' ? now : undefined;
    });
    assert.equal(synced.get('HubReady'), 'True');
    assert.ok(!(await usersOfHub()).includes(user), 'nothing brings the leaver back');
  });

  it('spawning: a hub’s restart leaves servers running, and the new hub knows them', async () => {
    const user = member('hub.restart');
    await start(user);
    const [pod, token, hubs] = [await running(user), await tokenOf(user), await hubPods()];
    const { startedAt } = await server(user);
    await product.done(slug, '/hub/restart');
    const after = await hubPods();
    assert.equal(after.length, 1);
    assert.notDeepEqual(after, hubs);
    const shown = await product.until(slug, 'the hub has found the server', async () => {
      const found = await server(user);
      assert.notEqual(found.state, 'stopped', 'a server that runs is shown as stopped');
      return found.state === 'running' ? found : undefined;
    });
    assert.equal(shown.startedAt, startedAt);
    assert.equal((await running(user)).metadata.uid, pod.metadata.uid);
    // The very server answers, behind the hub’s proxy, and accepts what the hub gave its member before.
    await hub.setBusy(user, true, token);
    assert.equal(await product.hubs.isBusy(team, user, AbortSignal.timeout(60_000)), true);
    await stop(user);
    assert.equal(await podOf(user), undefined);
  });

  it('spawning: nothing in the cluster failed meanwhile', () => {
    assert.deepEqual(hub.failures(), []);
  });
};
