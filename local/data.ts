import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** Everything a sandbox keeps, by file name; `-- --fresh` removes these and nothing else. */
const kept = [
  'store.sqlite',
  'kubernetes.sqlite',
  'hubs.json',
  'google.json',
  'issuer-key.json',
  'hub-master-keys',
  'admission-secret',
  'clock-ahead-ms',
] as const;
type Kept = (typeof kept)[number];

export interface Data {
  path(file: Kept): string;
  /** HUB_MASTER_KEYS of this sandbox; generated once, then kept. */
  readonly hubMasterKeys: string;
  /** ADMISSION_SECRETS of this sandbox; generated once, then kept. */
  readonly admissionSecret: string;
  /** How far the sandbox’s clock has been moved ahead. */
  readonly clockAheadMs: number;
  keepClock(aheadMs: number): void;
  close(): void;
}

/** Another sandbox is using the folder. */
export class FolderInUse extends Error {
  override readonly name = 'FolderInUse';
}

const secretIn = (file: string, made: () => string): string => {
  if (existsSync(file)) return readFileSync(file, 'utf8').trim();
  const secret = made();
  writeFileSync(file, `${secret}\n`, { mode: 0o600 });
  return secret;
};

const numberIn = (file: string): number =>
  existsSync(file) ? Number.parseInt(readFileSync(file, 'utf8'), 10) || 0 : 0;

const key = (): string => randomBytes(32).toString('hex');

/**
 * Opens a sandbox’s folder exclusively. The lock is the operating system’s, on a SQLite file, so it is released when
 * the process that holds it ends, even when that is killed. Throws FolderInUse.
 */
export const openData = (folder: string, options: { readonly fresh: boolean }): Data => {
  mkdirSync(folder, { recursive: true });
  const lock = new DatabaseSync(join(folder, 'lock.sqlite'));
  try {
    lock.exec('BEGIN EXCLUSIVE');
  } catch (cause) {
    lock.close();
    throw new FolderInUse(`Another sandbox is running on the data in ${folder}.`, { cause });
  }
  if (options.fresh) {
    for (const file of kept) {
      for (const suffix of ['', '-wal', '-shm', '-journal', '.next']) {
        rmSync(join(folder, `${file}${suffix}`), { force: true });
      }
    }
  }
  return {
    path: (file) => join(folder, file),
    hubMasterKeys: secretIn(join(folder, 'hub-master-keys'), () => `local:${key()}`),
    admissionSecret: secretIn(join(folder, 'admission-secret'), key),
    clockAheadMs: numberIn(join(folder, 'clock-ahead-ms')),
    // Replaced as a whole: a sandbox that is killed meanwhile keeps the former number.
    keepClock: (aheadMs) => {
      const file = join(folder, 'clock-ahead-ms');
      writeFileSync(`${file}.next`, `${aheadMs}\n`);
      renameSync(`${file}.next`, file);
    },
    close: () => lock.close(),
  };
};
