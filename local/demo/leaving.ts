import assert from 'node:assert/strict';
import { at } from '@knada/simulators/kubernetes/json.ts';
import { followed } from './servers.ts';
import { expectStatus, notebook, type Step, untilAllTrue } from './story.ts';

/** Home volumes, and what is kept when a notebook and its team are deleted. */
export const leaving: readonly Step[] = [
  {
    says: 'ordering a larger home grows the existing volume',
    async run(story) {
      const { cluster, kari, namespace } = story;
      // As KubeSpawner creates it at a member’s first start.
      const claim = {
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        metadata: {
          name: 'claim-kari',
          namespace,
          labels: { component: 'singleuser-storage', 'hub.jupyter.org/username': 'kari' },
        },
        spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '10Gi' } } },
      };
      await cluster.create(claim);
      await cluster.updateStatus({ ...claim, status: { phase: 'Bound', capacity: { storage: '10Gi' } } });
      const body = { storage: { home: '20Gi' } };
      const plan = expectStatus(await kari.call('POST', `${notebook}/plan`, { body }), 200);
      assert.equal(at(plan, 'restartsHub'), false);
      expectStatus(await kari.call('PATCH', notebook, { body }), 200);
      const grown = await cluster.get('persistentvolumeclaims', namespace, 'claim-kari');
      assert.equal(at(grown, 'spec', 'resources', 'requests', 'storage'), '20Gi');
      const shrunk = await kari.call('PATCH', notebook, { body: { storage: { home: '5Gi' } } });
      assert.equal(at(expectStatus(shrunk, 409), 'code'), 'cannot_shrink');
    },
  },
  {
    says: 'after all these changes every condition of the notebook is True',
    run: ({ kari }) => untilAllTrue(kari, notebook),
  },
  {
    says: 'deleting the notebook removes the hub and keeps the home volumes',
    async run(story) {
      const { cluster, kari, namespace } = story;
      await followed(story, expectStatus(await kari.call('DELETE', notebook), 202));
      expectStatus(await kari.call('GET', notebook), 404);
      assert.equal(await cluster.get('helmreleases', namespace, 'jupyterhub'), undefined);
      assert.ok(await cluster.get('persistentvolumeclaims', namespace, 'claim-kari'));
      expectStatus(await kari.call('GET', '/teams/team-a'), 200);
    },
  },
  {
    says: 'a team with home volumes is deleted only on explicit request, and nothing is left behind',
    async run(story) {
      const { cluster, kari, namespace } = story;
      const refused = expectStatus(await kari.call('DELETE', '/teams/team-a'), 409);
      assert.equal(at(refused, 'code'), 'homes_exist');
      const told = await kari.call('DELETE', '/teams/team-a?deleteHomes=true&deleteSecret=true');
      await followed(story, expectStatus(told, 202));
      expectStatus(await kari.call('GET', '/teams/team-a'), 404);
      assert.equal(await cluster.get('namespaces', '', namespace), undefined);
    },
  },
];
