import assert from 'node:assert/strict';
import { it } from 'node:test';
import { added, type HubUnderTest, running, serverOf, signal, stopped } from './hub-under-test.ts';

const hourMs = 3_600_000;
const toleranceMs = 30_000;

/** What the adapter does with a hub whose clock differs from ours: the hub says what time it is with every answer. */
export const clockContract = (open: () => Promise<HubUnderTest>): void => {
  for (const aheadMs of [-hourMs, hourMs]) {
    it(`converts instants to a clock that is ${aheadMs / hourMs} h ahead of the hub’s`, async () => {
      const hub = await open();
      const hubs = hub.withTokens([hub.token], aheadMs);
      const ours = { ...hub, hubs };
      const name = await added(ours);
      const before = hub.now() + aheadMs;
      const { startedAt } = await running(ours, name);
      assert.ok(Math.abs(Date.parse(startedAt ?? '') - before) < hourMs / 2, `${startedAt}`);
      const active = hub.now() + aheadMs;
      await hubs.reportActivity(hub.team, name, new Date(active).toISOString(), signal());
      const { lastActivityAt = null } = (await serverOf(ours, name)) ?? {};
      assert.ok(Math.abs(Date.parse(lastActivityAt ?? '') - active) < toleranceMs, `${lastActivityAt}`);
      await stopped(ours, name);
    });
  }
};
