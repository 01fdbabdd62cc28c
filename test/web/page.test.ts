import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { asList, asMap, asText, at, type Json, parseJson } from '@knada/simulators/kubernetes/json.ts';
import type { Browser, Locator, Page, Route } from 'playwright-core';
import { type Api, apiAt } from '../../local/demo/api.ts';
import { freeBase } from '../../local/ports.ts';
import { type Sandbox, startSandbox } from '../../local/sandbox.ts';
import { startBrowser, violationsIn, withoutBrowser } from '../support/browser.ts';
import { type Keyboard, keyboardOf } from './keyboard.ts';

const waitMs = 120_000;

describe('the page of the tutorial', { skip: withoutBrowser(), timeout: 900_000 }, () => {
  let folder: string;
  let sandbox: Sandbox;
  let browser: Browser;
  let page: Page;
  let keys: Keyboard;
  let kari: Api;
  let ola: Api;
  let limits: Json;
  const requests: string[] = [];
  const errors: string[] = [];

  const start = async (port: number): Promise<void> => {
    sandbox = await startSandbox({ port, folder });
  };
  const tokenOf = (name: string): Promise<string> =>
    sandbox.issuer.token({ email: `${name}@nav.no`, expiresIn: 86_400 });
  const must = async (api: Api, method: string, path: string, body?: Json): Promise<Json> => {
    const answer = await api.call(method, path, body === undefined ? {} : { body });
    assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  };
  const specOf = async (team: string): Promise<Json> =>
    at(await must(kari, 'GET', `/teams/${team}/notebook`), 'spec') ?? null;

  const element = (id: string): Locator => page.locator(`#${id}`);
  const shown = (id: string): Promise<void> => element(id).waitFor({ timeout: waitMs });
  const gone = (id: string): Promise<void> => element(id).waitFor({ state: 'hidden', timeout: waitMs });
  /** Until the visible text of an element contains this. */
  const says = async (id: string, text: string): Promise<void> => {
    const condition = `document.getElementById(${JSON.stringify(id)}).innerText.includes(${JSON.stringify(text)})`;
    await page.waitForFunction(condition, undefined, { timeout: waitMs });
  };
  // biome-ignore lint/performance/useDomNodeTextContent: texts in the other language are hidden.
  const textOf = async (id: string): Promise<string> => (await element(id).innerText()).trim();
  const focusMovesTo = (id: string): Promise<void> =>
    page.locator(`#${id}:focus`).waitFor({ timeout: waitMs });
  /** A state of the page that everybody can use, at any width and in any colours. */
  const isAccessible = async (state: string): Promise<void> => {
    assert.deepEqual(await violationsIn(page), [], state);
    const { SCREENSHOTS } = process.env;
    for (const [width, colorScheme] of [
      [320, 'dark'],
      [1100, 'light'],
    ] as const) {
      await page.setViewportSize({ width, height: 900 });
      const widest = await page.evaluate<number>('document.documentElement.scrollWidth');
      assert.ok(widest <= width, `${state}: ${widest} pixels wide in a window of ${width}`);
      if (SCREENSHOTS === undefined) continue;
      await page.emulateMedia({ colorScheme });
      await page.screenshot({ path: join(SCREENSHOTS, `${state} ${width}.png`), fullPage: true });
      await page.emulateMedia({ colorScheme: 'light' });
    }
  };
  const signIn = async (name: string): Promise<void> => {
    await shown('door');
    await keys.fill('email', `${name}@nav.no`);
    await page.keyboard.press('Enter');
    await gone('door');
  };
  /** The page for one team, in a browser that has just been opened. */
  const visit = async (name: string, team: string, language = 'en'): Promise<void> => {
    await page.goto(`${sandbox.url('page')}/?lang=${language}#${team}`);
    await page.reload();
    await signIn(name);
  };
  const seeChanges = () => keys.press('See what changes');

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'knada-page-'));
    await start(await freeBase());
    kari = apiAt(sandbox.url('api'), await tokenOf('kari.nordmann'));
    ola = apiAt(sandbox.url('api'), await tokenOf('ola.nordmann'));
    limits = await must(kari, 'GET', '/limits');
    // A user with a history.
    await must(kari, 'POST', '/teams', {
      slug: 'team-old',
      members: [{ email: 'kari.nordmann@nav.no', role: 'owner' }, { email: 'ola.nordmann@nav.no' }],
    });
    await must(kari, 'PUT', '/teams/team-old/notebook', {
      resources: { cpu: { guarantee: 0.3, limit: 1.5 } },
      culling: { timeoutSeconds: 7200, keepBusyKernels: false },
      allowlist: { enabled: true, hosts: ['pypi.org', 'files.pythonhosted.org'] },
      storage: { home: '20Gi' },
    });
    await must(ola, 'POST', '/teams', { slug: 'team-other' });
    browser = await startBrowser();
    page = await browser.newPage();
    page.setDefaultTimeout(waitMs);
    keys = keyboardOf(page);
    page.on('request', (request) => requests.push(`${request.method()} ${new URL(request.url()).pathname}`));
    page.on('pageerror', (error) => errors.push(String(error.stack)));
  });
  after(async () => {
    await browser?.close();
    await sandbox?.close();
    await rm(folder, { recursive: true, force: true });
  });

  let isBroken = false;
  /** A test that goes on from where the one before it left the page; without that there is nothing to test. */
  const step = (name: string, run: () => Promise<void> | void): void => {
    it(name, async (context) => {
      if (isBroken) return context.skip('an earlier step failed');
      isBroken = true;
      await run();
      isBroken = false;
    });
  };

  step('is served by the sandbox with its addresses, and nothing else is', async () => {
    const answer = await fetch(sandbox.url('page'));
    assert.equal(answer.headers.get('content-type'), 'text/html; charset=utf-8');
    const text = await answer.text();
    assert.ok(text.includes(`data-api="${sandbox.url('api')}/v1" data-issuer="${sandbox.url('issuer')}"`));
    for (const path of ['/README.md', '/jsconfig.json', '/..%2fREADME.md', '/%2e%2e/lib.sh', '/none.js'])
      assert.equal((await fetch(sandbox.url('page') + path)).status, 404, path);
  });

  step('says that it is loading, and asks who you are', async () => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const hold = async (route: Route): Promise<void> => {
      await released;
      await route.continue();
    };
    await page.route('**/v1/codes', hold, { times: 1 });
    await page.goto(sandbox.url('page'));
    await shown('busy');
    await isAccessible('loading');
    release();
    await shown('door');
    await isAccessible('signed out');
    await page.keyboard.press('Escape');
    await page.keyboard.press('Escape');
    await signIn('kari.nordmann');
    await gone('busy');
    assert.equal(await textOf('teams'), 'team-old', 'and no team of somebody else');
  });

  step('creates a team, and shows the API’s words for a name that is refused', async () => {
    await keys.fill('slug', 'Team A');
    await page.keyboard.press('Enter');
    await shown('refused');
    assert.match(await textOf('slug-fault'), /Lower-case letters, digits and single hyphens/);
    await keys.fill('slug', 'team-a');
    await page.keyboard.press('Enter');
    await focusMovesTo('team');
    assert.equal(await textOf('team'), 'team-a');
    assert.equal(await textOf('phase'), 'No notebook yet');
  });

  step('has an input for every field of getLimits, with its label, bounds and default', async () => {
    const fields = asList(at(limits, 'fields'));
    for (const field of fields) {
      const id = asText(at(field, 'pointer')).slice(1).replaceAll('/', '-');
      const input = page.getByLabel(asText(at(field, 'label', 'en')), { exact: true });
      assert.equal(await input.getAttribute('id'), id);
      const value = at(field, 'default');
      if (typeof value === 'boolean') assert.equal(await input.isChecked(), value);
      else assert.equal(await input.inputValue(), value === null ? '' : String(value));
      if (at(field, 'maximum') === undefined) continue;
      assert.ok((await textOf(`${id}-hint`)).includes(`– ${at(field, 'maximum')}`), id);
    }
    assert.equal(await page.locator('#fields :is(input, textarea)').count(), fields.length);
    await isAccessible('form');
  });

  step('finds what breaks bounds, patterns and rules without asking the API', async () => {
    await keys.fill('resources-cpu-guarantee', '99');
    await keys.fill('resources-memory-limit', '4 GB');
    await keys.fill('culling-maxAgeSeconds', '900');
    await keys.toggle('standardEnvironments');
    requests.length = 0;
    await seeChanges();
    await focusMovesTo('why');
    assert.deepEqual(requests, []);
    assert.equal(await textOf('why'), 'Correct this first');
    assert.match(await textOf('resources-cpu-guarantee-fault'), /too small or too large/);
    assert.match(await textOf('resources-cpu-guarantee-fault'), /must not be above the limit/);
    assert.match(await textOf('resources-memory-limit-fault'), /does not have the required format/);
    assert.match(await textOf('culling-maxAgeSeconds-fault'), /must not be below the idle timeout/);
    assert.match(await textOf('standardEnvironments-fault'), /Order an image/);
    assert.equal(await page.locator('#faults a').count(), 5);
    assert.equal(await element('resources-cpu-guarantee').getAttribute('aria-invalid'), 'true');
    await isAccessible('faults');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    assert.equal(await keys.focus(), 'resources-cpu-guarantee', 'the summary leads to the field');
    await keys.fill('resources-cpu-guarantee', '0,5');
    await keys.fill('resources-memory-limit', '2Gi');
    await keys.fill('culling-maxAgeSeconds', '604800');
    await keys.toggle('standardEnvironments');
  });

  step('shows what only the API can find in the API’s words, beside the field', async () => {
    await keys.fill('image', 'docker.io/library/python:3.12');
    await seeChanges();
    await shown('image-fault');
    await focusMovesTo('why');
    assert.match(await textOf('image-fault'), /ghcr\.io\/navikt.*docker\.io/);
    await keys.fill('image', '');
    await keys.fill('allowlist-hosts', 'pypi.org\nhttp://pypi.org/simple\n*.com');
    await seeChanges();
    await shown('allowlist-hosts-fault');
    await focusMovesTo('why');
    assert.match(await textOf('allowlist-hosts-fault'), /"http:\/\/" does not mean port 443/);
    assert.match(await textOf('allowlist-hosts-fault'), /\*\.com/);
    await keys.fill('allowlist-hosts', 'pypi.org');
  });

  step('plans the first order, saves it, and follows the notebook until it is Ready', async () => {
    await seeChanges();
    await focusMovesTo('plan');
    assert.equal(await textOf('changes'), 'A new notebook with these settings');
    await isAccessible('plan of a first order');
    sandbox.kubernetes?.faults.set(() => ({ drop: true }));
    await keys.press('save');
    await focusMovesTo('team');
    await says('phase', 'Pending');
    await says('conditions', 'Kubernetes');
    await isAccessible('pending');
    sandbox.kubernetes?.faults.set(undefined);
    await says('phase', 'Ready');
    await isAccessible('ready');
    assert.match(String(await element('hub').getAttribute('href')), /\/team-a/);
    assert.partialDeepStrictEqual(await specOf('team-a'), {
      resources: { cpu: { guarantee: 0.5, limit: 0.5 } },
      allowlist: { enabled: false, hosts: ['pypi.org'] },
    });
  });

  step('starts the caller’s server, and shows how far it is', async () => {
    const release = sandbox.hubs?.hold('team-a', 'kari.nordmann@nav.no', 'start');
    await shown('start');
    await keys.press('start');
    await shown('bar');
    await says('step', ' ');
    await isAccessible('server starting');
    assert.ok(Number(await element('bar').getAttribute('value')) < 100);
    await visit('kari.nordmann', 'team-a');
    await shown('bar');
    release?.();
    await shown('restart');
    assert.equal(await element('bar').getAttribute('value'), '100', 'after a reload, too');
  });

  step('shows when a change takes effect and who waits for a restart, and restarts', async () => {
    await keys.fill('resources-memory-limit', '4Gi');
    await keys.fill('culling-timeoutSeconds', '7200');
    await keys.fill('storage-home', '12Gi');
    await seeChanges();
    await focusMovesTo('plan');
    assert.deepEqual((await textOf('changes')).split('\n'), [
      'Memory limit: 2Gi → 4Gi, when a server starts next',
      'Idle timeout: 3600 → 7200, at once',
      'Size of each home volume: 10Gi → 12Gi, for new homes; existing ones grow',
    ]);
    assert.equal(await textOf('waiting'), 'kari.nordmann@nav.no');
    await isAccessible('plan');
    await keys.press('save');
    await focusMovesTo('team');
    const server = async (): Promise<Json> =>
      asList(at(await must(kari, 'GET', '/teams/team-a/servers'), 'items'))[0] ?? null;
    const before = await server();
    assert.equal(at(before, 'pendingRestart'), true);
    await shown('restart');
    await keys.press('restart');
    await shown('bar');
    await page.waitForFunction('document.querySelector("#bar").value === 100', undefined, {
      timeout: waitMs,
    });
    await isAccessible('restarted');
    const now = await server();
    assert.partialDeepStrictEqual(now, { state: 'running', pendingRestart: false });
    assert.notEqual(at(now, 'startedAt'), at(before, 'startedAt'));
  });

  step('keeps the edits when somebody else saves first, and takes over the rest', async () => {
    await keys.fill('resources-memory-limit', '6Gi');
    await seeChanges();
    await focusMovesTo('plan');
    await must(kari, 'PATCH', '/teams/team-a/notebook', {
      resources: { cpu: { limit: 3 } },
      allowlist: { hosts: ['pypi.org', 'nav.no'] },
    });
    await keys.press('save');
    await shown('merged');
    await focusMovesTo('plan');
    assert.equal(await textOf('changes'), 'Memory limit: 4Gi → 6Gi, when a server starts next');
    assert.equal(await element('resources-cpu-limit').inputValue(), '3');
    assert.equal(await element('allowlist-hosts').inputValue(), 'pypi.org\nnav.no');
    await isAccessible('changed by somebody else');
    await keys.press('save');
    await focusMovesTo('team');
    assert.partialDeepStrictEqual(await specOf('team-a'), {
      resources: { cpu: { limit: 3 }, memory: { limit: '6Gi' } },
      allowlist: { hosts: ['pypi.org', 'nav.no'] },
    });
  });

  step(
    'opens a notebook that was ordered elsewhere as it is, and does not save what is not changed',
    async () => {
      await keys.press('team-old');
      await focusMovesTo('team');
      const spec = await specOf('team-old');
      for (const field of asList(at(limits, 'fields'))) {
        const names = asText(at(field, 'pointer')).slice(1).split('/');
        const value = at(spec, ...names);
        const input = element(names.join('-'));
        if (typeof value === 'boolean') assert.equal(await input.isChecked(), value, names.join('.'));
        else
          assert.equal(
            await input.inputValue(),
            Array.isArray(value) ? value.join('\n') : String(value ?? ''),
          );
      }
      await seeChanges();
      await focusMovesTo('plan');
      assert.equal(await textOf('changes'), 'Nothing changes');
      await gone('save');
    },
  );

  step('accepts fields, rules and units of a later version', async () => {
    const later = (fields: Json): Json =>
      asList(fields).map((field) =>
        at(field, 'unit') === 'seconds' ? { ...asMap(field), unit: 'fortnights', type: 'period' } : field,
      );
    const answer = async (route: Route): Promise<void> => {
      const response = await route.fetch();
      const body = parseJson(await response.text());
      const rule = {
        kind: 'prime',
        pointer: '/resources/cpu/limit',
        other: '/image',
        code: 'x',
        message: {},
      };
      await route.fulfill({
        response,
        json: {
          ...asMap(body),
          fields: later(at(body, 'fields') ?? null),
          rules: [...asList(at(body, 'rules')), rule],
        },
      });
    };
    await page.route('**/v1/limits', answer, { times: 1 });
    await visit('kari.nordmann', 'team-old');
    await focusMovesTo('team');
    assert.match(await textOf('culling-timeoutSeconds-hint'), /604800 fortnights/);
    await seeChanges();
    await focusMovesTo('plan');
    assert.equal(await textOf('changes'), 'Nothing changes');
  });

  step('says why a request is refused that the caller has no right to', async () => {
    await visit('ola.nordmann', 'team-old');
    await focusMovesTo('team');
    await keys.toggle('allowlist-enabled');
    await seeChanges();
    await focusMovesTo('why');
    assert.match(await textOf('why'), /Only owners of the team team-old can opt out.*kari\.nordmann@nav\.no/);
    await visit('kari.nordmann', 'team-other');
    await focusMovesTo('why');
    assert.match(await textOf('why'), /does not exist, or you do not have access/);
    await gone('order');
    await isAccessible('no access');
  });

  step('speaks Norwegian, also about a notebook that has problems', async () => {
    const namespace = asText(at(await must(kari, 'GET', '/teams/team-old'), 'namespace'));
    await visit('kari.nordmann', 'team-old', 'nb');
    await says('phase', 'Klar');
    await sandbox.kubernetes?.client('somebody').create({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'wide-open', namespace },
      spec: { podSelector: {}, policyTypes: ['Egress'], egress: [{}] },
    });
    await says('phase', 'Har problemer');
    const codes = asList(at(await must(kari, 'GET', '/codes'), 'items'));
    const widened = codes.find((one) => at(one, 'code') === 'Widened');
    await says('conditions', asText(at(widened, 'help', 'nb')));
    for (const field of asList(at(limits, 'fields')))
      await page.getByLabel(asText(at(field, 'label', 'nb')), { exact: true }).waitFor();
    await keys.fill('storage-home', '1Gi');
    await keys.press('Se hva som endres');
    await focusMovesTo('why');
    assert.equal(await textOf('storage-home-fault'), 'Et hjemmeområde kan bare bli større.');
    await isAccessible('degraded, in Norwegian');
  });

  step('shows that the hub does not answer, and sends a command once', async () => {
    await visit('kari.nordmann', 'team-a');
    await shown('restart');
    sandbox.hubs?.freeze('team-a');
    requests.length = 0;
    await keys.press('restart');
    await focusMovesTo('why');
    assert.match(await textOf('why'), /JupyterHub/);
    assert.equal(requests.filter((request) => request.startsWith('POST')).length, 1);
    await gone('outage');
    await sandbox.hubs?.thaw('team-a');
  });

  step('says that a command got no answer, and keeps what was entered', async () => {
    await keys.fill('resources-memory-limit', '7Gi');
    await page.context().setOffline(true);
    await seeChanges();
    await focusMovesTo('why');
    assert.equal(await textOf('why'), 'No answer. Try again.');
    await page.context().setOffline(false);
    await seeChanges();
    await focusMovesTo('plan');
    assert.match(await textOf('changes'), /6Gi → 7Gi/);
  });

  step('says that the API is down, and goes on by itself when it is back', async () => {
    const { port } = sandbox;
    await sandbox.close();
    await shown('outage');
    await isAccessible('API down');
    await start(port);
    await gone('outage');
    assert.equal(await element('resources-memory-limit').inputValue(), '7Gi');
    sandbox.kubernetes?.faults.set(() => ({ drop: true }));
    await must(kari, 'PATCH', '/teams/team-a/notebook', { pip: { userInstallByDefault: true } });
    await says('conditions', 'Kubernetes');
    sandbox.kubernetes?.faults.set(undefined);
  });

  step('asks for a new token when the old one has expired, and keeps what was entered', async () => {
    await keys.tabTo('resources-memory-limit');
    await sandbox.moveClock(3_700);
    await shown('door');
    await isAccessible('token expired');
    await signIn('kari.nordmann');
    await seeChanges();
    await focusMovesTo('plan');
    assert.match(await textOf('changes'), /6Gi → 7Gi/);
  });

  step('has no error of its own in all of this', () => {
    assert.deepEqual(errors, []);
  });
});
