import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { access, realpath } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort } from '@knada/simulators/real/free-port.ts';
import { isAbsent, tookPart } from '@knada/simulators/real/real-parts.ts';

/** A running emulator. Keep tests apart by project id: each project has a database of its own. */
export interface FirestoreEmulator {
  /** `host:port`, as in FIRESTORE_EMULATOR_HOST. */
  readonly host: string;
}

/** Why the tests that need an emulator are skipped. */
export const noEmulator = 'no Firestore emulator (comes with the Google Cloud CLI, needs Java)';

const startTimeoutMs = 60_000;
const jar = join('platform', 'cloud-firestore-emulator', 'cloud-firestore-emulator.jar');
const mainClass = 'com.google.cloud.datastore.emulator.firestore.CloudFirestore';

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );

const onPath = async (program: string): Promise<string | undefined> => {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(folder, program);
    if (folder !== '' && (await exists(path))) return path;
  }
  return undefined;
};

const findJar = async (): Promise<string | undefined> => {
  const gcloud = await onPath('gcloud');
  if (gcloud === undefined) return undefined;
  const beside = join(dirname(dirname(await realpath(gcloud))), jar);
  if (await exists(beside)) return beside;
  // A wrapper of some package manager: ask it where the SDK is.
  const info = promisify(execFile)(gcloud, ['info', '--format=value(installation.sdk_root)']);
  const root = await info.then(({ stdout }) => stdout.trim()).catch(() => '');
  const inRoot = join(root, jar);
  return root !== '' && (await exists(inRoot)) ? inRoot : undefined;
};

const answers = (host: string) =>
  fetch(`http://${host}/`, { signal: AbortSignal.timeout(2_000) }).then(
    (response) => response.ok,
    () => false,
  );

/** Whether it answers before it ends or the time is up. */
const ready = async (host: string, child: ChildProcess): Promise<boolean> => {
  const end = performance.now() + startTimeoutMs;
  while (child.exitCode === null && performance.now() < end) {
    if (await answers(host)) return true;
    await sleep(50);
  }
  return false;
};

const launch = async (): Promise<FirestoreEmulator | undefined> => {
  process.env.METADATA_SERVER_DETECTION = 'none';
  const given = process.env.FIRESTORE_EMULATOR_HOST;
  if (given !== undefined && given !== '') {
    if (await answers(given)) {
      tookPart('Firestore emulator', `at ${given}`);
      return { host: given };
    }
    throw new Error(`FIRESTORE_EMULATOR_HOST is ${given}, where nothing answers.`);
  }
  const [java, found] = await Promise.all([onPath('java'), findJar()]);
  if (java === undefined || found === undefined) {
    isAbsent('Firestore emulator', noEmulator);
    return undefined;
  }
  // Twice, because another process may take the port between looking and listening.
  for (const _attempt of [1, 2]) {
    const port = await freePort();
    const host = `127.0.0.1:${port}`;
    const child = spawn(
      java,
      ['-cp', found, mainClass, 'start', '--host', '127.0.0.1', '--port', `${port}`],
      {
        stdio: 'ignore',
      },
    );
    child.unref();
    process.once('exit', () => child.kill('SIGKILL'));
    if (await ready(host, child)) {
      process.env.FIRESTORE_EMULATOR_HOST = host;
      tookPart('Firestore emulator', `on ${host}`);
      return { host };
    }
    child.kill('SIGKILL');
  }
  throw new Error('The Firestore emulator does not start.');
};

let running: Promise<FirestoreEmulator | undefined> | undefined;

/**
 * Google’s Firestore emulator: the one that FIRESTORE_EMULATOR_HOST names, else one of this process, on a free
 * loopback port until the process ends; the variable is then set, for Google’s clients to find it. Undefined
 * where it is not installed, except in CI (`CI=true`), where that is an error.
 */
export const startFirestoreEmulator = (): Promise<FirestoreEmulator | undefined> => {
  running ??= launch();
  return running;
};
