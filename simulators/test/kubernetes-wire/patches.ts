import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { at, deployment, JSON_PATCH, list, MERGE, metadata, STRATEGIC, type WireClient } from './client.ts';

export const patches = (client: WireClient): void => {
  const { get, post, put, patch, newNamespace, mapsIn, policiesIn, repositoriesIn, map, repository } = client;

  describe('patches', () => {
    it('merge patch: removes on null and replaces lists', async () => {
      const namespace = await newNamespace();
      const repositories = repositoriesIn(namespace);
      await post(repositories, repository('one', { a: { b: 1, c: 2 }, list: [1, 2] }));
      const patched = await patch(`${repositories}/one`, MERGE, {
        spec: { a: { b: null, d: 3 }, list: [3] },
      });
      assert.deepEqual(patched.body.spec, { a: { c: 2, d: 3 }, list: [3] });
    });

    it('strategic merge patch: merges and deletes items of keyed lists', async () => {
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

    it('strategic merge patch: is refused for custom resources', async () => {
      const repositories = repositoriesIn(await newNamespace());
      await post(repositories, repository('one', {}));
      assert.equal((await patch(`${repositories}/one`, STRATEGIC, { spec: { a: 1 } })).status, 415);
    });

    it('JSON patch: applies all operations in order, or none', async () => {
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

    it('patch: refuses an unknown media type', async () => {
      const maps = mapsIn(await newNamespace());
      await post(maps, map('one'));
      assert.equal((await patch(`${maps}/one`, 'application/json', {})).status, 415);
    });
  });

  describe('generation and status', () => {
    it('generation: counts changes of the spec only', async () => {
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

    it('generation: exists for network policies and deployments, not for config maps', async () => {
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
};
