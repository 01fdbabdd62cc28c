import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { asList, at } from '@knada/simulators/kubernetes/json.ts';
import { openHubs } from '../../src/adapters/jupyterhub.ts';
import { openCluster } from '../../src/adapters/kubernetes.ts';
import { openSqliteStore } from '../../src/adapters/sqlite.ts';
import { kinds } from '../../src/model/kinds.ts';
import type { NotebookSpec } from '../../src/model/notebook.ts';
import type { OperationRecord } from '../../src/model/operation.ts';
import { orderNotebook } from '../../src/notebooks/rules.ts';
import type { Cluster } from '../../src/ports/cluster.ts';
import type { Store } from '../../src/ports/store.ts';
import { type Servers, serversWith } from '../../src/servers/servers.ts';
import { aMoment, aNaming, anEvent, anOrderedRecord, aSpec } from '../support/records.ts';
import { environment, type SimulatedHub, startSimulatedHub } from '../support/simulated-hub.ts';

const kari = 'kari.nordmann@nav.no';
const clock = { now: Date.now };
const log = { info: () => {}, warn: () => {} };

/** The rules of servers on the adapters, a simulated hub and a simulated cluster. */
describe('servers on a simulated hub', () => {
  let simulated: SimulatedHub;
  let cluster: Cluster & { close(): Promise<void> };
  let store: Store & { close(): Promise<void> | void };
  let servers: Servers;
  let ids = 0;

  const team = async () => {
    const found = await store.team('team-a');
    assert.ok(found);
    return found;
  };
  const actor = () => ({ by: kari, now: new Date().toISOString() });
  const finish = async ({ id }: OperationRecord): Promise<OperationRecord> => {
    const deadline = Date.now() + 20_000;
    while (Date.now() < deadline) {
      const operation = await servers.operations.poll('team-a', id);
      assert.ok(operation);
      if (operation.outcome !== null) return operation;
      await wait(20);
    }
    return assert.fail(`The operation does not end: ${id}`);
  };
  const start = async () => await servers.start(await team(), kari, undefined, actor());

  before(async () => {
    simulated = await startSimulatedHub({ timings: { interruptMs: 1_000, pollMs: 50, profilesPollMs: 5 } });
    cluster = openCluster({ kind: 'url', url: simulated.kubernetes.url });
    store = openSqliteStore({ file: ':memory:', naming: aNaming });
    const record = anOrderedRecord({
      ...simulated.team,
      generation: 7,
      members: [{ email: kari, username: kari, role: 'owner' }],
    });
    await store.create(record, anEvent());
    const hubs = openHubs({
      urlTemplate: simulated.url(),
      tokens: () => [simulated.token],
      clock,
      callMs: 30_000,
    });
    // First requests load a client, which blocks this process for longer than a hub may take to answer.
    await cluster.list({ ...kinds.pod, namespace: simulated.namespace }, AbortSignal.timeout(60_000));
    await hubs.addUser(simulated.team, kari, AbortSignal.timeout(60_000));
    servers = serversWith(
      {
        store,
        hubs,
        cluster,
        clock,
        log,
        hubTimeoutMs: 15_000,
        access: { prepare: async () => {}, isEffective: async () => true },
      },
      {
        environments: async () => [environment],
        newId: () => {
          ids += 1;
          return `op-${ids.toString(16).padStart(16, '0')}`;
        },
        // Every poll may take a step.
        elapsedMs: () => performance.now() * 1_000,
        pause: (ms) => wait(ms / 100),
      },
    );
  });
  after(async () => {
    await cluster.close();
    await store.close();
    await simulated.close();
    assert.deepEqual(simulated.failures, []);
  });

  it('starts again after a forced stop of a pending start', async () => {
    const release = simulated.hubs.hold('team-a', kari, 'start');
    const pending = await start();
    assert.equal(pending.outcome, null);
    const stopped = await finish(await servers.stop(await team(), kari, true, actor()));
    assert.equal(stopped.outcome, 'ready', stopped.message);
    release();
    const started = await finish(await start());
    assert.equal(started.outcome, 'ready', started.message);
    const [server] = await servers.list(await team());
    assert.equal(server?.state, 'running');
    await finish(await servers.stop(await team(), kari, false, actor()));
  });

  it('cancels a pending start for a stop, and starts again afterwards', async () => {
    const release = simulated.hubs.hold('team-a', kari, 'start');
    const pending = await start();
    assert.equal(pending.outcome, null, pending.message);
    const stopped = await finish(await servers.stop(await team(), kari, false, actor()));
    assert.equal(stopped.outcome, 'ready', stopped.message);
    assert.equal((await finish(pending)).reason, 'cancelled');
    release();
    const started = await finish(await start());
    assert.equal(started.outcome, 'ready', started.message);
    await finish(await servers.stop(await team(), kari, false, actor()));
  });

  it('brings the team’s image to a running server with a restart, until the member chooses otherwise', async () => {
    const reference = (tag: number) => `ghcr.io/navikt/our-notebook:${tag}`;
    const pinned = (tag: number) => ({
      reference: reference(tag),
      digest: `sha256:${'a'.repeat(64)}`,
      resolvedAt: aMoment,
      newerDigest: null,
    });
    const release = { platformHash: 'platform-1', spec: {} };
    /** Orders this configuration, and mounts its profiles at the hub. */
    const order = async (spec: Partial<NotebookSpec>, tag: number | null) => {
      const image = tag === null ? null : pinned(tag);
      const full = aSpec({ ...spec, image: image?.reference ?? null });
      await store.change('team-a', (current) =>
        orderNotebook(current, { spec: full, image, release }, actor(), 'notebook_changed'),
      );
      const { generation, notebook } = await team();
      assert.ok(notebook);
      await simulated.mount(generation, {}, [environment], notebook);
      await simulated.touchHubPod(String(generation));
    };
    const restarted = async (profile?: string) => {
      const operation = await servers.restart(
        await team(),
        kari,
        profile === undefined ? {} : { profile },
        actor(),
      );
      const { outcome, message } = await finish(operation);
      assert.equal(outcome, 'ready', message);
    };
    const shown = async () => {
      const [server] = await servers.list(await team());
      assert.ok(server);
      return server;
    };
    const pointers = async () => (await shown()).pendingChanges?.map(({ pointer }) => pointer);
    const images = async () => {
      const { namespace } = simulated;
      const pods = await simulated.client.list('pods', {
        namespace,
        labelSelector: 'component=singleuser-server',
      });
      return pods.map((pod) => at(asList(at(pod, 'spec', 'containers'))[0] ?? null, 'image'));
    };

    await finish(await start());
    assert.deepEqual((await shown()).profile, { slug: 'python-3-13', displayName: 'Python 3.13' });
    assert.deepEqual(await pointers(), []);

    await order({}, 1);
    assert.deepEqual(await pointers(), ['/profile', '/image']);
    assert.equal((await shown()).pendingRestart, true);
    await restarted();
    assert.deepEqual(await images(), [`${reference(1)}@sha256:${'a'.repeat(64)}`]);
    assert.deepEqual(await pointers(), []);

    await restarted('python-3-13');
    assert.deepEqual(await images(), [`${environment.image}@${environment.digest}`]);
    assert.deepEqual(await pointers(), [], 'the member chose it after the image was ordered');
    const memory = { guarantee: '1Gi', limit: '4Gi' };
    await order({ resources: { ...aSpec().resources, memory } }, 1);
    assert.deepEqual(await pointers(), ['/resources/memory/limit']);
    await restarted();
    assert.equal((await shown()).profile?.slug, 'python-3-13');

    await order({}, 2);
    await finish(await servers.stop(await team(), kari, false, actor()));
    await finish(await start());
    assert.deepEqual(await images(), [`${reference(2)}@sha256:${'a'.repeat(64)}`]);

    await order({}, null);
    assert.deepEqual(await pointers(), ['/profile', '/image']);
    await restarted();
    assert.equal((await shown()).profile?.slug, 'python-3-13');
    await finish(await servers.stop(await team(), kari, false, actor()));
  });
});
