import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { hubScopes } from '../../src/notebooks/values.ts';
import type { Hubs } from '../../src/ports/hubs.ts';
import { Unavailable } from '../../src/ports/unavailable.ts';
import type { HubUnderTest } from '../contracts/hub/hub-under-test.ts';
import { hubContract } from '../contracts/hub.ts';
import { scriptedHub } from '../support/hubs.ts';
import { aMoment, named } from '../support/records.ts';

/** Our service’s token at this hub; the adapters that a test makes with another one are not let in. */
const token = 'a'.repeat(64);

const opened = (): HubUnderTest => {
  let now = Date.parse(aMoment);
  const team = named({ slug: 'team-a', id: 'team-a-3f9c' });
  const hub = scriptedHub({ clock: { now: () => now }, team });
  const requests = new Map<string, { path: string; headers: Readonly<Record<string, string>> }[]>();
  const letIn: Hubs = {
    ...hub.hubs,
    async isBusy(asked, name, signal) {
      const busy = await hub.hubs.isBusy(asked, name, signal);
      requests.set(name, [...(requests.get(name) ?? []), { path: `/user/${name}/api/kernels`, headers: {} }]);
      return busy;
    },
  };
  const refuse = () => Promise.reject(new Unavailable('hub', 'The hub does not know our token.'));
  const shut = new Proxy(letIn, { get: () => refuse });
  return {
    team,
    major: 5,
    hubs: letIn,
    token,
    scopes: hubScopes,
    withTokens: (tokens) => (tokens.includes(token) ? letIn : shut),
    offered: { profile: 'python-3-13', revision: 1, chosenAt: 1 },
    now: () => now,
    async letTimePass(ms) {
      now += ms;
      hub.settle();
      await turn();
    },
    async hold(user, what) {
      const release = hub.hold(user, what);
      return async () => release();
    },
    failNextStart: async (user, message) => hub.failNextStart(user, message),
    use: async (user) => hub.use(user),
    setBusy: async (user, busy) => hub.setBusy(user, busy),
    notebookRequests: async (user) => requests.get(user) ?? [],
    tokenNotes: async () => [],
    goAway: async () => hub.goAway(),
    comeBack: async () => hub.comeBack(),
  };
};

// What the tests of servers rely on is what the adapter finds at a real hub.
describe('the scripted hub', () => {
  const hub = opened();
  assert.equal(hub.major, 5);
  hubContract(async () => hub);
});
