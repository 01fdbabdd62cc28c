import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { OperationRecord } from '../../src/model/operation.ts';
import { Problem, type ProblemCode } from '../../src/model/problems.ts';
import type { Member } from '../../src/model/team.ts';
import { Unavailable } from '../../src/ports/unavailable.ts';
import { aScene, kari, ola, type Scene } from './scene.ts';

const problem = (code: ProblemCode, detail?: RegExp) => (error: unknown) => {
  assert.ok(error instanceof Problem, String(error));
  assert.equal(error.code, code);
  if (detail) assert.match(error.detail, detail);
  return true;
};
const ended = ({ outcome, reason }: OperationRecord) => ({ outcome, ...(reason && { reason }) });

const start = async ({ servers, record, act }: Scene, profile?: string, user = kari) =>
  servers.start(await record(), user, profile, act());
const stop = async ({ servers, record, act }: Scene, force = false) =>
  servers.stop(await record(), kari, force, act());
const restart = async ({ servers, record, act }: Scene, force = false, profile?: string) =>
  servers.restart(await record(), kari, { force, ...(profile && { profile }) }, act());

describe('starting a server', () => {
  it('prepares access, asks the hub once, waits for the new pod, confirms access and is in the history', async (t) => {
    const scene = await aScene(t);
    const opened = await start(scene);
    assert.equal(opened.step, 'await_ready', 'what can be done at once is done within the request');
    assert.equal(opened.profile, 'python-3-13');
    const finished = await scene.finish(opened);
    assert.deepEqual(ended(finished), { outcome: 'ready' });
    const told = scene.hub.calls.filter((call) => !/^(user|version)/.test(call));
    assert.deepEqual(told, ['announce', `start ${kari}`, 'confirm']);
    const [newest] = await scene.history();
    assert.partialDeepStrictEqual(newest, { action: 'server_started', by: kari });
    assert.match(newest?.reason ?? '', new RegExp(kari));
    assert.equal(finished.dueAt, null);
  });

  it('succeeds only once access is confirmed, and fails with that reason otherwise', async (t) => {
    const scene = await aScene(t);
    scene.confirm(false);
    const opened = await start(scene);
    scene.pass(5);
    await scene.servers.operations.poll(scene.slug, opened.id);
    const waiting = await scene.stored(opened);
    assert.equal(waiting.outcome, null);
    assert.match(waiting.message, /access is not confirmed/);
    scene.confirm(true);
    assert.deepEqual(ended(await scene.finish(opened)), { outcome: 'ready' });

    const other = await aScene(t);
    other.confirm(false);
    const never = await start(other);
    assert.deepEqual(ended(await other.finish(never)), { outcome: 'failed', reason: 'access_not_confirmed' });
  });

  it('uses the last profile unless it is no longer offered', async (t) => {
    const scene = await aScene(t);
    await scene.finish(await start(scene, 'python-3-12'));
    await scene.finish(await stop(scene));
    assert.equal((await start(scene)).profile, 'python-3-12');

    const other = await aScene(t);
    other.hub.run(kari, { profile: 'python-3-9' });
    await other.finish(await stop(other));
    assert.equal((await start(other)).profile, 'python-3-13');
  });

  it('rejects a profile that is not offered and lists the offered ones', async (t) => {
    const scene = await aScene(t);
    await assert.rejects(start(scene, 'python-2-7'), (error) => {
      assert.ok(error instanceof Problem);
      assert.deepEqual(
        error.errors?.map(({ pointer, code }) => [pointer, code]),
        [['/profile', 'not_in_list']],
      );
      assert.match(error.errors?.[0]?.message ?? '', /python-3-12, python-3-13/);
      return true;
    });
    assert.equal((await scene.history()).length, 1);
  });

  it('is done at once for a server that is already running, and changes nothing there', async (t) => {
    const scene = await aScene(t);
    scene.hub.run(kari);
    const done = await start(scene);
    assert.partialDeepStrictEqual(done, { outcome: 'ready', progress: 100, dueAt: null });
    assert.deepEqual(await scene.stored(done), done, 'it can be followed as any other');
    assert.deepEqual(await scene.store.openOperations(scene.slug), []);
    assert.equal(scene.hub.told('start'), 0);
    assert.equal((await scene.history()).length, 1);
  });

  it('is one operation and one start when requested twice', async (t) => {
    const scene = await aScene(t);
    const [one, two] = await Promise.all([start(scene), start(scene)]);
    assert.equal(one.id, two.id);
    const again = await start(scene);
    assert.equal(again.id, one.id);
    await scene.finish(again);
    assert.equal(scene.hub.told('start'), 1);
    assert.equal((await scene.history()).filter(({ action }) => action === 'server_started').length, 1);
  });

  it('follows a start that a member requested at the hub', async (t) => {
    const scene = await aScene(t);
    const signal = AbortSignal.timeout(1_000);
    await scene.hub.hubs.start(
      scene.hub.team,
      kari,
      { profile: 'python-3-13', revision: 1, chosenAt: 1 },
      signal,
    );
    const opened = await start(scene);
    assert.equal(opened.step, 'await_ready');
    assert.deepEqual(ended(await scene.finish(opened)), { outcome: 'ready' });
    assert.equal(scene.hub.told('start'), 1);
  });

  it('waits while the hub limits concurrent starts', async (t) => {
    const scene = await aScene(t);
    scene.hub.refuseStarts({ refused: 'too_many_starts', message: 'busy', retryAfterSeconds: 30 });
    const opened = await start(scene);
    assert.equal(opened.outcome, null);
    assert.equal(opened.dueAt, '2026-11-23T09:00:30.000Z');
    scene.pass(10);
    await scene.servers.operations.poll(scene.slug, opened.id);
    assert.equal(scene.hub.told('start'), 1, 'Retry-After is kept to');
    scene.hub.refuseStarts(undefined);
    assert.deepEqual(ended(await scene.finish(opened)), { outcome: 'ready' });
  });

  it('tells the hub when its profile was chosen, so an image that is ordered meanwhile takes precedence', async (t) => {
    const scene = await aScene(t);
    scene.hub.refuseStarts({ refused: 'too_many_starts', message: 'busy', retryAfterSeconds: 1 });
    const { generation } = await scene.record();
    const opened = await start(scene, 'python-3-12');
    assert.equal(opened.profileChosenAt, generation);
    await scene.change((team) => ({ ...team, generation: generation + 1 }));
    scene.hub.refuseStarts(undefined);
    assert.deepEqual(ended(await scene.finish(opened)), { outcome: 'ready' });
    const user = await scene.hub.hubs.user(scene.hub.team, kari, AbortSignal.timeout(1_000));
    assert.partialDeepStrictEqual(user?.server, { profile: 'python-3-12', profileChosenAt: generation });
  });

  it('adds the hub user of a member the hub does not know yet', async (t) => {
    const scene = await aScene(t);
    const members: readonly Member[] = [{ email: 'siri@nav.no', username: 'siri', role: 'member' }];
    await scene.change((team) => ({ ...team, members }));
    const opened = await start(scene, undefined, 'siri');
    assert.deepEqual(ended(await scene.finish(opened)), { outcome: 'ready' });
    assert.equal(scene.hub.told('add siri'), 1);
  });

  it('fails for a user who has left the team meanwhile', async (t) => {
    const scene = await aScene(t);
    scene.hub.goAway();
    await assert.rejects(start(scene), problem('hub_unavailable'));
    scene.hub.comeBack();
    scene.hub.refuseStarts({ refused: 'too_many_starts', message: 'busy', retryAfterSeconds: 1 });
    const opened = await start(scene);
    scene.hub.refuseStarts(undefined);
    await scene.change((team) => ({
      ...team,
      members: team.members.filter(({ username }) => username === ola),
    }));
    assert.deepEqual(ended(await scene.finish(opened)), { outcome: 'failed', reason: 'not_a_member' });
    assert.equal(scene.hub.told('start'), 1);
  });

  it('fails with the hub’s message', async (t) => {
    const scene = await aScene(t);
    scene.hub.failNextStart(
      kari,
      '(403) Reason: Forbidden HTTP response body: {"message":"pods \\"jupyter-kari\\" is forbidden: exceeded quota: team, requested: cpu=8"}',
    );
    const finished = await scene.finish(await start(scene));
    assert.deepEqual(ended(finished), { outcome: 'failed', reason: 'quota_exceeded' });
    assert.match(finished.message, /exceeded quota: team, requested: cpu=8/);
  });

  it('schedules culling, and clears the memory of the previous run', async (t) => {
    const memory = { extendedUntil: '2026-11-23T12:00:00.000Z' };
    const later = '2026-11-23T20:00:00.000Z';
    const culling = { dueAt: later, servers: { [kari]: memory, [ola]: memory } };
    const scene = await aScene(t, { culling });
    await scene.finish(await start(scene));
    const team = await scene.record();
    assert.deepEqual(team.culling.servers, { [ola]: memory });
    assert.ok(Date.parse(team.culling.dueAt ?? '') <= scene.clock.now() + 10 * 60_000);

    const sooner = await aScene(t);
    await sooner.finish(await start(sooner));
    assert.equal((await sooner.record()).culling.dueAt, '2026-11-23T09:00:00.000Z');
  });
});

describe('cancelling a start', () => {
  it('stops the server even if the start reaches the hub later, from another instance', async (t) => {
    const scene = await aScene(t);
    const [isSending, mayArrive] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const { hubs } = scene.hub;
    const slow = scene.another({
      hubTimeoutMs: 60_000,
      hubs: {
        ...hubs,
        async start(...asked) {
          isSending.resolve();
          await mayArrive.promise;
          return hubs.start(...asked);
        },
      },
    });
    const late = start({ ...scene, servers: slow });
    await isSending.promise;
    const stopped = await stop(scene);
    assert.equal(stopped.outcome, null, 'the start may still arrive');
    scene.pass(1);
    mayArrive.resolve();
    assert.deepEqual(ended(await late), { outcome: 'failed', reason: 'cancelled' });
    assert.equal(scene.hub.told('start'), 1);
    assert.deepEqual(ended(await scene.finish(stopped)), { outcome: 'ready' });
    assert.equal(scene.hub.podOf(kari), undefined);
  });
});

describe('starting an image that cannot be pulled', () => {
  const waiting = (reason: string, message = '') => ({
    containerStatuses: [{ image: 'ghcr.io/navikt/x:1', state: { waiting: { reason, message } } }],
  });

  it('fails after 20 seconds, cancels the start at the hub and names the image', async (t) => {
    const scene = await aScene(t);
    scene.hub.troublePod(kari, waiting('ImagePullBackOff', 'Back-off: manifest unknown'));
    const opened = await start(scene);
    const began = scene.clock.now();
    const finished = await scene.finish(opened);
    assert.deepEqual(ended(finished), { outcome: 'failed', reason: 'image_pull_failed' });
    assert.match(finished.message, /ghcr\.io\/navikt\/x:1 does not exist/);
    const seconds = (scene.clock.now() - began) / 1_000;
    assert.ok(seconds >= 20 && seconds < 30, `${seconds} s`);
    assert.equal(scene.hub.told('stop'), 1);
  });

  it('fails at once when the image name is invalid', async (t) => {
    const scene = await aScene(t);
    scene.hub.troublePod(kari, waiting('InvalidImageName'));
    const opened = await start(scene);
    assert.deepEqual(ended(await scene.finish(opened, 2)), {
      outcome: 'failed',
      reason: 'image_pull_failed',
    });
  });

  it('succeeds when the image appears in time', async (t) => {
    const scene = await aScene(t);
    scene.hub.troublePod(kari, waiting('ErrImagePull', 'timeout'));
    const opened = await start(scene);
    for (let second = 0; second < 15; second += 1) {
      await scene.servers.operations.poll(scene.slug, opened.id);
      scene.pass(1);
    }
    assert.match((await scene.stored(opened)).message, /cannot be pulled/);
    scene.hub.healPod(kari);
    assert.deepEqual(ended(await scene.finish(opened)), { outcome: 'ready' });
  });
});

describe('starting a notebook that does not fit on any node', () => {
  it('waits, says why, and starts when there is room', async (t) => {
    const scene = await aScene(t);
    scene.hub.troublePod(kari, {
      conditions: [
        {
          type: 'PodScheduled',
          status: 'False',
          reason: 'Unschedulable',
          message: '0/3 nodes: Insufficient memory.',
        },
      ],
    });
    const opened = await start(scene);
    scene.pass(60);
    await scene.servers.operations.poll(scene.slug, opened.id);
    const waiting = await scene.stored(opened);
    assert.equal(waiting.outcome, null);
    assert.equal(waiting.message, 'No node has room for this server: insufficient memory.');
    const [server] = await scene.servers.list(await scene.record());
    assert.partialDeepStrictEqual(server, {
      state: 'starting',
      reason: 'unschedulable',
      operation: opened.id,
    });
    scene.hub.healPod(kari);
    assert.deepEqual(ended(await scene.finish(opened)), { outcome: 'ready' });
  });

  it('fails with that reason at the deadline', async (t) => {
    const scene = await aScene(t);
    scene.hub.troublePod(kari, {
      conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: 'full' }],
    });
    const finished = await scene.finish(await start(scene));
    assert.deepEqual(ended(finished), { outcome: 'failed', reason: 'unschedulable' });
  });
});

describe('stopping a server', () => {
  it('succeeds when hub and pod are down', async (t) => {
    const scene = await aScene(t);
    scene.hub.run(kari);
    const finished = await scene.finish(await stop(scene));
    assert.deepEqual(ended(finished), { outcome: 'ready' });
    assert.equal(scene.hub.podOf(kari), undefined);
    assert.partialDeepStrictEqual((await scene.history())[0], { action: 'server_stopped', by: kari });
  });

  it('answers with a server that is already stopped', async (t) => {
    const scene = await aScene(t);
    assert.partialDeepStrictEqual(await stop(scene), {
      outcome: 'ready',
      message: 'The notebook is stopped.',
    });
  });

  it('fails with advice after its deadline, by force too when the node does not end the pod', async (t) => {
    const scene = await aScene(t);
    scene.hub.run(kari);
    scene.hub.hold(kari, 'stop');
    const stuck = await scene.finish(await stop(scene));
    assert.deepEqual(ended(stuck), { outcome: 'failed', reason: 'stop_timed_out' });
    assert.match(stuck.message, /with force/);
    const finished = await scene.finish(await stop(scene, true));
    assert.deepEqual(ended(finished), { outcome: 'failed', reason: 'stop_timed_out' });
    assert.match(finished.message, /node may be gone/);
  });

  it('needs the hub, except by force, which deletes the pod while the hub is frozen', async (t) => {
    const scene = await aScene(t);
    scene.hub.run(kari);
    scene.hub.freeze();
    await assert.rejects(stop(scene), problem('hub_unavailable', /with force/));
    const opened = await stop(scene, true);
    const finished = await scene.finish(opened, 3);
    assert.deepEqual(ended(finished), { outcome: 'ready' });
    assert.equal(scene.hub.podOf(kari), undefined);
    assert.match((await scene.history())[0]?.reason ?? '', /by force/);
  });

  it('by force is done within the request, whatever the hub’s timeout', async (t) => {
    const scene = await aScene(t);
    scene.hub.run(kari);
    scene.hub.freeze();
    const servers = scene.another({ hubTimeoutMs: 60_000, forcedHubTimeoutMs: 10 });
    const { outcome } = await stop({ ...scene, servers }, true);
    assert.equal(outcome, 'ready');
    assert.equal(scene.hub.told('delete Pod'), 1);
  });

  it('joins an open stop; with force it escalates it', async (t) => {
    const scene = await aScene(t);
    scene.hub.run(kari);
    const release = scene.hub.hold(kari, 'stop');
    const opened = await stop(scene);
    assert.equal((await stop(scene)).id, opened.id);
    assert.equal(opened.force, false);
    const byForce = await stop(scene, true);
    assert.equal(byForce.id, opened.id);
    assert.equal(byForce.force, true);
    release();
    assert.deepEqual(ended(await scene.finish(opened)), { outcome: 'ready' });
  });
});

describe('a second operation on the same server', () => {
  it('is refused with advice while one is open, and supersedes it by force', async (t) => {
    const scene = await aScene(t);
    scene.hub.hold(kari, 'start');
    const opened = await start(scene);
    await assert.rejects(restart(scene), problem('server_busy', /force/));
    await assert.rejects(restart(scene), problem('server_busy', new RegExp(opened.id)));
    const byForce = await stop(scene, true);
    assert.notEqual(byForce.id, opened.id);
    assert.deepEqual(ended(await scene.stored(opened)), { outcome: 'failed', reason: 'superseded' });
    assert.deepEqual(ended(await scene.finish(byForce)), { outcome: 'ready' });
  });

  it('is independent of an operation on another member’s server', async (t) => {
    const scene = await aScene(t);
    const [mine, theirs] = [await start(scene), await start(scene, undefined, ola)];
    assert.notEqual(mine.id, theirs.id);
    assert.deepEqual(ended(await scene.finish(mine)), { outcome: 'ready' });
    assert.deepEqual(ended(await scene.finish(theirs)), { outcome: 'ready' });
  });

  it('is refused while the hub is stopping the server, or has not checked it yet', async (t) => {
    const scene = await aScene(t);
    scene.hub.run(kari);
    scene.hub.hold(kari, 'stop');
    await scene.hub.hubs.stop(scene.hub.team, kari, AbortSignal.timeout(1_000));
    await assert.rejects(start(scene), problem('server_busy'));
    const other = await aScene(t);
    other.hub.run(kari);
    other.hub.check(kari);
    for (const ask of [start(other), stop(other), restart(other)])
      await assert.rejects(ask, problem('hub_restarting'));
  });
});

describe('restarting a server', () => {
  it('stops the old pod, starts a new one and is ready only with the new one', async (t) => {
    const scene = await aScene(t);
    scene.hub.run(kari, { profile: 'python-3-12' });
    const before = scene.hub.podOf(kari)?.metadata.uid;
    const finished = await scene.finish(await restart(scene));
    assert.deepEqual(ended(finished), { outcome: 'ready' });
    assert.equal(finished.profile, 'python-3-12');
    assert.notEqual(scene.hub.podOf(kari)?.metadata.uid, before);
    assert.equal(scene.hub.told('stop'), 1);
    assert.equal(scene.hub.told('start'), 1);
  });

  it('starts a stopped server', async (t) => {
    const scene = await aScene(t);
    assert.deepEqual(ended(await scene.finish(await restart(scene))), { outcome: 'ready' });
    assert.equal(scene.hub.told('stop'), 0);
  });

  it('by force succeeds with a hub that has not noticed that the pod is gone', async (t) => {
    const scene = await aScene(t);
    scene.hub.run(kari);
    const finished = await scene.finish(await restart(scene, true));
    assert.deepEqual(ended(finished), { outcome: 'ready' });
    assert.equal(scene.hub.told('delete Pod'), 1);
    assert.equal(scene.hub.told('start'), 1);
  });

  it('by force succeeds when the hub missed the stop and still considers the server running', async (t) => {
    const scene = await aScene(t);
    scene.hub.run(kari);
    let heard = 0;
    const hubs = {
      ...scene.hub.hubs,
      stop: (...asked: Parameters<typeof scene.hub.hubs.stop>) => {
        heard += 1;
        if (heard === 1) return Promise.reject(new Unavailable('hub', 'The hub does not answer.'));
        return scene.hub.hubs.stop(...asked);
      },
    };
    const deaf = { ...scene, servers: scene.another({ hubs }) };
    const finished = await scene.finish(await restart(deaf, true), 60, { hubs });
    assert.deepEqual(ended(finished), { outcome: 'ready' });
    assert.equal(heard, 2);
  });

  it('continues after a hub outage', async (t) => {
    const scene = await aScene(t);
    scene.hub.run(kari);
    const opened = await restart(scene);
    scene.hub.goAway();
    for (let second = 0; second < 20; second += 1) {
      await scene.servers.operations.poll(scene.slug, opened.id);
      scene.pass(1);
    }
    assert.equal((await scene.stored(opened)).outcome, null);
    scene.hub.comeBack();
    assert.deepEqual(ended(await scene.finish(opened)), { outcome: 'ready' });
  });

  it('fails when the notebook is deleted meanwhile', async (t) => {
    const scene = await aScene(t);
    scene.hub.run(kari);
    const opened = await restart(scene);
    const deletion = { requestedAt: scene.act().now, deleteHomes: false };
    await scene.change((team) => ({ ...team, notebook: team.notebook && { ...team.notebook, deletion } }));
    assert.deepEqual(ended(await scene.finish(opened)), { outcome: 'failed', reason: 'deleting' });
  });
});

describe('restarting the hub', () => {
  it('patches the Deployment once, waits for rollout and answer, and leaves notebooks alone', async (t) => {
    const scene = await aScene(t);
    scene.hub.run(kari);
    const pod = scene.hub.podOf(kari);
    const opened = await scene.servers.restartHub(await scene.record(), scene.act());
    assert.equal((await scene.servers.restartHub(await scene.record(), scene.act())).id, opened.id);
    assert.deepEqual(ended(await scene.finish(opened)), { outcome: 'ready' });
    assert.equal(scene.hub.told('patch'), 1);
    assert.deepEqual(scene.hub.podOf(kari), pod);
    assert.equal(scene.hub.deployment()?.metadata.generation, 2);
    assert.partialDeepStrictEqual((await scene.history())[0], { action: 'hub_restarted', by: kari });
  });

  it('makes other requests answer hub_restarting instead of advising a restart', async (t) => {
    const scene = await aScene(t);
    scene.hub.run(kari);
    scene.hub.freeze();
    await assert.rejects(start(scene), problem('hub_unavailable', /restart the hub/));
    await scene.servers.restartHub(await scene.record(), scene.act());
    scene.hub.goAway();
    for (const wish of [start(scene), stop(scene), restart(scene), restart(scene, true)]) {
      await assert.rejects(wish, problem('hub_restarting'));
    }
  });

  it('fails without a hub and advises a forced retry of the notebook', async (t) => {
    const scene = await aScene(t);
    scene.hub.withoutDeployment();
    await assert.rejects(
      scene.servers.restartHub(await scene.record(), scene.act()),
      problem('hub_unavailable', /not installed.*retryNotebook with force/),
    );
  });
});

describe('the operations tick', () => {
  it('advances an operation that another instance left behind, for several steps', async (t) => {
    const scene = await aScene(t);
    scene.hub.run(kari);
    const opened = await restart(scene);
    assert.equal(opened.outcome, null);
    assert.equal(await scene.servers.operations.tick(), 1);
    assert.deepEqual(ended(await scene.stored(opened)), { outcome: 'ready' });
    assert.equal(await scene.servers.operations.tick(), 0);
  });

  it('continues with other operations when one fails', async (t) => {
    const scene = await aScene(t);
    scene.hub.run(kari);
    const mine = await restart(scene);
    const theirs = await start(scene, undefined, ola);
    const store = new Proxy(scene.store, {
      get: (target, name, receiver) =>
        name === 'operation'
          ? (slug: string, id: string) =>
              id === mine.id ? Promise.reject(new Error('broken')) : target.operation(slug, id)
          : Reflect.get(target, name, receiver),
    });
    assert.equal(await scene.another({ store }).operations.tick(), 2);
    assert.equal((await scene.stored(mine)).outcome, null);
    assert.deepEqual(ended(await scene.stored(theirs)), { outcome: 'ready' });
  });
});
