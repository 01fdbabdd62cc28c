import assert from 'node:assert/strict';
import { it, type TestContext } from 'node:test';
import { openSqliteStore } from '../../../src/adapters/sqlite.ts';
import { cull } from '../../../src/culling/cull.ts';
import { graceMs } from '../../../src/culling/rules.ts';
import type { CullingState } from '../../../src/model/record.ts';
import type { HubServer } from '../../../src/ports/hubs.ts';
import { aNaming, aNotebook, anEvent, anOrderedRecord, aSpec } from '../../support/records.ts';
import {
  added,
  becomes,
  type HubUnderTest,
  isStopped,
  passing,
  running,
  serverOf,
  stopped,
  until,
} from './hub-under-test.ts';

/** How long a server may be idle in these tests. */
const idleMs = 8000;

/**
 * A team with this hub, and passes of the culling over it. No server is stopped in the minutes after its start, so
 * passes run as far ahead of the hub’s clock as that grace is long, and the Cull Timeout is that much longer: what is
 * left of it passes at the hub. Every run queries the hub, and keeps the memory that the rules return.
 */
const culledTeam = async (hub: HubUnderTest, t: TestContext) => {
  const store = openSqliteStore({ file: ':memory:', naming: aNaming });
  t.after(() => store.close());
  const clock = { now: () => hub.now() + graceMs };
  const timeoutMs = graceMs + idleMs;
  const culling = { timeoutSeconds: timeoutMs / 1000, maxAgeSeconds: 604_800, keepBusyKernels: true };
  const notebook = aNotebook({ spec: aSpec({ culling }) });
  await store.create(anOrderedRecord({ ...hub.team, notebook }), anEvent());
  const note = () => undefined;
  const log = { info: note, warn: note, error: note };
  const pass = async (servers: CullingState['servers'] = {}) => {
    const dueAt = new Date(clock.now()).toISOString();
    await store.change(hub.team.slug, (current) => ({ next: { ...current, culling: { dueAt, servers } } }));
    const report = await passing(hub, cull({ store, hubs: hub.hubs, clock, log }));
    assert.equal(report.hubsAsked, 1);
    assert.equal(report.failed, 0);
    return report;
  };
  const history = async () => (await store.history(hub.team.slug, { limit: 10 })).items;
  return { clock, timeoutMs, pass, history };
};

/** Whether a running server has been left alone for as long as it may; it is looked at before a pass. */
const isPast = ({ lastActivityAt, startedAt }: HubServer, now: number, timeoutMs: number): boolean =>
  now - Date.parse(lastActivityAt ?? startedAt ?? '') >= timeoutMs;

/** The outcome of culling at a hub that behaves like the supported versions. */
export const cullContract = (open: () => Promise<HubUnderTest>): void => {
  it('culling stops a server that was idle for the Cull Timeout, not earlier, and spares one in use', async (t) => {
    const hub = await open();
    const { clock, timeoutMs, pass, history } = await culledTeam(hub, t);
    const [used, idle] = [await added(hub), await added(hub)];
    await running(hub, used);
    let before = await running(hub, idle);
    await until(hub, 'the idle server is stopped', async () => {
      const since = hub.now();
      await hub.use(used);
      await becomes(hub, used, 'used', (one) => Date.parse(one.lastActivityAt ?? '') >= since - 500);
      const server = await serverOf(hub, idle);
      assert.ok(server !== null);
      if (isStopped(server)) return true;
      if (server.pending === null) before = server;
      await pass();
      return undefined;
    });
    assert.ok(isPast(before, clock.now(), timeoutMs), 'it was stopped before its time');
    assert.equal((await serverOf(hub, used))?.ready, true);
    const told = (await history()).filter(({ action }) => action === 'server_culled');
    assert.deepEqual(
      told.map(({ by, changes }) => ({ by, changes })),
      [{ by: 'culling', changes: [{ pointer: `/servers/${idle}`, from: 'running', to: 'stopped' }] }],
    );
    assert.ok(told[0]?.reason, 'it says why');
    await stopped(hub, used);
  });

  it('culling spares a due server whose kernel computes silently, until it is done', async (t) => {
    const hub = await open();
    const { pass } = await culledTeam(hub, t);
    const name = await added(hub);
    await running(hub, name);
    await hub.setBusy(name, true);
    await until(hub, 'a pass finds it past its time and busy', async () =>
      (await pass()).postponed === 1 ? true : undefined,
    );
    assert.equal((await serverOf(hub, name))?.ready, true);
    await hub.setBusy(name, false);
    await until(hub, 'a pass stops it', async () => ((await pass()).stopped === 1 ? true : undefined));
    await becomes(hub, name, 'stopped', isStopped);
  });

  it('culling spares a due server while it is extended', async (t) => {
    const hub = await open();
    const { clock, timeoutMs, pass } = await culledTeam(hub, t);
    const name = await added(hub);
    await running(hub, name);
    const extendedUntil = clock.now() + 3 * idleMs;
    const extended = { [name]: { extendedUntil: new Date(extendedUntil).toISOString() } };
    let held = 0;
    await until(hub, 'a pass stops it', async () => {
      const server = await serverOf(hub, name);
      assert.ok(server !== null);
      const past = isPast(server, clock.now(), timeoutMs);
      const { stopped: count } = await pass(extended);
      if (clock.now() < extendedUntil) {
        assert.equal(count, 0, 'it was stopped though it is extended');
        if (past) held += 1;
      }
      return count === 1 ? true : undefined;
    });
    assert.ok(held > 0, 'it was never past its time');
    await becomes(hub, name, 'stopped', isStopped);
  });
};
