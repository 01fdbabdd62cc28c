import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { RequestInit, Response } from 'undici';

/**
 * What the Kubernetes API promises to those who speak HTTP to it. It runs on the real kube-apiserver and on the
 * simulator, so that whatever is built on the one holds on the other.
 */
export interface WireServer {
  /** A request as an administrator. */
  fetch(path: string, init?: RequestInit): Promise<Response>;
  /** Kinds with their publishers' definition; what needs another one is skipped. */
  readonly customResources: readonly string[];
  close(): Promise<void>;
}

type Body = { readonly [field: string]: unknown };
interface Answer {
  readonly status: number;
  readonly body: Body;
  readonly headers: Response['headers'];
}
interface Event {
  readonly type: string;
  readonly object: Body;
}

const APPLY = 'application/apply-patch+yaml';
const MERGE = 'application/merge-patch+json';
const STRATEGIC = 'application/strategic-merge-patch+json';
const JSON_PATCH = 'application/json-patch+json';
const PATIENCE_MS = 20_000;

export function kubernetesWire(open: () => Promise<WireServer>): void {
  let server: WireServer;
  before(async () => {
    server = await open();
  });
  after(() => server.close());

  const send = async (
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> => {
    const answer = await server.fetch(path, {
      method,
      headers: { 'content-type': 'application/json', 'user-agent': 'wire/1.0', ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await answer.text();
    return {
      status: answer.status,
      headers: answer.headers,
      body: text.startsWith('{') ? JSON.parse(text) : { text },
    };
  };
  const get = (path: string): Promise<Answer> => send('GET', path);
  const post = (path: string, body: unknown): Promise<Answer> => send('POST', path, body);
  const put = (path: string, body: unknown): Promise<Answer> => send('PUT', path, body);
  const patch = (path: string, type: string, body: unknown): Promise<Answer> =>
    send('PATCH', path, body, { 'content-type': type });
  const remove = (path: string, body?: unknown): Promise<Answer> => send('DELETE', path, body);
  const apply = (path: string, manager: string, body: unknown, query = ''): Promise<Answer> =>
    patch(`${path}?fieldManager=${manager}${query}`, APPLY, body);

  const newNamespace = async (): Promise<string> => {
    const name = `wire-${randomUUID().slice(0, 8)}`;
    const created = await post('/api/v1/namespaces', { metadata: { name } });
    assert.equal(created.status, 201);
    return name;
  };
  const mapsIn = (namespace: string): string => `/api/v1/namespaces/${namespace}/configmaps`;
  const policiesIn = (namespace: string): string =>
    `/apis/networking.k8s.io/v1/namespaces/${namespace}/networkpolicies`;
  const releasesIn = (namespace: string): string =>
    `/apis/helm.toolkit.fluxcd.io/v2/namespaces/${namespace}/helmreleases`;
  const repositoriesIn = (namespace: string): string =>
    `/apis/source.toolkit.fluxcd.io/v1/namespaces/${namespace}/helmrepositories`;
  const map = (name: string, data: Body = {}, metadata: Body = {}): Body => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, ...metadata },
    data,
  });
  const repository = (name: string, spec: Body, metadata: Body = {}): Body => ({
    apiVersion: 'source.toolkit.fluxcd.io/v1',
    kind: 'HelmRepository',
    metadata: { name, ...metadata },
    spec,
  });

  describe('discovery', () => {
    it('names its version', async () => {
      const { status, body } = await get('/version');
      assert.equal(status, 200);
      assert.equal(body.major, '1');
    });

    it('lists the core kinds', async () => {
      const { body } = await get('/api/v1');
      assert.equal(body.kind, 'APIResourceList');
      const found = list(body.resources).find((one) => one.name === 'configmaps');
      assert.equal(found?.kind, 'ConfigMap');
      assert.equal(found?.namespaced, true);
      assert.deepEqual(found?.shortNames, ['cm']);
      assert.deepEqual(texts(found?.verbs), [
        'create',
        'delete',
        'deletecollection',
        'get',
        'list',
        'patch',
        'update',
        'watch',
      ]);
    });

    it('lists groups, versions and custom resources with their status', async () => {
      const { body } = await get('/apis');
      assert.ok(list(body.groups).some((group) => group.name === 'networking.k8s.io'));
      const kinds = await get('/apis/source.toolkit.fluxcd.io/v1');
      assert.ok(list(kinds.body.resources).some((one) => one.name === 'helmrepositories/status'));
    });

    it('gives everything at once to clients that ask so', async () => {
      const answer = await send('GET', '/apis', undefined, {
        accept: 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList',
      });
      assert.equal(answer.body.kind, 'APIGroupDiscoveryList');
      const group = list(answer.body.items).find((one) => at(one, 'metadata', 'name') === 'apps');
      assert.ok(
        list(at(list(group?.versions)[0], 'resources')).some((one) => one.resource === 'deployments'),
      );
    });

    it('knows no other group, kind or subresource', async () => {
      assert.equal((await get('/apis/nothing.example/v1/things')).status, 404);
      const unknown = await get('/api/v1/things');
      assert.equal(unknown.status, 404);
      assert.equal(unknown.body.reason, 'NotFound');
    });
  });

  describe('objects', () => {
    it('are created with an identity and read back', async () => {
      const maps = mapsIn(await newNamespace());
      const created = await post(maps, map('one', { a: '1' }));
      assert.equal(created.status, 201);
      const { uid, resourceVersion, creationTimestamp } = metadata(created.body);
      assert.match(String(uid), /^[0-9a-f-]{36}$/);
      assert.match(String(resourceVersion), /^\d+$/);
      assert.match(String(creationTimestamp), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      assert.deepEqual((await get(`${maps}/one`)).body, created.body);
    });

    it('exist once', async () => {
      const maps = mapsIn(await newNamespace());
      await post(maps, map('one'));
      refused(await post(maps, map('one')), 409, 'AlreadyExists', 'configmaps "one" already exists', {
        name: 'one',
        kind: 'configmaps',
      });
    });

    it('that are missing answer 404 to every verb', async () => {
      const namespace = await newNamespace();
      for (const answer of [
        await get(`${mapsIn(namespace)}/none`),
        await put(`${mapsIn(namespace)}/none`, map('none')),
        await patch(`${mapsIn(namespace)}/none`, MERGE, { data: {} }),
        await remove(`${mapsIn(namespace)}/none`),
      ]) {
        refused(answer, 404, 'NotFound', 'configmaps "none" not found', { name: 'none', kind: 'configmaps' });
      }
      refused(
        await get(`${policiesIn(namespace)}/none`),
        404,
        'NotFound',
        'networkpolicies.networking.k8s.io "none" not found',
        {
          name: 'none',
          group: 'networking.k8s.io',
          kind: 'networkpolicies',
        },
      );
    });

    it('need a namespace that exists and is theirs', async () => {
      refused(
        await post(mapsIn('no-such-namespace'), map('one')),
        404,
        'NotFound',
        'namespaces "no-such-namespace" not found',
        {
          name: 'no-such-namespace',
          kind: 'namespaces',
        },
      );
      const maps = mapsIn(await newNamespace());
      const elsewhere = await post(maps, map('one', {}, { namespace: 'default' }));
      refused(
        elsewhere,
        400,
        'BadRequest',
        'the namespace of the provided object does not match the namespace sent on the request',
      );
    });

    it('need a valid name', async () => {
      const maps = mapsIn(await newNamespace());
      const bad = await post(maps, map('Bad_Name'));
      assert.equal(bad.status, 422);
      assert.equal(bad.body.reason, 'Invalid');
      assert.match(
        String(bad.body.message),
        /^ConfigMap "Bad_Name" is invalid: metadata\.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain/,
      );
      assert.deepEqual(fields(bad), ['metadata.name']);
      refused(
        await post(maps, { data: {} }),
        422,
        'Invalid',
        'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required',
      );
      assert.equal((await post('/api/v1/namespaces', { metadata: { name: 'a.b' } })).status, 422);
      assert.equal((await post('/api/v1/namespaces', { metadata: { name: 'a'.repeat(64) } })).status, 422);
    });

    it('get a name with a prefix when they ask for one', async () => {
      const maps = mapsIn(await newNamespace());
      const created = await post(maps, { metadata: { generateName: 'made-' } });
      assert.equal(created.status, 201);
      assert.match(String(metadata(created.body).name), /^made-[a-z0-9]{5}$/);
    });

    it('are refused when their labels are not valid', async () => {
      const maps = mapsIn(await newNamespace());
      const bad = await post(maps, map('one', {}, { labels: { '-x': 'y z' } }));
      assert.equal(bad.status, 422);
      assert.deepEqual(fields(bad), ['metadata.labels']);
    });

    it('are refused when they are no JSON, of another kind or of wrong types', async () => {
      const maps = mapsIn(await newNamespace());
      assert.equal((await send('POST', maps, '{"kind":')).status, 400);
      assert.equal((await post(maps, { ...map('one'), kind: 'Secret' })).status, 400);
      const typed = await post(maps, map('one', { a: 1 }));
      assert.equal(typed.status, 400);
      assert.equal(typed.body.reason, 'BadRequest');
      assert.equal((await send('POST', maps, '{}', { 'content-type': 'text/plain' })).status, 415);
    });

    it('lose fields that nobody knows, with a warning, or are refused when that is asked for', async () => {
      const maps = mapsIn(await newNamespace());
      const warned = await post(maps, { ...map('one', { a: '1' }), dato: {} });
      assert.equal(warned.status, 201);
      assert.equal(warned.headers.get('warning'), '299 - "unknown field \\"dato\\""');
      assert.equal('dato' in warned.body, false);
      const strict = await post(`${maps}?fieldValidation=Strict`, { ...map('two'), dato: {} });
      assert.equal(strict.status, 400);
      assert.match(String(strict.body.message), /strict decoding error: unknown field "dato"/);
    });

    it('are updated only from the version that was read', async () => {
      const maps = mapsIn(await newNamespace());
      const first = await post(maps, map('one', { a: '1' }));
      const second = await put(`${maps}/one`, { ...first.body, data: { a: '2' } });
      assert.equal(second.status, 200);
      assert.notEqual(metadata(second.body).resourceVersion, metadata(first.body).resourceVersion);
      const stale = await put(`${maps}/one`, { ...first.body, data: { a: '3' } });
      refused(
        stale,
        409,
        'Conflict',
        'Operation cannot be fulfilled on configmaps "one": the object has been modified; please apply your changes to the latest version and try again',
        { name: 'one', kind: 'configmaps' },
      );
      const version = { metadata: { resourceVersion: metadata(first.body).resourceVersion } };
      assert.equal((await patch(`${maps}/one`, MERGE, version)).status, 409);
      assert.equal((await put(`${maps}/one`, map('one', { a: '4' }))).status, 200);
    });

    it('keep what cannot change', async () => {
      const maps = mapsIn(await newNamespace());
      const created = await post(maps, map('one'));
      const uid = randomUUID();
      assert.equal((await put(`${maps}/one`, map('one', {}, { uid }))).status, 409);
      const patched = await patch(`${maps}/one`, MERGE, { metadata: { uid } });
      assert.equal(patched.status, 422);
      assert.ok(fields(patched).includes('metadata.uid'));
      assert.equal((await put(`${maps}/one`, map('other'))).status, 400);
      const kept = await patch(`${maps}/one`, MERGE, {
        metadata: { creationTimestamp: null, generation: 9 },
      });
      assert.equal(metadata(kept.body).creationTimestamp, metadata(created.body).creationTimestamp);
    });

    it('do not change in a dry run', async () => {
      const maps = mapsIn(await newNamespace());
      assert.equal((await post(`${maps}?dryRun=All`, map('one', { a: '1' }))).status, 201);
      assert.equal((await get(`${maps}/one`)).status, 404);
      const created = await post(maps, map('one', { a: '1' }));
      const dry = await patch(`${maps}/one?dryRun=All`, MERGE, { data: { a: '2' } });
      assert.deepEqual(dry.body.data, { a: '2' });
      assert.equal((await remove(`${maps}/one?dryRun=All`)).status, 200);
      assert.deepEqual((await get(`${maps}/one`)).body, created.body);
      assert.equal((await post(`${maps}?dryRun=Some`, map('two'))).status >= 400, true);
    });

    it('are not written again when an update changes nothing', async () => {
      const maps = mapsIn(await newNamespace());
      const created = await post(maps, map('one', { a: '1' }));
      const same = await put(`${maps}/one`, created.body);
      assert.deepEqual(same.body, created.body);
      assert.deepEqual((await patch(`${maps}/one`, MERGE, { data: { a: '1' } })).body, created.body);
    });

    it('are deleted under preconditions', async () => {
      const maps = mapsIn(await newNamespace());
      const created = await post(maps, map('one'));
      const { uid, resourceVersion } = metadata(created.body);
      const other = await remove(`${maps}/one`, { preconditions: { uid: 'other' } });
      refused(
        other,
        409,
        'Conflict',
        `Operation cannot be fulfilled on ConfigMap "one": the UID in the precondition (other) does not match the UID in record (${uid}). The object might have been deleted and then recreated`,
      );
      assert.equal((await remove(`${maps}/one`, { preconditions: { resourceVersion: '1' } })).status, 409);
      const gone = await remove(`${maps}/one`, { preconditions: { uid, resourceVersion } });
      assert.equal(gone.status, 200);
      assert.equal(gone.body.kind, 'Status');
      assert.equal(gone.body.status, 'Success');
      assert.deepEqual(gone.body.details, { name: 'one', kind: 'configmaps', uid });
      assert.equal((await get(`${maps}/one`)).status, 404);
    });

    it('stay until their finalizers are gone, and take no new ones', async () => {
      const maps = mapsIn(await newNamespace());
      await post(maps, map('one', {}, { finalizers: ['example.com/a', 'example.com/b'] }));
      const marked = await remove(`${maps}/one`);
      assert.equal(marked.status, 200);
      assert.equal(marked.body.kind, 'ConfigMap');
      assert.ok(metadata(marked.body).deletionTimestamp);
      const added = await patch(`${maps}/one`, MERGE, {
        metadata: { finalizers: ['example.com/a', 'example.com/c'] },
      });
      assert.equal(added.status, 422);
      assert.deepEqual(fields(added), ['metadata.finalizers']);
      const fewer = await patch(`${maps}/one`, MERGE, { metadata: { finalizers: ['example.com/b'] } });
      assert.equal(fewer.status, 200);
      assert.equal(metadata(fewer.body).deletionTimestamp, metadata(marked.body).deletionTimestamp);
      assert.equal((await patch(`${maps}/one`, MERGE, { metadata: { finalizers: null } })).status, 200);
      assert.equal((await get(`${maps}/one`)).status, 404);
    });

    it('must be named for a finalizer that has a domain', async () => {
      const maps = mapsIn(await newNamespace());
      const bad = await post(maps, map('one', {}, { finalizers: ['mine'] }));
      assert.equal(bad.status, 422);
    });

    it('are defaulted: secrets, namespaces, network policies, services', async () => {
      const namespace = await newNamespace();
      const secret = await post(`/api/v1/namespaces/${namespace}/secrets`, {
        metadata: { name: 's' },
        stringData: { a: 'b' },
      });
      assert.deepEqual(
        [secret.body.type, secret.body.data, secret.body.stringData],
        ['Opaque', { a: 'Yg==' }, undefined],
      );
      const space = await get(`/api/v1/namespaces/${namespace}`);
      assert.deepEqual(metadata(space.body).labels, { 'kubernetes.io/metadata.name': namespace });
      assert.deepEqual(
        [space.body.spec, space.body.status],
        [{ finalizers: ['kubernetes'] }, { phase: 'Active' }],
      );
      const policy = await post(policiesIn(namespace), {
        metadata: { name: 'p' },
        spec: { egress: [{ ports: [{ port: 443 }] }], ingress: [] },
      });
      assert.deepEqual(policy.body.spec, {
        podSelector: {},
        egress: [{ ports: [{ protocol: 'TCP', port: 443 }] }],
        policyTypes: ['Ingress', 'Egress'],
      });
      const service = await post(`/api/v1/namespaces/${namespace}/services`, {
        metadata: { name: 's' },
        spec: { ports: [{ port: 80 }], selector: { a: 'b' } },
      });
      const { clusterIP, clusterIPs: _clusterIPs, ...spec } = service.body.spec as Body;
      assert.match(String(clusterIP), /^10\.96\./);
      assert.deepEqual(spec, {
        ports: [{ protocol: 'TCP', port: 80, targetPort: 80 }],
        selector: { a: 'b' },
        type: 'ClusterIP',
        sessionAffinity: 'None',
        ipFamilies: ['IPv4'],
        ipFamilyPolicy: 'SingleStack',
        internalTrafficPolicy: 'Cluster',
      });
      assert.deepEqual(service.body.status, { loadBalancer: {} });
    });

    it('are printed as a table for kubectl', async () => {
      const maps = mapsIn(await newNamespace());
      await post(maps, map('one', { a: '1', b: '2' }));
      const { body } = await send('GET', `${maps}?fieldSelector=metadata.name=one`, undefined, {
        accept: 'application/json;as=Table;v=v1;g=meta.k8s.io',
      });
      assert.equal(body.kind, 'Table');
      const columns = list(body.columnDefinitions).map((column) => String(column.name).toUpperCase());
      assert.deepEqual(columns, ['NAME', 'DATA', 'AGE']);
      const [row] = list(body.rows);
      assert.deepEqual(list(row?.cells).slice(0, 2), ['one', 2]);
      assert.equal(at(row, 'object', 'metadata', 'name'), 'one');
    });
  });

  describe('lists', () => {
    it('are sorted by name and carry the version they were read at', async () => {
      const namespace = await newNamespace();
      for (const name of ['c', 'a', 'b']) await post(mapsIn(namespace), map(name));
      const { body } = await get(`${mapsIn(namespace)}?labelSelector=!none`);
      assert.equal(body.kind, 'ConfigMapList');
      assert.match(String(at(body, 'metadata', 'resourceVersion')), /^\d+$/);
      assert.deepEqual(names(body).filter(isShort), ['a', 'b', 'c']);
    });

    it('are selected by label', async () => {
      const namespace = await newNamespace();
      const maps = mapsIn(namespace);
      await post(maps, map('a', {}, { labels: { app: 'x', tier: 'front' } }));
      await post(maps, map('b', {}, { labels: { app: 'y' } }));
      await post(maps, map('c'));
      const select = async (selector: string): Promise<string[]> =>
        names((await get(`${maps}?labelSelector=${encodeURIComponent(selector)}`)).body).filter(isShort);
      assert.deepEqual(await select('app=x'), ['a']);
      assert.deepEqual(await select('app==x'), ['a']);
      assert.deepEqual(await select('app!=x'), ['b', 'c']);
      assert.deepEqual(await select('app in (x,y)'), ['a', 'b']);
      assert.deepEqual(await select('app notin (x)'), ['b', 'c']);
      assert.deepEqual(await select('app,tier'), ['a']);
      assert.deepEqual(await select('!app'), ['c']);
      assert.deepEqual(await select('app in (x, y), !tier'), ['b']);
      assert.equal((await get(`${maps}?labelSelector=${encodeURIComponent('a=b=c')}`)).status, 400);
    });

    it('are selected by field', async () => {
      const namespace = await newNamespace();
      await post(mapsIn(namespace), map('a'));
      await post(mapsIn(namespace), map('b'));
      assert.deepEqual(names((await get(`${mapsIn(namespace)}?fieldSelector=metadata.name=b`)).body), ['b']);
      const everywhere = await get(
        `/api/v1/configmaps?fieldSelector=metadata.name=a,metadata.namespace=${namespace}`,
      );
      assert.deepEqual(names(everywhere.body), ['a']);
      assert.equal((await get(`${mapsIn(namespace)}?fieldSelector=data.a=1`)).status, 400);
    });

    it('come in pages that show one state, whatever is written meanwhile', async () => {
      const namespace = await newNamespace();
      const secrets = `/api/v1/namespaces/${namespace}/secrets`;
      for (const name of ['a', 'b', 'c', 'd', 'e']) await post(secrets, { metadata: { name } });
      const first = await get(`${secrets}?limit=2`);
      assert.deepEqual(names(first.body), ['a', 'b']);
      assert.equal(at(first.body, 'metadata', 'remainingItemCount'), 3);
      await remove(`${secrets}/c`);
      await post(secrets, { metadata: { name: 'cc' } });
      const token = encodeURIComponent(String(at(first.body, 'metadata', 'continue')));
      const second = await get(`${secrets}?limit=2&continue=${token}`);
      assert.deepEqual(names(second.body), ['c', 'd']);
      const next = encodeURIComponent(String(at(second.body, 'metadata', 'continue')));
      const third = await get(`${secrets}?limit=2&continue=${next}`);
      assert.deepEqual(names(third.body), ['e']);
      assert.equal(at(third.body, 'metadata', 'continue'), undefined);
      assert.equal(
        at(third.body, 'metadata', 'resourceVersion'),
        at(first.body, 'metadata', 'resourceVersion'),
      );
      assert.equal((await get(`${secrets}?limit=2&continue=nonsense`)).status, 400);
    });

    it('are deleted as a whole, by selector', async () => {
      const namespace = await newNamespace();
      const maps = mapsIn(namespace);
      await post(maps, map('a', {}, { labels: { app: 'x' } }));
      await post(maps, map('b', {}, { labels: { app: 'x' } }));
      await post(maps, map('c'));
      const deleted = await remove(`${maps}?labelSelector=app=x`);
      assert.equal(deleted.status, 200);
      const left = names((await get(maps)).body).filter(isShort);
      assert.deepEqual(left, ['c']);
    });
  });

  describe('watches', () => {
    const watch = async (path: string): Promise<{ next(): Promise<Event>; stop(): Promise<void> }> => {
      const abort = new AbortController();
      const answer = await server.fetch(path, { signal: abort.signal });
      assert.equal(answer.status, 200);
      const events = lines(answer);
      return {
        next: async () => {
          const event = await Promise.race([
            events.next(),
            delay(PATIENCE_MS, undefined, { ref: false }).then(() => assert.fail('no event came')),
          ]);
          assert.ok(event.value !== undefined, 'the watch ended');
          return event.value;
        },
        stop: async () => {
          abort.abort();
          await events.return(undefined).catch(() => undefined);
        },
      };
    };
    const told = (event: Event): unknown[] => [event.type, metadata(event.object).name];

    it('tell what happens after the version they start at', async () => {
      const maps = mapsIn(await newNamespace());
      await post(maps, map('before'));
      const since = at((await get(maps)).body, 'metadata', 'resourceVersion');
      const created = await post(maps, map('one', { a: '1' }));
      const watching = await watch(
        `${maps}?watch=true&resourceVersion=${since}&fieldSelector=metadata.name!=kube-root-ca.crt`,
      );
      const added = await watching.next();
      assert.equal(added.type, 'ADDED');
      assert.deepEqual(added.object, created.body);
      await patch(`${maps}/one`, MERGE, { data: { a: '2' } });
      assert.deepEqual(told(await watching.next()), ['MODIFIED', 'one']);
      await remove(`${maps}/one`);
      const deleted = await watching.next();
      assert.deepEqual(told(deleted), ['DELETED', 'one']);
      assert.ok(
        Number(metadata(deleted.object).resourceVersion) > Number(metadata(created.body).resourceVersion),
      );
      await watching.stop();
    });

    it('tell what is there first when they start at no version', async () => {
      const maps = mapsIn(await newNamespace());
      await post(maps, map('one'));
      const watching = await watch(`${maps}?watch=1&fieldSelector=metadata.name!=kube-root-ca.crt`);
      assert.deepEqual(told(await watching.next()), ['ADDED', 'one']);
      await post(maps, map('two'));
      assert.deepEqual(told(await watching.next()), ['ADDED', 'two']);
      await watching.stop();
    });

    it('see objects come and go as their labels start and stop to match', async () => {
      const maps = mapsIn(await newNamespace());
      const since = at((await get(maps)).body, 'metadata', 'resourceVersion');
      const watching = await watch(`${maps}?watch=true&resourceVersion=${since}&labelSelector=app=x`);
      await post(maps, map('other'));
      await post(maps, map('one', {}, { labels: { app: 'y' } }));
      await patch(`${maps}/one`, MERGE, { metadata: { labels: { app: 'x' } } });
      const added = await watching.next();
      assert.deepEqual(told(added), ['ADDED', 'one']);
      const changed = await patch(`${maps}/one`, MERGE, { metadata: { labels: { app: 'z' } } });
      const left = await watching.next();
      assert.deepEqual(told(left), ['DELETED', 'one']);
      assert.deepEqual(metadata(left.object).labels, { app: 'x' });
      assert.equal(metadata(left.object).resourceVersion, metadata(changed.body).resourceVersion);
      await watching.stop();
    });

    it('end after timeoutSeconds', async () => {
      const maps = mapsIn(await newNamespace());
      const answer = await server.fetch(
        `${maps}?watch=true&resourceVersion=0&timeoutSeconds=1&labelSelector=none`,
      );
      assert.equal(await answer.text(), '');
    });

    it('mark the end of what was there for clients that stream lists', async () => {
      const maps = mapsIn(await newNamespace());
      await post(maps, map('one'));
      const query =
        'watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';
      const watching = await watch(`${maps}?${query}&fieldSelector=metadata.name=one`);
      assert.deepEqual(told(await watching.next()), ['ADDED', 'one']);
      const mark = await watching.next();
      assert.equal(mark.type, 'BOOKMARK');
      assert.equal(at(mark.object, 'metadata', 'annotations', 'k8s.io/initial-events-end'), 'true');
      await watching.stop();
    });

    it('follow one object', async () => {
      const namespace = await newNamespace();
      await post(repositoriesIn(namespace), repository('one', { url: 'https://a.example' }));
      const watching = await watch(`${repositoriesIn(namespace)}?watch=true&fieldSelector=metadata.name=one`);
      assert.deepEqual(told(await watching.next()), ['ADDED', 'one']);
      await post(repositoriesIn(namespace), repository('two', { url: 'https://b.example' }));
      await patch(`${repositoriesIn(namespace)}/one/status`, MERGE, { status: { ready: true } });
      const event = await watching.next();
      assert.deepEqual(told(event), ['MODIFIED', 'one']);
      assert.deepEqual(event.object.status, { ready: true });
      await watching.stop();
    });
  });

  describe('patches', () => {
    it('merge: null removes, lists are replaced', async () => {
      const namespace = await newNamespace();
      const repositories = repositoriesIn(namespace);
      await post(repositories, repository('one', { a: { b: 1, c: 2 }, list: [1, 2] }));
      const patched = await patch(`${repositories}/one`, MERGE, {
        spec: { a: { b: null, d: 3 }, list: [3] },
      });
      assert.deepEqual(patched.body.spec, { a: { c: 2, d: 3 }, list: [3] });
    });

    it('strategic: items of keyed lists are merged and deleted by key', async () => {
      const deployments = `/apis/apps/v1/namespaces/${await newNamespace()}/deployments`;
      await post(deployments, deployment('one'));
      const patched = await patch(`${deployments}/one`, STRATEGIC, {
        spec: {
          template: {
            spec: {
              containers: [
                { name: 'side', image: 's:1' },
                { name: 'main', env: [{ name: 'A', value: '1' }] },
              ],
            },
          },
        },
      });
      assert.equal(patched.status, 200);
      const containers = list(at(patched.body, 'spec', 'template', 'spec', 'containers'));
      assert.deepEqual(containers.map((one) => [one.name, one.image]).toSorted(), [
        ['main', 'm:1'],
        ['side', 's:1'],
      ]);
      const fewer = await patch(`${deployments}/one`, STRATEGIC, {
        spec: { template: { spec: { containers: [{ name: 'side', $patch: 'delete' }] } } },
      });
      assert.deepEqual(
        list(at(fewer.body, 'spec', 'template', 'spec', 'containers')).map((one) => one.name),
        ['main'],
      );
    });

    it('strategic: not for custom resources', async () => {
      const repositories = repositoriesIn(await newNamespace());
      await post(repositories, repository('one', {}));
      assert.equal((await patch(`${repositories}/one`, STRATEGIC, { spec: { a: 1 } })).status, 415);
    });

    it('json: operations in order, or none of them', async () => {
      const maps = mapsIn(await newNamespace());
      await post(maps, map('one', { a: '1' }, { annotations: { 'b/c': '2', d: '3' } }));
      const patched = await patch(`${maps}/one`, JSON_PATCH, [
        { op: 'test', path: '/data/a', value: '1' },
        { op: 'replace', path: '/data/a', value: '3' },
        { op: 'remove', path: '/metadata/annotations/b~1c' },
        { op: 'add', path: '/metadata/labels', value: { x: 'y' } },
      ]);
      assert.deepEqual(patched.body.data, { a: '3' });
      assert.deepEqual(metadata(patched.body).annotations, { d: '3' });
      const failed = await patch(`${maps}/one`, JSON_PATCH, [
        { op: 'replace', path: '/data/a', value: '4' },
        { op: 'test', path: '/data/a', value: '1' },
      ]);
      assert.equal(failed.status, 422);
      assert.deepEqual((await get(`${maps}/one`)).body.data, { a: '3' });
    });

    it('of an unknown type are refused', async () => {
      const maps = mapsIn(await newNamespace());
      await post(maps, map('one'));
      assert.equal((await patch(`${maps}/one`, 'application/json', {})).status, 415);
    });
  });

  describe('generation and status', () => {
    it('count what is asked for, not metadata or status', async () => {
      const repositories = repositoriesIn(await newNamespace());
      const created = await post(repositories, { ...repository('one', { a: 1 }), status: { ready: true } });
      assert.equal(metadata(created.body).generation, 1);
      assert.equal(created.body.status, undefined);
      const labelled = await patch(`${repositories}/one`, MERGE, { metadata: { labels: { a: 'b' } } });
      assert.equal(metadata(labelled.body).generation, 1);
      const changed = await patch(`${repositories}/one`, MERGE, { spec: { a: 2 }, status: { ready: true } });
      assert.deepEqual([metadata(changed.body).generation, changed.body.status], [2, undefined]);
      const status = await patch(`${repositories}/one/status`, MERGE, {
        spec: { a: 3 },
        status: { ready: true },
      });
      assert.deepEqual(
        [metadata(status.body).generation, status.body.spec, status.body.status],
        [2, { a: 2 }, { ready: true }],
      );
      const reset = await put(`${repositories}/one`, { ...status.body, spec: { a: 4 }, status: {} });
      assert.deepEqual([metadata(reset.body).generation, reset.body.status], [3, { ready: true }]);
    });

    it('exist for network policies and deployments, and not for config maps', async () => {
      const namespace = await newNamespace();
      const policy = await post(policiesIn(namespace), {
        metadata: { name: 'p' },
        spec: { podSelector: {} },
      });
      assert.equal(metadata(policy.body).generation, 1);
      const opened = await patch(`${policiesIn(namespace)}/p`, MERGE, { spec: { ingress: [{}] } });
      assert.equal(metadata(opened.body).generation, 2);
      const made = await post(mapsIn(namespace), map('one'));
      assert.equal(metadata(made.body).generation, undefined);
      const deployments = `/apis/apps/v1/namespaces/${namespace}/deployments`;
      assert.equal(metadata((await post(deployments, deployment('d'))).body).generation, 1);
      const scaled = await patch(`${deployments}/d`, MERGE, { spec: { replicas: 2 } });
      assert.equal(metadata(scaled.body).generation, 2);
      const ready = await patch(`${deployments}/d/status`, MERGE, {
        status: { replicas: 2, readyReplicas: 1 },
      });
      assert.deepEqual(
        [metadata(ready.body).generation, ready.body.status],
        [2, { replicas: 2, readyReplicas: 1 }],
      );
    });
  });

  describe('server-side apply', () => {
    it('creates, and records who owns what', async () => {
      const maps = mapsIn(await newNamespace());
      const created = await apply(`${maps}/one`, 'red', map('one', { a: '1' }, { labels: { x: 'y' } }));
      assert.equal(created.status, 201);
      assert.deepEqual(owners(created.body), [
        {
          manager: 'red',
          operation: 'Apply',
          apiVersion: 'v1',
          fields: { 'f:data': { 'f:a': {} }, 'f:metadata': { 'f:labels': { 'f:x': {} } } },
        },
      ]);
      assert.match(String(list(metadata(created.body).managedFields)[0]?.time), /Z$/);
    });

    it('takes YAML', async () => {
      const maps = mapsIn(await newNamespace());
      const created = await apply(
        `${maps}/one`,
        'red',
        'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: one\ndata:\n  a: "1"\n',
      );
      assert.equal(created.status, 201);
      assert.deepEqual(created.body.data, { a: '1' });
    });

    it('writes nothing when it is repeated', async () => {
      const namespace = await newNamespace();
      const config = map('one', { a: '1' });
      const first = await apply(`${mapsIn(namespace)}/one`, 'red', config);
      await delay(1100); // managedFields count seconds: a rewritten time would show.
      const again = await apply(`${mapsIn(namespace)}/one`, 'red', config, '&force=true');
      assert.equal(again.status, 200);
      assert.deepEqual(again.body, first.body);
      const policy = {
        apiVersion: 'networking.k8s.io/v1',
        kind: 'NetworkPolicy',
        metadata: { name: 'p' },
        spec: {
          podSelector: {},
          policyTypes: ['Egress'],
          egress: [{ to: [{ ipBlock: { cidr: '1.2.3.4/32' } }], ports: [{ port: 443 }] }],
        },
      };
      const made = await apply(`${policiesIn(namespace)}/p`, 'red', policy);
      assert.equal(made.status, 201);
      assert.deepEqual((await apply(`${policiesIn(namespace)}/p`, 'red', policy)).body, made.body);
    });

    it('needs a manager, a name, and the kind of the path', async () => {
      const maps = mapsIn(await newNamespace());
      const nobody = await patch(`${maps}/one`, APPLY, map('one'));
      refused(
        nobody,
        422,
        'Invalid',
        'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
      );
      assert.equal(
        (await apply(`${maps}/one`, 'red', { apiVersion: 'v1', kind: 'ConfigMap', data: {} })).status,
        400,
      );
      assert.equal((await apply(`${maps}/one`, 'red', map('other'))).status, 400);
      assert.equal((await apply(`${maps}/one`, 'red', { ...map('one'), kind: 'Secret' })).status, 400);
      const managed = await apply(`${maps}/one`, 'red', map('one', {}, { managedFields: [] }));
      assert.equal(managed.status, 400);
      assert.equal((await patch(`${maps}/one?force=true`, MERGE, {})).status, 422);
    });

    it('refuses fields that the kind does not have', async () => {
      const maps = mapsIn(await newNamespace());
      const unknown = await apply(`${maps}/one`, 'red', { ...map('one'), dato: {} });
      assert.equal(unknown.status, 500);
      assert.match(
        String(unknown.body.message),
        /failed to create typed patch object .*: \.dato: field not declared in schema/,
      );
      const typed = await apply(`${maps}/one`, 'red', map('one', { a: 1 }));
      assert.match(
        String(typed.body.message),
        /failed to create typed patch object .*: \.data\.a: expected string/,
      );
    });

    it('shares a field that another manager sets to the same value', async () => {
      const maps = mapsIn(await newNamespace());
      const first = await apply(`${maps}/one`, 'red', map('one', { a: '1', b: '2' }));
      const shared = await apply(`${maps}/one`, 'blue', map('one', { a: '1' }));
      assert.equal(shared.status, 200);
      assert.notEqual(metadata(shared.body).resourceVersion, metadata(first.body).resourceVersion);
      assert.deepEqual(ownedBy(shared.body, 'red'), { 'f:data': { 'f:a': {}, 'f:b': {} } });
      assert.deepEqual(ownedBy(shared.body, 'blue'), { 'f:data': { 'f:a': {} } });
      const released = await apply(`${maps}/one`, 'red', map('one', { b: '2' }));
      assert.deepEqual(released.body.data, { a: '1', b: '2' });
      assert.deepEqual(ownedBy(released.body, 'red'), { 'f:data': { 'f:b': {} } });
    });

    it('names every conflict, and takes the fields when forced', async () => {
      const maps = mapsIn(await newNamespace());
      await apply(`${maps}/one`, 'red', map('one', { a: '1', b: '2' }));
      const conflict = await apply(`${maps}/one`, 'blue', map('one', { a: '2', b: '2', c: '3' }));
      refused(conflict, 409, 'Conflict', 'Apply failed with 1 conflict: conflict with "red": .data.a');
      assert.deepEqual(at(conflict.body, 'details', 'causes'), [
        { reason: 'FieldManagerConflict', message: 'conflict with "red"', field: '.data.a' },
      ]);
      const two = await apply(`${maps}/one`, 'blue', map('one', { a: '2', b: '3' }));
      refused(
        two,
        409,
        'Conflict',
        'Apply failed with 2 conflicts: conflicts with "red":\n- .data.a\n- .data.b',
      );
      const forced = await apply(
        `${maps}/one`,
        'blue',
        map('one', { a: '2', b: '2', c: '3' }),
        '&force=true',
      );
      assert.deepEqual(forced.body.data, { a: '2', b: '2', c: '3' });
      assert.deepEqual(ownedBy(forced.body, 'red'), { 'f:data': { 'f:b': {} } });
      assert.deepEqual(ownedBy(forced.body, 'blue'), { 'f:data': { 'f:a': {}, 'f:b': {}, 'f:c': {} } });
    });

    it('conflicts with updates too, and says by which version', async () => {
      const maps = mapsIn(await newNamespace());
      await apply(`${maps}/one`, 'red', map('one', { a: '1' }));
      const updated = await put(`${maps}/one?fieldManager=hand`, map('one', { a: '2', b: '1' }));
      assert.equal(ownedBy(updated.body, 'red'), undefined);
      assert.deepEqual(ownedBy(updated.body, 'hand'), { 'f:data': { 'f:a': {}, 'f:b': {} } });
      const conflict = await apply(`${maps}/one`, 'red', map('one', { a: '1' }));
      assert.equal(conflict.status, 409);
      assert.match(
        String(conflict.body.message),
        /^Apply failed with 1 conflict: conflict with "hand" using v1: \.data\.a$/,
      );
    });

    it('removes what it applied before and does not apply any more', async () => {
      const maps = mapsIn(await newNamespace());
      await apply(
        `${maps}/one`,
        'red',
        map('one', { a: '1', b: '2' }, { labels: { x: '1', y: '2' }, annotations: { n: '1' } }),
      );
      await patch(`${maps}/one?fieldManager=hand`, MERGE, {
        data: { c: '3' },
        metadata: { labels: { z: '3' } },
      });
      const fewer = await apply(`${maps}/one`, 'red', map('one', { a: '1' }, { labels: { x: '1' } }));
      assert.deepEqual(fewer.body.data, { a: '1', c: '3' });
      assert.deepEqual(metadata(fewer.body).labels, { x: '1', z: '3' });
      assert.equal(metadata(fewer.body).annotations, undefined);
      const nothing = await apply(`${maps}/one`, 'red', {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'one' },
      });
      assert.deepEqual(nothing.body.data, { c: '3' });
      assert.deepEqual(metadata(nothing.body).labels, { z: '3' });
      assert.equal(ownedBy(nothing.body, 'red'), undefined);
    });

    it('does not remove what was created by an update under the same name', async () => {
      const maps = mapsIn(await newNamespace());
      const created = await post(`${maps}?fieldManager=red`, map('one', { a: '1', b: '2' }));
      assert.deepEqual(owners(created.body), [
        {
          manager: 'red',
          operation: 'Update',
          apiVersion: 'v1',
          fields: { 'f:data': { '.': {}, 'f:a': {}, 'f:b': {} } },
        },
      ]);
      const applied = await apply(`${maps}/one`, 'red', map('one', { a: '1' }));
      assert.deepEqual(applied.body.data, { a: '1', b: '2' });
      assert.deepEqual(
        owners(applied.body)
          .map((owner) => owner.operation)
          .toSorted(),
        ['Apply', 'Update'],
      );
      const changed = await apply(`${maps}/one`, 'red', map('one', { a: '3' }));
      assert.equal(changed.status, 409);
    });

    it('moves from Update to Apply when managedFields are rewritten', async () => {
      const maps = mapsIn(await newNamespace());
      const created = await post(`${maps}?fieldManager=red`, map('one', { a: '1', b: '2' }));
      const [entry] = list(metadata(created.body).managedFields);
      const moved = await patch(`${maps}/one?fieldManager=red`, JSON_PATCH, [
        { op: 'replace', path: '/metadata/managedFields', value: [{ ...entry, operation: 'Apply' }] },
        { op: 'replace', path: '/metadata/resourceVersion', value: metadata(created.body).resourceVersion },
      ]);
      assert.equal(moved.status, 200);
      assert.deepEqual(
        owners(moved.body).map((owner) => owner.operation),
        ['Apply'],
      );
      const fewer = await apply(`${maps}/one`, 'red', map('one', { a: '3' }));
      assert.deepEqual(fewer.body.data, { a: '3' });
    });

    it('takes over an object whose ownership was forgotten', async () => {
      const maps = mapsIn(await newNamespace());
      await post(maps, map('one', { a: '1' }));
      const forgotten = await patch(`${maps}/one`, MERGE, { metadata: { managedFields: [{}] } });
      assert.equal(metadata(forgotten.body).managedFields, undefined);
      const untracked = await patch(`${maps}/one`, MERGE, { data: { b: '2' } });
      assert.equal(metadata(untracked.body).managedFields, undefined);
      const applied = await apply(`${maps}/one`, 'red', map('one', { a: '1' }));
      assert.deepEqual(
        owners(applied.body)
          .map((owner) => owner.manager)
          .toSorted(),
        ['before-first-apply', 'red'],
      );
    });

    it('guards by uid: the same object or none', async () => {
      const maps = mapsIn(await newNamespace());
      const uid = randomUUID();
      const absent = await apply(`${maps}/one`, 'red', map('one', { a: '1' }, { uid }));
      refused(
        absent,
        409,
        'Conflict',
        `Operation cannot be fulfilled on configmaps "one": uid mismatch: the provided object specified uid ${uid}, and no existing object was found`,
      );
      const created = await apply(`${maps}/one`, 'red', map('one', { a: '1' }));
      const other = await apply(`${maps}/one`, 'red', map('one', { a: '2' }, { uid }));
      assert.equal(other.status, 422);
      assert.ok(fields(other).includes('metadata.uid'));
      const same = await apply(
        `${maps}/one`,
        'red',
        map('one', { a: '2' }, { uid: metadata(created.body).uid }),
      );
      assert.equal(same.status, 200);
    });

    it('guards by resourceVersion', async () => {
      const maps = mapsIn(await newNamespace());
      const created = await apply(`${maps}/one`, 'red', map('one', { a: '1' }));
      const { resourceVersion } = metadata(created.body);
      const next = await apply(`${maps}/one`, 'red', map('one', { a: '2' }, { resourceVersion }));
      assert.equal(next.status, 200);
      const stale = await apply(`${maps}/one`, 'red', map('one', { a: '3' }, { resourceVersion }));
      assert.equal(stale.status, 409);
      assert.match(String(stale.body.message), /the object has been modified/);
      assert.deepEqual((await get(`${maps}/one`)).body.data, { a: '2' });
    });

    it('shows in a dry run what it would do', async () => {
      const maps = mapsIn(await newNamespace());
      const dry = await apply(`${maps}/one`, 'red', map('one', { a: '1' }), '&dryRun=All');
      assert.equal(dry.status, 201);
      assert.equal((await get(`${maps}/one`)).status, 404);
      const created = await apply(`${maps}/one`, 'red', map('one', { a: '1' }));
      assert.equal((await apply(`${maps}/one`, 'blue', map('one', { a: '2' }), '&dryRun=All')).status, 409);
      const changed = await apply(`${maps}/one`, 'red', map('one', { a: '2' }), '&dryRun=All');
      assert.deepEqual(changed.body.data, { a: '2' });
      assert.deepEqual((await get(`${maps}/one`)).body, created.body);
    });

    it('merges items of keyed lists: containers, ports, variables', async () => {
      const deployments = `/apis/apps/v1/namespaces/${await newNamespace()}/deployments`;
      const config = (container: Body): Body => ({
        ...deployment('one'),
        spec: {
          selector: { matchLabels: { a: 'b' } },
          template: {
            metadata: { labels: { a: 'b' } },
            spec: { containers: [{ name: 'main', image: 'm:1', ...container }] },
          },
        },
      });
      const path = `${deployments}/one`;
      const created = await apply(
        path,
        'red',
        config({ ports: [{ containerPort: 80 }], env: [{ name: 'A', value: '1' }] }),
      );
      assert.equal(created.status, 201);
      assert.deepEqual(
        at(
          ownedBy(created.body, 'red'),
          'f:spec',
          'f:template',
          'f:spec',
          'f:containers',
          'k:{"name":"main"}',
        ),
        {
          '.': {},
          'f:name': {},
          'f:image': {},
          'f:ports': { 'k:{"containerPort":80,"protocol":"TCP"}': { '.': {}, 'f:containerPort': {} } },
          'f:env': { 'k:{"name":"A"}': { '.': {}, 'f:name': {}, 'f:value': {} } },
        },
      );
      const side = {
        ...deployment('one'),
        spec: {
          template: {
            spec: {
              containers: [
                { name: 'side', image: 's:1' },
                { name: 'main', env: [{ name: 'B', value: '2' }] },
              ],
            },
          },
        },
      };
      const both = await apply(path, 'blue', side);
      assert.equal(both.status, 200);
      const containers = list(at(both.body, 'spec', 'template', 'spec', 'containers'));
      const main = containers.find((one) => one.name === 'main');
      assert.deepEqual(containers.map((one) => one.name).toSorted(), ['main', 'side']);
      assert.deepEqual(main?.ports, [{ containerPort: 80, protocol: 'TCP' }]);
      assert.deepEqual(main?.env, [
        { name: 'A', value: '1' },
        { name: 'B', value: '2' },
      ]);
      const back = await apply(path, 'red', config({}));
      const left = list(at(back.body, 'spec', 'template', 'spec', 'containers')).find(
        (one) => one.name === 'main',
      );
      assert.deepEqual([left?.ports, left?.env], [undefined, [{ name: 'B', value: '2' }]]);
      const alone = await apply(path, 'blue', {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'one' },
      });
      assert.deepEqual(
        list(at(alone.body, 'spec', 'template', 'spec', 'containers')).map((one) => one.name),
        ['main'],
      );
    });

    it('refuses two items with one key', async () => {
      const deployments = `/apis/apps/v1/namespaces/${await newNamespace()}/deployments`;
      const twice = {
        ...deployment('one'),
        spec: { template: { spec: { containers: [{ name: 'a' }, { name: 'a' }] } } },
      };
      const answer = await apply(`${deployments}/one`, 'red', twice);
      assert.equal(answer.status, 500);
      assert.match(String(answer.body.message), /duplicate entries for key/);
    });

    it('keeps finalizers and owners apart, one by one', async () => {
      const maps = mapsIn(await newNamespace());
      const bare = (extra: Body): Body => ({
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'one', ...extra },
      });
      const owner = await post(maps, map('owner'));
      const reference = { apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid: metadata(owner.body).uid };
      await apply(
        `${maps}/one`,
        'red',
        bare({ finalizers: ['example.com/red'], ownerReferences: [reference] }),
      );
      const both = await apply(`${maps}/one`, 'blue', bare({ finalizers: ['example.com/blue'] }));
      assert.deepEqual(texts(metadata(both.body).finalizers), ['example.com/blue', 'example.com/red']);
      assert.deepEqual(ownedBy(both.body, 'blue'), {
        'f:metadata': { 'f:finalizers': { 'v:"example.com/blue"': {} } },
      });
      assert.deepEqual(at(ownedBy(both.body, 'red'), 'f:metadata', 'f:ownerReferences'), {
        [`k:{"uid":"${metadata(owner.body).uid}"}`]: {},
      });
      const released = await apply(`${maps}/one`, 'red', bare({}));
      assert.deepEqual(metadata(released.body).finalizers, ['example.com/blue']);
      assert.equal(metadata(released.body).ownerReferences, undefined);
      await apply(`${maps}/one`, 'blue', bare({}));
    });

    it('owns rules of a network policy as a whole', async () => {
      const policies = policiesIn(await newNamespace());
      const policy = (...cidrs: string[]): Body => ({
        apiVersion: 'networking.k8s.io/v1',
        kind: 'NetworkPolicy',
        metadata: { name: 'one' },
        spec: {
          podSelector: { matchLabels: { a: 'b' } },
          policyTypes: ['Egress'],
          egress: cidrs.map((cidr) => ({ to: [{ ipBlock: { cidr } }] })),
        },
      });
      const created = await apply(`${policies}/one`, 'red', policy('1.1.1.1/32'));
      assert.deepEqual(ownedBy(created.body, 'red'), {
        'f:spec': { 'f:egress': {}, 'f:podSelector': {}, 'f:policyTypes': {} },
      });
      const conflict = await apply(`${policies}/one`, 'blue', policy('1.1.1.1/32', '2.2.2.2/32'));
      refused(conflict, 409, 'Conflict', 'Apply failed with 1 conflict: conflict with "red": .spec.egress');
      const changed = await apply(`${policies}/one`, 'red', policy('2.2.2.2/32'));
      assert.deepEqual(at(changed.body, 'spec', 'egress'), [{ to: [{ ipBlock: { cidr: '2.2.2.2/32' } }] }]);
      assert.equal(metadata(changed.body).generation, 2);
      const empty = await apply(`${policies}/one`, 'red', policy());
      assert.deepEqual(empty.body.spec, {
        podSelector: { matchLabels: { a: 'b' } },
        policyTypes: ['Egress'],
      });
    });

    it('treats custom resources without a schema: maps by entry, lists as a whole', async () => {
      const repositories = repositoriesIn(await newNamespace());
      const created = await apply(
        `${repositories}/one`,
        'red',
        repository('one', { a: { b: 1 }, list: [{ name: 'x' }] }),
      );
      assert.deepEqual(ownedBy(created.body, 'red'), {
        'f:spec': { 'f:a': { '.': {}, 'f:b': {} }, 'f:list': {} },
      });
      const both = await apply(`${repositories}/one`, 'blue', repository('one', { a: { c: 2 } }));
      assert.deepEqual(both.body.spec, { a: { b: 1, c: 2 }, list: [{ name: 'x' }] });
      const conflict = await apply(
        `${repositories}/one`,
        'blue',
        repository('one', { list: [{ name: 'y' }] }),
      );
      assert.equal(conflict.status, 409);
      const fewer = await apply(`${repositories}/one`, 'red', repository('one', { list: [{ name: 'z' }] }));
      assert.deepEqual(fewer.body.spec, { a: { c: 2 }, list: [{ name: 'z' }] });
    });

    it('applies status by its own door', async () => {
      const repositories = repositoriesIn(await newNamespace());
      await apply(`${repositories}/one`, 'red', repository('one', { a: 1 }));
      const status = {
        apiVersion: 'source.toolkit.fluxcd.io/v1',
        kind: 'HelmRepository',
        metadata: { name: 'one' },
        status: { ready: true },
      };
      const applied = await apply(`${repositories}/one/status`, 'controller', status);
      assert.equal(applied.status, 200);
      assert.deepEqual(applied.body.status, { ready: true });
      const entry = list(metadata(applied.body).managedFields).find((one) => one.manager === 'controller');
      assert.deepEqual([entry?.subresource, entry?.fieldsV1], ['status', { 'f:status': { 'f:ready': {} } }]);
      const ignored = await apply(`${repositories}/one`, 'red', {
        ...repository('one', { a: 1 }),
        status: { ready: false },
      });
      assert.deepEqual([ignored.status, ignored.body.status], [200, { ready: true }]);
      assert.deepEqual(ownedBy(ignored.body, 'red'), { 'f:spec': { 'f:a': {} } });
    });
  });

  describe('a Helm release', () => {
    const release = (name: string, spec: Body = {}): Body => ({
      apiVersion: 'helm.toolkit.fluxcd.io/v2',
      kind: 'HelmRelease',
      metadata: { name },
      spec: {
        interval: '10m',
        chart: { spec: { chart: 'jupyterhub', sourceRef: { kind: 'HelmRepository', name: 'jupyterhub' } } },
        values: { hub: { config: { a: [1, 2] } } },
        ...spec,
      },
    });

    it('is applied with defaults that nobody owns', async (t) => {
      if (!server.customResources.includes('helmreleases')) return t.skip('its definition is not installed');
      const releases = releasesIn(await newNamespace());
      const created = await apply(`${releases}/one`, 'red', release('one'));
      assert.equal(created.status, 201);
      assert.deepEqual(at(created.body, 'spec', 'chart', 'spec'), {
        chart: 'jupyterhub',
        reconcileStrategy: 'ChartVersion',
        sourceRef: { kind: 'HelmRepository', name: 'jupyterhub' },
        version: '*',
      });
      assert.deepEqual(created.body.status, { observedGeneration: -1 });
      assert.deepEqual(ownedBy(created.body, 'red'), {
        'f:spec': {
          'f:chart': { 'f:spec': { 'f:chart': {}, 'f:sourceRef': { 'f:kind': {}, 'f:name': {} } } },
          'f:interval': {},
          'f:values': { 'f:hub': { '.': {}, 'f:config': { '.': {}, 'f:a': {} } } },
        },
      });
      // The real server stores the defaulted status with the second write; from then on nothing changes.
      const second = await apply(`${releases}/one`, 'red', release('one'));
      assert.deepEqual((await apply(`${releases}/one`, 'red', release('one'))).body, second.body);
      const posted = await post(releases, release('two'));
      assert.deepEqual(at(owners(posted.body)[0]?.fields, 'f:spec', 'f:chart', 'f:spec', '.'), {});
    });

    it('is checked against its definition', async (t) => {
      if (!server.customResources.includes('helmreleases')) return t.skip('its definition is not installed');
      const releases = releasesIn(await newNamespace());
      const bad = await post(releases, release('one', { interval: '1x', chart: { spec: { chart: 'c' } } }));
      assert.equal(bad.status, 422);
      assert.ok(fields(bad).includes('spec.interval'));
      assert.ok(fields(bad).includes('spec.chart.spec.sourceRef'));
      const both = await post(releases, release('one', { chartRef: { kind: 'OCIRepository', name: 'x' } }));
      assert.equal(both.status, 422);
      assert.match(String(both.body.message), /either chart or chartRef must be set/);
      const unknown = await apply(`${releases}/one`, 'red', release('one', { valuez: {} }));
      assert.match(String(unknown.body.message), /\.spec\.valuez: field not declared in schema/);
      const pruned = await post(releases, release('one', { valuez: {} }));
      assert.equal(at(pruned.body, 'spec', 'valuez'), undefined);
      assert.equal((await post(releases, { metadata: { name: 'two' } })).status, 400);
    });

    it('takes a status from its controller and keeps its generation', async (t) => {
      if (!server.customResources.includes('helmreleases')) return t.skip('its definition is not installed');
      const releases = releasesIn(await newNamespace());
      await apply(`${releases}/one`, 'red', release('one'));
      const condition = {
        type: 'Ready',
        status: 'True',
        reason: 'InstallSucceeded',
        message: 'ok',
        lastTransitionTime: '2026-01-01T00:00:00Z',
      };
      const status = await patch(`${releases}/one/status?fieldManager=helm-controller`, MERGE, {
        status: { observedGeneration: 1, conditions: [condition] },
      });
      assert.deepEqual(status.body.status, { observedGeneration: 1, conditions: [condition] });
      const applied = await apply(`${releases}/one`, 'red', {
        ...release('one'),
        metadata: { name: 'one', annotations: { 'knada.io/revision': '7' } },
      });
      assert.deepEqual(
        [metadata(applied.body).generation, at(applied.body, 'status', 'observedGeneration')],
        [1, 1],
      );
      const upgraded = await apply(`${releases}/one`, 'red', release('one', { interval: '5m' }));
      assert.equal(metadata(upgraded.body).generation, 2);
    });
  });

  describe('a network policy', () => {
    const refusedFor = async (egress: unknown, ...expected: string[]): Promise<void> => {
      const answer = await post(policies, {
        metadata: { name: 'bad' },
        spec: { podSelector: {}, policyTypes: ['Egress'], egress },
      });
      assert.equal(answer.status, 422);
      assert.deepEqual(
        list(at(answer.body, 'details', 'causes')).map((cause) => `${cause.field}: ${cause.message}`),
        expected,
      );
    };
    let policies = '';
    before(async () => {
      policies = policiesIn(await newNamespace());
    });
    const port = (one: Body): unknown => [{ ports: [one] }];
    const peer = (one: Body): unknown => [{ to: [one] }];

    it('has ports in range, with names only alone', async () => {
      const range = 'must be between 1 and 65535, inclusive';
      await refusedFor(port({ port: 0 }), `spec.egress[0].ports[0].port: Invalid value: 0: ${range}`);
      await refusedFor(port({ port: 70000 }), `spec.egress[0].ports[0].port: Invalid value: 70000: ${range}`);
      await refusedFor(
        port({ port: 443, endPort: 80 }),
        'spec.egress[0].ports[0].endPort: Invalid value: 443: must be greater than or equal to `port`',
      );
      await refusedFor(
        port({ port: 443, endPort: 70000 }),
        `spec.egress[0].ports[0].endPort: Invalid value: 70000: ${range}`,
      );
      await refusedFor(
        port({ port: 'https', endPort: 80 }),
        'spec.egress[0].ports[0].endPort: Invalid value: 80: may not be specified when `port` is non-numeric',
      );
      await refusedFor(
        port({ endPort: 80 }),
        'spec.egress[0].ports[0].endPort: Invalid value: 80: may not be specified when `port` is not specified',
      );
      await refusedFor(
        port({ port: 'Bad_Name' }),
        'spec.egress[0].ports[0].port: Invalid value: "Bad_Name": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)',
      );
      await refusedFor(
        port({ port: 1, protocol: 'ICMP' }),
        'spec.egress[0].ports[0].protocol: Unsupported value: "ICMP": supported values: "TCP", "UDP", "SCTP"',
      );
    });

    it('has peers that are a block or selectors, never both or none', async () => {
      await refusedFor(peer({}), 'spec.egress[0].to[0]: Required value: must specify a peer');
      await refusedFor(
        peer({ ipBlock: { cidr: '10.0.0.0/8' }, podSelector: {} }),
        'spec.egress[0].to[0]: Forbidden: may not specify both ipBlock and another peer',
      );
      await refusedFor(
        peer({ podSelector: { matchExpressions: [{ key: 'a', operator: 'Is' }] } }),
        'spec.egress[0].to[0].podSelector.matchExpressions[0].operator: Invalid value: "Is": not a valid selector operator',
      );
    });

    it('has blocks that are CIDRs, with exceptions inside them', async () => {
      const why = 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)';
      for (const cidr of ['1.2.3.4', '1.2.3.4/33', '1.2.3/24', 'example.com/32', '::1/129']) {
        await refusedFor(
          peer({ ipBlock: { cidr } }),
          `spec.egress[0].to[0].ipBlock.cidr: Invalid value: "${cidr}": ${why}`,
        );
      }
      await refusedFor(peer({ ipBlock: { cidr: '' } }), 'spec.egress[0].to[0].ipBlock.cidr: Required value');
      for (const except of ['11.0.0.0/16', '10.0.0.0/8']) {
        await refusedFor(
          peer({ ipBlock: { cidr: '10.0.0.0/8', except: [except] } }),
          `spec.egress[0].to[0].ipBlock.except[0]: Invalid value: "${except}": must be a strict subset of \`cidr\``,
        );
      }
    });

    it('is warned about host bits', async () => {
      const answer = await post(policies, {
        metadata: { name: 'host-bits' },
        spec: { podSelector: {}, egress: [{ to: [{ ipBlock: { cidr: '1.2.3.4/24' } }] }] },
      });
      assert.equal(answer.status, 201);
      assert.match(
        String(answer.headers.get('warning')),
        /spec\.egress\[0\]\.to\[0\]\.ipBlock\.cidr: CIDR value \\"1\.2\.3\.4\/24\\" is ambiguous/,
      );
    });

    it('has known types', async () => {
      const answer = await post(policies, {
        metadata: { name: 'bad' },
        spec: { podSelector: {}, policyTypes: ['Both'] },
      });
      assert.deepEqual(fields(answer), ['spec.policyTypes[0]']);
    });

    it('is taken with ranges, names, selectors and IPv6', async () => {
      const spec = {
        podSelector: { matchLabels: { component: 'singleuser-server' } },
        policyTypes: ['Egress'],
        egress: [
          {
            to: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] } }],
            ports: [{ protocol: 'TCP', port: 1000, endPort: 2000 }],
          },
          { to: [{ ipBlock: { cidr: '2001:db8::/64' } }], ports: [{ protocol: 'UDP', port: 53 }] },
          {
            to: [{ namespaceSelector: {}, podSelector: { matchLabels: { a: 'b' } } }],
            ports: [{ protocol: 'TCP', port: 'http' }],
          },
        ],
      };
      const created = await post(policies, { metadata: { name: 'good' }, spec });
      assert.deepEqual([created.status, created.body.spec], [201, spec]);
    });
  });

  describe('owners', () => {
    const owned = (name: string, owners: readonly Body[], extra: Body = {}): Body =>
      map(
        name,
        {},
        {
          ownerReferences: owners.map((owner) => ({
            apiVersion: owner.apiVersion,
            kind: owner.kind,
            name: metadata(owner).name,
            uid: metadata(owner).uid,
            ...extra,
          })),
        },
      );

    it('take along what they own, once the last of them is gone', async () => {
      const maps = mapsIn(await newNamespace());
      const [a, b] = [(await post(maps, map('a'))).body, (await post(maps, map('b'))).body];
      await post(maps, owned('of-a', [a]));
      await post(maps, owned('of-both', [a, b]));
      await remove(`${maps}/a`);
      await until('of-a is collected', async () => (await get(`${maps}/of-a`)).status === 404);
      await until('of-both has one owner left', async () => {
        const left = await get(`${maps}/of-both`);
        return list(metadata(left.body).ownerReferences).length === 1;
      });
      await remove(`${maps}/b`);
      await until('of-both is collected', async () => (await get(`${maps}/of-both`)).status === 404);
    });

    it('that never existed, or are another object of that name, do not keep anything', async () => {
      const maps = mapsIn(await newNamespace());
      const there = (await post(maps, map('there'))).body;
      const ghost = { ...there, metadata: { name: 'ghost', uid: randomUUID() } };
      const impostor = { ...there, metadata: { name: 'there', uid: randomUUID() } };
      await post(maps, owned('of-ghost', [ghost]));
      await post(maps, owned('of-impostor', [impostor]));
      await post(maps, owned('of-there', [there, ghost]));
      await until(
        'both are collected',
        async () =>
          (await get(`${maps}/of-ghost`)).status === 404 && (await get(`${maps}/of-impostor`)).status === 404,
      );
      await until('the dangling owner is dropped', async () => {
        const left = await get(`${maps}/of-there`);
        return left.status === 200 && list(metadata(left.body).ownerReferences).length === 1;
      });
    });

    it('leave their objects alone when they are deleted as orphans', async () => {
      const maps = mapsIn(await newNamespace());
      const owner = (await post(maps, map('owner'))).body;
      await post(maps, owned('child', [owner]));
      await remove(`${maps}/owner`, { propagationPolicy: 'Orphan' });
      await until('the owner is gone', async () => (await get(`${maps}/owner`)).status === 404);
      const child = await get(`${maps}/child`);
      assert.deepEqual([child.status, metadata(child.body).ownerReferences], [200, undefined]);
    });

    it('wait for what blocks them when they are deleted in the foreground', async () => {
      const maps = mapsIn(await newNamespace());
      const owner = (await post(maps, map('owner'))).body;
      const child = owned('child', [owner], { blockOwnerDeletion: true });
      await post(maps, { ...child, metadata: { ...metadata(child), finalizers: ['example.com/hold'] } });
      const marked = await remove(`${maps}/owner`, { propagationPolicy: 'Foreground' });
      assert.deepEqual(metadata(marked.body).finalizers, ['foregroundDeletion']);
      await until(
        'the child is being deleted',
        async () => metadata((await get(`${maps}/child`)).body).deletionTimestamp !== undefined,
      );
      assert.equal((await get(`${maps}/owner`)).status, 200);
      await patch(`${maps}/child`, MERGE, { metadata: { finalizers: null } });
      await until('the owner is gone', async () => (await get(`${maps}/owner`)).status === 404);
    });
  });

  describe('namespaces', () => {
    it('are given a default service account', async () => {
      const namespace = await newNamespace();
      await until(
        'it is there',
        async () => (await get(`/api/v1/namespaces/${namespace}/serviceaccounts/default`)).status === 200,
      );
    });

    it('are emptied before they go, and take nothing new meanwhile', async () => {
      const namespace = await newNamespace();
      await post(mapsIn(namespace), map('held', {}, { finalizers: ['example.com/hold'] }));
      await post(mapsIn(namespace), map('free'));
      await post(policiesIn(namespace), { metadata: { name: 'p' }, spec: { podSelector: {} } });
      const path = `/api/v1/namespaces/${namespace}`;
      const marked = await remove(path);
      assert.equal(marked.status, 200);
      assert.deepEqual(
        [at(marked.body, 'status', 'phase'), at(marked.body, 'spec', 'finalizers')],
        ['Terminating', ['kubernetes']],
      );
      assert.ok(metadata(marked.body).deletionTimestamp);
      const late = await post(mapsIn(namespace), map('late'));
      refused(
        late,
        403,
        'Forbidden',
        `configmaps "late" is forbidden: unable to create new content in namespace ${namespace} because it is being terminated`,
      );
      await until('all but the held one are gone', async () => {
        const policies = names((await get(policiesIn(namespace))).body);
        return policies.length === 0 && (await get(`${mapsIn(namespace)}/free`)).status === 404;
      });
      assert.equal((await get(path)).status, 200);
      await patch(`${mapsIn(namespace)}/held`, MERGE, { metadata: { finalizers: null } });
      await until('the namespace is gone', async () => (await get(path)).status === 404);
    });
  });

  describe('pods', () => {
    const pod = (name: string, spec: Body = {}): Body => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, labels: { component: 'singleuser-server' } },
      spec: { containers: [{ name: 'notebook', image: 'notebook:1' }], ...spec },
    });
    const podsOf = async (): Promise<string> => {
      const namespace = await newNamespace();
      const account = `/api/v1/namespaces/${namespace}/serviceaccounts/default`;
      await until('the service account is there', async () => (await get(account)).status === 200);
      return `/api/v1/namespaces/${namespace}/pods`;
    };

    it('start Pending, as the default account, and go at once before they have a node', async () => {
      const pods = await podsOf();
      const created = await post(pods, pod('one'));
      assert.equal(created.status, 201);
      assert.deepEqual(
        [at(created.body, 'status', 'phase'), at(created.body, 'status', 'qosClass')],
        ['Pending', 'BestEffort'],
      );
      assert.equal(at(created.body, 'spec', 'serviceAccountName'), 'default');
      assert.equal((await remove(`${pods}/one`)).status, 200);
      assert.equal((await get(`${pods}/one`)).status, 404);
    });

    it('need an account that exists', async () => {
      const pods = await podsOf();
      const answer = await post(pods, pod('one', { serviceAccountName: 'nobody' }));
      assert.equal(answer.status, 403);
      assert.match(String(answer.body.message), /serviceaccount "nobody" not found/);
    });

    it('end gracefully once they have a node', async () => {
      const pods = await podsOf();
      await post(pods, pod('one'));
      const bound = await post(`${pods}/one/binding`, {
        apiVersion: 'v1',
        kind: 'Binding',
        metadata: { name: 'one' },
        target: { kind: 'Node', name: 'node-1' },
      });
      assert.equal(bound.status, 201);
      assert.equal(at((await get(`${pods}/one`)).body, 'spec', 'nodeName'), 'node-1');
      const marked = await remove(`${pods}/one`, { gracePeriodSeconds: 20 });
      assert.equal(marked.status, 200);
      assert.equal(metadata(marked.body).deletionGracePeriodSeconds, 20);
      assert.equal((await get(`${pods}/one`)).status, 200);
      await remove(`${pods}/one`, { gracePeriodSeconds: 0 });
      assert.equal((await get(`${pods}/one`)).status, 404);
    });

    it('do not change what they run', async () => {
      const pods = await podsOf();
      const created = await post(pods, pod('one'));
      const changed = await patch(`${pods}/one`, MERGE, { spec: { hostname: 'other' } });
      assert.equal(changed.status, 422);
      assert.match(String(changed.body.message), /pod updates may not change fields other than/);
      const labelled = await patch(`${pods}/one`, MERGE, { metadata: { annotations: { a: 'b' } } });
      assert.deepEqual([labelled.status, labelled.body.spec], [200, created.body.spec]);
      const running = await patch(`${pods}/one/status`, MERGE, { status: { phase: 'Running' } });
      assert.equal(at(running.body, 'status', 'phase'), 'Running');
      assert.deepEqual(names((await get(`${pods}?fieldSelector=status.phase=Running`)).body), ['one']);
    });
  });

  describe('volume claims', () => {
    it('stay while a pod uses them', async () => {
      const namespace = await newNamespace();
      const [claims, pods] = [
        `/api/v1/namespaces/${namespace}/persistentvolumeclaims`,
        `/api/v1/namespaces/${namespace}/pods`,
      ];
      const account = `/api/v1/namespaces/${namespace}/serviceaccounts/default`;
      await until('the service account is there', async () => (await get(account)).status === 200);
      const claim = {
        metadata: { name: 'home' },
        spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '10240Mi' } } },
      };
      const created = await post(claims, claim);
      assert.equal(created.status, 201);
      assert.deepEqual(metadata(created.body).finalizers, ['kubernetes.io/pvc-protection']);
      assert.equal(at(created.body, 'spec', 'resources', 'requests', 'storage'), '10Gi');
      const volumes = [{ name: 'home', persistentVolumeClaim: { claimName: 'home' } }];
      const spec = { containers: [{ name: 'n', image: 'n:1' }], volumes };
      assert.equal((await post(pods, { metadata: { name: 'one' }, spec })).status, 201);
      await post(`${pods}/one/binding`, {
        apiVersion: 'v1',
        kind: 'Binding',
        metadata: { name: 'one' },
        target: { kind: 'Node', name: 'node-1' },
      });
      await remove(`${claims}/home`);
      assert.ok(metadata((await get(`${claims}/home`)).body).deletionTimestamp);
      await remove(`${pods}/one`, { gracePeriodSeconds: 0 });
      await until('the claim is gone', async () => (await get(`${claims}/home`)).status === 404);
    });
  });

  describe('admission policies', () => {
    const policies = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies';
    const bindings = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings';
    const made: string[] = [];
    after(async () => {
      for (const path of made) await remove(path);
    });
    const enforce = async (name: string, labels: Body, spec: Body): Promise<void> => {
      const rule = {
        apiGroups: [''],
        apiVersions: ['v1'],
        operations: ['CREATE', 'UPDATE'],
        resources: ['configmaps'],
      };
      const policy = await post(policies, {
        apiVersion: 'admissionregistration.k8s.io/v1',
        kind: 'ValidatingAdmissionPolicy',
        metadata: { name },
        spec: { matchConstraints: { resourceRules: [rule] }, ...spec },
      });
      assert.equal(policy.status, 201, JSON.stringify(policy.body));
      const binding = await post(bindings, {
        apiVersion: 'admissionregistration.k8s.io/v1',
        kind: 'ValidatingAdmissionPolicyBinding',
        metadata: { name },
        spec: {
          policyName: name,
          validationActions: ['Deny'],
          matchResources: { namespaceSelector: { matchLabels: labels } },
        },
      });
      assert.equal(binding.status, 201, JSON.stringify(binding.body));
      made.push(`${bindings}/${name}`, `${policies}/${name}`);
    };
    const fenced = async (label: string): Promise<string> => {
      const namespace = await newNamespace();
      await patch(`/api/v1/namespaces/${namespace}`, MERGE, { metadata: { labels: { [label]: 'true' } } });
      return namespace;
    };

    it('refuse a revision that goes back, in words', async () => {
      const name = `revision-${randomUUID().slice(0, 8)}`;
      const namespace = await fenced(name);
      const maps = mapsIn(namespace);
      const revision = (value: string): Body =>
        map('one', {}, { annotations: { 'knada.io/revision': value } });
      await post(maps, revision('5'));
      await enforce(
        name,
        { [name]: 'true' },
        {
          matchConditions: [{ name: 'is-update', expression: 'request.operation == "UPDATE"' }],
          variables: [
            {
              name: 'before',
              expression: "int(oldObject.metadata.?annotations[?'knada.io/revision'].orValue('0'))",
            },
            {
              name: 'after',
              expression: "int(object.metadata.?annotations[?'knada.io/revision'].orValue('0'))",
            },
          ],
          validations: [
            {
              expression: 'variables.after >= variables.before',
              messageExpression:
                "'revision ' + string(variables.after) + ' is older than ' + string(variables.before)",
            },
          ],
        },
      );
      await until(
        'the policy holds',
        async () => (await put(`${maps}/one?dryRun=All`, revision('4'))).status === 422,
      );
      refused(
        await put(`${maps}/one`, revision('4')),
        422,
        'Invalid',
        `configmaps "one" is forbidden: ValidatingAdmissionPolicy '${name}' with binding '${name}' denied request: revision 4 is older than 5`,
      );
      assert.equal((await put(`${maps}/one`, revision('5'))).status, 200);
      assert.equal((await put(`${maps}/one`, revision('12'))).status, 200);
      assert.equal((await apply(`${maps}/one`, 'red', revision('9'), '&force=true')).status, 422);
      assert.equal((await apply(`${maps}/one`, 'red', revision('13'), '&force=true')).status, 200);
      assert.equal((await patch(`${maps}/one`, MERGE, { metadata: { annotations: null } })).status, 422);
      assert.equal((await post(mapsIn(await newNamespace()), revision('1'))).status, 201);
    });

    it('know who asks, the namespace, and the reason to give', async () => {
      const name = `identity-${randomUUID().slice(0, 8)}`;
      const maps = mapsIn(await fenced(name));
      await enforce(
        name,
        { [name]: 'true' },
        {
          matchConditions: [{ name: 'not-system', expression: "!object.metadata.name.startsWith('kube-')" }],
          validations: [
            {
              expression: `request.userInfo.username == 'someone@example.com' || namespaceObject.metadata.labels['${name}'] != 'true' || 'system:nobody' in request.userInfo.groups`,
              message: 'only someone may',
              reason: 'Forbidden',
            },
          ],
        },
      );
      await until(
        'the policy holds',
        async () => (await post(`${maps}?dryRun=All`, map('one'))).status === 403,
      );
      refused(
        await post(maps, map('one')),
        403,
        'Forbidden',
        `configmaps "one" is forbidden: ValidatingAdmissionPolicy '${name}' with binding '${name}' denied request: only someone may`,
      );
    });

    it('let pass what they do not match, and fail closed on errors', async () => {
      const name = `errors-${randomUUID().slice(0, 8)}`;
      const maps = mapsIn(await fenced(name));
      await enforce(
        name,
        { [name]: 'true' },
        {
          matchConditions: [{ name: 'has-data', expression: 'has(object.data)' }],
          validations: [{ expression: "object.data['must'] == 'be'" }],
        },
      );
      await until(
        'the policy holds',
        async () => (await post(`${maps}?dryRun=All`, map('one', { must: 'not' }))).status === 422,
      );
      const failed = await post(maps, map('one', { must: 'not' }));
      assert.match(
        String(failed.body.message),
        /denied request: failed expression: object\.data\['must'\] == 'be'$/,
      );
      const broken = await post(maps, map('one', { other: '1' }));
      assert.equal(broken.status, 422);
      assert.match(String(broken.body.message), /resulted in error: .*no such key: must/);
      assert.equal((await post(maps, map('one', { must: 'be' }))).status, 201);
      assert.equal((await post(maps, { metadata: { name: 'two' } })).status, 201);
    });
  });
}

function deployment(name: string): Body {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      selector: { matchLabels: { a: 'b' } },
      template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'main', image: 'm:1' }] } },
    },
  };
}

function at(value: unknown, ...path: readonly string[]): unknown {
  let current = value;
  for (const step of path) {
    current = typeof current === 'object' && current !== null ? (current as Body)[step] : undefined;
  }
  return current;
}

/** Namespaces hold kube-root-ca.crt too, sooner or later. */
const isShort = (name: string): boolean => name.length === 1;

const list = (value: unknown): Body[] => (Array.isArray(value) ? value : []);
const texts = (value: unknown): string[] => (Array.isArray(value) ? value.map(String).toSorted() : []);
const metadata = (body: unknown): Body => (at(body, 'metadata') as Body | undefined) ?? {};
const names = (body: Body): string[] => list(body.items).map((item) => String(metadata(item).name));
/** The fields that a refusal names; the real server says some of them twice. */
const fields = (answer: Answer): unknown[] => [
  ...new Set(list(at(answer.body, 'details', 'causes')).map((cause) => cause.field)),
];

interface Owner {
  readonly manager: unknown;
  readonly operation: unknown;
  readonly apiVersion: unknown;
  readonly fields: unknown;
}

const owners = (body: Body): Owner[] =>
  list(metadata(body).managedFields).map(({ manager, operation, apiVersion, fieldsV1 }) => ({
    manager,
    operation,
    apiVersion,
    fields: fieldsV1,
  }));

const ownedBy = (body: Body, manager: string): unknown =>
  owners(body).find((owner) => owner.manager === manager)?.fields;

function refused(answer: Answer, status: number, reason: string, message: string, details?: Body): void {
  const { kind, apiVersion, status: outcome, code } = answer.body;
  assert.deepEqual(
    {
      status: answer.status,
      reason: answer.body.reason,
      message: answer.body.message,
      kind,
      apiVersion,
      outcome,
      code,
    },
    { status, reason, message, kind: 'Status', apiVersion: 'v1', outcome: 'Failure', code: status },
  );
  if (details !== undefined) assert.deepEqual(answer.body.details, details);
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await holds())) {
    assert.ok(Date.now() < deadline, `waited in vain until ${what}`);
    await delay(25);
  }
}

async function* lines(answer: Response): AsyncGenerator<Event, undefined, undefined> {
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of answer.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    const complete = text.split('\n');
    text = complete.pop() ?? '';
    for (const line of complete) if (line !== '') yield JSON.parse(line);
  }
  return undefined;
}
