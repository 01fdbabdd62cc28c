import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startDeployments } from '@knada/simulators/cluster/deployments.ts';
import { isReady, startKubelet } from '@knada/simulators/cluster/kubelet.ts';
import { startDns } from '@knada/simulators/dns/server.ts';
import { googleEndpoints, startGoogle } from '@knada/simulators/google/server.ts';
import { startHelmController } from '@knada/simulators/helm-controller/controller.ts';
import { NotThere } from '@knada/simulators/hubs/control.ts';
import { startHubs } from '@knada/simulators/hubs/server.ts';
import { RESOURCES } from '@knada/simulators/kubernetes/resources.ts';
import { startKubernetes } from '@knada/simulators/kubernetes/server.ts';
import { registryEndpoints, startRegistries } from '@knada/simulators/registries/server.ts';
import { hubConventions, registryContent } from '../../local/conventions.ts';
import { openDnsResolver } from '../../src/adapters/dns.ts';
import { openServiceAccounts } from '../../src/adapters/iam.ts';
import { openHubs } from '../../src/adapters/jupyterhub.ts';
import { openCluster } from '../../src/adapters/kubernetes.ts';
import { openRegistries } from '../../src/adapters/oci-registry.ts';
import { openPythonReleases } from '../../src/adapters/python-releases.ts';
import { openSecretManager } from '../../src/adapters/secret-manager.ts';
import { openSqliteStore } from '../../src/adapters/sqlite.ts';
import { buildApp } from '../../src/api/app.ts';
import { assemble } from '../../src/assemble.ts';
import { cull } from '../../src/culling/cull.ts';
import { refreshHosts } from '../../src/egress/addresses.ts';
import { reconcileRuns } from '../../src/egress/airflow-runs.ts';
import { exampleOf } from '../../src/http/example.ts';
import { openapiDocument } from '../../src/http/openapi.ts';
import { forEachConcurrently } from '../../src/lib/concurrency.ts';
import { createLogger } from '../../src/logging.ts';
import { namespaceOf } from '../../src/model/names.ts';
import type { TeamRecord } from '../../src/model/record.ts';
import { hubSecret, hubSecretName, hubToken } from '../../src/notebooks/keys.ts';
import type { Store } from '../../src/ports/store.ts';
import { refresh } from '../../src/reconcile/refresh.ts';
import { tick } from '../../src/reconcile/tick.ts';
import { startIssuer } from '../http/issuer.ts';
import { admins, configFor, creators, kari } from '../support/api.ts';
import { canaryFinder } from '../support/canaries.ts';
import { type Mischief, type Seen, startMirror } from '../support/mirror.ts';
import { aReview } from '../support/reviews.ts';

const hex = (): string => randomBytes(32).toString('hex');
/** A member’s secret; nothing else may ever hold it than Secret Manager. */
const payload = `Kanari-${randomBytes(30).toString('base64url')}`;
const googleToken = `ya29.${randomBytes(40).toString('base64url')}`;
const kubernetesToken = `kube-${randomBytes(40).toString('base64url')}`;
const masterKeys = [
  { id: 'newer', key: hex() },
  { id: 'older', key: hex() },
];
const admissionSecret = hex();
/** In what the store says when it fails; for the log alone. */
const storeWords = `store-${hex()}`;

/** Everything that anybody was told, by where. */
const evidence: { where: string; text: string }[] = [];
const logged: string[] = [];
/** What the store holds, and what Google does of secrets besides their versions. */
const kept: { where: string; text: string }[] = [];
/** Every object of the cluster as it ever was, without what may be secret in it: that is by namespace. */
const applied: { where: string; text: string }[] = [];
const hubSecrets = new Map<string, string>();

/** The part of a JWT that cannot be made up. */
const signatureOf = (jwt: string): string => jwt.split('.')[2] ?? '';

const methods = { get: 'GET', put: 'PUT', post: 'POST', patch: 'PATCH', delete: 'DELETE' } as const;
const isMethod = (name: string): name is keyof typeof methods => name in methods;
type Fields = Readonly<Record<string, string>>;

interface Operation {
  readonly id: string;
  readonly method: (typeof methods)[keyof typeof methods];
  readonly path: string;
  readonly parameters: Fields;
  readonly query: Fields;
  readonly queries: readonly string[];
  /** Undefined where none is taken. */
  readonly body: ((team: string) => unknown) | undefined;
}

const image = 'ghcr.io/navikt/team-notebook:20261115-090000-5d6e7f8';
const members = [{ email: kari, username: 'kari' }];
let created = 0;
/** Bodies that do something here, where the example would not. */
const bodies: Readonly<Record<string, (team: string) => unknown>> = {
  resolveImage: (team) => ({ image, team }),
  createTeam: () => {
    created += 1;
    return { slug: `new-${created}`, members };
  },
  updateTeam: () => ({ members: [...members, { email: 'ola.nordmann@nav.no', username: 'ola' }] }),
  putNotebook: () => ({ image, allowlist: { enabled: true, hosts: ['pypi.org', 'data.ssb.no:443'] } }),
  addSecretVersion: () => ({ data: payload }),
  checkEgress: () => ({ destination: 'pypi.org:443' }),
  extendServer: () => ({ until: new Date(Date.now() + 7_200_000).toISOString() }),
};
const ending = ['deleteNotebook', 'deleteTeam'];
const withAll: Readonly<Record<string, Fields>> = {
  deleteTeam: { deleteSecret: 'true', deleteHomes: 'true' },
};
/** One after the other, the hub last. */
const ofServers = ['extendServer', 'restartServer', 'stopServer', 'startServer', 'restartHub'];

/** How an outside system fails, one way after the other; it quotes what it was asked. */
const json = (status: number, body: unknown, headers: Fields = {}): Mischief => ({
  status,
  headers,
  body: JSON.stringify(body),
});
const hubVersion = { 'x-jupyterhub-version': '5.5.0' };
const status =
  (code: number, reason: string) =>
  ({ quoted }: Seen) =>
    json(code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', message: quoted, reason, code });
const googleError =
  (code: number, name: string) =>
  ({ quoted }: Seen) =>
    json(code, { error: { code, message: quoted, status: name } });
const hubError =
  (code: number, words = '') =>
  ({ quoted }: Seen) =>
    json(code, { status: code, message: `${words}${quoted}` }, hubVersion);
const garbage = ({ quoted }: Seen): Mischief => json(200, { message: quoted, items: quoted }, hubVersion);
const page = ({ quoted }: Seen): Mischief => ({
  status: 200,
  headers: { 'content-type': 'text/html', ...hubVersion },
  body: `<!doctype html><pre>${quoted}</pre>`,
});
const isWrite = ({ method }: Seen): boolean => method !== 'GET';
const onWrites = (then: (seen: Seen) => Mischief) => (seen: Seen) => (isWrite(seen) ? then(seen) : undefined);

type Ways = Readonly<Record<string, (seen: Seen) => Mischief | undefined>>;
/** Of what each team has its own: all of these fail at once, each for a team of its own. */
const failures: Readonly<Record<'kubernetes' | 'google' | 'hubs', Ways>> = {
  kubernetes: {
    'breaks off': () => 'drop',
    'answers 500': status(500, 'InternalError'),
    'answers 403': status(403, 'Forbidden'),
    'refuses writes': onWrites(status(422, 'Invalid')),
    'refuses the secret of the hub': (seen) =>
      isWrite(seen) && seen.url.includes(`/secrets/${hubSecretName}`)
        ? status(422, 'Invalid')(seen)
        : undefined,
    'talks nonsense': garbage,
  },
  google: {
    'breaks off': () => 'drop',
    'answers 500': googleError(500, 'INTERNAL'),
    'answers 429': googleError(429, 'RESOURCE_EXHAUSTED'),
    'answers 403': googleError(403, 'PERMISSION_DENIED'),
    'answers 400 to writes': (seen) =>
      /:setIamPolicy|:addVersion|versions\/[0-9]+:/.test(seen.url)
        ? googleError(400, 'INVALID_ARGUMENT')(seen)
        : undefined,
    'shows a page': page,
  },
  hubs: {
    freezes: () => 'freeze',
    'breaks off': () => 'drop',
    'answers 500': hubError(500),
    'answers 429': hubError(429),
    'answers 403': hubError(403, 'Action is not authorized with current scopes; '),
    'refuses writes': onWrites(hubError(400)),
    'tells of a failed start': (seen) => {
      if (!seen.url.includes('/progress')) return undefined;
      const event = JSON.stringify({ progress: 50, message: seen.quoted, failed: true });
      const headers = { 'content-type': 'text/event-stream', ...hubVersion };
      return { status: 200, headers, body: `data: ${event}\n\n` };
    },
    'has notebook servers that talk nonsense': (seen) =>
      seen.url.includes('/user/') ? garbage(seen) : undefined,
    'talks nonsense': garbage,
    'shows a page': page,
  },
};
/** Registries belong to no team. */
const registryFailures: Ways = {
  'breaking-off': () => 'drop',
  'answering-500': ({ quoted }) => json(500, { errors: [{ code: 'UNKNOWN', message: quoted }] }),
  'answering-401': ({ quoted }) => json(401, { errors: [{ code: 'UNAUTHORIZED', message: quoted }] }),
  'answering-403': googleError(403, 'PERMISSION_DENIED'),
  'talking-nonsense': garbage,
};

const make = async () => {
  const folder = mkdtempSync(join(tmpdir(), 'canary-'));
  const onFailure = () => {};
  const issuer = await startIssuer();
  const kubernetes = await startKubernetes();
  const client = kubernetes.client('test');
  const registries = await startRegistries(registryContent);
  const dns = await startDns();
  const google = await startGoogle({ project: 'knada-gcp' });
  const parts = [
    startKubelet({ client, podReadyMs: 5, podStopMs: 5, onFailure }),
    startDeployments({ client, onFailure }),
    startHelmController({ client: kubernetes.client('helm-controller'), actionMs: 5, onFailure }),
  ];
  const timings = {
    checkMs: 20,
    pollMs: 50,
    progressMs: 20,
    profilesPollMs: 20,
    interruptMs: 20,
    slowStopMs: 500,
  };
  const hubs = await startHubs({
    port: 0,
    client: kubernetes.client('hub'),
    conventions: hubConventions,
    timings,
    onFailure,
  });
  const mirrors = {
    kubernetes: await startMirror(kubernetes.url, () => undefined),
    google: await startMirror(google.url, (given) =>
      given === `Bearer ${googleToken}` ? 'Bearer local' : given,
    ),
    hubs: await startMirror(`http://127.0.0.1:${hubs.port}`),
    registries: await startMirror(registries.url),
  };

  const kubeconfig = join(folder, 'kubeconfig.json');
  const named = { name: 'x' };
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'x',
      contexts: [{ ...named, context: { cluster: 'x', user: 'x' } }],
      clusters: [{ ...named, cluster: { server: mirrors.kubernetes.url, 'insecure-skip-tls-verify': true } }],
      users: [{ ...named, user: { token: kubernetesToken } }],
    }),
  );
  const file = join(folder, 'store.sqlite');
  const config = configFor(issuer, {
    STORE: `sqlite:${file}`,
    HUB_URL_TEMPLATE: `${mirrors.hubs.url}/{slug}`,
    HUB_API_URL_TEMPLATE: `${mirrors.hubs.url}/{slug}`,
    HUB_MASTER_KEYS: masterKeys.map(({ id, key }) => `${id}:${key}`).join(','),
    ADMISSION_SECRETS: admissionSecret,
    REGISTRY_ENDPOINTS: registryEndpoints(mirrors.registries.url),
    GOOGLE_ENDPOINTS: googleEndpoints(mirrors.google.url),
    EGRESS_DNS_SERVERS: `127.0.0.1:${dns.port}`,
  });

  const clock = { now: () => Date.now() };
  const sqlite = openSqliteStore({ file });
  let isStoreBroken = false;
  const store = new Proxy<Store>(sqlite, {
    get(target, key) {
      const found: unknown = Reflect.get(target, key);
      if (typeof found !== 'function' || key === 'close') return found;
      return (...asked: unknown[]) => {
        if (isStoreBroken)
          return Promise.reject(new Error(`${storeWords} ${String(key)} ${JSON.stringify(asked)}`));
        return Reflect.apply(found, target, asked);
      };
    },
  });
  const log = createLogger('trace', { write: (line) => void logged.push(line) });
  const accessToken = async () => googleToken;
  const secretManagerOptions = {
    project: config.googleProject,
    endpoints: config.googleEndpoints,
    accessToken,
  };
  const wire = { clock, garRegion: config.region, origins: config.images.origins, accessToken };
  const cluster = openCluster({ kind: 'kubeconfig', file: kubeconfig });
  const parted = assemble(config, {
    store,
    cluster,
    hubs: openHubs({
      urlTemplate: config.hub.apiUrlTemplate,
      tokens: (id) => config.hub.masterKeys.map((key) => hubToken(id, key)),
      clock,
      callMs: 1_000,
    }),
    dns: openDnsResolver({ servers: config.egress.dnsServers }),
    registries: openRegistries({ ...wire, garProject: config.images.garProject }),
    pythonReleases: openPythonReleases(wire),
    secretManager: openSecretManager({ ...secretManagerOptions, region: config.region }),
    serviceAccounts: openServiceAccounts(secretManagerOptions),
    clock,
    log,
  });
  const app = await buildApp({ config, deps: parted.deps, logger: log });
  await app.listen({ port: 0, host: '127.0.0.1' });
  const document = await openapiDocument(app);
  const address = app.server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;

  return {
    folder,
    file,
    issuer,
    kubernetes,
    client,
    google,
    hubs,
    dns,
    mirrors,
    store: sqlite,
    breakStore: (yes: boolean) => {
      isStoreBroken = yes;
    },
    log,
    app,
    document,
    port,
    url: `http://127.0.0.1:${port}`,
    parted,
    async close() {
      await app.close();
      await sqlite.close();
      await cluster.close();
      for (const mirror of Object.values(mirrors)) await mirror.close();
      await hubs.close();
      for (const part of parts.toReversed()) await part.close();
      await kubernetes.close();
      await google.close();
      await registries.close();
      await dns.close();
      await issuer[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true });
    },
  };
};

const isHarmless = ({ id }: Operation): boolean => ![...ending, ...ofServers].includes(id);

/** What is wrong with it, its URL and the rest. */
type Broken = readonly [string, string, { readonly headers?: Fields; readonly body?: string }];

describe('a secret', { timeout: 120_000 }, () => {
  let world: Awaited<ReturnType<typeof make>>;
  let token: string;
  let operations: readonly Operation[];
  const healthy = 'healthy';
  const teams = Object.entries(failures).flatMap(([system, ways]) =>
    Object.entries(ways).map(([how, mischief], n) => ({ slug: `${system}-${n}`, system, how, mischief })),
  );
  const everybody = [healthy, ...teams.map(({ slug }) => slug)];
  let passes = 0;
  /** Those that something happened to. */
  const troubled = new Set<string>();
  /** What operations have answered, by id and slug. */
  const answers = new Map<string, Map<string, number>>();
  /** As they were at first, by slug. */
  const records = new Map<string, TeamRecord>();
  /** A token that nobody could verify. */
  let unverified: string;
  let find: ReturnType<typeof canaryFinder>;
  /** The latest operation on a server of each team. */
  const latest = new Map<string, string>();

  /** One request, of which every byte that comes back is kept; a stream is heard for a moment. */
  const send = async (
    what: string,
    method: string,
    path: string,
    init: { readonly headers?: Fields; readonly body?: string } = {},
  ): Promise<{ status: number; body: string }> => {
    const { headers = {}, body } = init;
    const isStream = /\/events(?:\?|$)/.test(path);
    const deadline = AbortSignal.timeout(isStream ? 400 : 30_000);
    let answer = { status: 0, body: '' };
    let head = '';
    try {
      const response = await fetch(`${world.url}${path}`, {
        method,
        redirect: 'manual',
        signal: deadline,
        headers: { authorization: `Bearer ${token}`, ...headers },
        ...(body !== undefined && { body }),
      });
      head = JSON.stringify([response.status, response.statusText, ...response.headers]);
      answer = { status: response.status, body: '' };
      const decoder = new TextDecoder();
      const stream: AsyncIterable<Uint8Array> | null = response.body;
      if (stream !== null)
        for await (const chunk of stream) answer.body += decoder.decode(chunk, { stream: true });
    } catch (error) {
      assert.ok(isStream && deadline.aborted, `${what}: ${String(error)}`);
    }
    evidence.push({ where: `response to ${what}`, text: `${head}\n${answer.body}` });
    return answer;
  };

  const urlOf = (operation: Operation, team: string, more: Fields = {}): string => {
    const { path, parameters, query } = operation;
    const own = { team, user: 'kari', version: '1', operation: latest.get(team) ?? 'op-0' };
    const values: Fields = { ...parameters, ...own, ...more };
    const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(values[name] ?? ''));
    const asked = new URLSearchParams({ ...query, ...withAll[operation.id] }).toString();
    return asked === '' ? filled : `${filled}?${asked}`;
  };
  const jsonType = { 'content-type': 'application/json' };
  const initOf = ({ body }: Operation, team: string) => (body === undefined ? {} : post(body(team)));
  const post = (value: unknown) => ({ headers: jsonType, body: JSON.stringify(value) });

  /** A request as the document has it. */
  const use = async (operation: Operation, team: string): Promise<void> => {
    const { id, method } = operation;
    const { status: code, body } = await send(
      `${id} of ${team}`,
      method,
      urlOf(operation, team),
      initOf(operation, team),
    );
    if (ofServers.includes(id) && code === 202) latest.set(team, JSON.parse(body).id);
    answers.set(id, (answers.get(id) ?? new Map<string, number>()).set(team, code));
  };
  const operation = (id: string): Operation => {
    const found = operations.find((one) => one.id === id);
    assert.ok(found, id);
    return found;
  };

  const until = async (what: string, look: () => Promise<boolean>): Promise<void> => {
    const end = Date.now() + 45_000;
    while (!(await look())) {
      assert.ok(Date.now() < end, `${what}, in vain`);
      await sleep(100);
    }
  };
  const teamNow = async (slug: string) => {
    const team = await world.store.team(slug);
    assert.ok(team, slug);
    return team;
  };

  const admission = async (path: string, body: Uint8Array) => {
    const answer = await world.parted.admission({ method: 'POST', path, body });
    evidence.push({ where: 'an answer to the API server', text: JSON.stringify(answer) });
  };
  /** What the functions do, with servers that are to be culled, and kernels that keep them. */
  const functions = async (): Promise<void> => {
    const { parted, hubs } = world;
    // Hubs that gave no answer are left alone for a while.
    passes += 1;
    for (const slug of everybody) {
      try {
        hubs.setBusy(slug, 'kari', true);
        const before = new Date(Date.now() - 7_200_000).toISOString();
        hubs.setStarted(slug, 'kari', before);
        hubs.setActivity(slug, 'kari', before);
      } catch (error) {
        // Hers does not run: something was in the way.
        assert.ok(error instanceof NotThere);
      }
    }
    const left = await Promise.all(everybody.map((slug) => world.store.team(slug)));
    const labels = { component: 'singleuser-server', app: 'jupyterhub' };
    const reviews = left.flatMap((team) =>
      team === undefined
        ? []
        : Buffer.from(JSON.stringify(aReview({ namespace: namespaceOf(team.id), labels }))),
    );
    await Promise.allSettled([
      refreshHosts(parted.addresses),
      tick(parted.tick),
      reconcileRuns(parted.runs),
      cull({ ...parted.cull, clock: { now: () => Date.now() + passes * 3_600_000 } }),
      refresh(parted.refresh),
      ...reviews.map((review) => admission(`/${admissionSecret}`, review)),
      admission(`/${admissionSecret}`, Buffer.from(`{"request": "${payload}`)),
      ...reviews.slice(0, 1).map((review) => admission(`/${payload}`, review)),
    ]);
  };

  const readOperations = (): readonly Operation[] => {
    const { paths, components } = world.document;
    return Object.entries(paths).flatMap(([path, verbs]) =>
      Object.entries(verbs).flatMap(([verb, { operationId, requestBody, parameters = [] }]): Operation[] => {
        if (!isMethod(verb)) return [];
        const content = Object.values(requestBody?.content ?? {})[0];
        const sample = (one: (typeof parameters)[number]) =>
          String(one.example ?? exampleOf(one.schema, components.schemas));
        const of = (where: string, needed: boolean): Fields =>
          Object.fromEntries(
            parameters
              .filter((one) => one.in === where && (!needed || one.required === true))
              .map((one) => [one.name, sample(one)]),
          );
        const id = String(operationId);
        const example = content?.example ?? exampleOf(content?.schema, components.schemas);
        return [
          {
            id,
            method: methods[verb],
            path,
            parameters: of('path', true),
            query: of('query', true),
            queries: Object.keys(of('query', false)),
            body: content === undefined ? undefined : (bodies[id] ?? (() => example)),
          },
        ];
      }),
    );
  };

  /** A team with its notebook ready, Kari’s server running, and two versions of its secret. */
  const ready = async (slug: string): Promise<void> => {
    const order = { slug, members, garTeam: slug };
    assert.equal((await send('createTeam', 'POST', '/v1/teams', post(order))).status, 201, slug);
    await use(operation('putNotebook'), slug);
    const namespace = namespaceOf((await teamNow(slug)).id);
    await until(`the hub of ${slug} was awaited`, async () => {
      const pods = await world.client.list('pods', { namespace, labelSelector: 'component=hub' });
      return pods.some(isReady);
    });
    await until(`the notebook of ${slug} was awaited`, async () => {
      await world.parted.deps.reconcile(await teamNow(slug));
      return (await teamNow(slug)).status.phase === 'Ready';
    });
    const secret = `/v1/teams/${slug}/secret/versions`;
    const encoded = { dataBase64: Buffer.from(payload).toString('base64') };
    for (const body of [{ data: payload }, encoded]) {
      const { status: code, body: said } = await send('addSecretVersion', 'POST', secret, post(body));
      assert.equal(code, 201, said);
    }
    await use(operation('startServer'), slug);
    await until(`the server of ${slug} was awaited`, async () => {
      const { status: code, body } = await send('listServers', 'GET', `/v1/teams/${slug}/servers`);
      if (code !== 200) return false;
      const items: readonly { user: string; state: string }[] = JSON.parse(body).items;
      return items.some(({ user, state }) => user === 'kari' && state === 'running');
    });
  };

  /** The broken requests of an operation, each with the secret in it. */
  const broken = (operation: Operation): readonly Broken[] => {
    const { method, path, query, queries, body } = operation;
    // Some of these are taken: they must do no harm.
    const team = isHarmless(operation) ? healthy : 'idle';
    const url = urlOf(operation, team);
    const fine = initOf(operation, team);
    const headers = { 'content-type': 'application/json' };
    const withQuery = (name: string) =>
      `${path === url ? path : url.split('?')[0]}?${new URLSearchParams({ ...query, [name]: payload })}`;
    const parameters = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name);
    const valid = body?.(team);
    const fields = typeof valid === 'object' && valid !== null ? Object.keys(valid) : [];
    const inBody: readonly (readonly [string, string])[] =
      body === undefined
        ? []
        : [
            ['malformed JSON', `{"data": "${payload}`],
            ['JSON that breaks off at it', `{"data": ${payload}}`],
            ['a text for a body', JSON.stringify(payload)],
            ['a list for a body', JSON.stringify([payload])],
            ['an unknown field', JSON.stringify({ ...Object(valid), unexpected: payload })],
            [
              'two payloads',
              JSON.stringify({ data: payload, dataBase64: Buffer.from(payload).toString('base64') }),
            ],
            ['what is no base64', JSON.stringify({ dataBase64: `${payload}=` })],
            ['a body that is too long', JSON.stringify({ ...Object(valid), data: payload.repeat(14_000) })],
            ...fields.flatMap((field): (readonly [string, string])[] => [
              [`an object in ${field}`, JSON.stringify({ ...Object(valid), [field]: { payload } })],
              [`a list in ${field}`, JSON.stringify({ ...Object(valid), [field]: [{ payload }] })],
            ]),
          ];
    return [
      ...inBody.map(([what, text]) => [what, url, { headers, body: text }] as const),
      ...(method === 'GET'
        ? []
        : [
            [
              'another content type',
              url,
              { headers: { 'content-type': `text/plain; x=${payload}` }, body: payload },
            ] as const,
          ]),
      // Of an image that is none the answer says what is wrong with which part of it.
      ...['unknown', ...queries.filter((name) => name !== 'image')].map(
        (name) => [`query ${name}`, withQuery(name), fine] as const,
      ),
      ...parameters.map(
        (name) => [`path ${name}`, urlOf(operation, team, { [name]: payload }), fine] as const,
      ),
      ['a path that is none', `${path.replaceAll(/[{}]/g, '')}/${payload}`, fine],
      ...['Basic', 'Token', 'token', 'Bearer', 'Bearer x'].map(
        (scheme) =>
          [
            `Authorization ${scheme}`,
            url,
            { ...fine, headers: { ...headers, authorization: `${scheme} ${payload}` } },
          ] as const,
      ),
      [
        'a forged token',
        url,
        { ...fine, headers: { ...headers, authorization: `Bearer ${token.slice(0, -8)}AAAAAAAA` } },
      ],
      ...[
        'if-match',
        'if-none-match',
        'accept',
        'x-request-id',
        'origin',
        'cookie',
        'traceparent',
        'last-event-id',
      ].map(
        (name) => [`header ${name}`, url, { ...fine, headers: { ...headers, [name]: payload } }] as const,
      ),
    ];
  };

  /** Bytes that are no request, on a connection of their own. */
  const sendBytes = async (bytes: string): Promise<void> => {
    const socket = connect(world.port, '127.0.0.1');
    socket.end(bytes);
    evidence.push({ where: 'an answer to what is no request', text: await text(socket) });
  };

  /** Everything that is in the store, also what SQLite has not yet overwritten. */
  const lookIntoStore = (): void => {
    const database = new DatabaseSync(world.file, { readOnly: true });
    const tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all();
    assert.ok(tables.length >= 4, 'the store has tables');
    for (const { name } of tables) {
      const rows = database.prepare(`SELECT * FROM "${String(name)}"`).all();
      // One by one: a row of another team is other evidence.
      for (const row of rows)
        kept.push({ where: `table ${String(name)}`, text: Object.values(row).join('\n') });
    }
    database.close();
    for (const name of readdirSync(world.folder).filter((one) => one.startsWith('store.sqlite'))) {
      kept.push({ where: `file ${name}`, text: readFileSync(join(world.folder, name), 'latin1') });
    }
  };

  /** What Google shows of secrets and accounts, versions apart. */
  const lookAtGoogle = (id: string): void => {
    const { versions = [], ...secret } = world.google.secret(id) ?? {};
    assert.ok(
      versions.some((version) => JSON.stringify(version).includes(Buffer.from(payload).toString('base64'))),
      `the payload is in Secret Manager, ${id}`,
    );
    const account = world.google.account(`${id}@knada-gcp.iam.gserviceaccount.com`);
    kept.push({ where: `Google, of ${id}`, text: JSON.stringify([secret, account]) });
  };

  /** Everything that was ever secret here, by what it is. */
  const canaries = (): ReadonlyMap<string, string> => {
    const all = new Map([
      ['the payload', payload],
      // The rest of a JWT is no secret, and begins like any other.
      ['the caller’s token', signatureOf(token)],
      ['a token of an unknown key', signatureOf(unverified)],
      ['Google’s token', googleToken],
      ['the token for Kubernetes', kubernetesToken],
      ['the admission secret', admissionSecret],
      ...masterKeys.map(({ id, key }) => [`master key ${id}`, key] as const),
    ]);
    for (const { id } of records.values()) {
      for (const key of masterKeys) {
        const { data } = hubSecret(id, [key], { namespace: '', labels: {}, annotations: {} });
        for (const [name, value] of Object.entries(data ?? {})) {
          all.set(`${name} of ${id} by ${key.id}`, Buffer.from(String(value), 'base64').toString());
        }
      }
    }
    const known = new Set(all.values());
    for (const [system, mirror] of Object.entries(world.mirrors)) {
      for (const credential of mirror.credentials) {
        const [scheme = '', value = ''] = credential.split(' ');
        const shown =
          scheme === 'Basic'
            ? Buffer.from(value, 'base64')
                .toString()
                .replace(/^[^:]*:/, '')
            : value;
        if (!known.has(shown)) all.set(`credential ${all.size} shown to ${system}`, shown);
        known.add(shown);
      }
    }
    return all;
  };

  /** Waits for the operation that is under way, which nobody disturbs. */
  const settled = (team: string): Promise<void> =>
    until(`the operation of ${team} was awaited`, async () => {
      await world.parted.tick.advanceOperations();
      const known = await world.store.operation(team, latest.get(team) ?? '');
      return known === undefined || known.outcome !== null;
    });

  const listen = (): void => {
    for (const stream of [process.stdout, process.stderr]) {
      const write = stream.write.bind(stream);
      stream.write = (chunk: string | Uint8Array, ...rest: never[]) => {
        logged.push(`console: ${typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('latin1')}`);
        return write(chunk, ...rest);
      };
    }
    for (const { plural } of RESOURCES) {
      world.client.watch(plural, {}, (_type, object) => {
        const { data, ...rest } = object;
        const { namespace = '', name = '' } = object.metadata;
        const isHubSecret = object.kind === 'Secret' && name === hubSecretName;
        if (isHubSecret) hubSecrets.set(String(namespace), JSON.stringify(data));
        const text = JSON.stringify(isHubSecret ? rest : object);
        applied.push({ where: `${object.kind} ${namespace}/${name}`, text });
      });
    }
  };

  /** Every operation as it is meant, with nothing in its way. */
  const useAll = async (): Promise<void> => {
    await Promise.all(operations.filter(isHarmless).map((one) => use(one, healthy)));
    for (const id of ofServers) {
      await use(operation(id), healthy);
      await settled(healthy);
    }
  };

  const sendBroken = async (): Promise<void> => {
    for (const one of operations) {
      const send1 = ([what, url, init]: Broken) => send(`${one.id} with ${what}`, one.method, url, init);
      await Promise.all(broken(one).map(send1));
    }
    await sendBytes(`GET /${payload} HTTP/9.9\r\n\r\n`);
    const endless = `Bearer ${payload.repeat(1_000)}`;
    await sendBytes(`GET /livez HTTP/1.1\r\nhost: x\r\nauthorization: ${endless}\r\n\r\n`);
  };

  /** The start of a server that its hub tells lies about, followed while it lasts. */
  const followStart = async (): Promise<void> => {
    const { slug = '' } = teams.find(({ how }) => how === 'tells of a failed start') ?? {};
    await use(operation('stopServer'), slug);
    await settled(slug);
    const release = world.hubs.hold(slug, 'kari', 'start');
    await use(operation('startServer'), slug);
    await until('progress was awaited', async () => {
      await use(operation('watchOperation'), slug);
      return troubled.has(slug);
    });
    release();
  };

  /** Everything that is a team’s, while an outside system fails in its way for each of them, and the functions. */
  const useWithTrouble = async (): Promise<void> => {
    for (const system of ['kubernetes', 'google', 'hubs'] as const) {
      const concerned = teams.filter((one) => one.system === system);
      world.mirrors[system].set((seen) => {
        const met = concerned.find(
          ({ slug }) => seen.quoted.includes(`${slug}-`) || seen.url.includes(`/${slug}/`),
        );
        const done = met?.mischief(seen);
        if (met !== undefined && done !== undefined) troubled.add(met.slug);
        return done;
      });
    }
    // Somebody took it away: it is made anew.
    const { slug: refused = '' } = teams.find(({ how }) => how === 'refuses the secret of the hub') ?? {};
    await world.client.delete('secrets', namespaceOf((await teamNow(refused)).id), hubSecretName);
    const harmless = operations.filter(isHarmless).filter(({ path }) => path.includes('{team}'));
    await Promise.all([
      functions(),
      forEachConcurrently(teams, 14, async ({ slug }) => {
        await Promise.all(harmless.map((one) => use(one, slug)));
      }),
    ]);
    await followStart();
    await Promise.all(teams.map(({ slug }) => Promise.all(ofServers.map((id) => use(operation(id), slug)))));
    for (const { id } of records.values()) lookAtGoogle(id);
    await Promise.all(
      everybody.map(async (slug) => {
        for (const id of ending) await use(operation(id), slug);
      }),
    );
    for (const name of ['pypi.org', 'data.ssb.no']) world.dns.fail(name);
    await functions();
  };

  const useWithoutRegistries = async (): Promise<void> => {
    // The image says how the registries fail; what names none of these meets them in turn.
    const ways = Object.entries(registryFailures);
    let turn = 0;
    world.mirrors.registries.set(({ url, ...seen }) => {
      turn += 1;
      const way = ways.find(([how]) => url.includes(how)) ?? ways[turn % ways.length];
      troubled.add(way?.[0] ?? '');
      return way?.[1]({ url, ...seen });
    });
    const images = ways.flatMap(([how]) => [
      `ghcr.io/navikt/${how}:1`,
      `europe-north1-docker.pkg.dev/nais-management-233d/${healthy}/${how}:1`,
    ]);
    await Promise.all([
      ...images.map((wanted) =>
        send(
          `resolveImage of ${wanted}`,
          'POST',
          '/v1/images/resolve',
          post({ image: wanted, team: 'plain' }),
        ),
      ),
      refresh(world.parted.refresh),
    ]);
  };

  const useWithoutStore = async (): Promise<void> => {
    world.breakStore(true);
    await Promise.all([...operations.map((one) => use(one, 'nobody')), functions()]);
    world.breakStore(false);
  };

  const useWithoutIssuer = async (): Promise<void> => {
    await world.issuer.roll();
    world.issuer.goAway(true);
    unverified = await world.issuer.token({ preferred_username: kari });
    const headers = { authorization: `Bearer ${unverified}` };
    const { status: code } = await send('listTeams without keys', 'GET', '/v1/teams', { headers });
    assert.equal(code, 503);
  };

  before(async () => {
    world = await make();
    token = await world.issuer.token({ preferred_username: kari, groups: [...admins, ...creators] });
    operations = readOperations();
    listen();
    await refresh(world.parted.refresh);
    for (const slug of ['idle', 'plain']) {
      const { status: code } = await send(
        'createTeam',
        'POST',
        '/v1/teams',
        post({ slug, members, garTeam: healthy }),
      );
      assert.equal(code, 201, slug);
    }
    await forEachConcurrently(everybody, 8, ready);
    for (const slug of everybody) records.set(slug, await teamNow(slug));

    await useAll();
    await sendBroken();
    await useWithTrouble();
    await useWithoutRegistries();
    await useWithoutStore();
    await useWithoutIssuer();
    lookIntoStore();
    // What is still under way ends, and says so in the log.
    await world.app.close();
    find = canaryFinder(canaries());
  });
  after(() => world?.close());

  /** Canaries with where they were found, each once. */
  const leaksIn = (all: readonly { readonly where: string; readonly text: string }[]): readonly string[] => [
    ...new Set(all.flatMap(({ where, text }) => [...find(text)].map((name) => `${name}: ${where}`))),
  ];

  it('was handled by every operation there is, and everything has failed', () => {
    assert.ok(operations.length >= 35, String(operations.length));
    const failed = operations.filter(({ id }) => (answers.get(id)?.get(healthy) ?? 500) >= 400);
    assert.deepEqual(
      failed.map(({ id }) => `${id} ${answers.get(id)?.get(healthy)}`),
      [],
    );
    const expected = [...teams.map(({ slug }) => slug), ...Object.keys(registryFailures)];
    assert.deepEqual([...troubled].toSorted(), expected.toSorted());
  });

  it('went where it belongs', () => {
    const newest = masterKeys[0]?.id;
    const shown = (system: keyof typeof world.mirrors): string =>
      [...world.mirrors[system].credentials].join('\n');
    for (const { id } of records.values()) {
      assert.deepEqual([...find(hubSecrets.get(namespaceOf(id)) ?? '')].toSorted(), [
        `hub.config.CryptKeeper.keys of ${id} by ${newest}`,
        // Older keys stay, so that what was encrypted with them can be read.
        `hub.config.CryptKeeper.keys of ${id} by ${masterKeys[1]?.id}`,
        `hub.config.JupyterHub.cookie_secret of ${id} by ${newest}`,
        `hub.services.knada-notebooks.apiToken of ${id} by ${newest}`,
      ]);
      assert.ok(find(shown('hubs')).has(`hub.services.knada-notebooks.apiToken of ${id} by ${newest}`), id);
    }
    assert.ok(find(shown('kubernetes')).has('the token for Kubernetes'));
    assert.ok(find(shown('google')).has('Google’s token'));
    assert.ok(shown('registries').includes('Basic '), 'the registries were shown Google’s token');
    assert.ok(
      [...canaries().keys()].some((name) => name.includes('shown to hubs')),
      'kernels were asked',
    );
  });

  it('is in no response', () => {
    assert.ok(evidence.length > 1_500, String(evidence.length));
    assert.deepEqual(leaksIn(evidence), []);
    const told = evidence.filter(
      ({ where, text }) => !where.startsWith('an answer to the API') && text.includes(storeWords),
    );
    assert.deepEqual(
      told.map(({ where }) => where),
      [],
    );
  });

  it('is in no line of the log', () => {
    assert.ok(logged.length > 1_500, String(logged.length));
    assert.ok(
      logged.some((line) => line.includes(storeWords)),
      'the store failed',
    );
    assert.deepEqual(leaksIn(logged.map((text) => ({ where: 'the log', text }))), []);
  });

  it('is in no document of the store and no entry of its history', () => {
    for (const table of ['teams', 'history', 'operations']) {
      assert.ok(
        kept.some(({ where }) => where === `table ${table}`),
        table,
      );
    }
    assert.deepEqual(leaksIn(kept), []);
  });

  it('is in no object that was ever applied, but the data of the Secret of the hub', () => {
    assert.ok(applied.length > 500, String(applied.length));
    assert.deepEqual(leaksIn(applied), []);
  });

  it('would have been found', async () => {
    const [lines, objects, rows] = [logged.length, applied.length, kept.length];
    for (const [name, value] of canaries()) {
      for (const form of [
        value,
        Buffer.from(value).toString('base64'),
        Buffer.from(`x:${value}`).toString('base64url'),
      ]) {
        world.log.info({ err: new Error(`planted ${form.slice(0, 40)}`) }, 'planted');
        assert.ok(find(logged.at(-1) ?? '').has(name), name);
      }
    }
    assert.equal(
      leaksIn(logged.slice(lines).map((text) => ({ where: 'the log', text }))).length,
      canaries().size,
    );

    const data = { planted: Buffer.from(`{"token":"${googleToken}"}`).toString('base64') };
    const planted = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'planted', namespace: 'default' },
      data,
    };
    await world.client.create(planted);
    assert.deepEqual(leaksIn(applied.slice(objects)), ['Google’s token: Secret default/planted']);

    const changes = [{ path: '/x', from: null, to: payload }];
    const event = {
      at: new Date().toISOString(),
      by: kari,
      action: 'secret_version_added',
      revision: null,
      changes,
    } as const;
    await world.store.change('plain', (current) => ({ next: current, event }));
    lookIntoStore();
    const found = leaksIn(kept.slice(rows));
    assert.ok(found.includes('the payload: table history'), found.join());
    assert.ok(
      found.some((leak) => leak.startsWith('the payload: file ')),
      found.join(),
    );
  });
});
