import { hooks, Problem, read, send, watch } from './api.js';
import { at, el, entered, explain, faultsIn, fill, inputFor, lang, orderOf, showFaults } from './form.js';

/** @type {(id: string) => any} */
const $ = (id) => document.getElementById(id);
const word = (id) => [...($(id)?.cloneNode(true).childNodes ?? [id])];
const show = (id, isShown = true) => $(id).toggleAttribute('hidden', !isShown);
const fillList = (id, items) => $(id).replaceChildren(...items.map((item) => el('li', {}, ...[item].flat())));
let me, limits, path, notebook, server;
let visit = new AbortController();

hooks.outage = (isAway) => show('outage', isAway);
/** The sandbox’s issuer trusts everyone. Replace this by the login of your frontend. */
hooks.signIn = () => {
  const { promise, resolve } = Promise.withResolvers();
  $('sign-in').onsubmit = async (event) => {
    event.preventDefault();
    const email = new URLSearchParams({ email: $('email').value });
    resolve(await (await fetch(`${document.body.dataset.issuer}/token?${email}`)).text());
    $('door').close();
  };
  $('door').showModal();
  return promise;
};

/** Shows why a request was refused, and moves the focus there. Any other error is a bug. */
const refuse = (error) => {
  if (!(error instanceof Problem)) throw error;
  const { code, status, detail, ...cause } = /** @type {any} */ (error.cause);
  const isOfImage = status === 422 && /^(image|tag|registry|platform)_/.test(code);
  const errors = cause.errors ?? (isOfImage ? [{ pointer: '/image', code, message: detail }] : []);
  const why = code ? [explain(code, detail)] : word('no-answer');
  $('why').replaceChildren(...(errors.length > 0 ? word('correct') : why));
  showFaults($('faults'), errors);
  show('busy', false);
  show('refused');
  $('why').focus();
};

/** A handler of an event. While one runs, others do nothing. */
const command = (run) => async (event) => {
  event.preventDefault();
  if (!$('busy').hidden) return;
  show('busy');
  show('refused', false);
  showFaults($('faults'), []);
  await run()
    .catch(refuse)
    .finally(() => show('busy', false));
};

const plan = async (body) => (await send('POST', `${path}/notebook/plan`, { body })).json();
const order = () => orderOf(notebook.spec, limits.fields);

/** The notebook with its ETag. Without one, the plan of an empty order has the defaults. */
const load = async () => {
  try {
    const response = await send('GET', `${path}/notebook`);
    return { ...(await response.json()), etag: response.headers.get('etag') };
  } catch (error) {
    if (error.cause?.code !== 'notebook_not_ordered') throw error;
    return { spec: (await plan({})).changes[0].to };
  }
};

/** @param {any} notebook */
const showStatus = ({ status: { phase = 'not-ordered', url, conditions = [] } = {} }) => {
  $('phase').replaceChildren(...word(phase));
  const wrong = conditions.filter(({ status }) => status !== 'True');
  const reasons = new Set(wrong.map(({ reason, message }) => explain(reason, message)));
  fillList('conditions', [...reasons]);
  show('hub', phase === 'Ready');
  $('hub').href = url;
};

/** Shows a team and its notebook, and watches it until another one is opened. */
const open = async () => {
  visit.abort();
  visit = new AbortController();
  const { signal } = visit;
  path = `/teams/${location.hash.slice(1)}`;
  show('busy');
  for (const id of ['live', 'order', 'effect', 'operation', 'start', 'restart']) show(id, false);
  const loaded = await load();
  if (signal.aborted) return;
  notebook = loaded;
  for (const field of limits.fields) fill(notebook.spec, field);
  showStatus(notebook);
  $('team').textContent = location.hash.slice(1);
  for (const id of ['live', 'order']) show(id);
  show('busy', false);
  $('team').focus();
  if (!notebook.etag) return;
  showServer().catch(refuse);
  for await (const seen of watch(`${path}/notebook/events`, signal)) showStatus(seen);
};

/** The caller’s own server. An operation that is running, as after a reload, is followed to its end. */
const showServer = async () => {
  const { members } = await read(path);
  const own = members.find(({ email }) => email === me.email);
  server = (await read(`${path}/servers`)).items.find(({ user }) => user === own?.username);
  show('restart', server?.state === 'running');
  show('start', server !== undefined && server.state !== 'running');
  if (server?.operation) await follow(server.operation);
};
const follow = async (id) => {
  show('operation');
  for await (const operation of watch(`${path}/operations/${id}/events`, visit.signal)) {
    const { progress, message, error, done } = operation;
    $('bar').value = progress;
    $('step').textContent = error ? explain(error.code, error.detail) : message;
    if (done) return showServer();
  }
};
const act = (action) =>
  command(async () => {
    const started = await send('POST', `${path}/servers/${encodeURIComponent(server.user)}/${action}`);
    follow((await started.json()).id).catch(refuse);
  });
[$('start').onclick, $('restart').onclick] = [act('start'), act('restart')];

const showPlan = async () => {
  const { changes, serversPendingRestart, unreachableEntries } = await plan(order());
  const items = changes.map(({ pointer, from, to, takesEffect }) => {
    const field = limits.fields.find((one) => one.pointer === pointer);
    return field ? [`${field.label[lang]}: ${from ?? '–'} → ${to ?? '–'}, `, ...word(takesEffect)] : word('first');
  });
  const unreachable = unreachableEntries.map(({ entry, message }) => `${entry}: ${message}`);
  fillList('changes', changes.length > 0 ? [...items, ...unreachable] : [word('nothing')]);
  $('waiting').textContent = serversPendingRestart?.map(({ user }) => user).join(', ') || '–';
  show('save', changes.length > 0);
  show('effect');
  $('plan').focus();
};
$('order').oninput = () => show('effect', false);
$('order').onsubmit = command(async () => {
  const errors = faultsIn(limits, order(), notebook.spec);
  if (errors.length > 0) throw new Problem('order', { cause: { code: 'validation_failed', errors } });
  show('merged', false);
  await showPlan();
});

/** Saves what the plan showed. If somebody else was first, takes their values where nothing is edited here. */
$('save').onclick = command(async () => {
  const headers = notebook.etag ? { 'if-match': notebook.etag } : { 'if-none-match': '*' };
  try {
    await send('PUT', `${path}/notebook`, { body: order(), headers });
    open().catch(refuse);
  } catch (error) {
    if (error.cause?.code !== 'revision_mismatch') throw error;
    const isSame = (field) => `${entered(field)}` === `${at(notebook.spec, field.pointer)}`;
    const untouched = limits.fields.filter(isSame);
    notebook = await load();
    for (const field of untouched) fill(notebook.spec, field);
    show('merged');
    await showPlan();
  }
});

const showTeams = async () => {
  me = await read('/me');
  const links = me.teams.map(({ slug }) => el('a', { href: `#${slug}` }, slug));
  fillList('teams', links);
  show('create', me.mayCreateTeams);
};
$('create').onsubmit = command(async () => {
  const slug = $('slug').value;
  await send('POST', '/teams', { body: { slug } });
  await showTeams();
  $('create').reset();
  location.hash = slug;
});

await showTeams();
limits = await read('/limits');
$('fields').replaceChildren(...limits.fields.map(inputFor));
show('busy', false);
addEventListener('hashchange', () => open().catch(refuse));
if (location.hash) open().catch(refuse);
