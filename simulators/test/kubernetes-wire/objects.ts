import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';
import { at, type Body, fields, list, MERGE, metadata, refused, type WireClient } from './client.ts';

export const objects = (client: WireClient): void => {
  const { send, get, post, put, patch, remove, newNamespace, mapsIn, policiesIn, map } = client;

  describe('objects', () => {
    it('create: gives an object a uid, a version and a creation time', async () => {
      const maps = mapsIn(await newNamespace());
      const created = await post(maps, map('one', { a: '1' }));
      assert.equal(created.status, 201);
      const { uid, resourceVersion, creationTimestamp } = metadata(created.body);
      assert.match(String(uid), /^[0-9a-f-]{36}$/);
      assert.match(String(resourceVersion), /^\d+$/);
      assert.match(String(creationTimestamp), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      assert.deepEqual((await get(`${maps}/one`)).body, created.body);
    });

    it('create: refuses a name that is taken', async () => {
      const maps = mapsIn(await newNamespace());
      await post(maps, map('one'));
      refused(await post(maps, map('one')), 409, 'AlreadyExists', 'configmaps "one" already exists', {
        name: 'one',
        kind: 'configmaps',
      });
    });

    it('every verb: answers 404 for a missing object', async () => {
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

    it('create: needs an existing namespace, the one in the path', async () => {
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

    it('create: refuses an invalid name', async () => {
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

    it('create: generates a name from generateName', async () => {
      const maps = mapsIn(await newNamespace());
      const created = await post(maps, { metadata: { generateName: 'made-' } });
      assert.equal(created.status, 201);
      assert.match(String(metadata(created.body).name), /^made-[a-z0-9]{5}$/);
    });

    it('create: refuses invalid labels', async () => {
      const maps = mapsIn(await newNamespace());
      const bad = await post(maps, map('one', {}, { labels: { '-x': 'y z' } }));
      assert.equal(bad.status, 422);
      assert.deepEqual(fields(bad), ['metadata.labels']);
    });

    it('create: refuses malformed JSON, another kind and wrong types', async () => {
      const maps = mapsIn(await newNamespace());
      assert.equal((await send('POST', maps, '{"kind":')).status, 400);
      assert.equal((await post(maps, { ...map('one'), kind: 'Secret' })).status, 400);
      const typed = await post(maps, map('one', { a: 1 }));
      assert.equal(typed.status, 400);
      assert.equal(typed.body.reason, 'BadRequest');
      assert.equal((await send('POST', maps, '{}', { 'content-type': 'text/plain' })).status, 415);
    });

    it('create: drops unknown fields with a warning, or refuses them under strict validation', async () => {
      const maps = mapsIn(await newNamespace());
      const warned = await post(maps, { ...map('one', { a: '1' }), dato: {} });
      assert.equal(warned.status, 201);
      assert.equal(warned.headers.get('warning'), '299 - "unknown field \\"dato\\""');
      assert.equal('dato' in warned.body, false);
      const strict = await post(`${maps}?fieldValidation=Strict`, { ...map('two'), dato: {} });
      assert.equal(strict.status, 400);
      assert.match(String(strict.body.message), /strict decoding error: unknown field "dato"/);
    });

    it('update: refuses a stale resourceVersion', async () => {
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

    it('update: refuses changes of immutable fields', async () => {
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

    it('dry run: changes nothing', async () => {
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

    it('update: keeps the resourceVersion when nothing changes', async () => {
      const maps = mapsIn(await newNamespace());
      const created = await post(maps, map('one', { a: '1' }));
      const same = await put(`${maps}/one`, created.body);
      assert.deepEqual(same.body, created.body);
      assert.deepEqual((await patch(`${maps}/one`, MERGE, { data: { a: '1' } })).body, created.body);
    });

    it('delete: honours preconditions', async () => {
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

    it('delete: waits for finalizers and refuses new ones', async () => {
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

    it('finalizers: need a qualified name', async () => {
      const maps = mapsIn(await newNamespace());
      const bad = await post(maps, map('one', {}, { finalizers: ['mine'] }));
      assert.equal(bad.status, 422);
    });

    it('create: sets the defaults of secrets, namespaces, network policies and services', async () => {
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

    it('get: answers a table when kubectl asks for one', async () => {
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
};
