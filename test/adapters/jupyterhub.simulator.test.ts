import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import Type from 'typebox';
import { Value } from 'typebox/value';
import { openHubs } from '../../src/adapters/jupyterhub.ts';
import { hubScopes } from '../../src/notebooks/values.ts';
import { clockContract } from '../contracts/hub/clock.ts';
import { cullContract } from '../contracts/hub/culling.ts';
import type { HubUnderTest } from '../contracts/hub/hub-under-test.ts';
import { hubContract } from '../contracts/hub.ts';
import { type SimulatedHub, startSimulatedHub } from '../support/simulated-hub.ts';

const Tokens = Type.Object({ api_tokens: Type.Array(Type.Object({ note: Type.String() })) });

/** What takes seconds at a real hub; its meaning is the same when it takes no time. */
const timings = {
  slowStopMs: 250,
  interruptMs: 20,
  checkMs: 50,
  pollMs: 20,
  activityMs: 5,
  progressMs: 5,
  profilesPollMs: 5,
};

for (const version of ['5.5.0', '6.1.1']) {
  describe(`hubs: the simulator of JupyterHub ${version}`, () => {
    let aheadMs = 0;
    const now = () => Date.now() + aheadMs;
    let simulated: SimulatedHub;
    let hub: HubUnderTest;

    before(async () => {
      simulated = await startSimulatedHub({ hubVersion: version, now, timings });
      const { team, token, send } = simulated;
      const { slug } = team;
      const withTokens = (tokens: readonly string[], clockAheadMs = 0) =>
        openHubs({
          urlTemplate: simulated.url(),
          tokens: () => tokens,
          clock: { now: () => now() + clockAheadMs },
        });
      hub = {
        team,
        major: Number.parseInt(version, 10),
        hubs: withTokens([token]),
        token,
        scopes: hubScopes,
        withTokens,
        offered: { profile: 'python-3-13', revision: 7, chosenAt: 7 },
        now,
        letTimePass: async (ms) => {
          aheadMs += ms;
          // Its tasks run by real timers, all of them much shorter than this.
          await wait(15);
        },
        hold: async (user, what) => {
          const release = simulated.hubs.hold(slug, user, what);
          return async () => release();
        },
        failNextStart: async (user, message) => simulated.hubs.failNextSpawn(slug, user, message),
        use: async (user) => {
          const response = await send('GET', `/user/${encodeURIComponent(user)}/lab`, undefined, '');
          assert.equal(response.status, 200);
        },
        setBusy: async (user, busy) => simulated.hubs.setBusy(slug, user, busy),
        notebookRequests: async (user) =>
          simulated.hubs
            .serverRequests()
            .filter((request) => request.user === user)
            .map(({ path, headers }) => ({
              path,
              headers: Object.fromEntries(
                Object.entries(headers).map(([name, value]) => [name, String(value)]),
              ),
            })),
        tokenNotes: async (user) => {
          const response = await send('GET', `/hub/api/users/${encodeURIComponent(user)}/tokens`);
          const { api_tokens: tokens } = Value.Parse(Tokens, await response.json());
          return tokens.map(({ note }) => note).filter((note) => !note.startsWith('Server at '));
        },
        goAway: () => simulated.goAway(),
        comeBack: () => simulated.comeBack(),
      };
    });
    after(async () => {
      await simulated.close();
      assert.deepEqual(simulated.failures, []);
    });

    hubContract(async () => hub);
    clockContract(async () => hub);
    cullContract(async () => hub);
  });
}
