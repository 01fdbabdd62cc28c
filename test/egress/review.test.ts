import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { allowedReview, parseReview } from '../../src/egress/review.ts';
import { aReview } from '../support/reviews.ts';

describe('an AdmissionReview', () => {
  it('is parsed into the fields that matter', () => {
    const labels = { component: 'singleuser-server', app: 'jupyterhub' };
    assert.deepEqual(parseReview(aReview({ namespace: 'team-red-3f2a', labels })), {
      uid: 'b6e6f9a0-0000-4000-8000-000000000001',
      operation: 'CREATE',
      dryRun: false,
      kind: 'notebook',
      namespace: 'team-red-3f2a',
      name: 'jupyter-kari',
      podUid: 'b6e6f9a0-0000-4000-8000-000000000002',
      labels,
      annotations: {},
    });
  });

  for (const [what, labels, annotations, kind] of [
    ['a notebook', { component: 'singleuser-server' }, {}, 'notebook'],
    [
      'a notebook with an Airflow label',
      { component: 'singleuser-server', dag_id: 'x' },
      { allowlist: 'a.no' },
      'notebook',
    ],
    ['an Airflow pod with a list', { dag_id: 'x' }, { allowlist: 'a.no' }, 'airflow'],
    ['an Airflow pod with an empty list', { dag_id: 'x' }, { allowlist: '' }, 'airflow'],
    ['an Airflow pod without a list', { dag_id: 'x' }, {}, 'other'],
    ['a pod with a list that is of no run', {}, { allowlist: 'a.no' }, 'other'],
    ['the hub', { component: 'hub' }, { allowlist: 'a.no' }, 'other'],
  ] as const) {
    it(`recognizes ${what}`, () => assert.equal(parseReview(aReview({ labels, annotations }))?.kind, kind));
  }

  it('is about a pod only if its resource is the pod itself', () => {
    const labels = { component: 'singleuser-server' };
    for (const request of [
      { kind: { group: 'apps', version: 'v1', kind: 'Pod' } },
      { kind: { group: '', version: 'v1', kind: 'ConfigMap' } },
      { subResource: 'eviction' },
      { object: null },
      { object: { metadata: { labels: { component: 7 } } } },
    ]) {
      assert.equal(parseReview(aReview({ labels }, request))?.kind, 'other', JSON.stringify(request));
    }
  });

  it('has the name that Kubernetes generated', () => {
    assert.equal(parseReview(aReview({ name: 'task-x7k2p' }, { name: undefined }))?.name, 'task-x7k2p');
  });

  it('is parsed or refused for any input, and never throws', () => {
    for (const body of [
      undefined,
      null,
      [],
      'x',
      {},
      { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview' },
      { ...aReview(), request: null },
      { ...aReview(), apiVersion: 'admission.k8s.io/v1beta1' },
      aReview({}, { uid: '' }),
    ]) {
      assert.equal(parseReview(body), undefined, JSON.stringify(body));
    }
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (anything, object) => {
        parseReview(anything);
        parseReview({ ...aReview(), request: anything });
        assert.notEqual(parseReview(aReview({}, { object })), undefined);
      }),
    );
  });
});

describe('the answer to an AdmissionReview', () => {
  it('allows the pod with the same uid and version, and changes nothing', () => {
    assert.deepEqual(allowedReview('x-1'), {
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      response: { uid: 'x-1', allowed: true },
    });
    assert.deepEqual(allowedReview('x-1', ['Mind this.']), {
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      response: { uid: 'x-1', allowed: true, warnings: ['Mind this.'] },
    });
  });

  it('has no more warnings than Kubernetes accepts', () => {
    const text = JSON.stringify(
      allowedReview(
        'x',
        Array.from({ length: 300 }, () => 'y'.repeat(1000)),
      ),
    );
    const { response } = JSON.parse(text);
    assert.equal(response.warnings.length, 16);
    for (const warning of response.warnings) assert.equal(warning.length, 256);
  });
});
