import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';

const deadlineMs = 120_000;

export interface Shown {
  readonly status: number;
  /** Without the line breaks at its end. */
  readonly out: string;
  readonly err: string;
}

/** A shell that stays open, as a reader’s terminal: what one block sets, the next ones see. */
export class Terminal {
  readonly #shell: ChildProcessWithoutNullStreams;
  #out = '';
  #err = '';
  #hear: () => void = () => {};

  constructor(options: { readonly cwd: string; readonly env: Readonly<Record<string, string | undefined>> }) {
    this.#shell = spawn('bash', ['--noprofile', '--norc'], options);
    this.#shell.stdout.setEncoding('utf8').on('data', (part: string) => {
      this.#out += part;
      this.#hear();
    });
    this.#shell.stderr.setEncoding('utf8').on('data', (part: string) => {
      this.#err += part;
      this.#hear();
    });
    this.#shell.once('close', () => this.#hear());
  }

  /** Pastes lines and waits until all of them have run; the status is that of the last one. Throws after two minutes. */
  async paste(lines: string): Promise<Shown> {
    const mark = randomUUID();
    const end = new RegExp(`^${mark} (\\d+)\\n`, 'm');
    this.#out = '';
    this.#err = '';
    this.#shell.stdin.write(`${lines}\nprintf '\\n%s %s\\n' ${mark} $?; printf '\\n%s 0\\n' ${mark} >&2\n`);
    const deadline = AbortSignal.timeout(deadlineMs);
    deadline.addEventListener('abort', () => this.#hear());
    for (;;) {
      const [found, status] = end.exec(this.#out) ?? [];
      if (found !== undefined && end.test(this.#err)) {
        const before = (text: string) => text.slice(0, text.indexOf(mark)).replace(/\n+$/, '');
        return { status: Number(status), out: before(this.#out), err: before(this.#err) };
      }
      if (this.#shell.exitCode !== null) throw new Error(`The shell ended: ${this.#err}`);
      if (deadline.aborted) throw new Error(`Not done in time:\n${lines}\n${this.#out}${this.#err}`);
      await new Promise<void>((resolve) => {
        this.#hear = resolve;
      });
    }
  }

  close(): void {
    this.#shell.stdin.end();
    this.#shell.kill();
  }
}
