import assert from 'node:assert/strict';
import type { InjectOptions, LightMyRequestResponse } from 'fastify';
import { openSqliteStore } from '../../src/adapters/sqlite.ts';
import { buildApp, type RouteDeps } from '../../src/api/app.ts';
import { assemble } from '../../src/assemble.ts';
import { loadConfig } from '../../src/config.ts';
import { openapiDocument } from '../../src/http/openapi.ts';
import { statusOf } from '../../src/http/problem.ts';
import { createLogger } from '../../src/logging.ts';
import type { HistoryRecord } from '../../src/model/history.ts';
import type { Fault, ProblemCode } from '../../src/model/problems.ts';
import type { TeamRecord } from '../../src/model/record.ts';
import type { Cluster } from '../../src/ports/cluster.ts';
import type { Hubs } from '../../src/ports/hubs.ts';
import type { Outside } from '../../src/ports/outside.ts';
import type { PythonReleases, Registries } from '../../src/ports/registries.ts';
import type { SecretManager } from '../../src/ports/secret-manager.ts';
import type { ServiceAccounts } from '../../src/ports/service-accounts.ts';
import type { Store } from '../../src/ports/store.ts';
import { Unavailable } from '../../src/ports/unavailable.ts';
import { startIssuer } from '../http/issuer.ts';
import { contractOf } from '../openapi/contract.ts';
import { namesOf } from './names.ts';
import { aMoment, aNaming } from './records.ts';

export type Answer = LightMyRequestResponse;

/** Revision and status version in the ETag of an answer. */
export const versionIn = ({ headers }: Answer): string | undefined =>
  /^"[a-z][a-z0-9-]*-[0-9a-f]{4}\.([0-9]+\.[0-9]+)"$/.exec(String(headers.etag))?.[1];

type Headers = Readonly<Record<string, string>>;
type Body = object | string | Buffer;

/** The requests of one caller. Every response is validated against the OpenAPI document. */
export interface Client {
  get(url: string, headers?: Headers): Promise<Answer>;
  put(url: string, body?: Body, headers?: Headers): Promise<Answer>;
  post(url: string, body?: Body, headers?: Headers): Promise<Answer>;
  patch(url: string, body?: Body, headers?: Headers): Promise<Answer>;
  delete(url: string, headers?: Headers): Promise<Answer>;
  send(request: InjectOptions & { readonly url: string }): Promise<Answer>;
}

/** Everything that the store returns for every team. */
type Everything = readonly { readonly team: TeamRecord; readonly history: readonly HistoryRecord[] }[];

/** The parts of the outside world that a test decides about; by default nothing happens and nothing is there. */
export interface Decided
  extends Pick<RouteDeps, 'reconcile' | 'look' | 'hasHomes' | 'hasSecret' | 'pinImage' | 'registries'> {
  /** What the product writes to and reads from; by default the store itself. */
  readonly store: Store;
  readonly hubs: Hubs;
  readonly cluster: Cluster;
  readonly secretManager: SecretManager;
  readonly serviceAccounts: ServiceAccounts;
}

/** Groups of tokens, as the configuration below knows them. */
export const admins = ['knada-admins'];
export const creators = ['knada-creators'];
export const kari = 'kari.nordmann@nav.no';
export const ola = 'ola.nordmann@nav.no';

/** No test of the API reaches a cluster without saying so. */
const noCluster: Cluster = {
  read: () => assert.fail('the cluster was read'),
  list: () => Promise.reject(new Unavailable('cluster', 'The cluster does not answer.')),
  apply: () => assert.fail('something was applied'),
  patch: () => assert.fail('something was patched'),
  remove: () => assert.fail('something was removed'),
  serves: () => assert.fail('the cluster was asked what it serves'),
};

/** The product’s configuration with one issuer, and with the text of its file of hub values. */
export const configFor = (
  issuer: { readonly url: string; readonly audience: string },
  more: Headers = {},
  hubValues = '{}',
) =>
  loadConfig(
    {
      STORE: 'sqlite::memory:',
      GOOGLE_CLOUD_PROJECT: 'knada-gcp',
      CLUSTER: 'http://127.0.0.1:1',
      AUTH_ISSUERS: JSON.stringify([
        {
          issuer: issuer.url,
          audience: issuer.audience,
          algorithms: ['ES256'],
          userClaim: 'preferred_username',
          groupsClaim: 'groups',
        },
      ]),
      PLATFORM_ADMIN_GROUPS: admins.join(','),
      TEAM_CREATORS: creators.join(','),
      HUB_URL_TEMPLATE: 'https://{slug}.jupyter.knada.io',
      HUB_API_URL_TEMPLATE: 'https://{slug}.jupyter.knada.io',
      HUB_MASTER_KEYS: `first:${'5ec0'.repeat(16)}`,
      HUB_VALUES_FILE: 'hub-values.yaml',
      ALLOW_INSECURE_HUB_AUTH: '1',
      RATE_LIMIT_PER_MINUTE: '0',
      // A suite makes many teams as one person.
      MAX_TEAMS_PER_PERSON: '100000',
      ...more,
    },
    () => hubValues,
  );

/** An address without a listener. */
const unknown = async () => ({ answer: 'unknown', message: 'The registry does not answer.' }) as const;
export const noRegistries: Registries = {
  digest: unknown,
  inspect: unknown,
  tags: unknown,
  garImages: unknown,
};
const noHub = () => Promise.reject(new Unavailable('hub', 'The hub does not answer.'));
export const noHubs: Hubs = {
  version: noHub,
  users: noHub,
  user: noHub,
  addUser: noHub,
  removeUser: noHub,
  start: noHub,
  stop: noHub,
  progress: () => assert.fail('a hub was asked for progress'),
  reportActivity: noHub,
  isBusy: noHub,
};
const noVaultCall = () =>
  Promise.reject(new Unavailable('secret-manager', 'Secret Manager does not answer.'));
export const noVault: SecretManager = {
  secret: noVaultCall,
  createSecret: noVaultCall,
  annotate: noVaultCall,
  deleteSecret: noVaultCall,
  policy: noVaultCall,
  setPolicy: noVaultCall,
  versions: noVaultCall,
  addVersion: noVaultCall,
  setEnabled: noVaultCall,
};
const noIdentity = () => Promise.reject(new Unavailable('iam', 'IAM does not answer.'));
export const noIdentities: ServiceAccounts = {
  account: noIdentity,
  createAccount: noIdentity,
  deleteAccount: noIdentity,
  policy: noIdentity,
  setPolicy: noIdentity,
};
export const noReleases: PythonReleases = {
  releaseCycle: () => assert.fail('Python was asked for its releases'),
  jupyterTags: () => assert.fail('Jupyter was asked for its images'),
};

/**
 * The API as it is deployed, on an empty store in memory, with an issuer of its own. The clock stands still until
 * a test moves it.
 */
export const openApi = async ({
  environment = {},
  store = openSqliteStore({ file: ':memory:', naming: aNaming }),
}: {
  readonly environment?: Headers;
  readonly store?: Store;
} = {}) => {
  const issuer = await startIssuer();
  const config = configFor(issuer, environment);
  let now = Date.parse(aMoment);
  const clock = { now: () => now };
  const untouched: Decided = {
    store,
    reconcile: async (team) => team,
    look: async (team) => team,
    hasHomes: async () => false,
    hasSecret: async () => false,
    pinImage: () => assert.fail('a registry was asked'),
    registries: noRegistries,
    hubs: noHubs,
    cluster: noCluster,
    secretManager: noVault,
    serviceAccounts: noIdentities,
  };
  const outside = { ...untouched };
  const dns = new Map<string, readonly string[]>();
  const adapters: Outside = {
    store: new Proxy(store, { get: (_, name) => Reflect.get(outside.store, name) }),
    cluster: {
      read: (...asked) => outside.cluster.read(...asked),
      list: (...asked) => outside.cluster.list(...asked),
      apply: (...asked) => outside.cluster.apply(...asked),
      patch: (...asked) => outside.cluster.patch(...asked),
      remove: (...asked) => outside.cluster.remove(...asked),
      serves: (...asked) => outside.cluster.serves(...asked),
    },
    hubs: {
      version: (...asked) => outside.hubs.version(...asked),
      users: (...asked) => outside.hubs.users(...asked),
      user: (...asked) => outside.hubs.user(...asked),
      addUser: (...asked) => outside.hubs.addUser(...asked),
      removeUser: (...asked) => outside.hubs.removeUser(...asked),
      start: (...asked) => outside.hubs.start(...asked),
      stop: (...asked) => outside.hubs.stop(...asked),
      progress: (...asked) => outside.hubs.progress(...asked),
      reportActivity: (...asked) => outside.hubs.reportActivity(...asked),
      isBusy: (...asked) => outside.hubs.isBusy(...asked),
    },
    dns: namesOf(dns),
    registries: noRegistries,
    pythonReleases: noReleases,
    secretManager: {
      secret: (...asked) => outside.secretManager.secret(...asked),
      createSecret: (...asked) => outside.secretManager.createSecret(...asked),
      annotate: (...asked) => outside.secretManager.annotate(...asked),
      deleteSecret: (...asked) => outside.secretManager.deleteSecret(...asked),
      policy: (...asked) => outside.secretManager.policy(...asked),
      setPolicy: (...asked) => outside.secretManager.setPolicy(...asked),
      versions: (...asked) => outside.secretManager.versions(...asked),
      addVersion: (...asked) => outside.secretManager.addVersion(...asked),
      setEnabled: (...asked) => outside.secretManager.setEnabled(...asked),
    },
    serviceAccounts: {
      account: (...asked) => outside.serviceAccounts.account(...asked),
      createAccount: (...asked) => outside.serviceAccounts.createAccount(...asked),
      deleteAccount: (...asked) => outside.serviceAccounts.deleteAccount(...asked),
      policy: (...asked) => outside.serviceAccounts.policy(...asked),
      setPolicy: (...asked) => outside.serviceAccounts.setPolicy(...asked),
    },
    clock,
    log: createLogger('silent'),
  };
  const passing = {
    elapsedMs: () => now,
    pause: async (ms: number) => {
      now += ms;
    },
  };
  const assembled = assemble(config, adapters, passing).deps;
  const reconciled: string[] = [];
  const deps: RouteDeps = {
    ...assembled,
    reconcile: (team) => {
      reconciled.push(team.slug);
      return outside.reconcile(team);
    },
    look: (team) => outside.look(team),
    hasHomes: (team) => outside.hasHomes(team),
    hasSecret: (team) => outside.hasSecret(team),
    pinImage: (...asked) => outside.pinImage(...asked),
    registries: {
      digest: (...asked) => outside.registries.digest(...asked),
      inspect: (...asked) => outside.registries.inspect(...asked),
      tags: (...asked) => outside.registries.tags(...asked),
      garImages: (...asked) => outside.registries.garImages(...asked),
    },
  };
  const app = await buildApp({ config, deps });
  await app.ready();
  const document = await openapiDocument(app);
  const faultsOf = contractOf(document);

  const clientWith = (headersOf: () => Promise<Headers>): Client => {
    const send: Client['send'] = async (request) => {
      const { method = 'GET', url } = request;
      const headers = { ...(await headersOf()), ...request.headers };
      const answer = await app.inject({ ...request, headers });
      const { statusCode: status, body } = answer;
      const faults = faultsOf({ method, url, status, headers: answer.headers, body });
      assert.deepEqual(faults, [], faults.join('\n'));
      return answer;
    };
    /** Text is sent as it is, and as JSON unless the headers say otherwise. */
    const sending =
      (method: 'PUT' | 'POST' | 'PATCH') =>
      (url: string, payload?: Body, headers: Headers = {}) =>
        payload === undefined
          ? send({ method, url, headers })
          : send({ method, url, payload, headers: { 'content-type': 'application/json', ...headers } });
    return {
      send,
      get: (url, headers = {}) => send({ method: 'GET', url, headers }),
      delete: (url, headers = {}) => send({ method: 'DELETE', url, headers }),
      put: sending('PUT'),
      post: sending('POST'),
      patch: sending('PATCH'),
    };
  };

  const asPerson = (email: string, groups: readonly string[] = []): Client => {
    let token: Promise<string> | undefined;
    return clientWith(async () => {
      token ??= issuer.token({ preferred_username: email, groups });
      return { authorization: `Bearer ${await token}` };
    });
  };

  const everything = async (): Promise<Everything> => {
    const teams: TeamRecord[] = [];
    for (let after: string | undefined; ; ) {
      const page = await store.teams({ limit: 500, ...(after === undefined ? {} : { after }) });
      teams.push(...page.items);
      after = page.next;
      if (after === undefined) break;
    }
    return Promise.all(
      teams.map(async (team) => ({
        team,
        history: (await store.history(team.slug, { limit: 10_000 })).items,
      })),
    );
  };

  let created = 0;
  return {
    app,
    store,
    config,
    document,
    issuer,
    outside,
    /** The addresses of names; others do not exist. */
    dns,
    render: assembled.render,
    /** Slugs in the order in which routes requested a reconcile after a write. */
    reconciled,
    asPerson,
    /** Requests with these headers and without a token. */
    anonymous: (headers: Headers = {}): Client => clientWith(async () => headers),
    everything,
    advance(ms: number) {
      now += ms;
    },
    now: () => new Date(now).toISOString(),
    /** The outside world as it was at first. */
    calm() {
      Object.assign(outside, untouched);
    },
    /** A team of its own for a test; its path. Kari is a member. */
    async newTeam(order: Readonly<Record<string, unknown>> = {}): Promise<string> {
      created += 1;
      const slug = `team-${created}`;
      const answer = await asPerson(kari, creators).post('/v1/teams', { slug, ...order });
      assert.equal(answer.statusCode, 201, answer.body);
      return `/v1/teams/${answer.json().slug}`;
    },
    /** A header in which every `"revision.statusVersion"` is an ETag of the team, or the notebook, at this path. */
    async tagged(path: string, header: string): Promise<string> {
      const { id } = await this.record(path.split('/', 4).join('/'));
      return header.replaceAll(/"([0-9.]+)"/g, `"${id}.$1"`);
    },
    /** What the store holds of the team at this path. */
    async record(path: string): Promise<TeamRecord> {
      const record = await store.team(path.replace('/v1/teams/', ''));
      assert.ok(record);
      return record;
    },
    /** Writes a status change, as a reconcile does. */
    reach: (team: TeamRecord, status: Partial<TeamRecord['status']>): Promise<TeamRecord | undefined> =>
      store.change(team.slug, (current) => ({
        next: {
          ...current,
          status: { ...current.status, ...status },
          statusVersion: current.statusVersion + 1,
        },
      })),
    /** Runs it and fails if the store has changed afterwards, or a reconcile was requested. */
    async writesNothing<T>(run: () => Promise<T>): Promise<T> {
      const before = await everything();
      const looks = reconciled.length;
      const result = await run();
      assert.deepEqual(await everything(), before);
      assert.equal(reconciled.length, looks, 'a look was asked for');
      return result;
    },
    async close() {
      await app.close();
      await store.close();
      await issuer[Symbol.asyncDispose]();
    },
  };
};
export type Api = Awaited<ReturnType<typeof openApi>>;

/** Fails unless the answer is this problem with exactly these faults (`pointer code`, in any order). */
export const assertProblem = (answer: Answer, code: ProblemCode, faults: readonly string[] = []): void => {
  const problem: { code?: string; errors?: readonly Fault[] } = answer.json();
  const found = (problem.errors ?? []).map((fault) => `${fault.pointer} ${fault.code}`);
  assert.deepEqual(
    { status: answer.statusCode, code: problem.code, faults: found.toSorted() },
    { status: statusOf[code], code, faults: faults.toSorted() },
    answer.body,
  );
};
