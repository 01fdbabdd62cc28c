import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import type { V1NetworkPolicy } from '@kubernetes/client-node';
import fc from 'fast-check';
import { baselinePolicy } from '../../src/egress/baseline.ts';
import { defaultEgressSettings } from '../../src/egress/policy.ts';
import {
  type Connection,
  egressAllowed,
  ingressAllowed,
  type Peer,
  type Pod,
  type ServingPod,
} from '../support/network-policy.ts';
import { sharedFile, withoutShared } from '../support/shared.ts';

const namespace = 'team-team-a-1a2b';
const namespaceLabels = { 'kubernetes.io/metadata.name': namespace };

interface Rendered {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly selector?: unknown;
    readonly ports?: readonly { readonly port: number; readonly targetPort: string | number }[];
    readonly template?: {
      readonly metadata: { readonly labels: Readonly<Record<string, string>> };
      readonly spec: {
        readonly containers: readonly {
          readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
        }[];
      };
    };
  };
}

/** The chart’s objects for one case, as the real chart renders them. */
const renderedObjects = (name: string): readonly Rendered[] =>
  JSON.parse(readFileSync(sharedFile(`data/chart-4.4.0/${name}.json`), 'utf8')).objects;

/** The client’s types call an ingress rule’s `from` `_from`. */
const policiesOf = (objects: readonly Rendered[]): V1NetworkPolicy[] =>
  JSON.parse(
    JSON.stringify(objects.filter(({ kind }) => kind === 'NetworkPolicy')).replaceAll('"from":', '"_from":'),
  ).map((policy: V1NetworkPolicy) => ({ ...policy, metadata: { ...policy.metadata, namespace } }));

const objectNamed = (objects: readonly Rendered[], kind: string, name: string): Rendered => {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name);
  assert.ok(found, `${kind} ${name}`);
  return found;
};

const podOf = (objects: readonly Rendered[], deployment: string): ServingPod => {
  const { template } = objectNamed(objects, 'Deployment', deployment).spec;
  assert.ok(template);
  const ports = template.spec.containers.flatMap((container) => container.ports ?? []);
  return {
    namespace,
    namespaceLabels,
    labels: template.metadata.labels,
    ports: Object.fromEntries(ports.map(({ name, containerPort }) => [name, containerPort])),
  };
};

/** A notebook pod with the labels that KubeSpawner gives it under the chart’s configuration. */
const notebook: ServingPod = {
  namespace,
  namespaceLabels,
  labels: {
    app: 'jupyterhub',
    component: 'singleuser-server',
    release: 'jupyterhub-team-a-1a2b',
    'hub.jupyter.org/network-access-hub': 'true',
  },
  ports: { 'notebook-port': 8888 },
};

const otherTeam: Pod = {
  namespace: 'team-team-b-3c4d',
  namespaceLabels: { 'kubernetes.io/metadata.name': 'team-team-b-3c4d' },
  labels: { ...notebook.labels, release: 'jupyterhub-team-b-3c4d' },
};

const baseline: V1NetworkPolicy = baselinePolicy(
  { namespace, labels: {}, annotations: {} },
  defaultEgressSettings,
);

const at = (ip: string, pod?: Pod): Peer => (pod === undefined ? { ip } : { ip, pod });
const tcp = (port: number, to: Peer): Connection => ({ ...to, port, protocol: 'TCP' });

const addresses = [
  '169.254.169.254',
  '169.254.169.252',
  '169.254.20.10',
  '199.36.153.9',
  '10.0.0.1',
  '8.8.8.8',
];
const ports = [53, 80, 443, 987, 988, 8000, 8001, 8080, 8081, 8443, 8888];
const protocols = ['TCP', 'UDP'] as const;

const cases = ['example', 'httproute', 'local', 'empty'];
const skip = withoutShared(sharedFile('data/chart-4.4.0/example.json'));

describe('the chart’s policies beside ours', { skip }, () => {
  for (const name of cases) {
    it(`open nothing to a notebook that the baseline does not: ${name}`, () => {
      const objects = renderedObjects(name);
      const chart = policiesOf(objects);
      const hub = podOf(objects, 'hub');
      const proxy = podOf(objects, 'proxy');
      const pods = [undefined, hub, proxy, notebook, otherTeam];
      const isOpen = (connection: Connection): boolean => {
        const byBaseline = egressAllowed([baseline], notebook, connection);
        assert.equal(egressAllowed([...chart, baseline], notebook, connection), byBaseline);
        return byBaseline;
      };
      const known = addresses.flatMap((ip) =>
        pods.flatMap((to) =>
          ports.flatMap((port) => protocols.map((protocol) => ({ ...at(ip, to), port, protocol }))),
        ),
      );
      const open = known.filter(isOpen).length;
      assert.ok(open > 20 && open < known.length / 2, `${open} of ${known.length} are open`);
      const octet = fc.integer({ min: 0, max: 255 });
      fc.assert(
        fc.property(
          fc.tuple(octet, octet, octet, octet),
          fc.constantFrom(...pods),
          fc.integer({ min: 1, max: 65_535 }),
          fc.constantFrom(...protocols),
          (octets, to, port, protocol) => {
            isOpen({ ...at(octets.join('.'), to), port, protocol });
          },
        ),
        { numRuns: 1_000 },
      );
    });

    it(`let a notebook reach its hub and its proxy, and no other pod: ${name}`, () => {
      const objects = renderedObjects(name);
      const policies = [...policiesOf(objects), baseline];
      const hub = podOf(objects, 'hub');
      const proxy = podOf(objects, 'proxy');
      const reaches = (pod: ServingPod, port: number): boolean =>
        egressAllowed(policies, notebook, tcp(port, at('10.1.2.3', pod))) &&
        ingressAllowed(policies, pod, at('10.9.9.9', notebook), port);
      assert.ok(reaches(hub, 8081));
      assert.ok(reaches(proxy, 8000));
      assert.ok(!reaches(proxy, 8001), 'the proxy’s API is the hub’s alone');
      assert.ok(!reaches(notebook, 8888), 'another notebook of the team');
    });

    it(`let the proxy and the hub reach each other and the notebooks: ${name}`, () => {
      const objects = renderedObjects(name);
      const policies = [...policiesOf(objects), baseline];
      const hub = podOf(objects, 'hub');
      const proxy = podOf(objects, 'proxy');
      const reaches = (from: ServingPod, to: ServingPod, port: number): boolean =>
        egressAllowed(policies, from, tcp(port, at('10.1.2.3', to))) &&
        ingressAllowed(policies, to, at('10.9.9.9', from), port);
      assert.ok(reaches(proxy, hub, 8081));
      assert.ok(reaches(hub, proxy, 8001));
      assert.ok(reaches(proxy, notebook, 8888));
      assert.ok(reaches(hub, notebook, 8888));
    });

    it(`let the API reach the hub through the public service, and a stranger not the hub itself: ${name}`, () => {
      const objects = renderedObjects(name);
      const policies = policiesOf(objects);
      const proxy = podOf(objects, 'proxy');
      const [port] = objectNamed(objects, 'Service', 'proxy-public').spec.ports ?? [];
      assert.ok(port);
      const target = typeof port.targetPort === 'number' ? port.targetPort : proxy.ports[port.targetPort];
      assert.ok(target);
      // The ingress controller or the gateway: a pod of another namespace, or an address outside the cluster.
      for (const from of [at('10.20.0.5', otherTeam), at('35.191.0.1')]) {
        assert.ok(ingressAllowed(policies, proxy, from, target));
        assert.ok(!ingressAllowed(policies, proxy, from, 8001));
        assert.ok(!ingressAllowed(policies, podOf(objects, 'hub'), from, 8081));
        assert.ok(!ingressAllowed(policies, notebook, from, 8888));
      }
    });
  }
});
