import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { basename, delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A generated client with the programs that use it, in the folder of its name. */
export interface Client {
  readonly folder: string;
  /** Its heading in docs/sdks.md, whose commands generate and check it. */
  readonly heading: string;
  /** The program that the document shows, below the folder. */
  readonly source: string;
  /** Runs a program that was built: first steps, or every operation. */
  readonly run: { readonly firstSteps: readonly string[]; readonly everyOperation: readonly string[] };
}

export const clients: readonly Client[] = [
  {
    folder: 'python',
    heading: 'Python',
    source: 'first_steps.py',
    run: { firstSteps: ['python', 'first_steps.py'], everyOperation: ['python', 'every_operation.py'] },
  },
  {
    folder: 'go',
    heading: 'Go',
    source: 'first_steps/main.go',
    run: { firstSteps: ['./bin/first_steps'], everyOperation: ['./bin/every_operation'] },
  },
  {
    folder: 'java',
    heading: 'Java',
    source: 'FirstSteps.java',
    run: {
      firstSteps: ['java', '-cp', 'classes:lib/*', 'FirstSteps'],
      everyOperation: ['java', '-cp', 'classes:lib/*', 'EveryOperation'],
    },
  },
  {
    folder: 'typescript-fetch',
    heading: 'TypeScript',
    source: 'first-steps.ts',
    run: {
      firstSteps: ['node', 'dist/first-steps.js'],
      everyOperation: ['node', 'dist/every-operation.js'],
    },
  },
  {
    folder: 'oapi-codegen',
    heading: 'Go with oapi-codegen',
    source: 'first_steps/main.go',
    run: { firstSteps: ['./bin/first_steps'], everyOperation: ['./bin/every_operation'] },
  },
  {
    folder: 'openapi-fetch',
    heading: 'TypeScript with openapi-fetch',
    source: 'first-steps.ts',
    run: { firstSteps: ['node', 'first-steps.ts'], everyOperation: ['node', 'every-operation.ts'] },
  },
];

const fileAt = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
export const contractFile = fileAt('../../openapi/released/v1.json');
export const document = (): string => readFileSync(fileAt('../../docs/sdks.md'), 'utf8');
export const sourceOf = ({ folder, source }: Client): string =>
  readFileSync(fileAt(`./${folder}/${source}`), 'utf8');

export interface Block {
  readonly language: string;
  readonly text: string;
}

/** The fenced blocks below a heading, up to the next heading of any level. */
export const blocksBelow = (markdown: string, heading: string): readonly Block[] => {
  const sections = markdown.split(/^#{2,3} /m);
  const section = sections.find((one) => one.startsWith(`${heading}\n`)) ?? '';
  return [...section.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(([, language = '', text = '']) => ({
    language,
    text,
  }));
};

/** The commands of the document under a comment, such as “# Generate”. */
export const commandsOf = ({ heading }: Client, title: 'Install' | 'Generate' | 'Check'): string =>
  blocksBelow(document(), heading).find(
    ({ language, text }) => language === 'sh' && text.startsWith(`# ${title}`),
  )?.text ?? '';

/** The folder of the generators and their dependencies, or why there is none. */
export const assetsOf = (): { readonly folder: string } | { readonly absent: string } => {
  const { status, stdout, stderr, error } = spawnSync(fileAt('../../.ci/sdk-assets'), ['--if-present'], {
    encoding: 'utf8',
  });
  return status === 0 ? { folder: stdout.trim() } : { absent: error?.message ?? stderr.trim() };
};

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Built {
  /** Runs a command in the folder of the client. */
  run(command: readonly string[], env?: Readonly<Record<string, string>>): Promise<Ended>;
}

/** For a machine that is far too busy: a client that waits for what will not come fails. */
const patienceMs = 900_000;

const runIn =
  (folder: string, assets: string): Built['run'] =>
  ([program = '', ...args], env = {}) => {
    const { promise, resolve } = Promise.withResolvers<Ended>();
    const path = [join(assets, 'python', 'bin'), join(assets, 'node_modules', '.bin'), join(assets, 'bin')];
    execFile(
      program === 'node' ? process.execPath : program,
      args,
      {
        cwd: folder,
        env: {
          ...process.env,
          // A client of its own, whatever the test runner’s process is set up with.
          NODE_OPTIONS: '',
          PATH: [...path, process.env.PATH].join(delimiter),
          ...env,
        },
        maxBuffer: 64 * 1024 * 1024,
        timeout: patienceMs,
      },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
        resolve({ code, stdout, stderr: error === null ? stderr : `${error.message}\n${stderr}` });
      },
    );
    return promise;
  };

const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'knada-notebooks', 'sdks');
const unusedMs = 14 * 24 * 3_600_000;

/** Removes the clients of contracts and programs that have not been used for two weeks. */
const prune = (): void => {
  for (const name of readdirSync(cache)) {
    const path = join(cache, name);
    if (Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0) > unusedMs) {
      rmSync(path, { recursive: true, force: true });
    }
  }
};

/**
 * Generates a client from the contract and builds it with the programs, by the commands of the document. The same
 * contract, commands, generators and programs give the same client, so it is kept and used again.
 */
export const build = async (client: Client, assets: string, contract = contractFile): Promise<Built> => {
  const source = fileAt(`./${client.folder}`);
  const commands = `set -euo pipefail\n${commandsOf(client, 'Generate')}\n${commandsOf(client, 'Check')}`;
  const inputs = [contract, ...globSync(join(source, '**')).filter((path) => statSync(path).isFile())];
  const hash = createHash('sha256').update(`${basename(assets)}\n${process.version}\n${commands}`);
  for (const path of inputs.toSorted()) hash.update(`\n${basename(path)}\n`).update(readFileSync(path));
  const folder = join(cache, `${client.folder}-${hash.digest('hex').slice(0, 16)}`);
  if (existsSync(folder)) {
    const now = new Date();
    utimesSync(folder, now, now);
    return { run: runIn(folder, assets) };
  }
  mkdirSync(cache, { recursive: true });
  prune();
  const partial = mkdtempSync(join(cache, 'partial-'));
  try {
    cpSync(source, partial, { recursive: true });
    cpSync(contract, join(partial, 'v1.json'));
    for (const [name, target] of [
      ['openapi-generator-cli.jar', 'openapi-generator-cli.jar'],
      ['lib', 'java'],
      ['node_modules', 'node_modules'],
      ['package.json', 'package.json'],
    ] as const) {
      symlinkSync(join(assets, target), join(partial, name));
    }
    const { code, stdout, stderr } = await runIn(partial, assets)(['bash', '-c', commands]);
    if (code !== 0)
      throw new Error(`${client.heading} cannot be built\n${stdout.slice(-2_000)}\n${stderr.slice(-6_000)}`);
    try {
      renameSync(partial, folder);
    } catch (error) {
      // Another run has built the same client meanwhile.
      if (!existsSync(folder)) throw error;
    }
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
  return { run: runIn(folder, assets) };
};
