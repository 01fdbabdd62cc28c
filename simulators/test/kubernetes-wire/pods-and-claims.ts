import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { at, type Body, MERGE, metadata, names, until, type WireClient } from './client.ts';

export const podsAndClaims = (client: WireClient): void => {
  const { get, post, patch, remove, newNamespace } = client;

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

    it('pod: refuses white space around an image, and accepts any other name', async () => {
      const pods = await podsOf();
      const withImage = (name: string, image: string): Body =>
        pod(name, { containers: [{ name: 'notebook', image }] });
      for (const image of [' notebook:1', 'notebook:1\n', 'notebook:1\u00a0']) {
        const refused = await post(pods, withImage('one', image));
        assert.equal(refused.status, 422, JSON.stringify(image));
        assert.match(
          String(refused.body.message),
          /spec\.containers\[0\]\.image: Invalid value: .*: must not have leading or trailing whitespace$/,
        );
      }
      assert.equal((await post(pods, withImage('one', 'Note book:1'))).status, 201);
    });

    it('pod: starts Pending as the default account, and is deleted at once before it has a node', async () => {
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

    it('pod: needs an existing service account', async () => {
      const pods = await podsOf();
      const answer = await post(pods, pod('one', { serviceAccountName: 'nobody' }));
      assert.equal(answer.status, 403);
      assert.match(String(answer.body.message), /serviceaccount "nobody" not found/);
    });

    it('pod: is deleted gracefully once it has a node', async () => {
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

    it('pod: refuses changes of immutable fields', async () => {
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
    it('volume claim: is kept while a pod uses it', async () => {
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
};
