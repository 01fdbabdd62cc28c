import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { answerClock } from '@knada/simulators/hubs/control.ts';
import { startChild } from '../../local/child.ts';
import { openData } from '../../local/data.ts';

describe('the sandbox’s clock', () => {
  it('moves in a child process, also for modules that kept a reference to Date.now', async (t) => {
    const lines: string[] = [];
    const child = startChild('clock', 'test/local/clock.fixture.ts', {}, (line) => lines.push(line), true);
    t.after(() => child.close());
    const before = Date.now();
    await child.moveClock(3_600_000);
    await child.moveClock(60_000);
    const told = Promise.withResolvers<void>();
    const timer = setInterval(() => lines.length > 0 && told.resolve(), 20);
    await told.promise;
    clearInterval(timer);
    const [kept, made, given] = (lines[0] ?? '')
      .replace(/^clock {2}/, '')
      .split(' ')
      .map(Number);
    for (const at of [kept, made]) {
      const ahead = ((at ?? 0) - before) / 60_000;
      assert.ok(ahead >= 61 && ahead < 62, `${ahead} minutes ahead`);
    }
    assert.equal(given, 0, 'an instant that is given stays what it is');
  });

  it('is kept with the data, and forgotten with it', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'clock-'));
    t.after(() => rm(folder, { recursive: true }));
    const open = (fresh = false) => openData(folder, { fresh });
    const first = open();
    assert.equal(first.clockAheadMs, 0);
    first.keepClock(7_200_000);
    first.close();
    const second = open();
    assert.equal(second.clockAheadMs, 7_200_000);
    second.close();
    const fresh = open(true);
    assert.equal(fresh.clockAheadMs, 0);
    fresh.close();
  });

  it('is moved forward over HTTP by a number of seconds, never back', async () => {
    const moves: number[] = [];
    const ask = (method: string, body: string) =>
      answerClock({ method, body }, async (seconds) => {
        moves.push(seconds);
      });
    assert.equal((await ask('POST', '{"advanceSeconds": 7200}')).status, 200);
    for (const body of [
      '',
      '{}',
      '{"advanceSeconds": -1}',
      '{"advanceSeconds": "1"}',
      '{"advanceSeconds": 1e99}',
    ]) {
      assert.equal((await ask('POST', body)).status, 400, body);
    }
    assert.equal((await ask('GET', '')).status, 405);
    assert.deepEqual(moves, [7200]);
    assert.equal((await answerClock({ method: 'POST', body: '{}' }, undefined)).status, 404);
  });
});
