// Runs every task: `node scripts/run.mjs <task> [-- arguments]`.
//
// Plain JavaScript without dependencies, because it runs before anything is installed, on the system's Node (18 or
// newer). It installs what the lockfile requires, then runs the task on the project's own Node.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { constants, cpus, tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const bin = join(root, 'node_modules', '.bin');
const NODE_MAJOR = '24';

const tool = (name, ...args) => [join(bin, name), ...args];
const script = (...args) => tool('node', ...args);

const types = tool('tsc', '--noEmit');
const pageTypes = tool('tsc', '--project', 'examples/web/jsconfig.json');
const lint = tool('biome', 'ci', '.');
/** Writes generated files; with --check, fails when one is stale. */
const contract = (...args) => script('scripts/openapi.ts', ...args);
const graph = (...args) => script('scripts/graph.ts', ...args);
const unused = tool('knip', '--production');

/** The steps of each task, run in order until one fails. Arguments after `--` go to the last step. */
const tasks = {
  local: {
    about: 'the whole product on this machine, without any account',
    steps: [script('local/main.ts')],
  },
  test: { about: 'the tests; accepts files and options of node --test', run: test },
  demo: {
    about: 'the whole story, step by step, against its own sandbox',
    steps: [script('local/demo.ts')],
  },
  check: {
    about: 'types, lint, unused code, stale generated files, and every test',
    steps: [types, pageTypes, lint, unused, contract('--check'), graph('--check')],
    run: test,
  },
  start: { about: 'the API alone, configured by the environment', steps: [script('src/main.ts')] },
  openapi: {
    about: 'writes openapi/openapi.json and docs/errors.md from the code, and lints the contract',
    steps: [contract(), tool('redocly', 'lint', 'openapi/openapi.json')],
  },
  docs: {
    about: 'builds the documents as a static site and serves it',
    folder: 'docs',
    steps: [
      [join(root, 'docs/node_modules/.bin/vitepress'), 'build', 'docs'],
      // VitePress’s own server would listen on every interface.
      [
        join(root, 'docs/node_modules/.bin/vite'),
        ...['preview', 'docs/.vitepress', '--outDir', 'dist', '--host', '127.0.0.1'],
      ],
    ],
  },
  graph: { about: 'draws the floor plan into docs/floor-plan.md from the imports', steps: [graph()] },
  lint: { about: 'format and lint rules; --write fixes what it can', steps: [tool('biome', 'check', '.')] },
  types: { about: 'the type checker', steps: [types, pageTypes] },
  bench: {
    about:
      'compares within one run and prints ratios; accepts names: cold-start, throughput, tick, cull, egress, render',
    steps: [script('bench/run.ts')],
  },
  fuzz: {
    about: 'sends 20,000 requests that are generated from the contract; takes minutes',
    run: (args) => test(['test/fuzz/contract.fuzz.ts', ...args]),
  },
  kills: {
    about: 'kills the API and the functions while clients write, then verifies that nothing was lost',
    steps: [script('bench/kills.ts')],
  },
};

/** The real systems that suites test against; a suite reports one by appending a JSON line to REAL_PARTS_FILE. */
const realParts = [
  'Firestore emulator',
  'kube-apiserver',
  'KubeSpawner',
  'spawning hub 5.x',
  'spawning hub 6.x',
  'kubectl',
  'helm-controller',
  'source-controller',
  'kwok',
  'docker-registry',
  'dnsmasq',
  'JupyterHub 5.x',
  'JupyterHub 6.x',
  'SDK generators',
  'Chromium',
];

const say = (text) => process.stderr.write(`${text}\n`);

class Failed extends Error {}

/** The system’s PATH, without this project’s own tools. */
const systemPath = () =>
  (process.env.PATH ?? '')
    .split(delimiter)
    .filter((entry) => entry !== '' && resolve(entry) !== bin)
    .join(delimiter);

const packagesOf = (file) => {
  try {
    return JSON.parse(readFileSync(join(root, file), 'utf8')).packages ?? {};
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw new Failed(`${file} cannot be read: ${error.message}`);
  }
};

/**
 * Why a folder’s node_modules does not match its lockfile; undefined when it does. npm writes its record of an install
 * last, so an interrupted install does not count.
 */
const staleness = (folder) => {
  const wanted = packagesOf(join(folder, 'package-lock.json'));
  if (wanted === undefined)
    throw new Failed('package-lock.json is missing: this is not a complete checkout.');
  const installed = packagesOf(join(folder, 'node_modules/.package-lock.json'));
  if (installed === undefined) return 'nothing is installed yet';
  const differs = Object.entries(wanted).find(
    ([path, { version, integrity, optional, devOptional, link }]) => {
      if (path === '') return false;
      if (link) return !existsSync(join(root, folder, path));
      const found = installed[path];
      // A missing optional package belongs to another platform.
      if (found === undefined) return !optional && !devOptional;
      return found.version !== version || found.integrity !== integrity;
    },
  );
  return differs && `${differs[0].replace(/^.*node_modules\//, '')} does not match package-lock.json`;
};

/** The version of the project’s own Node; undefined when that cannot be run. */
const ownNode = () => {
  const { status, stdout } = spawnSync(join(bin, 'node'), ['--version'], { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
};
const isOwnNode = () => ownNode()?.startsWith(`v${NODE_MAJOR}.`) === true;

/** Runs npm in a folder and prints its errors only. */
const npmIn = (folder, ...args) => {
  const env = { ...process.env, PATH: systemPath() };
  const options = ['--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=error'];
  const { status, error } = spawnSync('npm', [...args, ...options], {
    cwd: join(root, folder),
    env,
    stdio: ['ignore', 'ignore', 2],
  });
  if (error?.code === 'ENOENT')
    throw new Failed('npm was not found; it comes with Node.js (https://nodejs.org).');
  return status === 0;
};

/** Makes a folder’s node_modules match its lockfile. */
const installIn = (folder) => {
  const why = staleness(folder);
  if (why === undefined) return;
  say(`Installing, because ${why}. This takes a minute.`);
  if (npmIn(folder, 'ci')) return;
  throw new Failed('npm ci failed; see its output above. Is the package registry reachable?');
};

/** Makes node_modules match the lockfile and contain the right version of Node. */
const install = () => {
  installIn('.');
  if (isOwnNode()) return;
  // The package "node" downloads Node in its install script, which npm may be configured not to run.
  say(`Fetching Node ${NODE_MAJOR} for this project.`);
  npmIn('.', 'rebuild', 'node', '--ignore-scripts=false');
  if (isOwnNode()) return;
  const installer = spawnSync(process.execPath, ['installArchSpecificPackage.js'], {
    cwd: join(root, 'node_modules', 'node'),
    env: { ...process.env, PATH: systemPath(), npm_config_ignore_scripts: 'false' },
    stdio: ['ignore', 2, 2],
  });
  if (isOwnNode()) return;
  throw new Failed(
    `This project runs on Node ${NODE_MAJOR} and brings its own, but node_modules/.bin/node ${
      ownNode() === undefined ? 'cannot be run' : `is ${ownNode()}`
    } (its installer ended with ${installer.status ?? installer.error?.message}).\nDelete node_modules and try again; behind a proxy, npm must be allowed to run the install script of "node".`,
  );
};

/** Runs a step to its end, forwarding signals; returns its exit code. */
const run = ([program, ...args], extra = {}) =>
  new Promise((done, fail) => {
    const env = { ...process.env, PATH: `${bin}${delimiter}${systemPath()}`, ...extra };
    // The channel tells a script that this process is gone, even when it was killed.
    const channel = program === join(bin, 'node') ? ['ipc'] : [];
    const child = spawn(program, args, {
      cwd: root,
      env,
      stdio: ['inherit', 'inherit', 'inherit', ...channel],
    });
    const forward = (signal) => child.kill(signal);
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
    for (const signal of signals) process.on(signal, forward);
    // npm runs us through a shell, which does not forward a signal that is sent to npm alone, but dies of it.
    const parent = process.ppid;
    const watch = setInterval(() => process.ppid === parent || forward('SIGTERM'), 500);
    if (process.env.npm_lifecycle_event === undefined) clearInterval(watch);
    child.on('error', fail);
    child.on('exit', (code, signal) => {
      for (const name of signals) process.off(name, forward);
      clearInterval(watch);
      done(code ?? 128 + constants.signals[signal]);
    });
  });

/** Runs the tests, then prints which real systems took part. In CI, a full run without one of them fails. */
async function test(args) {
  const folder = mkdtempSync(join(tmpdir(), 'knada-tests-'));
  const report = join(folder, 'real-parts');
  const files = args.filter((arg) => !arg.startsWith('-'));
  const options = args.filter((arg) => arg.startsWith('-'));
  // Most suites wait for processes and sockets rather than compute.
  const concurrency = Math.max(2, cpus().length);
  const selection = files.length > 0 ? files : ['test/**/*.test.ts', 'simulators/test/**/*.test.ts'];
  try {
    const code = await run(script('--test', `--test-concurrency=${concurrency}`, ...options, ...selection), {
      REAL_PARTS_FILE: report,
    });
    const whole = files.length === 0;
    const missing = summary(report, whole);
    if (!whole || missing.length === 0 || !isCi()) return code;
    say(`In CI every real component must take part; missing: ${missing.join(', ')}.`);
    return code === 0 ? 1 : code;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const isCi = () => !['', '0', 'false', undefined].includes(process.env.CI);

/** Prints the real components with their versions, and returns the missing ones. For selected suites, only those reported. */
const summary = (report, whole) => {
  let lines = [];
  try {
    lines = readFileSync(report, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
  if (lines.length === 0 && !whole) return [];
  console.log('\nReal components in this run:');
  return realParts.filter((part) => {
    const mine = lines.filter((line) => line.part === part);
    const present = mine.find((line) => line.version !== undefined);
    const absent = mine.find((line) => line.absent !== undefined);
    const text = present
      ? `✔ ${part} ${present.version}`
      : `✘ ${part} – ${absent?.absent ?? 'no suite asked for it'}`;
    console.log(`  ${text}`);
    return present === undefined;
  });
};

const usage = () =>
  Object.entries(tasks)
    .map(([name, { about }]) => `  ${`npm run ${name}`.padEnd(18)}${about}`)
    .join('\n');

const main = async ([name, ...rest]) => {
  const task = Object.hasOwn(tasks, name ?? '') ? tasks[name] : undefined;
  if (task === undefined) {
    say(`${name === undefined ? 'Name a task' : `There is no task "${name}"`}:\n${usage()}`);
    return 2;
  }
  install();
  if (task.folder !== undefined) installIn(task.folder);
  const args = rest[0] === '--' ? rest.slice(1) : rest;
  const steps = task.steps ?? [];
  for (const [index, step] of steps.entries()) {
    const last = index === steps.length - 1 && task.run === undefined;
    const code = await run(last ? [...step, ...args] : step);
    if (code !== 0) return code;
  }
  return task.run === undefined ? 0 : await task.run(args);
};

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof Failed)) throw error;
  say(error.message);
  process.exitCode = 1;
}
