import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isMap, type Json, type JsonMap, parseJson } from '../kubernetes/json.ts';
import { jsonOfProtobuf } from '../kubernetes/protobuf.ts';
import { startKubernetes } from '../kubernetes/server.ts';
import { absent, startApiServer } from '../real/kube-apiserver.ts';

/** Without nulls and empty maps: Go’s JSON leaves some of them out that its protobuf has. */
const filled = (value: Json): Json => {
  if (Array.isArray(value)) return value.map(filled);
  if (!isMap(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, inner]): [string, Json] => [key, filled(inner)])
      .filter(([, inner]) => inner !== null && !(isMap(inner) && Object.keys(inner).length === 0)),
  );
};

const podSpec: JsonMap = {
  automountServiceAccountToken: false,
  hostNetwork: false,
  terminationGracePeriodSeconds: 0,
  nodeSelector: { 'example.com/pool': 'one' },
  tolerations: [{ key: 'a', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 0 }],
  securityContext: { runAsUser: 0, fsGroup: 100, supplementalGroups: [1, 2, 300], runAsNonRoot: false },
  affinity: {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [{ matchExpressions: [{ key: 'a', operator: 'In', values: ['b', 'c'] }] }],
      },
      preferredDuringSchedulingIgnoredDuringExecution: [
        { weight: 5, preference: { matchExpressions: [{ key: 'd', operator: 'DoesNotExist' }] } },
      ],
    },
  },
  topologySpreadConstraints: [
    {
      maxSkew: 1,
      topologyKey: 'zone',
      whenUnsatisfiable: 'ScheduleAnyway',
      labelSelector: { matchLabels: { a: 'b' } },
    },
  ],
  initContainers: [{ name: 'first', image: 'example.com/first:1', restartPolicy: 'Always' }],
  containers: [
    {
      name: 'main',
      image: 'example.com/main:1',
      command: ['run', ''],
      args: ['--a=b'],
      ports: [{ name: 'http', containerPort: 80, protocol: 'TCP' }],
      env: [
        { name: 'PLAIN', value: 'x' },
        { name: 'FIELD', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
        { name: 'KEY', valueFrom: { secretKeyRef: { name: 's', key: 'k', optional: false } } },
      ],
      envFrom: [{ prefix: 'P_', configMapRef: { name: 'c' } }],
      resources: { requests: { cpu: '500m', memory: '1Gi' }, limits: { 'example.com/gpu': '1' } },
      livenessProbe: { httpGet: { path: '/', port: 'http', httpHeaders: [{ name: 'a', value: 'b' }] } },
      readinessProbe: { tcpSocket: { port: 80 }, periodSeconds: 3 },
      lifecycle: { preStop: { exec: { command: ['true'] } } },
      volumeMounts: [{ name: 'cache', mountPath: '/cache', readOnly: true, subPath: 'x' }],
      securityContext: { capabilities: { drop: ['ALL'] }, allowPrivilegeEscalation: false },
    },
  ],
  volumes: [
    { name: 'cache', emptyDir: { sizeLimit: '1Gi', medium: 'Memory' } },
    { name: 'map', configMap: { name: 'c', optional: true, items: [{ key: 'a', path: 'b', mode: 256 }] } },
    { name: 'claim', persistentVolumeClaim: { claimName: 'p' } },
    {
      name: 'token',
      projected: {
        sources: [{ serviceAccountToken: { path: 't', expirationSeconds: 3600, audience: 'a' } }],
      },
    },
  ],
};

/** One object of each kind that clients encode, with fields of every type. */
const objects: readonly (readonly [path: string, object: JsonMap])[] = [
  [
    '/api/v1/namespaces/protobuf/configmaps',
    { metadata: { name: 'one', labels: { a: 'b' } }, data: { a: '', b: 'æ' }, binaryData: { c: '/wA=' } },
  ],
  [
    '/api/v1/namespaces/protobuf/secrets',
    { metadata: { name: 'one', annotations: { a: 'b' } }, data: { a: 'YQ==', b: '' }, immutable: false },
  ],
  [
    '/api/v1/namespaces/protobuf/serviceaccounts',
    { metadata: { name: 'one' }, imagePullSecrets: [{ name: 'a' }] },
  ],
  [
    '/api/v1/namespaces/protobuf/services',
    {
      metadata: { name: 'one' },
      spec: {
        selector: { a: 'b' },
        ports: [
          { name: 'a', port: 80, targetPort: 'http' },
          { name: 'b', port: 81 },
        ],
      },
    },
  ],
  [
    '/api/v1/namespaces/protobuf/resourcequotas',
    { metadata: { name: 'one' }, spec: { hard: { pods: '2', 'requests.memory': '1Gi' } } },
  ],
  [
    '/api/v1/namespaces/protobuf/persistentvolumeclaims',
    {
      metadata: { name: 'one' },
      spec: {
        accessModes: ['ReadWriteOnce'],
        resources: { requests: { storage: '1Gi' } },
        storageClassName: '',
      },
    },
  ],
  ['/api/v1/namespaces/protobuf/pods', { metadata: { name: 'one' }, spec: podSpec }],
  [
    '/apis/apps/v1/namespaces/protobuf/deployments',
    {
      metadata: { name: 'one' },
      spec: {
        replicas: 0,
        selector: { matchLabels: { a: 'b' } },
        strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: 0 } },
        template: { metadata: { labels: { a: 'b' } }, spec: podSpec },
      },
    },
  ],
  [
    '/apis/networking.k8s.io/v1/namespaces/protobuf/networkpolicies',
    {
      metadata: { name: 'one' },
      spec: {
        podSelector: {},
        policyTypes: ['Egress'],
        egress: [
          {
            to: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] } }],
            ports: [{ port: 443, endPort: 444 }],
          },
        ],
      },
    },
  ],
  [
    '/apis/networking.k8s.io/v1/namespaces/protobuf/ingresses',
    {
      metadata: { name: 'one' },
      spec: {
        ingressClassName: 'nginx',
        tls: [{ hosts: ['example.com'], secretName: 's' }],
        rules: [
          {
            host: 'example.com',
            http: {
              paths: [
                {
                  path: '/',
                  pathType: 'Prefix',
                  backend: { service: { name: 'one', port: { number: 80 } } },
                },
              ],
            },
          },
        ],
      },
    },
  ],
  [
    '/apis/rbac.authorization.k8s.io/v1/namespaces/protobuf/roles',
    {
      metadata: { name: 'one' },
      rules: [{ apiGroups: [''], resources: ['pods'], verbs: ['get'], resourceNames: ['a'] }],
    },
  ],
  [
    '/apis/rbac.authorization.k8s.io/v1/namespaces/protobuf/rolebindings',
    {
      metadata: { name: 'one' },
      subjects: [{ kind: 'ServiceAccount', name: 'one', namespace: 'protobuf' }],
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'one' },
    },
  ],
  [
    '/apis/policy/v1/namespaces/protobuf/poddisruptionbudgets',
    { metadata: { name: 'one' }, spec: { minAvailable: '50%', selector: { matchLabels: { a: 'b' } } } },
  ],
  [
    '/apis/coordination.k8s.io/v1/namespaces/protobuf/leases',
    { metadata: { name: 'one' }, spec: { holderIdentity: 'me', renewTime: '2026-01-02T03:04:05.000006Z' } },
  ],
];

const skip = await absent();

describe('the protobuf encoding', () => {
  it('protobuf: decodes what the real server encodes, for each kind', { skip }, async () => {
    const server = await startApiServer();
    const post = (path: string, object: JsonMap) =>
      server.fetch(path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(object),
      });
    try {
      await post('/api/v1/namespaces', { metadata: { name: 'protobuf' } });
      await post('/api/v1/namespaces/protobuf/serviceaccounts', { metadata: { name: 'default' } });
      for (const [path, object] of objects) {
        const created = await post(path, object);
        assert.equal(created.status, 201, `${path}: ${await created.text()}`);
        const get = (accept: string) => server.fetch(`${path}/one`, { headers: { accept } });
        const expected = parseJson(await (await get('application/json')).text());
        const encoded = await (await get('application/vnd.kubernetes.protobuf')).arrayBuffer();
        assert.deepEqual(filled(jsonOfProtobuf(Buffer.from(encoded)) ?? null), filled(expected), path);
      }
    } finally {
      await server.fetch('/api/v1/namespaces/protobuf', { method: 'DELETE' });
      await server.close();
    }
  });

  it('protobuf: refuses a truncated or foreign message', async () => {
    const kubernetes = await startKubernetes();
    try {
      const message = Buffer.from(
        'k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x05\x0a\x03\x0a\x01a',
        'latin1',
      );
      const post = async (body: Buffer) => {
        const response = await fetch(`${kubernetes.url}/api/v1/namespaces/default/configmaps`, {
          method: 'POST',
          headers: { 'content-type': 'application/vnd.kubernetes.protobuf' },
          body: new Uint8Array(body),
        });
        return [response.status, ((await response.json()) as { reason?: string }).reason];
      };
      assert.deepEqual(await post(message), [201, undefined]);
      assert.deepEqual(await post(message), [409, 'AlreadyExists']);
      for (let length = 0; length < message.length; length += 1) {
        const [status] = await post(message.subarray(0, length));
        assert.ok(status === 400 || status === 415 || status === 422, `${length} bytes: ${status}`);
      }
      assert.deepEqual(await post(Buffer.from('{}')), [400, 'BadRequest']);
    } finally {
      await kubernetes.close();
    }
  });
});
