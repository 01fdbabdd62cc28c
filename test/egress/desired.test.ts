import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { V1NetworkPolicy } from '@kubernetes/client-node';
import fc from 'fast-check';
import { airflowTarget, allowPolicy } from '../../src/egress/allow.ts';
import { airflowBaselinePolicy, baselinePolicy, coversGoogleApis } from '../../src/egress/baseline.ts';
import {
  type DesiredPolicies,
  desiredNotebookPolicies,
  type EgressPolicy,
  openPolicy,
} from '../../src/egress/desired.ts';
import type { Addresses } from '../../src/egress/destinations.ts';
import { defaultEntryOptions, parseAllowlist } from '../../src/egress/entry.ts';
import { chooseBackend, fqdnPolicies } from '../../src/egress/fqdn.ts';
import { defaultEgressSettings, type EgressSettings, policyHash } from '../../src/egress/policy.ts';
import { type Cidr, parseCidr } from '../../src/egress/ranges.ts';
import type { AllowlistEntry } from '../../src/model/allowlist.ts';
import type { Manifest } from '../../src/ports/cluster.ts';
import { type Connection, egressAllowed, inSubnet, type Pod } from '../support/network-policy.ts';

const cidr = (text: string): Cidr => {
  const parsed = parseCidr(text);
  assert.ok(parsed, text);
  return parsed;
};

const meta = {
  namespace: 'team-red-3f2a',
  labels: { 'knada.io/team-id': 'red-3f2a', 'app.kubernetes.io/managed-by': 'knada-notebooks' },
  annotations: { 'knada.io/revision': '7' },
};

const notebook: Pod = {
  namespace: 'team-red-3f2a',
  namespaceLabels: { 'kubernetes.io/metadata.name': 'team-red-3f2a' },
  labels: { app: 'jupyterhub', component: 'singleuser-server' },
};

/** Documentation ranges stand for the public Internet here, as in the vectors. */
const settings: EgressSettings = {
  ...defaultEgressSettings,
  privateRanges: ['203.0.113.0/24', '198.51.100.0/24'].map(cidr),
};

const listed = (...texts: readonly string[]): AllowlistEntry[] => {
  const options = { ...defaultEntryOptions, privateRanges: settings.privateRanges, allowCidr: true };
  const { entries, errors } = parseAllowlist(texts, options);
  assert.deepEqual(errors, []);
  return entries;
};

const answers = (table: Readonly<Record<string, readonly string[]>>): Addresses =>
  new Map(Object.entries(table));

const rulesOf = (policy: V1NetworkPolicy | undefined) => policy?.spec?.egress ?? [];
const blocks = (...texts: readonly string[]) => texts.map((text) => ({ ipBlock: { cidr: text } }));
const tcp = (ip: string, port: number): Connection => ({ ip, port, protocol: 'TCP' });

const optedIn = (texts: readonly string[], addresses: Addresses, podsAlive = true, own = settings) =>
  desiredNotebookPolicies({
    allowlistEnabled: true,
    entries: listed(...texts),
    addresses,
    podsAlive,
    settings: own,
    meta,
  });
const notOptedIn = (own = settings) =>
  desiredNotebookPolicies({
    allowlistEnabled: false,
    entries: [],
    addresses: new Map(),
    podsAlive: true,
    settings: own,
    meta,
  });
const names = (desired: DesiredPolicies) => desired.apply.map((policy) => policy.metadata.name);
const networkPolicies = (policies: Iterable<EgressPolicy>): V1NetworkPolicy[] =>
  [...policies].filter((policy) => policy.kind === 'NetworkPolicy');

describe('compiling an allowlist', () => {
  it('a team that has not opted in has the open policy only, and no restriction', () => {
    const desired = notOptedIn();
    assert.deepEqual(names(desired), ['notebook-egress-open']);
    assert.deepEqual(openPolicy(meta).spec, {
      podSelector: { matchLabels: { component: 'singleuser-server' } },
      policyTypes: ['Egress'],
      egress: [{}],
    });
    assert.ok(egressAllowed(networkPolicies(desired.apply), notebook, tcp('10.0.0.1', 1)));
  });

  it('an empty list has the baseline and no allow policy', () => {
    assert.deepEqual(names(optedIn([], new Map())), ['notebook-egress-baseline']);
  });

  it('a host is one rule with its addresses sorted', () => {
    const { policy } = allowPolicy(
      meta,
      listed('a.com'),
      answers({ 'a.com': ['203.0.113.9', '198.51.100.7'] }),
      settings,
    );
    assert.deepEqual(policy, {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: {
        name: 'notebook-egress-allow',
        namespace: 'team-red-3f2a',
        labels: { 'app.kubernetes.io/managed-by': 'knada-notebooks', 'knada.io/team-id': 'red-3f2a' },
        annotations: { 'knada.io/revision': '7' },
      },
      spec: {
        podSelector: { matchLabels: { component: 'singleuser-server' } },
        policyTypes: ['Egress'],
        egress: [
          {
            ports: [{ protocol: 'TCP', port: 443 }],
            to: blocks('198.51.100.7/32', '203.0.113.9/32'),
          },
        ],
      },
    });
  });

  it('sorts addresses as numbers, not as text', () => {
    const { policy } = allowPolicy(
      meta,
      listed('a.com'),
      answers({ 'a.com': ['203.0.113.100', '203.0.113.20', '203.0.113.3'] }),
      settings,
    );
    assert.deepEqual(rulesOf(policy)[0]?.to, blocks('203.0.113.3/32', '203.0.113.20/32', '203.0.113.100/32'));
  });

  it('hosts on different ports are two rules, sorted by port', () => {
    const addresses = answers({ 'a.com': ['203.0.113.1'], 'b.com': ['203.0.113.2'] });
    const { policy } = allowPolicy(meta, listed('b.com:5432', 'a.com'), addresses, settings);
    assert.deepEqual(rulesOf(policy), [
      { ports: [{ protocol: 'TCP', port: 443 }], to: blocks('203.0.113.1/32') },
      { ports: [{ protocol: 'TCP', port: 5432 }], to: blocks('203.0.113.2/32') },
    ]);
  });

  it('a host without addresses has no peers, and its status says so', () => {
    const { policy, hosts } = allowPolicy(
      meta,
      listed('a.com', 'b.com:5432', 'c.com'),
      answers({ 'a.com': ['203.0.113.1'], 'c.com': [] }),
      settings,
    );
    assert.deepEqual(rulesOf(policy), [
      { ports: [{ protocol: 'TCP', port: 443 }], to: blocks('203.0.113.1/32') },
    ]);
    assert.deepEqual(
      hosts.map(({ host, status, addresses }) => ({ host, status, addresses })),
      [
        { host: 'a.com', status: 'resolved', addresses: ['203.0.113.1'] },
        { host: 'b.com', status: 'unresolved', addresses: [] },
        { host: 'c.com', status: 'unresolved', addresses: [] },
      ],
    );
  });

  it('a host that the operator maps to no address has no peers', () => {
    const own = { ...settings, hostMap: new Map([['a.com', []]]) };
    const addresses = answers({ 'a.com': ['203.0.113.1'] });
    const { policy, hosts } = allowPolicy(meta, listed('a.com'), addresses, own);
    assert.equal(policy, undefined);
    assert.equal(hosts[0]?.status, 'unresolved');
  });

  it('when no host has addresses there is no allow policy, and the baseline stays', () => {
    const desired = optedIn(['a.com', 'b.com:5432'], new Map());
    assert.deepEqual(names(desired), ['notebook-egress-baseline']);
    assert.equal(egressAllowed(networkPolicies(desired.apply), notebook, tcp('203.0.113.1', 443)), false);
  });

  it('an address that two hosts share is one peer', () => {
    const addresses = answers({ 'a.com': ['203.0.113.1', '203.0.113.1'], 'b.com': ['203.0.113.1'] });
    const { policy } = allowPolicy(meta, listed('a.com', 'b.com', '203.0.113.1'), addresses, settings);
    assert.deepEqual(rulesOf(policy), [
      { ports: [{ protocol: 'TCP', port: 443 }], to: blocks('203.0.113.1/32') },
    ]);
  });

  it('a range of ports is one port with its end', () => {
    const { policy } = allowPolicy(
      meta,
      listed('a.com:6005-6010'),
      answers({ 'a.com': ['203.0.113.1'] }),
      settings,
    );
    assert.deepEqual(rulesOf(policy)[0]?.ports, [{ protocol: 'TCP', port: 6005, endPort: 6010 }]);
  });

  it('ports with the same peers are one rule', () => {
    const addresses = answers({ 'a.com': ['203.0.113.1'], 'b.com': ['203.0.113.2'] });
    const { policy } = allowPolicy(
      meta,
      listed('a.com:5433', 'b.com:443', 'a.com:5432'),
      addresses,
      settings,
    );
    assert.deepEqual(rulesOf(policy), [
      { ports: [{ protocol: 'TCP', port: 443 }], to: blocks('203.0.113.2/32') },
      {
        ports: [
          { protocol: 'TCP', port: 5432 },
          { protocol: 'TCP', port: 5433 },
        ],
        to: blocks('203.0.113.1/32'),
      },
    ]);
  });

  it('a private answer is left out, and the status names it', () => {
    const addresses = answers({ 'a.com': ['93.184.216.34', '10.0.0.1'] });
    const { policy, hosts } = allowPolicy(meta, listed('a.com'), addresses, settings);
    assert.deepEqual(rulesOf(policy)[0]?.to, blocks('93.184.216.34/32'));
    assert.deepEqual(hosts, [
      {
        host: 'a.com',
        status: 'resolved',
        addresses: ['93.184.216.34'],
        filtered: [{ address: '10.0.0.1', range: 'private' }],
      },
    ]);
  });

  it('a host with forbidden answers only has no peers', () => {
    const addresses = answers({ 'a.com': ['169.254.169.254', '127.0.0.1', '127.1'] });
    const { policy, hosts } = allowPolicy(meta, listed('a.com'), addresses, settings);
    assert.equal(policy, undefined);
    assert.deepEqual(hosts, [
      {
        host: 'a.com',
        status: 'blocked_private_answer',
        addresses: [],
        filtered: [
          { address: '127.0.0.1', range: 'loopback' },
          { address: '127.1', range: 'not an address' },
          { address: '169.254.169.254', range: 'link-local / metadata' },
        ],
      },
    ]);
  });

  it('answers in GKE’s Service range and at the control plane are left out', () => {
    const own = { ...settings, clusterRanges: [cidr('35.228.1.2/32')] };
    const addresses = answers({ 'a.com': ['34.118.224.10', '35.228.1.2', '35.228.1.3'] });
    const { policy, hosts } = allowPolicy(meta, listed('a.com'), addresses, own);
    assert.deepEqual(rulesOf(policy)[0]?.to, blocks('35.228.1.3/32'));
    assert.deepEqual(hosts[0]?.filtered, [
      { address: '34.118.224.10', range: 'GKE Services' },
      { address: '35.228.1.2', range: 'cluster' },
    ]);
  });

  it('an address that was listed before its range was closed opens nothing', () => {
    const own = { ...settings, clusterRanges: [cidr('203.0.113.0/28')] };
    const { policy, hosts } = allowPolicy(meta, listed('203.0.113.1', '203.0.113.0/24'), new Map(), own);
    assert.equal(policy, undefined);
    assert.deepEqual(
      hosts.map(({ host, status }) => [host, status]),
      [
        ['203.0.113.0/24', 'blocked_private_answer'],
        ['203.0.113.1', 'blocked_private_answer'],
      ],
    );
  });

  it('of 300 addresses the same 128 are opened each time, and the status says so', () => {
    const all = Array.from({ length: 300 }, (_, index) => `93.184.${Math.floor(index / 200)}.${index % 200}`);
    const compile = (list: readonly string[]) =>
      allowPolicy(meta, listed('a.com'), answers({ 'a.com': list }), settings);
    const { policy, hosts } = compile(all);
    assert.equal(rulesOf(policy)[0]?.to?.length, 128);
    assert.equal(hosts[0]?.status, 'too_many_addresses');
    assert.equal(hosts[0]?.addresses.length, 128);
    assert.deepEqual(compile(all.toReversed()), compile(all));
  });

  it('a host with IPv6 addresses only has no peers', () => {
    const addresses = answers({ 'a.com': ['2a00:1450:400f::1', '::ffff:93.184.216.34'] });
    const { policy, hosts } = allowPolicy(meta, listed('a.com'), addresses, settings);
    assert.equal(policy, undefined);
    assert.deepEqual(hosts, [{ host: 'a.com', status: 'ipv6_only', addresses: [], filtered: [] }]);
  });

  it('a list that changes from addresses to names keeps no old peer, in the same object', () => {
    const before = optedIn(['203.0.113.1', '198.51.100.0/24'], new Map());
    const after = optedIn(['a.com'], answers({ 'a.com': ['203.0.113.2'] }));
    assert.deepEqual(names(after), names(before));
    assert.deepEqual(rulesOf(networkPolicies(after.apply)[1]), [
      { ports: [{ protocol: 'TCP', port: 443 }], to: blocks('203.0.113.2/32') },
    ]);
  });

  it('a list with too many peers is refused as a whole', () => {
    const hosts = Array.from({ length: 100 }, (_, index) => `h${index}.nav.no`);
    const table = hosts.map((host, index): [string, string[]] => [
      host,
      Array.from({ length: 100 }, (_, address) => `93.184.${index}.${address}`),
    ]);
    const { policy, problem } = allowPolicy(meta, listed(...hosts), new Map(table), settings);
    assert.equal(policy, undefined);
    assert.equal(problem?.code, 'policy_too_large');
    assert.deepEqual([problem?.peers, problem?.limit], [10_000, 1000]);
    const desired = optedIn(hosts, new Map(table));
    assert.deepEqual(names(desired), ['notebook-egress-baseline']);
    assert.equal(desired.problem?.code, 'policy_too_large');
    assert.equal(desired.hosts.length, 100);
  });

  it('a list with exactly the maximum of peers is accepted', () => {
    const own = { ...settings, maxPeers: 2 };
    const addresses = answers({ 'a.com': ['203.0.113.1', '203.0.113.2'] });
    assert.ok(allowPolicy(meta, listed('a.com'), addresses, own).policy);
    assert.ok(allowPolicy(meta, listed('a.com:1', 'a.com:2'), addresses, own).policy);
    assert.equal(allowPolicy(meta, listed('a.com', '203.0.113.3:22'), addresses, own).policy, undefined);
  });

  it('an answer in a private range that the operator has opened is kept', () => {
    const own = { ...settings, privateRanges: [cidr('10.20.0.0/16')] };
    const addresses = answers({ 'db.corp.no': ['10.20.1.5', '10.21.1.5'] });
    const { policy, hosts } = allowPolicy(meta, listed('db.corp.no:1521'), addresses, own);
    assert.deepEqual(rulesOf(policy)[0]?.to, blocks('10.20.1.5/32'));
    assert.deepEqual(hosts[0]?.filtered, [{ address: '10.21.1.5', range: 'private' }]);
  });

  it('takes the operator’s host map in place of DNS, for that host alone and never for the cluster', () => {
    const own = {
      ...settings,
      clusterRanges: [cidr('10.4.0.0/14')],
      hostMap: new Map([['dm08-scan.adeo.no', ['10.53.0.2', '10.53.0.1', '10.4.0.1', '169.254.169.254']]]),
    };
    const addresses = answers({ 'dm08-scan.adeo.no': ['203.0.113.9'], 'evil.no': ['10.53.0.1'] });
    const { policy, hosts } = allowPolicy(
      meta,
      listed('dm08-scan.adeo.no:1521', 'evil.no:1521'),
      addresses,
      own,
    );
    assert.deepEqual(rulesOf(policy), [
      { ports: [{ protocol: 'TCP', port: 1521 }], to: blocks('10.53.0.1/32', '10.53.0.2/32') },
    ]);
    assert.deepEqual(
      hosts.map(({ host, status, filtered }) => [host, status, filtered.map(({ range }) => range)]),
      [
        ['dm08-scan.adeo.no', 'resolved', ['cluster', 'link-local / metadata']],
        ['evil.no', 'blocked_private_answer', ['private']],
      ],
    );
  });

  it('keeps an address range as one peer', () => {
    const { policy } = allowPolicy(
      meta,
      listed('198.51.100.0/24:22', '198.51.100.7:22'),
      new Map(),
      settings,
    );
    assert.deepEqual(rulesOf(policy)[0]?.to, blocks('198.51.100.0/24', '198.51.100.7/32'));
  });

  it('is a manifest that the cluster port accepts', () => {
    const manifests: readonly Manifest[] = [openPolicy(meta), baselinePolicy(meta, settings)];
    const typed: readonly V1NetworkPolicy[] = [openPolicy(meta), baselinePolicy(meta, settings)];
    assert.deepEqual(JSON.parse(JSON.stringify(manifests)), typed);
  });
});

describe('the hash of a policy', () => {
  it('depends on what the policy says, not on its labels or the order of its keys', () => {
    const policy = baselinePolicy(meta, settings);
    const { podSelector, policyTypes, egress } = policy.spec;
    assert.match(policyHash(policy), /^[0-9a-f]{64}$/);
    assert.equal(policyHash({ spec: { egress, policyTypes, podSelector } }), policyHash(policy));
    assert.equal(policyHash(baselinePolicy({ ...meta, labels: {} }, settings)), policyHash(policy));
    assert.notEqual(policyHash(openPolicy(meta)), policyHash(policy));
  });
});

describe('the native backend of GKE', () => {
  const own: EgressSettings = { ...settings, backend: 'gke-fqdn' };

  it('has one object per host, with TCP and the port always written', () => {
    const policies = fqdnPolicies(meta, listed('b.com', 'a.com', 'a.com:22'), new Map(), own);
    assert.deepEqual(
      policies.map(({ spec }) => spec.egress),
      [
        [
          {
            matches: [{ name: 'a.com' }],
            ports: [
              { protocol: 'TCP', port: 22 },
              { protocol: 'TCP', port: 443 },
            ],
          },
        ],
        [{ matches: [{ name: 'b.com' }], ports: [{ protocol: 'TCP', port: 443 }] }],
      ],
    );
    const [first, second] = policies;
    assert.deepEqual(first?.spec.podSelector, { matchLabels: { component: 'singleuser-server' } });
    assert.match(first?.metadata.name ?? '', /^notebook-egress-allow-[0-9a-f]{16}$/);
    assert.notEqual(first?.metadata.name, second?.metadata.name);
  });

  it('writes a range of three ports out', () => {
    const [policy] = fqdnPolicies(meta, listed('a.com:6005-6007', 'a.com:6007'), new Map(), own);
    assert.deepEqual(
      policy?.spec.egress[0]?.ports.map(({ port }) => port),
      [6005, 6006, 6007],
    );
  });

  it('leaves addresses, and hosts that the operator maps, to a NetworkPolicy', () => {
    const mapped = { ...own, hostMap: new Map([['db.corp.no', ['10.20.1.5']]]) };
    const desired = optedIn(['a.com', '203.0.113.1:22', 'db.corp.no:22'], new Map(), true, mapped);
    assert.deepEqual(
      desired.apply.map(({ kind }) => kind),
      ['NetworkPolicy', 'NetworkPolicy', 'FQDNNetworkPolicy'],
    );
    assert.deepEqual(rulesOf(networkPolicies(desired.apply)[1]), [
      { ports: [{ protocol: 'TCP', port: 22 }], to: blocks('10.20.1.5/32', '203.0.113.1/32') },
    ]);
  });

  it('is chosen only if its own version is served', () => {
    assert.equal(chooseBackend('gke-fqdn', ['v1alpha1']), 'gke-fqdn');
    assert.equal(chooseBackend('gke-fqdn', ['v1alpha3']), 'ip');
    assert.equal(chooseBackend('gke-fqdn', []), 'ip');
    assert.equal(chooseBackend('ip', ['v1alpha1']), 'ip');
  });

  it('has no object for a host that is known to answer with a forbidden address', () => {
    const addresses = answers({ 'a.com': ['93.184.216.34', '10.0.0.1'] });
    assert.deepEqual(fqdnPolicies(meta, listed('a.com'), addresses, own), []);
  });
});

describe('the baseline', () => {
  const pod = (namespace: string, labels: Readonly<Record<string, string>>): Pod => ({
    namespace,
    namespaceLabels: { 'kubernetes.io/metadata.name': namespace },
    labels,
  });
  const to = (ip: string, port: number, own?: Pod, protocol: 'TCP' | 'UDP' = 'TCP'): Connection => ({
    ip,
    port,
    protocol,
    ...(own === undefined ? {} : { pod: own }),
  });
  const team = notebook.namespace;
  const open: readonly (readonly [string, Connection])[] = [
    ['DNS at kube-dns', to('10.4.0.9', 53, pod('kube-system', { 'k8s-app': 'kube-dns' }), 'UDP')],
    ['DNS over TCP', to('10.4.0.9', 53, pod('kube-system', { 'k8s-app': 'kube-dns' }))],
    ['DNS at a node’s cache', to('169.254.20.10', 53, undefined, 'UDP')],
    [
      'DNS at a node’s cache pod',
      to('10.4.0.8', 53, pod('kube-system', { 'k8s-app': 'node-local-dns' }), 'UDP'),
    ],
    ['Cloud DNS', to('169.254.169.254', 53, undefined, 'UDP')],
    ['the metadata server', to('169.254.169.254', 80)],
    ['the metadata agent', to('169.254.169.252', 988)],
    ['the hub', to('10.4.0.2', 8081, pod(team, { component: 'hub' }))],
    ['the proxy', to('10.4.0.3', 8000, pod(team, { component: 'proxy' }))],
    ['autohttps', to('10.4.0.4', 8443, pod(team, { component: 'autohttps' }))],
    ['Google APIs', to('199.36.153.11', 443)],
  ];
  for (const [what, connection] of open) {
    it(`keeps ${what} open`, () => {
      assert.ok(egressAllowed([baselinePolicy(meta, settings)], notebook, connection));
    });
  }

  const shut: readonly (readonly [string, Connection])[] = [
    ['another port of the metadata server', to('169.254.169.254', 443)],
    ['a hub of another team', to('10.4.0.2', 8081, pod('team-blue-1111', { component: 'hub' }))],
    ['another notebook of the team', to('10.4.0.7', 8888, pod(team, { component: 'singleuser-server' }))],
    ['another pod of kube-system', to('10.4.0.6', 53, pod('kube-system', { 'k8s-app': 'metrics-server' }))],
    ['a pod that calls itself kube-dns elsewhere', to('10.4.0.6', 53, pod(team, { 'k8s-app': 'kube-dns' }))],
    ['the other Google addresses', to('199.36.153.4', 443)],
    ['the Internet', to('93.184.216.34', 443)],
    ['DNS on the Internet', to('8.8.8.8', 53, undefined, 'UDP')],
  ];
  for (const [what, connection] of shut) {
    it(`keeps ${what} closed`, () => {
      assert.equal(egressAllowed([baselinePolicy(meta, settings)], notebook, connection), false);
    });
  }

  it('follows the operator’s choice of Google addresses', () => {
    const restricted = { ...settings, googleApis: 'restricted' as const };
    assert.deepEqual(rulesOf(baselinePolicy(meta, restricted)).at(-1)?.to, blocks('199.36.153.4/30'));
    assert.ok(coversGoogleApis(cidr('199.36.153.7'), restricted));
    assert.equal(coversGoogleApis(cidr('199.36.153.8'), restricted), false);
    assert.ok(coversGoogleApis(cidr('199.36.153.8'), settings));
  });

  it('opens the addresses of Google’s names if configured', () => {
    const resolve = { ...settings, googleApis: 'resolve' as const };
    const addresses = answers({
      'storage.googleapis.com': ['142.250.74.27', '10.0.0.1'],
      'secretmanager.googleapis.com': ['142.250.74.10', '142.250.74.27'],
    });
    assert.deepEqual(rulesOf(baselinePolicy(meta, resolve, addresses)).at(-1), {
      ports: [{ protocol: 'TCP', port: 443 }],
      to: blocks('142.250.74.10/32', '142.250.74.27/32'),
    });
  });

  it('has no rule for Google’s names when none resolves, instead of one without peers', () => {
    const resolve = { ...settings, googleApis: 'resolve' as const };
    for (const rule of rulesOf(baselinePolicy(meta, resolve))) assert.ok(rule.to?.length);
    assert.equal(egressAllowed([baselinePolicy(meta, resolve)], notebook, tcp('142.250.74.27', 443)), false);
  });

  it('adds the ClusterIP of DNS if the operator configures it', () => {
    const calico = { ...settings, dnsServiceRanges: [cidr('10.8.0.10/32')] };
    assert.ok(egressAllowed([baselinePolicy(meta, calico)], notebook, to('10.8.0.10', 53, undefined, 'UDP')));
  });

  it('has the same bytes for the same settings and labels in any order', () => {
    const bytes = (reverse: boolean) => {
      const order = <T>(list: readonly T[]): T[] => (reverse ? list.toReversed() : [...list]);
      const own: EgressSettings = {
        ...settings,
        googleApis: 'resolve',
        googleApiHosts: order(['a.com', 'b.com']),
        dnsServiceRanges: order(['10.8.0.10/32', '10.8.0.11/32'].map(cidr)),
        airflowDestinations: order([
          { cidr: cidr('10.9.0.3/32'), port: 5432 },
          { cidr: cidr('10.9.0.4/32'), port: 5432 },
          { cidr: cidr('10.9.0.3/32'), port: 443 },
        ]),
      };
      const labels = Object.fromEntries(order([...Object.entries(meta.labels)]));
      const addresses = answers({ 'a.com': ['203.0.113.2'], 'b.com': ['203.0.113.1'] });
      return [baselinePolicy, airflowBaselinePolicy].map((compile) =>
        JSON.stringify(compile({ ...meta, labels }, own, addresses)),
      );
    };
    assert.deepEqual(bytes(true), bytes(false));
  });

  it('for Airflow workers has no hub, and has the destinations that the operator configures', () => {
    const own = { ...settings, airflowDestinations: [{ cidr: cidr('10.9.0.3/32'), port: 5432 }] };
    const policy = airflowBaselinePolicy(meta, own);
    const worker = pod(team, { dag_id: 'etl', task_id: 'load', run_id: 'r1' });
    assert.equal(policy.metadata.name, 'airflow-egress-baseline');
    assert.ok(egressAllowed([policy], worker, tcp('10.9.0.3', 5432)));
    assert.ok(egressAllowed([policy], worker, tcp('169.254.169.254', 80)));
    assert.equal(egressAllowed([policy], worker, tcp('93.184.216.34', 443)), false);
    assert.equal(
      egressAllowed([policy], worker, to('10.4.0.2', 8081, pod(team, { component: 'hub' }))),
      false,
    );
    assert.ok(egressAllowed([policy], notebook, tcp('93.184.216.34', 443)), 'notebooks are not its business');
  });

  it('is extended by a policy for the pods of a single Airflow run only', () => {
    const run = { dag_id: 'etl', task_id: 'load', run_id: 'r1' };
    const target = airflowTarget({ ...run, 'other-label': 'x' });
    assert.ok(target);
    const { policy } = allowPolicy(meta, listed('203.0.113.1:22'), new Map(), settings, target);
    assert.ok(policy);
    const both = [airflowBaselinePolicy(meta, settings), policy];
    assert.ok(egressAllowed(both, pod(team, run), tcp('203.0.113.1', 22)));
    assert.equal(egressAllowed(both, pod(team, { ...run, run_id: 'r2' }), tcp('203.0.113.1', 22)), false);
    assert.equal(airflowTarget({ dag_id: 'etl', task_id: 'load' }), undefined);
    assert.equal(airflowTarget({ ...run, run_id: '' }), undefined);
  });
});

it('reports on the hosts of a list also while no notebook runs', () => {
  const addresses = answers({ 'a.com': ['203.0.113.1'] });
  assert.deepEqual(
    optedIn(['a.com'], addresses, false).hosts.map(({ host, status }) => [host, status]),
    [['a.com', 'resolved']],
  );
});

describe('for any list and any answers', () => {
  const pool = ['a.com', 'b.com', 'c.nav.no', 'd.nav.no', 'xn--blbr-roah.no'];
  /** Few public addresses, so hosts share them, and one from every forbidden range. */
  const publicIps = [
    '8.8.8.8',
    '93.184.216.34',
    '93.184.216.35',
    '142.250.74.10',
    '223.255.255.255',
    '1.0.0.0',
  ];
  const forbiddenIps = [
    '0.0.0.0',
    '10.0.0.1',
    '100.64.0.1',
    '127.0.0.1',
    '169.254.169.254',
    '172.16.0.1',
    '192.0.0.1',
    '192.0.2.1',
    '192.168.0.1',
    '198.18.0.1',
    '198.51.100.1',
    '203.0.113.1',
    '224.0.0.1',
    '255.255.255.255',
    '34.118.224.1',
    '35.228.1.2',
  ];
  const forbiddenRanges = [
    '0.0.0.0/8',
    '10.0.0.0/8',
    '100.64.0.0/10',
    '127.0.0.0/8',
    '169.254.0.0/16',
    '172.16.0.0/12',
    '192.0.0.0/24',
    '192.0.2.0/24',
    '192.168.0.0/16',
    '198.18.0.0/15',
    '198.51.100.0/24',
    '203.0.113.0/24',
    '224.0.0.0/4',
    '240.0.0.0/4',
    '34.118.224.0/20',
    '35.228.1.2/32',
  ];
  const isForbidden = (ip: string) => forbiddenRanges.some((range) => inSubnet(range, ip));
  const own = (backendPeers: number): EgressSettings => ({
    ...defaultEgressSettings,
    clusterRanges: [cidr('35.228.1.2/32')],
    maxPeers: backendPeers,
  });

  const ip = fc.oneof(fc.constantFrom(...publicIps), fc.constantFrom(...forbiddenIps), fc.ipV4());
  const answer = fc.oneof(
    { weight: 8, arbitrary: ip },
    { weight: 1, arbitrary: fc.ipV6() },
    { weight: 1, arbitrary: fc.constantFrom('', '127.1', 'a.com', '8.8.8.8/24') },
  );
  const port = fc.constantFrom(1, 22, 442, 443, 444, 5432, 65_535);
  const entry: fc.Arbitrary<AllowlistEntry> = fc
    .record({
      target: fc.oneof(
        fc.constantFrom(...pool).map((host) => ({ host, kind: 'name' as const })),
        ip.map((host) => ({ host, kind: 'ipv4' as const })),
        fc
          .constantFrom('93.184.216.0/24', '8.0.0.0/7', '10.0.0.0/9')
          .map((host) => ({ host, kind: 'cidr' as const })),
      ),
      start: port,
      width: fc.constantFrom(0, 0, 1, 99),
    })
    .map(({ target, start, width }) => {
      const end = Math.min(start + width, 65_535);
      return {
        ...target,
        entry: `${target.host}:${start}-${end}`,
        portStart: start,
        portEnd: end,
        warnings: [],
      };
    });
  const entries = fc.array(entry, { maxLength: 12 });
  const table = fc.dictionary(fc.constantFrom(...pool), fc.array(answer, { maxLength: 8 })).map(answers);

  const asked = (list: readonly AllowlistEntry[], known: Addresses, to: Connection): boolean =>
    list.some(({ host, kind, portStart, portEnd }) => {
      if (to.port < portStart || to.port > portEnd) return false;
      return kind === 'name'
        ? (known.get(host) ?? []).includes(to.ip)
        : inSubnet(kind === 'cidr' ? host : `${host}/32`, to.ip);
    });

  it('no rule lacks peers or ports, every peer is canonical, every port TCP', () => {
    fc.assert(
      fc.property(entries, table, (list, known) => {
        const { policy } = allowPolicy(meta, list, known, own(1000));
        if (policy === undefined) return;
        assert.deepEqual(policy.spec.policyTypes, ['Egress']);
        assert.equal('ingress' in policy.spec, false);
        assert.ok(rulesOf(policy).length > 0);
        for (const rule of rulesOf(policy)) {
          assert.ok(rule.to?.length && rule.ports?.length);
          for (const peer of rule.to) assert.ok(parseCidr(peer.ipBlock?.cidr ?? ''));
          for (const { protocol, port: start, endPort } of rule.ports) {
            assert.equal(protocol, 'TCP');
            assert.ok(endPort === undefined || endPort > Number(start));
          }
        }
      }),
    );
  });

  it('every allowed address is on the list or in the baseline, none is forbidden, and every listed one is allowed', () => {
    let allowedOnes = 0;
    fc.assert(
      fc.property(
        entries,
        table,
        fc.array(fc.tuple(ip, port), { minLength: 5, maxLength: 20 }),
        (list, known, pairs) => {
          const limits = own(1000);
          const desired = desiredNotebookPolicies({
            allowlistEnabled: true,
            entries: list,
            addresses: known,
            podsAlive: true,
            settings: limits,
            meta,
          });
          const policies = networkPolicies(desired.apply);
          const baseline = [baselinePolicy(meta, limits)];
          const closed = new Set(
            desired.hosts.filter(({ status }) => status === 'blocked_private_answer').map(({ host }) => host),
          );
          for (const [destination, to] of pairs) {
            const connection = tcp(destination, to);
            if (egressAllowed(baseline, notebook, connection)) continue;
            const allowed = egressAllowed(policies, notebook, connection);
            const open = list.filter(({ host }) => !closed.has(host));
            assert.equal(
              allowed,
              !isForbidden(destination) && asked(open, known, connection),
              `${destination}:${to}`,
            );
            if (allowed) {
              allowedOnes += 1;
              assert.ok(asked(list, known, connection));
            }
            assert.equal(egressAllowed(policies, notebook, { ...connection, protocol: 'UDP' }), false);
          }
        },
      ),
      { numRuns: 500 },
    );
    assert.ok(allowedOnes > 100, `only ${allowedOnes} connections were allowed`);
  });

  it('entries and answers in any order give the same bytes and the same hash', () => {
    const shuffled = fc.tuple(entries, table).chain(([list, known]) =>
      fc.record({
        list: fc.constant(list),
        known: fc.constant(known),
        otherList: fc.shuffledSubarray(list, { minLength: list.length }),
        otherKnown: fc
          .tuple(
            ...[...known].map(([host, of]) =>
              fc.shuffledSubarray([...of], { minLength: of.length }).map((mixed) => [host, mixed] as const),
            ),
          )
          .map((pairs) => new Map(pairs.toReversed())),
      }),
    );
    fc.assert(
      fc.property(shuffled, ({ list, known, otherList, otherKnown }) => {
        const [one, other] = [
          allowPolicy(meta, list, known, own(1000)),
          allowPolicy(meta, otherList, otherKnown, own(1000)),
        ];
        assert.equal(JSON.stringify(other), JSON.stringify(one));
        if (one.policy && other.policy) assert.equal(policyHash(other.policy), policyHash(one.policy));
      }),
    );
  });

  it('no policy has more peers than the limit', () => {
    fc.assert(
      fc.property(entries, table, fc.integer({ min: 0, max: 6 }), (list, known, limit) => {
        const { policy, problem } = allowPolicy(meta, list, known, own(limit));
        const peers = rulesOf(policy).reduce((sum, rule) => sum + (rule.to?.length ?? 0), 0);
        assert.ok(peers <= limit);
        assert.ok(problem === undefined || (policy === undefined && problem.peers > limit));
      }),
    );
  });

  it('the open policy has the only rule without peers in the product', () => {
    fc.assert(
      fc.property(
        entries,
        table,
        fc.boolean(),
        fc.constantFrom('private' as const, 'restricted' as const, 'resolve' as const),
        (list, known, podsAlive, googleApis) => {
          const desired = desiredNotebookPolicies({
            allowlistEnabled: true,
            entries: list,
            addresses: known,
            podsAlive,
            settings: { ...own(1000), googleApis },
            meta,
          });
          for (const policy of networkPolicies(desired.apply)) {
            for (const rule of rulesOf(policy)) assert.ok(rule.to?.length && rule.ports?.length);
          }
        },
      ),
    );
  });
});
