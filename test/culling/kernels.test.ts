import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { aMoment } from '../support/records.ts';
import {
  after,
  ago,
  aTeam,
  aWorld,
  day,
  hour,
  idle,
  kari,
  minute,
  nothing,
  ola,
  second,
} from './culled-teams.ts';

describe('culling: a busy kernel', () => {
  it('spares its server and is probed again one Cull Timeout later', async (t) => {
    const { serversOf, pass, wait, news, culling, culled } = await aWorld(t);
    const server = idle({ kernels: 'busy' });
    serversOf('team-a').set(kari, server);
    assert.deepEqual(await pass(), { ...nothing, hubsAsked: 1, postponed: 1 });
    assert.deepEqual(await culling(), { dueAt: after(hour), servers: { [kari]: { busyAt: aMoment } } });
    assert.deepEqual(news(), [`isBusy team-a ${kari}`, 'users team-a']);
    wait(hour);
    server.kernels = 'idle';
    assert.equal((await pass()).stopped, 1);
    assert.deepEqual(news(), [`isBusy team-a ${kari}`, `stop team-a ${kari}`, 'users team-a']);
    assert.equal((await culled())[0]?.reason, 'No activity for 60 minutes; the Cull Timeout is 60 minutes.');
  });

  it('is reported to the hub when the hub’s last activity is older than a day, so the chart’s culler spares it too', async (t) => {
    const { serversOf, pass, news } = await aWorld(t);
    const long = { startedAt: ago(2 * day), kernels: 'busy' } as const;
    serversOf('team-a')
      .set(kari, idle({ ...long, lastActivityAt: ago(day + second) }))
      .set(ola, idle({ ...long, lastActivityAt: ago(day) }))
      .set('per', idle({ ...long, lastActivityAt: null }));
    await pass();
    assert.deepEqual(
      news().filter((what) => what.startsWith('report')),
      [`reportActivity team-a ${kari}`, 'reportActivity team-a per'],
    );
    assert.equal(serversOf('team-a').get(kari)?.lastActivityAt, aMoment);
  });

  it('is not probed when the team does not keep busy kernels', async (t) => {
    const { serversOf, pass, news } = await aWorld(t, [aTeam({}, { keepBusyKernels: false })]);
    serversOf('team-a').set(kari, idle({ kernels: 'busy' }));
    assert.equal((await pass()).stopped, 1);
    assert.deepEqual(news(), [`stop team-a ${kari}`, 'users team-a']);
  });
});

describe('culling: a failing kernel probe', () => {
  it('postpones a stop for six hours and is repeated every five minutes', async (t) => {
    const { serversOf, pass, wait, culling, culled } = await aWorld(t);
    serversOf('team-a').set(kari, idle({ kernels: 'silent' }));
    assert.deepEqual(await pass(), { ...nothing, hubsAsked: 1, postponed: 1 });
    const remembered = { [kari]: { probeFailingSince: aMoment } };
    assert.deepEqual(await culling(), { dueAt: after(5 * minute), servers: remembered });
    let passes = 1;
    for (; serversOf('team-a').has(kari); passes += 1) {
      assert.ok(passes < 100);
      assert.deepEqual((await culling()).servers, remembered);
      wait(5 * minute);
      await pass();
    }
    assert.equal(passes, 1 + 72);
    const [{ at, reason } = {}] = await culled();
    assert.equal(at, after(6 * hour));
    assert.match(
      reason ?? '',
      /^No activity for 7 hours and 2 minutes; .* Its kernels could not be probed for 6 hours/,
    );
  });

  it('is forgotten once the kernels answer', async (t) => {
    const { serversOf, pass, wait, culling } = await aWorld(t);
    const server = idle({ kernels: 'silent' });
    serversOf('team-a').set(kari, server);
    await pass();
    server.kernels = 'busy';
    wait(5 * minute);
    await pass();
    assert.deepEqual((await culling()).servers, { [kari]: { busyAt: after(5 * minute) } });
  });

  it('is forgotten once the server is used', async (t) => {
    const { serversOf, pass, wait, culling } = await aWorld(t);
    const server = idle({ kernels: 'silent' });
    serversOf('team-a').set(kari, server);
    await pass();
    server.lastActivityAt = after(minute);
    wait(5 * minute);
    await pass();
    assert.deepEqual((await culling()).servers, {});
  });

  it('that hangs does not starve other servers and does not count them as failed', async (t) => {
    const { serversOf, pass, wait, culled, culling } = await aWorld(t);
    // More than are probed concurrently, so they exhaust the hub’s time before the last one’s turn.
    const hanging = Array.from({ length: 8 }, (_, n) => `hanging-${n}`);
    for (const user of hanging) serversOf('team-a').set(user, idle({ kernels: 'hanging' }));
    serversOf('team-a').set(kari, idle());
    assert.deepEqual(await pass({ hubDeadlineMs: 20 }), { ...nothing, hubsAsked: 1, postponed: 8 });
    const { dueAt, servers } = await culling();
    assert.deepEqual(Object.keys(servers).toSorted(), hanging, 'who was not asked has not failed to answer');
    assert.equal(dueAt, after(30 * second));
    wait(30 * second);
    assert.equal((await pass({ hubDeadlineMs: 20 })).stopped, 1);
    assert.deepEqual(
      (await culled()).map(({ changes }) => changes[0]?.pointer),
      [`/servers/${kari}`],
    );
  });
});
