import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import { googleEndpoints, startGoogle } from '@knada/simulators/google/server.ts';
import { openServiceAccounts } from '../../src/adapters/iam.ts';
import { openSecretManager } from '../../src/adapters/secret-manager.ts';
import type { ReconcileDeps } from '../../src/reconcile/context.ts';
import { tick } from '../../src/reconcile/tick.ts';
import { provisioningWith } from '../../src/secrets/provisioning.ts';
import { patchTeam } from '../../src/teams/rules.ts';
import { reports } from '../contracts/reconcile/hub-status.ts';
import { enforcePolicies } from '../support/cluster-files.ts';
import { heldBack, type PortCall } from '../support/held-back.ts';
import { aNaming } from '../support/records.ts';
import { type OpenedSimulator, openSimulator } from '../support/simulated-kubernetes.ts';
import { aWorld, conditionOf, eventually, type World } from '../support/world.ts';

const [kari, ola] = ['kari.nordmann@nav.no', 'ola.nordmann@nav.no'];

type PortName = 'cluster' | 'hubs' | 'secretManager' | 'serviceAccounts';

/** A call that grants access or creates something. */
interface Grant {
  readonly title: string;
  readonly port: PortName;
  readonly fits: (call: PortCall) => boolean;
  /** Only once the hub is installed. */
  readonly needsHub?: true;
}

const creates = (kind: string, name?: string): Grant => ({
  title: `the creation of ${kind} ${name ?? ''}`.trimEnd(),
  port: 'cluster',
  fits: ({ method, given: [manifest] }) => {
    if (method !== 'apply') return false;
    // The port takes manifests.
    const { kind: actual, metadata } = manifest as { kind: string; metadata: { name: string } };
    return actual === kind && (name === undefined || metadata.name === name);
  },
});
const calls = (port: PortName, method: string): Grant => ({
  title: `${port}.${method}`,
  port,
  fits: (call) => call.method === method,
});

/** Every one that a first reconcile makes, then those of a hub that is installed. */
const grants: readonly Grant[] = [
  creates('Namespace'),
  creates('NetworkPolicy', 'notebook-egress-open'),
  creates('ServiceAccount'),
  creates('ConfigMap'),
  creates('Secret'),
  creates('HelmRelease'),
  calls('serviceAccounts', 'createAccount'),
  calls('serviceAccounts', 'setPolicy'),
  calls('secretManager', 'createSecret'),
  calls('secretManager', 'annotate'),
  calls('secretManager', 'setPolicy'),
  { ...calls('hubs', 'addUser'), needsHub: true },
];

const members = (world: World, ...emails: readonly string[]) =>
  world.change((team) =>
    patchTeam(team, { members: emails.map((email) => ({ email, role: 'owner' })) }, world.act(), {
      requester: { email: 'admin@nav.no', isAdmin: true },
    }),
  );

/** A world with a Google of its own: what the product knows of secrets and accounts goes there. */
const aWorldWithGoogle = async (t: TestContext, kubernetes: OpenedSimulator) => {
  const world = await aWorld(t, kubernetes);
  const google = await startGoogle({ project: aNaming.googleProject });
  t.after(() => google.close());
  const endpoints = JSON.parse(googleEndpoints(google.url));
  const ports = {
    cluster: world.cluster,
    hubs: world.hub.port,
    secretManager: openSecretManager({ project: aNaming.googleProject, region: 'europe-north1', endpoints }),
    serviceAccounts: openServiceAccounts({ project: aNaming.googleProject, endpoints }),
  };
  const outside = ({ cluster, hubs, ...own }: typeof ports): Partial<ReconcileDeps> => ({
    cluster,
    hubs,
    google: provisioningWith({
      ...own,
      clock: world.clock,
      workloadPool: `${aNaming.googleProject}.svc.id.goog`,
      wait: async () => undefined,
      random: () => 0,
    }),
  });
  const reconcile = () => world.reconcile(outside(ports));
  return {
    world,
    google,
    ports,
    outside,
    /** Another instance, until the order is in the cluster or the team is gone. */
    otherInstance: () =>
      eventually(async () => {
        const team = await reconcile();
        if (team === undefined) return true;
        return team.deletion === null && team.status.appliedGeneration === team.generation;
      }),
    tick: () =>
      tick({
        store: world.store,
        clock: world.clock,
        cluster: world.cluster,
        hubs: world.hub.port,
        log: { info: () => undefined, warn: () => undefined, error: () => undefined },
        advanceOperations: async () => 0,
        platform: { hash: 'of now', releaseSpec: () => ({}) },
        rolloutPerTick: 0,
        reconcile: (_slug, deadline) => world.reconcile(outside(ports), deadline),
      }),
  };
};
type WorldWithGoogle = Awaited<ReturnType<typeof aWorldWithGoogle>>;

interface Move {
  readonly title: string;
  readonly happens: (world: World) => Promise<unknown>;
  /** What is left of what was wanted before, in words; empty for nothing. */
  readonly leftOvers: (of: WorldWithGoogle, team: { readonly id: string }) => Promise<readonly string[]>;
}

const holdersOf = ({ google, world: _ }: WorldWithGoogle, id: string): readonly string[] =>
  (google.policies.secret(id)?.bindings ?? []).flatMap(({ role, members: some }) =>
    some.map((member) => `${member} has ${role}`),
  );

const moves: readonly Move[] = [
  {
    title: 'a member leaves',
    happens: (world) => members(world, kari),
    leftOvers: async (of, { id }) => [
      ...holdersOf(of, id).filter((one) => one.includes(ola)),
      ...[...of.world.hub.users].filter((name) => name === ola).map((name) => `hub user ${name}`),
    ],
  },
  {
    title: 'the team is deleted',
    happens: (world) => world.deleteTeam(),
    leftOvers: async (of, { id }) => {
      const objects = await of.world.objects(`team-${id}`);
      const account = await of.ports.serviceAccounts.account(id, AbortSignal.timeout(5000));
      const secret = await of.ports.secretManager.secret(id, AbortSignal.timeout(5000));
      return [
        ...[...objects].flatMap(([name, { metadata }]) =>
          metadata.deletionTimestamp === undefined ? [name] : [],
        ),
        ...holdersOf(of, id),
        ...(account === undefined ? [] : [`service account ${account.email}`]),
        ...(secret === undefined ? [] : [`secret ${id}`]),
        ...[...of.world.hub.users].filter((name) => name === ola).map((name) => `hub user ${name}`),
      ];
    },
  },
  {
    title: 'egress is opted into',
    happens: (world) => world.order({ allowlist: { enabled: true, hosts: ['pypi.org'] } }),
    leftOvers: async ({ world }) => {
      const names = [...(await world.objects()).keys()];
      return [
        ...names.filter((name) => name === 'NetworkPolicy notebook-egress-open'),
        ...(names.includes('NetworkPolicy notebook-egress-baseline') ? [] : ['no baseline']),
      ];
    },
  },
];

describe('a call that grants or creates, held back while the order changes', () => {
  let kubernetes: OpenedSimulator;
  before(async () => {
    kubernetes = await openSimulator();
    await enforcePolicies(kubernetes.send);
  });
  after(() => kubernetes.close());

  for (const grant of grants) {
    for (const move of moves) {
      it(`${grant.title}: nothing of the old order is left after ${move.title}`, async (t) => {
        const of = await aWorldWithGoogle(t, kubernetes);
        const { world, ports } = of;
        const team = await world.create();
        if (!grant.needsHub) await members(world, kari, ola);
        await world.order();
        if (grant.needsHub) {
          await of.otherInstance();
          await world.report(reports.ready);
          await of.otherInstance();
          await members(world, kari, ola);
        }
        const held = heldBack(ports[grant.port], grant.fits);
        const late = world.reconcile(of.outside({ ...ports, [grant.port]: held.port }));
        await Promise.race([held.reached, late.then(() => assert.fail(`${grant.title} was never called`))]);

        await move.happens(world);
        await of.otherInstance();
        held.letGo();
        await late;
        await of.tick();

        assert.deepEqual(await move.leftOvers(of, team), []);
        const record = await world.store.team(world.slug);
        if (record === undefined) return;
        assert.equal(record.status.appliedGeneration, record.generation);
        assert.equal(conditionOf(record, 'Applied')?.status, 'True', JSON.stringify(record.status));
      });
    }
  }

  it('has a row for every reconcile call that grants or creates', async (t) => {
    const of = await aWorldWithGoogle(t, kubernetes);
    const { world, ports } = of;
    const seen: PortCall[] = [];
    const watched = <Port extends object>(port: Port): Port =>
      heldBack(port, (call) => {
        seen.push(call);
        return false;
      }).port;
    await world.create();
    await world.order();
    const outside = of.outside({
      cluster: watched(ports.cluster),
      hubs: watched(ports.hubs),
      secretManager: watched(ports.secretManager),
      serviceAccounts: watched(ports.serviceAccounts),
    });
    await world.reconcile(outside);
    await world.report(reports.ready);
    await world.reconcile(outside);
    const harmless = ['read', 'list', 'serves', 'users', 'secret', 'policy', 'account', 'versions'];
    const others = seen.filter(({ method }) => !harmless.includes(method));
    assert.ok(others.length >= grants.length);
    for (const call of others)
      assert.ok(
        grants.some(({ fits }) => fits(call)),
        JSON.stringify(call),
      );
  });

  it('leaves the team due when the order changes while the result is recorded', async (t) => {
    const { world } = await aWorldWithGoogle(t, kubernetes);
    await world.ordered();
    const held = heldBack(world.store, ({ method }) => method === 'change');
    const expired = AbortSignal.abort();
    world.pass(60);
    const late = world.reconcile({ store: held.port }, expired);
    await held.reached;
    await members(world, kari, ola);
    await world.look();
    await world.report(reports.ready);
    await world.look();
    held.letGo();
    await late;
    const { reconcile } = await world.record();
    assert.ok(Date.parse(reconcile.dueAt) <= world.clock.now(), reconcile.dueAt);
  });
});
