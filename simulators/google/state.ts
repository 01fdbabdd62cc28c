import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';

export interface Binding {
  readonly role: string;
  readonly members: readonly string[];
  readonly condition?: object;
}

export interface Policy {
  readonly bindings: readonly Binding[];
  readonly auditConfigs?: readonly object[];
  readonly etag: string;
}

export type VersionState = 'ENABLED' | 'DISABLED' | 'DESTROYED';

export interface Version {
  readonly createTime: string;
  readonly state: VersionState;
  /** In base64; gone when it is destroyed. */
  readonly data?: string;
}

export interface Secret {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly replication: object;
  readonly createTime: string;
  readonly etag: string;
  /** The first one is version 1. */
  readonly versions: readonly Version[];
  readonly policy: Policy;
}

export interface Account {
  readonly uniqueId: string;
  readonly displayName: string;
  readonly description: string;
  readonly etag: string;
  readonly policy: Policy;
}

interface Tables {
  /** Raised with every change; etags are made of it. */
  changes: number;
  /** By id. */
  secrets: Record<string, Secret>;
  /** By e-mail. */
  accounts: Record<string, Account>;
}

/** One project’s secrets and service accounts, kept in a file between runs. */
export class State {
  readonly #file: string | undefined;
  readonly #tables: Tables;

  constructor(file: string | undefined) {
    this.#file = file;
    const empty: Tables = { changes: 0, secrets: {}, accounts: {} };
    this.#tables = file !== undefined && existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : empty;
  }

  /** An etag that was never given before: bytes in base64, as Google’s are. */
  newEtag(): string {
    this.#tables.changes += 1;
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(0x0706_0000_0000_0000n + BigInt(this.#tables.changes));
    return bytes.toString('base64');
  }

  newUniqueId(): string {
    this.#tables.changes += 1;
    return `1${String(this.#tables.changes).padStart(20, '0')}`;
  }

  secret(id: string): Secret | undefined {
    return this.#tables.secrets[id];
  }

  secretIds(): readonly string[] {
    return Object.keys(this.#tables.secrets);
  }

  putSecret(id: string, secret: Secret): void {
    this.#tables.secrets[id] = secret;
    this.#save();
  }

  deleteSecret(id: string): void {
    delete this.#tables.secrets[id];
    this.#save();
  }

  account(email: string): Account | undefined {
    return this.#tables.accounts[email];
  }

  emails(): readonly string[] {
    return Object.keys(this.#tables.accounts);
  }

  putAccount(email: string, account: Account): void {
    this.#tables.accounts[email] = account;
    this.#save();
  }

  /** Its bindings stay, and name it as deleted. */
  deleteAccount(email: string): void {
    const account = this.#tables.accounts[email];
    if (account === undefined) return;
    delete this.#tables.accounts[email];
    for (const [id, secret] of Object.entries(this.#tables.secrets)) {
      const tombstone = `deleted:serviceAccount:${email}?uid=${account.uniqueId}`;
      const bindings = secret.policy.bindings.map((binding) => ({
        ...binding,
        members: binding.members.map((member) => (member === `serviceAccount:${email}` ? tombstone : member)),
      }));
      this.#tables.secrets[id] = { ...secret, policy: { ...secret.policy, bindings } };
    }
    this.#save();
  }

  #save(): void {
    if (this.#file === undefined) return;
    const next = `${this.#file}.next`;
    writeFileSync(next, JSON.stringify(this.#tables), { mode: 0o600 });
    renameSync(next, this.#file);
  }
}
