import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = join(root, 'examples', 'web');
const files = new Map(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
const tutorial = readFileSync(join(root, 'docs', 'tutorial.md'), 'utf8');
const blocks = [...tutorial.matchAll(/^```(?:js|html|css)\n(.*?)^```$/gms)].map(([, code = '']) => code);
const linesOf = (...names: readonly string[]): number =>
  names.reduce((sum, name) => sum + (files.get(name) ?? '').split('\n').length - 1, 0);

describe('the tutorial', () => {
  it('shows the page’s own code', () => {
    assert.ok(blocks.length >= 10);
    const foreign = blocks.filter((code) => ![...files.values()].some((text) => text.includes(code)));
    assert.deepEqual(foreign, []);
  });

  it('names every file of the page', () => {
    for (const name of files.keys()) assert.ok(tutorial.includes(`(../examples/web/${name})`), name);
  });

  it('is about a page that is short', () => {
    assert.ok(linesOf('index.html', 'page.css', 'page.js') <= 300, 'the page');
    assert.ok(linesOf('api.js', 'form.js') <= 170, 'what it needs and any other page could use');
  });
});
