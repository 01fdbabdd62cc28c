import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { asList, asText, at, type Json, parseJson } from '@knada/simulators/kubernetes/json.ts';
import { nameOf, uidOf } from '@knada/simulators/kubernetes/object.ts';
import { validate } from 'dockerfile-utils';
import { type Api, apiAt } from '../../local/demo/api.ts';
import { freeBase } from '../../local/ports.ts';
import { type Sandbox, startSandbox } from '../../local/sandbox.ts';
import { without } from '../support/commands.ts';

const folder = fileURLToPath(new URL('../../examples/', import.meta.url));
const scripts = readdirSync(folder).filter((name) => name.endsWith('.sh') && name !== 'lib.sh');
const kari = 'kari.nordmann@nav.no';
const ola = 'ola.nordmann@nav.no';

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

interface Settings {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
}

describe('the bash examples', { timeout: 300_000, skip: without('curl', 'jq') }, () => {
  let sandbox: Sandbox;
  let scratch: string;
  let admin: Api;
  const tokens = new Map<string, string>();

  /** Runs a script as kari in team-a, and nothing in the environment but what the README names. */
  const run = async (script: string, args: readonly string[] = [], settings: Settings = {}): Promise<Ran> => {
    const { env = {}, input = '' } = settings;
    const child = spawn(join(folder, script), args, {
      cwd: scratch,
      env: {
        PATH: process.env.PATH,
        API: sandbox.url('api'),
        TOKEN: tokens.get(kari),
        TEAM: 'team-a',
        ...env,
      },
    });
    const ran = { out: '', err: '' };
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      ran.out += part;
    });
    child.stderr.setEncoding('utf8').on('data', (part: string) => {
      ran.err += part;
    });
    // A script that ends before it reads its input is not a fault of this test.
    child.stdin.on('error', () => {}).end(input);
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject).once('close', resolve);
    });
    return { code, ...ran };
  };

  const done = async (script: string, args: readonly string[] = [], settings: Settings = {}) => {
    const { code, out, err } = await run(script, args, settings);
    assert.equal(code, 0, `${script} ${args.join(' ')}: ${code}\n${err}${out}`);
    return out.split('\n').slice(0, -1);
  };

  const fails = async (code: number, said: RegExp, ...call: Parameters<typeof run>) => {
    const ran = await run(...call);
    assert.equal(ran.code, code, `${ran.err}${ran.out}`);
    assert.match(ran.err, said);
  };

  const cluster = () => {
    assert.ok(sandbox.kubernetes);
    return sandbox.kubernetes.client('test');
  };
  const get = async (path: string): Promise<Json> => {
    const { status, body } = await admin.call('GET', `/teams/team-a${path}`);
    assert.equal(status, 200, JSON.stringify(body));
    return body;
  };
  const namespace = async () => asText(at(await get(''), 'namespace'));
  const pods = async (labelSelector: string) =>
    (await cluster().list('pods', { namespace: await namespace(), labelSelector })).map(uidOf);
  const notebookPods = () => pods('component=singleuser-server');
  const hubPods = () => pods('component=hub');
  const serverOf = async (user: string): Promise<Json> => {
    const server = asList(at(await get('/servers'), 'items')).find((one) => at(one, 'user') === user);
    assert.ok(server !== undefined);
    return server;
  };
  const openPolicies = async () =>
    (await cluster().list('networkpolicies', { namespace: await namespace() }))
      .map(nameOf)
      .filter((name) => name.startsWith('notebook-egress-'))
      .toSorted();

  before(async () => {
    scratch = await mkdtemp(join(tmpdir(), 'examples in bash '));
    sandbox = await startSandbox({ port: await freeBase(), folder: join(scratch, 'data') });
    for (const email of [kari, ola]) tokens.set(email, await sandbox.issuer.token({ email }));
    const token = await sandbox.issuer.token({ email: 'admin@nav.no', groups: ['knada-admins'] });
    admin = apiAt(sandbox.url('api'), token);
  });
  after(async () => {
    await sandbox?.close();
    await rm(scratch, { recursive: true, force: true });
  });

  describe('every script', () => {
    for (const script of scripts) {
      it(`${script} explains itself without any setting`, async () => {
        const { code, out } = await run(script, ['--help'], { env: { API: '', TOKEN: '', TEAM: '' } });
        assert.equal(code, 0);
        assert.match(out, new RegExp(`^Usage: ${script.replace('.', '\\.')}`, 'm'));
        assert.ok(out.split('\n').every((line) => line.length <= 130));
      });

      it(`${script} names the variable that is missing`, async () => {
        const usage = readFileSync(join(folder, script), 'utf8');
        const [, synopsis = ''] = /^# Usage: \S+ ?(.*)$/m.exec(usage) ?? [];
        const [least = ''] = synopsis.replaceAll(/\[[^[\]]*(?:\[[^\]]*\])?\]/g, '').split(' | ');
        const args = least
          .split(' ')
          .filter((word) => word !== '')
          .map((word) => (word === word.toUpperCase() ? '1' : (word.split('|')[0] ?? '')));
        for (const name of ['API', 'TOKEN', 'TEAM']) {
          await fails(2, new RegExp(`^${name} is not set`), script, args, { env: { [name]: '' } });
        }
      });

      it(`${script} refuses an option that it does not have`, async () => {
        await fails(2, /--frobnicate/, script, ['--frobnicate']);
      });
    }

    it('passes ShellCheck', { skip: without('shellcheck') }, async () => {
      const args = ['--external-sources', '--source-path=SCRIPTDIR', 'lib.sh', ...scripts];
      const child = spawn('shellcheck', args, { cwd: folder });
      let out = '';
      child.stdout.setEncoding('utf8').on('data', (part: string) => {
        out += part;
      });
      await new Promise((resolve) => child.once('close', resolve));
      assert.equal(out, '');
    });

    it('uses no feature of bash and no option of curl newer than bash 3.2 and curl 7.68', () => {
      const newer = [
        /\b(mapfile|readarray|coproc)\b/,
        /\b(declare|local|typeset) -[A-Za-z]*[An]/,
        /\$\{\w+(,,?|\^\^?|@[A-Z])\}/,
        /&>>|\|&/,
        /--(json|fail-with-body|retry-all-errors|variable)\b/,
      ];
      for (const script of ['lib.sh', ...scripts]) {
        const text = readFileSync(join(folder, script), 'utf8');
        for (const pattern of newer) assert.doesNotMatch(text, pattern, script);
      }
    });
  });

  describe('order.sh', () => {
    it('creates the team, orders, waits until the notebook is ready and prints its address', async () => {
      const [url] = await done('order.sh', ['-'], { input: '{"resources": {"cpu": {"limit": 2}}}' });
      assert.equal(url, `${sandbox.url('hubs')}/team-a`);
      const notebook = await get('/notebook');
      assert.partialDeepStrictEqual(notebook, { spec: { resources: { cpu: { limit: 2 } } } });
      assert.equal(at(notebook, 'status', 'phase'), 'Ready');
      const releases = await cluster().list('helmreleases', { namespace: await namespace() });
      assert.deepEqual(releases.map(nameOf), ['jupyterhub']);
    });

    it('refuses to replace an order', async () => {
      await fails(1, /412 revision_mismatch/, 'order.sh');
      assert.equal(at(await get('/notebook'), 'spec', 'resources', 'cpu', 'limit'), 2);
    });

    it('prints every fault of a bad order and orders nothing', async () => {
      const file = join(scratch, 'order.json');
      await writeFile(file, '{"resources": {"cpu": {"limit": 99}}, "storage": {"home": "1Ki"}, "foo": 1}');
      await fails(
        1,
        /^Validation failed \(400 validation_failed\)\n.*\n(?=[\s\S]*\/resources\/cpu\/limit: )(?=[\s\S]*\/storage\/home: )(?=[\s\S]*\/foo: )/m,
        'order.sh',
        [file],
        { env: { TEAM: 'team-bad' } },
      );
      assert.equal((await admin.call('GET', '/teams/team-bad/notebook')).status, 404);
    });

    it('refuses an order that is not JSON, and a file that does not exist, before it asks the API', async () => {
      const nowhere = { API: 'http://localhost:1' };
      await fails(2, /not a JSON object/, 'order.sh', ['-'], { input: 'cpu: 2', env: nowhere });
      await fails(2, /absent\.json/, 'order.sh', ['absent.json'], { env: nowhere });
    });

    it('prints the conditions when it stops waiting, and keeps the order', async () => {
      const said = /^ {2}HubReady \w+: [\s\S]*^not Ready after 0 seconds; the order is kept/m;
      await fails(4, said, 'order.sh', ['--wait', '0'], { env: { TEAM: 'team-slow' } });
      assert.equal((await admin.call('GET', '/teams/team-slow/notebook')).status, 200);
    });
  });

  it('an answer of another server, or none, has an exit code of its own', async () => {
    await fails(5, /did not answer/, 'servers.sh', [], { env: { API: 'http://localhost:1' } });
    await fails(5, /is the value of API right/, 'servers.sh', [], { env: { API: sandbox.url('issuer') } });
  });

  it('a caller without access, and one with a bad token, get the problem', async () => {
    await fails(1, /^Not found \(404 not_found\)$/m, 'servers.sh', [], {
      env: { TOKEN: tokens.get(ola) ?? '' },
    });
    await fails(1, /^Not signed in \(401 unauthenticated\)$/m, 'servers.sh', [], {
      env: { TOKEN: 'nonsense' },
    });
  });

  describe('restart.sh', () => {
    it('starts a server that is stopped, and replaces one that is running', async () => {
      const [url] = await done('restart.sh');
      assert.equal(url, at(await serverOf(kari), 'url'));
      const before = await notebookPods();
      assert.equal(before.length, 1);
      await done('restart.sh', [kari]);
      const after = await notebookPods();
      assert.equal(after.length, 1);
      assert.notDeepEqual(after, before);
      assert.equal(at(await serverOf(kari), 'state'), 'running');
    });

    it('fails when the server fails to start, and says why', async () => {
      const image = 'ghcr.io/navikt/team-notebook:20261101-090000-1a2b3c4';
      await admin.call('PATCH', '/teams/team-a/notebook', { body: { image } });
      sandbox.registries.setVisibility('navikt/team-notebook', 'private');
      await fails(3, /image_pull_failed/, 'restart.sh');
      sandbox.registries.setVisibility('navikt/team-notebook', 'public');
      await admin.call('PATCH', '/teams/team-a/notebook', { body: { image: null } });
    });

    it('does not wait longer than it is told, and then follows the same restart', async () => {
      await fails(4, /not done after 0 seconds; it continues at http/, 'restart.sh', ['--wait', '0']);
      await done('restart.sh');
    });

    it('refuses someone who is not a member', async () => {
      await fails(2, /is not a member of team-a/, 'restart.sh', [ola]);
    });
  });

  describe('servers.sh and extend.sh', () => {
    it('show who runs what and until when, and move that time', async () => {
      const [line] = await done('servers.sh');
      assert.deepEqual(line?.split('\t'), [kari, 'running', at(await serverOf(kari), 'stopsAt'), 'idle', '']);
      const [said] = await done('extend.sh', ['8']);
      const server = await serverOf(kari);
      const stopsAt = asText(at(server, 'stopsAt'));
      assert.equal(said, `${kari} stops at ${stopsAt}`);
      assert.ok(Date.parse(stopsAt) - Date.now() > 7.9 * 3_600_000, stopsAt);
      assert.equal(at(server, 'stopsBecause'), 'extended');
      await done('extend.sh', ['1', kari]);
    });

    it('refuse more than a day, and what is not a number', async () => {
      await fails(1, /\/forSeconds: Must be at most 86400/, 'extend.sh', ['25']);
      await fails(2, /not a whole number of hours/, 'extend.sh', ['mange']);
    });

    it('show that a server waits for a restart', async () => {
      await admin.call('PATCH', '/teams/team-a/notebook', {
        body: { resources: { memory: { limit: '4Gi' } } },
      });
      assert.match((await done('servers.sh'))[0] ?? '', /restart pending$/);
    });
  });

  describe('cull-timeout.sh', () => {
    it('changes when a running server stops', async () => {
      const [set, stops] = await done('cull-timeout.sh', ['7200']);
      assert.equal(set, 'Cull Timeout: 7200 seconds');
      const server = await serverOf(kari);
      assert.equal(stops, `${kari} stops at ${at(server, 'stopsAt')}`);
      const idle =
        Date.parse(asText(at(server, 'stopsAt'))) - Date.parse(asText(at(server, 'lastActivityAt')));
      assert.equal(Math.round(idle / 1000), 7200);
    });

    it('prints the bounds when the value is outside them', async () => {
      await fails(1, /\/culling\/timeoutSeconds: Must be 600 to 604800/, 'cull-timeout.sh', ['5']);
      await fails(2, /not a whole number/, 'cull-timeout.sh', ['1h']);
      assert.equal(at(await get('/notebook'), 'spec', 'culling', 'timeoutSeconds'), 7200);
    });
  });

  describe('image-ghcr.sh', () => {
    const image = 'ghcr.io/navikt/team-notebook';

    it('lists the tags, then orders one, pins its digest and registers the repository', async () => {
      const tags = await done('image-ghcr.sh', [image]);
      assert.ok(tags.includes('20261115-090000-5d6e7f8'), tags.join(' '));
      const [pinned] = await done('image-ghcr.sh', [image, '20261115-090000-5d6e7f8']);
      const digest = sandbox.registries.digest('navikt/team-notebook', '20261115-090000-5d6e7f8');
      assert.equal(pinned, `${image}:20261115-090000-5d6e7f8 ${digest}`);
      assert.deepEqual(at(await get(''), 'ghcrRepositories'), ['team-notebook']);
    });

    it('brings the image to the server with the next restart', async () => {
      await done('restart.sh');
      assert.match(
        asText(at(await serverOf(kari), 'image')),
        new RegExp(`^${image}:20261115-090000-5d6e7f8@`),
      );
    });

    it('fails with the conditions when the cluster refuses the change', async () => {
      const profiles = { apiVersion: 'v1', kind: 'ConfigMap' };
      const metadata = { name: 'notebook-profiles', namespace: await namespace() };
      // Another object has the name that the team needs.
      await cluster().delete('configmaps', metadata.namespace, metadata.name);
      await cluster().create({ ...profiles, metadata });
      await fails(3, /^ {2}Applied Conflict: /m, 'image-ghcr.sh', [image, 'main']);
      await cluster().delete('configmaps', metadata.namespace, metadata.name);
      await done('image-ghcr.sh', [image, '20261115-090000-5d6e7f8']);
    });

    it('refuses a tag that does not exist, and a private image', async () => {
      await fails(1, /422 tag_not_found/, 'image-ghcr.sh', [image, 'nope']);
      const secret = 'ghcr.io/navikt/private-notebook';
      await fails(1, /422 image_not_found_or_private/, 'image-ghcr.sh', [secret, '1.0']);
      assert.equal(at(await get('/notebook'), 'spec', 'image'), `${image}:20261115-090000-5d6e7f8`);
    });
  });

  describe('image-gar.sh', () => {
    const image = 'europe-north1-docker.pkg.dev/nais-management-233d/team-a/notebook';
    const tag = '2026.11.15-09.00-5d6e7f8';

    it('says what to do while the team has no repository in Artifact Registry', async () => {
      await fails(1, /422 image_not_allowed\)\n.*garTeam/, 'image-gar.sh', [image, tag]);
    });

    it('lists images and tags, then orders one and pins its digest', async () => {
      await admin.call('PATCH', '/teams/team-a', { body: { garTeam: 'team-a' } });
      assert.ok((await done('image-gar.sh')).includes(image));
      assert.deepEqual(await done('image-gar.sh', [image]), [tag, '2026.11.01-09.00-1a2b3c4']);
      const [pinned] = await done('image-gar.sh', [image, tag]);
      assert.match(pinned ?? '', new RegExp(`^${image}:${tag} sha256:[0-9a-f]{64}$`));
      assert.equal(at(await get('/notebook'), 'spec', 'image'), `${image}:${tag}`);
    });
  });

  describe('image-scaffold.sh', () => {
    for (const registry of ['ghcr', 'gar']) {
      it(`writes the files for ${registry}, and never overwrites one`, async () => {
        const target = join(scratch, registry);
        await writeFile(join(scratch, 'wanted.txt'), 'pandas==2.2.3\n');
        const args = [registry, 'team-a-notebook', target, 'wanted.txt'];
        const written = await done('image-scaffold.sh', args);
        assert.deepEqual(written.map((path) => path.slice(target.length + 1)).toSorted(), [
          '.dockerignore',
          '.github/workflows/image.yaml',
          'Dockerfile',
          'requirements.txt',
        ]);
        const dockerfile = await readFile(join(target, 'Dockerfile'), 'utf8');
        assert.deepEqual(validate(dockerfile), []);
        assert.equal(await readFile(join(target, 'requirements.txt'), 'utf8'), 'pandas==2.2.3\n');
        await fails(2, /exists already/, 'image-scaffold.sh', args);
      });
    }

    it('prints what is wrong with a package and writes nothing', async () => {
      await writeFile(join(scratch, 'bad.txt'), '--index-url https://example.com\n');
      const target = join(scratch, 'none');
      await fails(1, /\/requirements/, 'image-scaffold.sh', ['ghcr', 'x', target, 'bad.txt', '3.13']);
      await assert.rejects(readFile(join(target, 'Dockerfile')), { code: 'ENOENT' });
    });
  });

  describe('allowlist.sh', () => {
    it('restricts, adds, checks, removes and lifts', async () => {
      await done('allowlist.sh', ['on']);
      assert.deepEqual(await openPolicies(), ['notebook-egress-baseline']);
      const shown = await done('allowlist.sh', ['add', 'pypi.org']);
      assert.match(shown[1] ?? '', /^pypi\.org:443\tresolved/);
      assert.deepEqual(await openPolicies(), ['notebook-egress-allow', 'notebook-egress-baseline']);
      await done('allowlist.sh', ['check', 'pypi.org']);
      assert.equal((await run('allowlist.sh', ['check', 'example.org'])).code, 3);
      await done('allowlist.sh', ['remove', 'pypi.org']);
      assert.deepEqual(at(await get('/notebook'), 'spec', 'allowlist', 'hosts'), []);
      await done('allowlist.sh', ['off']);
      assert.deepEqual(await openPolicies(), ['notebook-egress-open']);
    });

    it('refuses an entry that no policy can express, and a verb without its entry', async () => {
      await fails(1, /422 invalid_allowlist\)\n[\s\S]*wildcard/, 'allowlist.sh', ['add', '*.example.com']);
      await fails(2, /^Usage: allowlist\.sh/, 'allowlist.sh', ['add']);
      await fails(2, /^Usage: allowlist\.sh/, 'allowlist.sh', ['on', 'pypi.org']);
    });
  });

  describe('secret.sh', () => {
    it('adds a version byte for byte, lists it, and disables and enables it', async () => {
      const payload = 'pass\u0001ord "æøå"\n';
      assert.deepEqual(await done('secret.sh', ['add'], { input: payload }), ['version 1 enabled']);
      const [name = '', version = ''] = await done('secret.sh', ['show']);
      assert.match(version, /^1\tenabled\t/);
      const [, secret = ''] = /^KNADA_TEAM_SECRET=(projects\/\S+)$/.exec(name) ?? [];
      const account = asText(at(await get(''), 'serviceAccount'));
      const read = async () => {
        const address = `${sandbox.google.url}/v1/${secret}/versions/latest:access`;
        const headers = { authorization: `Bearer ${sandbox.google.tokenFor(account)}` };
        const answer = await fetch(address, { headers });
        return { status: answer.status, body: parseJson(await answer.text()) };
      };
      const { status, body } = await read();
      assert.equal(status, 200);
      assert.equal(Buffer.from(asText(at(body, 'payload', 'data')), 'base64').toString(), payload);
      assert.deepEqual(await done('secret.sh', ['disable', '1']), ['version 1 disabled']);
      assert.notEqual((await read()).status, 200);
      assert.deepEqual(await done('secret.sh', ['enable', '1']), ['version 1 enabled']);
    });

    it('prints the command that gives notebooks access to another secret', async () => {
      const account = asText(at(await get(''), 'serviceAccount'));
      const [command = ''] = await done('secret.sh', ['grant']);
      assert.match(command, /^gcloud secrets add-iam-policy-binding SECRET --project=PROJECT /);
      assert.ok(command.includes(`serviceAccount:${account}`));
    });

    it('refuses an empty content, and a version that does not exist', async () => {
      await fails(2, /standard input is empty/, 'secret.sh', ['add']);
      await fails(1, /404 not_found/, 'secret.sh', ['disable', '99']);
    });
  });

  describe('restart-hub.sh', () => {
    it('brings back a hub that has frozen, and leaves the servers running', async () => {
      const before = { hub: await hubPods(), notebooks: await notebookPods() };
      assert.ok(sandbox.hubs);
      sandbox.hubs.freeze('team-a');
      await fails(1, /503 hub_unavailable/, 'restart.sh');
      await done('restart-hub.sh');
      assert.notDeepEqual(await hubPods(), before.hub);
      assert.deepEqual(await notebookPods(), before.notebooks);
      await done('servers.sh');
    });
  });

  describe('members.sh', () => {
    it('adds a member, who gets access, and removes them, who loses it', async () => {
      const asOla = { env: { TOKEN: tokens.get(ola) ?? '' } };
      const listed = await done('members.sh', ['add', ola]);
      assert.deepEqual(listed, [`${kari}\t${kari}\towner`, `${ola}\t${ola}\tmember`]);
      await done('servers.sh', [], asOla);
      await done('members.sh', ['add', ola, 'owner']);
      assert.match((await done('members.sh', ['list'], asOla))[1] ?? '', /owner$/);
      assert.deepEqual(await done('members.sh', ['remove', ola]), [`${kari}\t${kari}\towner`]);
      await fails(1, /404 not_found/, 'servers.sh', [], asOla);
    });

    it('refuses to remove the last owner', async () => {
      await fails(1, /409 last_owner/, 'members.sh', ['remove', kari]);
      await fails(1, /400 validation_failed\)[\s\S]*role/, 'members.sh', ['add', ola, 'boss']);
    });
  });
});
