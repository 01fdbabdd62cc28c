import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { openHubs } from '../../src/adapters/jupyterhub.ts';
import { openSqliteStore } from '../../src/adapters/sqlite.ts';
import { factsOf } from '../../src/culling/activity.ts';
import { cull } from '../../src/culling/cull.ts';
import { graceMs, stopOf } from '../../src/culling/rules.ts';
import { aNaming, aNotebook, anEvent, anOrderedRecord, aSpec } from '../support/records.ts';
import { startSimulatedHub } from '../support/simulated-hub.ts';

const [kari, hour] = ['kari.nordmann@nav.no', 3_600_000];
const culling = { timeoutSeconds: 1800, maxAgeSeconds: 604_800, keepBusyKernels: false };

describe('culling: a hub whose clock is an hour off', () => {
  for (const [direction, offMs] of [
    ['behind', -hour],
    ['ahead', hour],
  ] as const) {
    it(`${direction}: spares a server in use, stops an idle one on time, and stopsAt is right`, async (t) => {
      let aheadMs = 0;
      const now = () => Date.now() + aheadMs;
      const simulated = await startSimulatedHub({ now: () => now() + offMs });
      t.after(() => simulated.close());
      const { team } = simulated;
      const clock = { now };
      const hubs = openHubs({
        urlTemplate: simulated.url(),
        tokens: () => [simulated.token],
        clock,
        callMs: 30_000,
      });
      const store = openSqliteStore({ file: ':memory:', naming: aNaming });
      t.after(() => store.close());
      const dueAt = new Date(now()).toISOString();
      const record = {
        ...team,
        notebook: aNotebook({ spec: aSpec({ culling }) }),
        culling: { dueAt, servers: {} },
      };
      await store.create(anOrderedRecord(record), anEvent());
      const signal = AbortSignal.timeout(60_000);
      const serverOf = async () => (await hubs.user(team, kari, signal))?.server ?? null;
      const run = async () => {
        const due = new Date(now()).toISOString();
        await store.change(team.slug, (current) => ({
          next: { ...current, culling: { ...current.culling, dueAt: due } },
        }));
        const note = () => undefined;
        return cull({
          store,
          hubs,
          clock,
          log: { info: note, warn: note, error: note },
          hubDeadlineMs: 30_000,
        });
      };

      await hubs.addUser(team, kari, signal);
      await hubs.start(team, kari, { profile: 'python-3-13', revision: 7, chosenAt: 7 }, signal);
      while (!(await serverOf())?.ready) await wait(20, undefined, { signal });

      // Past the grace after its start, and used a moment ago.
      aheadMs += graceMs + 60_000;
      await hubs.reportActivity(team, kari, new Date(now()).toISOString(), signal);
      assert.partialDeepStrictEqual(await run(), { hubsAsked: 1, stopped: 0, failed: 0 });
      assert.equal((await serverOf())?.ready, true);

      const facts = factsOf(await serverOf(), undefined, {
        observedAt: new Date(now()).toISOString(),
        busy: 'not asked',
      });
      const { stopsAt = '' } = stopOf(facts, culling) ?? {};
      const expected = now() + culling.timeoutSeconds * 1000;
      // HTTP dates have a resolution of a second.
      assert.ok(
        Math.abs(Date.parse(stopsAt) - expected) < 30_000,
        `${stopsAt}, not ${new Date(expected).toISOString()}`,
      );

      aheadMs += culling.timeoutSeconds * 1000 + 60_000;
      assert.partialDeepStrictEqual(await run(), { stopped: 1, failed: 0 });
    });
  }
});
