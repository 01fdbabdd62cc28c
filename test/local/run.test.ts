import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const runner = fileURLToPath(new URL('../../scripts/run.mjs', import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

const lock = (version: string) =>
  JSON.stringify({
    packages: {
      '': { name: 'project' },
      'node_modules/node': { version: '24.21.0' },
      'node_modules/thing': { version, integrity: `sha512-${version}` },
      'node_modules/thing-for-windows': { version, optional: true },
    },
  });

/** What a whole install leaves: npm's own record, and a Node that says which version it is. */
const installation = (version: string, node: string): string => `
mkdir -p node_modules/.bin node_modules/node
cat > node_modules/.package-lock.json <<'JSON'
${JSON.stringify({ packages: { 'node_modules/node': { version: '24.21.0' }, 'node_modules/thing': { version, integrity: `sha512-${version}` } } })}
JSON
${node}
`;

const ownNode = `
cat > node_modules/.bin/node <<'SH'
#!/bin/sh
exec "${process.execPath}" "$@"
SH
chmod +x node_modules/.bin/node`;

describe('scripts/run.mjs', () => {
  let folder: string;
  let project: string;

  /** Puts an npm on the PATH that notes how it was called and then does this. */
  const npmDoes = async (script: string): Promise<void> => {
    const file = join(folder, 'bin', 'npm');
    await writeFile(file, `#!/bin/sh\necho "$*" >> "${join(folder, 'npm-calls')}"\n${script}\n`);
    await chmod(file, 0o755);
  };
  const npmCalls = async (): Promise<string[]> => {
    const text = await readFile(join(folder, 'npm-calls'), 'utf8').catch(() => '');
    return text.split('\n').filter((line) => line !== '');
  };
  const start = (args: readonly string[], env: Record<string, string> = {}) => {
    const path = [join(folder, 'bin'), dirname(process.execPath), '/usr/bin', '/bin'].join(delimiter);
    // node:test recognizes its own children by NODE_TEST_CONTEXT; the one we start is not one of them.
    const { CI: _ci, NODE_TEST_CONTEXT: _context, REAL_PARTS_FILE: _parts, ...rest } = process.env;
    return spawn(process.execPath, [join(project, 'scripts', 'run.mjs'), ...args], {
      cwd: folder,
      env: { ...rest, PATH: path, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  };
  const run = async (args: readonly string[], env: Record<string, string> = {}): Promise<Ended> => {
    const child = start(args, env);
    const [out, err, code] = await Promise.all([
      child.stdout.toArray().then((parts) => Buffer.concat(parts).toString()),
      child.stderr.toArray().then((parts) => Buffer.concat(parts).toString()),
      new Promise<number | null>((resolve) => child.once('close', resolve)),
    ]);
    return { code, out, err };
  };

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'run mjs '));
    await mkdir(join(folder, 'bin'));
  });
  after(() => rm(folder, { recursive: true }));
  beforeEach(async () => {
    project = join(folder, 'a project');
    await rm(project, { recursive: true, force: true });
    await rm(join(folder, 'npm-calls'), { force: true });
    await Promise.all(
      ['scripts', 'local', 'test'].map((name) => mkdir(join(project, name), { recursive: true })),
    );
    await copyFile(runner, join(project, 'scripts', 'run.mjs'));
    await writeFile(join(project, 'package.json'), '{"type":"module"}');
    await writeFile(join(project, 'package-lock.json'), lock('1.0.0'));
    await writeFile(
      join(project, 'local', 'main.ts'),
      'const said: string[] = process.argv.slice(2);\nconsole.log(JSON.stringify([said, process.cwd()]));\nprocess.exit(7);\n',
    );
    await npmDoes(installation('1.0.0', ownNode));
  });

  it('installs on a fresh clone, then runs the task with its arguments and its exit code', async () => {
    const { code, out, err } = await run(['local', '--', '--fresh', 'a b']);
    assert.equal(code, 7);
    assert.deepEqual(JSON.parse(out), [['--fresh', 'a b'], project]);
    assert.match(err, /nothing is installed yet/);
    assert.deepEqual(await npmCalls(), ['ci --no-audit --no-fund --no-update-notifier --loglevel=error']);
  });

  it('installs once, and again when the lockfile has changed', async () => {
    await run(['local']);
    await run(['local']);
    assert.equal((await npmCalls()).length, 1);
    await writeFile(join(project, 'package-lock.json'), lock('2.0.0'));
    await npmDoes(installation('2.0.0', ownNode));
    const { err } = await run(['local']);
    assert.match(err, /thing does not match package-lock.json/);
    assert.equal((await npmCalls()).length, 2);
  });

  it('installs again after an interrupted install', async () => {
    await run(['local']);
    await rm(join(project, 'node_modules', '.package-lock.json'));
    await run(['local']);
    assert.equal((await npmCalls()).length, 2);
  });

  it('fetches Node when npm did not run install scripts', async () => {
    await npmDoes(`case "$1" in
ci) ${installation('1.0.0', '')} ;;
rebuild) ${ownNode}
;;
esac`);
    const { code } = await run(['local']);
    assert.equal(code, 7);
    assert.deepEqual(await npmCalls(), [
      'ci --no-audit --no-fund --no-update-notifier --loglevel=error',
      'rebuild node --ignore-scripts=false --no-audit --no-fund --no-update-notifier --loglevel=error',
    ]);
  });

  it('refuses to run on another version of Node, and says what to do', async () => {
    await npmDoes(
      installation(
        '1.0.0',
        "printf '#!/bin/sh\\necho v20.20.2\\n' > node_modules/.bin/node; chmod +x node_modules/.bin/node",
      ),
    );
    const { code, out, err } = await run(['local']);
    assert.equal(code, 1);
    assert.equal(out, '');
    assert.match(err, /runs on Node 24 .* is v20\.20\.2/);
    assert.match(err, /Delete node_modules/);
  });

  it('reports a failed install', async () => {
    await npmDoes('exit 1');
    const { code, err } = await run(['local']);
    assert.equal(code, 1);
    assert.match(err, /npm ci failed/);
  });

  it('forwards a signal and waits for the task to end', async () => {
    await writeFile(
      join(project, 'local', 'main.ts'),
      "process.once('SIGTERM', () => { console.log('ending'); process.exit(3); });\nsetInterval(() => {}, 1000);\nconsole.log('ready');\n",
    );
    const child = start(['local']);
    let out = '';
    const code = await new Promise((resolve) => {
      child.once('close', resolve);
      child.stdout.on('data', (part: Buffer) => {
        out += part;
        if (out === 'ready\n') child.kill('SIGTERM');
      });
    });
    assert.equal(out, 'ready\nending\n');
    assert.equal(code, 3);
  });

  it('disconnects from the task when it is killed', async () => {
    await writeFile(
      join(project, 'local', 'main.ts'),
      "process.once('disconnect', () => { console.log('alone'); process.exit(0); });\nconsole.log('ready');\n",
    );
    const child = start(['local']);
    let out = '';
    child.stdout.on('data', (part: Buffer) => {
      out += part;
      if (out === 'ready\n') child.kill('SIGKILL');
    });
    // The task holds the other end of stdout: it closes when the task has ended too.
    await new Promise((resolve) => child.once('close', resolve));
    assert.equal(out, 'ready\nalone\n');
  });

  it('stops the task when npm is stopped, which forwards no signal', async () => {
    await writeFile(
      join(project, 'local', 'main.ts'),
      "process.once('SIGTERM', () => { console.log('ending'); process.exit(0); });\nsetInterval(() => {}, 1000);\nconsole.log('ready');\n",
    );
    await run(['types']);
    const { CI: _ci, NODE_TEST_CONTEXT: _context, ...env } = process.env;
    const line = `"${process.execPath}" "${join(project, 'scripts', 'run.mjs')}" local; true`;
    const shell = spawn('sh', ['-c', line], {
      env: { ...env, npm_lifecycle_event: 'local' },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let out = '';
    shell.stdout.on('data', (part: Buffer) => {
      out += part;
      if (out === 'ready\n') shell.kill('SIGTERM');
    });
    await new Promise((resolve) => shell.once('close', resolve));
    assert.equal(out, 'ready\nending\n');
  });

  it('lists the tasks when the name is unknown', async () => {
    const { code, err } = await run(['lokal']);
    assert.equal(code, 2);
    assert.match(err, /There is no task "lokal"/);
    assert.match(err, /npm run demo/);
    assert.deepEqual(await npmCalls(), []);
  });

  describe('test', () => {
    const passing = "import { appendFileSync } from 'node:fs';\nimport { it } from 'node:test';\n";
    const report = (line: object) =>
      `if (process.env.REAL_PARTS_FILE) appendFileSync(process.env.REAL_PARTS_FILE, ${JSON.stringify(`${JSON.stringify(line)}\n`)});\n`;
    const write = (name: string, text: string) => writeFile(join(project, 'test', name), text);

    it('prints which real components took part, and passes without them outside CI', async () => {
      await write(
        'a.test.ts',
        `${passing}${report({ part: 'kubectl', version: 'v1.34.4' })}${report({ part: 'kube-apiserver', absent: 'no KUBEBUILDER_ASSETS' })}it('passes', () => {});\n`,
      );
      const { code, out } = await run(['test']);
      assert.equal(code, 0, out);
      assert.match(out, /✔ kubectl v1\.34\.4/);
      assert.match(out, /✘ kube-apiserver – no KUBEBUILDER_ASSETS/);
      assert.match(out, /✘ Firestore emulator – no suite asked for it/);
    });

    it('fails in CI when one is missing from a full run', async () => {
      await write('a.test.ts', `${passing}it('passes', () => {});\n`);
      const whole = await run(['test'], { CI: 'true' });
      assert.equal(whole.code, 1);
      assert.match(
        whole.err,
        /missing: Firestore emulator, kube-apiserver, KubeSpawner, .*kubectl, .*helm-controller, .*Chromium/,
      );
      const some = await run(['test', '--', 'test/a.test.ts'], { CI: 'true' });
      assert.equal(some.code, 0, some.out);
    });

    it('fails when a test does', async () => {
      await write('a.test.ts', `${passing}it('fails', () => { throw new Error('no'); });\n`);
      assert.equal((await run(['test'])).code, 1);
    });
  });
});
