import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { type Google, googleEndpoints } from '@knada/simulators/google/server.ts';
import Type, { type Static } from 'typebox';
import { Value } from 'typebox/value';
import { openServiceAccounts } from '../../src/adapters/iam.ts';
import { openSecretManager } from '../../src/adapters/secret-manager.ts';
import { openSqliteStore } from '../../src/adapters/sqlite.ts';
import { buildApp } from '../../src/api/app.ts';
import { assemble } from '../../src/assemble.ts';
import { createLogger } from '../../src/logging.ts';
import type { NamedTeam } from '../../src/model/names.ts';
import type { TeamRecord } from '../../src/model/record.ts';
import type { Values } from '../../src/notebooks/values.ts';
import type { Cluster } from '../../src/ports/cluster.ts';
import type { Outside } from '../../src/ports/outside.ts';
import { type ReleaseState, releaseState } from '../../src/reconcile/release-state.ts';
import { tick } from '../../src/reconcile/tick.ts';
import type { startIssuer } from '../http/issuer.ts';
import { configFor, creators, kari, noRegistries, noReleases } from '../support/api.ts';
import type { Send } from '../support/cluster-files.ts';
import { aHub } from '../support/hub-users.ts';
import { namesOf } from '../support/names.ts';
import { aNaming } from '../support/records.ts';
import { pathOf } from '../support/world.ts';

/** A repository of charts, as a HelmRepository names it. */
export interface ChartRepository {
  /** `<namespace>/<name>` of its HelmRepository. */
  readonly name: string;
  /** Whether it answers; at first it does. */
  answers(yes: boolean): void;
}

/** A cluster with Flux, or with its simulator. */
export interface FluxUnderTest {
  /** With the rights of the product’s own account. */
  readonly cluster: Cluster;
  /** As the cluster’s administrator. */
  readonly send: Send;
  /** Passes each version of the namespace’s HelmReleases from now on, until the result is called. */
  watch(namespace: string, changed: (release: unknown) => void): () => void;
  /** A repository with chart `jupyterhub` 4.4.0 and 4.4.1. */
  repository(): Promise<ChartRepository>;
  /** `helm uninstall`, by hand. */
  uninstall(namespace: string, release: string): Promise<void>;
  /** What Flux has logged lately. */
  logs(): string;
}

/** The platform as its operator has configured it. */
export interface PlatformUnderTest {
  readonly chartVersion?: string;
  /** HUB_VALUES_FILE. */
  readonly values?: Values;
  /** The HelmRelease’s timeout, in place of the product’s ten minutes. */
  readonly timeout?: string;
}

const longestMs = 240_000;
const tickEveryMs = 1_000;

const Condition = Type.Object({
  type: Type.String(),
  status: Type.String(),
  reason: Type.String(),
  message: Type.String(),
});
const NotebookAnswer = Type.Object({
  status: Type.Object({ phase: Type.String(), conditions: Type.Array(Condition) }),
});
const Snapshot = Type.Object({ version: Type.Number(), chartVersion: Type.String(), status: Type.String() });
const Release = Type.Object({
  metadata: Type.Object({
    uid: Type.String(),
    resourceVersion: Type.String(),
    generation: Type.Number(),
    annotations: Type.Optional(Type.Record(Type.String(), Type.String())),
  }),
  spec: Type.Object({
    suspend: Type.Optional(Type.Boolean()),
    chart: Type.Object({ spec: Type.Object({ version: Type.String() }) }),
  }),
  status: Type.Optional(
    Type.Object({
      observedGeneration: Type.Optional(Type.Number()),
      conditions: Type.Optional(Type.Array(Condition)),
      history: Type.Optional(Type.Array(Snapshot)),
      failures: Type.Optional(Type.Number()),
      installFailures: Type.Optional(Type.Number()),
      upgradeFailures: Type.Optional(Type.Number()),
      helmChart: Type.Optional(Type.String()),
      lastHandledReconcileAt: Type.Optional(Type.String()),
      lastHandledResetAt: Type.Optional(Type.String()),
      lastHandledForceAt: Type.Optional(Type.String()),
    }),
  ),
});
export type Release = Static<typeof Release>;
const Watched = Type.Object({
  apiVersion: Type.String(),
  kind: Type.String(),
  metadata: Type.Object({ name: Type.String(), namespace: Type.String(), generation: Type.Number() }),
  spec: Type.Unknown(),
  status: Type.Optional(Type.Unknown()),
});
const Records = Type.Object({
  items: Type.Array(
    Type.Object({
      metadata: Type.Object({ labels: Type.Object({ status: Type.String(), version: Type.String() }) }),
    }),
  ),
});
const Deployment = Type.Object({
  metadata: Type.Object({ uid: Type.String() }),
  spec: Type.Object({
    template: Type.Object({
      metadata: Type.Object({ labels: Type.Record(Type.String(), Type.String()) }),
      spec: Type.Object({
        containers: Type.Array(Type.Object({ image: Type.String() })),
        volumes: Type.Array(
          Type.Object({
            name: Type.String(),
            configMap: Type.Optional(Type.Object({ name: Type.String() })),
          }),
        ),
      }),
    }),
  }),
  status: Type.Optional(Type.Object({ availableReplicas: Type.Optional(Type.Number()) })),
});

/** What getNotebook says. */
export interface Shown {
  /** Undefined when there is no notebook. */
  readonly phase: string | undefined;
  readonly hub: Static<typeof Condition> | undefined;
  readonly applied: Static<typeof Condition> | undefined;
}

/** Phase and reason of HubReady, as `Ready Installed`. */
const summary = ({ phase, hub, applied }: Shown): string =>
  phase === undefined ? 'absent' : `${phase} ${(phase === 'Deleting' ? applied : hub)?.reason ?? '-'}`;

interface After {
  after(cleanUp: () => Promise<unknown>): void;
}

/** What has been seen until something was so, in order and each as often as it came again. */
export interface Journal {
  /** What the notebook said, as `Ready Installed`. */
  readonly journal: readonly string[];
  /** Where the HelmRelease stood, in each of its versions. */
  readonly states: readonly ReleaseState['state'][];
}

export interface Surroundings {
  readonly flux: FluxUnderTest;
  readonly google: Google;
  readonly issuer: Awaited<ReturnType<typeof startIssuer>>;
}

export type NotebookOnFlux = Awaited<ReturnType<typeof aNotebook>>;

/** One team with its notebook, on a product of its own: API, tick and store; and with a repository of charts of its own. */
export const aNotebook = async (
  t: After,
  { flux, google, issuer }: Surroundings,
  platform: PlatformUnderTest = {},
) => {
  const { send } = flux;
  const slug = `t${randomBytes(4).toString('hex')}`;
  const repository = await flux.repository();
  const store = openSqliteStore({ file: ':memory:', naming: aNaming });
  let aheadMs = 0;
  const clock = { now: () => Date.now() + aheadMs };
  const log = createLogger('silent');
  const accessToken = async () => 'local';

  const assembleFor = ({ chartVersion = '4.4.0', values = {}, timeout }: PlatformUnderTest) => {
    const environment = {
      HELM_REPOSITORY: repository.name,
      HUB_CHART_VERSION: chartVersion,
      GOOGLE_ENDPOINTS: googleEndpoints(google.url),
    };
    const config = configFor(issuer, environment, JSON.stringify(values));
    const wire = { project: config.googleProject, endpoints: config.googleEndpoints, accessToken };
    const outside: Outside = {
      store,
      cluster: flux.cluster,
      hubs: aHub().port,
      dns: namesOf(new Map()),
      registries: noRegistries,
      pythonReleases: noReleases,
      secretManager: openSecretManager({ ...wire, region: config.region }),
      serviceAccounts: openServiceAccounts(wire),
      clock,
      log,
    };
    const assembled = assemble(config, outside);
    const timed = (spec: Values): Values => (timeout === undefined ? spec : { ...spec, timeout });
    const { newRelease } = assembled.deps;
    const deps = {
      ...assembled.deps,
      newRelease: (team: NamedTeam) => {
        const release = newRelease(team);
        return { ...release, spec: timed(release.spec) };
      },
    };
    const rollOut = {
      ...assembled.tick.platform,
      releaseSpec: (team: TeamRecord) => timed(assembled.tick.platform.releaseSpec(team)),
    };
    return { app: buildApp({ config, deps }), tick: { ...assembled.tick, platform: rollOut } };
  };

  let product = assembleFor(platform);
  const token = await issuer.token({ preferred_username: kari, groups: creators });
  const call = async (method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: object) => {
    const app = await product.app;
    const deadline = AbortSignal.timeout(longestMs);
    for (;;) {
      const answer = await app.inject({
        method,
        url: `/v1/teams${path}`,
        headers: { authorization: `Bearer ${token}` },
        ...(body === undefined ? {} : { payload: body }),
      });
      // A call may run out of its time on a busy machine; clients are told to try again.
      if (answer.statusCode !== 503)
        return { code: answer.statusCode, body: answer.body === '' ? undefined : answer.json() };
      await wait(tickEveryMs, undefined, { signal: deadline });
    }
  };

  const created = await call('POST', '', { slug });
  assert.equal(created.code, 201, JSON.stringify(created.body));
  const record = async (): Promise<TeamRecord> => {
    const team = await store.team(slug);
    assert.ok(team !== undefined);
    return team;
  };
  const { namespace, releaseName } = (await record()).names;
  t.after(async () => {
    // Flux lets go of a HelmRelease whose release it need not remove.
    await send(
      'PATCH',
      pathOf(namespace, 'HelmRelease', 'jupyterhub'),
      { metadata: { finalizers: null } },
      merge,
    );
    await send('DELETE', pathOf(namespace, 'Namespace'));
    await (await product.app).close();
    await store.close();
  });

  const show = async (): Promise<Shown> => {
    const { code, body } = await call('GET', `/${slug}/notebook`);
    if (code === 404) return { phase: undefined, hub: undefined, applied: undefined };
    assert.equal(code, 200, JSON.stringify(body));
    const { status } = Value.Parse(NotebookAnswer, body);
    const condition = (type: string) => status.conditions.find((one) => one.type === type);
    return { phase: status.phase, hub: condition('HubReady'), applied: condition('Applied') };
  };

  const release = async (): Promise<Release | undefined> => {
    const { code, body } = await send('GET', pathOf(namespace, 'HelmRelease', 'jupyterhub'));
    return code === 404 ? undefined : Value.Parse(Release, body);
  };
  const deployment = async (name = 'hub') => {
    const { code, body } = await send('GET', `/apis/apps/v1/namespaces/${namespace}/deployments/${name}`);
    return code === 404 ? undefined : Value.Parse(Deployment, body);
  };
  /** Helm’s own records of the release, newest first, as `2 deployed`. */
  const records = async (): Promise<readonly string[]> => {
    const { body } = await send(
      'GET',
      `${pathOf(namespace, 'Secret')}?labelSelector=owner%3Dhelm,name%3D${releaseName}`,
    );
    return Value.Parse(Records, body)
      .items.map(({ metadata: { labels } }) => labels)
      .toSorted((a, b) => Number(b.version) - Number(a.version))
      .map(({ version, status }) => `${version} ${status}`);
  };

  /** What HubReady says holds in the cluster, unless Flux has gone on since it was read. */
  const assertTrue = async ({ hub }: Shown, before: Release | undefined): Promise<void> => {
    if (hub?.status !== 'True' || before === undefined) return;
    const [live, [newest], after] = [await deployment(), await records(), await release()];
    if (after?.metadata.resourceVersion !== before.metadata.resourceVersion) return;
    assert.match(
      newest ?? 'no release',
      / deployed$/,
      'HubReady is True, and Helm has not deployed the release',
    );
    const [image] = live?.spec.template.spec.containers ?? [];
    assert.equal(
      image?.image.split(':').at(-1),
      after.spec.chart.spec.version,
      'the hub is of another version',
    );
  };

  const states: ReleaseState['state'][] = [];
  let changed = Promise.withResolvers<void>();
  const stopWatching = flux.watch(namespace, (object) => {
    const { state } = releaseState(Value.Parse(Watched, object));
    if (states.at(-1) !== state) states.push(state);
    changed.resolve();
  });
  t.after(async () => stopWatching());
  /** The states since the last call, and the one at that time. */
  const takeStates = () => {
    const taken = [...states];
    states.splice(0, states.length - 1);
    return taken;
  };

  const untilDue = async (): Promise<void> => {
    aheadMs = Math.max(aheadMs, Date.parse((await record()).reconcile.dueAt) - Date.now());
  };
  let looked: string | undefined;
  /** One call of the scheduler, of those at which the team is due; and what the notebook says then. */
  const look = async (): Promise<Shown> => {
    const before = await release();
    if (before?.metadata.resourceVersion !== looked) {
      await untilDue();
      looked = before?.metadata.resourceVersion;
    }
    await tick(product.tick);
    const shown = await show();
    await assertTrue(shown, before);
    return shown;
  };

  /**
   * Ticks at each change of the HelmRelease, and as the scheduler does. A tick may come too late to see a state that
   * Flux leaves at once, so each version of the HelmRelease is read too.
   */
  const follow = async (
    done: (summary: string, shown: Shown) => boolean | Promise<boolean>,
  ): Promise<Journal> => {
    const journal: string[] = [];
    const deadline = AbortSignal.timeout(longestMs);
    try {
      for (;;) {
        changed = Promise.withResolvers();
        const shown = await look();
        const said = summary(shown);
        // On a busy machine a look may run out of its time; it says so, and that is no news of Flux.
        const isNews = journal.at(-1) !== said && !said.endsWith(' KubernetesUnavailable');
        if (isNews) journal.push(said);
        if (await done(said, shown)) return { journal, states: takeStates() };
        await Promise.race([changed.promise, wait(tickEveryMs, undefined, { signal: deadline })]);
      }
    } catch (error) {
      const now = JSON.stringify(await release(), null, 1);
      throw new Error(`${journal.join(' → ')}\n${now}\n${flux.logs()}`, { cause: error });
    }
  };

  const flag = async (patch: object): Promise<void> => {
    const { code, body } = await send('PATCH', pathOf(namespace, 'HelmRelease', 'jupyterhub'), patch, merge);
    assert.equal(code, 200, JSON.stringify(body));
  };

  return {
    slug,
    namespace,
    repository,
    send,
    call,
    look,
    follow,
    show,
    release,
    deployment,
    records,
    record,
    /** Until the notebook says so, as `Ready Installed`, and Flux has handled this request. */
    until: (wanted: string, request?: string) =>
      follow(
        async (said) =>
          said === wanted &&
          (request === undefined || (await release())?.status?.lastHandledReconcileAt === request),
      ),
    async order(): Promise<void> {
      const { code, body } = await call('PUT', `/${slug}/notebook`, {});
      assert.ok(code === 201 || code === 200, JSON.stringify(body));
    },
    async retry(force: boolean): Promise<string> {
      const { code, body } = await call('POST', `/${slug}/notebook/retry`, { force });
      assert.equal(code, 202, JSON.stringify(body));
      return body.id;
    },
    /** Until the operation has ended, in success. */
    async followOperation(id: string): Promise<void> {
      await follow(async () => {
        const { code, body } = await call('GET', `/${slug}/operations/${id}`);
        assert.equal(code, 200, JSON.stringify(body));
        assert.equal(body.error, undefined, JSON.stringify(body));
        return body.done;
      });
    },
    async deleteNotebook(): Promise<void> {
      const { code, body } = await call('DELETE', `/${slug}/notebook`);
      assert.equal(code, 202, JSON.stringify(body));
    },
    /** The operator deploys the product with another configuration; it has the same store. */
    async deploy(next: PlatformUnderTest): Promise<void> {
      await (await product.app).close();
      product = assembleFor(next);
    },
    /** `flux suspend` and `flux resume`. */
    suspend: (yes: boolean) => flag({ spec: { suspend: yes } }),
    /** `flux reconcile helmrelease`: Flux acts at once, in place of after its interval. */
    async reconcileNow(): Promise<string> {
      const requestedAt = new Date().toISOString();
      await flag({ metadata: { annotations: { 'reconcile.fluxcd.io/requestedAt': requestedAt } } });
      return requestedAt;
    },
    uninstall: () => flux.uninstall(namespace, releaseName),
    /** Time passes until the team is due again, though its HelmRelease has not changed. */
    untilDue,
  };
};

const merge = 'application/merge-patch+json';
