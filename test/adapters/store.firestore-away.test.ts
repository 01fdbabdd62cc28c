import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerHttp2Stream } from 'node:http2';
import { describe, it, type TestContext } from 'node:test';
import { openFirestoreStore } from '../../src/adapters/firestore.ts';
import type { Store } from '../../src/ports/store.ts';
import { anOperation } from '../support/operations.ts';
import { aNaming, anEvent, aRecord } from '../support/records.ts';

// The client would prefer an emulator to the address that it is given here.
delete process.env.FIRESTORE_EMULATOR_HOST;
process.env.METADATA_SERVER_DETECTION = 'none';

type Behaviour = (stream: ServerHttp2Stream) => void;

/** Answers every request with a gRPC status (grpc.io/docs/guides/status-codes) and no body. */
const status =
  (code: number): Behaviour =>
  (stream) => {
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': code },
      { endStream: true },
    );
  };
const permissionDenied = status(7);

let behave: Behaviour = permissionDenied;
const server = createServer();
server.on('stream', (stream) => {
  stream.on('error', () => {});
  behave(stream);
});
// Never closed: the client goes on trying for a while after it was given up, and is to be refused then.
server.on('connection', (socket) => socket.unref());
server.listen(0, '127.0.0.1').unref();
await once(server, 'listening');
const address = server.address();
const host = `127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;

/** A store whose Firestore behaves like this until the test is over; then it refuses what is still tried again. */
const storeWhen = (t: TestContext, behaviour: Behaviour): Store => {
  behave = behaviour;
  const store = openFirestoreStore({
    naming: aNaming,
    projectId: 'test-away',
    deadlineMs: 150,
    connect: (sdk, settings) => new sdk.Firestore({ ...settings, host, ssl: false }),
  });
  t.after(() => {
    behave = permissionDenied;
    return store.close();
  });
  return store;
};

const calls: Readonly<Record<string, (store: Store) => Promise<unknown>>> = {
  ping: (store) => store.ping(),
  team: (store) => store.team('team-a'),
  create: (store) => store.create(aRecord(), anEvent()),
  change: (store) => store.change('team-a', () => assert.fail('nothing was read')),
  remove: (store) => store.remove('team-a', { id: 'team-a-3f9c', generation: 1 }),
  isTombstone: (store) => store.isTombstone('team-a-3f9c'),
  teams: (store) => store.teams({ limit: 1 }),
  due: (store) => store.due('2026-11-23T09:00:00.000Z', 1),
  outdated: (store) => store.outdated('hash', 1),
  degraded: (store) => store.degraded('hash', 1),
  history: (store) => store.history('team-a', { limit: 1 }),
  notebookRevision: (store) => store.notebookRevision('team-a', 1),
  openOperation: (store) => store.openOperation('team-a', anOperation()),
  operation: (store) => store.operation('team-a', 'op-1'),
  changeOperation: (store) => store.changeOperation('team-a', 'op-1', () => assert.fail('nothing was read')),
  openOperations: (store) => store.openOperations('team-a'),
  operationsDue: (store) => store.operationsDue('2026-11-23T09:00:00.000Z', 1),
  hosts: (store) => store.hosts(['nav.no']),
  changeHost: (store) => store.changeHost('nav.no', () => assert.fail('nothing was read')),
  hostsDue: (store) => store.hostsDue('2026-11-23T09:00:00.000Z', 1),
  listing: (store) => store.listing(['nav.no']),
  cullingDue: (store) => store.cullingDue('2026-11-23T09:00:00.000Z', 1),
  catalogue: (store) => store.catalogue(),
  changeCatalogue: (store) => store.changeCatalogue(() => assert.fail('nothing was read')),
};

describe('the Firestore store while Firestore is unavailable', () => {
  for (const [how, behaviour] of [
    ['says nothing', () => {}],
    ['hangs up', (stream: ServerHttp2Stream) => stream.session?.destroy()],
    ['is out of quota', status(8)],
    ['fails inside', status(13)],
    ['says that it is unavailable', status(14)],
  ] as const) {
    it(`throws Unavailable at every call when it ${how}`, async (t) => {
      const store = storeWhen(t, behaviour);
      const outcomes = await Promise.allSettled(Object.values(calls).map((call) => call(store)));
      for (const [i, name] of Object.keys(calls).entries()) {
        const outcome = outcomes[i];
        assert.ok(outcome?.status === 'rejected', name);
        assert.deepEqual(
          { name: outcome.reason.name, system: outcome.reason.system },
          { name: 'Unavailable', system: 'firestore' },
          `${name}: ${outcome.reason.stack}`,
        );
      }
    });
  }

  it('cancels the request at the deadline, not only the wait for it', async (t) => {
    const { promise: stream, resolve } = Promise.withResolvers<ServerHttp2Stream>();
    const store = storeWhen(t, resolve);
    await assert.rejects(store.create(aRecord(), anEvent()), { name: 'Unavailable' });
    const request = await stream;
    if (!request.closed) await once(request, 'close');
    assert.equal(request.rstCode, 8, 'cancelled by the client');
  });

  it('rethrows an error that a retry cannot fix, but a ping throws Unavailable', async (t) => {
    const store = storeWhen(t, permissionDenied);
    await assert.rejects(store.create(aRecord(), anEvent()), { code: 7 });
    await assert.rejects(store.ping(), { name: 'Unavailable', system: 'firestore' });
  });

  it('loads nothing before the first call', async () => {
    const store = openFirestoreStore({
      naming: aNaming,
      projectId: 'test-away',
      connect: () => assert.fail('not asked for yet'),
    });
    await store.close();
  });
});
