import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { asList, asMap, asText, at, type Json, parseJson } from '@knada/simulators/kubernetes/json.ts';
import { nameOf, uidOf } from '@knada/simulators/kubernetes/object.ts';
import { validate } from 'dockerfile-utils';
import { strFromU8, unzipSync } from 'fflate';
import { type Api, apiAt } from '../../local/demo/api.ts';
import { googleProject } from '../../local/environment.ts';
import { freeBase, urlOf } from '../../local/ports.ts';
import { type Sandbox, startSandbox } from '../../local/sandbox.ts';
import { checkRequirements } from '../../src/images/requirements.ts';
import { norwegian } from '../../src/model/norwegian.ts';
import { without } from '../support/commands.ts';
import { blocksOf, guideText, tableBelow } from './guide.ts';
import { type Shown, Terminal } from './terminal.ts';

const blocks = blocksOf(guideText);
const kari = 'kari.nordmann@nav.no';
const ola = 'ola.nordmann@nav.no';
const team = '/teams/team-a';
const garImage = 'europe-north1-docker.pkg.dev/nais-management-233d/team-a/notebook';

/** Blocks of commands that are not run, and why. */
const notRun: Readonly<Record<string, string>> = {
  'pip install --user pandas': 'is for the terminal of a notebook, which the sandbox does not have',
};

/** Google’s client for Python, as a notebook has it; the reason why it is missing otherwise. */
const python = ((): { readonly path: string } | { readonly missing: string } => {
  const script = fileURLToPath(new URL('../../.ci/python-assets', import.meta.url));
  const { status, stdout, stderr } = spawnSync(script, ['client', '--if-present'], { encoding: 'utf8' });
  if (status === 0) return { path: join(stdout.trim(), 'bin/python') };
  if (process.env.CI === 'true') throw new Error(`In CI Google’s client must take part: ${stderr}`);
  return { missing: stderr.trim() };
})();

/** Runs the code on standard input; what differs from a notebook is the address of Google’s API. */
const asInNotebook = `
import json, os, sys
from google.cloud import secretmanager
from google.cloud.secretmanager_v1.services.secret_manager_service import transports
client = secretmanager.SecretManagerServiceClient
transport = transports.SecretManagerServiceRestTransport
secretmanager.SecretManagerServiceClient = lambda: client(transport=transport(host=os.environ["SIMULATOR"], url_scheme="http"))
names = {}
exec(compile(sys.stdin.read(), "the guide", "exec"), names)
print(json.dumps(names.get("secrets", names.get("password"))))
`;

/** What the commands below a heading have done, and what has to happen before they can. */
interface Expectation {
  readonly before?: () => Promise<unknown>;
  readonly after: (shown: readonly Shown[]) => Promise<void> | void;
}

describe('docs/brukerveiledning.md', { timeout: 300_000, skip: without('curl', 'jq') }, () => {
  let sandbox: Sandbox;
  let scratch: string;
  let terminal: Terminal;
  let admin: Api;
  /** What a step noticed, for the steps after it. */
  const noticed = { pods: [''], hub: [''] };

  const get = async (path: string): Promise<Json> => {
    const { status, body } = await admin.call('GET', path);
    assert.equal(status, 200, JSON.stringify(body));
    return body;
  };
  const spec = async (...path: string[]) => at(await get(`${team}/notebook`), 'spec', ...path);
  const cluster = () => {
    assert.ok(sandbox.kubernetes);
    return sandbox.kubernetes.client('test');
  };
  const namespace = async () => asText(at(await get(team), 'namespace'));
  const pods = async (labelSelector: string) =>
    (await cluster().list('pods', { namespace: await namespace(), labelSelector })).map(uidOf);
  const policies = async () =>
    (await cluster().list('networkpolicies', { namespace: await namespace() })).map(nameOf);
  const server = async (): Promise<Json> => {
    const found = asList(at(await get(`${team}/servers`), 'items')).find((one) => at(one, 'user') === kari);
    assert.ok(found !== undefined);
    return found;
  };
  const operationEnds = async (): Promise<Json> => {
    const [newest] = asList(at(await get(`${team}/operations`), 'items'));
    let last: Json = newest ?? null;
    for await (const event of admin.events(`${team}/operations/${asText(at(last, 'id'))}/events`))
      last = event;
    assert.equal(at(last, 'done'), true, JSON.stringify(last));
    assert.equal(at(last, 'error'), undefined, JSON.stringify(last));
    return last;
  };
  const started = async () => {
    await admin.call('POST', `${team}/servers/${kari}/start`);
    await operationEnds();
  };

  before(async () => {
    scratch = await mkdtemp(join(tmpdir(), 'the guide '));
    sandbox = await startSandbox({ port: await freeBase(), folder: join(scratch, 'data') });
    const token = await sandbox.issuer.token({ email: 'admin@nav.no', groups: ['knada-admins'] });
    admin = apiAt(sandbox.url('api'), token);
    terminal = new Terminal({ cwd: scratch, env: { PATH: process.env.PATH, HOME: scratch } });
  });
  after(async () => {
    terminal?.close();
    await sandbox?.close();
    await rm(scratch, { recursive: true, force: true });
  });

  const expectations: Readonly<Record<string, Expectation>> = {
    'Før du begynner': {
      async after() {
        assert.equal((await terminal.paste('echo "$ME"')).out, kari);
      },
    },
    'Bestille en notebook': {
      async after([created, , watched, address]) {
        assert.equal(at(parseJson(created?.out ?? ''), 'slug'), 'team-a');
        assert.match(watched?.out ?? '', /^data: .*"phase":"Ready"/m);
        assert.equal(address?.out, `${sandbox.url('hubs')}/team-a`);
        const releases = await cluster().list('helmreleases', { namespace: await namespace() });
        assert.deepEqual(releases.map(nameOf), ['jupyterhub']);
      },
    },
    'Endre bestillingen': {
      async after([plan]) {
        const planned = parseJson(plan?.out ?? '');
        assert.equal(at(planned, 'restartsHub'), false);
        assert.equal(asList(at(planned, 'changes')).length, 3);
        assert.deepEqual(await spec('resources'), {
          cpu: { guarantee: 0.2, limit: 2 },
          memory: { guarantee: '2Gi', limit: '4Gi' },
        });
      },
    },
    'Python-pakker': {
      async after() {
        const profiles = await cluster().get('configmaps', await namespace(), 'notebook-profiles');
        const [first] = asList(parseJson(asText(at(profiles, 'data', 'profiles.json'))));
        assert.equal(at(first, 'kubespawner_override', 'environment', 'PIP_USER'), '1');
      },
    },
    'Cull Timeout': {
      before: started,
      async after() {
        const idle = asText(at(await server(), 'stopsAt'));
        const last = asText(at(await server(), 'lastActivityAt'));
        assert.equal(Math.round((Date.parse(idle) - Date.parse(last)) / 1000), 7200);
      },
    },
    'Python-miljø': {
      async after([environments, profiles]) {
        assert.match(environments?.out ?? '', /^Python 3\.\d+, støttes til \d{4}-\d\d-\d\d$/m);
        assert.match(profiles?.out ?? '', /^python-3-12: Python 3\.12$/m);
        await operationEnds();
        assert.equal(at(await server(), 'profile', 'slug'), 'python-3-12');
      },
    },
    'Lage imaget': {
      async after() {
        const files = unzipSync(await readFile(join(scratch, 'team-notebook.zip')));
        assert.deepEqual(Object.keys(files).toSorted(), [
          '.dockerignore',
          '.github/workflows/image.yaml',
          'Dockerfile',
          'requirements.txt',
        ]);
        const dockerfile = files.Dockerfile;
        assert.ok(dockerfile !== undefined);
        assert.deepEqual(validate(strFromU8(dockerfile)), []);
      },
    },
    'Image i GHCR': {
      async after([registered, tags, ordered]) {
        assert.partialDeepStrictEqual(parseJson(registered?.out ?? ''), {
          ghcrRepositories: ['team-notebook'],
          warnings: [],
        });
        assert.match(tags?.out ?? '', /^20261115-090000-5d6e7f8$/m);
        const digest = sandbox.registries.digest('navikt/team-notebook', '20261115-090000-5d6e7f8');
        assert.equal(at(parseJson(ordered?.out ?? ''), 'digest'), digest);
        assert.equal(at(await get(`${team}/notebook`), 'status', 'image', 'digest'), digest);
      },
    },
    'Image i GAR': {
      // The guide tells the reader to ask the platform team for this.
      before: () => admin.call('PATCH', team, { body: { garTeam: 'team-a' } }),
      async after([images, ordered]) {
        assert.ok(images?.out.split('\n').includes(garImage));
        assert.match(asText(at(parseJson(ordered?.out ?? ''), 'digest')), /^sha256:/);
        assert.equal(await spec('image'), null);
      },
    },
    'Legge inn en verdi': {
      async after([, shown]) {
        const secret = parseJson(shown?.out ?? '');
        assert.partialDeepStrictEqual(secret, {
          env: 'KNADA_TEAM_SECRET',
          versions: [{ version: '1', state: 'enabled' }],
        });
        const headers = {
          authorization: `Bearer ${sandbox.google.tokenFor(asText(at(await get(team), 'serviceAccount')))}`,
        };
        const address = `${sandbox.google.url}/v1/${asText(at(secret, 'name'))}/versions/latest:access`;
        const read = parseJson(await (await fetch(address, { headers })).text());
        const payload = Buffer.from(asText(at(read, 'payload', 'data')), 'base64').toString();
        assert.deepEqual(parseJson(payload), { DB_PASSWORD: 'hemmelig' });
      },
    },
    'Hemmeligheter i teamets eget prosjekt': {
      async after([command]) {
        const account = asText(at(await get(team), 'serviceAccount'));
        assert.match(command?.out ?? '', /^gcloud secrets add-iam-policy-binding SECRET --project=PROJECT /);
        assert.ok(command?.out.includes(`serviceAccount:${account}`));
      },
    },
    Restart: {
      before: async () => {
        noticed.pods = await pods('component=singleuser-server');
        assert.equal(noticed.pods.length, 1);
      },
      async after([, followed]) {
        assert.match(followed?.out ?? '', /^data: .*"kind":"restart".*"done":true/m);
        const replaced = await pods('component=singleuser-server');
        assert.equal(replaced.length, 1);
        assert.notDeepEqual(replaced, noticed.pods);
      },
    },
    'Når huben har fryst': {
      before: async () => {
        noticed.hub = await pods('component=hub');
        noticed.pods = await pods('component=singleuser-server');
        sandbox.hubs?.freeze('team-a');
        const refused = await admin.call('POST', `${team}/servers/${kari}/restart`);
        assert.equal(at(refused.body, 'code'), 'hub_unavailable');
      },
      async after([restarted]) {
        assert.match(restarted?.out ?? '', /^data: .*"kind":"restart_hub".*"done":true/m);
        assert.notDeepEqual(await pods('component=hub'), noticed.hub);
        assert.deepEqual(await pods('component=singleuser-server'), noticed.pods);
      },
    },
    'Se og forlenge servere': {
      before: async () => {
        // The hub checks its servers after its restart.
        for await (const _ of admin.events(`${team}/servers/events`)) {
          if (at(await server(), 'state') === 'running') break;
        }
      },
      async after([listed, extended]) {
        assert.partialDeepStrictEqual(parseJson(listed?.out ?? ''), { user: kari, state: 'running' });
        const until = Date.parse(asText(parseJson(extended?.out ?? '')));
        assert.ok(Math.abs(until - Date.now() - 28_800_000) < 300_000, extended?.out);
        await operationEnds();
        assert.equal(at(await server(), 'state'), 'stopped');
      },
    },
    Medlemmer: {
      async after([, listed]) {
        assert.equal(listed?.out, `${kari} owner\n${ola} member`);
        const { items } = asMap(await get(`${team}/members`));
        assert.deepEqual(
          asList(items ?? null).map((one) => at(one, 'email')),
          [kari],
        );
      },
    },
    'Trafikk fra notebooks': {
      before: started,
      async after([enabled, added, removed, shown, checked]) {
        const hosts = (one: Shown | undefined) => at(parseJson(one?.out ?? ''), 'hosts');
        assert.deepEqual(hosts(enabled), ['pypi.org', 'files.pythonhosted.org']);
        assert.deepEqual(hosts(added), ['pypi.org', 'files.pythonhosted.org', 'api.github.com:443']);
        assert.deepEqual(hosts(removed), ['pypi.org', 'api.github.com:443']);
        assert.equal(at(parseJson(shown?.out ?? ''), 'effective'), true);
        assert.equal(at(parseJson(checked?.out ?? ''), 'allowed'), true);
        assert.deepEqual(await spec('allowlist'), {
          enabled: false,
          hosts: ['pypi.org', 'api.github.com:443'],
        });
        assert.ok((await policies()).includes('notebook-egress-open'));
      },
    },
    'Slette notebooken': {
      async after() {
        await operationEnds();
        const { status, body } = await admin.call('GET', `${team}/notebook`);
        assert.deepEqual([status, at(body, 'code')], [404, 'notebook_not_ordered']);
        const claims = await cluster().list('persistentvolumeclaims', { namespace: await namespace() });
        assert.ok(claims.some((claim) => nameOf(claim).startsWith('claim-')));
      },
    },
  };

  describe('the commands, pasted in order into one terminal', () => {
    const headings = [
      ...new Set(blocks.filter(({ language }) => language === 'sh').map((one) => one.heading)),
    ];

    for (const heading of headings) {
      it(`${heading}: the commands do what the text says`, async () => {
        const expectation = expectations[heading];
        assert.ok(expectation !== undefined, `nothing is expected of the commands below "${heading}"`);
        await expectation.before?.();
        const shown: Shown[] = [];
        for (const { language, code, line, heading: above } of blocks) {
          if (above !== heading || language !== 'sh') continue;
          const printed = code
            .replaceAll(urlOf('api', 8080), sandbox.url('api'))
            .replaceAll(urlOf('issuer', 8080), sandbox.url('issuer'));
          const one = await terminal.paste(printed);
          assert.equal(one.status, 0, `line ${line}: ${one.err}\n${one.out}`);
          assert.equal(one.err, '', `line ${line}`);
          assert.doesNotMatch(one.out, /"urn:knada:problem:/, `line ${line}`);
          // jq prints null for a field that a problem does not have.
          assert.ok(one.out !== 'null' || code.includes('{"image": null}'), `line ${line}`);
          shown.push(one);
        }
        await expectation.after(shown);
      });
    }

    it('every expectation is of a heading that has commands', () => {
      assert.deepEqual(
        Object.keys(expectations).filter((heading) => !headings.includes(heading)),
        [],
      );
    });

    for (const { code, line } of blocks.filter(({ language }) => language === 'bash')) {
      it(`the block at line ${line} is not run: it ${notRun[code] ?? 'has no reason'}`, () => {
        assert.ok(notRun[code] !== undefined, code);
      });
    }
  });

  describe('the Python for secrets, with Google’s client', {
    skip: 'missing' in python && python.missing,
  }, () => {
    const codeBelow = (heading: string): string => {
      const found = blocks.find((one) => one.heading === heading && one.language === 'python');
      assert.ok(found !== undefined);
      return found.code;
    };
    /** Runs code as a notebook of the team does. */
    const inNotebook = async (code: string): Promise<Json> => {
      assert.ok('path' in python);
      const record = await get(team);
      const { host } = await sandbox.google.metadataFor({
        namespace: asText(at(record, 'namespace')),
        serviceAccount: asText(at(record, 'id')),
        googleServiceAccount: asText(at(record, 'serviceAccount')),
      });
      const secret = asText(at(await get(`${team}/secret`), 'name'));
      const running = promisify(execFile)(python.path, ['-c', asInNotebook], {
        env: {
          GCE_METADATA_HOST: host,
          GCE_METADATA_IP: host,
          KNADA_TEAM_SECRET: secret,
          SIMULATOR: sandbox.google.url,
        },
      });
      running.child.stdin?.end(code);
      return parseJson((await running).stdout);
    };

    it('reads the team’s secret in a notebook', async () => {
      assert.deepEqual(await inNotebook(codeBelow('Lese den i notebooken')), { DB_PASSWORD: 'hemmelig' });
    });

    it('reads a secret of the team’s own once the printed command has granted access, not before', async () => {
      const project = `projects/${googleProject}`;
      const google = async (path: string, body: Json) => {
        const answer = await fetch(`${sandbox.google.url}/v1/${project}/secrets${path}`, {
          method: 'POST',
          headers: { authorization: 'Bearer local', 'content-type': 'application/json' },
          body: JSON.stringify(body),
        });
        assert.equal(answer.status, 200, await answer.text());
      };
      await google('?secretId=egen', { replication: { automatic: {} } });
      await google('/egen:addVersion', { payload: { data: Buffer.from('åpne').toString('base64') } });
      const code = codeBelow('Hemmeligheter i teamets eget prosjekt')
        .replace('PROJECT', googleProject)
        .replace('SECRET', 'egen');
      await assert.rejects(inNotebook(code), /exceptions\.(?:Forbidden|PermissionDenied): 403/);
      // What the command does, with its member and its role.
      const command = asText(at(await get(`${team}/secret`), 'grantCommand'));
      const [, member = '', role = ''] = /--member=(\S+) --role=(\S+)/.exec(command) ?? [];
      await google('/egen:setIamPolicy', { policy: { bindings: [{ role, members: [member] }] } });
      assert.equal(await inNotebook(code), 'åpne');
    });
  });

  describe('the other blocks', () => {
    it('are in languages that this suite checks', () => {
      const checked = ['sh', 'bash', 'dockerfile', 'text', 'python'];
      assert.deepEqual(
        blocks.filter(({ language }) => !checked.includes(language)),
        [],
      );
    });

    it('the Dockerfile has no linter findings and builds on a standard image that exists', async () => {
      const [dockerfile, ...more] = blocks.filter(({ language }) => language === 'dockerfile');
      assert.ok(dockerfile !== undefined && more.length === 0);
      assert.deepEqual(validate(dockerfile.code), []);
      const [, image = ''] = /^FROM (\S+)$/m.exec(dockerfile.code) ?? [];
      const { status, body } = await admin.call('POST', '/images/resolve', { body: { image } });
      assert.equal(status, 200, JSON.stringify(body));
      assert.match(dockerfile.code, /^USER root\n[\s\S]*^USER \$\{NB_UID\}$/m);
    });

    it('requirements.txt is accepted by the scaffold', () => {
      const [requirements] = blocks.filter(({ language }) => language === 'text');
      const text = `${requirements?.code}\n`;
      assert.partialDeepStrictEqual(checkRequirements(text), { ok: true, text });
    });

    for (const { code, line } of blocks.filter(({ language }) => language === 'python')) {
      it(`the Python at line ${line} compiles`, { skip: without('python3') }, () => {
        const script = 'import sys; compile(sys.stdin.read(), "the guide", "exec")';
        const { status, stderr } = spawnSync('python3', ['-c', script], { input: code, encoding: 'utf8' });
        assert.equal(status, 0, stderr);
      });
    }

    it('the annotation for Airflow opens its hosts when the task starts', async () => {
      const airflow = blocks.find(({ heading, language }) => heading === 'Airflow' && language === 'python');
      const [, annotation = '', allowlist = ''] = /\{"(\w+)": "([^"]+)"\}/.exec(airflow?.code ?? '') ?? [];
      const created = await admin.call('POST', '/teams', {
        body: { slug: 'team-flyt', members: [{ email: kari }] },
      });
      const inTeam = asText(at(created.body, 'namespace'));
      const order = { allowlist: { enabled: true, hosts: [] } };
      await admin.call('PUT', '/teams/team-flyt/notebook', { body: order });
      await cluster().create({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: {
          name: 'fetch-data',
          namespace: inTeam,
          labels: { dag_id: 'flyt', task_id: 'fetch_data', run_id: 'manual-1' },
          annotations: { [annotation]: allowlist },
        },
        spec: { containers: [{ name: 'base', image: 'ghcr.io/navikt/team-notebook:main' }] },
      });
      const found = await cluster().list('networkpolicies', { namespace: inTeam });
      const policy = found.find((one) => nameOf(one).startsWith('airflow-egress-allow-'));
      const ports = [...JSON.stringify(policy ?? {}).matchAll(/"port":(\d+)/g)].map(([, port]) => port);
      assert.ok(ports.length > 0 && ports.every((port) => port === '443'), JSON.stringify(policy));
      const opened = [...JSON.stringify(policy).matchAll(/"cidr":"([^"/]+)/g)].map(([, address]) => address);
      assert.ok(opened.includes('151.101.0.223'), `pypi.org is open: ${opened.join(' ')}`);
    });
  });

  describe('the words', () => {
    it('name every field as getLimits labels it, with its default', async () => {
      const { items } = { items: asList(at(await get('/limits'), 'fields')) };
      const said = (value: Json | undefined): string => {
        if (typeof value === 'boolean') return value ? 'ja' : 'nei';
        return value === null || Array.isArray(value) ? 'ingen' : String(value);
      };
      const rows = tableBelow(guideText, 'Felt du kan endre').map((row) => row.slice(0, 3));
      assert.deepEqual(
        rows,
        items.map((field) => [
          asText(at(field, 'label', 'nb')),
          asText(at(field, 'pointer')).slice(1).replaceAll('/', '.'),
          said(at(field, 'default')),
        ]),
      );
    });

    it('bold names of fields are labels', async () => {
      const labels = asList(at(await get('/limits'), 'fields')).map((field) =>
        asText(at(field, 'label', 'nb')),
      );
      const bold = [...guideText.matchAll(/\*\*([^*]+)\*\*/g)].map(([, text = '']) => text);
      const others = bold.filter((text) => !/^(I portalen|Med curl):$/.test(text));
      assert.ok(others.length > 5);
      assert.deepEqual(
        others.filter((text) => !labels.includes(text)),
        [],
      );
    });

    it('give every error the text of the catalogue', () => {
      const titles: Readonly<Record<string, readonly [string, string]>> = {
        ...norwegian.operation_reason,
        ...norwegian.problem,
      };
      const rows = tableBelow(guideText, 'Feilmeldinger');
      assert.ok(rows.length > 10);
      for (const [code = '', text] of rows) assert.equal(text, titles[code]?.[0], code);
    });

    it('tell what to click and what to paste in every task', () => {
      const tasks = ['Bestille en notebook', 'Python-pakker', 'Cull Timeout', 'Python-miljø', 'Image i GHCR'];
      tasks.push(
        'Image i GAR',
        'Legge inn en verdi',
        'Restart',
        'Når huben har fryst',
        'Se og forlenge servere',
      );
      tasks.push('Medlemmer', 'Trafikk fra notebooks', 'Slette notebooken');
      for (const task of tasks) {
        const [, below = ''] = guideText.split(new RegExp(`^#+ ${task}$`, 'm'));
        const [section = ''] = below.split(/^#+ /m);
        for (const way of ['**I portalen:**', '**Med curl:**'])
          assert.ok(section.includes(way), `${task}: ${way}`);
      }
    });
  });
});
