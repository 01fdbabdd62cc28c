import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { V1NetworkPolicy } from '@kubernetes/client-node';
import fc from 'fast-check';
import { desiredNotebookPolicies } from '../../src/egress/desired.ts';
import type { Addresses } from '../../src/egress/destinations.ts';
import { defaultEntryOptions, parseAllowlist, printEntry } from '../../src/egress/entry.ts';
import { type EgressFacts, explain, parseDestination } from '../../src/egress/explain.ts';
import { defaultEgressSettings, type EgressSettings } from '../../src/egress/policy.ts';
import { parseCidr } from '../../src/egress/ranges.ts';
import type { AllowlistEntry } from '../../src/model/allowlist.ts';
import type { Manifest } from '../../src/ports/cluster.ts';
import { egressAllowed, type Pod } from '../support/network-policy.ts';

const namespace = 'team-red-3f2a';
const meta = { namespace, labels: { 'knada.io/team-id': 'red-3f2a' }, annotations: {} };
const notebook: Pod = {
  namespace,
  namespaceLabels: { 'kubernetes.io/metadata.name': namespace },
  labels: { app: 'jupyterhub', component: 'singleuser-server' },
};

const range = (text: string) => parseCidr(text) ?? assert.fail(text);
const settings: EgressSettings = {
  ...defaultEgressSettings,
  clusterRanges: [range('35.228.1.2/32')],
  hostMap: new Map([
    ['dm08-scan.adeo.no', ['10.53.0.1', '10.53.0.2']],
    ['gone.adeo.no', ['35.228.1.2']],
  ]),
};

const facts = (
  texts: readonly string[],
  known: Readonly<Record<string, readonly string[]>> = {},
  more: Partial<EgressFacts> = {},
): EgressFacts => {
  const { entries, errors } = parseAllowlist(texts, { ...defaultEntryOptions, allowCidr: true });
  assert.deepEqual(errors, []);
  return {
    enabled: true,
    entries,
    addresses: new Map(Object.entries(known)),
    settings,
    internalSuffixes: [],
    foreign: [],
    verdict: { boundless: [], isIsolated: true },
    ...more,
  };
};

const ask = (text: string, about: EgressFacts) => {
  const parsed = parseDestination(text, defaultEntryOptions);
  if (!parsed.ok) assert.fail(`${text}: ${parsed.message}`);
  return explain(parsed.destination, about);
};

const policy = (name: string, spec: object, kind = 'NetworkPolicy'): Manifest => ({
  apiVersion: kind === 'NetworkPolicy' ? 'networking.k8s.io/v1' : 'networking.gke.io/v1alpha1',
  kind,
  metadata: { name, namespace },
  spec,
});
const all = { podSelector: {}, policyTypes: ['Egress'] };

describe('a destination', () => {
  it('is parsed like an entry, with one port', () => {
    const read = (text: string) => {
      const parsed = parseDestination(text, defaultEntryOptions);
      return parsed.ok ? parsed.destination : parsed.code;
    };
    assert.deepEqual(read('https://PyPI.org/simple'), { host: 'pypi.org', kind: 'name', port: 443 });
    assert.deepEqual(read('dm08-scan.adeo.no:1521'), { host: 'dm08-scan.adeo.no', kind: 'name', port: 1521 });
    assert.deepEqual(read('10.0.0.1:22'), { host: '10.0.0.1', kind: 'ipv4', port: 22 });
    assert.deepEqual(read('metadata.google.internal:80'), {
      host: 'metadata.google.internal',
      kind: 'name',
      port: 80,
    });
    assert.equal(read('a.no:1-2'), 'invalid_port');
    assert.equal(read('10.0.0.0/8'), 'cidr_not_allowed');
    assert.equal(read('*.nav.no'), 'wildcard_not_supported');
  });
});

describe('whether a notebook may connect', () => {
  const list = ['pypi.org', 'dm08-scan.adeo.no:1521', 'informatica.nav.no:6005-6010', '8.8.8.0/24:53'];
  const known = { 'pypi.org': ['151.101.0.223', '10.1.2.3'], 'informatica.nav.no': ['155.55.1.1'] };

  for (const [text, because, entry] of [
    [
      'pypi.org',
      'pypi.org:443 opens it, at 151.101.0.223. Not at 10.1.2.3 (private), which notebooks may not reach.',
      'pypi.org:443',
    ],
    [
      'dm08-scan.adeo.no:1521',
      'dm08-scan.adeo.no:1521 opens it, at 10.53.0.1, 10.53.0.2.',
      'dm08-scan.adeo.no:1521',
    ],
    [
      'informatica.nav.no:6007',
      'informatica.nav.no:6005-6010 opens it, at 155.55.1.1.',
      'informatica.nav.no:6005-6010',
    ],
    ['8.8.8.8:53', '8.8.8.0/24:53 opens it.', '8.8.8.0/24:53'],
    ['151.101.0.223', 'pypi.org:443 opens it.', 'pypi.org:443'],
  ] as const) {
    it(`${text}: yes, and by which entry`, () => {
      assert.deepEqual(ask(text, facts(list, known)), { allowed: true, because, entry });
    });
  }

  for (const text of ['169.254.169.254:80', '169.254.20.10:53', 'bigquery.googleapis.com', '199.36.153.10']) {
    it(`${text}: yes, as for every notebook`, () => {
      assert.deepEqual(ask(text, facts([])), {
        allowed: true,
        because: 'It is always open: every notebook may reach DNS, the metadata server and Google APIs.',
      });
    });
  }

  for (const [text, because] of [
    [
      'pypi.org:80',
      'Nothing on the list opens it. Add pypi.org:80. Ports of this host on the list: pypi.org:443.',
    ],
    ['ssb.no', 'Nothing on the list opens it. Add ssb.no:443.'],
    ['1.1.1.1:53', 'Nothing on the list opens it. Add 1.1.1.1:53.'],
    ['10.53.0.9:1521', '10.53.0.9 lies in a range that notebooks may not reach (private).'],
    ['35.228.1.2', '35.228.1.2 lies in a range that notebooks may not reach (cluster).'],
    [
      'db.svc.cluster.local:5432',
      '"db.svc.cluster.local" is a name inside the cluster, the cloud project or a local network, which no list can open.',
    ],
    ['bigquery.googleapis.com:80', 'Nothing on the list opens it. Add bigquery.googleapis.com:80.'],
  ] as const) {
    it(`${text}: no, and what to do`, () => {
      assert.deepEqual(ask(text, facts(list, known)), { allowed: false, because });
    });
  }

  for (const [what, answers, because] of [
    [
      'without an address',
      [],
      'It is on the list, but no address of a.no is known yet; it is opened as soon as DNS answers.',
    ],
    [
      'with private answers only',
      ['10.0.0.1'],
      'It is on the list, but DNS answers 10.0.0.1 (private), which notebooks may not reach.',
    ],
    [
      'with IPv6 only',
      ['2a00::1'],
      'It is on the list, but has only IPv6 addresses, and the cluster supports IPv4 only.',
    ],
  ] as const) {
    it(`a listed host ${what}: no, and why`, () => {
      assert.deepEqual(ask('a.no', facts(['a.no'], { 'a.no': answers })), { allowed: false, because });
    });
  }

  it('a team that has not opted in: yes, anywhere', () => {
    const { allowed, because } = ask('10.0.0.1:1', facts([], {}, { enabled: false }));
    assert.deepEqual(
      [allowed, because],
      [true, 'The team has not opted in to an allowlist: its notebooks may connect anywhere.'],
    );
  });

  it('a list with too many peers opens nothing, and the answer says so', () => {
    const about = facts(
      ['a.no'],
      { 'a.no': ['1.1.1.1', '1.1.1.2'] },
      { settings: { ...settings, maxPeers: 1 } },
    );
    assert.match(ask('a.no', about).because, /^The list needs 2 combinations/);
    assert.equal(ask('a.no', about).allowed, false);
    assert.match(ask('1.1.1.1', about).because, /Add 1\.1\.1\.1:443/);
  });

  it('an unlisted host at an address of a listed one: yes, for now', () => {
    const answer = ask('b.no', facts(['a.no'], { 'a.no': ['1.1.1.1'], 'b.no': ['1.1.1.1'] }));
    assert.deepEqual(answer, {
      allowed: true,
      because:
        'It is not on the list, but a.no:443 opens an address that it currently shares. That may change at any time: add b.no:443.',
      entry: 'a.no:443',
    });
  });

  it('Google’s APIs where DNS does not map them: no', () => {
    const answer = ask(
      'bigquery.googleapis.com',
      facts([], { 'bigquery.googleapis.com': ['142.250.74.10'] }),
    );
    assert.equal(answer.allowed, false);
  });

  it('the metadata server by the name that Google’s clients use: as its address', () => {
    for (const host of ['metadata.google.internal', '169.254.169.254']) {
      assert.equal(ask(`${host}:80`, facts([])).allowed, true, host);
      assert.equal(ask(`${host}:22`, facts([])).allowed, false, host);
    }
  });

  it('another owner’s policy opens it: yes, with the policy’s name', () => {
    const foreign = [
      policy('chart', { ...all, egress: [{ to: [{ podSelector: {} }] }] }),
      policy('other-pods', { ...all, podSelector: { matchLabels: { component: 'hub' } }, egress: [{}] }),
      policy('allow-all', {
        ...all,
        egress: [{ to: [{ ipBlock: { cidr: '0.0.0.0/0', except: ['10.0.0.0/8'] } }] }],
      }),
    ];
    const about = facts([], {}, { foreign });
    assert.equal(ask('10.0.0.1', about).allowed, false);
    assert.deepEqual(ask('1.1.1.1:9', about), {
      allowed: true,
      because:
        'NetworkPolicy allow-all opens it and is not part of the list. Remove it, or its egress rules, to enforce the list.',
    });
  });

  describe('with GKE’s own policies', () => {
    const native = { ...settings, backend: 'gke-fqdn' } as const;

    it('a listed name is open at all of its addresses, unless it resolves to private ones', () => {
      const about = facts(['a.no', 'b.no'], { 'b.no': ['10.0.0.1'] }, { settings: native });
      assert.deepEqual(ask('a.no', about), {
        allowed: true,
        because: 'a.no:443 opens it, at all of its addresses.',
        entry: 'a.no:443',
      });
      assert.equal(ask('b.no', about).allowed, false);
      assert.equal(
        ask('dm08-scan.adeo.no:1521', facts(['dm08-scan.adeo.no:1521'], {}, { settings: native })).allowed,
        true,
      );
    });

    it('another owner’s pattern matches within labels', () => {
      const matching = (pattern: string, ports?: object[]) =>
        facts(
          [],
          {},
          {
            foreign: [
              policy(
                'x',
                { podSelector: {}, egress: [{ matches: [{ pattern }], ...(ports && { ports }) }] },
                'FQDNNetworkPolicy',
              ),
            ],
          },
        );
      for (const [host, pattern, expected] of [
        ['a.nav.no', '*.nav.no', true],
        ['a.b.nav.no', '*.nav.no', false],
        ['nav.no', '*.nav.no', false],
        ['db-1.nav.no', 'db-*.nav.no', true],
        ['xdb-1.nav.no', 'db-*.nav.no', false],
        ['a-b-c.no', 'a*b*c.no', true],
        ['abc.no', 'ab*bc.no', false],
        ['anything.no', '*', true],
      ] as const) {
        assert.equal(ask(host, matching(pattern)).allowed, expected, `${host} ${pattern}`);
      }
      assert.equal(ask('a.no:22', matching('*', [{ protocol: 'TCP', port: 443 }])).allowed, false);
      assert.equal(ask('a.no:22', matching('*', [{ protocol: 'ALL', port: 22 }])).allowed, true);
    });
  });
});

describe('explain, for any list, DNS answers and foreign policies', () => {
  const names = ['a.com', 'b.com', 'c.nav.no', 'dm08-scan.adeo.no', 'gone.adeo.no'];
  const ips = [
    '8.8.8.8',
    '93.184.216.34',
    '93.184.216.35',
    '10.0.0.1',
    '10.53.0.1',
    '10.53.0.2',
    '35.228.1.2',
    '127.0.0.1',
    '169.254.169.254',
    '169.254.20.10',
    '199.36.153.9',
    '34.118.224.1',
  ];
  const ports = [53, 80, 443, 1521];
  const ip = fc.constantFrom(...ips);
  const port = fc.constantFrom(...ports);
  const host = fc.oneof(
    fc.constantFrom(...names).map((name) => ({ host: name, kind: 'name' as const })),
    ip.map((address) => ({ host: address, kind: 'ipv4' as const })),
    fc
      .constantFrom('93.184.216.0/24', '8.0.0.0/7', '10.53.0.0/30')
      .map((cidr) => ({ host: cidr, kind: 'cidr' as const })),
  );
  const entry: fc.Arbitrary<AllowlistEntry> = fc
    .record({ to: host, start: port, width: fc.constantFrom(0, 0, 1, 99) })
    .map(({ to, start, width }) => {
      const ends = { portStart: start, portEnd: start + width };
      return { ...to, ...ends, entry: printEntry({ ...to, ...ends }), warnings: [] };
    });
  const answers = fc.array(
    fc.oneof({ weight: 9, arbitrary: ip }, fc.constantFrom('2a00::1', 'not an address')),
    {
      maxLength: 4,
    },
  );
  const addresses: fc.Arbitrary<Addresses> = fc
    .dictionary(fc.constantFrom(...names), answers)
    .map((table) => new Map(Object.entries(table)));
  const peer = fc.oneof(
    fc
      .record({
        cidr: fc.constantFrom('0.0.0.0/0', '93.184.216.0/24', '93.184.216.34/32', '10.0.0.0/8'),
        except: fc.constantFrom(undefined, ['10.53.0.0/16'], ['93.184.216.34/32']),
      })
      .map(({ cidr, except }) => ({ ipBlock: except === undefined ? { cidr } : { cidr, except } })),
    fc.constant({ podSelector: { matchLabels: { component: 'hub' } } }),
  );
  const rule = fc.record(
    {
      to: fc.array(peer, { maxLength: 2 }),
      ports: fc.array(
        fc.oneof(
          port.map((number) => ({ protocol: 'TCP', port: number })),
          port.map((number) => ({ port: number, endPort: number + 30 })),
          fc.constantFrom({ protocol: 'UDP', port: 53 }, { protocol: 'TCP' }),
        ),
        { maxLength: 2 },
      ),
    },
    { requiredKeys: [] },
  );
  const foreignPolicy = fc
    .record({
      podSelector: fc.constantFrom<object>(
        {},
        { matchLabels: { component: 'singleuser-server' } },
        { matchLabels: { component: 'hub' } },
        { matchExpressions: [{ key: 'dag_id', operator: 'Exists' }] },
        { matchExpressions: [{ key: 'component', operator: 'NotIn', values: ['hub'] }] },
      ),
      policyTypes: fc.constantFrom(['Egress'], ['Ingress'], ['Ingress', 'Egress']),
      egress: fc.array(rule, { maxLength: 2 }),
    })
    .map((spec) => policy('foreign', spec));
  const destination = fc.record({
    to: fc.oneof(
      fc.constantFrom(...names).map((name) => ({ host: name, kind: 'name' as const })),
      ip.map((address) => ({ host: address, kind: 'ipv4' as const })),
    ),
    port: fc.oneof({ weight: 8, arbitrary: port }, fc.constantFrom(23, 110)),
  });

  it('the answer is what the policies mean, 10,000 times', () => {
    const counted = { yes: 0, no: 0 };
    fc.assert(
      fc.property(
        fc.array(entry, { maxLength: 10 }),
        addresses,
        fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, fc.array(foreignPolicy, { maxLength: 2 })),
        destination,
        fc.constantFrom(3, 1000, 1000, 1000),
        fc.constantFrom('private' as const, 'resolve' as const),
        (entries, known, foreign, { to, port: asked }, maxPeers, googleApis) => {
          const own: EgressSettings = { ...settings, maxPeers, googleApis, googleApiHosts: ['b.com'] };
          const desired = desiredNotebookPolicies({
            allowlistEnabled: true,
            entries,
            addresses: known,
            podsAlive: true,
            settings: own,
            meta,
          });
          const policies = [...desired.apply, ...foreign].filter(
            (one): one is V1NetworkPolicy & typeof one => one.kind === 'NetworkPolicy',
          );
          const candidates =
            to.kind === 'ipv4' ? [to.host] : (own.hostMap.get(to.host) ?? known.get(to.host) ?? []);
          const ipv4 = candidates.filter((candidate) => /^[0-9.]+$/.test(candidate));
          const verdict = { boundless: [], isIsolated: true };
          const reaches = (address: string) =>
            egressAllowed(policies, notebook, { ip: address, port: asked, protocol: 'TCP' });
          // A name without a known address may be anywhere on the Internet.
          const expected =
            ipv4.length > 0
              ? ipv4.some(reaches)
              : ['1.1.1.1', '9.9.9.9', '151.101.0.223', '203.1.1.1'].every(reaches);
          const answer = explain(
            { ...to, port: asked },
            {
              enabled: true,
              entries,
              addresses: known,
              settings: own,
              internalSuffixes: [],
              foreign,
              verdict,
            },
          );
          assert.equal(answer.allowed, expected, answer.because);
          assert.match(answer.because, /\.$/);
          if (answer.entry !== undefined) {
            const opening = entries.find((each) => each.entry === answer.entry);
            assert.ok(opening && opening.portStart <= asked && asked <= opening.portEnd, answer.because);
          }
          counted[expected ? 'yes' : 'no'] += 1;
        },
      ),
      { numRuns: 10_000 },
    );
    assert.ok(counted.yes > 1000 && counted.no > 1000, JSON.stringify(counted));
  });
});
