import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { arrowsOf, breachesOf, circlesOf, roomOf, rooms, shell, sources } from '../scripts/floor-plan.ts';

/** One file that breaks each rule, and what is said of it. */
const planted: readonly (readonly [title: string, file: string, text: string, says: RegExp])[] = [
  [
    'a rule that opens the store',
    'src/notebooks/rules.ts',
    "import { openSqliteStore } from '../adapters/sqlite.ts';",
    /src\/notebooks may not import src\/adapters\/sqlite.ts/,
  ],
  [
    'a new file of a noun that reads a file',
    'src/teams/anything.ts',
    "import { readFileSync } from 'node:fs';",
    /node:fs/,
  ],
  ['a rule that reads the environment', 'src/egress/entry.ts', 'process.env.HOME;', /process.env/],
  ['a rule that asks for the time', 'src/culling/rules.ts', 'const now = Date.now();', /Date.now/],
  ['a rule that reads the current date', 'src/culling/rules.ts', 'const now = new Date();', /new Date\(\)/],
  ['a rule that throws dice', 'src/egress/freshness.ts', 'const jitter = Math.random();', /Math.random/],
  [
    'a rule that makes an id',
    'src/servers/rules.ts',
    "import { randomUUID } from 'node:crypto';",
    /randomUUID/,
  ],
  ['a rule that waits', 'src/reconcile/conditions.ts', 'setTimeout(() => {}, 1);', /setTimeout/],
  ['a rule that calls out', 'src/images/resolve.ts', "await fetch('https://nav.no');", /fetch/],
  [
    'a rule that answers in HTTP',
    'src/notebooks/rules.ts',
    "import { etagOf } from '../http/preconditions.ts';",
    /may not import src\/http/,
  ],
  [
    'a rule that takes the request',
    'src/teams/rules.ts',
    "import { fastify } from 'fastify';",
    /may not import fastify/,
  ],
  [
    'a reconcile that derives a team’s names',
    'src/reconcile/observe.ts',
    "import { deriveNames } from '../model/names.ts';",
    /names are read from the team’s record/,
  ],
  [
    'a route that makes up the name of a namespace',
    'src/api/egress.ts',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the planted text is a template.
    'const namespace = `team-${team.id}`;',
    /names are read from the team’s record/,
  ],
  [
    'a route that opens an adapter',
    'src/api/teams.ts',
    "import { openCluster } from '../adapters/kubernetes.ts';",
    /src\/api may not import src\/adapters/,
  ],
  [
    'a route that reads the configuration',
    'src/api/app.ts',
    "import type { Config } from '../config.ts';",
    /src\/api may not import src\/config.ts/,
  ],
  [
    'a reconcile that knows HTTP',
    'src/reconcile/reconcile.ts',
    "import { etagOf } from '../http/preconditions.ts';",
    /src\/reconcile may not import src\/http/,
  ],
  [
    'a shell that knows a noun',
    'src/http/guards.ts',
    "import { teamView } from '../teams/rules.ts';",
    /src\/http may not import src\/teams/,
  ],
  [
    'a schema that knows a rule',
    'src/model/notebook.ts',
    "import { applyPatch } from '../notebooks/spec.ts';",
    /src\/model may not import src\/notebooks/,
  ],
  [
    'a port that knows an adapter',
    'src/ports/cluster.ts',
    "export { openCluster } from '../adapters/kubernetes.ts';",
    /src\/ports may not import src\/adapters/,
  ],
  [
    'an adapter that knows a route',
    'src/adapters/sqlite.ts',
    "const { registerTeams } = await import('../api/teams.ts');",
    /src\/adapters may not import src\/api/,
  ],
  [
    'a noun that borrows from a higher one',
    'src/teams/rules.ts',
    "import { order } from '../notebooks/rules.ts';",
    /src\/teams may not import src\/notebooks/,
  ],
  [
    'a cloud client outside of the adapters',
    'src/secrets/provision.ts',
    "import { SecretManagerServiceClient } from '@google-cloud/secret-manager';",
    /may not import @google-cloud/,
  ],
  [
    'a simulator that knows the product',
    'simulators/hubs/hub.ts',
    "import { serverSegment } from '../../src/model/names.ts';",
    /simulators may not import src/,
  ],
  [
    'a product that knows a simulator',
    'src/main.ts',
    "import { startHubs } from '@knada/simulators/hubs/server.ts';",
    /src may not import simulators/,
  ],
  [
    'a product that knows the sandbox',
    'src/assemble.ts',
    "import { startSandbox } from '../local/sandbox.ts';",
    /src may not import local/,
  ],
  [
    'a product that knows a test',
    'src/api/app.ts',
    "import { anApp } from '../../test/support/api.ts';",
    /may not import test/,
  ],
];

describe('the floors of the source', () => {
  const files = sources();

  for (const [title, file, text, says] of planted) {
    it(`refuse ${title}`, () => {
      const said = breachesOf(file, text).map((breach) => breach.says);
      assert.equal(said.length, 1, said.join('; '));
      assert.match(said[0] ?? '', says);
    });
  }

  it('let a rule import a schema, its types from a client, and the rule of a noun below', () => {
    const text = `import type { V1NetworkPolicy } from '@kubernetes/client-node';
      import type { TeamRecord } from '../model/record.ts';
      import { bumpGeneration } from '../teams/rules.ts';
      export const at = (now: number) => new Date(now).toISOString();`;
    assert.deepEqual(breachesOf('src/notebooks/rules.ts', text), []);
  });

  it('are kept by every file', () => {
    const breaches = [...files].flatMap(([file, text]) => breachesOf(file, text));
    assert.deepEqual(breaches, []);
    assert.ok(files.size > 300, `only ${files.size} modules were seen`);
  });

  it('have a room for every file, and a file for every room', () => {
    assert.deepEqual(
      [...files.keys()].filter((file) => roomOf(file) === undefined),
      [],
    );
    for (const { room } of rooms) {
      assert.ok(
        [...files.keys()].some((file) => roomOf(file)?.room === room),
        `${room} is empty`,
      );
    }
  });

  it('have no arrow up and no circle', () => {
    const floorOf = (room: string) => rooms.find((one) => one.room === room)?.floor ?? 0;
    for (const { room, imports } of rooms) {
      for (const other of imports)
        assert.ok(floorOf(other) <= floorOf(room), `${room} may import ${other}, which is above it`);
    }
    const arrows = arrowsOf(files);
    assert.ok(arrows.size > 50);
    assert.deepEqual(circlesOf(arrows.keys()), []);
  });

  it('name no shell file that is gone, or that has become pure', () => {
    for (const file of shell) {
      const text = files.get(file);
      assert.ok(text !== undefined, `${file} does not exist`);
      const asPure = breachesOf(file.replace(/\.ts$/, '.pure.ts'), text);
      assert.notDeepEqual(asPure, [], `${file} is pure; take it off the list`);
    }
  });
});
