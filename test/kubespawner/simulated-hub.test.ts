import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { claimOf, podOf, type Spawn, withProfile } from '@knada/simulators/hubs/kubespawner.ts';
import { NotebookProfiles, SpawnRefused } from '@knada/simulators/hubs/profiles.ts';
import { settingsOf } from '@knada/simulators/hubs/settings.ts';
import { labelSlug, objectSlug } from '@knada/simulators/hubs/slugs.ts';
import {
  asMap,
  isMap,
  type Json,
  type JsonMap,
  parseJson,
  sameJson,
} from '@knada/simulators/kubernetes/json.ts';
import { isAbsent, tookPart } from '@knada/simulators/real/real-parts.ts';
import Type from 'typebox';
import { hubConventions } from '../../local/conventions.ts';
import type { NotebookSpec } from '../../src/model/notebook.ts';
import type { NotebookRecord } from '../../src/model/record.ts';
import { profilesConfigMap } from '../../src/notebooks/profiles.ts';
import { valuesOf } from '../../src/notebooks/values.ts';
import { metaOf } from '../../src/teams/desired.ts';
import { aPlatform, withChartDefaults } from '../notebooks/platform.ts';
import { aNotebook, anOrderedRecord, aSpec, named } from '../support/records.ts';
import { environment } from '../support/simulated-hub.ts';
import { hubPython, mountConfigMap, startHub } from './hub.ts';

const found = hubPython();
const skip = 'absent' in found ? isAbsent('KubeSpawner', found.absent) : false;
const python = 'python' in found ? found.python : '';

const team = named({ slug: 'team-a', id: 'team-a-3f9c' });
const json = (value: unknown): JsonMap => asMap(parseJson(JSON.stringify(value)));

const Started = Type.Object({ pod: Type.Unknown(), claim: Type.Unknown(), stored: Type.Unknown() });
const Refused = Type.Object({ refused: Type.String() });
const Versions = Type.Object({ jupyterhub: Type.String(), kubespawner: Type.String() });

/** Without what is empty, as an API server keeps it. */
const filled = (value: Json): Json => {
  if (Array.isArray(value)) return value.map(filled);
  if (!isMap(value)) return value;
  const kept = Object.entries(value)
    .map(([key, inner]) => [key, filled(inner)] as const)
    .filter(([, inner]) => !sameJson(inner, {}) && !sameJson(inner, []));
  return Object.fromEntries(kept);
};

/** The labels that jupyterhub_config.py of the chart sets, which the test's hub has others of. */
const ofTheChart = [
  'app',
  'release',
  'helm.sh/chart',
  'app.kubernetes.io/name',
  'app.kubernetes.io/instance',
];
/** What a hub without a cluster and a web server knows nothing of. */
const ofTheHub = /^(JUPYTERHUB_(?!USER$|SERVER_NAME$)|JPY_)/;

/** What there is to say about a pod or a claim, as far as the chart has no part in it. */
const told = (value: unknown): unknown => {
  const { metadata, spec } = json(value);
  const { labels, annotations, name } = asMap(metadata);
  const leftOut = [...ofTheChart, 'app.kubernetes.io/managed-by', 'hub.jupyter.org/servername'];
  const own = Object.entries(asMap(labels)).filter(([label]) => !leftOut.includes(label));
  return { name, labels: Object.fromEntries(own), annotations, spec: filled(asMap(spec)) };
};

const withoutHub = (value: unknown): unknown => {
  const pod = json(value);
  const spec = asMap(pod.spec);
  const containers = (Array.isArray(spec.containers) ? spec.containers : []).map((one: Json) => {
    const container = asMap(one);
    const env = (Array.isArray(container.env) ? container.env : []).filter(
      (variable) => !ofTheHub.test(String(asMap(variable).name)),
    );
    return { ...container, env };
  });
  return { ...pod, spec: { ...spec, containers } };
};

describe('the simulated KubeSpawner, held against the real one', { skip }, () => {
  const scratch = mkdtempSync(join(tmpdir(), 'knada-simulated-'));
  after(() => rmSync(scratch, { recursive: true, force: true }));
  const values = valuesOf(team, aPlatform());
  const hubPod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'hub', namespace: 'team-of-the-test' } };
  const folder = join(scratch, 'hub');
  mkdirSync(folder);
  const { profiles: ours } = hubConventions;
  assert.ok(ours);
  const convention = { ...ours, folder };
  const hub = startHub(python, { scratch: folder, values: withChartDefaults(values), waitSeconds: 0.05 });
  after(() => hub.stop());

  const mounts = (
    generation: number,
    offered = [environment],
    spec: Partial<NotebookSpec> = {},
    own: Partial<NotebookRecord> = {},
  ) => {
    const notebook = aNotebook({ spec: aSpec(spec), ...own });
    const record = anOrderedRecord({ ...team, generation, notebook });
    return profilesConfigMap(record, offered, metaOf(record));
  };
  const simulated = ({ data = {} }: ReturnType<typeof mounts>) =>
    new NotebookProfiles({ files: () => data, convention, waitMs: 50, pollMs: 5 });

  it('simulated KubeSpawner: makes the same pod and claim as the real one', async () => {
    const { jupyterhub, kubespawner } = await hub.ask('versions', {}, Versions);
    tookPart('KubeSpawner', `${kubespawner} with JupyterHub ${jupyterhub}`);
    const large: Partial<NotebookSpec> = {
      resources: { cpu: { guarantee: 2, limit: 16 }, memory: { guarantee: '512Mi', limit: '128Gi' } },
      pip: { userInstallByDefault: false },
      storage: { home: '0.3Gi' },
    };
    for (const map of [mounts(3), mounts(3, [environment], large)]) {
      mountConfigMap(folder, map);
      const options = { profile: 'python-3-13', knada_revision: 3 };
      const real = await hub.ask('start', { user_options: options }, Started);

      const { annotations } = asMap(json(real.pod).metadata);
      const spawn: Spawn = {
        settings: settingsOf(json(values), hubPod).spawner,
        user: String(asMap(annotations)['hub.jupyter.org/username']),
        hubVersion: jupyterhub,
      };
      const { profile } = await simulated(map).choose(options, AbortSignal.timeout(5000));
      const traits = withProfile(spawn, profile.override);
      assert.deepEqual(told(withoutHub(podOf(spawn, traits, 'token'))), told(withoutHub(real.pod)));
      assert.deepEqual(told(claimOf(spawn, traits)), told(real.claim));
    }
  });

  it('simulated KubeSpawner: chooses and stores the same profile as the real one', async () => {
    const older = { ...environment, python: '3.12', default: false };
    const reference = 'ghcr.io/navikt/our-notebook:1';
    const image = { reference, digest: environment.digest, resolvedAt: '', newerDigest: null };
    const own = { image, imageGeneration: 5 };
    const maps = [
      mounts(6, [older, environment]),
      mounts(6, [older, environment], { image: reference }, own),
    ];
    const profiles = [undefined, '', 'own-image', 'python-3-12', 'python-3-9'];
    const dates = [undefined, 0, 4, 5, 6, 7, true, '6'];
    for (const map of maps) {
      mountConfigMap(folder, map);
      for (const profile of profiles) {
        for (const date of dates) {
          for (const revision of [undefined, 6]) {
            const options = json({ profile, knada_chosen_at: date, knada_revision: revision, size: 'large' });
            const what = JSON.stringify(options);
            const real = await hub.ask('start', { user_options: options }, Type.Union([Started, Refused]));
            const chosen = await simulated(map)
              .choose(options, AbortSignal.timeout(5000))
              .catch((error: unknown) => error);
            if ('refused' in real) {
              assert.ok(chosen instanceof SpawnRefused, what);
              assert.equal(chosen.message, real.refused, what);
            } else {
              assert.ok(!(chosen instanceof Error), `${what}: ${chosen}`);
              assert.deepEqual(json(chosen).options, json(real.stored), what);
              const { annotations } = asMap(json(real.pod).metadata);
              assert.equal(asMap(annotations)['knada.io/profile'], asMap(json(chosen).options).profile, what);
            }
          }
        }
      }
    }
  });

  it('simulated KubeSpawner: refuses with the same messages as the real one', async () => {
    for (const [map, broken, options] of [
      [mounts(3), {}, { knada_revision: 4 }],
      [mounts(3), {}, { knada_revision: '4' }],
      [mounts(3), {}, { knada_revision: true }],
      [mounts(3), {}, { knada_revision: null }],
      [mounts(3), {}, { profile: 'own-image' }],
      [mounts(3, []), {}, {}],
      [mounts(4), { 'profiles.json': '{"profiles": []}' }, { knada_revision: 4 }],
      [mounts(4), { 'profiles.json': '[{"slug": "x"}]' }, { knada_revision: 4 }],
      [mounts(4), { revision: 'four' }, { knada_revision: 4 }],
    ] as const) {
      // The last good list of both is that of revision 3.
      const last = map.data?.revision === '4' ? mounts(3) : map;
      mountConfigMap(folder, last);
      await hub.ask('form', {}, Type.Object({ html: Type.String() }));
      mountConfigMap(folder, map, broken);
      const { refused } = await hub.ask('start', { user_options: options }, Refused);

      let files = { ...last.data };
      const profiles = new NotebookProfiles({
        files: () => files,
        convention,
        waitMs: 50,
        pollMs: 5,
      });
      files = { ...map.data, ...broken };
      await assert.rejects(profiles.choose(json(options), AbortSignal.timeout(5000)), (error) => {
        assert.ok(error instanceof SpawnRefused);
        assert.equal(error.message, refused);
        return true;
      });
    }
  });
});

describe('the simulated KubeSpawner', () => {
  it('simulated KubeSpawner: names pods and labels as KubeSpawner 7', () => {
    // From kubespawner/slugs.py of 7.0.0: safe_slug(name, max_length=48) and safe_slug(name, is_valid_label).
    for (const [name, object, label] of [
      ['kari', 'kari', 'kari'],
      ['kari.nordmann', 'kari-nordmann---d70c02ac', 'kari.nordmann'],
      ['kari.nordmann@nav.no', 'kari-nordmann-nav-no---313b19be', 'kari-nordmann-nav-no---313b19be'],
      ['Kari', 'kari---1262ca62', 'Kari'],
      ['a--b', 'a-b---90827a2e', 'a-b---90827a2e'],
      ['1abc', 'x-1abc---57cb980e', '1abc'],
      ['åse', 'se---65c31926', 'se---65c31926'],
      ['..', 'x---5ec1f7e7', 'x---5ec1f7e7'],
      ['x'.repeat(49), `${'x'.repeat(37)}---55bb9823`, 'x'.repeat(49)],
      ['x'.repeat(70), `${'x'.repeat(37)}---c71bd109`, `${'x'.repeat(21)}---c71bd109`],
    ] as const) {
      assert.deepEqual([objectSlug(name), labelSlug(name)], [object, label], name);
    }
  });
});
