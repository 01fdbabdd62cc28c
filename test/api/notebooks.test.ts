import assert from 'node:assert/strict';
import { after, afterEach, describe, it } from 'node:test';
import { parseAllDocuments } from 'yaml';
import type { Condition } from '../../src/model/condition.ts';
import type { HistoryItem } from '../../src/model/history.ts';
import type { NotebookSpec } from '../../src/model/notebook.ts';
import type { Manifest } from '../../src/ports/cluster.ts';
import { type Answer, admins, assertProblem, kari, openApi, versionIn } from '../support/api.ts';
import { assertSucceeded } from '../support/operations.ts';

const api = await openApi();
after(() => api.close());
afterEach(() => api.calm());

const asKari = api.asPerson(kari);
const defaults: NotebookSpec = {
  resources: { cpu: { guarantee: 0.2, limit: 0.5 }, memory: { guarantee: '1Gi', limit: '2Gi' } },
  image: null,
  standardEnvironments: true,
  culling: { timeoutSeconds: 3600, maxAgeSeconds: 604_800, keepBusyKernels: true },
  allowlist: { enabled: false, hosts: [] },
  storage: { home: '10Gi' },
  pip: { userInstallByDefault: false },
};
const digest = `sha256:${'a'.repeat(64)}`;
const image = 'ghcr.io/navikt/my-notebook:20261123-090000-abc1234';

/** A team with a notebook as ordered; the notebook’s path. */
const ordered = async (order: object = {}): Promise<string> => {
  const path = `${await api.newTeam()}/notebook`;
  const answer = await asKari.put(path, order);
  assert.equal(answer.statusCode, 201, answer.body);
  return path;
};
const teamOf = (path: string) => path.replace(/\/notebook$/, '');
const recordOf = (path: string) => api.record(teamOf(path));
const specOf = (answer: Answer): NotebookSpec => answer.json().spec;
const historyOf = async (path: string): Promise<readonly HistoryItem[]> =>
  (await asKari.get(`${teamOf(path)}/history?limit=200`)).json().items;

describe('putNotebook', () => {
  it('accepts {} and answers every default', async () => {
    const team = await api.newTeam();
    api.advance(60_000);
    const answer = await asKari.put(`${team}/notebook`, {});
    assert.equal(answer.statusCode, 201);
    assert.deepEqual(answer.json(), {
      spec: defaults,
      status: {
        phase: 'Pending',
        conditions: [],
        url: `https://${team.slice(10)}.jupyter.knada.io`,
        observedRevision: 0,
      },
      revision: 1,
      createdAt: api.now(),
      updatedAt: api.now(),
      updatedBy: kari,
    });
    assert.equal(answer.headers.location, `${team}/notebook`);
    assert.equal(versionIn(answer), '1.1');
    assert.equal(api.reconciled.at(-1), team.slice(10));
    assert.deepEqual((await asKari.get(`${team}/notebook`)).json(), answer.json());
  });

  it('answers 200 the second time and leaves the record unchanged', async () => {
    const order = { resources: { cpu: { limit: 2 } }, allowlist: { enabled: true, hosts: ['pypi.org'] } };
    const path = await ordered(order);
    const before = await api.everything();
    api.advance(60_000);
    for (const body of [order, { ...defaults, ...specOf(await asKari.get(path)) }]) {
      const answer = await asKari.put(path, body);
      assert.deepEqual([answer.statusCode, versionIn(answer)], [200, '1.1']);
      assert.equal(answer.headers.location, undefined);
    }
    assert.deepEqual(await api.everything(), before);
  });

  it('replaces the whole order: omitted fields return to their defaults', async () => {
    const path = await ordered({ culling: { timeoutSeconds: 7200 }, resources: { cpu: { limit: 2 } } });
    const answer = await asKari.put(path, { resources: { memory: { limit: '8Gi' } } });
    assert.deepEqual([answer.statusCode, answer.json().revision], [200, 2]);
    assert.deepEqual(specOf(answer), {
      ...defaults,
      resources: { ...defaults.resources, memory: { guarantee: '1Gi', limit: '8Gi' } },
    });
  });

  it('raises a default with the field that it depends on', async () => {
    const { resources, culling } = specOf(
      await asKari.put(await ordered(), {
        resources: { cpu: { guarantee: 4 }, memory: { limit: '512Mi' } },
        culling: { maxAgeSeconds: 3600 },
      }),
    );
    assert.deepEqual(resources.cpu, { guarantee: 4, limit: 4 });
    assert.deepEqual(resources.memory, { guarantee: '512Mi', limit: '512Mi' });
    assert.deepEqual([culling.timeoutSeconds, culling.maxAgeSeconds], [3600, 3600]);
  });

  it('with If-None-Match: * orders only if there is no notebook', async () => {
    const path = `${await api.newTeam()}/notebook`;
    assert.equal((await asKari.put(path, {}, { 'if-none-match': '*' })).statusCode, 201);
    const again = await api.writesNothing(() =>
      asKari.put(path, { resources: { cpu: { limit: 2 } } }, { 'if-none-match': '*' }),
    );
    assertProblem(again, 'revision_mismatch');
  });

  it('with If-Match requires the current revision, and a notebook', async () => {
    const team = await api.newTeam();
    const path = `${team}/notebook`;
    for (const header of ['*', '"0.0"', '"1.0"']) {
      const answer = await api.writesNothing(async () =>
        asKari.put(path, {}, { 'if-match': await api.tagged(path, header) }),
      );
      assertProblem(answer, 'revision_mismatch');
    }
    const { etag } = (await asKari.put(path, {})).headers;
    await api.reach(await api.record(team), { phase: 'Applying' });
    const order = { resources: { cpu: { limit: 2 } } };
    const done = await asKari.put(path, order, { 'if-match': String(etag) });
    assert.deepEqual([done.statusCode, done.json().revision], [200, 2]);
    const stale = await api.writesNothing(() => asKari.put(path, {}, { 'if-match': String(etag) }));
    assertProblem(stale, 'revision_mismatch');
  });

  it('is refused while the notebook or the team is being deleted', async () => {
    const path = await ordered();
    assert.equal((await asKari.delete(path)).statusCode, 202);
    for (const attempt of [
      () => asKari.put(path, {}),
      () => asKari.patch(path, { culling: null }),
      () => asKari.post(`${path}/plan`, {}),
      () => asKari.post(`${path}/retry`),
      () => asKari.post(`${teamOf(path)}/history/1/restore`),
    ])
      assertProblem(await api.writesNothing(attempt), 'deleting');
    const other = await api.newTeam();
    await asKari.delete(other);
    assertProblem(await api.writesNothing(() => asKari.put(`${other}/notebook`, {})), 'deleting');
  });

  it('a new order after the deletion continues the revision count', async () => {
    const path = await ordered();
    await asKari.delete(path);
    await api.store.change(teamOf(path).slice(10), (current) => ({ next: { ...current, notebook: null } }));
    const answer = await asKari.put(path, {});
    assert.deepEqual([answer.statusCode, answer.json().revision], [201, 3]);
  });

  it('pins the image, and resolves it again only when it changes', async () => {
    const asked: string[] = [];
    api.outside.pinImage = async (reference) => {
      asked.push(reference);
      return { reference, digest, resolvedAt: api.now(), newerDigest: null };
    };
    const path = await ordered({ image });
    const answer = await asKari.put(path, { image, resources: { cpu: { limit: 1 } } });
    assert.deepEqual(answer.json().status.image, {
      reference: image,
      digest,
      resolvedAt: api.now(),
      newerDigest: null,
    });
    assert.deepEqual(asked, [image]);
    const without = await asKari.patch(path, { image: null });
    assert.deepEqual([specOf(without).image, without.json().status.image], [null, undefined]);
    await asKari.patch(path, { image });
    assert.deepEqual(asked, [image, image]);
  });

  it('the response has the state after the first reconcile', async () => {
    const path = `${await api.newTeam()}/notebook`;
    api.outside.reconcile = (team) =>
      api.reach(team, { phase: 'Applying', conditions: [condition('Applied')] });
    const answer = await asKari.put(path, {});
    assert.deepEqual([answer.statusCode, versionIn(answer)], [201, '1.2']);
    assert.deepEqual(answer.json().status.conditions, [condition('Applied')]);
  });

  it('counts each of many concurrent orders, and loses none', async () => {
    const path = await ordered();
    const limits = Array.from({ length: 16 }, (_, i) => i + 1);
    const answers = await Promise.all(
      limits.map((limit) => asKari.patch(path, { resources: { cpu: { limit } } })),
    );
    assert.ok(answers.every(({ statusCode }) => statusCode === 200));
    assert.equal((await recordOf(path)).notebookRevision, 17);
    const orders = (await historyOf(path)).filter(({ action }) => action === 'notebook_changed');
    assert.equal(orders.length, 16);
  });
});

const condition = (type: Condition['type'], status: Condition['status'] = 'True'): Condition => ({
  type,
  status,
  reason: 'AsOrdered',
  message: 'Everything ordered is in the cluster.',
  lastTransitionTime: api.now(),
});

describe('getNotebook', () => {
  it('answers 404 when no notebook is ordered', async () => {
    const answer = await asKari.get(`${await api.newTeam()}/notebook`);
    assertProblem(answer, 'notebook_not_ordered');
    assert.equal(answer.json().detail, 'The team has no notebook; putNotebook orders one.');
  });

  it('answers 304 to the current ETag only', async () => {
    const path = await ordered();
    const same = await asKari.get(path, { 'if-none-match': await api.tagged(path, '"1.1"') });
    assert.deepEqual([same.statusCode, same.body, versionIn(same)], [304, '', '1.1']);
    api.outside.look = (team) => api.reach(team, { phase: 'Ready', appliedRevision: 1 });
    const moved = await asKari.get(path, { 'if-none-match': await api.tagged(path, '"1.1"') });
    assert.deepEqual([moved.statusCode, versionIn(moved)], [200, '1.2']);
    assert.deepEqual([moved.json().status.phase, moved.json().status.observedRevision], ['Ready', 1]);
  });

  it('answers 404 once a reconcile finds that the notebook is gone', async () => {
    const path = await ordered();
    api.outside.look = async () => undefined;
    assertProblem(await asKari.get(path), 'not_found');
  });
});

describe('patchNotebook', () => {
  it('keeps sibling fields, replaces lists, and resets null to the default, in both content types', async () => {
    for (const type of ['application/merge-patch+json', 'application/json']) {
      const path = await ordered({
        resources: { cpu: { guarantee: 1, limit: 2 }, memory: { guarantee: '4Gi', limit: '8Gi' } },
        culling: { timeoutSeconds: 7200, keepBusyKernels: false },
        allowlist: { enabled: true, hosts: ['pypi.org', 'files.pythonhosted.org'] },
      });
      const answer = await asKari.patch(
        path,
        {
          resources: { cpu: { limit: 4 }, memory: { guarantee: null } },
          culling: null,
          allowlist: { hosts: ['ssb.no'] },
        },
        { 'content-type': type },
      );
      assert.deepEqual([answer.statusCode, answer.json().revision], [200, 2]);
      assert.deepEqual(specOf(answer), {
        ...defaults,
        resources: { cpu: { guarantee: 1, limit: 4 }, memory: { guarantee: '1Gi', limit: '8Gi' } },
        allowlist: { enabled: true, hosts: ['ssb.no'] },
      });
    }
  });

  it('accepts null for every field', async () => {
    const path = await ordered({ resources: { cpu: { limit: 2 } }, pip: { userInstallByDefault: true } });
    const nothing = Object.fromEntries(Object.keys(defaults).map((name) => [name, null]));
    assert.deepEqual(specOf(await asKari.patch(path, nothing)), defaults);
  });

  it('writes nothing when nothing changes', async () => {
    const path = await ordered({ resources: { cpu: { limit: 2 } } });
    const before = await api.everything();
    for (const patch of [{}, { culling: null }, { resources: { cpu: { limit: 2 } } }]) {
      const answer = await asKari.patch(path, patch);
      assert.deepEqual([answer.statusCode, versionIn(answer)], [200, '1.1']);
    }
    assert.deepEqual(await api.everything(), before);
  });

  it('requires a notebook', async () => {
    const path = `${await api.newTeam()}/notebook`;
    assertProblem(await api.writesNothing(() => asKari.patch(path, {})), 'notebook_not_ordered');
  });

  it('validates the result as a whole: a limit below the current guarantee', async () => {
    const path = await ordered({ resources: { cpu: { guarantee: 2, limit: 4 } } });
    const answer = await api.writesNothing(() => asKari.patch(path, { resources: { cpu: { limit: 1 } } }));
    assertProblem(answer, 'validation_failed', ['/resources/cpu/guarantee above_limit']);
  });

  it('requires the current revision', async () => {
    const path = await ordered();
    const patch = { culling: { timeoutSeconds: 7200 } };
    assert.equal(
      (await asKari.patch(path, patch, { 'if-match': await api.tagged(path, '"1.0"') })).statusCode,
      200,
    );
    const stale = await api.writesNothing(async () =>
      asKari.patch(path, { culling: null }, { 'if-match': await api.tagged(path, '"1.1"') }),
    );
    assertProblem(stale, 'revision_mismatch');
  });
});

describe('planNotebook', () => {
  const plan = (path: string, body?: object, query = '') =>
    api.writesNothing(() => asKari.post(`${path}/plan${query}`, body));

  it('lists the changes by field, and when a running server gets them', async () => {
    const path = await ordered();
    const at = (answer: Answer) => [answer.json().changes, answer.json().runningServers];
    assert.deepEqual(at(await plan(path, { resources: { cpu: { limit: 2 } }, culling: null })), [
      [{ pointer: '/resources/cpu/limit', from: 0.5, to: 2, takesEffect: 'next_start' }],
      'next_start',
    ]);
    assert.deepEqual(at(await plan(path, { allowlist: { enabled: true, hosts: ['pypi.org'] } })), [
      [
        { pointer: '/allowlist/enabled', from: false, to: true, takesEffect: 'immediately' },
        { pointer: '/allowlist/hosts', from: [], to: ['pypi.org'], takesEffect: 'immediately' },
      ],
      'now',
    ]);
    for (const body of [undefined, {}, { culling: null }]) {
      const answer = await plan(path, body);
      assert.deepEqual([...at(answer), answer.json().restartsHub], [[], 'unaffected', false]);
    }
  });

  it('gives for each change of a mixed patch when it takes effect', async () => {
    const answer = await plan(await ordered(), {
      resources: { memory: { limit: '8Gi' } },
      culling: { timeoutSeconds: 7200 },
      storage: { home: '20Gi' },
    });
    assert.deepEqual(answer.json().changes, [
      { pointer: '/resources/memory/limit', from: '2Gi', to: '8Gi', takesEffect: 'next_start' },
      { pointer: '/culling/timeoutSeconds', from: 3600, to: 7200, takesEffect: 'immediately' },
      { pointer: '/storage/home', from: '10Gi', to: '20Gi', takesEffect: 'new_homes' },
    ]);
    assert.equal(answer.json().runningServers, 'now');
  });

  it('plans the first order when there is no notebook', async () => {
    const path = `${await api.newTeam()}/notebook`;
    const answer = await plan(path, { storage: { home: '20Gi' } });
    assert.deepEqual(answer.json(), {
      changes: [
        {
          pointer: '',
          from: null,
          to: { ...defaults, storage: { home: '20Gi' } },
          takesEffect: 'next_start',
        },
      ],
      restartsHub: false,
      runningServers: 'unaffected',
      serversPendingRestart: [],
      unreachableEntries: [],
    });
  });

  it('names the entries of the planned allowlist that cannot be reached, and writes nothing for it', async () => {
    api.dns
      .set('open.example.com', ['198.35.26.96'])
      .set('db.example.com', ['10.1.2.3'])
      .set('six.example.com', ['2620:0:862:ed1a::1']);
    const path = await ordered();
    const hosts = ['open.example.com', 'gone.example.com', 'db.example.com:1521', 'six.example.com'];
    const unreachable = async (allowlist: object) => {
      const answer = await api.writesNothing(() => plan(path, { allowlist }));
      assert.equal(answer.statusCode, 200, answer.body);
      return answer.json().unreachableEntries;
    };
    assert.deepEqual(await unreachable({ enabled: true, hosts }), [
      {
        entry: 'db.example.com:1521',
        status: 'blocked_private_answer',
        message: 'resolves to a private address',
      },
      { entry: 'gone.example.com:443', status: 'unresolved', message: 'no address is known' },
      { entry: 'six.example.com:443', status: 'ipv6_only', message: 'has only IPv6 addresses' },
    ]);
    const names = hosts.map((host) => host.replace(/:.*/, ''));
    assert.equal((await api.store.hosts(names)).size, 0);
    assert.deepEqual(await unreachable({ enabled: true, hosts: ['open.example.com'] }), []);
    assert.deepEqual(await unreachable({ enabled: false, hosts }), []);
  });

  it('does not know which servers wait for a restart while hub and cluster do not answer', async () => {
    const answer = await plan(await ordered(), { resources: { memory: { limit: '8Gi' } } });
    assert.equal(answer.json().serversPendingRestart, null);
  });

  it('refuses to switch the standard environments off without an own image, in an order and in a patch', async () => {
    const body = { standardEnvironments: false };
    const path = await ordered();
    for (const answer of [
      await plan(path, body),
      await asKari.put(path, body),
      await asKari.patch(path, body),
      await asKari.put(`${await api.newTeam()}/notebook`, body),
    ])
      assertProblem(answer, 'validation_failed', ['/standardEnvironments image_needed']);
  });

  it('shows the objects as they will be applied', async () => {
    const path = await ordered();
    const patch = { allowlist: { enabled: true, hosts: ['pypi.org'] }, culling: { timeoutSeconds: 7200 } };
    const planned = (await plan(path, patch, '?manifests=true')).json().manifests;
    assert.ok(planned.some(({ metadata }: Manifest) => metadata.name === 'notebook-egress-baseline'));
    assert.deepEqual((await plan(path, {}, '?manifests=false')).json().manifests, undefined);
    await asKari.patch(path, patch);
    assert.deepEqual((await asKari.get(`${path}/manifests`)).json().items, planned);
  });

  it('shows the objects of a first order', async () => {
    const path = `${await api.newTeam()}/notebook`;
    const planned = (await plan(path, {}, '?manifests=true')).json().manifests;
    await asKari.put(path, {});
    assert.deepEqual((await asKari.get(`${path}/manifests`)).json().items, planned);
  });

  it('refuses what patchNotebook refuses', async () => {
    const path = await ordered();
    assertProblem(await plan(path, { storage: { home: '9Gi' } }), 'cannot_shrink', [
      '/storage/home cannot_shrink',
    ]);
    assertProblem(await plan(path, { allowlist: { hosts: ['*.nav.no'] } }), 'invalid_allowlist', [
      '/allowlist/hosts/0 wildcard_not_supported',
    ]);
    assertProblem(await plan(path, { culling: { timeoutSeconds: 1 } }), 'validation_failed', [
      '/culling/timeoutSeconds out_of_range',
    ]);
  });
});

describe('getManifests', () => {
  it('getManifests answers JSON, and YAML if the Accept header prefers it', async () => {
    const path = `${await ordered({ allowlist: { enabled: true, hosts: ['pypi.org'] } })}/manifests`;
    const json = await asKari.get(path);
    for (const accept of ['*/*', 'application/json', 'application/yaml;q=0.4, application/json;q=0.5'])
      assert.equal((await asKari.get(path, { accept })).body, json.body, accept);
    for (const accept of ['application/yaml', 'application/json;q=0.4, application/yaml']) {
      const yaml = await asKari.get(path, { accept });
      const objects = parseAllDocuments(yaml.body).map((document) => {
        if (!('toJS' in document)) return assert.fail('no document');
        assert.deepEqual(document.errors, []);
        return document.toJS();
      });
      assert.deepEqual(objects, json.json().items, accept);
    }
    const kinds = json.json().items.map(({ kind }: Manifest) => kind);
    assert.deepEqual(kinds.slice(0, 2), ['Namespace', 'NetworkPolicy']);
    assert.ok(kinds.indexOf('Secret') < kinds.indexOf('HelmRelease'));
    assertProblem(await asKari.get(path, { accept: 'text/html' }), 'not_acceptable');
  });

  it('shows only the keys of a Secret, here and in a plan', async () => {
    const path = await ordered();
    const secrets = (await api.render(await recordOf(path))).filter(({ kind }) => kind === 'Secret');
    const values = secrets.flatMap(({ data = {} }) => Object.values(data));
    assert.ok(values.length >= 3);
    const answers = [
      await asKari.get(`${path}/manifests`),
      await asKari.get(`${path}/manifests`, { accept: 'application/yaml' }),
      await asKari.post(`${path}/plan?manifests=true`, {}),
      await asKari.get(path),
      await asKari.get(`${teamOf(path)}/history`),
    ];
    for (const { body } of answers) {
      for (const value of values) {
        assert.ok(!body.includes(value), 'a value as it is stored');
        assert.ok(!body.includes(Buffer.from(value, 'base64').toString()), 'a value as it is meant');
      }
    }
    for (const answer of [answers[0], answers[2]]) {
      const shown = answer?.json().items ?? answer?.json().manifests;
      const found = shown.filter(({ kind }: Manifest) => kind === 'Secret');
      assert.deepEqual(
        found.map(({ data }: Manifest) => data),
        secrets.map(({ data = {} }) =>
          Object.fromEntries(Object.keys(data).map((key) => [key, '<redacted>'])),
        ),
      );
    }
  });

  it('requires a notebook', async () => {
    assertProblem(await asKari.get(`${await api.newTeam()}/notebook/manifests`), 'notebook_not_ordered');
  });
});

describe('deleteNotebook', () => {
  it('answers 202 with the operation that deletes it; homes are kept unless requested', async () => {
    const path = await ordered();
    const answer = await asKari.delete(path, { 'if-match': await api.tagged(path, '"1.0"') });
    assert.equal(answer.statusCode, 202);
    assert.partialDeepStrictEqual(answer.json(), {
      kind: 'delete_notebook',
      target: { type: 'notebook', user: null },
      done: false,
    });
    assert.deepEqual((await recordOf(path)).notebook?.deletion, {
      requestedAt: api.now(),
      deleteHomes: false,
      operation: answer.json().id,
    });
    assert.equal((await asKari.get(path)).json().status.phase, 'Deleting');
  });

  it('may be repeated, and a repeat can only add to the request', async () => {
    const path = await ordered();
    const { id } = (await asKari.delete(path)).json();
    const before = await api.everything();
    assert.equal((await asKari.delete(path)).json().id, id);
    assert.deepEqual(await api.everything(), before);
    assert.equal((await asKari.delete(`${path}?deleteHomes=true`)).json().id, id);
    assert.equal((await asKari.delete(path)).json().id, id);
    assert.equal((await recordOf(path)).notebook?.deletion?.deleteHomes, true);
  });

  it('answers 202 when the first attempt completes the deletion, and 404 afterwards; the team stays', async () => {
    const path = await ordered();
    api.outside.reconcile = ({ slug }) =>
      api.store.change(slug, (current) => ({ next: { ...current, notebook: null } }));
    const answer = await asKari.delete(path);
    assert.equal(answer.statusCode, 202);
    assertSucceeded(answer.json());
    assert.deepEqual((await asKari.get(String(answer.headers.location))).json(), answer.json());
    assertProblem(await asKari.delete(path), 'notebook_not_ordered');
    assert.equal((await asKari.get(teamOf(path))).statusCode, 200);
  });

  it('requires the current revision', async () => {
    const path = await ordered();
    const answer = await api.writesNothing(async () =>
      asKari.delete(path, { 'if-match': await api.tagged(path, '"2.1"') }),
    );
    assertProblem(answer, 'revision_mismatch');
  });
});

describe('retry', () => {
  it('requests a new attempt, by force if wanted', async () => {
    for (const [body, force] of [
      [undefined, false],
      [{}, false],
      [{ force: true }, true],
    ] as const) {
      const path = await ordered();
      api.advance(1000);
      const { generation } = await recordOf(path);
      const answer = await asKari.post(`${path}/retry`, body);
      assert.equal(answer.statusCode, 202);
      assert.partialDeepStrictEqual(answer.json(), { kind: 'retry_notebook', done: false });
      const record = await recordOf(path);
      assert.equal(record.status.phase, 'Applying');
      assert.deepEqual(record.notebook?.retry, { at: api.now(), force, operation: answer.json().id });
      assert.deepEqual([record.generation, record.notebookRevision], [generation + 1, 1]);
      assert.equal((await historyOf(path))[0]?.action, 'notebook_retried');
    }
  });

  it('accepts an empty body with any content type', async () => {
    const path = await ordered();
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const answer = await asKari.send({ method: 'POST', url: `${path}/retry`, headers });
    assert.equal(answer.statusCode, 202);
  });

  it('requires a notebook', async () => {
    const path = `${await api.newTeam()}/notebook`;
    assertProblem(await api.writesNothing(() => asKari.post(`${path}/retry`)), 'notebook_not_ordered');
  });
});

describe('listHistory', () => {
  it('history lists who changed what and when, with the values before and after, newest first', async () => {
    const path = await ordered();
    api.advance(1000);
    await api.asPerson('admin@nav.no', admins).patch(path, { culling: { timeoutSeconds: 7200 } });
    await asKari.delete(path);
    const items = await historyOf(path);
    assert.deepEqual(
      items.map(({ n, by, action, revision }) => [n, by, action, revision]),
      [
        [4, kari, 'notebook_deleted', 3],
        [3, 'admin@nav.no', 'notebook_changed', 2],
        [2, kari, 'notebook_ordered', 1],
        [1, kari, 'team_created', null],
      ],
    );
    assert.deepEqual(items[1]?.changes, [{ pointer: '/culling/timeoutSeconds', from: 3600, to: 7200 }]);
    assert.equal(items[1]?.at, api.now());
    assert.deepEqual(items[2]?.spec, defaults);
  });

  it('pages without a gap or a repeat while entries are added', async () => {
    const path = await ordered();
    const change = (timeoutSeconds: number) => asKari.patch(path, { culling: { timeoutSeconds } });
    for (const seconds of [700, 800, 900]) await change(seconds);
    const url = `${teamOf(path)}/history?limit=2`;
    const first = (await asKari.get(url)).json();
    for (const seconds of [1000, 1100]) await change(seconds);
    const second = (await asKari.get(`${url}&cursor=${first.nextCursor}`)).json();
    const third = (await asKari.get(`${url}&cursor=${second.nextCursor}`)).json();
    const numbers = [first, second, third].map(({ items }) => items.map(({ n }: HistoryItem) => n));
    assert.deepEqual(numbers, [[5, 4], [3, 2], [1]]);
    assert.equal(third.nextCursor, null);
  });

  it('refuses a cursor of another team', async () => {
    const [one, other] = [await ordered(), await ordered()];
    const { nextCursor } = (await asKari.get(`${teamOf(one)}/history?limit=1`)).json();
    assertProblem(await asKari.get(`${teamOf(other)}/history?cursor=${nextCursor}`), 'invalid_cursor');
  });
});

describe('restoreRevision', () => {
  it('orders an earlier configuration again, and nothing else of that revision', async () => {
    const path = await ordered({ culling: { timeoutSeconds: 7200 }, allowlist: { hosts: ['ssb.no'] } });
    const team = teamOf(path);
    await asKari.put(path, { storage: { home: '20Gi' }, pip: { userInstallByDefault: true } });
    await asKari.patch(team, { members: [{ email: kari, username: 'kari' }], ghcrRepositories: ['a'] });
    const { members, ghcrRepositories, revision } = await api.record(team);
    const answer = await asKari.post(`${team}/history/1/restore`, undefined, {
      'if-match': await api.tagged(team, '"2.0"'),
    });
    assert.deepEqual([answer.statusCode, answer.json().revision, versionIn(answer)], [200, 3, '3.3']);
    assert.deepEqual(specOf(answer), {
      ...defaults,
      culling: { ...defaults.culling, timeoutSeconds: 7200 },
      allowlist: { enabled: false, hosts: ['ssb.no'] },
      storage: { home: '20Gi' },
    });
    const after = await api.record(team);
    assert.deepEqual(
      [after.members, after.ghcrRepositories, after.revision],
      [members, ghcrRepositories, revision],
    );
    assert.equal((await historyOf(path))[0]?.action, 'notebook_restored');
  });

  it('validates an earlier configuration by the current rules', async () => {
    const path = await ordered();
    const remember = (revision: number, spec: NotebookSpec) =>
      api.store.change(teamOf(path).slice(10), (current) => ({
        next: current,
        event: { at: api.now(), by: kari, action: 'notebook_changed', revision, changes: [], spec },
      }));
    await remember(71, {
      ...defaults,
      resources: { ...defaults.resources, cpu: { guarantee: 1, limit: 32 } },
    });
    await remember(72, { ...defaults, allowlist: { enabled: true, hosts: ['db.internal'] } });
    const restore = (revision: number) =>
      api.writesNothing(() => asKari.post(`${teamOf(path)}/history/${revision}/restore`));
    assertProblem(await restore(71), 'validation_failed', ['/resources/cpu/limit out_of_range']);
    assertProblem(await restore(72), 'invalid_allowlist', ['/allowlist/hosts/0 internal_name']);
  });

  it('writes nothing when the configuration is the same', async () => {
    const path = await ordered();
    const before = await api.everything();
    const answer = await asKari.post(`${teamOf(path)}/history/1/restore`);
    assert.deepEqual([answer.statusCode, versionIn(answer)], [200, '1.1']);
    assert.deepEqual(await api.everything(), before);
  });

  it('restores a notebook that was deleted', async () => {
    const path = await ordered({ culling: { timeoutSeconds: 7200 } });
    await asKari.delete(path);
    await api.store.change(teamOf(path).slice(10), (current) => ({ next: { ...current, notebook: null } }));
    const answer = await asKari.post(`${teamOf(path)}/history/1/restore`);
    assert.deepEqual([answer.statusCode, specOf(answer).culling.timeoutSeconds], [200, 7200]);
  });

  it('accepts only revisions with an order', async () => {
    const path = await ordered();
    await asKari.delete(path);
    await api.store.change(teamOf(path).slice(10), (current) => ({ next: { ...current, notebook: null } }));
    for (const revision of ['2', '99', '0', '-1', '1.5', 'x', '1e400', '9999999999'])
      assertProblem(await asKari.post(`${teamOf(path)}/history/${revision}/restore`), 'not_found');
  });

  it('requires the current revision', async () => {
    const path = await ordered();
    const url = `${teamOf(path)}/history/1/restore`;
    const answer = await api.writesNothing(async () =>
      asKari.post(url, undefined, { 'if-match': await api.tagged(path, '"5.0"') }),
    );
    assertProblem(answer, 'revision_mismatch');
  });
});

describe('watchNotebook', () => {
  interface Event {
    readonly id?: string;
    readonly event?: string;
    readonly data: { readonly status?: { readonly phase: string } };
  }
  const eventsOf = ({ body }: Answer): readonly Event[] =>
    body
      .split('\n\n')
      .filter((frame) => frame !== '' && !frame.startsWith(':'))
      .map((frame) => {
        const fields = Object.fromEntries(frame.split('\n').map((line) => line.split(/: (.*)/s)));
        return { ...fields, data: JSON.parse(fields.data) };
      });

  it('the stream sends every change until Ready, each once', async () => {
    const path = await ordered();
    const looks = [
      undefined,
      { phase: 'Applying', conditions: [condition('Applied')] },
      { phase: 'Ready', appliedRevision: 1, conditions: [condition('Applied'), condition('HubReady')] },
    ] as const;
    let look = 0;
    api.outside.look = async (team) => {
      const found = looks[look++];
      return found === undefined ? team : api.reach(team, found);
    };
    const answer = await asKari.get(`${path}/events`);
    assert.equal(answer.headers['content-type'], 'text/event-stream');
    const events = eventsOf(answer);
    assert.deepEqual(
      events.map(({ id, event, data }) => [id, event, data.status?.phase]),
      [
        ['1.1', 'notebook', 'Pending'],
        ['1.2', 'notebook', 'Applying'],
        ['1.3', 'notebook', 'Ready'],
      ],
    );
    assert.deepEqual(events.at(-1)?.data, (await asKari.get(path)).json());
  });

  it('accepts any Accept header that matches event streams, or none', async () => {
    const path = await ordered();
    await api.reach(await recordOf(path), { phase: 'Ready' });
    for (const headers of [{}, { accept: '*/*' }, { accept: 'text/*' }, { accept: 'text/event-stream' }])
      assert.equal(eventsOf(await asKari.get(`${path}/events`, headers)).length, 1);
    assertProblem(await asKari.get(`${path}/events`, { accept: 'application/json' }), 'not_acceptable');
  });

  it('the stream starts with a fresh snapshot on every reconnect', async () => {
    const path = await ordered();
    await api.reach(await recordOf(path), { phase: 'Ready' });
    const [event] = eventsOf(await asKari.get(`${path}/events`, { 'last-event-id': '1.2' }));
    assert.deepEqual([event?.id, event?.data], ['1.2', (await asKari.get(path)).json()]);
  });

  it('ends when the notebook is gone', async () => {
    const path = await ordered();
    api.outside.look = ({ slug }) =>
      api.store.change(slug, (current) => ({ next: { ...current, notebook: null } }));
    assert.deepEqual(
      eventsOf(await asKari.get(`${path}/events`)).map(({ event }) => event),
      ['deleted'],
    );
  });

  it('requires a notebook', async () => {
    assertProblem(await asKari.get(`${await api.newTeam()}/notebook/events`), 'notebook_not_ordered');
  });

  it('the stream ends for a member who was removed from the team', async () => {
    const path = await ordered();
    let looks = 0;
    api.outside.look = (team) =>
      api.store.change(team.slug, (current) => ({
        next: {
          ...current,
          statusVersion: current.statusVersion + 1,
          members: looks++ === 0 ? current.members : [],
        },
      }));
    const events = eventsOf(await asKari.get(`${path}/events`));
    assert.deepEqual(
      events.map(({ event }) => event),
      ['notebook', 'reconnect'],
    );
    assertProblem(await asKari.get(`${path}/events`), 'not_found');
  });
});

describe('getLimits', async () => {
  interface Field {
    readonly pointer: string;
    readonly label: { readonly en: string; readonly nb: string };
    readonly default: unknown;
    readonly minimum?: unknown;
    readonly maximum?: unknown;
    readonly pattern?: string;
  }
  interface Rule {
    readonly kind: string;
    readonly pointer: string;
    readonly other: string | null;
    readonly code: string;
    readonly message: { readonly en: string; readonly nb: string };
  }
  const { fields, rules }: { fields: Field[]; rules: Rule[] } = (await asKari.get('/v1/limits')).json();

  const resolved = (schema: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> =>
    typeof schema.$ref === 'string'
      ? (api.document.components.schemas[schema.$ref.replace(/^.*\//, '')] ?? {})
      : schema;
  const leavesOf = (declared: Readonly<Record<string, unknown>>, path = ''): readonly string[] => {
    const schema = resolved(declared);
    return typeof schema.properties === 'object' && schema.properties !== null
      ? Object.entries(schema.properties).flatMap(([name, field]) => leavesOf(field, `${path}/${name}`))
      : [path];
  };
  const at = (path: string): unknown =>
    path
      .slice(1)
      .split('/')
      .reduce<unknown>((node, name) => Object(node)[name], defaults);

  it('has every field of an order, and no other, with its default', () => {
    const spec = api.document.components.schemas.NotebookSpec;
    assert.ok(spec);
    assert.deepEqual(fields.map(({ pointer }) => pointer).toSorted(), leavesOf(spec).toSorted());
    for (const field of fields) assert.deepEqual(field.default, at(field.pointer), field.pointer);
  });

  it('has the documented bounds', () => {
    const bounds = fields.flatMap(({ pointer, default: _, label: __, pattern: ___, ...rest }) =>
      'minimum' in rest || 'maximum' in rest ? [[pointer, rest]] : [],
    );
    const cpu = { type: 'number', minimum: 0.1, maximum: 16, unit: 'cores' };
    const memory = { type: 'quantity', minimum: '256Mi', maximum: '128Gi' };
    assert.deepEqual(Object.fromEntries(bounds), {
      '/resources/cpu/guarantee': cpu,
      '/resources/cpu/limit': cpu,
      '/resources/memory/guarantee': memory,
      '/resources/memory/limit': memory,
      '/culling/timeoutSeconds': { type: 'integer', minimum: 600, maximum: 604_800, unit: 'seconds' },
      '/culling/maxAgeSeconds': { type: 'integer', minimum: 600, maximum: 2_592_000, unit: 'seconds' },
      '/allowlist/hosts': { type: 'list', maximum: 200 },
      '/storage/home': { type: 'quantity', minimum: '1Gi', maximum: '1024Gi' },
    });
  });

  it('has a label in two languages on every field, and a pattern on every text with a grammar', () => {
    for (const { pointer, label } of fields) assert.ok(label.en !== '' && label.nb !== '', pointer);
    const texts = fields.filter(({ pattern }) => pattern !== undefined).map(({ pointer }) => pointer);
    assert.deepEqual(texts.toSorted(), [
      '/image',
      '/resources/memory/guarantee',
      '/resources/memory/limit',
      '/storage/home',
    ]);
  });

  it('has the rules between fields', () => {
    assert.deepEqual(
      rules.map(({ kind, pointer, other, code }) => [kind, pointer, other, code]),
      [
        ['at_most', '/resources/cpu/guarantee', '/resources/cpu/limit', 'above_limit'],
        ['at_most', '/resources/memory/guarantee', '/resources/memory/limit', 'above_limit'],
        ['false_needs', '/standardEnvironments', '/image', 'image_needed'],
        ['at_least', '/culling/maxAgeSeconds', '/culling/timeoutSeconds', 'below_timeout'],
        ['cannot_shrink', '/storage/home', null, 'cannot_shrink'],
      ],
    );
    const { en, nb } = rules[0]?.message ?? { en: '', nb: '' };
    assert.equal(en, 'The guarantee must not be above the limit.');
    assert.equal(nb, 'Garantien kan ikke være høyere enn grensen.');
  });

  it('has with each rule the code that an order gets when it breaks the rule, and only then', async () => {
    const fieldAt = (pointer: string | null) => fields.find((field) => field.pointer === pointer);
    const within = (whole: unknown, [name = '', ...rest]: readonly string[], value: unknown): object => ({
      ...Object(whole),
      [name]: rest.length === 0 ? value : within(Object(whole)[name], rest, value),
    });
    const order = (values: object) =>
      Object.entries(values).reduce(
        (whole, [pointer, value]) => within(whole, pointer.slice(1).split('/'), value),
        {},
      );
    for (const { kind, pointer, other, code } of rules) {
      const [own, related] = [fieldAt(pointer), fieldAt(other)];
      assert.ok(own && (other === null || related), pointer);
      const low = own.minimum ?? null;
      const high = own.maximum ?? null;
      const cases: Readonly<Record<string, readonly [kept: object, broken: object]>> = {
        at_most: [
          { [pointer]: related?.minimum, [String(other)]: related?.maximum },
          { [pointer]: high, [String(other)]: related?.minimum },
        ],
        at_least: [
          { [pointer]: high, [String(other)]: related?.minimum },
          { [pointer]: low, [String(other)]: related?.maximum },
        ],
        cannot_shrink: [{ [pointer]: own.default }, { [pointer]: low }],
        false_needs: [
          { [pointer]: false, [String(other)]: image },
          { [pointer]: false, [String(other)]: null },
        ],
      };
      const [kept, broken] = cases[kind] ?? assert.fail(`no case for ${kind}`);
      const path = await ordered();
      api.outside.pinImage = async (reference) => ({
        reference,
        digest,
        resolvedAt: api.now(),
        newerDigest: null,
      });
      const accepted = await asKari.patch(path, order(kept));
      assert.equal(accepted.statusCode, 200, accepted.body);
      const refused = await asKari.patch(path, order(broken));
      assert.ok(refused.statusCode === 400 || refused.statusCode === 409, refused.body);
      const { errors } = refused.json();
      assert.deepEqual(
        errors.map((fault: { pointer: string; code: string }) => `${fault.pointer} ${fault.code}`),
        [`${pointer} ${code}`],
      );
    }
  });

  it('agrees with the validation: each bound is accepted, and the value beyond it refused', async () => {
    const path = await ordered({ storage: { home: '1Gi' } });
    const edges: readonly (readonly [object, number])[] = [
      [{ resources: { cpu: { guarantee: 0.1, limit: 16 } } }, 200],
      [{ resources: { cpu: { guarantee: 0.0999 } } }, 400],
      [{ resources: { cpu: { limit: 16.001 } } }, 400],
      [{ resources: { memory: { guarantee: '256Mi', limit: '128Gi' } } }, 200],
      [{ resources: { memory: { guarantee: '255.9Mi' } } }, 400],
      [{ resources: { memory: { limit: '128.1Gi' } } }, 400],
      [{ culling: { timeoutSeconds: 600, maxAgeSeconds: 600 } }, 200],
      [{ culling: { timeoutSeconds: 599 } }, 400],
      [{ culling: { timeoutSeconds: 604_800, maxAgeSeconds: 2_592_000 } }, 200],
      [{ culling: { timeoutSeconds: 604_801 } }, 400],
      [{ culling: { maxAgeSeconds: 2_592_001 } }, 400],
      [{ storage: { home: '1023Mi' } }, 400],
      [{ storage: { home: '1024.1Gi' } }, 400],
      [{ storage: { home: '1024Gi' } }, 200],
    ];
    for (const [patch, status] of edges)
      assert.equal((await asKari.patch(path, patch)).statusCode, status, JSON.stringify(patch));
  });
});
