import assert from 'node:assert/strict';
import { nameOf } from '@knada/simulators/kubernetes/object.ts';
import type { Kubernetes as Simulator } from '@knada/simulators/kubernetes/server.ts';
import type { V1NetworkPolicy } from '@kubernetes/client-node';
import { refreshHosts } from '../../src/egress/addresses.ts';
import type { Cluster } from '../../src/ports/cluster.ts';
import type { DnsAnswer } from '../../src/ports/dns.ts';
import { Unavailable } from '../../src/ports/unavailable.ts';
import { tick } from '../../src/reconcile/tick.ts';
import { type EgressModel, egressModel, type Host, type Wish } from './egress-model.ts';
import { intercepted, isWrite } from './intercepted.ts';
import { aMoment } from './records.ts';
import { aPod, aWorld, conditionOf, type Kubernetes, signal } from './world.ts';

/** A failing call of a reconcile: the response is lost, before (`after: false`) or after it took effect. */
export interface Fault {
  readonly of: 'calls' | 'writes';
  readonly index: number;
  readonly after: boolean;
}

/** Interference with a reconcile. `meanwhile`: right before one of its writes. */
export interface Weather {
  readonly faults: 'all' | readonly Fault[];
  readonly meanwhile?: { readonly write: number; readonly act: () => Promise<void> };
}
export const calm: Weather = { faults: [] };

/** What DNS says of a host. `each`: of how many of the addresses one answer tells, in turns; 0 tells them all. */
export type Zone =
  | { readonly ips: readonly string[]; readonly each: number }
  | { readonly says: 'absent' | 'dead' };

export type EgressScene = Awaited<ReturnType<typeof egressScene>>;

/**
 * A team, its notebooks and everything that may go wrong with them, each step held to the model. Kubernetes is the
 * simulator through our adapter; what happens to a policy there is seen as it happens, whoever did it.
 */
export const egressScene = async (
  t: { after(cleanUp: () => Promise<unknown>): void },
  simulator: Simulator,
  kubernetes: Kubernetes,
) => {
  const world = await aWorld(t, kubernetes);
  const { store, clock, slug } = world;
  const model: EgressModel = egressModel();
  const namespace = `team-${(await world.create()).id}`;
  const faults: string[] = [];

  /** Whether a change was requested since the reconcile began: it then deletes what it created, which may be `open`. */
  let isOvertaken = false;
  const policies = new Map<string, V1NetworkPolicy>();
  const client = simulator.client('kubectl');
  const stopWatching = client.watch('networkpolicies', { namespace }, (type, object) => {
    const name = nameOf(object);
    if (type === 'DELETED') {
      policies.delete(name);
      if (name === 'notebook-egress-open' && !isOvertaken) model.closed();
    }
    // What the API server lists is a NetworkPolicy, and held to be one by its schema.
    else policies.set(name, object as unknown as V1NetworkPolicy);
    const fault = model.faultOf([...policies.values()], namespace);
    if (fault !== undefined) faults.push(`${fault} (when ${name} was ${type})`);
  });
  t.after(async () => stopWatching());
  const here = () => [...policies.values()];

  let turn = 0;
  const answering = (host: Host, zone: Zone) => (): DnsAnswer => {
    if ('says' in zone) {
      return zone.says === 'absent' ? { answer: 'absent' } : { answer: 'failed', message: 'SERVFAIL' };
    }
    const { ips, each } = zone;
    const told =
      each === 0 ? ips : Array.from({ length: each }, () => ips[turn++ % ips.length] ?? assert.fail());
    model.answered(host, told);
    return { answer: 'addresses', addresses: told.map((address) => ({ address, ttlSeconds: 60 })) };
  };

  const note = (_fields: object, event: string) => void faults.push(event);
  const log = { info: () => undefined, warn: () => undefined, error: note };
  const addresses = { store, dns: world.names, clock, log, random: () => 0 };

  /** The cluster in this weather, and whether the weather struck. */
  const under = ({ faults: some, meanwhile }: Weather) => {
    isOvertaken = false;
    const counts = { calls: 0, writes: 0 };
    const state = { struck: false };
    const strikes = (at: typeof counts, write: boolean, after: boolean): boolean =>
      some === 'all'
        ? !after
        : some.some(
            ({ of, index, after: late }) => late === after && index === at[of] && (of === 'calls' || write),
          );
    const fail = (): never => {
      state.struck = true;
      throw new Unavailable('Kubernetes', 'Kubernetes cannot be reached.');
    };
    // Calls go out side by side: each has to know its own number when its answer comes.
    const numbers = new Map<object, typeof counts>();
    const cluster: Cluster = intercepted(world.cluster, {
      async before(call) {
        const own = { ...counts };
        numbers.set(call, own);
        counts.calls += 1;
        if (isWrite(call)) {
          counts.writes += 1;
          if (meanwhile?.write === own.writes) {
            state.struck = true;
            await meanwhile.act();
          }
        }
        if (strikes(own, isWrite(call), false)) fail();
      },
      after(call) {
        if (strikes(numbers.get(call) ?? counts, isWrite(call), true)) fail();
      },
    });
    return { cluster, state };
  };

  /** After anything that happened: what there is now is no wider than the model says, and the rest is done. */
  const settle = async (): Promise<void> => {
    await simulator.settled();
    const fault = model.faultOf(here(), namespace);
    faults.push(...world.events.map(({ event }) => event).filter((event) => event === 'reconcile failed'));
    assert.deepEqual([...faults, ...(fault === undefined ? [] : [fault])], []);
    if (pods.size === 0 && areAdopted) {
      assert.deepEqual(model.allowed(here(), namespace), [], 'open although no notebook is left');
    }
  };

  /** Pods that are there; `isOver`: they ended and were not deleted. */
  const pods = new Map<string, { isOver: boolean }>();
  const isRunning = () => [...pods.values()].some(({ isOver }) => !isOver);
  /** Whether what is open is known to be open for pods that were seen: then it goes with them, also without us. */
  let areAdopted = true;
  /** Whether the last reconcile failed, so the next one is delayed. */
  let isBehind = false;

  const look = async (weather: Weather, announced = false): Promise<void> => {
    const { cluster, state } = under(weather);
    if (announced) areAdopted = false;
    await world.look(cluster, signal(), { announced });
    isBehind = state.struck;
    if (state.struck) model.disturbed();
    else {
      const team = await world.record();
      assert.equal(conditionOf(team, 'Applied')?.status, 'True', JSON.stringify(team.status));
      model.looked();
      areAdopted = !announced;
    }
    await settle();
  };

  return {
    model,
    look,

    async order(wish: Wish): Promise<void> {
      isOvertaken = true;
      model.asked(wish);
      await world.order({ allowlist: { enabled: wish.enabled, hosts: [...wish.hosts] } });
    },

    async start(name: string): Promise<void> {
      if (pods.has(name)) return;
      await world.put('Pod', aPod(name, { component: 'singleuser-server' }));
      pods.set(name, { isOver: false });
    },

    async delete(name: string): Promise<void> {
      if (!pods.has(name)) return;
      await world.delete('Pod', name);
      pods.delete(name);
      if (!isRunning()) model.stopped();
    },

    async fail(name: string): Promise<void> {
      const pod = pods.get(name);
      if (pod === undefined || pod.isOver) return;
      const path = `/api/v1/namespaces/${namespace}/pods/${name}/status`;
      const failed = { status: { phase: 'Failed' } };
      const { code } = await world.send('PATCH', path, failed, 'application/merge-patch+json');
      assert.equal(code, 200);
      pod.isOver = true;
      if (!isRunning()) model.stopped();
    },

    /** What the scheduler calls every minute, after `minutes`. */
    async tick(weather: Weather, minutes = 1): Promise<void> {
      world.pass(minutes * 60);
      model.passed(minutes);
      const { cluster, state } = under(weather);
      const looked: string[] = [];
      await refreshHosts(addresses, signal());
      await tick({
        store,
        clock,
        cluster,
        hubs: world.hub.port,
        log,
        advanceOperations: async () => 0,
        platform: { hash: 'of now', releaseSpec: () => ({}) },
        rolloutPerTick: 0,
        reconcile: (team, deadline) => {
          assert.equal(team, slug);
          looked.push(team);
          return world.look(cluster, deadline);
        },
      });
      if (state.struck) {
        isBehind = true;
        model.disturbed();
        return settle();
      }
      if (looked.length > 0) {
        isBehind = false;
        model.looked();
        areAdopted = true;
      }
      await settle();
      const missing = model.ticked(here(), namespace, {
        isRunning: isRunning(),
        isBehind,
      });
      assert.deepEqual(missing, [], 'cut off from what was to be open');
      if (!isRunning()) {
        assert.deepEqual(model.allowed(here(), namespace), [], 'open although no notebook runs');
      }
    },

    zone(host: Host, zone: Zone): void {
      world.dns.set(host, answering(host, zone));
      if ('ips' in zone) model.changed(host, zone.ips, zone.each === 0);
      else if (zone.says === 'absent') model.changed(host, [], true);
    },

    /** The clock is put to another time; nothing passes. */
    jump(minutes: number): void {
      world.pass(minutes * 60);
      if (minutes > 0) model.leapt(minutes);
    },

    /** The function is down for a while; users, DNS and Kubernetes continue. */
    away(minutes: number): void {
      world.pass(minutes * 60);
      model.leapt(minutes);
    },

    /** What notebooks reach beyond the baseline. */
    allowed: () => model.allowed(here(), namespace),

    settle,

    /** Flux reports the hub as installed, so the team is reconciled at the regular interval. */
    installed: () =>
      world.report({
        conditions: [
          {
            type: 'Ready',
            status: 'True',
            reason: 'UpgradeSucceeded',
            message: 'Helm upgrade succeeded',
            lastTransitionTime: aMoment,
            observedGeneration: 1_000_000,
          },
        ],
      }),
  };
};
