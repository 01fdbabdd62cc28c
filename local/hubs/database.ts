import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';

export interface HubUser {
  readonly name: string;
  /** ISO 8601 UTC. */
  readonly created: string;
}

type Tables = Record<string, { users: HubUser[] }>;

/**
 * The hubs’ databases. Each lives on a volume claim and goes with it, so it is known by the claim’s uid and
 * survives restarts of the hub and of the sandbox.
 */
export class HubDatabases {
  readonly #file: string | undefined;
  readonly #tables: Tables;

  constructor(file: string | undefined) {
    this.#file = file;
    const stored: Tables =
      file !== undefined && existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
    this.#tables = stored;
  }

  /** In the order in which they were made. */
  users(claim: string): readonly HubUser[] {
    return this.#tables[claim]?.users ?? [];
  }

  add(claim: string, user: HubUser): void {
    this.#write(claim, [...this.users(claim), user]);
  }

  remove(claim: string, name: string): void {
    this.#write(
      claim,
      this.users(claim).filter((user) => user.name !== name),
    );
  }

  forget(claim: string): void {
    if (this.#tables[claim] === undefined) return;
    delete this.#tables[claim];
    this.#save();
  }

  #write(claim: string, users: HubUser[]): void {
    this.#tables[claim] = { users };
    this.#save();
  }

  #save(): void {
    if (this.#file === undefined) return;
    const next = `${this.#file}.next`;
    writeFileSync(next, JSON.stringify(this.#tables));
    renameSync(next, this.#file);
  }
}
