import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { looked, wanted } from '../../src/egress/freshness.ts';
import type { Cluster, Manifest } from '../../src/ports/cluster.ts';
import type { DnsAnswer } from '../../src/ports/dns.ts';
import { Unavailable } from '../../src/ports/unavailable.ts';
import { assertProblem, kari, openApi } from '../support/api.ts';

const api = await openApi({
  environment: {
    EGRESS_INTERNAL_SUFFIXES: 'adeo.no',
    EGRESS_HOST_MAP: JSON.stringify({ 'dm08-scan.nav.no': ['10.53.0.1'] }),
  },
});
after(() => api.close());
const asKari = api.asPerson(kari);

const validate = (entries: readonly unknown[]) =>
  api.writesNothing(() => asKari.post('/v1/allowlist/validate', { entries }));

describe('validateAllowlist', () => {
  it('separates good entries from bad ones, each bad one with its index', async () => {
    const answer = await validate(['https://pypi.org/simple', '*.nav.no', 'ssb.no:8080-8090', 'db.adeo.no']);
    assert.equal(answer.statusCode, 200);
    const { entries, errors } = answer.json();
    assert.deepEqual(entries, [
      {
        entry: 'pypi.org:443',
        host: 'pypi.org',
        portStart: 443,
        portEnd: 443,
        kind: 'name',
        warnings: ['normalized'],
      },
      {
        entry: 'ssb.no:8080-8090',
        host: 'ssb.no',
        portStart: 8080,
        portEnd: 8090,
        kind: 'name',
        warnings: [],
      },
    ]);
    assert.deepEqual(
      errors.map(({ index, entry, code }: { index: number; entry: string; code: string }) => [
        index,
        entry,
        code,
      ]),
      [
        [1, '*.nav.no', 'wildcard_not_supported'],
        [3, 'db.adeo.no', 'internal_name'],
      ],
    );
  });

  it('gives the same code at the same pointer as an order', async () => {
    const hosts = ['pypi.org', 'localhost', '10.0.0.1', 'a..b.no', 'pypi.org:0', 'two.no, three.no'];
    const { errors }: { errors: { index: number; code: string }[] } = (await validate(hosts)).json();
    const path = `${await api.newTeam()}/notebook`;
    const order = { allowlist: { enabled: true, hosts } };
    const answer = await api.writesNothing(() => asKari.put(path, order));
    assert.equal(errors.length, 5);
    assertProblem(
      answer,
      'invalid_allowlist',
      errors.map(({ index, code }) => `/allowlist/hosts/${index} ${code}`),
    );
  });

  it('accepts an empty list, and reports where a long one is cut', async () => {
    assert.deepEqual((await validate([])).json(), { entries: [], errors: [] });
    const many = Array.from({ length: 201 }, (_, i) => `host-${i}.nav.no`);
    const { entries, errors } = (await validate(many)).json();
    assert.equal(entries.length, 200);
    assert.deepEqual([errors.length, errors[0].index, errors[0].code], [1, 200, 'too_many_entries']);
  });

  it('refuses anything but a list of texts', async () => {
    assertProblem(await validate([1, null, 'pypi.org', ['x']]), 'validation_failed', [
      '/entries/0 wrong_type',
      '/entries/1 wrong_type',
      '/entries/3 wrong_type',
    ]);
    const many = Array.from({ length: 1001 }, () => 'a.no');
    assertProblem(await validate(many), 'validation_failed', ['/entries too_many']);
  });
});

/** What DNS has said of a host by now. */
const dns = async (name: string, ...answers: readonly DnsAnswer[]): Promise<void> => {
  const now = Date.parse(api.now());
  await api.store.changeHost(name, (current) =>
    looked(wanted(current, name, true, now) ?? current, name, answers, now, 0),
  );
};
const found = (...addresses: readonly string[]): DnsAnswer => ({
  answer: 'addresses',
  addresses: addresses.map((address) => ({ address, ttlSeconds: 60 })),
});
const failed: DnsAnswer = { answer: 'failed', message: 'DNS did not answer in time.' };

/** A cluster with these policies in every namespace, and nothing to write to. */
const showing = (policies: (namespace: string) => readonly Manifest[]): Cluster => ({
  ...api.outside.cluster,
  serves: async () => false,
  list: async ({ kind, namespace = '' }) => (kind === 'NetworkPolicy' ? policies(namespace) : []),
});
const policy = (namespace: string, name: string, labels: Record<string, string>, spec = {}): Manifest => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name, namespace, labels, uid: name, resourceVersion: '1' },
  spec,
});
const notebooks = {
  podSelector: { matchLabels: { component: 'singleuser-server' } },
  policyTypes: ['Egress'],
};

describe('getEgress', () => {
  const order = async (enabled: boolean, ...hosts: readonly string[]) => {
    const path = await api.newTeam();
    const answer = await asKari.put(`${path}/notebook`, { allowlist: { enabled, hosts } });
    assert.equal(answer.statusCode, 201, answer.body);
    const { id } = await api.record(path);
    return { path: `${path}/egress`, labels: { 'knada.io/team-id': id } };
  };

  it('shows for each entry what is open, or why it is not', async (t) => {
    t.after(() => api.calm());
    const { path, labels } = await order(
      true,
      'pypi.org',
      'informatica.nav.no:6005-6010',
      'dm08-scan.nav.no:1521',
      '8.8.8.8:53',
      'new.nav.no',
      'dead.nav.no',
      'six.nav.no',
      'private.nav.no',
      'many.nav.no',
    );
    await dns('pypi.org', found('151.101.64.223', '151.101.0.223', '10.0.0.1'));
    await dns('informatica.nav.no', found('155.55.1.1'));
    await dns('dead.nav.no', failed);
    await dns('six.nav.no', found('2a00:1450:400f::1'));
    await dns('private.nav.no', found('10.0.0.1'));
    await dns('many.nav.no', found(...Array.from({ length: 200 }, (_, n) => `93.184.216.${n}`)));
    api.outside.cluster = showing((namespace) => [
      policy(namespace, 'notebook-egress-baseline', labels),
      policy(namespace, 'airflow-egress-allow-00', labels),
      policy(namespace, 'singleuser', {}, { ...notebooks, egress: [] }),
    ]);
    const answer = await api.writesNothing(() => asKari.get(path));
    assert.equal(answer.statusCode, 200);
    const { entries, ...rest } = answer.json();
    assert.deepEqual(rest, {
      enabled: true,
      effective: true,
      because: 'Notebooks can reach the allowlist and nothing else.',
      widenedBy: [],
      policies: [{ kind: 'NetworkPolicy', name: 'notebook-egress-baseline' }],
    });
    const [pypi, ports, mapped, literal, ...others] = entries;
    assert.deepEqual(pypi, {
      entry: 'pypi.org:443',
      host: 'pypi.org',
      portStart: 443,
      portEnd: 443,
      status: 'resolved',
      addresses: ['151.101.0.223', '151.101.64.223'],
      filtered: [{ address: '10.0.0.1', range: 'private' }],
    });
    assert.deepEqual([ports.portStart, ports.portEnd, ports.status], [6005, 6010, 'resolved']);
    assert.deepEqual([mapped.status, mapped.addresses], ['resolved', ['10.53.0.1']]);
    assert.deepEqual([literal.host, literal.portStart, literal.portEnd], ['8.8.8.8', 53, 53]);
    assert.deepEqual(literal.addresses, ['8.8.8.8']);
    assert.deepEqual(
      others.map(({ host, status, message, addresses }: Record<string, unknown>) => [
        host,
        status,
        Array.isArray(addresses) ? addresses.length : addresses,
        ...(message === undefined ? [] : [message]),
      ]),
      [
        ['new.nav.no', 'unresolved', 0, 'It has not been looked up yet. That takes at most a minute.'],
        ['dead.nav.no', 'unresolved', 0, 'DNS did not answer in time.'],
        ['six.nav.no', 'ipv6_only', 0],
        ['private.nav.no', 'blocked_private_answer', 0],
        ['many.nav.no', 'too_many_addresses', 128],
      ],
    );
  });

  it('shows since when the addresses are stale', async (t) => {
    t.after(() => api.calm());
    const { path } = await order(true, 'old.nav.no');
    await dns('old.nav.no', found('155.55.1.2'));
    const since = api.now();
    api.advance(6 * 3600_000);
    await dns('old.nav.no', failed);
    api.outside.cluster = showing(() => []);
    const [entry] = (await asKari.get(path)).json().entries;
    assert.deepEqual(
      [entry.status, entry.since.slice(0, 10), entry.message, entry.addresses],
      ['stale', since.slice(0, 10), 'DNS did not answer in time.', ['155.55.1.2']],
    );
  });

  for (const [situation, policies, effective, because, widenedBy] of [
    ['is not applied yet', () => [], false, /not applied yet/, []],
    [
      'is held up by the policy from before',
      (labels: Record<string, string>) => [
        policy('n', 'notebook-egress-baseline', labels),
        policy('n', 'notebook-egress-open', labels),
      ],
      false,
      /before the opt-in/,
      [],
    ],
    [
      'is defeated by another owner’s policy',
      (labels: Record<string, string>) => [
        policy('n', 'notebook-egress-baseline', labels),
        policy(
          'n',
          'singleuser',
          {},
          { ...notebooks, egress: [{ to: [{ ipBlock: { cidr: '0.0.0.0/0' } }] }] },
        ),
      ],
      false,
      /^singleuser in the namespace opens more/,
      ['singleuser'],
    ],
  ] as const) {
    it(`reports that the restriction ${situation}`, async (t) => {
      t.after(() => api.calm());
      const { path, labels } = await order(true, '8.8.8.8');
      api.outside.cluster = showing(() => policies(labels));
      const answer = (await asKari.get(path)).json();
      assert.equal(answer.effective, effective);
      assert.match(answer.because, because);
      assert.deepEqual(answer.widenedBy, widenedBy);
    });
  }

  it('reports the list but no enforcement while the cluster does not answer', async (t) => {
    t.after(() => api.calm());
    const { path } = await order(true, '8.8.8.8');
    const away = () => Promise.reject(new Unavailable('Kubernetes', 'Kubernetes cannot be reached.'));
    for (const cluster of [
      { ...showing(() => []), list: away },
      { ...showing(() => []), serves: away },
    ]) {
      api.outside.cluster = cluster;
      const { effective, policies, entries } = (await asKari.get(path)).json();
      assert.deepEqual([effective, policies, entries.length], [null, null, 1]);
    }
  });

  it('does not report a list that is not in use as pending', async (t) => {
    t.after(() => api.calm());
    const { path } = await order(false, 'pypi.org');
    api.outside.cluster = showing(() => []);
    const [entry] = (await asKari.get(path)).json().entries;
    assert.deepEqual([entry.status, entry.message], ['unresolved', 'It is looked up once the team opts in.']);
  });

  it('reports that everything is open for a team that has not opted in', async (t) => {
    t.after(() => api.calm());
    const { path, labels } = await order(false, 'pypi.org');
    api.outside.cluster = showing((namespace) => [policy(namespace, 'notebook-egress-open', labels)]);
    const { enabled, effective, because, policies } = (await asKari.get(path)).json();
    assert.deepEqual([enabled, effective], [false, null]);
    assert.match(because, /anywhere/);
    assert.deepEqual(policies, [{ kind: 'NetworkPolicy', name: 'notebook-egress-open' }]);
  });

  it('answers 404 without a notebook, and to callers outside the team', async () => {
    const path = `${await api.newTeam()}/egress`;
    assertProblem(await asKari.get(path), 'notebook_not_ordered');
    assertProblem(await asKari.post(`${path}/check`, { destination: 'pypi.org' }), 'notebook_not_ordered');
    const { path: ordered } = await order(true, '8.8.8.8');
    const ola = api.asPerson('ola.nordmann@nav.no');
    assertProblem(await ola.get(ordered), 'not_found');
    assertProblem(await ola.post(`${ordered}/check`, { destination: 'pypi.org' }), 'not_found');
  });

  describe('checkEgress', () => {
    const check = async (path: string, destination: string) =>
      api.writesNothing(() => asKari.post(`${path}/check`, { destination }));

    it('answers with the entry that allows it, or with what to add', async (t) => {
      t.after(() => api.calm());
      const { path, labels } = await order(true, 'docs.python.org', 'dm08-scan.nav.no:1521');
      await dns('docs.python.org', found('151.101.0.223'));
      const baseline = policy('n', 'notebook-egress-baseline', labels, notebooks);
      api.outside.cluster = showing(() => [baseline]);
      assert.deepEqual((await check(path, 'https://docs.python.org/3')).json(), {
        allowed: true,
        because: 'docs.python.org:443 opens it, at 151.101.0.223.',
        entry: 'docs.python.org:443',
      });
      assert.deepEqual((await check(path, 'dm08-scan.nav.no:1521')).json(), {
        allowed: true,
        because: 'dm08-scan.nav.no:1521 opens it, at 10.53.0.1.',
        entry: 'dm08-scan.nav.no:1521',
      });
      assert.deepEqual((await check(path, 'db.adeo.no:5432')).json(), {
        allowed: false,
        because:
          '"db.adeo.no" is a name inside the cluster, the cloud project or a local network, which no list can open.',
      });
      const { allowed, because } = (await check(path, 'ssb.no')).json();
      assert.deepEqual([allowed, because], [false, 'Nothing on the list opens it. Add ssb.no:443.']);
    });

    it('includes what another owner’s policy opens', async (t) => {
      t.after(() => api.calm());
      const { path } = await order(true);
      api.outside.cluster = showing((namespace) => [
        policy(namespace, 'mine', {}, { ...notebooks, egress: [{ ports: [{ port: 22 }] }] }),
      ]);
      const { allowed, because } = (await check(path, '8.8.8.8:22')).json();
      assert.equal(allowed, true);
      assert.match(because, /^NetworkPolicy mine opens it/);
      assert.equal((await check(path, '8.8.8.8:23')).json().allowed, false);
    });

    it('reports that only the list was evaluated while the cluster does not answer', async (t) => {
      t.after(() => api.calm());
      const { path } = await order(true, 'docs.python.org');
      await dns('docs.python.org', found('151.101.0.223'));
      api.outside.cluster = {
        ...showing(() => []),
        list: () => Promise.reject(new Unavailable('Kubernetes', 'Kubernetes did not answer in time.')),
      };
      for (const destination of ['docs.python.org', '8.8.8.8']) {
        assert.match(
          (await check(path, destination)).json().because,
          /This answer is based on the allowlist alone: the cluster/,
        );
      }
    });

    it('refuses an invalid destination with the code of an entry', async () => {
      const { path } = await order(true);
      for (const [destination, code] of [
        ['*.nav.no', 'wildcard_not_supported'],
        ['', 'empty_entry'],
        ['a.no:1-2', 'invalid_port'],
        ['10.0.0.0/8', 'cidr_not_allowed'],
        ['a.no:0', 'port_out_of_range'],
      ] as const) {
        assertProblem(await check(path, destination), 'validation_failed', [`/destination ${code}`]);
      }
      assertProblem(await asKari.post(`${path}/check`, {}), 'validation_failed', ['/destination required']);
    });
  });
});
