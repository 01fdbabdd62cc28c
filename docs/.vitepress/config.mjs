import { copyFileSync, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitepress';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Pages by section: file in the repository, address, title. A document that is not here is not on the site. */
const pages = [
  { file: 'docs/index.md', at: 'index.md' },
  {
    file: 'docs/brukerveiledning.md',
    at: 'brukerveiledning.md',
    in: 'Brukerveiledning',
    title: 'Brukerveiledning',
  },
  { file: 'README.md', at: 'overview.md', in: 'Developers', title: 'Overview' },
  { file: 'docs/tutorial.md', at: 'tutorial.md', in: 'Developers', title: 'Tutorial: an order form' },
  { file: 'docs/sdks.md', at: 'sdks.md', in: 'Developers', title: 'SDKs' },
  { file: 'examples/README.md', at: 'examples.md', in: 'Developers', title: 'Examples' },
  { file: 'docs/errors.md', at: 'errors.md', in: 'Developers', title: 'Errors' },
  { file: 'CHANGELOG.md', at: 'changelog.md', in: 'Developers', title: 'Changelog' },
  { file: 'deploy/README.md', at: 'deploy.md', in: 'Operators', title: 'Deploying' },
  { file: 'docs/operations.md', at: 'operations.md', in: 'Operators', title: 'Operating' },
  { file: 'docs/design.md', at: 'design.md', in: 'Operators', title: 'Design' },
  { file: 'CONTRIBUTING.md', at: 'contributing.md', in: 'Contributors', title: 'Contributing' },
  { file: 'docs/floor-plan.md', at: 'floor-plan.md', in: 'Contributors', title: 'Floor plan' },
  { file: 'simulators/README.md', at: 'simulators.md', in: 'Contributors', title: 'Simulators' },
  { file: 'bench/README.md', at: 'bench.md', in: 'Contributors', title: 'Benchmarks' },
].filter(({ file }) => existsSync(join(root, file)));

const apiReference = { text: 'API reference', link: '/api/', target: '_self' };
const linksOf = (section) =>
  pages
    .filter((page) => page.in === section)
    .map(({ at, title }) => ({ text: title, link: `/${at.replace(/\.md$/, '')}` }));

const sections = {
  Brukerveiledning: linksOf('Brukerveiledning'),
  Developers: [...linksOf('Developers'), apiReference],
  Operators: linksOf('Operators'),
  Contributors: linksOf('Contributors'),
};

/** Where a link leads on the site; undefined for a file that only the repository has. Throws if there is no such file. */
const siteLink = (href, from) => {
  const [path, hash = ''] = href.split(/(?=#)/);
  const target = join(dirname(from), decodeURI(path));
  if (!existsSync(join(root, target))) throw new Error(`${from} links to ${href}, which does not exist`);
  if (target === 'openapi/openapi.json') return apiReference.link;
  const file = statSync(join(root, target)).isDirectory() ? join(target, 'README.md') : target;
  const page = pages.find((one) => one.file === file);
  return page && `/${page.at}${hash}`;
};

/** Documents link to files as they are in the repository. Links to files that are not pages become plain text. */
const repositoryLinks = (md) => {
  md.core.ruler.push('repository-links', ({ tokens, env }) => {
    const from = pages.find(({ at }) => at === env.relativePath)?.file;
    if (from === undefined) return;
    for (const { children } of tokens) {
      const open = [];
      for (const token of children ?? []) {
        if (token.type === 'link_open') {
          open.push(token);
          const href = token.attrGet('href') ?? '';
          if (/^(?:[a-z]+:|#|\/)/.test(href)) continue;
          const link = siteLink(href, from);
          if (link === undefined) Object.assign(token, { type: 'text', tag: '', content: '' });
          else token.attrSet('href', link);
          if (link === apiReference.link) token.attrSet('target', '_self');
        } else if (token.type === 'link_close' && open.pop()?.type === 'text') {
          Object.assign(token, { type: 'text', tag: '', content: '' });
        }
      }
    }
  });
};

/** The anchor of a heading, as on GitHub: one link works in both places. */
const anchorOf = (heading) =>
  heading
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(/\s/g, '-');

const diagrams = (md) => {
  const { fence } = md.renderer.rules;
  md.renderer.rules.fence = (tokens, index, ...rest) =>
    tokens[index].info.trim() === 'mermaid'
      ? `<Diagram code="${encodeURIComponent(tokens[index].content)}" />`
      : fence(tokens, index, ...rest);
};

/** Files that are served as they are: bundling them would take longer than everything else together. */
const assets = {
  'mermaid.js': 'docs/node_modules/@mermaid-js/tiny/dist/mermaid.tiny.js',
  // The contract, readable without a server: Swagger UI as the API itself serves it.
  'api/index.html': 'docs/.vitepress/api-reference.html',
  'api/openapi.json': 'openapi/openapi.json',
  'api/swagger-ui.css': 'node_modules/@fastify/swagger-ui/static/swagger-ui.css',
  'api/swagger-ui-bundle.js': 'node_modules/@fastify/swagger-ui/static/swagger-ui-bundle.js',
};
const copyAssets = (outDir) => {
  mkdirSync(join(outDir, 'api'), { recursive: true });
  for (const [at, file] of Object.entries(assets)) copyFileSync(join(root, file), join(outDir, at));
};

export default defineConfig({
  title: 'KNADA Notebooks',
  description: 'Jupyter notebooks for NAV’s data teams',
  lang: 'en',
  srcDir: '..',
  outDir: process.env.DOCS_OUT ?? fileURLToPath(new URL('dist', import.meta.url)),
  srcExclude: readdirSync(root)
    .filter((name) => !pages.some(({ file }) => file.split('/')[0] === name))
    .map((name) => `${name}/**`),
  rewrites: Object.fromEntries(pages.map(({ file, at }) => [file, at])),
  cleanUrls: true,
  ignoreDeadLinks: [/^http:\/\/localhost:/, /^\/api\//],
  markdown: {
    anchor: { slugify: anchorOf },
    config(md) {
      md.use(repositoryLinks);
      md.use(diagrams);
    },
  },
  transformHtml: (html, _, { page }) =>
    page === 'brukerveiledning.md' ? html.replace('<html lang="en"', '<html lang="nb"') : html,
  buildEnd: ({ outDir }) => copyAssets(outDir),
  vite: { publicDir: fileURLToPath(new URL('../public', import.meta.url)) },
  themeConfig: {
    nav: [
      { text: 'Brukerveiledning', link: '/brukerveiledning' },
      { text: 'Developers', items: sections.Developers },
      { text: 'Operators', items: sections.Operators },
    ],
    sidebar: Object.entries(sections).map(([text, items]) => ({ text, items })),
    outline: { level: [2, 3], label: 'Innhold / Contents' },
    search: {
      provider: 'local',
      options: {
        translations: { button: { buttonText: 'Søk / Search' } },
        // Short words that differ by a letter are other words.
        miniSearch: { searchOptions: { fuzzy: (term) => (term.length > 4 ? 0.2 : false), prefix: true } },
      },
    },
  },
});
