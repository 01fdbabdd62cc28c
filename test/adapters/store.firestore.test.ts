import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { describe, it, type TestContext } from 'node:test';
import { Firestore } from '@google-cloud/firestore';
import { type FirestoreOptions, openFirestoreStore } from '../../src/adapters/firestore.ts';
import { shippedCatalogue } from '../../src/environments/catalogue.ts';
import type { Decide } from '../../src/ports.ts';
import { storeContract } from '../contracts/store.ts';
import { noEmulator, startFirestoreEmulator } from '../support/firestore-emulator.ts';
import { anEvent, anOrderedRecord, aRecord, aSpec } from '../support/records.ts';

const emulator = await startFirestoreEmulator();
const skip = emulator === undefined && noEmulator;
const newProject = () => `test-${randomUUID()}`;
/** Generous, because the emulator shares a small machine with the tests. */
const deadlineMs = 20_000;
const openOn = (projectId: string) => openFirestoreStore({ projectId, deadlineMs });

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

/** A store whose commits go through `onCommit`, which is told the how manieth each is, beside one that is sound. */
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
  const store = openFirestoreStore({ projectId, deadlineMs, random: () => 0, connect });
  const sound = openOn(projectId);
  const raw = new Firestore({ projectId });
  t.after(() => Promise.all([store.close(), sound.close(), raw.terminate()]));
  return { store, sound, raw };
};

const revised: Decide = (current) => ({
  next: { ...current, revision: current.revision + 1, generation: current.generation + 1 },
  event: anEvent({ action: 'team_updated' }),
});

const numbers = async (store: ReturnType<typeof openOn>) =>
  (await store.history('team-a', { limit: 1_000 })).items.map(({ n }) => n);

describe('the Firestore store, when a commit goes wrong', { skip }, () => {
  it('decides again on what the faster writer left', async (t) => {
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

  it('writes nothing of a change when one part of it is refused, and says busy', async (t) => {
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

  it('knows its own create when the answer was lost and the client sent it again', async (t) => {
    const { store, sound } = opened(t, async (commit) => {
      await commit();
      throw answer(failedPrecondition);
    });
    assert.equal(await store.create(aRecord(), anEvent()), 'created');
    assert.deepEqual(await numbers(sound), [1]);
  });

  it('knows its own change when the answer was lost and the client sent it again', async (t) => {
    const { store, sound } = opened(t, async (commit) => {
      await commit();
      throw answer(failedPrecondition);
    });
    await sound.create(aRecord(), anEvent());
    assert.equal((await store.change('team-a', revised))?.revision, 2);
    assert.deepEqual(await numbers(sound), [2, 1]);
  });

  it('knows its own change even when somebody wrote on top of it', async (t) => {
    const { store, sound } = opened(t, async (commit) => {
      await commit();
      await sound.change('team-a', revised);
      throw answer(failedPrecondition);
    });
    await sound.create(aRecord(), anEvent());
    assert.equal((await store.change('team-a', revised))?.revision, 3);
    assert.deepEqual(await numbers(sound), [3, 2, 1]);
  });

  it('knows its own removal when the answer was lost and the client sent it again', async (t) => {
    const { store, sound } = opened(t, async (commit, attempt) => {
      await commit();
      if (attempt === 1) throw answer(failedPrecondition);
    });
    await sound.create(aRecord(), anEvent());
    assert.equal(await store.remove('team-a', { id: 'team-a-3f9c', generation: 1 }), 'removed');
    assert.equal(await sound.isTombstone('team-a-3f9c'), true);
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

/** Copies the first history entry until there are so many. */
const lengthened = async (raw: Firestore, length: number) => {
  const entries = raw.collection('teams/team-a/history');
  const first = (await entries.doc('1').get()).data() ?? {};
  const batch = raw.batch();
  for (let n = 2; n <= length; n += 1) batch.create(entries.doc(String(n)), { ...first, n });
  await batch.commit();
};

describe('the removal of a team from Firestore', { skip }, () => {
  it('takes a history along that is longer than one commit', async (t) => {
    const { store, raw } = opened(t);
    await store.create(aRecord(), anEvent());
    await lengthened(raw, 850);
    assert.equal(await store.remove('team-a', { id: 'team-a-3f9c', generation: 1 }), 'removed');
    assert.equal((await raw.collection('teams/team-a/history').get()).size, 0);
    assert.equal((await raw.doc('teams/team-a').get()).exists, false);
  });

  it('is over for everybody once it has begun, and the next team of the slug completes it', async (t) => {
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

  it('is completed by asking for it again', async (t) => {
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
    it(`takes nothing of the next team, however late it comes to the last ${left} entries`, async (t) => {
      const { store, sound, raw } = opened(t, async (commit, attempt) => {
        if (attempt === 2) {
          // Somebody else completes the removal, and the slug is given away, just before the page is deleted.
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
  readonly fieldOverrides: readonly { readonly collectionGroup: string; readonly fieldPath: string }[];
}

describe('the indexes of Firestore', { skip }, () => {
  it('name fields that are stored, and exempt every one that no query asks for', async (t) => {
    const { store, raw } = opened(t);
    await store.create(anOrderedRecord(), anEvent({ revision: 1, spec: aSpec() }));
    await store.changeCatalogue(() => shippedCatalogue([], 0));
    const stored = async (group: string, path: string) =>
      Object.keys((await raw.doc(path).get()).data() ?? {}).map((field) => `${group}.${field}`);
    const fields = (
      await Promise.all([
        stored('teams', 'teams/team-a'),
        stored('history', 'teams/team-a/history/1'),
        stored('ids', 'ids/team-a-3f9c'),
        stored('catalogue', 'catalogue/current'),
      ])
    ).flat();

    const file: IndexFile = JSON.parse(
      await readFile(new URL('../../deploy/firestore.indexes.json', import.meta.url), 'utf8'),
    );
    const exempt = file.fieldOverrides.map((field) => `${field.collectionGroup}.${field.fieldPath}`);
    const asked = ['teams.slug', 'teams.memberEmails', 'teams.dueAt', 'teams.platformHash', 'history.n'];
    assert.deepEqual(fields.toSorted(), [...exempt, ...asked].toSorted());
    assert.deepEqual(
      file.indexes.map(({ collectionGroup, fields }) => [collectionGroup, ...fields.map((f) => f.fieldPath)]),
      [['history', 'specRevision', 'n']],
    );
  });
});
