import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { prettyFactory } from 'pino-pretty';
import { type ClockMessage, clockAheadMs, clockVariable } from './clock.ts';

const keptLines = 20;
const graceMs = 8_000;
const tether = new URL('./tether.ts', import.meta.url).href;
const root = fileURLToPath(new URL('..', import.meta.url));

export interface Child {
  readonly name: string;
  /** Resolves with the last lines of output when the process ends unexpectedly; never after `close`. */
  readonly died: Promise<string>;
  /** Moves the process’s clock forward; resolves when done. */
  moveClock(ms: number): Promise<void>;
  close(): Promise<void>;
}

const pretty = prettyFactory({
  colorize: process.stdout.isTTY === true,
  ignore: 'pid,hostname,reqId',
  levelKey: 'severity',
  messageKey: 'message',
  singleLine: true,
});

const quietLevels = new Set(['DEFAULT', 'DEBUG', 'INFO', 'NOTICE']);

/** One line of output: a log entry in Cloud Logging’s format, or any other text, such as a stack trace. */
const read = (line: string): { readonly text: string; readonly matters: boolean } => {
  const entry = entryOf(line);
  if (entry === undefined) return { text: line, matters: line.trim() !== '' };
  const { severity } = entry;
  return {
    text: pretty(entry)?.trimEnd() ?? line,
    matters: !(typeof severity === 'string' && quietLevels.has(severity)),
  };
};

const entryOf = (line: string): Record<string, unknown> | undefined => {
  if (!line.startsWith('{')) return undefined;
  try {
    const entry: Record<string, unknown> = JSON.parse(line);
    return entry;
  } catch {
    return undefined;
  }
};

const ended = (child: ChildProcess): Promise<void> => {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (child.exitCode !== null || child.signalCode !== null) resolve();
  else child.once('exit', () => resolve());
  return promise;
};

/**
 * Starts a script of this project on this Node, in the same process group. It ends when this process ends, even when
 * that is killed. `print` receives its warnings and errors; with `verbose`, every line.
 */
export const startChild = (
  name: string,
  script: string,
  env: Readonly<Record<string, string>>,
  print: (line: string) => void,
  verbose: boolean,
): Child => {
  const child = spawn(process.execPath, ['--import', tether, script], {
    cwd: root,
    env: { ...process.env, ...env, [clockVariable]: String(clockAheadMs()) },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  const last: string[] = [];
  // Output during shutdown is dropped: Ctrl-C reaches the child twice, from the terminal and from us.
  let closing = false;
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue;
    createInterface({ input: stream }).on('line', (line) => {
      const { text, matters } = read(line);
      last.push(text);
      if (last.length > keptLines) last.shift();
      if (!closing && (verbose || matters)) print(`${name}  ${text}`);
    });
  }
  const { promise: died, resolve } = Promise.withResolvers<string>();
  child.once('error', (error) => resolve(`${name} could not be started: ${error.message}`));
  // Not `exit`: only at `close` has all output been read.
  child.once('close', (code, signal) => {
    if (closing) return;
    const how = signal === null ? `with code ${code}` : `by ${signal}`;
    resolve([`${name} ended ${how}. Its last lines:`, ...last.map((line) => `  ${line}`)].join('\n'));
  });
  return {
    name,
    died,
    moveClock(ms) {
      const { promise, resolve: done } = Promise.withResolvers<void>();
      const message: ClockMessage = { moveClockMs: ms };
      child.once('message', () => done());
      child.send(message);
      return Promise.race([promise, ended(child)]);
    },
    async close() {
      closing = true;
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
      await ended(child);
      clearTimeout(timer);
    },
  };
};
