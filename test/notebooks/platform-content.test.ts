import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { isPlatformContentOf, platformContent } from '../../src/notebooks/platform-content.ts';

const found = (values: object) => [...platformContent({ ...values })].toSorted();

describe('Secrets and ConfigMaps that the hub’s values name', () => {
  it('are the login secret and the certificate in the example values', () => {
    const text = readFileSync(new URL('../../deploy/hub-values.example.yaml', import.meta.url), 'utf8');
    assert.deepEqual(found(parse(text)), ['Secret hub-login', 'Secret jupyter-knada-io-tls']);
  });

  it('are found in variables, volumes, pull secrets and references to a whole object', () => {
    const values = {
      hub: {
        extraEnv: {
          A: { valueFrom: { secretKeyRef: { name: 'a', key: 'k' } } },
          B: { valueFrom: { configMapKeyRef: { name: 'b', key: 'k' } } },
        },
        extraVolumes: [
          { name: 'v', secret: { secretName: 'c' } },
          { name: 'w', configMap: { name: 'd' } },
        ],
        extraContainers: [{ envFrom: [{ secretRef: { name: 'e' } }, { configMapRef: { name: 'f' } }] }],
        existingSecret: 'g',
      },
      imagePullSecrets: ['h', { name: 'i' }],
      ingress: { tls: [{ secretName: 'j' }] },
    };
    assert.deepEqual(found(values), [
      'ConfigMap b',
      'ConfigMap d',
      'ConfigMap f',
      'Secret a',
      'Secret c',
      'Secret e',
      'Secret g',
      'Secret h',
      'Secret i',
      'Secret j',
    ]);
  });

  it('are none if the values name none', () => {
    assert.deepEqual(
      found({ hub: { secret: true, extraEnv: { TOKEN: 'secret' }, existingSecret: null } }),
      [],
    );
  });

  it('are extended by the operator’s list, whose entries may end in a star', () => {
    const isPlatform = isPlatformContentOf({ hub: { existingSecret: 'a' } }, [
      'Secret pull-secret',
      'ConfigMap istio-*',
    ]);
    const objects = ['Secret a', 'Secret pull-secret', 'ConfigMap istio-ca-root-cert'];
    assert.deepEqual(objects.filter(isPlatform), objects);
    for (const other of ['Secret pull-secret-2', 'ConfigMap a', 'Secret istio-ca', 'ConfigMap my-istio-ca'])
      assert.equal(isPlatform(other), false, other);
  });
});
