import assert from 'node:assert/strict';
import { asList, asText, at, type Json } from '@knada/simulators/kubernetes/json.ts';
import { apiAt } from './api.ts';
import { expectStatus, isReady, notebook, type Step, until, withoutInstance } from './story.ts';

/** Callers without access, and an unreachable cluster. */
export const resilience: readonly Step[] = [
  {
    says: "a stranger's 404 is the same as for a team that does not exist",
    async run({ sandbox }) {
      const ola = apiAt(sandbox.url('api'), await sandbox.issuer.token({ email: 'ola.nordmann@nav.no' }));
      const hidden = await ola.call('GET', notebook);
      const missing = await ola.call('GET', notebook.replace('team-a', 'team-z'));
      expectStatus(hidden, 404);
      expectStatus(missing, 404);
      assert.deepEqual(withoutInstance(hidden.body), withoutInstance(missing.body));
    },
  },
  {
    says: 'while Kubernetes is unreachable an order is accepted and shown as Pending with the reason',
    async run({ kari, kubernetes }) {
      kubernetes.faults.set(() => ({ drop: true }));
      expectStatus(await kari.call('POST', '/teams', { body: { slug: 'team-b' } }), 201);
      const ordered = expectStatus(await kari.call('PUT', '/teams/team-b/notebook', { body: {} }), 201);
      assert.equal(at(ordered, 'status', 'phase'), 'Pending');
      const applied = asList(at(ordered, 'status', 'conditions')).find(
        (one) => at(one, 'type') === 'Applied',
      );
      assert.equal(at(applied, 'status'), 'Unknown');
      assert.match(asText(at(applied, 'reason')), /Unavailable$/);
      assert.notEqual(at(applied, 'message'), '');
    },
  },
  {
    says: 'the next tick after Kubernetes returns applies the order',
    async run(story) {
      story.kubernetes.faults.set(undefined);
      const selection = { labelSelector: 'knada.io/team=team-b' };
      // Reads the cluster only: a GET of the notebook would reconcile it too.
      await until(story, 'helmreleases', selection, (found) => found.some(isReady), 'the hub of team-b');
      const events = story.kari.events('/teams/team-b/notebook/events');
      let last: Json = null;
      for await (const event of events) last = event;
      assert.equal(at(last, 'status', 'phase'), 'Ready');
    },
  },
];
