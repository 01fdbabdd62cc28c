import { createHash } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { Json } from '../kubernetes/json.ts';

/** A user’s default server, running or not. Instants are ISO 8601 UTC. */
export interface ServerRow {
  /** The options of the last start; null before the first one. */
  readonly options: Json;
  readonly lastActivity: string | null;
  /** null while it is stopped. */
  readonly started: string | null;
  /** It is running, starting or stopping. */
  readonly active: boolean;
  /** The id of the server’s own token; null while it is stopped. */
  readonly token: number | null;
}

export interface UserRow {
  readonly id: number;
  readonly name: string;
  readonly created: string;
  readonly lastActivity: string | null;
  readonly server: ServerRow;
}

export interface TokenRow {
  readonly id: number;
  readonly user: string;
  /** Only the hash is stored, so a token cannot be shown again. */
  readonly sha256: string;
  readonly scopes: readonly string[];
  readonly note: string;
  readonly created: string;
  readonly expiresAt: string | null;
}

interface Stored {
  readonly lastId: number;
  readonly users: readonly UserRow[];
  readonly tokens: readonly TokenRow[];
}

const newServer: ServerRow = {
  options: null,
  lastActivity: null,
  started: null,
  active: false,
  token: null,
};

const hashOf = (token: string): string => createHash('sha256').update(token).digest('hex');

/** One hub’s database. */
export class HubDatabase {
  readonly #users = new Map<string, UserRow>();
  readonly #tokens = new Map<string, TokenRow>();
  readonly #save: () => void;
  #lastId: number;

  constructor(stored: Partial<Stored>, save: () => void) {
    this.#save = save;
    this.#lastId = stored.lastId ?? 0;
    for (const user of stored.users ?? []) this.#users.set(user.name, user);
    for (const token of stored.tokens ?? []) this.#tokens.set(token.sha256, token);
  }

  /** In order of creation. */
  get users(): readonly UserRow[] {
    return [...this.#users.values()];
  }

  user(name: string): UserRow | undefined {
    return this.#users.get(name);
  }

  add(name: string, created: string): UserRow {
    const user = { id: this.#nextId(), name, created, lastActivity: null, server: newServer };
    this.#users.set(name, user);
    this.#save();
    return user;
  }

  /** With the user’s tokens. */
  remove(name: string): void {
    this.#users.delete(name);
    for (const token of this.tokensOf(name)) this.#tokens.delete(token.sha256);
    this.#save();
  }

  /** Does nothing when there is no such user. */
  change(
    name: string,
    changes: { readonly lastActivity?: string; readonly server?: Partial<ServerRow> },
  ): void {
    const user = this.#users.get(name);
    if (user === undefined) return;
    const server = { ...user.server, ...changes.server };
    this.#users.set(name, { ...user, lastActivity: changes.lastActivity ?? user.lastActivity, server });
    this.#save();
  }

  tokensOf(user: string): readonly TokenRow[] {
    return [...this.#tokens.values()].filter((token) => token.user === user);
  }

  token(secret: string): TokenRow | undefined {
    return this.#tokens.get(hashOf(secret));
  }

  addToken(secret: string, token: Omit<TokenRow, 'id' | 'sha256'>): TokenRow {
    const row = { ...token, id: this.#nextId(), sha256: hashOf(secret) };
    this.#tokens.set(row.sha256, row);
    this.#save();
    return row;
  }

  removeToken(id: number): void {
    for (const token of this.#tokens.values()) if (token.id === id) this.#tokens.delete(token.sha256);
    this.#save();
  }

  toJSON(): Stored {
    return { lastId: this.#lastId, users: this.users, tokens: [...this.#tokens.values()] };
  }

  #nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }
}

/**
 * The hubs’ databases. Each is stored on a volume claim and deleted with it, so its key is the claim’s uid, and it
 * survives restarts of the hub and of the simulator.
 */
export class HubDatabases {
  readonly #file: string | undefined;
  readonly #databases = new Map<string, HubDatabase>();
  #isSaving = false;

  constructor(file: string | undefined) {
    this.#file = file;
    if (file === undefined || !existsSync(file)) return;
    const stored: Record<string, Partial<Stored>> = JSON.parse(readFileSync(file, 'utf8'));
    for (const [claim, tables] of Object.entries(stored)) this.#open(claim, tables);
  }

  /** The database on this claim; a new one is empty. */
  of(claim: string): HubDatabase {
    return this.#databases.get(claim) ?? this.#open(claim, {});
  }

  forget(claim: string): void {
    if (this.#databases.delete(claim)) this.#saveSoon();
  }

  /** Writes pending changes. */
  close(): void {
    if (this.#isSaving) this.#save();
  }

  #open(claim: string, stored: Partial<Stored>): HubDatabase {
    const database = new HubDatabase(stored, () => this.#saveSoon());
    this.#databases.set(claim, database);
    return database;
  }

  /** Changes of one turn of the event loop are one write. */
  #saveSoon(): void {
    if (this.#isSaving || this.#file === undefined) return;
    this.#isSaving = true;
    setImmediate(() => {
      if (this.#isSaving) this.#save();
    });
  }

  #save(): void {
    this.#isSaving = false;
    if (this.#file === undefined) return;
    const next = `${this.#file}.next`;
    writeFileSync(next, JSON.stringify(Object.fromEntries(this.#databases)));
    renameSync(next, this.#file);
  }
}
