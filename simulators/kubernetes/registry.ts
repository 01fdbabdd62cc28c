import { DatabaseSync } from 'node:sqlite';
import { asMap, parseJson } from './json.ts';
import { asObject, type KubeObject, nameOf, namespaceOf, versionOf, withMetadata } from './object.ts';
import type { Resource } from './resources.ts';

/** A change, in the order of resource versions. */
export interface Change {
  readonly version: number;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly resource: Resource;
  readonly object: KubeObject;
  /** The object before the change; undefined when it was added. */
  readonly previous: KubeObject | undefined;
}

const kindKey = (resource: Resource): string => `${resource.group}/${resource.plural}`;
const objectKey = (namespace: string, name: string): string => `${namespace}/${name}`;

/**
 * The stored objects, one counter for all resource versions, and the latest changes for watches to start from.
 * Objects are never changed in place, so a reference stays valid. With a file every write is in SQLite
 * before it is announced; the log of changes is not kept, so older watches get 410 after a restart.
 */
export class Registry {
  readonly #kinds = new Map<string, Map<string, KubeObject>>();
  readonly #log: Change[] = [];
  readonly #listeners = new Set<(change: Change) => void>();
  readonly #keep: number;
  readonly #database: DatabaseSync | undefined;
  readonly #waiting: Change[] = [];
  #announcing = false;
  #version = 1;
  /** Watches may start after this version, and not before. */
  #forgotten = 1;

  constructor(options: { readonly keep: number; readonly file: string | undefined }) {
    this.#keep = options.keep;
    if (options.file !== undefined) this.#database = this.#open(options.file);
  }

  get version(): number {
    return this.#version;
  }

  get(resource: Resource, namespace: string, name: string): KubeObject | undefined {
    return this.#kinds.get(kindKey(resource))?.get(objectKey(namespace, name));
  }

  /** The objects of a kind sorted by namespace and name; '' for all namespaces. */
  list(resource: Resource, namespace = ''): KubeObject[] {
    const all = [...(this.#kinds.get(kindKey(resource)) ?? [])];
    const inside = namespace === '' ? all : all.filter(([key]) => key.startsWith(`${namespace}/`));
    return inside.toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object);
  }

  /** Stores the object under a new resource version and announces it. */
  put(resource: Resource, object: KubeObject): KubeObject {
    this.#version += 1;
    const stored = withMetadata(object, { resourceVersion: String(this.#version) });
    const key = objectKey(namespaceOf(stored), nameOf(stored));
    const kind = this.#kind(kindKey(resource));
    const previous = kind.get(key);
    kind.set(key, stored);
    this.#database
      ?.prepare('INSERT OR REPLACE INTO objects (kind, key, version, body) VALUES (?, ?, ?, ?)')
      .run(kindKey(resource), key, this.#version, JSON.stringify(stored));
    this.#saveVersion();
    const type = previous === undefined ? 'ADDED' : 'MODIFIED';
    this.#announce({ version: this.#version, type, resource, object: stored, previous });
    return stored;
  }

  /** Removes the object; the last state that watches see carries the version of the removal. */
  remove(resource: Resource, object: KubeObject): KubeObject {
    const key = objectKey(namespaceOf(object), nameOf(object));
    const previous = this.#kind(kindKey(resource)).get(key);
    this.#kind(kindKey(resource)).delete(key);
    this.#version += 1;
    this.#database?.prepare('DELETE FROM objects WHERE kind = ? AND key = ?').run(kindKey(resource), key);
    this.#saveVersion();
    const last = withMetadata(object, { resourceVersion: String(this.#version) });
    this.#announce({ version: this.#version, type: 'DELETED', resource, object: last, previous });
    return last;
  }

  /** The changes after a version; undefined when some of them are forgotten. */
  changesAfter(version: number): Change[] | undefined {
    if (version < this.#forgotten) return undefined;
    return this.#log.filter((change) => change.version > version);
  }

  /** Receives every change until the returned function is called. */
  subscribe(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Forgets the log of changes, as etcd does when it compacts: older watches and pages get 410. */
  compact(): void {
    this.#log.length = 0;
    this.#forgotten = this.#version;
  }

  close(): void {
    this.#listeners.clear();
    this.#database?.close();
  }

  #announce(change: Change): void {
    this.#log.push(change);
    while (this.#log.length > this.#keep) this.#forgotten = this.#log.shift()?.version ?? this.#forgotten;
    this.#waiting.push(change);
    // A listener that writes must not deliver the later change to others first.
    if (this.#announcing) return;
    this.#announcing = true;
    try {
      for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
        for (const listener of [...this.#listeners]) listener(next);
      }
    } finally {
      this.#announcing = false;
    }
  }

  #kind(key: string): Map<string, KubeObject> {
    let kind = this.#kinds.get(key);
    if (kind === undefined) {
      kind = new Map();
      this.#kinds.set(key, kind);
    }
    return kind;
  }

  #saveVersion(): void {
    this.#database?.prepare('UPDATE cluster SET version = ?').run(this.#version);
  }

  #open(file: string): DatabaseSync {
    const database = new DatabaseSync(file);
    database.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = NORMAL;
      CREATE TABLE IF NOT EXISTS cluster (version INTEGER NOT NULL);
      CREATE TABLE IF NOT EXISTS objects (
        kind TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, key)
      ) STRICT;
      INSERT INTO cluster SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM cluster);
    `);
    for (const row of database.prepare('SELECT kind, key, body FROM objects').iterate()) {
      const object = asObject(asMap(parseJson(String(row.body))));
      this.#kind(String(row.kind)).set(String(row.key), object);
      this.#version = Math.max(this.#version, Number(versionOf(object)));
    }
    this.#version = Math.max(
      this.#version,
      Number(database.prepare('SELECT version FROM cluster').get()?.version),
    );
    this.#forgotten = this.#version;
    return database;
  }
}
