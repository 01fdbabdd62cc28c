import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import {
  APPLY,
  at,
  type Body,
  deployment,
  fields,
  JSON_PATCH,
  list,
  MERGE,
  metadata,
  ownedBy,
  owners,
  refused,
  texts,
  type WireClient,
} from './client.ts';

export const serverSideApply = (client: WireClient): void => {
  const { get, post, put, patch, apply, newNamespace, mapsIn, policiesIn, repositoriesIn, map, repository } =
    client;

  describe('server-side apply', () => {
    it('apply: creates an object and records the owner of each field', async () => {
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

    it('apply: accepts YAML', async () => {
      const maps = mapsIn(await newNamespace());
      const created = await apply(
        `${maps}/one`,
        'red',
        'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: one\ndata:\n  a: "1"\n',
      );
      assert.equal(created.status, 201);
      assert.deepEqual(created.body.data, { a: '1' });
    });

    it('apply: writes nothing when it is repeated', async () => {
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

    it('apply: needs a manager, a name, and the kind of the path', async () => {
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

    it('apply: refuses undeclared fields', async () => {
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

    it('apply: shares a field that another manager sets to the same value', async () => {
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

    it('apply: names every conflict, and takes the fields when forced', async () => {
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

    it('apply: conflicts with an update, and names its apiVersion', async () => {
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

    it('apply: removes fields that it no longer applies', async () => {
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

    it('apply: keeps fields that an update under the same manager created', async () => {
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

    it('apply: takes ownership over from an update when managedFields are rewritten', async () => {
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

    it('apply: takes over an object with empty managedFields', async () => {
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

    it('apply: refuses another uid', async () => {
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

    it('apply: refuses a stale resourceVersion', async () => {
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

    it('apply: answers the result of a dry run without storing it', async () => {
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

    it('apply: merges containers, ports and variables by key', async () => {
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

    it('apply: refuses two items with the same key', async () => {
      const deployments = `/apis/apps/v1/namespaces/${await newNamespace()}/deployments`;
      const twice = {
        ...deployment('one'),
        spec: { template: { spec: { containers: [{ name: 'a' }, { name: 'a' }] } } },
      };
      const answer = await apply(`${deployments}/one`, 'red', twice);
      assert.equal(answer.status, 500);
      assert.match(String(answer.body.message), /duplicate entries for key/);
    });

    it('apply: owns finalizers and owner references one by one', async () => {
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

    it('apply: owns the rules of a network policy as a whole', async () => {
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

    it('apply: merges a custom resource without a schema by map entry, and replaces lists', async () => {
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

    it('apply: writes status through the subresource only', async () => {
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
};
