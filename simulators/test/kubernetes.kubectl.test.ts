import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { fetch } from 'undici';
import { parse, stringify } from 'yaml';
import { startKubernetes } from '../kubernetes/server.ts';
import { absent, startApiServer } from '../real/kube-apiserver.ts';
import { isAbsent, tookPart } from '../real/real-parts.ts';
import { definitions } from './definitions.ts';

interface Cluster {
  /** What kubectl needs to find and enter it. */
  readonly flags: readonly string[];
  /** Sets the Ready condition of a Helm release, as its controller does. */
  becomeReady(namespace: string, name: string): Promise<void>;
  close(): Promise<void>;
}

const run = promisify(execFile);
const noKubectl = await run('kubectl', ['version', '--client']).then(
  ({ stdout }) => {
    tookPart('kubectl', /v\d\S*/.exec(stdout)?.[0] ?? '');
    return false as const;
  },
  () => isAbsent('kubectl', 'no kubectl in PATH'),
);

const MANIFESTS = [
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team-a', labels: { 'team-namespace': 'true' } } },
  { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'one', namespace: 'team-a' }, data: { a: '1' } },
  {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'hidden', namespace: 'team-a' },
    stringData: { a: '1' },
  },
  {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'allow', namespace: 'team-a' },
    spec: {
      podSelector: { matchLabels: { component: 'singleuser-server' } },
      policyTypes: ['Egress'],
      egress: [{ to: [{ ipBlock: { cidr: '1.2.3.4/32' } }], ports: [{ protocol: 'TCP', port: 443 }] }],
    },
  },
  {
    apiVersion: 'helm.toolkit.fluxcd.io/v2',
    kind: 'HelmRelease',
    metadata: { name: 'jupyterhub', namespace: 'team-a' },
    spec: {
      interval: '10m',
      chart: { spec: { chart: 'jupyterhub', sourceRef: { kind: 'HelmRepository', name: 'jupyterhub' } } },
    },
  },
];

/** What `kubectl create` made, for each server; both suites end with the same. */
const contents: unknown[] = [];

function kubectlSuite(open: () => Promise<Cluster>): void {
  let cluster: Cluster;
  let cache = '';
  before(async () => {
    cluster = await open();
    cache = await mkdtemp(join(tmpdir(), 'kubectl-'));
  });
  after(async () => {
    await cluster.close();
    await rm(cache, { recursive: true });
  });
  const flags = (): string[] => ['--kubeconfig=/dev/null', `--cache-dir=${cache}`, ...cluster.flags];
  const kubectl = (args: string, input?: unknown): Promise<{ stdout: string; stderr: string }> => {
    const running = run('kubectl', [...flags(), ...args.split(' ')], { timeout: 30_000 });
    running.child.stdin?.end(input === undefined ? '' : text(input));
    return running;
  };
  const text = (objects: unknown): string =>
    (Array.isArray(objects) ? objects : [objects]).map((one) => stringify(one)).join('---\n');

  it('kubectl apply --server-side: is idempotent', async () => {
    const first = await kubectl('apply --server-side -f -', MANIFESTS);
    assert.equal(first.stdout.trim().split('\n').length, MANIFESTS.length);
    for (const line of first.stdout.trim().split('\n')) assert.match(line, / serverside-applied$/);
    const before = await kubectl('get configmap one -n team-a -o yaml');
    await kubectl('apply --server-side -f -', MANIFESTS);
    assert.deepEqual(await kubectl('get configmap one -n team-a -o yaml'), before);
  });

  it('kubectl apply: creates, leaves and changes an object', async () => {
    const map = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'client', namespace: 'team-a' },
      data: { a: '1', b: '2' },
    };
    assert.match((await kubectl('apply -f -', map)).stdout, /configmap\/client created/);
    assert.match((await kubectl('apply -f -', map)).stdout, /configmap\/client unchanged/);
    assert.match(
      (await kubectl('apply -f -', { ...map, data: { a: '2' } })).stdout,
      /configmap\/client configured/,
    );
    const { stdout } = await kubectl('get configmap client -n team-a -o jsonpath={.data}');
    assert.deepEqual(JSON.parse(stdout), { a: '2' });
  });

  it('kubectl create: creates objects of each kind, sent as protobuf', async () => {
    const created = [
      'create configmap made -n team-a --from-literal=a=1',
      'create secret generic made -n team-a --from-literal=a=1',
      'create serviceaccount made -n team-a',
      'create role made -n team-a --verb=get,list --resource=pods,deployments.apps',
      'create rolebinding made -n team-a --role=made --serviceaccount=team-a:made',
      'create service clusterip made -n team-a --tcp=80:8080',
      'create quota made -n team-a --hard=pods=20,requests.cpu=4',
      'create poddisruptionbudget made -n team-a --selector=app=made --min-available=1',
      'create ingress made -n team-a --rule=example.com/path*=made:80',
      'create deployment made -n team-a --image=example.com/made:1 --replicas=2 --port=8080',
    ];
    for (const command of created) assert.match((await kubectl(command)).stdout, /made created/);
    assert.match((await kubectl('create namespace made')).stdout, /namespace\/made created/);
    await kubectl('delete namespace made --timeout=25s');
    await assert.rejects(
      kubectl('create serviceaccount made -n team-a'),
      /serviceaccounts "made" already exists/,
    );
    await assert.rejects(kubectl('create configmap made -n missing'), /namespaces "missing" not found/);
    const kinds =
      'configmap,secret,serviceaccount,role,rolebinding,service,resourcequota,poddisruptionbudget,ingress,deployment';
    const { items } = JSON.parse((await kubectl(`get ${kinds} -n team-a -o json`)).stdout) as {
      items: { metadata: { name: string; labels?: unknown }; spec?: object }[];
    };
    const made = items.filter(({ metadata }) => metadata.name === 'made');
    assert.equal(made.length, created.length);
    contents.push(
      made.map(({ metadata, spec, ...rest }) => ({
        ...rest,
        status: undefined,
        labels: metadata.labels,
        // Addresses differ from cluster to cluster.
        spec: spec === undefined ? undefined : { ...spec, clusterIP: undefined, clusterIPs: undefined },
      })),
    );
  });

  it('kubectl scale: scales a Deployment, under a precondition too', async () => {
    const replicas = async () =>
      (await kubectl('get deployment made -n team-a -o jsonpath={.spec.replicas}')).stdout;
    assert.match((await kubectl('scale deployment made -n team-a --replicas=3')).stdout, /made scaled/);
    assert.equal(await replicas(), '3');
    await kubectl('scale deployment made -n team-a --current-replicas=3 --replicas=0');
    assert.equal(await replicas(), '0');
    await assert.rejects(
      kubectl('scale deployment made -n team-a --current-replicas=3 --replicas=1'),
      /Expected replicas to be 3, was 0/,
    );
    await assert.rejects(
      kubectl('scale deployment missing -n team-a --replicas=1'),
      /deployments\.apps "missing" not found/,
    );
    await assert.rejects(
      kubectl('scale configmap made -n team-a --replicas=1'),
      /could not find the requested resource/,
    );
    const scale = '/apis/apps/v1/namespaces/team-a/deployments/made/scale';
    const { metadata, ...rest } = JSON.parse((await kubectl(`get --raw ${scale}`)).stdout);
    assert.deepEqual(
      [Object.keys(metadata).toSorted(), rest],
      [
        ['creationTimestamp', 'name', 'namespace', 'resourceVersion', 'uid'],
        {
          kind: 'Scale',
          apiVersion: 'autoscaling/v1',
          spec: {},
          status: { replicas: 0, selector: 'app=made' },
        },
      ],
    );
  });

  it('kubectl apply --server-side: reports conflicts by manager and field', async () => {
    await assert.rejects(
      kubectl('apply --server-side --field-manager=other -f -', { ...MANIFESTS[1], data: { a: '2' } }),
      /Apply failed with 1 conflict: conflict with "kubectl": \.data\.a/,
    );
  });

  it('kubectl apply: refuses an unknown field', async () => {
    await assert.rejects(kubectl('apply -f -', { ...MANIFESTS[1], dato: {} }), /unknown field "dato"/);
  });

  it('kubectl get: prints YAML and tables', async () => {
    const policy: unknown = parse((await kubectl('get networkpolicy allow -n team-a -o yaml')).stdout);
    assert.deepEqual((policy as { spec: unknown }).spec, MANIFESTS[3]?.spec);
    const table = (await kubectl('get configmap one -n team-a')).stdout.trim().split('\n');
    assert.match(table[0] ?? '', /^NAME +DATA +AGE$/);
    assert.match(table[1] ?? '', /^one +1 +\d+[smh]/);
    const all = (await kubectl('get helmreleases,networkpolicies,serviceaccounts,secrets -A')).stdout;
    for (const name of [
      'helmrelease.helm.toolkit.fluxcd.io/jupyterhub',
      'networkpolicy.networking.k8s.io/allow',
      'serviceaccount/default',
      'secret/hidden',
    ]) {
      assert.ok(all.includes(name), `${name} in\n${all}`);
    }
  });

  it('kubectl wait: waits until a HelmRelease is ready', async () => {
    const waiting = kubectl('wait --for=condition=Ready helmrelease/jupyterhub -n team-a --timeout=20s');
    await cluster.becomeReady('team-a', 'jupyterhub');
    assert.match((await waiting).stdout, /helmrelease\.helm\.toolkit\.fluxcd\.io\/jupyterhub condition met/);
    const table = (await kubectl('get helmreleases -n team-a')).stdout;
    assert.match(table, /READY/);
    assert.match(table, /jupyterhub.*True.*Helm install succeeded/);
  });

  it('kubectl get -w: prints changes', async () => {
    const watching = spawn('kubectl', [...flags(), 'get', 'configmaps', '-n', 'team-a', '-w', '-o', 'name'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      const lines = createInterface({ input: watching.stdout })[Symbol.asyncIterator]();
      const seen = new Set<string>();
      const see = async (name: string): Promise<void> => {
        while (!seen.has(name)) {
          const { value, done } = await lines.next();
          assert.equal(done, false, `${name} was not seen`);
          seen.add(value);
        }
      };
      await see('configmap/one');
      await kubectl('apply --server-side -f -', {
        ...MANIFESTS[1],
        metadata: { name: 'late', namespace: 'team-a' },
      });
      await see('configmap/late');
    } finally {
      watching.kill();
    }
  });

  it('kubectl label, annotate and patch: change an object', async () => {
    await kubectl('label configmap one -n team-a colour=red');
    await kubectl('annotate configmap one -n team-a note=x');
    await kubectl('patch configmap one -n team-a --type=merge -p {"data":{"b":"2"}}');
    const { stdout } = await kubectl(
      'get configmaps -n team-a -l colour=red -o jsonpath={.items[0].data.b}{.items[0].metadata.annotations.note}',
    );
    assert.equal(stdout, '2x');
  });

  it('kubectl describe: shows a NetworkPolicy', async () => {
    assert.match(
      (await kubectl('describe networkpolicy allow -n team-a')).stdout,
      /To:\s+IPBlock:\s+CIDR: 1\.2\.3\.4\/32/,
    );
  });

  it('kubectl delete: deletes an object, and a namespace with its content', async () => {
    assert.match((await kubectl('delete configmap one -n team-a')).stdout, /configmap "one" deleted/);
    await kubectl('delete namespace team-a --timeout=25s');
    await assert.rejects(kubectl('get namespace team-a'), /namespaces "team-a" not found/);
  });
}

const ready = {
  status: {
    observedGeneration: 1,
    conditions: [
      {
        type: 'Ready',
        status: 'True',
        reason: 'InstallSucceeded',
        message: 'Helm install succeeded',
        lastTransitionTime: '2026-01-01T00:00:00Z',
      },
    ],
  },
};
const statusPath = (namespace: string, name: string): string =>
  `/apis/helm.toolkit.fluxcd.io/v2/namespaces/${namespace}/helmreleases/${name}/status`;
const asPatch = {
  method: 'PATCH',
  headers: { 'content-type': 'application/merge-patch+json' },
  body: JSON.stringify(ready),
};

describe('kubectl on the simulator', { skip: noKubectl }, () => {
  kubectlSuite(async () => {
    const kubernetes = await startKubernetes();
    return {
      flags: [`--server=${kubernetes.url}`],
      becomeReady: async (namespace, name) => {
        assert.ok((await fetch(`${kubernetes.url}${statusPath(namespace, name)}`, asPatch)).ok);
      },
      close: () => kubernetes.close(),
    };
  });
});

describe('kubectl on the real server', { skip: noKubectl || (await absent()) }, () => {
  kubectlSuite(async () => {
    const server = await startApiServer({ definitions });
    return {
      flags: [
        `--server=${server.url}`,
        `--certificate-authority=${server.caFile}`,
        `--token=${server.adminToken}`,
      ],
      becomeReady: async (namespace, name) => {
        assert.ok((await server.fetch(statusPath(namespace, name), asPatch)).ok);
      },
      close: () => server.close(),
    };
  });
});

describe('kubectl create', { skip: noKubectl || (await absent()) }, () => {
  it('kubectl create: leaves the same objects on the simulator as on the real server', () => {
    const [simulated, real] = contents;
    assert.equal(contents.length, 2);
    assert.deepEqual(simulated, real);
  });
});
