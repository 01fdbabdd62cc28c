import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { blocksBelow, clients, commandsOf, document, sourceOf } from './clients.ts';

const fileAt = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8');
const markdown = document();

/** Lines without the indentation of the place that they are shown from. */
const linesOf = (text: string): readonly string[] => text.split('\n').map((line) => line.trim());

const codeOf = (heading: string): readonly string[] =>
  blocksBelow(markdown, heading)
    .filter(({ language }) => language !== 'sh' && language !== 'text')
    .map(({ text }) => text.trim());

const matchesOf = (text: string, pattern: RegExp): readonly string[] =>
  [...text.matchAll(pattern)].map(([, ...groups]) => groups.join(' ')).toSorted();

describe('docs/sdks.md', () => {
  for (const client of clients) {
    it(`shows the program of ${client.heading} as it runs`, () => {
      const source = linesOf(sourceOf(client)).join('\n');
      const shown = codeOf(client.heading);
      const lines = shown.join('\n').split('\n').length;
      assert.ok(lines >= 15 && lines <= 40, `${lines} lines`);
      for (const block of shown) {
        assert.ok(source.includes(linesOf(block).join('\n')), `not in ${client.source}:\n${block}`);
      }
    });

    it(`has the commands that generate and check ${client.heading}`, () => {
      assert.notEqual(commandsOf(client, 'Generate'), '');
      assert.notEqual(commandsOf(client, 'Check'), '');
    });
  }

  it('names the versions of the generators that CI uses', () => {
    const [, openapiGenerator] = /^openapi_generator=(.+)$/m.exec(fileAt('../../.ci/sdk-assets')) ?? [];
    const [, oapiCodegen] = /^oapi_codegen=(.+)$/m.exec(fileAt('../../.ci/sdk-assets')) ?? [];
    const path = 'openapi-generator-cli';
    assert.ok(markdown.includes(`${path}/${openapiGenerator}/${path}-${openapiGenerator}.jar`));
    assert.ok(markdown.includes(`cmd/oapi-codegen@${oapiCodegen}\n`));
  });

  it('installs the Python packages that CI uses', () => {
    const named = matchesOf(markdown, /([\w-]+)==([\w.]+)/g);
    assert.deepEqual(named, matchesOf(fileAt('./python/requirements.txt'), /([\w-]+)==([\w.]+)/g));
  });

  it('installs the Go modules that CI uses', () => {
    for (const { folder, heading } of clients.filter(({ source }) => source.endsWith('.go'))) {
      const install = blocksBelow(markdown, heading)[0]?.text ?? '';
      const [, ...lines] = install.split('\n');
      const named = matchesOf(lines.filter((line) => line.startsWith('go get')).join('\n'), /(\S+)@(\S+)/g);
      const direct = fileAt(`./${folder}/go.mod`).replaceAll(/^.*\/\/ indirect$/gm, '');
      assert.deepEqual(named, matchesOf(direct, /([\w.-]+\.[a-z]+\/\S+) (v\S+)/g), heading);
    }
  });

  it('names the Java libraries that CI uses', () => {
    const [named] = blocksBelow(markdown, 'Java').filter(({ language }) => language === 'text');
    assert.deepEqual(
      named?.text.trim().split('\n'),
      fileAt('./java/dependencies.txt')
        .trim()
        .split('\n')
        .map((line) => line.replace(/ .*/, '')),
    );
  });

  it('installs the npm packages that CI uses', () => {
    const { dependencies, devDependencies } = JSON.parse(fileAt('./package.json'));
    const pinned = new Map<string, string>(Object.entries({ ...dependencies, ...devDependencies }));
    const named = [...markdown.matchAll(/(?<=^npm install.*) ([a-z][\w-]*)@([\d.]+)/gm)];
    assert.ok(named.length >= 3);
    for (const [, name = '', version] of named) assert.equal(version, pinned.get(name), name);
  });
});
