import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { setImmediate as settled, setTimeout as sleep } from 'node:timers/promises';
import { startRegistries } from '@knada/simulators/registries/server.ts';
import fc from 'fast-check';
import { registryContent } from '../../local/conventions.ts';
import { openRegistries } from '../../src/adapters/oci-registry.ts';
import { QueueFull, type QueueOptions, RequestQueue } from '../../src/adapters/oci-registry-queue.ts';
import type { RegistryCaller } from '../../src/ports/registries.ts';

const gar = 'europe-north1-docker.pkg.dev';
const never = new AbortController().signal;
const lookup = (name: string): RegistryCaller => ({ name, purpose: 'lookup' });
const order = (name: string): RegistryCaller => ({ name, purpose: 'order' });

/** A queue on a clock that a test moves, and the requests in the order in which they proceeded or were refused. */
const aQueue = (options: Partial<QueueOptions> = {}) => {
  const time = { now: 1_000_000 };
  const timers: { at: number; ring: () => void }[] = [];
  const queue = new RequestQueue({
    requestsPerSecond: 10,
    maxWaiting: 80,
    maxWaitingPerCaller: 20,
    now: () => time.now,
    wait: (ms) =>
      new Promise((ring) => {
        timers.push({ at: time.now + ms, ring: () => ring() });
      }),
    ...options,
  });
  const proceeded: { name: string; at: number }[] = [];
  const refused: string[] = [];
  return {
    queue,
    time,
    proceeded,
    refused,
    enter(caller: RegistryCaller, signal: AbortSignal = never) {
      queue.enter(caller, signal).then(
        () => proceeded.push({ name: caller.name, at: time.now }),
        (error: unknown) => refused.push(error instanceof QueueFull ? caller.name : `${caller.name} aborted`),
      );
    },
    async pass(ms: number) {
      const end = time.now + ms;
      for (;;) {
        await settled();
        const next = timers.filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at)[0];
        if (next === undefined) break;
        timers.splice(timers.indexOf(next), 1);
        time.now = Math.max(time.now, next.at);
        next.ring();
      }
      time.now = end;
    },
    names: () => proceeded.map(({ name }) => name),
  };
};

describe('the queue of requests to a registry', () => {
  it('lets ten proceed at once, then one each 100 ms', async () => {
    const { enter, pass, proceeded, time } = aQueue();
    const start = time.now;
    for (let n = 0; n < 15; n++) enter(lookup('kari'));
    await pass(500);
    assert.deepEqual(
      proceeded.map(({ at }) => at - start),
      [...Array(10).fill(0), 100, 200, 300, 400, 500],
    );
  });

  it('gives a caller with one request the next turn but one, whatever another has waiting', async () => {
    const { enter, pass, names } = aQueue();
    for (let n = 0; n < 30; n++) enter(lookup('mallory'));
    await pass(0);
    enter(lookup('kari'));
    await pass(200);
    assert.ok(names().slice(10).includes('kari'), names().slice(10).join());
  });

  it('gives every caller an equal share of the turns', async () => {
    const { enter, pass, names } = aQueue();
    const callers = ['a', 'b', 'c', 'd'];
    for (const name of callers) for (let n = 0; n < 20; n++) enter(lookup(name));
    await pass(3_000);
    const shares = callers.map(
      (name) =>
        names()
          .slice(10)
          .filter((one) => one === name).length,
    );
    assert.ok(Math.max(...shares) - Math.min(...shares) <= 1, shares.join());
    assert.equal(names().length, 40);
    assert.deepEqual(new Set(names().slice(-4)), new Set(callers));
  });

  it('serves orders before look-ups, and a look-up every fourth turn', async () => {
    const { enter, pass, names } = aQueue({ requestsPerSecond: 1 });
    enter(lookup('first'));
    for (let n = 0; n < 8; n++) enter(lookup('look'));
    for (let n = 0; n < 8; n++) enter(order('order'));
    await pass(11_000);
    assert.equal(names()[0], 'first');
    assert.deepEqual(names().slice(1, 9), [
      ...['order', 'order', 'look', 'order', 'order', 'order', 'look', 'order'],
    ]);
  });

  it('takes no turn for a request that is aborted while it waits', async () => {
    const { enter, pass, names, refused, proceeded, time } = aQueue({
      maxWaitingPerCaller: 1000,
      maxWaiting: 1000,
    });
    const impatient = new AbortController();
    for (let n = 0; n < 660; n++) enter(lookup('mallory'), impatient.signal);
    await pass(0);
    impatient.abort();
    await pass(100);
    assert.equal(refused.length, 650);
    const before = time.now;
    enter(order('kari'));
    await pass(200);
    assert.equal(names().at(-1), 'kari');
    assert.ok((proceeded.at(-1)?.at ?? 0) - before <= 100, 'not after 65 seconds');
  });

  it('refuses a caller’s requests above the limit at once', async () => {
    const { enter, pass, refused } = aQueue();
    for (let n = 0; n < 40; n++) enter(lookup('mallory'));
    await pass(0);
    assert.equal(refused.length, 10);
  });

  it('makes room for a new caller at the cost of the one with the most waiting', async () => {
    const { enter, pass, refused, names } = aQueue({ maxWaiting: 6, maxWaitingPerCaller: 20 });
    for (let n = 0; n < 16; n++) enter(lookup('mallory'));
    await pass(0);
    enter(lookup('kari'));
    await pass(300);
    assert.deepEqual(refused, ['mallory']);
    assert.ok(names().includes('kari'));
  });

  it('refuses a look-up rather than an order when it is full', async () => {
    const { enter, pass, refused } = aQueue({ maxWaiting: 4 });
    for (let n = 0; n < 10; n++) enter(lookup('burst'));
    await pass(0);
    for (let n = 0; n < 2; n++) enter(order('kari'));
    for (let n = 0; n < 2; n++) enter(lookup('mallory'));
    enter(order('ola'));
    await pass(0);
    assert.deepEqual(refused, ['mallory']);
  });

  it('waits one turn at most after the clock was set back', async () => {
    const { enter, pass, names, time } = aQueue();
    for (let n = 0; n < 10; n++) enter(lookup('kari'));
    await pass(0);
    time.now -= 3_600_000;
    enter(lookup('ola'));
    await pass(100);
    assert.equal(names().at(-1), 'ola');
  });

  it('rejects with the signal’s reason when it is aborted already', async () => {
    const { queue } = aQueue();
    const reason = new Error('too late');
    await assert.rejects(queue.enter(lookup('kari'), AbortSignal.abort(reason)), reason);
  });

  it('keeps to the rate and answers each request, while callers start and abort', async () => {
    const step = fc.record({
      caller: fc.constantFrom('a', 'b', 'c'),
      purpose: fc.constantFrom('order' as const, 'lookup' as const),
      aborts: fc.boolean(),
      ms: fc.nat(150),
    });
    const property = fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const { enter, pass, proceeded, refused } = aQueue({ maxWaiting: 12, maxWaitingPerCaller: 6 });
      for (const { caller, purpose, aborts, ms } of steps) {
        const controller = new AbortController();
        enter({ name: caller, purpose }, controller.signal);
        await pass(ms);
        if (aborts) controller.abort();
      }
      await pass(10_000);
      assert.equal(proceeded.length + refused.length, steps.length);
      for (const [index, { at }] of proceeded.entries()) {
        const tenLater = proceeded[index + 10];
        if (tenLater !== undefined) assert.ok(tenLater.at - at >= 100, `${index}`);
        const manyLater = proceeded[index + 20];
        if (manyLater !== undefined) assert.ok(manyLater.at - at >= 1000, `${index}`);
      }
    });
    await fc.assert(property, { numRuns: 100 });
  });
});

/** The registries on a real clock. */
const opened = async (t: TestContext) => {
  const simulator = await startRegistries(registryContent);
  t.after(() => simulator.close());
  const origins = {
    'ghcr.io': simulator.url,
    [gar]: simulator.url,
    'artifactregistry.googleapis.com': simulator.url,
  };
  return openRegistries({
    garRegion: 'europe-north1',
    garProject: 'nais-management-233d',
    origins,
    clock: { now: Date.now },
  });
};

describe('registries: one caller’s flood', () => {
  const repository = { host: 'ghcr.io', path: 'navikt/team-notebook' };

  it('delays no other caller’s order, neither while it lasts nor after it was aborted', async (t) => {
    const registries = await opened(t);
    const impatient = new AbortController();
    const mallory = lookup('mallory');
    const flood = Array.from({ length: 600 }, (_, n) =>
      registries.digest({ ...repository, tag: `no-${n}` }, impatient.signal, { caller: mallory }),
    );
    await sleep(20);
    const known = await registries.tags(repository, AbortSignal.timeout(4_000), { caller: order('team-a') });
    assert.equal(known.answer, 'found', JSON.stringify(known));
    impatient.abort();
    await Promise.all(flood);
    const tag = known.value.tags[0]?.tag ?? '';
    const pinned = await registries.digest({ ...repository, tag }, AbortSignal.timeout(2_000), {
      fresh: true,
      caller: lookup('kari'),
    });
    assert.equal(pinned.answer, 'found', JSON.stringify(pinned));
  });

  it('is refused with a Retry-After when too many of its requests are waiting', async (t) => {
    const registries = await opened(t);
    const impatient = new AbortController();
    const flood = Array.from({ length: 100 }, (_, n) =>
      registries.digest({ ...repository, tag: `no-${n}` }, impatient.signal, { caller: lookup('mallory') }),
    );
    const first = await Promise.race(flood);
    assert.deepEqual(first, {
      answer: 'unknown',
      message: 'Too many requests to ghcr.io are waiting.',
      retryAfterSeconds: 2,
    });
    impatient.abort();
    await Promise.all(flood);
  });
});
