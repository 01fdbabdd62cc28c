import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { OperationRecord } from '../../src/model/operation.ts';
import { Problem, type ProblemCode } from '../../src/model/problems.ts';
import { Unavailable } from '../../src/ports/unavailable.ts';
import type { Outcome } from '../../src/servers/servers.ts';
import { aScene, kari, ola, type Scene } from './scene.ts';

const operationOf = (outcome: Outcome): OperationRecord => {
  assert.ok('operation' in outcome, JSON.stringify(outcome));
  return outcome.operation;
};
const serverOf = (outcome: Outcome) => {
  assert.ok('server' in outcome, JSON.stringify(outcome));
  return outcome.server;
};
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
const restart = async ({ servers, record, act }: Scene, force = false) =>
  servers.restart(await record(), kari, force, act());

describe('a start', () => {
  it('announces, tells the hub once, waits for the new pod, confirms, and is in the history', async (t) => {
    const scene = await aScene(t);
    const opened = operationOf(await start(scene));
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

  it('ends only once the access is confirmed, and says so when that never happens', async (t) => {
    const scene = await aScene(t);
    scene.confirm(false);
    const opened = operationOf(await start(scene));
    scene.pass(5);
    await scene.servers.poll(await scene.record(), opened.id);
    const waiting = await scene.stored(opened);
    assert.equal(waiting.outcome, null);
    assert.match(waiting.message, /access is not confirmed/);
    scene.confirm(true);
    assert.deepEqual(ended(await scene.finish(opened)), { outcome: 'ready' });

    const other = await aScene(t);
    other.confirm(false);
    const never = operationOf(await start(other));
    assert.deepEqual(ended(await other.finish(never)), { outcome: 'failed', reason: 'access_not_confirmed' });
  });

  it('takes the profile that was used last, unless it is not offered any more', async (t) => {
    const scene = await aScene(t);
    await scene.finish(operationOf(await start(scene, 'python-3-12')));
    await scene.finish(operationOf(await stop(scene)));
    assert.equal(operationOf(await start(scene)).profile, 'python-3-12');

    const other = await aScene(t);
    other.hub.run(kari, { profile: 'python-3-9' });
    await other.finish(operationOf(await stop(other)));
    assert.equal(operationOf(await start(other)).profile, 'python-3-13');
  });

  it('of a profile that is not offered is refused, with those that are', async (t) => {
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

  it('of what runs answers the server, and changes nothing', async (t) => {
    const scene = await aScene(t);
    scene.hub.run(kari);
    const server = serverOf(await start(scene));
    assert.equal(server.state, 'running');
    assert.equal(scene.hub.told('start'), 0);
    assert.equal((await scene.history()).length, 1);
  });

  it('asked for twice is one operation and one start', async (t) => {
    const scene = await aScene(t);
    const [one, two] = await Promise.all([start(scene), start(scene)]);
    assert.equal(operationOf(one).id, operationOf(two).id);
    const again = operationOf(await start(scene));
    assert.equal(again.id, operationOf(one).id);
    await scene.finish(again);
    assert.equal(scene.hub.told('start'), 1);
    assert.equal((await scene.history()).filter(({ action }) => action === 'server_started').length, 1);
  });

  it('follows one that a member has begun at the hub', async (t) => {
    const scene = await aScene(t);
    const signal = AbortSignal.timeout(1_000);
    await scene.hub.hubs.start(scene.hub.team, kari, { profile: 'python-3-13', revision: 1 }, signal);
    const opened = operationOf(await start(scene));
    assert.equal(opened.step, 'await_ready');
    assert.deepEqual(ended(await scene.finish(opened)), { outcome: 'ready' });
    assert.equal(scene.hub.told('start'), 1);
  });

  it('waits while the hub has no room for another start', async (t) => {
    const scene = await aScene(t);
    scene.hub.refuseStarts({ refused: 'too_many_starts', message: 'busy', retryAfterSeconds: 30 });
    const opened = operationOf(await start(scene));
    assert.equal(opened.outcome, null);
    assert.equal(opened.dueAt, '2026-11-23T09:00:30.000Z');
    scene.pass(10);
    await scene.servers.poll(await scene.record(), opened.id);
    assert.equal(scene.hub.told('start'), 1, 'Retry-After is kept to');
    scene.hub.refuseStarts(undefined);
    assert.deepEqual(ended(await scene.finish(opened)), { outcome: 'ready' });
  });

  it('makes a hub user of a member whom the hub does not know yet', async (t) => {
    const scene = await aScene(t);
    const members = [{ email: 'siri@nav.no', username: 'siri' }];
    await scene.change((team) => ({ ...team, members }));
    const opened = operationOf(await start(scene, undefined, 'siri'));
    assert.deepEqual(ended(await scene.finish(opened)), { outcome: 'ready' });
    assert.equal(scene.hub.told('add siri'), 1);
  });

  it('of who left the team meanwhile does not happen', async (t) => {
    const scene = await aScene(t);
    scene.hub.goAway();
    await assert.rejects(start(scene), problem('hub_unavailable'));
    scene.hub.comeBack();
    scene.hub.refuseStarts({ refused: 'too_many_starts', message: 'busy', retryAfterSeconds: 1 });
    const opened = operationOf(await start(scene));
    scene.hub.refuseStarts(undefined);
    await scene.change((team) => ({
      ...team,
      members: team.members.filter(({ username }) => username === ola),
    }));
    assert.deepEqual(ended(await scene.finish(opened)), { outcome: 'failed', reason: 'not_a_member' });
    assert.equal(scene.hub.told('start'), 1);
  });

  it('tells what the hub says of why it failed', async (t) => {
    const scene = await aScene(t);
    scene.hub.failNextStart(
      kari,
      '(403) Reason: Forbidden HTTP response body: {"message":"pods \\"jupyter-kari\\" is forbidden: exceeded quota: team, requested: cpu=8"}',
    );
    const finished = await scene.finish(operationOf(await start(scene)));
    assert.deepEqual(ended(finished), { outcome: 'failed', reason: 'quota_exceeded' });
    assert.match(finished.message, /exceeded quota: team, requested: cpu=8/);
  });

  it('has the culling look when it may first be due, and forgets what was remembered of the last run', async (t) => {
    const memory = { extendedUntil: '2026-11-23T12:00:00.000Z' };
    const later = '2026-11-23T20:00:00.000Z';
    const culling = { dueAt: later, servers: { [kari]: memory, [ola]: memory } };
    const scene = await aScene(t, { culling });
    await scene.finish(operationOf(await start(scene)));
    const team = await scene.record();
    assert.deepEqual(team.culling.servers, { [ola]: memory });
    assert.ok(Date.parse(team.culling.dueAt ?? '') <= scene.clock.now() + 10 * 60_000);

    const sooner = await aScene(t);
    await sooner.finish(operationOf(await start(sooner)));
    assert.equal((await sooner.record()).culling.dueAt, '2026-11-23T09:00:00.000Z');
  });
});

describe('an image that cannot be pulled', () => {
  const waiting = (reason: string, message = '') => ({
    containerStatuses: [{ image: 'ghcr.io/navikt/x:1', state: { waiting: { reason, message } } }],
  });

  it('ends the start after 20 seconds, takes it back at the hub, and names the image', async (t) => {
    const scene = await aScene(t);
    scene.hub.troublePod(kari, waiting('ImagePullBackOff', 'Back-off: manifest unknown'));
    const opened = operationOf(await start(scene));
    const began = scene.clock.now();
    const finished = await scene.finish(opened);
    assert.deepEqual(ended(finished), { outcome: 'failed', reason: 'image_pull_failed' });
    assert.match(finished.message, /ghcr\.io\/navikt\/x:1 does not exist/);
    const seconds = (scene.clock.now() - began) / 1_000;
    assert.ok(seconds >= 20 && seconds < 30, `${seconds} s`);
    assert.equal(scene.hub.told('stop'), 1);
  });

  it('ends it at once when its name is none', async (t) => {
    const scene = await aScene(t);
    scene.hub.troublePod(kari, waiting('InvalidImageName'));
    const opened = operationOf(await start(scene));
    assert.deepEqual(ended(await scene.finish(opened, 2)), {
      outcome: 'failed',
      reason: 'image_pull_failed',
    });
  });

  it('is given time, and one that comes after all is no failure', async (t) => {
    const scene = await aScene(t);
    scene.hub.troublePod(kari, waiting('ErrImagePull', 'timeout'));
    const opened = operationOf(await start(scene));
    for (let second = 0; second < 15; second += 1) {
      await scene.servers.poll(await scene.record(), opened.id);
      scene.pass(1);
    }
    assert.match((await scene.stored(opened)).message, /cannot be pulled/);
    scene.hub.healPod(kari);
    assert.deepEqual(ended(await scene.finish(opened)), { outcome: 'ready' });
  });
});

describe('a notebook for which there is no room', () => {
  it('waits, says why, and starts when there is', async (t) => {
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
    const opened = operationOf(await start(scene));
    scene.pass(60);
    await scene.servers.poll(await scene.record(), opened.id);
    const waiting = await scene.stored(opened);
    assert.equal(waiting.outcome, null);
    assert.match(waiting.message, /Insufficient memory/);
    const [server] = await scene.servers.list(await scene.record());
    assert.partialDeepStrictEqual(server, {
      state: 'starting',
      reason: 'unschedulable',
      operation: opened.id,
    });
    scene.hub.healPod(kari);
    assert.deepEqual(ended(await scene.finish(opened)), { outcome: 'ready' });
  });

  it('fails with that reason when the time is over', async (t) => {
    const scene = await aScene(t);
    scene.hub.troublePod(kari, {
      conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: 'full' }],
    });
    const finished = await scene.finish(operationOf(await start(scene)));
    assert.deepEqual(ended(finished), { outcome: 'failed', reason: 'unschedulable' });
  });
});

describe('a stop', () => {
  it('ends ready when hub and pod are down', async (t) => {
    const scene = await aScene(t);
    scene.hub.run(kari);
    const finished = await scene.finish(operationOf(await stop(scene)));
    assert.deepEqual(ended(finished), { outcome: 'ready' });
    assert.equal(scene.hub.podOf(kari), undefined);
    assert.partialDeepStrictEqual((await scene.history())[0], { action: 'server_stopped', by: kari });
  });

  it('of what is stopped answers the server', async (t) => {
    const scene = await aScene(t);
    assert.equal(serverOf(await stop(scene)).state, 'stopped');
  });

  it('that takes too long fails, and says what helps; a pod that its machine does not end, neither', async (t) => {
    const scene = await aScene(t);
    scene.hub.run(kari);
    scene.hub.hold(kari, 'stop');
    const stuck = await scene.finish(operationOf(await stop(scene)));
    assert.deepEqual(ended(stuck), { outcome: 'failed', reason: 'stop_timed_out' });
    assert.match(stuck.message, /with force/);
    const finished = await scene.finish(operationOf(await stop(scene, true)));
    assert.deepEqual(ended(finished), { outcome: 'failed', reason: 'stop_timed_out' });
    assert.match(finished.message, /node may be gone/);
  });

  it('needs the hub, unless by force: then the pod is deleted, also while the hub is frozen', async (t) => {
    const scene = await aScene(t);
    scene.hub.run(kari);
    scene.hub.freeze();
    await assert.rejects(stop(scene), problem('hub_unavailable', /with force/));
    const opened = operationOf(await stop(scene, true));
    const finished = await scene.finish(opened, 3);
    assert.deepEqual(ended(finished), { outcome: 'ready' });
    assert.equal(scene.hub.podOf(kari), undefined);
    assert.match((await scene.history())[0]?.reason ?? '', /by force/);
  });

  it('by force is done within the request, however long the hub has to answer in otherwise', async (t) => {
    const scene = await aScene(t);
    scene.hub.run(kari);
    scene.hub.freeze();
    const servers = scene.another({ hubTimeoutMs: 60_000, forcedHubTimeoutMs: 10 });
    const { outcome } = operationOf(await stop({ ...scene, servers }, true));
    assert.equal(outcome, 'ready');
    assert.equal(scene.hub.told('delete Pod'), 1);
  });

  it('without force while one is open is that one; with force it is that one by force', async (t) => {
    const scene = await aScene(t);
    scene.hub.run(kari);
    const release = scene.hub.hold(kari, 'stop');
    const opened = operationOf(await stop(scene));
    assert.equal(operationOf(await stop(scene)).id, opened.id);
    assert.equal(opened.force, false);
    const byForce = operationOf(await stop(scene, true));
    assert.equal(byForce.id, opened.id);
    assert.equal(byForce.force, true);
    release();
    assert.deepEqual(ended(await scene.finish(opened)), { outcome: 'ready' });
  });
});

describe('another operation on the same server', () => {
  it('is refused while one is open, with what to do, and takes its place by force', async (t) => {
    const scene = await aScene(t);
    scene.hub.hold(kari, 'start');
    const opened = operationOf(await start(scene));
    await assert.rejects(stop(scene), problem('server_busy', /force/));
    await assert.rejects(restart(scene), problem('server_busy', new RegExp(opened.id)));
    const byForce = operationOf(await stop(scene, true));
    assert.notEqual(byForce.id, opened.id);
    assert.deepEqual(ended(await scene.stored(opened)), { outcome: 'failed', reason: 'superseded' });
    assert.deepEqual(ended(await scene.finish(byForce)), { outcome: 'ready' });
  });

  it('on a colleague’s server goes its own way', async (t) => {
    const scene = await aScene(t);
    const [mine, theirs] = [operationOf(await start(scene)), operationOf(await start(scene, undefined, ola))];
    assert.notEqual(mine.id, theirs.id);
    assert.deepEqual(ended(await scene.finish(mine)), { outcome: 'ready' });
    assert.deepEqual(ended(await scene.finish(theirs)), { outcome: 'ready' });
  });

  it('is refused while the hub is stopping it by itself, or does not know yet whether it runs', async (t) => {
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

describe('a restart', () => {
  it('stops the old pod, starts a new one, and is ready only with the new one', async (t) => {
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

  it('of what is stopped starts it', async (t) => {
    const scene = await aScene(t);
    assert.deepEqual(ended(await scene.finish(await restart(scene))), { outcome: 'ready' });
    assert.equal(scene.hub.told('stop'), 0);
  });

  it('by force gets past a hub that has not noticed that the pod is gone', async (t) => {
    const scene = await aScene(t);
    scene.hub.run(kari);
    const finished = await scene.finish(await restart(scene, true));
    assert.deepEqual(ended(finished), { outcome: 'ready' });
    assert.equal(scene.hub.told('delete Pod'), 1);
    assert.equal(scene.hub.told('start'), 1);
  });

  it('by force goes on when the hub did not hear of the stop, and still believes that it runs', async (t) => {
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

  it('outlives a hub that goes away in the middle', async (t) => {
    const scene = await aScene(t);
    scene.hub.run(kari);
    const opened = await restart(scene);
    scene.hub.goAway();
    for (let second = 0; second < 20; second += 1) {
      await scene.servers.poll(await scene.record(), opened.id);
      scene.pass(1);
    }
    assert.equal((await scene.stored(opened)).outcome, null);
    scene.hub.comeBack();
    assert.deepEqual(ended(await scene.finish(opened)), { outcome: 'ready' });
  });

  it('ends with the notebook that is deleted meanwhile', async (t) => {
    const scene = await aScene(t);
    scene.hub.run(kari);
    const opened = await restart(scene);
    const deletion = { requestedAt: scene.act().now, deleteHomes: false };
    await scene.change((team) => ({ ...team, notebook: team.notebook && { ...team.notebook, deletion } }));
    assert.deepEqual(ended(await scene.finish(opened)), { outcome: 'failed', reason: 'deleting' });
  });
});

describe('a restart of the hub', () => {
  it('patches the Deployment once, waits until it is rolled out and answers, and touches no notebook', async (t) => {
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

  it('is what others are told of while it lasts, not to restart the hub', async (t) => {
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

  it('is not possible without a hub, and says what helps where one was taken away', async (t) => {
    const scene = await aScene(t);
    scene.hub.withoutDeployment();
    await assert.rejects(
      scene.servers.restartHub(await scene.record(), scene.act()),
      problem('hub_unavailable', /not installed.*retryNotebook with force/),
    );
  });
});

describe('the tick', () => {
  it('takes on what an instance has left behind, and stays with it for a while', async (t) => {
    const scene = await aScene(t);
    scene.hub.run(kari);
    const opened = await restart(scene);
    assert.equal(opened.outcome, null);
    assert.equal(await scene.servers.tick(), 1);
    assert.deepEqual(ended(await scene.stored(opened)), { outcome: 'ready' });
    assert.equal(await scene.servers.tick(), 0);
  });

  it('goes on with the others when one fails', async (t) => {
    const scene = await aScene(t);
    scene.hub.run(kari);
    const mine = await restart(scene);
    const theirs = operationOf(await start(scene, undefined, ola));
    const store = new Proxy(scene.store, {
      get: (target, name, receiver) =>
        name === 'operation'
          ? (slug: string, id: string) =>
              id === mine.id ? Promise.reject(new Error('broken')) : target.operation(slug, id)
          : Reflect.get(target, name, receiver),
    });
    assert.equal(await scene.another({ store }).tick(), 2);
    assert.equal((await scene.stored(mine)).outcome, null);
    assert.deepEqual(ended(await scene.stored(theirs)), { outcome: 'ready' });
  });
});
