import type { DocumentReference } from '@google-cloud/firestore';
import { lostRace, retryOnConflict } from './contention.ts';
import type { FirestoreConnection } from './firestore-connection.ts';
import { parsed } from './firestore-documents.ts';

/** Deletes per commit while a team is removed; Firestore’s clients document a limit of 500 writes. */
const removalPage = 400;

/** Everything that is kept below a team. */
const belongings = ['history', 'operations', 'open'];

/** Deletes one page of a removed team’s documents; the last page includes the marker. */
const removePage = async (
  { ask, read, commit }: FirestoreConnection,
  team: DocumentReference,
): Promise<'done' | 'more' | typeof lostRace> => {
  const { firestore: db } = team;
  const [snapshot] = await read(db, team);
  const marker = snapshot && parsed(snapshot);
  if (snapshot?.updateTime === undefined || marker === undefined || !('removing' in marker)) return 'done';
  const found = await Promise.all(
    belongings.map((name) => ask(team.collection(name).select().limit(removalPage))),
  );
  const page = found.flatMap(({ docs }) => docs).slice(0, removalPage);
  const batch = db.batch();
  // Each with the version that was read: the slug may meanwhile belong to a new team with documents of the same name.
  for (const document of page) batch.delete(document.ref, { lastUpdateTime: document.updateTime });
  const more = page.length === removalPage;
  if (!more) batch.delete(team, { lastUpdateTime: snapshot.updateTime });
  if ((await commit(batch)) === lostRace) return lostRace;
  return more ? 'more' : 'done';
};

/** Deletes the remaining documents of a team whose removal has begun; a no-op for other teams. */
export const finishRemoval = async (
  connection: FirestoreConnection,
  team: DocumentReference,
): Promise<void> => {
  let outcome: 'done' | 'more' = 'more';
  while (outcome === 'more') {
    outcome = await retryOnConflict(() => removePage(connection, team), connection.random);
  }
};
