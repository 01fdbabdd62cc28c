import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { validateWorkflow } from '@action-validator/core';
import { DockerfileParser } from 'dockerfile-ast';
import { validate } from 'dockerfile-utils';
import fc from 'fast-check';
import { parse } from 'yaml';
import { parseTeamImage } from '../../src/images/reference.ts';
import { createScaffold, type ScaffoldOrder } from '../../src/images/scaffold.ts';
import { imageRegistries } from '../../src/model/image.ts';

const digest = `sha256:${'a'.repeat(64)}`;
const ok: ScaffoldOrder = {
  registry: 'ghcr',
  team: 'team-a',
  name: 'team-a-notebook',
  owner: 'navikt',
  python: '3.11',
  baseImage: {
    reference: 'ghcr.io/navikt/knada-images/jupyter:20251124-120000-3.11',
    digest,
    tag: '20251124-120000-3.11',
  },
  requirements: '# for the model\npandas==2.2.3\n',
};

interface Step {
  name?: string;
  id?: string;
  uses?: string;
  run?: string;
  with?: Record<string, unknown>;
}
interface Workflow {
  on: Record<string, unknown>;
  permissions: Record<string, string>;
  jobs: { build: { steps: Step[] } };
}

function filesOf(changes: Partial<ScaffoldOrder> = {}) {
  const scaffold = createScaffold({ ...ok, ...changes });
  assert.ok(scaffold.ok, JSON.stringify(scaffold));
  return scaffold.files;
}

function file(path: string, changes: Partial<ScaffoldOrder> = {}) {
  const content = filesOf(changes)[path];
  assert.ok(content !== undefined, path);
  return content;
}

function workflow(changes: Partial<ScaffoldOrder> = {}, version: '1.1' | '1.2' = '1.2'): Workflow {
  return parse(file('.github/workflows/image.yaml', changes), { version }) as Workflow;
}

function pointersOf(changes: Partial<ScaffoldOrder>) {
  const scaffold = createScaffold({ ...ok, ...changes });
  return scaffold.ok ? [] : scaffold.errors.map(({ pointer }) => pointer);
}

function step(steps: readonly Step[], uses: string): Step {
  const found = steps.find((candidate) => candidate.uses?.startsWith(`${uses}@`));
  assert.ok(found, uses);
  return found;
}

/** Runs a step's script as a runner does, and answers what it wrote to the file in the variable. */
function runStep(t: TestContext, script: string, variable: string, env: Record<string, string>): string {
  const folder = mkdtempSync(join(tmpdir(), 'scaffold-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const output = join(folder, 'output');
  execFileSync('bash', ['--noprofile', '--norc', '-eo', 'pipefail', '-c', script], {
    env: { PATH: process.env.PATH, ...env, [variable]: output },
  });
  return readFileSync(output, 'utf8');
}

for (const registry of imageRegistries) {
  describe(`a scaffold for ${registry}`, () => {
    it('has four files that end in one line break', () => {
      const files = filesOf({ registry });
      assert.deepEqual(Object.keys(files), [
        'Dockerfile',
        'requirements.txt',
        '.dockerignore',
        '.github/workflows/image.yaml',
      ]);
      for (const content of Object.values(files)) assert.match(content, /[^\n]\n$/);
    });

    it('has a Dockerfile without linter findings', () => {
      assert.deepEqual(validate(file('Dockerfile', { registry })), []);
    });

    it('has a workflow that matches GitHub’s schema', () => {
      const text = file('.github/workflows/image.yaml', { registry });
      assert.deepEqual(validateWorkflow(text).errors, []);
      assert.notDeepEqual(validateWorkflow(text.replace('runs-on', 'runs_on')).errors, []);
    });

    it('builds on a push to main, weekly and by hand', () => {
      assert.deepEqual(Object.keys(workflow({ registry }).on), ['push', 'schedule', 'workflow_dispatch']);
    });

    it('names actions by their major version only', () => {
      for (const { uses } of workflow({ registry }).jobs.build.steps) {
        if (uses !== undefined) assert.match(uses, /^[a-z]+\/[a-z-]+@v\d+$/);
      }
    });

    it('prints the built image, for any name', (t) => {
      const show = workflow({ registry }).jobs.build.steps.at(-1)?.run ?? '';
      // A name that a careless script would run as a command.
      const summary = runStep(t, show, 'GITHUB_STEP_SUMMARY', { IMAGE: 'echo injected' });
      assert.equal(summary, '`echo injected`\n');
    });

    it('rebuilds the packages at each run in spite of the cache', () => {
      const { steps } = workflow({ registry }).jobs.build;
      const build = registry === 'gar' ? 'nais/docker-build-push' : 'docker/build-push-action';
      const args = step(steps, build).with ?? {};
      // biome-ignore lint/suspicious/noTemplateCurlyInString: GitHub fills this in
      assert.equal(args.build_args ?? args['build-args'], 'BUILD=${{ github.run_id }}');
      const keywords = DockerfileParser.parse(file('Dockerfile'))
        .getInstructions()
        .map((instruction) => instruction.getKeyword());
      assert.ok(keywords.indexOf('ARG') < keywords.indexOf('RUN'));
    });
  });
}

describe('the Dockerfile of a scaffold', () => {
  const dockerfile = DockerfileParser.parse(file('Dockerfile'));
  const instructions = dockerfile
    .getInstructions()
    .map((instruction) => `${instruction.getKeyword()} ${instruction.getArgumentsContent()}`);

  it('pins the base by digest and keeps its tag as a comment', () => {
    const [from] = dockerfile.getFROMs();
    assert.equal(from?.getImage(), `ghcr.io/navikt/knada-images/jupyter@${digest}`);
    assert.match(file('Dockerfile'), /^# .*knada-images\/jupyter:20251124-120000-3\.11\.$/m);
  });

  it('installs as root and runs as an unprivileged user', () => {
    assert.deepEqual(instructions, [
      `FROM ghcr.io/navikt/knada-images/jupyter@${digest}`,
      'LABEL org.opencontainers.image.source=https://github.com/navikt/team-a-notebook',
      'USER root',
      'COPY requirements.txt /opt/image/requirements.txt',
      'ARG BUILD=0',
      'RUN pip install --no-cache-dir --requirement /opt/image/requirements.txt',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the base image sets this
      'USER ${NB_UID}',
    ]);
  });

  it('copies nothing that .dockerignore excludes', () => {
    const rules = file('.dockerignore')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    assert.deepEqual(rules, ['*', '!requirements.txt']);
  });
});

describe('the workflow of a scaffold', () => {
  it('pushes to the team’s repository in GAR with workload identity, not a password', () => {
    const { permissions, jobs } = workflow({ registry: 'gar' });
    assert.deepEqual(permissions, { contents: 'read', 'id-token': 'write' });
    assert.equal(step(jobs.build.steps, 'nais/docker-build-push').with?.team, 'team-a');
  });

  it('quotes a team’s name that YAML would read as another type', () => {
    for (const team of ['no', 'on', 'null', 'true']) {
      const { steps } = workflow({ registry: 'gar', team }, '1.1').jobs.build;
      assert.equal(step(steps, 'nais/docker-build-push').with?.team, team);
    }
  });

  it('pushes one manifest for amd64 to GHCR with the job’s own token', () => {
    const { permissions, jobs } = workflow({ registry: 'ghcr' });
    assert.deepEqual(permissions, { contents: 'read', packages: 'write' });
    const build = step(jobs.build.steps, 'docker/build-push-action').with;
    assert.equal(build?.platforms, 'linux/amd64');
    assert.equal(build?.provenance, false);
    assert.equal(build?.push, true);
    assert.equal(step(jobs.build.steps, 'docker/login-action').with?.registry, 'ghcr.io');
  });

  it('says that a new GHCR package is private, and how to change that', () => {
    assert.match(file('.github/workflows/image.yaml'), /make the package public/);
  });

  it('generates a unique tag that sorts by time and that the team may use', (t) => {
    const { steps } = workflow({ registry: 'ghcr', owner: 'NAVikt' }).jobs.build;
    const script = steps.find(({ id }) => id === 'tag')?.run ?? '';
    const before = Date.now();
    const output = runStep(t, script, 'GITHUB_OUTPUT', { GITHUB_SHA: '0123456789abcdef', TZ: 'Europe/Oslo' });
    const image = /^image=(.+)\n$/.exec(output)?.[1] ?? '';
    const parsed = parseTeamImage(image, {
      ghcrOwner: 'navikt',
      garRegion: 'europe-north1',
      garProject: 'nais-management-233d',
    });
    assert.ok(parsed.ok, image);
    assert.equal(parsed.reference.path, 'navikt/team-a-notebook');
    const [, y, mo, d, h, mi, s] =
      /^(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)-0123456$/.exec(parsed.reference.tag ?? '') ?? [];
    const tagged = Date.parse(`${y}-${mo}-${d}T${h}:${mi}:${s}Z`);
    assert.ok(tagged >= before - 1000 && tagged <= Date.now(), 'the tag is not the time in UTC');
  });
});

describe('an order for a scaffold', () => {
  it('keeps the requirements unchanged', () => {
    assert.equal(file('requirements.txt'), ok.requirements);
    assert.equal(file('requirements.txt', { requirements: 'pandas' }), 'pandas\n');
  });

  const bad: readonly (readonly [string, Partial<ScaffoldOrder>, string])[] = [
    ['a line break in the name', { name: 'x\nRUN evil' }, '/name'],
    ['an expression in the name', { name: 'x$(id)' }, '/name'],
    ['a GitHub expression in the name', { name: 'x$'.concat('{{ secrets.GITHUB_TOKEN }}') }, '/name'],
    ['upper case in the name', { name: 'Notebook' }, '/name'],
    ['a path in the name', { name: '../x' }, '/name'],
    ['no name', { name: '' }, '/name'],
    ['a long name', { name: 'x'.repeat(129) }, '/name'],
    ['a quote in the team', { team: 'a"b' }, '/team'],
    ['a team of dashes', { team: `a${'-'.repeat(60)}!` }, '/team'],
    ['a line break in the owner', { owner: 'navikt\n' }, '/owner'],
    ['another language', { python: '3.11\nRUN evil' }, '/python'],
    ['a base without a digest', { baseImage: { ...ok.baseImage, digest: 'latest' } }, '/baseImage/digest'],
    ['a base with a broken tag', { baseImage: { ...ok.baseImage, tag: '1\nRUN x' } }, '/baseImage/tag'],
    ['a base that is none', { baseImage: { ...ok.baseImage, reference: 'a b' } }, '/baseImage/reference'],
    ['an index of packages', { requirements: '--extra-index-url https://evil.example' }, '/requirements'],
  ];
  for (const [what, changes, pointer] of bad) {
    it(`is refused with ${what}`, () => assert.deepEqual(pointersOf(changes), [pointer]));
  }

  it('is refused with all faults at once', () => {
    assert.deepEqual(pointersOf({ name: '', team: '', requirements: '-r x\n-e .' }), [
      '/name',
      '/team',
      '/requirements',
      '/requirements',
    ]);
  });

  it('cannot add an instruction or a step', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 12 }),
      fc.stringMatching(/^[a-z0-9._\n-]{1,8}$/),
    );
    const change = fc.constantFrom('name', 'team', 'owner', 'python');
    fc.assert(
      fc.property(change, text, fc.constantFrom(...imageRegistries), (field, value, registry) => {
        const scaffold = createScaffold({ ...ok, registry, [field]: value });
        if (!scaffold.ok) return;
        const parsed = DockerfileParser.parse(scaffold.files.Dockerfile ?? '');
        assert.equal(parsed.getInstructions().length, 7);
        const steps = parse(scaffold.files['.github/workflows/image.yaml'] ?? '').jobs.build.steps;
        assert.equal(steps.length, registry === 'gar' ? 3 : 6);
      }),
      { numRuns: 300 },
    );
  });
});
