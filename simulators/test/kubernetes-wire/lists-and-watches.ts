import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import {
  at,
  type Event,
  isShort,
  lines,
  MERGE,
  metadata,
  names,
  PATIENCE_MS,
  type WireClient,
} from './client.ts';

export const listsAndWatches = (client: WireClient): void => {
  const { get, post, patch, remove, newNamespace, mapsIn, repositoriesIn, map, repository, server } = client;

  describe('lists', () => {
    it('list: sorts by name and carries its resourceVersion', async () => {
      const namespace = await newNamespace();
      for (const name of ['c', 'a', 'b']) await post(mapsIn(namespace), map(name));
      const { body } = await get(`${mapsIn(namespace)}?labelSelector=!none`);
      assert.equal(body.kind, 'ConfigMapList');
      assert.match(String(at(body, 'metadata', 'resourceVersion')), /^\d+$/);
      assert.deepEqual(names(body).filter(isShort), ['a', 'b', 'c']);
    });

    it('list: selects by label', async () => {
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

    it('list: selects by field', async () => {
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

    it('list: pages show one state despite writes in between', async () => {
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

    it('deletecollection: deletes by selector', async () => {
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
      const answer = await server().fetch(path, { signal: abort.signal });
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

    it('watch: sends the changes after its resourceVersion', async () => {
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

    it('watch: sends existing objects first without a resourceVersion', async () => {
      const maps = mapsIn(await newNamespace());
      await post(maps, map('one'));
      const watching = await watch(`${maps}?watch=1&fieldSelector=metadata.name!=kube-root-ca.crt`);
      assert.deepEqual(told(await watching.next()), ['ADDED', 'one']);
      await post(maps, map('two'));
      assert.deepEqual(told(await watching.next()), ['ADDED', 'two']);
      await watching.stop();
    });

    it('watch: sends ADDED and DELETED as labels start and stop matching', async () => {
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

    it('watch: ends after timeoutSeconds', async () => {
      const maps = mapsIn(await newNamespace());
      const answer = await server().fetch(
        `${maps}?watch=true&resourceVersion=0&timeoutSeconds=1&labelSelector=none`,
      );
      assert.equal(await answer.text(), '');
    });

    it('watch: marks the end of the initial events for streaming lists', async () => {
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

    it('watch: follows a single object', async () => {
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
};
