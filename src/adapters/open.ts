import type { Config } from '../config.ts';
import type { Store } from '../ports.ts';

/** The store that the configuration names. Only the adapter that is used is loaded: Firestore’s client is heavy. */
export const openStore = async ({
  store,
  googleProject,
}: Pick<Config, 'store' | 'googleProject'>): Promise<Store> => {
  switch (store.kind) {
    case 'sqlite': {
      const { openSqliteStore } = await import('./sqlite.ts');
      return openSqliteStore({ file: store.file });
    }
    case 'firestore': {
      const { openFirestoreStore } = await import('./firestore.ts');
      return openFirestoreStore({ projectId: googleProject, databaseId: store.database });
    }
  }
};
