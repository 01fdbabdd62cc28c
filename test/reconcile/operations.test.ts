import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import type { OperationRecord } from '../../src/model/operation.ts';
import { deleteNotebook, retryNotebook } from '../../src/notebooks/rules.ts';
import type { Store } from '../../src/ports/store.ts';
import { operationsWith } from '../../src/servers/operations.ts';
import { deleteTeam } from '../../src/teams/rules.ts';
import { reports } from '../contracts/reconcile/hub-status.ts';
import { heldBack } from '../support/held-back.ts';
import { type OpenedSimulator, openSimulator } from '../support/simulated-kubernetes.ts';
import { aWorld, type World } from '../support/world.ts';

const kari = 'kari.nordmann@nav.no';
const id = 'op-6f1c2a9be0d34c57';

/** The process ended: nothing after this call runs any more. */
class Killed extends Error {}

/** A store that dies with its instance once `lives` calls have arrived, right before the last or right after it. */
const mortal = (store: Store, lives: number, moment: 'before' | 'after') => {
  let made = 0;
  let isDead = false;
  const port = new Proxy(store, {
    get(target, name, receiver) {
      const value: unknown = Reflect.get(target, name, receiver);
      if (typeof value !== 'function') return value;
      return async (...given: readonly unknown[]) => {
        if (isDead) throw new Killed();
        made += 1;
        isDead = made >= lives;
        if (isDead && moment === 'before') throw new Killed();
        const answer: unknown = await Reflect.apply(value, target, given);
        if (isDead) throw new Killed();
        return answer;
      };
    },
  });
  return { port, isDead: () => isDead };
};

const aScene = async (t: TestContext, kubernetes: OpenedSimulator) => {
  const world = await aWorld(t, kubernetes);
  const { slug, clock } = world;
  const ends: string[] = [];
  /** Every store of the scene: it notes when an operation ends. */
  const store: Store = {
    ...world.store,
    changeOperation: (of, which, decide) => {
      let from: OperationRecord | undefined;
      return world.store
        .changeOperation(of, which, (current) => {
          from = current;
          return decide(current);
        })
        .then((to) => {
          if (from?.outcome === null && to?.outcome !== null && to !== undefined)
            ends.push(String(to.outcome));
          return to;
        });
    },
  };
  const unused = () => assert.fail('an operation that follows the reconcile has no business here');
  const operationsOn = (on: Store) =>
    operationsWith(
      {
        store: on,
        clock,
        hubs: world.hub.port,
        cluster: world.cluster,
        access: { prepare: unused, isEffective: unused },
        log: { info: () => {}, warn: () => {} },
      },
      { newId: unused, elapsedMs: clock.now, pause: async () => {} },
    );
  const operations = operationsOn(store);
  const reconcileOn = (on: Store) =>
    world.reconcile({ store: on, settleOperations: (seen) => operationsOn(on).settle(seen) });
  const stored = async (): Promise<OperationRecord> => {
    const found = await world.store.operation(slug, id);
    assert.ok(found);
    return found;
  };
  const follow = (kind: 'delete_team' | 'delete_notebook' | 'retry_notebook') =>
    operations.follow(slug, { id, kind, by: kari, ...(kind === 'delete_team' ? { readers: [kari] } : {}) });
  const gone = { deleteHomes: false, operation: id };
  return {
    world,
    store,
    operations,
    ends,
    stored,
    reconcileOn,
    reconcile: () => reconcileOn(store),
    deleteTeam: async () => {
      await world.change((team) => deleteTeam(team, { ...gone, deleteSecret: false }, world.act()));
      return follow('delete_team');
    },
    deleteNotebook: async () => {
      await world.change((team) => deleteNotebook(team, gone, world.act()));
      return follow('delete_notebook');
    },
    retry: async () => {
      await world.change((team) => retryNotebook(team, false, world.act(), id));
      return follow('retry_notebook');
    },
    /** What the tick of another instance does. */
    async tick() {
      world.pass(60);
      await reconcileOn(store);
      await operationsOn(store).tick();
    },
  };
};

/** An object that a finalizer keeps from being deleted. */
const held = (world: World, kind: string, name: string, finalizers: readonly string[]) =>
  world.edit(kind, name, { metadata: { finalizers } });

describe('operations that follow the reconcile', () => {
  let kubernetes: OpenedSimulator;
  before(async () => {
    kubernetes = await openSimulator();
  });
  after(() => kubernetes.close());

  it('the deletion of a team tells what is left, never less than before, and outlives the team', async (t) => {
    const scene = await aScene(t, kubernetes);
    const { world } = scene;
    await world.ordered();
    await held(world, 'HelmRelease', 'jupyterhub', ['finalizers.fluxcd.io']);
    const opened = await scene.deleteTeam();
    assert.partialDeepStrictEqual(opened, { progress: 0, message: 'The team is about to be deleted.' });
    await scene.reconcile();
    const waiting = await scene.stored();
    assert.partialDeepStrictEqual(waiting, { outcome: null, message: 'Waiting for the hub to go (1 left).' });
    assert.ok(waiting.progress > 0 && waiting.progress < 50, `${waiting.progress}`);

    const foreign = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'theirs', namespace: await world.namespace() },
    };
    await world.put('ConfigMap', foreign);
    await held(world, 'HelmRelease', 'jupyterhub', []);
    await scene.reconcile();
    const blocked = await scene.stored();
    assert.match(blocked.message, /is kept because it holds objects of others: ConfigMap theirs/);
    assert.ok(blocked.progress > waiting.progress && blocked.outcome === null, `${blocked.progress}`);

    await world.delete('ConfigMap', 'theirs');
    while ((await world.store.team(world.slug)) !== undefined) {
      await scene.reconcile();
      world.pass(1);
    }
    assert.partialDeepStrictEqual(await scene.stored(), {
      outcome: 'ready',
      progress: 100,
      message: 'The team is deleted.',
      dueAt: null,
    });
    const { updatedAt, expiresAt } = await scene.stored();
    assert.equal(Date.parse(expiresAt) - Date.parse(updatedAt), 7 * 86_400_000, 'a week from its end');
    assert.deepEqual(scene.ends, ['ready']);
  });

  it('the deletion of a notebook ends when the notebook is gone, not when the notebook is ordered again', async (t) => {
    const scene = await aScene(t, kubernetes);
    const { world } = scene;
    await world.ordered();
    await held(world, 'HelmRelease', 'jupyterhub', ['finalizers.fluxcd.io']);
    await scene.deleteNotebook();
    await scene.reconcile();
    assert.equal((await scene.stored()).outcome, null);
    await held(world, 'HelmRelease', 'jupyterhub', []);
    await scene.reconcile();
    assert.partialDeepStrictEqual(await scene.stored(), {
      outcome: 'ready',
      message: 'The notebook is deleted.',
    });
    await world.order();
    await scene.reconcile();
    assert.deepEqual(scene.ends, ['ready']);
  });

  it('the deletion of a notebook gives way to that of its team', async (t) => {
    const scene = await aScene(t, kubernetes);
    const { world } = scene;
    await world.ordered();
    await held(world, 'HelmRelease', 'jupyterhub', ['finalizers.fluxcd.io']);
    await scene.deleteNotebook();
    await world.deleteTeam();
    await scene.reconcile();
    assert.partialDeepStrictEqual(await scene.stored(), { outcome: 'failed', reason: 'superseded' });
    await held(world, 'HelmRelease', 'jupyterhub', []);
  });

  it('a retry does not end with what Flux said of an earlier attempt', async (t) => {
    const scene = await aScene(t, kubernetes);
    const { world } = scene;
    await world.ordered();
    await world.report(reports.failed);
    await scene.reconcile();
    world.pass(1);
    await scene.retry();
    await scene.reconcile();
    const asked = await scene.stored();
    assert.partialDeepStrictEqual(asked, {
      outcome: null,
      message: 'Flux has been asked to retry the roll-out.',
    });
    const retriedAt = (await world.record()).notebook?.retry?.at;

    await world.report({ ...reports.failed, lastHandledReconcileAt: 'another request' });
    await scene.reconcile();
    assert.equal((await scene.stored()).outcome, null);
    await world.report({ ...reports.ready, lastHandledReconcileAt: retriedAt });
    await scene.reconcile();
    assert.partialDeepStrictEqual(await scene.stored(), { outcome: 'ready', progress: 100 });
    assert.deepEqual(scene.ends, ['ready']);
  });

  it('a retry fails with what Flux says once it has given up, and that is in the history', async (t) => {
    const scene = await aScene(t, kubernetes);
    const { world } = scene;
    await world.ordered();
    await scene.retry();
    await scene.reconcile();
    const retriedAt = (await world.record()).notebook?.retry?.at;
    await world.report({ ...reports.failed, lastHandledReconcileAt: retriedAt });
    await scene.reconcile();
    const over = await scene.stored();
    assert.partialDeepStrictEqual(over, { outcome: 'failed', reason: 'rollout_failed' });
    const [newest] = (await world.store.history(world.slug, { limit: 1 })).items;
    assert.partialDeepStrictEqual(newest, { action: 'notebook_retried', reason: `Failed: ${over.message}` });
  });

  it('a retry of which Flux takes no notice ends within an hour', async (t) => {
    const scene = await aScene(t, kubernetes);
    await scene.world.ordered();
    await scene.retry();
    scene.world.pass(3_601);
    await scene.tick();
    assert.partialDeepStrictEqual(await scene.stored(), { outcome: 'failed', reason: 'rollout_timed_out' });
  });

  for (const kind of ['deleteTeam', 'deleteNotebook'] as const) {
    for (const moment of ['before', 'after'] as const) {
      it(`${kind}: an instance that is killed ${moment} any call to the store leaves one end to others`, async (t) => {
        for (let lives = 1; ; lives += 1) {
          const scene = await aScene(t, kubernetes);
          await scene.world.ordered();
          await scene[kind]();
          const { port, isDead } = mortal(scene.store, lives, moment);
          for (let attempt = 0; attempt < 3 && !isDead(); attempt += 1) {
            await scene.reconcileOn(port).catch((error: unknown) => {
              if (!(error instanceof Killed)) throw error;
            });
          }
          for (let minute = 0; minute < 5 && (await scene.stored()).outcome === null; minute += 1) {
            await scene.tick();
          }
          assert.equal((await scene.stored()).outcome, 'ready', `killed ${moment} call ${lives}`);
          assert.deepEqual(scene.ends, ['ready'], `killed ${moment} call ${lives}`);
          if (!isDead()) {
            assert.ok(lives > 5, `only ${lives} calls`);
            return;
          }
        }
      });
    }
  }

  it('is ended by the tick when the team was removed before it could be recorded', async (t) => {
    const scene = await aScene(t, kubernetes);
    const { world } = scene;
    await world.ordered();
    await scene.deleteTeam();
    const team = await world.record();
    assert.equal(await world.store.remove(world.slug, team), 'removed');
    assert.equal((await scene.stored()).outcome, null);
    world.pass(60);
    await Promise.all([
      scene.operations.tick(),
      scene.operations.tick(),
      scene.operations.poll(world.slug, id),
    ]);
    assert.equal((await scene.stored()).outcome, 'ready');
    assert.deepEqual(scene.ends, ['ready']);
    assert.equal(await scene.operations.tick(), 0);
  });

  it('is not reopened by an instance that was held back with what it had seen', async (t) => {
    const scene = await aScene(t, kubernetes);
    const { world } = scene;
    await world.ordered();
    await held(world, 'HelmRelease', 'jupyterhub', ['finalizers.fluxcd.io']);
    await scene.deleteTeam();
    const back = heldBack(scene.store, ({ method }) => method === 'changeOperation');
    const late = scene.reconcileOn(back.port);
    await back.reached;
    await held(world, 'HelmRelease', 'jupyterhub', []);
    while ((await world.store.team(world.slug)) !== undefined) await scene.tick();
    const over = await scene.stored();
    assert.equal(over.outcome, 'ready');
    back.letGo();
    await late;
    assert.deepEqual(await scene.stored(), over);
    assert.deepEqual(scene.ends, ['ready']);
  });
});
