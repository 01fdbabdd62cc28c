import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { describe, it, type TestContext } from 'node:test';
import { Firestore, Timestamp } from '@google-cloud/firestore';
import { openFirestoreStore } from '../../src/adapters/firestore.ts';
import type { FirestoreOptions } from '../../src/adapters/firestore-connection.ts';
import { shippedCatalogue } from '../../src/environments/catalogue.ts';
import type { HostRecord } from '../../src/model/host.ts';
import type { OperationRecord } from '../../src/model/operation.ts';
import type { Decide } from '../../src/ports/store.ts';
import { storeContract } from '../contracts/store.ts';
import { noEmulator, startFirestoreEmulator } from '../support/firestore-emulator.ts';
import { anOperation } from '../support/operations.ts';
import { aMoment, aNaming, anEvent, anOrderedRecord, aRecord, aSpec } from '../support/records.ts';
import { aRequest } from '../support/requests.ts';

const emulator = await startFirestoreEmulator();
const skip = emulator === undefined && noEmulator;
const newProject = () => `test-${randomUUID()}`;
/** Generous, because the emulator shares a small machine with the tests. */
const deadlineMs = 20_000;
const openOn = (projectId: string) => openFirestoreStore({ projectId, naming: aNaming, deadlineMs });

describe('the Firestore store', { skip }, () => {
  storeContract(async () => [openOn(newProject())]);
});

describe('the Firestore store shared by two clients', { skip }, () => {
  storeContract(async () => {
    const projectId = newProject();
    return [openOn(projectId), openOn(projectId)];
  });
});

type Commit = (commit: () => Promise<unknown>, attempt: number) => Promise<unknown>;

/** What the client throws when the API answers with this gRPC status. */
const answer = (code: number) => Object.assign(new Error(`status ${code}`), { code });
const [failedPrecondition, unavailable] = [9, 14];

/** A store whose commits go through `onCommit`, which gets the number of the attempt, and an unmodified one. */
const opened = (t: TestContext, onCommit: Commit = (commit) => commit()) => {
  const projectId = newProject();
  let attempts = 0;
  const connect: FirestoreOptions['connect'] = (sdk, settings) => {
    const db = new sdk.Firestore(settings);
    const newBatch = db.batch.bind(db);
    db.batch = () => {
      const batch = newBatch();
      const commit = batch.commit.bind(batch);
      batch.commit = async () => {
        attempts += 1;
        await onCommit(commit, attempts);
        return [];
      };
      return batch;
    };
    return db;
  };
  const store = openFirestoreStore({ projectId, naming: aNaming, deadlineMs, random: () => 0, connect });
  const sound = openOn(projectId);
  const raw = new Firestore({ projectId });
  t.after(() => Promise.all([store.close(), sound.close(), raw.terminate()]));
  return { store, sound, raw };
};

const revised: Decide = (current) => ({
  next: { ...current, revision: current.revision + 1, generation: current.generation + 1 },
  event: anEvent({ action: 'team_updated' }),
});

const finished = (current: OperationRecord): OperationRecord => ({ ...current, step: 'done', dueAt: null });

const aHost: HostRecord = {
  name: 'nav.no',
  addresses: {},
  lastLookAt: null,
  lastSuccessAt: null,
  failures: 0,
  lastError: null,
  absent: null,
  wantedAt: null,
  liveAt: null,
  dueAt: aMoment,
};

const numbers = async (store: ReturnType<typeof openOn>) =>
  (await store.history('team-a', { limit: 1_000 })).items.map(({ n }) => n);

describe('the Firestore store, when a commit goes wrong', { skip }, () => {
  it('decides again on the record of the concurrent writer', async (t) => {
    const { store, sound } = opened(t, async (commit, attempt) => {
      if (attempt === 1) await sound.change('team-a', revised);
      return commit();
    });
    await sound.create(aRecord(), anEvent());
    const seen: number[] = [];
    await store.change('team-a', (current) => {
      seen.push(current.revision);
      return revised(current);
    });
    assert.deepEqual(seen, [1, 2]);
    assert.deepEqual(await numbers(sound), [3, 2, 1]);
  });

  it('writes nothing and throws busy when one write of a change is refused', async (t) => {
    const { store, sound, raw } = opened(t);
    await store.create(aRecord(), anEvent());
    const foreign = raw.doc('teams/team-a/history/2');
    await foreign.set({ n: 0 });
    await assert.rejects(store.change('team-a', revised), {
      name: 'Problem',
      code: 'busy',
      retryAfterSeconds: 1,
    });
    assert.deepEqual(await sound.team('team-a'), aRecord());
    await foreign.delete();
    assert.equal((await store.change('team-a', revised))?.revision, 2);
  });

  it('recognises its own create when the response was lost and the client retried', async (t) => {
    const { store, sound } = opened(t, async (commit) => {
      await commit();
      throw answer(failedPrecondition);
    });
    assert.equal(await store.create(aRecord(), anEvent()), 'created');
    assert.deepEqual(await numbers(sound), [1]);
  });

  it('recognises its own change when the response was lost and the client retried', async (t) => {
    const { store, sound } = opened(t, async (commit) => {
      await commit();
      throw answer(failedPrecondition);
    });
    await sound.create(aRecord(), anEvent());
    assert.equal((await store.change('team-a', revised))?.revision, 2);
    assert.deepEqual(await numbers(sound), [2, 1]);
  });

  it('recognises its own change even after a later write', async (t) => {
    const { store, sound } = opened(t, async (commit) => {
      await commit();
      await sound.change('team-a', revised);
      throw answer(failedPrecondition);
    });
    await sound.create(aRecord(), anEvent());
    assert.equal((await store.change('team-a', revised))?.revision, 3);
    assert.deepEqual(await numbers(sound), [3, 2, 1]);
  });

  it('recognises its own removal when the response was lost and the client retried', async (t) => {
    const { store, sound } = opened(t, async (commit, attempt) => {
      await commit();
      if (attempt === 1) throw answer(failedPrecondition);
    });
    await sound.create(aRecord(), anEvent());
    assert.equal(await store.remove('team-a', { id: 'team-a-3f9c', generation: 1 }), 'removed');
    assert.equal(await sound.isTombstone('team-a-3f9c'), true);
  });

  it('recognises the operation that it opened when the response was lost, even if it is finished by then', async (t) => {
    const { store, sound } = opened(t, async (commit) => {
      await commit();
      await sound.changeOperation('team-a', 'op-1', finished);
      throw answer(failedPrecondition);
    });
    await sound.create(aRecord(), anEvent());
    const operation = anOperation({ id: 'op-1' });
    assert.deepEqual(await store.openOperation('team-a', operation), finished(operation));
    assert.deepEqual(await sound.openOperations('team-a'), []);
  });

  it('recognises its own change of an operation and of a host when the response was lost', async (t) => {
    const { store, sound } = opened(t, async (commit) => {
      await commit();
      throw answer(failedPrecondition);
    });
    await sound.create(aRecord(), anEvent());
    await sound.openOperation('team-a', anOperation({ id: 'op-1' }));
    const step = await store.changeOperation('team-a', 'op-1', (current) => ({
      ...current,
      progress: current.progress + 1,
    }));
    const host = await store.changeHost('nav.no', (current = aHost) => ({
      ...current,
      failures: current.failures + 1,
    }));
    assert.deepEqual([step?.progress, host?.failures], [1, 1]);
    assert.deepEqual(await sound.operation('team-a', 'op-1'), step);
  });

  it('opens no operation in a team that is removed in between, nor in its heir', async (t) => {
    for (const heir of [false, true]) {
      const { store, sound, raw } = opened(t, async (commit, attempt) => {
        if (attempt === 1) {
          await sound.remove('team-a', { id: 'team-a-3f9c', generation: 1 });
          if (heir) await sound.create(aRecord({ id: 'team-a-77aa' }), anEvent());
        }
        return commit();
      });
      await sound.create(aRecord(), anEvent());
      const answered = await store.openOperation('team-a', anOperation());
      const found = await Promise.all(
        ['operations', 'open'].map(async (name) => (await raw.collection(`teams/team-a/${name}`).get()).size),
      );
      // The heir has the slug that was asked for; the operation is its own then.
      assert.deepEqual([answered !== undefined, found], heir ? [true, [1, 1]] : [false, [0, 0]]);
    }
  });

  it('is not blocked by the marker of an operation that was deleted by hand', async (t) => {
    const { store, raw } = opened(t);
    await store.create(aRecord(), anEvent());
    await store.openOperation('team-a', anOperation({ id: 'op-1' }));
    await raw.doc('teams/team-a/operations/op-1').delete();
    const next = anOperation({ id: 'op-2' });
    assert.deepEqual(await store.openOperation('team-a', next), next);
    assert.deepEqual(await store.openOperation('team-a', anOperation({ id: 'op-3' })), next);
    await store.changeOperation('team-a', 'op-2', finished);
    assert.equal((await raw.collection('teams/team-a/open').get()).size, 0);
  });

  it('leaves the version of a team alone when an operation is opened', async (t) => {
    const { store, raw } = opened(t);
    await store.create(aRecord(), anEvent());
    const before = await raw.doc('teams/team-a').get();
    await store.openOperation('team-a', anOperation());
    const after = await raw.doc('teams/team-a').get();
    assert.deepEqual([after.updateTime, after.data()], [before.updateTime, before.data()]);
  });

  it('is Unavailable when Firestore is, and has written nothing', async (t) => {
    const { store, sound } = opened(t, async () => {
      throw answer(unavailable);
    });
    await sound.create(aRecord(), anEvent());
    await assert.rejects(store.change('team-a', revised), { name: 'Unavailable', system: 'firestore' });
    assert.deepEqual(await sound.team('team-a'), aRecord());
  });
});

describe('records of an earlier version in Firestore', { skip }, () => {
  it('are completed when they are read, and indexed once they are written', async (t) => {
    const { store, raw } = opened(t);
    const expected = anOrderedRecord({ culling: { dueAt: aMoment, servers: {} } });
    const bare = aRecord({ slug: 'team-b' });
    for (const wanted of [expected, bare]) {
      await store.create(wanted, anEvent());
      const document = raw.doc(`teams/${wanted.slug}`);
      const { record, egressHosts: _, cullingDueAt: __, ...older } = (await document.get()).data() ?? {};
      const { culling: ___, egressHosts: ____, names: _____, ...olderRecord } = record;
      await document.set({ ...older, record: olderRecord });
    }

    assert.deepEqual(await store.team('team-a'), expected);
    assert.deepEqual(await store.teams({ limit: 5 }), { items: [expected, bare] });
    assert.deepEqual(await store.listing(['nav.no']), []);
    assert.deepEqual(await store.cullingDue(aMoment, 5), []);
    const known = await store.change('team-a', (current) => {
      assert.deepEqual(current, expected);
      return { next: { ...current, egressHosts: ['nav.no'] } };
    });
    assert.deepEqual(await store.team('team-a'), known);
    assert.deepEqual(await store.listing(['nav.no']), ['team-a']);
    assert.deepEqual(await store.cullingDue(aMoment, 5), ['team-a']);
  });
});

/** Copies the first history entry until there are so many. */
const lengthened = async (raw: Firestore, length: number) => {
  const entries = raw.collection('teams/team-a/history');
  const first = (await entries.doc('1').get()).data() ?? {};
  const batch = raw.batch();
  for (let n = 2; n <= length; n += 1) batch.create(entries.doc(String(n)), { ...first, n });
  await batch.commit();
};

describe('the removal of a team from Firestore', { skip }, () => {
  it('deletes a history that is longer than one commit', async (t) => {
    const { store, raw } = opened(t);
    await store.create(aRecord(), anEvent());
    await lengthened(raw, 850);
    assert.equal(await store.remove('team-a', { id: 'team-a-3f9c', generation: 1 }), 'removed');
    assert.equal((await raw.collection('teams/team-a/history').get()).size, 0);
    assert.equal((await raw.doc('teams/team-a').get()).exists, false);
  });

  it('takes effect for every instance once it has begun, and the next team of the slug completes it', async (t) => {
    const { store, sound, raw } = opened(t, (commit, attempt) => {
      if (attempt > 1) throw answer(unavailable);
      return commit();
    });
    await sound.create(anOrderedRecord(), anEvent());
    await sound.change('team-a', (next) => ({ next, event: anEvent({ revision: 1, spec: aSpec() }) }));
    await assert.rejects(store.remove('team-a', { id: 'team-a-3f9c', generation: 2 }), {
      name: 'Unavailable',
    });

    assert.equal((await raw.doc('teams/team-a').get()).exists, true, 'the marker is left');
    assert.equal(await sound.team('team-a'), undefined);
    assert.equal(await sound.change('team-a', revised), undefined);
    assert.equal(await sound.isTombstone('team-a-3f9c'), true);
    assert.deepEqual(await sound.teams({ limit: 10 }), { items: [] });
    assert.deepEqual(await sound.teams({ limit: 10, member: 'kari.nordmann@nav.no' }), { items: [] });
    assert.deepEqual(await sound.due('2030-01-01T00:00:00.000Z', 10), []);
    assert.deepEqual(await sound.outdated('another', 10), []);

    assert.equal(await sound.create(aRecord({ id: 'team-a-77aa' }), anEvent({ by: 'heir' })), 'created');
    assert.deepEqual((await sound.history('team-a', { limit: 5 })).items, [
      { n: 1, ...anEvent({ by: 'heir' }) },
    ]);
    assert.equal(await sound.notebookRevision('team-a', 1), undefined);
  });

  it('leaves no operation due when it was interrupted', async (t) => {
    const { store, sound, raw } = opened(t, (commit, attempt) => {
      if (attempt === 2) throw answer(unavailable);
      return commit();
    });
    await sound.create(aRecord(), anEvent());
    for (const id of ['op-1', 'op-2']) await sound.openOperation('team-a', anOperation({ id, user: id }));
    await assert.rejects(store.remove('team-a', { id: 'team-a-3f9c', generation: 1 }), {
      name: 'Unavailable',
    });
    assert.equal(await sound.openOperation('team-a', anOperation({ id: 'op-3' })), undefined);
    const [first] = await sound.operationsDue(aMoment, 5);
    assert.deepEqual(first, { slug: 'team-a', id: 'op-1' });
    assert.equal(await sound.changeOperation('team-a', 'op-1', finished), undefined);
    assert.deepEqual(await sound.operationsDue(aMoment, 5), []);
    for (const name of ['history', 'operations', 'open']) {
      assert.equal((await raw.collection(`teams/team-a/${name}`).get()).size, 0, name);
    }
    assert.equal((await raw.doc('teams/team-a').get()).exists, false);
  });

  it('is completed by a repeated request', async (t) => {
    const { store, sound, raw } = opened(t, (commit, attempt) => {
      if (attempt === 2) throw answer(unavailable);
      return commit();
    });
    await sound.create(aRecord(), anEvent());
    await assert.rejects(store.remove('team-a', { id: 'team-a-3f9c', generation: 1 }), {
      name: 'Unavailable',
    });
    assert.equal(await store.remove('team-a', { id: 'team-a-3f9c', generation: 1 }), 'absent');
    assert.equal((await raw.doc('teams/team-a').get()).exists, false);
    assert.equal((await raw.collection('teams/team-a/history').get()).size, 0);
  });

  for (const left of [0, 1, 400]) {
    it(`deletes nothing of the next team, even if it resumes before the last ${left} entries`, async (t) => {
      const { store, sound, raw } = opened(t, async (commit, attempt) => {
        if (attempt === 2) {
          // Another instance completes the removal, and the slug is used again, just before the page is deleted.
          await sound.remove('team-a', { id: 'team-a-3f9c', generation: 1 });
          await sound.create(aRecord({ id: 'team-a-77aa' }), anEvent({ by: 'heir' }));
        }
        return commit();
      });
      await sound.create(aRecord(), anEvent());
      if (left === 0) await raw.doc('teams/team-a/history/1').delete();
      await lengthened(raw, left);
      assert.equal(await store.remove('team-a', { id: 'team-a-3f9c', generation: 1 }), 'removed');
      assert.equal((await sound.team('team-a'))?.id, 'team-a-77aa');
      assert.deepEqual((await sound.history('team-a', { limit: 5 })).items, [
        { n: 1, ...anEvent({ by: 'heir' }) },
      ]);
    });
  }
});

interface IndexFile {
  readonly indexes: readonly {
    readonly collectionGroup: string;
    readonly fields: readonly { readonly fieldPath: string }[];
  }[];
  readonly fieldOverrides: readonly {
    readonly collectionGroup: string;
    readonly fieldPath: string;
    readonly ttl?: boolean;
    readonly indexes: readonly { readonly queryScope: string; readonly order: string }[];
  }[];
}

describe('the indexes of Firestore', { skip }, () => {
  const read = async (): Promise<IndexFile> =>
    JSON.parse(await readFile(new URL('../../deploy/firestore.indexes.json', import.meta.url), 'utf8'));
  const named = (field: { readonly collectionGroup: string; readonly fieldPath: string }) =>
    `${field.collectionGroup}.${field.fieldPath}`;

  it('name stored fields, and exempt every field that no query uses', async (t) => {
    const { store, raw } = opened(t);
    const culling = { dueAt: aMoment, servers: {} };
    const status = { ...aRecord().status, phase: 'Degraded' as const };
    const guard = { person: 'kari@nav.no', check: () => undefined };
    await store.create(anOrderedRecord({ culling, status }), anEvent({ revision: 1, spec: aSpec() }), guard);
    await store.changeCatalogue(() => shippedCatalogue([], 0));
    await store.changeHost('nav.no', () => aHost);
    await store.changeRequest('request-1', aMoment, () => aRequest());
    await store.openOperation('team-a', anOperation({ id: 'op-1' }));
    await store.openOperation('team-a', anOperation({ id: 'op-2', user: null }));
    await store.changeOperation('team-a', 'op-2', finished);
    const stored = async (group: string, path: string) =>
      Object.keys((await raw.doc(path).get()).data() ?? {}).map((field) => `${group}.${field}`);
    const [creator] = await raw.collection('creators').listDocuments();
    const [open] = await raw.collection('teams/team-a/open').listDocuments();
    const fields = await Promise.all([
      stored('teams', 'teams/team-a'),
      stored('history', 'teams/team-a/history/1'),
      stored('operations', 'teams/team-a/operations/op-1'),
      stored('operations', 'teams/team-a/operations/op-2'),
      stored('open', open?.path ?? ''),
      stored('hosts', 'hosts/nav.no'),
      stored('requests', 'requests/request-1'),
      stored('ids', 'ids/team-a-3f9c'),
      stored('creators', creator?.path ?? ''),
      stored('catalogue', 'catalogue/current'),
    ]);

    const { indexes, fieldOverrides } = await read();
    const asked = [
      'teams.slug',
      'teams.memberEmails',
      'teams.phase',
      'teams.dueAt',
      'teams.cullingDueAt',
      'teams.egressHosts',
      'teams.platformHash',
      'teams.degradedOn',
      'history.n',
      'operations.dueAt',
      'hosts.dueAt',
    ];
    const exempt = fieldOverrides.filter((field) => field.indexes.length === 0).map(named);
    assert.deepEqual([...new Set(fields.flat())].toSorted(), [...exempt, ...asked].toSorted());
    assert.deepEqual(
      indexes.map(({ collectionGroup, fields }) => [collectionGroup, ...fields.map((f) => f.fieldPath)]),
      [['history', 'specRevision', 'n']],
    );
  });

  it('serve the one query over the operations of all teams', async () => {
    const { fieldOverrides } = await read();
    assert.deepEqual(
      fieldOverrides.filter(({ indexes }) => indexes.length > 0),
      [
        {
          collectionGroup: 'operations',
          fieldPath: 'dueAt',
          indexes: [
            { queryScope: 'COLLECTION', order: 'ASCENDING' },
            { queryScope: 'COLLECTION_GROUP', order: 'ASCENDING' },
          ],
        },
        {
          collectionGroup: 'operations',
          fieldPath: 'operation.createdAt',
          indexes: [{ queryScope: 'COLLECTION', order: 'DESCENDING' }],
        },
      ],
    );
  });

  it('let the database delete operations that are finished and expired, and no open one', async (t) => {
    const { fieldOverrides } = await read();
    assert.deepEqual(fieldOverrides.filter(({ ttl }) => ttl === true).map(named), [
      'operations.expiresAt',
      'requests.expiresAt',
    ]);
    const { store, raw } = opened(t);
    await store.create(aRecord(), anEvent());
    await store.openOperation('team-a', anOperation({ id: 'op-1' }));
    const stored = raw.doc('teams/team-a/operations/op-1');
    assert.equal((await stored.get()).get('expiresAt'), undefined);
    await store.changeOperation('team-a', 'op-1', finished);
    const expiresAt: unknown = (await stored.get()).get('expiresAt');
    assert.ok(expiresAt instanceof Timestamp);
    assert.equal(expiresAt.toDate().toISOString(), anOperation().expiresAt);
    assert.deepEqual(await store.operation('team-a', 'op-1'), finished(anOperation({ id: 'op-1' })));
  });
});
