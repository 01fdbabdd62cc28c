import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { DockerfileParser } from 'dockerfile-ast';
import { parse } from 'yaml';

const root = fileURLToPath(new URL('../../', import.meta.url));
const text = (path: string) => readFileSync(`${root}${path}`, 'utf8');
const dockerfile = DockerfileParser.parse(text('Dockerfile'));
const instructions = dockerfile.getInstructions().map((each) => ({
  keyword: each.getKeyword(),
  arguments: each.getArgumentsContent() ?? '',
}));
const argumentsOf = (keyword: string) =>
  instructions.filter((each) => each.keyword === keyword).map((each) => each.arguments);
const lastStage = instructions.slice(instructions.findLastIndex(({ keyword }) => keyword === 'FROM'));

describe('the image', () => {
  it('uses Node 24, which runs the sources without a build', () => {
    for (const from of argumentsOf('FROM')) assert.match(from, /^node:24-slim( AS [a-z]+)?$/);
  });

  it('does not run as root', () => {
    const user = lastStage.findLast(({ keyword }) => keyword === 'USER');
    assert.equal(user?.arguments, 'node');
    const start = lastStage.findIndex(({ keyword }) => keyword === 'CMD');
    assert.ok(lastStage.findIndex(({ keyword }) => keyword === 'USER') < start);
  });

  it('installs production dependencies from the lockfile without running their scripts', () => {
    const installs = argumentsOf('RUN').filter((each) => each.includes('npm'));
    assert.equal(installs.length, 1);
    assert.match(installs[0] ?? '', /^npm ci .*--omit=dev.*--ignore-scripts/);
  });

  it('starts Node directly, so Node receives SIGTERM', () => {
    assert.deepEqual(
      argumentsOf('CMD').map((each) => JSON.parse(each)),
      [['node', 'src/main.ts']],
    );
    assert.deepEqual(argumentsOf('ENTRYPOINT'), []);
  });

  it('contains the named sources only, as does the build context', () => {
    const copied = argumentsOf('COPY')
      .flatMap((each) => each.split(/\s+/).slice(0, -1))
      // From the stage before, not from here.
      .filter((path) => !path.startsWith('/'));
    assert.deepEqual([...new Set(copied)].sort(), [
      '.npmrc',
      'functions',
      'package-lock.json',
      'package.json',
      'src',
    ]);
    for (const path of copied) assert.ok(existsSync(`${root}${path}`), path);
    const ignored = text('.dockerignore')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    assert.equal(ignored[0], '*');
    assert.deepEqual(
      ignored
        .slice(1)
        .map((line) => line.replace(/^!/, ''))
        .sort(),
      [...new Set(copied)].sort(),
    );
  });

  it('uses no secrets and downloads only packages', () => {
    assert.deepEqual(argumentsOf('ADD'), []);
    assert.deepEqual(argumentsOf('ARG'), []);
  });
});

describe('the build', () => {
  const build: {
    steps: { id: string; script: string }[];
    substitutions: Record<string, string>;
    options: { env: string[] };
  } = parse(text('cloudbuild.yaml'));

  it('runs the checks before building, and smoke-tests the deployment', () => {
    assert.deepEqual(
      build.steps.map(({ id }) => id),
      ['check', 'build', 'push', 'deploy', 'smoke'],
    );
  });

  it('stops at the first failing command of a step', () => {
    for (const { id, script } of build.steps)
      assert.match(script, /^#!\/usr\/bin\/env bash\nset -euo pipefail\n/, id);
  });

  it('has a value for every placeholder', () => {
    const names = new Set(build.options.env.map((each) => each.split('=')[0]));
    const deploy = build.steps.find(({ id }) => id === 'deploy')?.script ?? '';
    const inDeployStep = new Set([...deploy.matchAll(/export ([A-Z]+)/g)].map((match) => match[1]));
    const placeholders = ['service.yaml', 'deploy/functions.yaml', 'deploy/admission.yaml'].flatMap((file) =>
      [...text(file).matchAll(/\$\{([A-Z_]+)\}/g)].map((match) => match[1]),
    );
    for (const name of placeholders) assert.ok(inDeployStep.has(name) || names.has(name ?? ''), name);
  });

  it('deploys every function', () => {
    const deploy = build.steps.find(({ id }) => id === 'deploy')?.script ?? '';
    // Those of the scheduler by one file, the one that the API server calls by its own.
    const scheduled = /for FUNCTION in (.*); do/.exec(deploy)?.[1]?.split(' ') ?? [];
    const own = /^\s*replace deploy\/(admission)\.yaml$/m.exec(deploy)?.[1];
    const deployed = [...(own === undefined ? [] : [own]), ...scheduled];
    const registered = [...text('functions/index.ts').matchAll(/^http\('([a-z]+)'/gm)].map(
      (match) => match[1],
    );
    assert.ok(registered.length > 1);
    assert.deepEqual(deployed.toSorted(), registered.toSorted());
  });

  it('deploys a digest', () => {
    assert.match(build.steps.find(({ id }) => id === 'push')?.script ?? '', /RepoDigests/);
  });
});
