import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import Type from 'typebox';
import { Value } from 'typebox/value';
import { type AdmissionDeps, type AdmissionRequest, admissionWith } from '../../src/egress/admission.ts';
import { defaultEntryOptions } from '../../src/egress/entry.ts';
import { defaultEgressSettings } from '../../src/egress/policy.ts';
import { Unavailable } from '../../src/ports/unavailable.ts';
import { isWrite, recorded, spoken } from '../support/intercepted.ts';
import { aReview } from '../support/reviews.ts';
import { type OpenedSimulator, openSimulator } from '../support/simulated-kubernetes.ts';
import { aPod, aWorld, conditionOf, versions } from '../support/world.ts';

const [first, second] = ['ab'.repeat(32), 'cd'.repeat(32)];
const secrets = [first, second];
const notebook = { component: 'singleuser-server' };
const run = { dag_id: 'sales', task_id: 'load', run_id: 'r-1' };
const list = (...hosts: readonly string[]) => ({ allowlist: { enabled: true, hosts: [...hosts] } });
const bytes = (body: unknown) => Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
const Allowed = Type.Object({
  response: Type.Object({
    uid: Type.String(),
    allowed: Type.Literal(true),
    warnings: Type.Optional(Type.Array(Type.String())),
  }),
});

describe('the admission function', () => {
  let kubernetes: OpenedSimulator;
  before(async () => {
    kubernetes = await openSimulator();
  });
  after(() => kubernetes.close());

  /** A team, and the function on the same store and cluster; `more` replaces parts of it. */
  const admitting = async (t: TestContext, more: Partial<AdmissionDeps> = {}) => {
    const world = await aWorld(t, kubernetes);
    const { cluster, calls } = recorded(kubernetes.cluster);
    const announced: string[] = [];
    const failures: string[] = [];
    const deps: AdmissionDeps = {
      secrets,
      cluster,
      store: world.store,
      clock: world.clock,
      settings: defaultEgressSettings,
      entries: defaultEntryOptions,
      async addresses(names) {
        const known = (name: string) => {
          const answers = world.dns.get(name) ?? [];
          return typeof answers === 'function'
            ? assert.fail('no test here has DNS change its mind')
            : answers;
        };
        return new Map(names.map((name) => [name, known(name)]));
      },
      log: { warn: (_, event) => failures.push(event), error: (_, event) => failures.push(event) },
      announce(slug, signal) {
        announced.push(slug);
        return world.look(cluster, signal, { announced: true });
      },
      ...more,
    };
    const admission = admissionWith(deps);
    const call = (body: unknown, request: Partial<AdmissionRequest> = {}) =>
      admission({ method: 'POST', path: `/${first}`, body: bytes(body), ...request });
    return {
      world,
      calls,
      announced,
      failures,
      call,
      /** The warnings of an answer that says yes, as it always must. */
      async asked(review: object): Promise<readonly string[]> {
        const { status, body } = await call(review);
        assert.equal(status, 200);
        assert.ok(Value.Check(Allowed, body), JSON.stringify(body));
        return body.response.warnings ?? [];
      },
      pod: async (labels: Readonly<Record<string, string>> = notebook, annotations = {}) =>
        aReview({ namespace: await world.namespace(), labels, annotations }),
    };
  };

  it('opens the team’s list for an announced notebook', async (t) => {
    const { world, asked, pod, announced } = await admitting(t);
    world.dns.set('pypi.org', ['151.101.0.223']);
    await world.ordered(list('pypi.org'));
    assert.deepEqual(await asked(await pod()), []);
    assert.deepEqual(announced, [world.slug]);
    const policy = await world.raw('NetworkPolicy', 'notebook-egress-allow');
    assert.match(JSON.stringify(policy?.spec), /151\.101\.0\.223\/32/);
    assert.equal(policy?.metadata.ownerReferences, undefined, 'a pod that is not stored owns nothing');
  });

  it('warns about hosts without an address, and about a policy that defeats the list', async (t) => {
    const { world, asked, pod } = await admitting(t);
    world.dns.set('pypi.org', ['151.101.0.223']);
    await world.ordered(list('pypi.org', 'gone.nav.no'));
    assert.deepEqual(await asked(await pod()), [
      '1 of 2 hosts have no address that can be opened: gone.nav.no (unresolved).',
    ]);
    await world.put('NetworkPolicy', {
      metadata: { name: 'allow-all' },
      spec: { podSelector: {}, policyTypes: ['Egress'], egress: [{}] },
    });
    const [warning, ...rest] = await asked(await pod());
    assert.match(warning ?? '', /allow-all/);
    assert.deepEqual(rest, []);
  });

  it('writes nothing for a dry run, of a notebook or of an Airflow run', async (t) => {
    const { world, call, calls, announced } = await admitting(t);
    await world.ordered(list('8.8.8.8'));
    const namespace = await world.namespace();
    const before = versions(await world.objects());
    for (const labels of [notebook, run]) {
      const review = aReview({ namespace, labels, annotations: { allowlist: '8.8.8.8' } }, { dryRun: true });
      assert.deepEqual(await call(review), { status: 200, body: yes(review) });
    }
    assert.deepEqual([calls, announced], [[], []]);
    assert.deepEqual(versions(await world.objects()), before);
  });

  it('answers 400 to a body that is not an AdmissionReview', async (t) => {
    const { call, calls } = await admitting(t);
    const big = { ...aReview(), more: 'x'.repeat(3 * 1024 * 1024) };
    for (const body of ['', '{', 'null', '[]', '{}', '"\ud800"', '{"kind":"AdmissionReview"}', big]) {
      const answer = await call(body);
      assert.equal(answer.status, 400, String(body).slice(0, 30));
      assert.match(JSON.stringify(answer.body), /^\{"error":"[A-Z].*\."\}$/);
    }
    assert.deepEqual(await call('', { body: new Uint8Array([0xff, 0xfe, 0x00]) }), await call('{'));
    assert.deepEqual(calls, []);
  });

  it('writes nothing except for the creation of a pod', async (t) => {
    const { world, asked, calls, announced } = await admitting(t);
    await world.ordered(list('8.8.8.8'));
    const namespace = await world.namespace();
    for (const request of [
      { operation: 'DELETE', object: null },
      { operation: 'UPDATE' },
      { operation: 'CONNECT' },
      { kind: { group: '', version: 'v1', kind: 'ConfigMap' } },
      { subResource: 'exec' },
      { namespace: '' },
    ]) {
      assert.deepEqual(await asked(aReview({ namespace, labels: notebook }, request)), []);
    }
    assert.deepEqual(await asked(aReview({ namespace, labels: { component: 'hub' } })), []);
    assert.deepEqual([calls, announced], [[], []]);
  });

  it('ignores a namespace that is unknown, foreign, or has not opted in', async (t) => {
    const { world, asked, calls, announced } = await admitting(t);
    await world.ordered();
    const namespace = await world.namespace();
    for (const [where, labels] of [
      ['team-nobody-0000', {}],
      ['default', {}],
      [namespace, {}],
      // Somebody else’s, with the labels of a team that has its own namespace elsewhere.
      [`x-${world.slug}`, { 'knada.io/team': world.slug, 'knada.io/team-id': (await world.record()).id }],
      [`team-${world.slug}-0000`, { 'knada.io/team': world.slug, 'knada.io/team-id': `${world.slug}-0000` }],
    ] as const) {
      await world.send('POST', '/api/v1/namespaces', { metadata: { name: where, labels } });
      assert.deepEqual(await asked(aReview({ namespace: where, labels: notebook })), [], where);
    }
    assert.deepEqual(announced, []);
    assert.deepEqual(calls.filter(isWrite), []);
    assert.deepEqual(await asked(aReview({ namespace: 'Not/A..Name', labels: notebook })), [
      'The allowlist could not be opened in time. Retrying within a minute.',
    ]);
  });

  it('opens nothing for a team that is being deleted', async (t) => {
    const { world, asked, pod, announced } = await admitting(t);
    await world.ordered(list('8.8.8.8'));
    const review = await pod();
    await world.deleteNotebook();
    assert.deepEqual(await asked(review), []);
    assert.deepEqual(announced, []);
  });

  it('answers 404 to every request without the secret', async (t) => {
    const { call, calls } = await admitting(t);
    const nothing = { status: 404, body: { error: 'Not found.' } };
    for (const path of [
      '/',
      '',
      `/${'0'.repeat(64)}`,
      `/${first.toUpperCase()}`,
      `/${first}/`,
      `//${first}`,
      `/admission/${first}`,
      `/${first.slice(0, 63)}`,
      `/${first}${second}`,
      `/${'x'.repeat(100_000)}`,
    ]) {
      for (const [method, body] of [
        ['POST', aReview()],
        ['POST', '{'],
        ['GET', ''],
      ] as const) {
        assert.deepEqual(await call(body, { path, method }), nothing, path.slice(0, 80));
      }
    }
    assert.deepEqual(calls, []);
  });

  it('accepts either of two secrets during a rotation, and refuses every request without secrets', async (t) => {
    const { call } = await admitting(t);
    for (const secret of secrets) {
      assert.equal((await call(aReview(), { path: `/${secret}` })).status, 200);
      assert.equal((await call(aReview(), { path: `/${secret}`, method: 'GET' })).status, 405);
    }
    const without = await admitting(t, { secrets: [] });
    for (const path of ['/', '', `/${first}`])
      assert.equal((await without.call(aReview(), { path })).status, 404);
  });

  it('allows the pod with a warning when the cluster does not answer', async (t) => {
    const away = () => Promise.reject(new Unavailable('Kubernetes', 'Kubernetes cannot be reached.'));
    const { world, asked, pod, failures } = await admitting(t, {
      cluster: { ...kubernetes.cluster, read: away },
    });
    await world.ordered(list('8.8.8.8'));
    const sentence =
      'The allowlist could not be opened: Kubernetes cannot be reached. Retrying within a minute.';
    assert.deepEqual(await asked(await pod()), [sentence]);
    assert.deepEqual(await asked(await pod(run, { allowlist: '8.8.8.8' })), [sentence]);
    assert.deepEqual(failures, ['pod not announced', 'pod not announced']);
  });

  it('allows the pod with a warning when the store throws, or the reconcile fails', async (t) => {
    for (const more of [
      { store: { team: () => Promise.reject(new Error('out of order')) } },
      { announce: () => Promise.reject(new Error('out of order')) },
      {
        announce: () => {
          throw new Error('out of order');
        },
      },
    ]) {
      const { world, asked, pod } = await admitting(t, more);
      await world.ordered(list('8.8.8.8'));
      const warnings = await asked(await pod());
      assert.deepEqual(warnings, ['The allowlist could not be opened in time. Retrying within a minute.']);
      assert.doesNotMatch(JSON.stringify(warnings), /out of order/);
      const held = await world.raw('NetworkPolicy', 'notebook-egress-baseline');
      assert.ok(held, 'the baseline holds all the same');
    }
  });

  it('allows the pod within its deadline when a dependency hangs, and aborts the call', async (t) => {
    const hanging = Promise.withResolvers<undefined>();
    t.after(() => hanging.resolve(undefined));
    let told: AbortSignal | undefined;
    for (const more of [
      { store: { team: () => hanging.promise } },
      {
        announce: (_slug: string, signal: AbortSignal) => {
          told = signal;
          return hanging.promise;
        },
      },
      { cluster: { ...kubernetes.cluster, read: () => hanging.promise } },
    ]) {
      const { world, asked, pod } = await admitting(t, { ...more, deadlineMs: 50 });
      await world.ordered(list('8.8.8.8'));
      assert.deepEqual(await asked(await pod()), [
        'The allowlist could not be opened in time. Retrying within a minute.',
      ]);
    }
    assert.equal(told?.aborted, true);
  });

  it('writes nothing for a repeated call', async (t) => {
    const { world, asked, pod, calls } = await admitting(t);
    await world.ordered(list('8.8.8.8'));
    await asked(await pod());
    const writes = calls.filter(isWrite).map(spoken);
    assert.ok(writes.includes('apply NetworkPolicy notebook-egress-allow'));
    await asked(await pod());
    await asked(aReview({ namespace: await world.namespace(), labels: notebook, uid: 'another' }));
    assert.deepEqual(calls.filter(isWrite).map(spoken), writes);
  });

  it('the next reconcile closes what a forged call opened', async (t) => {
    const { world, asked, pod } = await admitting(t);
    await world.ordered(list('8.8.8.8'));
    await asked(await pod());
    assert.ok(await world.raw('NetworkPolicy', 'notebook-egress-allow'));
    await world.look();
    assert.equal(await world.raw('NetworkPolicy', 'notebook-egress-allow'), undefined);
  });

  it('trusts only the namespace of the body', async (t) => {
    const { world, asked } = await admitting(t);
    await world.ordered(list('8.8.8.8'));
    const labels = { ...notebook, 'knada.io/team': 'other', 'knada.io/team-id': 'other-0000' };
    await asked(
      aReview({ namespace: await world.namespace(), labels, annotations: { allowlist: '9.9.9.9' } }),
    );
    const policy = await world.raw('NetworkPolicy', 'notebook-egress-allow');
    assert.deepEqual(
      [...JSON.stringify(policy?.spec).matchAll(/"cidr":"([^"]+)"/g)].map(([, cidr]) => cidr),
      ['8.8.8.8/32'],
    );
  });

  it('opens what an Airflow run requests, in addition to the baseline of a team that has opted in', async (t) => {
    const { world, asked, pod } = await admitting(t);
    await world.ordered();
    assert.match((await asked(await pod(run, { allowlist: '9.9.9.9' }))).join(), /no_baseline/);
    await world.order(list('8.8.8.8'));
    await world.look();
    assert.deepEqual(await asked(await pod(run, { allowlist: '9.9.9.9' })), []);
    const policies = await world.list('NetworkPolicy', await world.namespace());
    const own = policies.find(({ metadata }) => metadata.name.startsWith('airflow-egress-allow-'));
    assert.match(JSON.stringify(own?.spec), /9\.9\.9\.9\/32/);
    // The team’s own look leaves it alone.
    await world.put('Pod', aPod('jupyter-kari', notebook));
    const team = await world.look();
    assert.equal(conditionOf(team, 'EgressEffective')?.status, 'True');
    const kept = await world.list('NetworkPolicy', await world.namespace());
    assert.ok(kept.some(({ metadata }) => metadata.uid === own?.metadata.uid));
  });
});

const yes = (review: object) => ({
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  response: { uid: JSON.parse(JSON.stringify(review)).request.uid, allowed: true },
});
