import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { defaultEntryOptions } from '../../src/egress/entry.ts';
import { type LiveEgress, noNotebooks } from '../../src/egress/live-egress.ts';
import { defaultEgressSettings } from '../../src/egress/policy.ts';
import type { NotebookSpec } from '../../src/model/notebook.ts';
import type { TeamRecord } from '../../src/model/record.ts';
import { releaseSpec } from '../../src/notebooks/desired.ts';
import type { Manifest } from '../../src/ports/cluster.ts';
import { type Rendering, renderWith } from '../../src/reconcile/render.ts';
import { anyEnvironments, anyImage, anyTeam } from '../notebooks/arbitrary.ts';
import { anyCompleteSpec } from '../notebooks/orders.ts';
import { aPlatform } from '../notebooks/platform.ts';
import { aMoment, aNotebook, anOrderedRecord, aRecord, aSpec } from '../support/records.ts';

const key = 'ab'.repeat(32);
const rendering: Rendering = {
  masterKeys: [{ id: '2026-11', key }],
  environments: [],
  egress: { settings: defaultEgressSettings, entries: defaultEntryOptions },
};
const render = (team: TeamRecord, live: LiveEgress = noNotebooks) => renderWith(rendering)(team, live);

const ordered = (spec: NotebookSpec, overrides: Partial<TeamRecord> = {}): TeamRecord => {
  const team = anOrderedRecord({ notebook: aNotebook({ spec }), ...overrides });
  return { ...team, release: { platformHash: 'p', spec: releaseSpec(team, aPlatform()) } };
};
const named = (objects: readonly Manifest[]) =>
  objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`);

const [home, account] = ['Namespace team-team-a-3f9c', 'ServiceAccount team-a-3f9c'];
const ground = [home, account];
const hub = [account, 'ConfigMap notebook-profiles', 'Secret notebook-hub', 'HelmRelease jupyterhub'];

describe('the desired objects of a team', () => {
  it('are the base objects without a notebook', () => assert.deepEqual(named(render(aRecord())), ground));

  it('are, in this order, the base, the policies, what the hub mounts, the hub', () => {
    assert.deepEqual(named(render(ordered(aSpec()))), [home, 'NetworkPolicy notebook-egress-open', ...hub]);
  });

  it('have the baseline instead of the open policy once the team opts in', () => {
    const spec = aSpec({ allowlist: { enabled: true, hosts: ['pypi.org'] } });
    assert.deepEqual(named(render(ordered(spec))), [
      home,
      'NetworkPolicy notebook-egress-baseline',
      'NetworkPolicy airflow-egress-baseline',
      ...hub,
    ]);
  });

  it('open the allowlist while a notebook is running, as long as its pod exists', () => {
    const spec = aSpec({ allowlist: { enabled: true, hosts: ['pypi.org'] } });
    const pod = { apiVersion: 'v1', kind: 'Pod', name: 'jupyter-kari', uid: 'u1' };
    const live = { addresses: new Map([['pypi.org', ['151.101.0.223']]]), podsAlive: true, owners: [pod] };
    const objects = render(ordered(spec), live);
    assert.deepEqual(named(objects), [
      home,
      'NetworkPolicy notebook-egress-baseline',
      'NetworkPolicy airflow-egress-baseline',
      'NetworkPolicy notebook-egress-allow',
      ...hub,
    ]);
    const owners = objects.map(({ metadata }) => metadata.ownerReferences);
    assert.deepEqual(
      owners.filter((one) => one !== undefined),
      [[pod]],
    );
    assert.deepEqual(named(render(ordered(spec), { ...live, podsAlive: false })), [
      home,
      'NetworkPolicy notebook-egress-baseline',
      'NetworkPolicy airflow-egress-baseline',
      ...hub,
    ]);
  });

  it('are the base objects again while the notebook or the team is being deleted', () => {
    const deletion = { requestedAt: aMoment, deleteHomes: false };
    const going = anOrderedRecord({ notebook: aNotebook({ deletion }) });
    assert.deepEqual(named(render(going)), ground);
    const team = ordered(aSpec(), { deletion: { ...deletion, deleteSecret: false } });
    assert.deepEqual(named(render(team)), ground);
  });

  const anyOrdered = fc
    .tuple(anyTeam, anyCompleteSpec, fc.option(anyImage), fc.nat(99))
    .map(([name, spec, image, generation]) =>
      ordered(spec, {
        ...name,
        generation,
        notebook: aNotebook({ spec, image: spec.image === null ? null : image }),
      }),
    );

  it('have the same bytes for the same record, in the team’s namespace, with its labels', () => {
    fc.assert(
      fc.property(anyOrdered, anyEnvironments, (team, environments) => {
        const renderThese = (record: TeamRecord) =>
          renderWith({ ...rendering, environments })(record, noNotebooks);
        const objects = renderThese(team);
        assert.equal(JSON.stringify(renderThese(structuredClone(team))), JSON.stringify(objects));
        assert.deepEqual(JSON.parse(JSON.stringify(objects)), structuredClone(objects));
        assert.equal(new Set(named(objects)).size, objects.length);
        for (const { kind, metadata } of objects) {
          assert.equal(metadata.namespace, kind === 'Namespace' ? undefined : team.names.namespace);
          assert.equal(metadata.labels?.['knada.io/team-id'], team.id);
          assert.equal(metadata.annotations?.['knada.io/revision'], String(team.generation));
          assert.equal(metadata.resourceVersion, undefined);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('have nothing in the chart or the keys that a team can change: no order restarts a hub', () => {
    const lasting = (team: TeamRecord) =>
      render(team)
        .filter(({ kind }) => kind === 'HelmRelease' || kind === 'Secret' || kind === 'ServiceAccount')
        .map(({ kind, spec, data }) => ({ kind, spec, data }));
    fc.assert(
      fc.property(anyCompleteSpec, anyCompleteSpec, (one, other) => {
        assert.deepEqual(lasting(ordered(one)), lasting(ordered(other)));
      }),
      { numRuns: 50 },
    );
  });

  it('change with the platform only at a roll-out, never by rendering', () => {
    const team = ordered(aSpec());
    const [release] = render(team).filter(({ kind }) => kind === 'HelmRelease');
    assert.deepEqual(release?.spec, team.release?.spec);
  });

  it('never open everything for a notebook that opted in, for any allowlist', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.string(), fc.domain(), fc.ipV4()), { maxLength: 4 }), (hosts) => {
        const policies = render(ordered(aSpec({ allowlist: { enabled: true, hosts } }))).filter(
          ({ kind }) => kind === 'NetworkPolicy',
        );
        assert.ok(policies.length > 0);
        for (const policy of policies) {
          const { egress } = Object(policy.spec);
          assert.ok(Array.isArray(egress));
          for (const rule of egress) assert.ok(Array.isArray(rule.to) && rule.to.length > 0);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('contain no master key', () => assert.ok(!JSON.stringify(render(ordered(aSpec()))).includes(key)));
});
