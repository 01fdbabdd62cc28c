import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import Type, { type Static, type TSchema } from 'typebox';
import { Value } from 'typebox/value';
import type { Manifest } from '../../src/ports/cluster.ts';

const assets = fileURLToPath(new URL('../../.ci/python-assets', import.meta.url));
const driver = fileURLToPath(new URL('./hub.py', import.meta.url));

/** The Python that has the real KubeSpawner with this JupyterHub, or why there is none. */
export const hubPython = (major: 5 | 6 = 5): { readonly python: string } | { readonly absent: string } => {
  const { status, stdout, stderr, error } = spawnSync(assets, [String(major), '--if-present'], {
    encoding: 'utf8',
  });
  return status === 0
    ? { python: join(stdout.trim(), 'bin', 'python') }
    : { absent: error?.message ?? stderr.trim() };
};

/**
 * Puts a ConfigMap’s files into a folder as the kubelet does: every file is a link through `..data`, which is
 * switched to the new content in one step. A file’s text may be overridden, to break it.
 */
export const mountConfigMap = (
  folder: string,
  { data = {} }: Manifest,
  broken: Record<string, string> = {},
) => {
  const version = `..${process.hrtime.bigint()}`;
  mkdirSync(join(folder, version), { recursive: true });
  for (const [name, text] of Object.entries({ ...data, ...broken })) {
    writeFileSync(join(folder, version, name), text);
  }
  symlinkSync(version, join(folder, '..data_tmp'));
  renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
  for (const name of Object.keys(data)) {
    symlinkSync(join('..data', name), join(folder, `${name}_tmp`));
    renameSync(join(folder, `${name}_tmp`), join(folder, name));
  }
};

export const kubeconfigOf = (server: string) => ({
  apiVersion: 'v1',
  kind: 'Config',
  'current-context': 'none',
  contexts: [{ name: 'none', context: { cluster: 'none', user: 'none' } }],
  clusters: [{ name: 'none', cluster: { server } }],
  users: [{ name: 'none', user: {} }],
});

/** The spawner wants to know of a cluster before it is made; it never speaks to one here. */
const noCluster = kubeconfigOf('http://127.0.0.1:1');

const Answer = Type.Object({ id: Type.Integer() }, { additionalProperties: true });
const Failure = Type.Object({ error: Type.String() });

/** A running hub.py. */
export interface TestHub {
  /** Answers in whatever order the hub is ready; throws when the answer is no such thing. */
  readonly ask: <T extends TSchema>(
    question: string,
    argument: Readonly<Record<string, unknown>>,
    answer: T,
  ) => Promise<Static<T>>;
  readonly log: () => string;
  readonly stop: () => Promise<void>;
}

const lines = (child: ChildProcess) => {
  if (child.stdout === null || child.stderr === null || child.stdin === null) {
    throw new TypeError('the hub has no streams');
  }
  return { input: child.stdin, output: createInterface(child.stdout), errors: child.stderr };
};

/** Starts a hub with these chart values. The scratch folder is where its profiles are mounted, too. */
export const startHub = (
  python: string,
  {
    scratch,
    values,
    waitSeconds,
  }: { readonly scratch: string; readonly values: unknown; readonly waitSeconds: number },
): TestHub => {
  const valuesFile = join(scratch, 'values.json');
  writeFileSync(valuesFile, JSON.stringify(values));
  const kubeconfig = join(scratch, 'kubeconfig');
  writeFileSync(kubeconfig, JSON.stringify(noCluster));
  const child = spawn(python, [driver, valuesFile], {
    env: {
      ...process.env,
      KUBECONFIG: kubeconfig,
      KNADA_PROFILES_FOLDER: scratch,
      KNADA_PROFILES_WAIT_SECONDS: String(waitSeconds),
      KNADA_PROFILES_POLL_SECONDS: '0.01',
    },
  });
  const { input, output, errors } = lines(child);
  let log = '';
  errors.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  output.on('line', (line) => {
    const answer = Value.Parse(Answer, JSON.parse(line));
    waiting.get(answer.id)?.resolve(answer);
    waiting.delete(answer.id);
  });
  const ended = once(child, 'exit').then(() => {
    for (const { reject } of waiting.values()) reject(new Error(`the hub ended:\n${log}`));
  });
  let questions = 0;
  return {
    ask: async (question, argument, schema) => {
      questions += 1;
      const answer = Promise.withResolvers<unknown>();
      waiting.set(questions, answer);
      input.write(`${JSON.stringify({ id: questions, ask: question, with: argument })}\n`);
      const found = await answer.promise;
      if (Value.Check(Failure, found)) throw new Error(`${question}: ${found.error}\n${log}`);
      if (!Value.Check(schema, found)) throw new Error(`${question} answered ${JSON.stringify(found)}`);
      return found;
    },
    log: () => log,
    stop: async () => {
      input.end();
      await ended;
    },
  };
};
