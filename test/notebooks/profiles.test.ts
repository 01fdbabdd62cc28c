import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { bytesOf } from '../../src/lib/quantity.ts';
import type { NotebookImage, NotebookSpec } from '../../src/model/notebook.ts';
import {
  type Profile,
  type ProfileEnvironment,
  profileRevisionAnnotation,
  profilesConfigMap,
  profilesOf,
} from '../../src/notebooks/profiles.ts';
import { metaOf } from '../../src/teams/desired.ts';
import { aMoment, aNotebook, anOrderedRecord, aRecord, aSpec } from '../support/records.ts';
import { anyEnvironments, anyImage, anySpec } from './arbitrary.ts';

const digest = (digit: string) => `sha256:${digit.repeat(64)}`;
const environment = (python: string, overrides: Partial<ProfileEnvironment> = {}): ProfileEnvironment => ({
  python,
  image: `ghcr.io/navikt/jupyter:2026-${python}`,
  digest: digest('b'),
  drivers: ['Oracle', 'TDV'],
  default: false,
  ...overrides,
});
const environments = [environment('3.13'), environment('3.12', { default: true })];
const reference = 'ghcr.io/navikt/ours:1';
const image: NotebookImage = { reference, digest: digest('a'), resolvedAt: aMoment, newerDigest: null };
const ours = aSpec({ image: reference });

const slugs = (profiles: readonly Profile[]) => profiles.map(({ slug }) => slug);
const preselected = (profiles: readonly Profile[]) =>
  profiles.filter((profile) => profile.default).map(({ slug }) => slug);
const revisions = (spec: NotebookSpec, pinned: NotebookImage | null = null, offered = environments) =>
  profilesOf(spec, pinned, offered).map(
    ({ kubespawner_override: { extra_annotations } }) => extra_annotations[profileRevisionAnnotation],
  );

describe('the profiles of a notebook', () => {
  it('are the own image first, then the standard environments, each pinned by its digest', () => {
    const profiles = profilesOf(ours, image, environments);
    assert.deepEqual(slugs(profiles), ['own-image', 'python-3-13', 'python-3-12']);
    assert.deepEqual(
      profiles.map(({ kubespawner_override }) => kubespawner_override.image),
      [
        `${reference}@${digest('a')}`,
        `ghcr.io/navikt/jupyter:2026-3.13@${digest('b')}`,
        `ghcr.io/navikt/jupyter:2026-3.12@${digest('b')}`,
      ],
    );
  });

  const defaults: readonly (readonly [string, readonly Profile[], readonly string[]])[] = [
    ['the own image', profilesOf(ours, image, environments), ['own-image']],
    ['the platform’s default', profilesOf(aSpec(), null, environments), ['python-3-12']],
    ['the first without a default', profilesOf(aSpec(), null, [environment('3.11')]), ['python-3-11']],
    ['nothing when there is nothing', profilesOf(aSpec(), null, []), []],
    ['the own image alone', profilesOf(ours, image, []), ['own-image']],
  ];
  for (const [what, profiles, expected] of defaults) {
    it(`preselect ${what}`, () => assert.deepEqual(preselected(profiles), expected));
  }

  it('omit an own image that is not pinned yet, and one that is no longer ordered', () => {
    assert.deepEqual(slugs(profilesOf(ours, null, environments)), ['python-3-13', 'python-3-12']);
    assert.deepEqual(slugs(profilesOf(aSpec(), image, environments)), ['python-3-13', 'python-3-12']);
  });

  it('are the own image alone when the team has switched the standard environments off', () => {
    const alone = aSpec({ image: reference, standardEnvironments: false });
    assert.deepEqual(slugs(profilesOf(alone, image, environments)), ['own-image']);
    assert.deepEqual(preselected(profilesOf(alone, image, environments)), ['own-image']);
  });

  it('name the drivers', () => {
    const [oracle, none] = profilesOf(aSpec(), null, [
      environment('3.13'),
      environment('3.12', { drivers: [] }),
    ]);
    assert.equal(oracle?.description, 'Drivers: Oracle, TDV.');
    assert.equal(none?.description, 'No database drivers.');
  });

  it('have an image by its digest only once, also when it was ordered by digest', () => {
    const byDigest = { ...image, reference: `ghcr.io/navikt/ours@${digest('c')}` };
    const [profile] = profilesOf(ours, byDigest, []);
    assert.equal(profile?.kubespawner_override.image, `ghcr.io/navikt/ours@${digest('a')}`);
  });

  it('use the spawner’s units: bytes, cores, and a volume size in Kubernetes’ notation', () => {
    const [profile] = profilesOf(
      aSpec({
        resources: { cpu: { guarantee: 0.1, limit: 0.5 }, memory: { guarantee: '256Mi', limit: '2.5Gi' } },
        storage: { home: '1.5Gi' },
      }),
      image,
      environments,
    );
    const { cpu_guarantee, cpu_limit, mem_guarantee, mem_limit, storage_capacity } =
      profile?.kubespawner_override ?? {};
    assert.deepEqual(
      { cpu_guarantee, cpu_limit, mem_guarantee, mem_limit, storage_capacity },
      {
        cpu_guarantee: 0.1,
        cpu_limit: 0.5,
        mem_guarantee: 268_435_456,
        mem_limit: 2_684_354_560,
        storage_capacity: '1536Mi',
      },
    );
  });

  it('set or unset PIP_USER, and never inherit it from an earlier profile', () => {
    for (const [userInstallByDefault, expected] of [
      [true, '1'],
      [false, null],
    ] as const) {
      for (const profile of profilesOf(aSpec({ pip: { userInstallByDefault } }), image, environments)) {
        assert.deepEqual(profile.kubespawner_override.environment, { PIP_USER: expected });
      }
    }
  });

  it('are valid for every order: one default, unique slugs, the same keys everywhere, no limit exceeded', () => {
    fc.assert(
      fc.property(anySpec, fc.option(anyImage), anyEnvironments, (spec, pinned, offered) => {
        const profiles = profilesOf(spec, pinned, offered);
        const own = spec.image !== null && pinned !== null ? 1 : 0;
        assert.equal(profiles.length, (spec.standardEnvironments ? offered.length : 0) + own);
        assert.equal(new Set(slugs(profiles)).size, profiles.length);
        assert.equal(preselected(profiles).length, Math.min(profiles.length, 1));
        const keys = ({ kubespawner_override }: Profile) => [
          Object.keys(kubespawner_override).sort(),
          Object.keys(kubespawner_override.environment).sort(),
          Object.keys(kubespawner_override.extra_annotations).sort(),
        ];
        for (const profile of profiles) {
          const [first = profile] = profiles;
          assert.deepEqual(keys(profile), keys(first));
          assert.match(profile.slug, /^(own-image|python-[0-9]+-[0-9]+)$/);
          const override = profile.kubespawner_override;
          assert.match(override.image, /^[^@]+@sha256:[0-9a-f]{64}$/);
          assert.ok(Number.isSafeInteger(override.mem_guarantee) && Number.isSafeInteger(override.mem_limit));
          assert.ok(override.mem_guarantee <= override.mem_limit);
          assert.ok(override.mem_limit <= bytesOf(spec.resources.memory.limit));
          assert.ok(override.cpu_guarantee <= override.cpu_limit);
          assert.ok(override.cpu_limit <= spec.resources.cpu.limit + 1e-9);
          assert.doesNotMatch(`${profile.display_name}${profile.description}`, /[<>{}"']/);
        }
      }),
    );
  });
});

describe('the revision of a profile', () => {
  const before = revisions(ours, image);

  const changes: readonly (readonly [string, NotebookSpec])[] = [
    ['CPU', { ...ours, resources: { ...ours.resources, cpu: { guarantee: 0.2, limit: 1 } } }],
    ['memory', { ...ours, resources: { ...ours.resources, memory: { guarantee: '1Gi', limit: '3Gi' } } }],
    ['pip', { ...ours, pip: { userInstallByDefault: !ours.pip.userInstallByDefault } }],
  ];
  for (const [what, spec] of changes) {
    it(`changes with ${what}, in every profile`, () => {
      for (const revision of revisions(spec, image)) assert.ok(!before.includes(revision));
    });
  }

  it('changes with its own image only', () => {
    const after = revisions(ours, { ...image, digest: digest('e') });
    assert.notEqual(after[0], before[0]);
    assert.deepEqual(after.slice(1), before.slice(1));
  });

  it('is unchanged when nothing changes for the pod: timeouts, allowlist, the size of the home, another spelling of 2Gi', () => {
    const same = {
      ...ours,
      culling: { timeoutSeconds: 600, maxAgeSeconds: 600, keepBusyKernels: true },
      allowlist: { enabled: true, hosts: ['pypi.org'] },
      storage: { home: '20Gi' },
      resources: { ...ours.resources, memory: { guarantee: '1024Mi', limit: '2048Mi' } },
    };
    assert.deepEqual(revisions(same, image), before);
  });

  it('is different for every profile', () => {
    assert.equal(new Set(before).size, before.length);
  });
});

describe('the ConfigMap notebook-profiles', () => {
  const record = anOrderedRecord({
    generation: 7,
    notebook: aNotebook({ spec: ours, image, imageGeneration: 5 }),
  });
  const configMap = profilesConfigMap(record, environments, metaOf(record));

  it('has profiles, culling and the revision that a start can name', () => {
    const { data = {} } = configMap;
    assert.deepEqual(Object.keys(data).sort(), [
      'culling.json',
      'image-revision',
      'profiles.json',
      'revision',
    ]);
    assert.deepEqual(JSON.parse(data['profiles.json'] ?? ''), profilesOf(ours, image, environments));
    assert.deepEqual(JSON.parse(data['culling.json'] ?? ''), ours.culling);
    assert.equal(data.revision, '7');
    assert.equal(data['image-revision'], '5');
    assert.deepEqual(configMap.metadata, { name: 'notebook-profiles', ...metaOf(record) });
  });

  it('has the same bytes for the same record', () => {
    const again = profilesConfigMap(structuredClone(record), environments, metaOf(record));
    assert.equal(JSON.stringify(again), JSON.stringify(configMap));
  });

  it('does not exist without a notebook', () => {
    const bare = aRecord();
    assert.throws(() => profilesConfigMap(bare, environments, metaOf(bare)), TypeError);
  });
});
