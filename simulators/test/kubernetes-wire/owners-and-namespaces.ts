import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';
import { at, type Body, list, MERGE, metadata, names, refused, until, type WireClient } from './client.ts';

export const ownersAndNamespaces = (client: WireClient): void => {
  const { get, post, patch, remove, newNamespace, mapsIn, policiesIn, map } = client;

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

    it('garbage collection: deletes an object once its last owner is gone', async () => {
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

    it('garbage collection: ignores owners that never existed or have another uid', async () => {
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

    it('garbage collection: keeps dependents of an owner that is deleted with Orphan', async () => {
      const maps = mapsIn(await newNamespace());
      const owner = (await post(maps, map('owner'))).body;
      await post(maps, owned('child', [owner]));
      await remove(`${maps}/owner`, { propagationPolicy: 'Orphan' });
      await until('the owner is gone', async () => (await get(`${maps}/owner`)).status === 404);
      const child = await get(`${maps}/child`);
      assert.deepEqual([child.status, metadata(child.body).ownerReferences], [200, undefined]);
    });

    it('garbage collection: keeps an owner in the foreground until its blocking dependents are gone', async () => {
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
    it('namespace: gets a default service account', async () => {
      const namespace = await newNamespace();
      await until(
        'it is there',
        async () => (await get(`/api/v1/namespaces/${namespace}/serviceaccounts/default`)).status === 200,
      );
    });

    it('namespace: is emptied before it is deleted, and refuses new objects meanwhile', async () => {
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
};
