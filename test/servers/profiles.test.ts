import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { NotebookSpec } from '../../src/model/notebook.ts';
import { Problem } from '../../src/model/problems.ts';
import type { TeamRecord } from '../../src/model/record.ts';
import { choicesOf, profileRevisionAnnotation } from '../../src/notebooks/profiles.ts';
import type { ServerView } from '../../src/servers/facts.ts';
import { listedProfiles } from '../../src/servers/listed-profiles.ts';
import type { PodView } from '../../src/servers/pod.ts';
import { chosenProfile, lastChoice, pendingChanges, sizeOf } from '../../src/servers/profiles.ts';
import { aMoment, aNotebook, anOrderedRecord, aSpec } from '../support/records.ts';

const environments = ['3.12', '3.13'].map((python) => ({
  python,
  image: `ghcr.io/navikt/knada-images/jupyter:1-${python}`,
  digest: `sha256:${'b'.repeat(64)}`,
  drivers: ['Oracle'],
  default: python === '3.13',
}));
const reference = 'ghcr.io/navikt/our-notebook:1';
const image = { reference, digest: `sha256:${'a'.repeat(64)}`, resolvedAt: aMoment, newerDigest: null };

/** A team whose image was ordered with this generation; 0: none was. */
const teamWith = (imageGeneration: number, spec: Partial<NotebookSpec> = {}): TeamRecord =>
  anOrderedRecord({
    notebook: aNotebook({
      spec: aSpec({ image: imageGeneration === 0 ? null : reference, ...spec }),
      image: imageGeneration === 0 ? null : image,
      imageGeneration,
    }),
  });
const offeredBy = ({ notebook }: TeamRecord, catalogue = environments) =>
  notebook === null ? [] : choicesOf(notebook.spec, notebook.image, catalogue);

/** A running server as this team would have started it on this profile, chosen at this generation. */
const runningOn = (team: TeamRecord, slug: string, profileChosenAt?: number): ServerView => {
  const choice = offeredBy(team).find((one) => one.slug === slug);
  assert.ok(choice, slug);
  const pod: PodView = {
    name: 'jupyter-kari',
    uid: 'pod-1',
    isTerminating: false,
    isReady: true,
    image: choice.override.image,
    profile: slug,
    profileRevision: choice.override.extra_annotations[profileRevisionAnnotation] ?? null,
    size: sizeOf(choice.override),
    userInstallByDefault: choice.override.environment.PIP_USER === '1',
    startedAt: aMoment,
  };
  const server = {
    stopped: false,
    ready: true,
    pending: null,
    startedAt: aMoment,
    lastActivityAt: aMoment,
    profile: slug,
    ...(profileChosenAt === undefined ? {} : { profileChosenAt }),
  };
  return { hub: { answered: true, isUser: true, server }, pods: { answered: true, pod } };
};

describe('the profile of a start', () => {
  const offered = offeredBy(teamWith(0));
  it('profile of a start: the requested one, else the last choice if it is offered, else the default', () => {
    for (const [requested, last, expected] of [
      ['python-3-12', 'python-3-13', 'python-3-12'],
      [undefined, 'python-3-12', 'python-3-12'],
      [undefined, 'python-3-9', 'python-3-13'],
      [undefined, null, 'python-3-13'],
    ] as const)
      assert.equal(chosenProfile(offered, requested, last).slug, expected);
  });

  it('profile of a start: refused when it is not offered, and when nothing is', () => {
    assert.throws(
      () => chosenProfile(offered, 'python-2-7', null),
      (error) => error instanceof Problem && error.errors?.[0]?.code === 'not_in_list',
    );
    assert.throws(
      () => chosenProfile([], undefined, null),
      (error) => error instanceof Problem && error.code === 'no_environment',
    );
  });

  it('last choice: counts until an image is ordered after it, and an undated one only without an image', () => {
    for (const [profileChosenAt, imageGeneration, expected] of [
      [undefined, 0, 'python-3-12'],
      [undefined, 1, null],
      [4, 5, null],
      [5, 5, 'python-3-12'],
      [6, 5, 'python-3-12'],
    ] as const) {
      const server = {
        profile: 'python-3-12',
        ...(profileChosenAt === undefined ? {} : { profileChosenAt }),
      };
      assert.equal(lastChoice(server, teamWith(imageGeneration)), expected);
    }
    assert.equal(lastChoice(null, teamWith(0)), null);
  });
});

describe('pending changes', () => {
  const before = teamWith(0);
  const pointers = (view: ServerView, team: TeamRecord, catalogue = environments) =>
    pendingChanges(view, offeredBy(team, catalogue), team)?.map(({ pointer }) => pointer);

  it('pending changes: none while a restart would bring the same', () => {
    assert.deepEqual(pointers(runningOn(before, 'python-3-12', 2), before), []);
  });

  it('pending changes: name profile and image once the team orders an image', () => {
    const after = teamWith(3);
    assert.deepEqual(pendingChanges(runningOn(before, 'python-3-12', 2), offeredBy(after), after), [
      { pointer: '/profile', from: 'python-3-12', to: 'own-image' },
      {
        pointer: '/image',
        from: `${environments[0]?.image}@${environments[0]?.digest}`,
        to: `${reference}@${image.digest}`,
      },
    ]);
  });

  it('pending changes: name every changed size and pip, as an order writes them', () => {
    const after = teamWith(0, {
      resources: { cpu: { guarantee: 0.3, limit: 2 }, memory: { guarantee: '1536Mi', limit: '4Gi' } },
      pip: { userInstallByDefault: false },
    });
    assert.deepEqual(pendingChanges(runningOn(before, 'python-3-13', 2), offeredBy(after), after), [
      { pointer: '/resources/cpu/guarantee', from: 0.2, to: 0.3 },
      { pointer: '/resources/cpu/limit', from: 0.5, to: 2 },
      { pointer: '/resources/memory/guarantee', from: '1Gi', to: '1536Mi' },
      { pointer: '/resources/memory/limit', from: '2Gi', to: '4Gi' },
      { pointer: '/pip/userInstallByDefault', from: true, to: false },
    ]);
  });

  it('pending changes: an explicit choice after the image holds through a change of memory, not of the image', () => {
    const chosen = runningOn(teamWith(3), 'python-3-12', 4);
    const { resources } = aSpec();
    const more = { resources: { ...resources, memory: { guarantee: '1Gi', limit: '4Gi' } } };
    assert.deepEqual(pointers(chosen, teamWith(3, more)), ['/resources/memory/limit']);
    assert.deepEqual(pointers(chosen, teamWith(5)), ['/profile', '/image']);
  });

  it('pending changes: an image that is taken away brings the default to those who were on it', () => {
    const without = teamWith(3, { image: null });
    assert.deepEqual(pointers(runningOn(teamWith(3), 'own-image', 3), without), ['/profile', '/image']);
    assert.deepEqual(pointers(runningOn(teamWith(3), 'python-3-12', 4), without), []);
  });

  it('pending changes: not known without the cluster, or without the hub’s answer; none without a pod', () => {
    const view = runningOn(before, 'python-3-12', 2);
    assert.equal(pointers({ ...view, pods: { answered: false } }, before), undefined);
    assert.equal(pointers({ ...view, hub: { answered: false } }, before), undefined);
    const stopped = { answered: true, pod: undefined } as const;
    assert.deepEqual(pointers({ hub: { answered: false }, pods: stopped }, before), []);
  });
});

describe('the list of profiles', () => {
  const stopped: ServerView = {
    hub: { answered: true, isUser: true, server: null },
    pods: { answered: true, pod: undefined },
  };
  const listed = (
    team: TeamRecord,
    views: Record<string, ServerView>,
    user?: string,
    catalogue = environments,
  ) => listedProfiles(offeredBy(team, catalogue), new Map(Object.entries(views)), team, user);
  const marks = (profiles: ReturnType<typeof listed>, mark: 'default' | 'retired' | 'chosen') =>
    profiles.filter((profile) => profile[mark]).map(({ slug }) => slug);

  it('profiles: the own image first, then the standard environments with Python, digest and drivers', () => {
    const profiles = listed(teamWith(3), { kari: stopped }, 'kari');
    assert.deepEqual(
      profiles.map(({ slug, kind, python, drivers }) => [slug, kind, python, drivers]),
      [
        ['own-image', 'own', null, []],
        ['python-3-12', 'standard', '3.12', ['Oracle']],
        ['python-3-13', 'standard', '3.13', ['Oracle']],
      ],
    );
    assert.deepEqual([marks(profiles, 'default'), marks(profiles, 'chosen')], [['own-image'], ['own-image']]);
    assert.deepEqual(profiles[0], {
      slug: 'own-image',
      displayName: 'Own image',
      kind: 'own',
      python: null,
      image: reference,
      digest: image.digest,
      drivers: [],
      default: true,
      retired: false,
      chosen: true,
    });
  });

  it('profiles: each caller sees the own choice, and one who is no member none', () => {
    const team = teamWith(3);
    const views = { kari: runningOn(team, 'python-3-12', 4), ola: runningOn(team, 'python-3-13', 2) };
    assert.deepEqual(marks(listed(team, views, 'kari'), 'chosen'), ['python-3-12']);
    assert.deepEqual(marks(listed(team, views, 'ola'), 'chosen'), ['own-image']);
    assert.deepEqual(
      listed(team, views).map(({ chosen }) => chosen),
      [false, false, false],
    );
  });

  it('profiles: what is chosen is not known while the hub does not answer', () => {
    const silent = { ...stopped, hub: { answered: false } as const };
    const profiles = listed(teamWith(0), { kari: silent }, 'kari');
    assert.deepEqual(
      profiles.map(({ chosen }) => chosen),
      [null, null],
    );
  });

  it('profiles: lists a standard environment as retired while a server runs it or it is a last choice', () => {
    const team = teamWith(0);
    const now = environments.filter(({ python }) => python === '3.13');
    const running = runningOn(team, 'python-3-12', 2);
    const chosen = { ...running, pods: stopped.pods };
    for (const [views, expected] of [
      [{ kari: stopped, ola: running }, [environments[0]?.image, environments[0]?.digest]],
      [{ kari: stopped, ola: chosen }, [null, null]],
    ] as const) {
      const retired = listed(team, views, 'kari', now).filter((profile) => profile.retired);
      assert.deepEqual(
        retired.map(({ slug, python, image: name, digest, chosen: mine }) => [
          slug,
          python,
          name,
          digest,
          mine,
        ]),
        [['python-3-12', '3.12', ...expected, false]],
      );
    }
    assert.deepEqual(marks(listed(team, { kari: stopped }, 'kari', now), 'retired'), []);
    assert.deepEqual(marks(listed(team, { kari: chosen }, 'kari', now), 'chosen'), ['python-3-13']);
  });
});
