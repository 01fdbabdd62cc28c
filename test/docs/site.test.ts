import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, posix } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { asList, asText, at, parseJson } from '@knada/simulators/kubernetes/json.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const vitepress = join(root, 'docs/node_modules/.bin/vitepress');

const whyNot = (): string | false => {
  if (existsSync(vitepress)) return false;
  const reason = 'the site’s packages are not installed; npm ci --prefix docs installs them';
  if (process.env.CI === 'true') throw new Error(`In CI this suite must run: ${reason}`);
  return reason;
};

const unescaped = (text: string): string => text.replaceAll('&amp;', '&').replaceAll('&#39;', "'");

/** The values of an attribute of some elements. */
const valuesOf = (html: string, element: string, attribute: string): readonly string[] =>
  [...html.matchAll(new RegExp(`<${element}\\b[^>]*\\s${attribute}="([^"]*)"`, 'g'))].map(([, value = '']) =>
    unescaped(value),
  );

describe('npm run docs', { timeout: 300_000, skip: whyNot() }, () => {
  let folder: string;
  const pages = new Map<string, string>();

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'site-'));
    // It fails by itself when a document links to a page or file that does not exist.
    await promisify(execFile)(vitepress, ['build', 'docs'], {
      cwd: root,
      env: { ...process.env, DOCS_OUT: folder },
    });
    for (const name of readdirSync(folder).filter((one) => one.endsWith('.html') && one !== '404.html')) {
      pages.set(`/${name.replace(/(?:index)?\.html$/, '')}`, readFileSync(join(folder, name), 'utf8'));
    }
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it('makes a page of every document, and each is in the sidebar', () => {
    const documents = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'));
    const linked = new Set(valuesOf(pages.get('/brukerveiledning') ?? '', 'a', 'href'));
    for (const name of documents.filter((one) => one !== 'index.md')) {
      const address = `/${name.replace(/\.md$/, '')}`;
      assert.ok(pages.has(address), `${name} is not a page`);
      assert.ok(linked.has(address), `${name} is not in the list of pages in docs/.vitepress/config.mjs`);
    }
    for (const address of ['/', '/overview', '/deploy', '/examples', '/contributing'])
      assert.ok(pages.has(address));
  });

  it('has no broken link and no broken anchor', () => {
    const broken: string[] = [];
    for (const [address, html] of pages) {
      for (const href of valuesOf(html, 'a', 'href')) {
        if (/^[a-z]+:/.test(href)) continue;
        const [path = '', anchor] = href.split('#');
        const target = path === '' ? address : posix.resolve(address, '..', decodeURI(path));
        const file = join(folder, target === '/' ? 'index.html' : target);
        const page = pages.get(target);
        if (page === undefined && !existsSync(file)) broken.push(`${address}: ${href}`);
        else if (anchor !== undefined && !page?.includes(`id="${decodeURIComponent(anchor)}"`)) {
          broken.push(`${address}: ${href}`);
        }
      }
    }
    assert.deepEqual(broken, []);
  });

  it('loads nothing from another host', () => {
    const all = [...pages, ['/api/', readFileSync(join(folder, 'api/index.html'), 'utf8')] as const];
    for (const [address, html] of all) {
      const loaded = [
        ...valuesOf(html, 'script', 'src'),
        ...valuesOf(html, 'link', 'href'),
        ...valuesOf(html, 'img', 'src'),
      ];
      assert.deepEqual(
        loaded.filter((one) => /^(?:https?:)?\/\//.test(one)),
        [],
        address,
      );
    }
    const styles = readdirSync(join(folder, 'assets')).filter((name) => name.endsWith('.css'));
    for (const name of styles) {
      assert.doesNotMatch(
        readFileSync(join(folder, 'assets', name), 'utf8'),
        /url\(["']?(?:https?:)?\/\//,
        name,
      );
    }
  });

  it('says which language a page is in', () => {
    assert.match(pages.get('/brukerveiledning') ?? '', /^<!DOCTYPE html>\s*<html lang="nb"/);
    assert.match(pages.get('/design') ?? '', /^<!DOCTYPE html>\s*<html lang="en"/);
  });

  it('finds what a reader looks for', async () => {
    const chunks = join(folder, 'assets/chunks');
    const [name = ''] = readdirSync(chunks).filter((one) => one.startsWith('@localSearchIndexroot'));
    const index: { default: string } = await import(pathToFileURL(join(chunks, name)).href);
    const minisearch = pathToFileURL(join(root, 'docs/node_modules/minisearch/dist/es/index.js')).href;
    const { default: MiniSearch } = await import(minisearch);
    const search = MiniSearch.loadJSON(index.default, {
      fields: ['title', 'titles', 'text'],
      storeFields: ['title', 'titles'],
    });
    const found = (query: string): readonly string[] => {
      const options = { prefix: true, boost: { title: 4, text: 2, titles: 1 } };
      const hits = asList(parseJson(JSON.stringify(search.search(query, options))));
      return hits.map((hit) => asText(at(hit, 'id')));
    };
    const first = (query: string) => found(query)[0];
    assert.equal(first('huben har fryst'), '/brukerveiledning#når-huben-har-fryst');
    assert.equal(first('cull timeout'), '/brukerveiledning#cull-timeout');
    assert.equal(
      first('hemmelighet eget prosjekt'),
      '/brukerveiledning#hemmeligheter-i-teamets-eget-prosjekt',
    );
    assert.ok(found('revision_mismatch').some((id) => id.startsWith('/errors#')));
  });

  it('shows the contract and the diagrams without a server', () => {
    const contract = parseJson(readFileSync(join(folder, 'api/openapi.json'), 'utf8'));
    assert.equal(at(contract, 'info', 'title'), 'KNADA Notebooks');
    for (const file of ['api/swagger-ui-bundle.js', 'api/swagger-ui.css', 'mermaid.js']) {
      assert.ok(existsSync(join(folder, file)), file);
    }
    const diagrams = valuesOf(pages.get('/floor-plan') ?? '', 'div', 'class').filter(
      (one) => one === 'diagram',
    );
    assert.equal(diagrams.length, 1);
  });
});
