import { type Answer, escapePath, text } from './answer.ts';
import type { UserRow } from './database.ts';
import type { HubProcess } from './process.ts';

const special: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escaped = (value: string): string => value.replace(/[&<>"]/g, (character) => special[character] ?? '');

const html = (status: number, title: string, body: readonly string[]): Answer =>
  text(
    status,
    `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>${escaped(title)}</title>
<style>body { font: 16px/1.5 system-ui, sans-serif; margin: 3rem auto; max-width: 40rem; padding: 0 1rem }</style>
<h1>${escaped(title)}</h1>
${body.join('\n')}
</html>
`,
    'text/html; charset=utf-8',
  );

const titleOf = ({ slug }: HubProcess): string => `JupyterHub of ${slug}`;
const homeOf = ({ slug }: HubProcess, user: string): string =>
  `/${slug}/hub/home?user=${encodeURIComponent(user)}`;

/** What a user’s server is doing, in a sentence. */
const stateOf = (hub: HubProcess, { name, server }: UserRow): string => {
  switch (hub.known(name)?.pending ?? null) {
    case 'spawn':
      return 'Your server is starting.';
    case 'stop':
      return 'Your server is stopping.';
    case 'check':
      return 'The hub is checking whether your server is running.';
    default:
      return server.active
        ? `Your server has been running since ${server.started ?? 'an unknown time'} and was last active at ${server.lastActivity ?? 'an unknown time'}.`
        : 'Your server is not running.';
  }
};

/** In place of JupyterHub’s login, which is not simulated: choose who you are. */
const login = (hub: HubProcess): Answer => {
  const users = hub.database.users.map(
    ({ name }) => `<li><a href="${escaped(homeOf(hub, name))}">${escaped(name)}</a></li>`,
  );
  return html(200, titleOf(hub), [
    '<p>This hub is simulated and has no login. Choose a user:</p>',
    users.length === 0 ? '<p>The hub has no users.</p>' : `<ul>\n${users.join('\n')}\n</ul>`,
  ]);
};

const home = (hub: HubProcess, name: string | null): Answer => {
  if (name === null) {
    return { status: 302, headers: { location: `/${hub.slug}/hub/login` } };
  }
  const others = `<p><a href="/${hub.slug}/hub/login">Other users</a></p>`;
  const user = hub.database.user(name);
  if (user === undefined) {
    return html(404, titleOf(hub), [`<p>${escaped(name)} is not a user of this hub.</p>`, others]);
  }
  const link = `/${hub.slug}/user/${escapePath(name)}/`;
  return html(200, titleOf(hub), [
    `<p>You are <strong>${escaped(name)}</strong>.</p>`,
    `<p>${stateOf(hub, user)}</p>`,
    ...(hub.known(name)?.ready === true ? [`<p><a href="${escaped(link)}">Open your server</a></p>`] : []),
    others,
  ]);
};

/** The pages for users; undefined for a path without one. Unlike a real hub’s they need no login. */
export const answerPage = (
  hub: HubProcess,
  path: readonly string[],
  query: URLSearchParams,
): Answer | undefined => {
  switch (path.join('/')) {
    case '':
    case 'home':
      return home(hub, query.get('user'));
    case 'login':
      return login(hub);
    default:
      return undefined;
  }
};
