import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { at, list, texts, type WireClient } from './client.ts';

export const discovery = (client: WireClient): void => {
  const { send, get } = client;

  describe('discovery', () => {
    it('discovery: answers the version', async () => {
      const { status, body } = await get('/version');
      assert.equal(status, 200);
      assert.equal(body.major, '1');
    });

    it('discovery: lists the core kinds', async () => {
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

    it('discovery: lists groups, versions and custom resources with their status', async () => {
      const { body } = await get('/apis');
      assert.ok(list(body.groups).some((group) => group.name === 'networking.k8s.io'));
      const kinds = await get('/apis/source.toolkit.fluxcd.io/v1');
      assert.ok(list(kinds.body.resources).some((one) => one.name === 'helmrepositories/status'));
    });

    it('discovery: answers the aggregated form on request', async () => {
      const answer = await send('GET', '/apis', undefined, {
        accept: 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList',
      });
      assert.equal(answer.body.kind, 'APIGroupDiscoveryList');
      const group = list(answer.body.items).find((one) => at(one, 'metadata', 'name') === 'apps');
      assert.ok(
        list(at(list(group?.versions)[0], 'resources')).some((one) => one.resource === 'deployments'),
      );
    });

    it('discovery: answers 404 for unknown groups, kinds and subresources', async () => {
      assert.equal((await get('/apis/nothing.example/v1/things')).status, 404);
      const unknown = await get('/api/v1/things');
      assert.equal(unknown.status, 404);
      assert.equal(unknown.body.reason, 'NotFound');
    });
  });
};
