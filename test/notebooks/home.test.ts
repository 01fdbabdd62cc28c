import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { growth } from '../../src/notebooks/home.ts';

const claim = (storage: unknown, phase = 'Bound') => ({
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  metadata: { name: 'claim-kari' },
  spec: { resources: { requests: { storage } } },
  status: { phase },
});

describe('a home volume', () => {
  it('a home volume grows to the ordered size', () => {
    assert.deepEqual(growth(claim('10Gi'), '20Gi'), {
      spec: { resources: { requests: { storage: '20Gi' } } },
    });
    assert.deepEqual(growth(claim('1024Mi'), '1.5Gi'), {
      spec: { resources: { requests: { storage: '1.5Gi' } } },
    });
  });

  for (const size of ['20Gi', '20480Mi', '30Gi']) {
    it(`a home volume of ${size} is unchanged when 20Gi are ordered`, () =>
      assert.equal(growth(claim(size), '20Gi'), undefined));
  }

  it('waits for its volume: Kubernetes resizes bound claims only', () => {
    assert.equal(growth(claim('10Gi', 'Pending'), '20Gi'), undefined);
  });

  for (const size of ['20G', '10000000', 10, undefined]) {
    it(`a home volume with the foreign size ${size} is unchanged`, () =>
      assert.equal(growth(claim(size), '99Gi'), undefined));
  }
});
