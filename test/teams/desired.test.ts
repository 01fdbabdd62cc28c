import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TeamRecord } from '../../src/model/record.ts';
import type { Manifest } from '../../src/ports/cluster.ts';
import { isOwned, metaOf, namespace, serviceAccount } from '../../src/teams/desired.ts';
import { aMoment, aNotebook, anOrderedRecord, aRecord, aSpec } from '../support/records.ts';

const labels = {
  'app.kubernetes.io/managed-by': 'knada-notebooks',
  'knada.io/team-id': 'team-a-3f9c',
  'knada.io/team': 'team-a',
};

describe('the metadata of every object of a team', () => {
  it('has the team’s labels and namespace, and the generation as text', () => {
    assert.deepEqual(metaOf(aRecord({ generation: 12 })), {
      namespace: 'team-team-a-3f9c',
      labels,
      annotations: { 'knada.io/revision': '12' },
    });
  });
});

describe('the ownership of an object', () => {
  const object = (overrides: Readonly<Record<string, string>> | undefined): Manifest => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'x', ...(overrides === undefined ? {} : { labels: overrides }) },
  });
  const rows: readonly (readonly [string, Readonly<Record<string, string>> | undefined, boolean])[] = [
    ['with the team’s id: ours', { 'knada.io/team-id': 'team-a-3f9c' }, true],
    ['without labels: not ours', undefined, false],
    ['with our name as manager only: not ours', { 'app.kubernetes.io/managed-by': 'knada-notebooks' }, false],
    ['with the slug only: not ours', { 'knada.io/team': 'team-a' }, false],
    ['of an earlier team of that slug: not ours', { 'knada.io/team-id': 'team-a-0000' }, false],
  ];
  for (const [sentence, given, expected] of rows) {
    it(sentence, () => assert.equal(isOwned(object(given), aRecord()), expected));
  }
});

describe('the namespace', () => {
  it('is labelled as the team’s', () => {
    const { kind, metadata } = namespace(aRecord());
    assert.equal(kind, 'Namespace');
    assert.equal(metadata.name, 'team-team-a-3f9c');
    assert.equal(metadata.namespace, undefined);
    assert.deepEqual(metadata.labels, { ...labels, 'team-namespace': 'true' });
    assert.deepEqual(metadata.annotations, { 'knada.io/revision': '1' });
  });

  const restricted = aSpec({ allowlist: { enabled: true, hosts: [] } });
  const deletion = { requestedAt: aMoment, deleteHomes: false };
  const rows: readonly (readonly [string, TeamRecord, string | undefined])[] = [
    ['open without a notebook', aRecord(), undefined],
    ['open with a notebook that has not opted in', anOrderedRecord(), undefined],
    [
      'restricted once opted in, also with an empty list',
      anOrderedRecord({ notebook: aNotebook({ spec: restricted }) }),
      'restricted',
    ],
    [
      'open again once the notebook is being deleted',
      anOrderedRecord({ notebook: aNotebook({ spec: restricted, deletion }) }),
      undefined,
    ],
  ];
  for (const [sentence, team, expected] of rows) {
    it(`is ${sentence}`, () => {
      assert.equal(namespace(team).metadata.labels?.['knada.io/egress'], expected);
    });
  }
});

describe('the service account', () => {
  it('is bound to the team’s Google service account', () => {
    assert.deepEqual(serviceAccount(aRecord()), {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: {
        name: 'team-a-3f9c',
        namespace: 'team-team-a-3f9c',
        labels,
        annotations: {
          'knada.io/revision': '1',
          'iam.gke.io/gcp-service-account': 'team-a-3f9c@knada-gcp.iam.gserviceaccount.com',
        },
      },
    });
  });
});
