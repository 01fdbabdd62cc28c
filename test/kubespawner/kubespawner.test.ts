import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { isAbsent, tookPart } from '@knada/simulators/real/real-parts.ts';
import Type from 'typebox';
import type { NotebookSpec } from '../../src/model/notebook.ts';
import type { TeamRecord } from '../../src/model/record.ts';
import { hubSecret } from '../../src/notebooks/keys.ts';
import {
  type Profile,
  type ProfileEnvironment,
  profilesConfigMap,
  profilesOf,
} from '../../src/notebooks/profiles.ts';
import { hubScopes, valuesOf } from '../../src/notebooks/values.ts';
import type { Manifest } from '../../src/ports/cluster.ts';
import { metaOf } from '../../src/teams/desired.ts';
import { aPlatform, withChartDefaults } from '../notebooks/platform.ts';
import { aMoment, aNotebook, anOrderedRecord, aSpec, named } from '../support/records.ts';
import { hubPython, mountConfigMap, startHub, type TestHub } from './hub.ts';

const found = hubPython();
const skip = 'absent' in found ? isAbsent('KubeSpawner', found.absent) : false;
const python = 'python' in found ? found.python : '';

const digest = (digit: string) => `sha256:${digit.repeat(64)}`;
const environments: readonly ProfileEnvironment[] = [
  {
    python: '3.13',
    image: 'ghcr.io/navikt/knada-images/jupyter:20261120-3.13',
    digest: digest('b'),
    drivers: ['Oracle', 'Postgres'],
    default: true,
  },
  {
    python: '3.12',
    image: 'ghcr.io/navikt/knada-images/jupyter:20261120-3.12',
    digest: digest('c'),
    drivers: [],
    default: false,
  },
];
const reference = 'ghcr.io/navikt/our-notebook:20261123-090000-abc1234';
const ownImage = { reference, digest: digest('a'), resolvedAt: aMoment, newerDigest: null };

const ordered = (generation: number, spec: Partial<NotebookSpec>): TeamRecord =>
  anOrderedRecord({
    generation,
    notebook: aNotebook({ spec: aSpec({ image: reference, ...spec }), image: ownImage }),
  });
const configMapOf = (record: TeamRecord, offered = environments) =>
  profilesConfigMap(record, offered, metaOf(record));
const profilesIn = (record: TeamRecord): readonly Profile[] =>
  record.notebook === null ? [] : profilesOf(record.notebook.spec, record.notebook.image, environments);

const small = {
  resources: { cpu: { guarantee: 0.2, limit: 0.5 }, memory: { guarantee: '1Gi', limit: '2.5Gi' } },
  pip: { userInstallByDefault: true },
};
const large = {
  resources: { cpu: { guarantee: 2, limit: 16 }, memory: { guarantee: '512Mi', limit: '128Gi' } },
  pip: { userInstallByDefault: false },
  storage: { home: '0.3Gi' },
};

const Strings = Type.Record(Type.String(), Type.String());
const Amounts = Type.Record(Type.String(), Type.Union([Type.Number(), Type.String()]));
const Started = Type.Object({
  pod: Type.Object({
    metadata: Type.Object({ labels: Strings, annotations: Strings }),
    spec: Type.Object({
      serviceAccountName: Type.String(),
      volumes: Type.Array(Type.Unknown()),
      containers: Type.Array(
        Type.Object({
          image: Type.String(),
          env: Type.Array(Type.Object({ name: Type.String(), value: Type.Optional(Type.String()) })),
          resources: Type.Object({ limits: Amounts, requests: Amounts }),
          volumeMounts: Type.Array(Type.Unknown()),
        }),
        { minItems: 1 },
      ),
    }),
  }),
  claim: Type.Object({
    metadata: Type.Object({ labels: Strings }),
    spec: Type.Object({ resources: Type.Object({ requests: Strings }) }),
  }),
  deletesClaim: Type.Boolean(),
  failureLimit: Type.Integer(),
});
const Versions = Type.Object({ jupyterhub: Type.String(), kubespawner: Type.String() });
const Refused = Type.Object({ refused: Type.String() });

describe('the real KubeSpawner with our values and profiles', { skip }, () => {
  const team = named({ slug: 'team-a', id: 'team-a-3f9c' });
  const scratch = mkdtempSync(join(tmpdir(), 'knada-hub-'));
  after(() => rmSync(scratch, { recursive: true, force: true }));

  /** A hub with a folder of its own, in which a ConfigMap may be mounted already. */
  const hubWith = (name: string, waitSeconds: number, mounted?: Manifest) => {
    const folder = join(scratch, name);
    mkdirSync(folder);
    const mount = (configMap: Manifest, broken?: Readonly<Record<string, string>>) =>
      mountConfigMap(folder, configMap, broken);
    if (mounted !== undefined) mount(mounted);
    const values = withChartDefaults(valuesOf(team, aPlatform()));
    const hub = startHub(python, { scratch: folder, values, waitSeconds });
    after(() => hub.stop());
    return { ...hub, mount };
  };
  const patient = hubWith('patient', 30);
  const hasty = hubWith('hasty', 0.05);

  const start = async (hub: TestHub, options: Readonly<Record<string, unknown>>) => {
    const { pod, claim, ...rest } = await hub.ask('start', { user_options: options }, Started);
    const [container] = pod.spec.containers;
    assert.ok(container);
    return {
      ...rest,
      pod,
      claim,
      container,
      env: new Map(container.env.map(({ name, value }) => [name, value])),
    };
  };
  const refusal = async (hub: TestHub, options: Readonly<Record<string, unknown>>) =>
    (await hub.ask('start', { user_options: options }, Refused)).refused;

  it('KubeSpawner: builds the expected pod for every profile, and for a changed file without a restart', async () => {
    const hub = patient;
    hub.mount(configMapOf(ordered(3, small)));
    const { jupyterhub, kubespawner } = await hub.ask('versions', {}, Versions);
    tookPart('KubeSpawner', `${kubespawner} with JupyterHub ${jupyterhub}`);

    for (const [record, limit, guarantee, cpu, pip, home] of [
      [ordered(3, small), 2_684_354_560, 1_073_741_824, [0.2, 0.5], '1', '10Gi'],
      [ordered(4, large), 137_438_953_472, 536_870_912, [2, 16], undefined, '322122547'],
    ] as const) {
      hub.mount(configMapOf(record));
      const profiles = profilesIn(record);
      assert.deepEqual(
        profiles.map(({ slug }) => slug),
        ['own-image', 'python-3-13', 'python-3-12'],
      );
      for (const profile of profiles) {
        const { pod, claim, container, env, deletesClaim, failureLimit } = await start(hub, {
          profile: profile.slug,
        });
        assert.equal(container.image, profile.kubespawner_override.image);
        assert.deepEqual(container.resources, {
          limits: { cpu: cpu[1], memory: limit },
          requests: { cpu: cpu[0], memory: guarantee },
        });
        assert.equal(env.get('KNADA_TEAM_SECRET'), 'projects/knada-gcp/secrets/team-a-3f9c');
        assert.equal(env.get('PIP_USER'), pip);
        assert.equal(pod.spec.serviceAccountName, team.id);
        const { annotations, labels } = pod.metadata;
        const promised = profile.kubespawner_override.extra_annotations;
        assert.equal(annotations['knada.io/profile-revision'], promised['knada.io/profile-revision']);
        assert.equal(annotations['knada.io/profile'], profile.slug);
        assert.equal(labels.component, 'singleuser-server');
        assert.equal(labels['knada.io/team-id'], team.id);
        assert.equal(labels['hub.jupyter.org/network-access-hub'], 'true');
        assert.deepEqual(container.volumeMounts, [
          { name: 'volume-mock-name---6241db84', mountPath: '/home/jovyan' },
        ]);
        assert.deepEqual(pod.spec.volumes, [
          {
            name: 'volume-mock-name---6241db84',
            persistentVolumeClaim: { claimName: 'claim-mock-name---6241db84' },
          },
        ]);
        assert.deepEqual(claim.spec.resources.requests, { storage: home });
        assert.equal(claim.metadata.labels['knada.io/team-id'], team.id);
        assert.equal(deletesClaim, false);
        assert.equal(failureLimit, 0);
      }
    }
  });

  it('KubeSpawner: uses the team’s own image when no profile is chosen, else the default environment', async () => {
    const hub = patient;
    hub.mount(configMapOf(ordered(3, {})));
    assert.equal((await start(hub, {})).container.image, `${reference}@${digest('a')}`);

    const record = anOrderedRecord({ notebook: aNotebook() });
    hub.mount(configMapOf(record));
    assert.equal(
      (await start(hub, {})).container.image,
      `ghcr.io/navikt/knada-images/jupyter:20261120-3.13@${digest('b')}`,
    );
  });

  it('KubeSpawner: keeps the last valid list when the file is broken, and logs why', async () => {
    const hub = hubWith('broken', 30, configMapOf(ordered(3, small)));
    // Up and running: what it falls back on at first is what it read at its own start.
    await hub.ask('versions', {}, Versions);
    for (const broken of [
      { 'profiles.json': '[{"slug": "own-im' },
      { 'profiles.json': '{"profiles": []}' },
      { 'profiles.json': '[{"slug": "x"}]' },
      { revision: 'four' },
    ]) {
      hub.mount(configMapOf(ordered(4, large)), broken);
      assert.equal((await start(hub, {})).container.resources.limits.memory, 2_684_354_560);
      hub.mount(configMapOf(ordered(4, large)));
      assert.equal((await start(hub, {})).container.resources.limits.memory, 137_438_953_472);
      hub.mount(configMapOf(ordered(3, small)));
      assert.equal((await start(hub, {})).container.resources.limits.memory, 2_684_354_560);
    }
    const faults = hub
      .log()
      .match(/Notebook profiles are not readable, the last good list stays in use: .*/g);
    assert.equal(faults?.length, 4, hub.log());
  });

  it('KubeSpawner: holds a start that names a revision until it is mounted, and serves others meanwhile', async () => {
    const hub = patient;
    hub.mount(configMapOf(ordered(3, small)));
    let isReady = false;
    const waiting = start(hub, { profile: 'own-image', knada_revision: 4 }).then((started) => {
      isReady = true;
      return started;
    });
    // Both are answered after that start was begun: questions are taken in order.
    await hub.ask('form', {}, Type.Object({ html: Type.String() }));
    assert.equal((await start(hub, { knada_revision: 3 })).container.resources.limits.cpu, 0.5);
    assert.equal(isReady, false);
    hub.mount(configMapOf(ordered(4, large)));
    assert.equal((await waiting).container.resources.limits.cpu, 16);
  });

  it('KubeSpawner: refuses a start whose revision is late or invalid', async () => {
    const hub = hasty;
    hub.mount(configMapOf(ordered(3, small)));
    assert.match(
      await refusal(hub, { knada_revision: 4 }),
      /^profiles_not_synced: The hub still has revision 3 .* not 4, after 0\.05 seconds\. Try again in a minute\.$/,
    );
    hub.mount(configMapOf(ordered(4, small)), { 'profiles.json': 'nonsense' });
    assert.match(
      await refusal(hub, { knada_revision: 4 }),
      /^profiles_not_synced: .* \(Expecting value: .*\)\.$/,
    );
    assert.match(await refusal(hub, { knada_revision: '4' }), /^invalid_revision: /);
    assert.match(await refusal(hub, { knada_revision: true }), /^invalid_revision: /);
  });

  it('KubeSpawner: logs no warning about the options of a start, and no traceback of a refused one', async () => {
    const hub = hubWith('quiet', 0.05, configMapOf(ordered(3, small)));
    const Logged = Type.Object({ messages: Type.Array(Type.String()), traceback: Type.Boolean() });
    const logged = async (options: object) => {
      const { messages, traceback } = await hub.ask('logged', { user_options: options }, Logged);
      return { messages, traceback };
    };
    const nothing = { messages: [], traceback: false };
    assert.deepEqual(await logged({ profile: 'own-image', knada_revision: 3, knada_chosen_at: 3 }), nothing);
    assert.deepEqual(await logged({ profile: 'gone', knada_revision: 3, knada_chosen_at: 3 }), nothing);
  });

  it('KubeSpawner: refuses with a message when there is nothing to start', async () => {
    const hub = hubWith('nothing', 0.05);
    assert.match(await refusal(hub, {}), /^profiles_not_synced: .* not been able to read .*No such file/);
    hub.mount(configMapOf(anOrderedRecord({ notebook: aNotebook() }), []));
    assert.match(await refusal(hub, {}), /^no_environment: There is nothing to start: /);
    hub.mount(configMapOf(anOrderedRecord({ notebook: aNotebook() })));
    assert.equal(
      await refusal(hub, { profile: 'own-image' }),
      "no_such_profile: 'own-image' is not offered any more. There are: python-3-13, python-3-12.",
    );
  });

  it('KubeSpawner: escapes HTML and templates in the profile form', async () => {
    const hostile: ProfileEnvironment = {
      python: '3.11',
      image: 'ghcr.io/navikt/x:1',
      digest: digest('d'),
      drivers: ['<b>Oracle</b>', '{{ 7 * 7 }}'],
      default: false,
    };
    patient.mount(configMapOf(ordered(3, {}), [...environments, hostile]));
    const { html } = await patient.ask('form', {}, Type.Object({ html: Type.String() }));
    assert.match(html, /Own image/);
    assert.match(html, /Python 3\.13/);
    assert.match(html, /Drivers: Oracle, Postgres\./);
    assert.doesNotMatch(html, /<b>Oracle|\{\{ 7/);
  });

  it('KubeSpawner: knows every trait and scope of the values, accepts the keys, and admits hub users only', async () => {
    const hub = patient;
    const [profile] = profilesIn(ordered(3, {}));
    assert.ok(profile);
    const unknown = await hub.ask(
      'unknown',
      {
        traits: [
          ...Object.keys(profile.kubespawner_override),
          'delete_pvc',
          'profile_list',
          'pre_spawn_hook',
        ],
        scopes: hubScopes,
      },
      Type.Object({ traits: Type.Array(Type.String()), scopes: Type.Array(Type.String()) }),
    );
    assert.deepEqual({ traits: unknown.traits, scopes: unknown.scopes }, { traits: [], scopes: [] });

    const masterKeys = [
      { id: 'new', key: '11'.repeat(32) },
      { id: 'old', key: '22'.repeat(32) },
    ];
    const { data = {} } = hubSecret(team.id, masterKeys, metaOf(ordered(3, {})));
    const text = (key: string) => Buffer.from(data[key] ?? '', 'base64').toString();
    const keys = await hub.ask(
      'keys',
      {
        cookie_secret: text('hub.config.JupyterHub.cookie_secret'),
        crypt_keys: text('hub.config.CryptKeeper.keys'),
      },
      Type.Object({ cookieSecret: Type.Integer(), cryptKeys: Type.Array(Type.Integer()) }),
    );
    assert.equal(keys.cookieSecret, 32);
    assert.deepEqual(keys.cryptKeys, [32, 32]);

    const allowed = await hub.ask(
      'allowed',
      { existing: 'kari' },
      Type.Object({ kari: Type.Boolean(), stranger: Type.Boolean() }),
    );
    assert.deepEqual([allowed.kari, allowed.stranger], [true, false]);
  });
});
