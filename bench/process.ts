import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Starts a script of this project on its own port; its standard output is dropped. */
export const start = (
  script: string,
  port: number,
  env: Readonly<Record<string, string>> = {},
): ChildProcess =>
  spawn(process.execPath, [script], {
    cwd: root,
    env: { PATH: process.env.PATH, ...env, PORT: String(port) },
    stdio: ['ignore', 'ignore', 'inherit'],
  });

export const stop = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
};

interface Question {
  readonly port: number;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The status code; undefined while nothing listens on the port. */
const ask = ({ port, path, headers }: Question) =>
  new Promise<number | undefined>((resolve) => {
    const options = { host: '127.0.0.1', port, path, agent: false, ...(headers && { headers }) };
    request(options, (response) => {
      response.resume();
      response.once('end', () => resolve(response.statusCode));
    })
      .once('error', () => resolve(undefined))
      .end();
  });

/** Waits for a 200. Throws on any other status, or when the process has ended. */
export const untilAnswered = async (child: ChildProcess, question: Question): Promise<void> => {
  for (;;) {
    const status = await ask(question);
    if (status === 200) return;
    if (status !== undefined) throw new Error(`${question.path} answered ${status}`);
    if (child.exitCode !== null) throw new Error(`It ended with ${child.exitCode} before it answered`);
    await sleep(1);
  }
};
