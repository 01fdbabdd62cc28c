import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

const rules = readFileSync(new URL('../biome.json', import.meta.url), 'utf8');
const biome = fileURLToPath(new URL('../node_modules/.bin/biome', import.meta.url));

/** What the linter says of files with these texts at these paths, with this project’s rules. */
const lint = (t: TestContext, files: readonly (readonly [path: string, text: string])[]): string => {
  const folder = mkdtempSync(join(tmpdir(), 'floors-'));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const [path, text] of [['biome.json', rules] as const, ...files]) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  const args = ['lint', '--vcs-enabled=false', '--reporter=github', '--max-diagnostics=none', 'src'];
  const { stdout, stderr } = spawnSync(biome, args, { cwd: folder, encoding: 'utf8' });
  return stdout + stderr;
};

const breaches: readonly (readonly [says: string, path: string, text: string])[] = [
  [
    'a rule that reads the store',
    'src/notebooks/rules.ts',
    "import { openSqliteStore } from '../adapters/sqlite.ts';\nopenSqliteStore;",
  ],
  [
    'a rule that reads a file',
    'src/teams/rules.ts',
    "import { readFileSync } from 'node:fs';\nreadFileSync;",
  ],
  ['a rule that reads the environment', 'src/egress/entry.ts', 'export const x = process.env.HOME;'],
  [
    'a rule that answers in HTTP',
    'src/notebooks/rules.ts',
    "import { etagOf } from '../http/preconditions.ts';\netagOf;",
  ],
  [
    'a route that opens an adapter',
    'src/teams/routes.ts',
    "import { openCluster } from '../adapters/kubernetes.ts';\nopenCluster;",
  ],
  [
    'a route that reconciles by itself',
    'src/notebooks/routes.ts',
    "import { tick } from '../reconcile/tick.ts';\ntick;",
  ],
  [
    "a route that borrows from another's",
    'src/notebooks/routes.ts',
    "import { teamSchemas } from '../teams/routes.ts';\nteamSchemas;",
  ],
  [
    'a reconcile that knows HTTP',
    'src/reconcile/reconcile.ts',
    "import { etagOf } from '../http/preconditions.ts';\netagOf;",
  ],
  [
    'the shell that knows a noun',
    'src/http/guards.ts',
    "import { teamView } from '../teams/rules.ts';\nteamView;",
  ],
  [
    'a schema that knows a rule',
    'src/notebooks/notebook.ts',
    "import { complete } from './rules.ts';\ncomplete;",
  ],
  [
    'a port that knows an adapter',
    'src/ports.ts',
    "import { openCluster } from './adapters/kubernetes.ts';\nopenCluster;",
  ],
  [
    'an adapter that knows a route',
    'src/adapters/sqlite.ts',
    "import { registerTeams } from '../teams/routes.ts';\nregisterTeams;",
  ],
  [
    'what ships that knows the sandbox',
    'src/app.ts',
    "import { startSandbox } from '../local/sandbox.ts';\nstartSandbox;",
  ],
];

describe('the floors of the source', () => {
  for (const [says, path, text] of breaches) {
    it(`refuse ${says}`, (t) => assert.match(lint(t, [[path, text]]), /noRestricted(Imports|Globals)/));
  }

  it('let a rule import a schema and another rule', (t) => {
    const text =
      "import type { TeamRecord } from '../record.ts';\nimport { wished } from '../teams/rules.ts';\nexport const x = (team: TeamRecord) => wished(team, { by: '', now: '' });\n";
    assert.doesNotMatch(lint(t, [['src/notebooks/rules.ts', text]]), /noRestricted/);
  });

  it('hold in every folder', (t) => {
    const text = "import { start } from '../main.ts';\nexport const x = start;\n";
    const folders = readdirSync(new URL('../src', import.meta.url), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
    assert.ok(folders.length >= 6);
    const said = lint(
      t,
      folders.map((name) => [`src/${name}/anything.ts`, text]),
    );
    for (const name of folders) {
      assert.match(
        said,
        new RegExp(`noRestrictedImports,file=[^,]*src/${name}/`),
        `src/${name} may import main.ts`,
      );
    }
  });
});
