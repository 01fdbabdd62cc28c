import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { urlOf } from '../local/ports.ts';
import { firstSteps } from '../local/welcome.ts';
import packageJson from '../package.json' with { type: 'json' };

const documents = [
  'README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  'bench/README.md',
  'deploy/README.md',
  'docs/brukerveiledning.md',
  'docs/design.md',
  'docs/floor-plan.md',
  'docs/tutorial.md',
  'docs/operations.md',
  'docs/sdks.md',
  'examples/README.md',
  'simulators/README.md',
];
const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');

describe('the README', () => {
  it('shows the commands that the sandbox prints', () => {
    assert.ok(read('README.md').includes(firstSteps({ url: (part) => urlOf(part, 8080) })));
  });

  it('names the address of the page', () => {
    assert.ok(read('README.md').includes(`<${urlOf('page', 8080)}>`));
    assert.ok(read('docs/tutorial.md').includes(urlOf('page', 8080)));
  });

  it('names commands that exist', () => {
    const named = [...read('README.md').matchAll(/`?npm run ([a-z]+)/g)].map(([, name = '']) => name);
    assert.ok(named.length >= 4);
    for (const name of named) assert.ok(name in packageJson.scripts, `npm run ${name}`);
  });
});

describe('the documents', () => {
  for (const path of documents) {
    it(`${path} has no broken links`, () => {
      const prose = read(path).replaceAll(/^```.*?^```/gms, '');
      const targets = [...prose.matchAll(/\]\(([^)#]+)(#[^)]*)?\)/g)].map(([, target = '']) => target);
      const folder = new URL(`../${path}`, import.meta.url);
      const broken = targets.filter(
        (target) => !/^https?:/.test(target) && !existsSync(new URL(target, folder)),
      );
      assert.deepEqual(broken, []);
    });
  }
});
