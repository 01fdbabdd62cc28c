import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { openSqliteStore } from '../../src/adapters/sqlite.ts';
import type { Cluster } from '../../src/ports/cluster.ts';
import { makeCall } from '../../src/servers/calls.ts';
import { newOperation } from '../../src/servers/operation-state.ts';
import { heldBack } from '../support/held-back.ts';
import { aHub } from '../support/hub-users.ts';
import { aMoment, aNaming, anEvent, anOrderedRecord } from '../support/records.ts';

describe('a start that adds the hub user, held back at that call', () => {
  for (const [title, happens] of [
    ['the member leaves', { members: [] }],
    [
      'the team is being deleted',
      { deletion: { requestedAt: aMoment, deleteHomes: false, deleteSecret: false } },
    ],
  ] as const) {
    it(`leaves no hub user behind and starts nothing when ${title}`, async (t) => {
      const store = openSqliteStore({ file: ':memory:', naming: aNaming });
      t.after(() => store.close());
      const team = anOrderedRecord();
      await store.create(team, anEvent());
      const [{ username: user = '' } = {}] = team.members;
      const now = Date.parse(aMoment);
      const operation = await store.openOperation(team.slug, {
        ...newOperation(
          { id: 'op-1', kind: 'start', user, force: false, profile: 'own-image', by: user },
          now,
        ),
        claimedUntil: new Date(now + 60_000).toISOString(),
      });
      assert.ok(operation !== undefined);
      const hub = aHub();
      const held = heldBack(hub.port, ({ method }) => method === 'addUser');
      const unused = () => assert.fail('a start has no business with the cluster');
      const cluster: Cluster = {
        read: unused,
        list: unused,
        apply: unused,
        patch: unused,
        remove: unused,
        serves: unused,
      };
      const deps = {
        store,
        cluster,
        hubs: held.port,
        clock: { now: () => now },
        access: { prepare: async () => undefined, isEffective: async () => true },
        log: { info: () => undefined, warn: () => undefined },
      };
      const call = { call: 'start', formerPod: null, isUser: false } as const;
      const late = makeCall(deps, team, operation, call, AbortSignal.timeout(10_000));
      await held.reached;
      await store.change(team.slug, (current) => ({ next: { ...current, ...happens } }));
      held.letGo();
      assert.deepEqual(await late, { answer: 'not_yet' });
      assert.deepEqual([...hub.users], []);
    });
  }
});
