import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';
import { googleEndpoints, startGoogle } from '@knada/simulators/google/server.ts';
import { buildImage } from '@knada/simulators/registries/image.ts';
import { registryEndpoints, startRegistries } from '@knada/simulators/registries/server.ts';
import { registryContent } from '../../../local/conventions.ts';
import { openServiceAccounts } from '../../../src/adapters/iam.ts';
import { openHubs } from '../../../src/adapters/jupyterhub.ts';
import { openRegistries } from '../../../src/adapters/oci-registry.ts';
import { openPythonReleases } from '../../../src/adapters/python-releases.ts';
import { openSecretManager } from '../../../src/adapters/secret-manager.ts';
import { openSqliteStore } from '../../../src/adapters/sqlite.ts';
import { buildApp } from '../../../src/api/app.ts';
import { assemble } from '../../../src/assemble.ts';
import { cull } from '../../../src/culling/cull.ts';
import { openapiDocument } from '../../../src/http/openapi.ts';
import { createLogger } from '../../../src/logging.ts';
import type { NamedTeam } from '../../../src/model/names.ts';
import { hubToken } from '../../../src/notebooks/keys.ts';
import type { Cluster } from '../../../src/ports/cluster.ts';
import type { SpawnProgress } from '../../../src/ports/hubs.ts';
import { refresh } from '../../../src/reconcile/refresh.ts';
import { tick } from '../../../src/reconcile/tick.ts';
import { startIssuer } from '../../http/issuer.ts';
import { entraValues } from '../../notebooks/platform.ts';
import { contractOf } from '../../openapi/contract.ts';
import { configFor, creators, kari } from '../../support/api.ts';
import { namesOf } from '../../support/names.ts';
import { aNaming } from '../../support/records.ts';

/** A hub answers in seconds, also on a machine with much else to do. */
const hubCallMs = 60_000;
const tickEveryMs = 250;
const longestMs = 180_000;

/** The product as it is deployed, on this cluster and its hubs, with a tick and a culling run on demand. Kari owns every team. */
export const startProduct = async (cluster: Cluster, hubUrlTemplate: string) => {
  const issuer = await startIssuer();
  const google = await startGoogle({ project: 'knada-gcp', workloadPool: 'knada-gcp.svc.id.goog' });
  const registries = await startRegistries(registryContent);
  const store = openSqliteStore({ file: ':memory:', naming: aNaming });
  const clock = { now: Date.now };
  const config = configFor(
    issuer,
    {
      GOOGLE_ENDPOINTS: googleEndpoints(google.url),
      REGISTRY_ENDPOINTS: registryEndpoints(registries.url),
    },
    JSON.stringify(entraValues),
  );
  const wire = {
    project: config.googleProject,
    endpoints: config.googleEndpoints,
    accessToken: async () => 'local',
  };
  const newestKey = config.hub.masterKeys[0] ?? assert.fail();
  const hubs = openHubs({
    urlTemplate: hubUrlTemplate,
    tokens: (id) => config.hub.masterKeys.map((key) => hubToken(id, key)),
    clock,
    callMs: hubCallMs,
  });
  const sources = { clock, garRegion: config.region, origins: config.images.origins };
  const assembled = assemble(config, {
    store,
    cluster,
    hubs,
    dns: namesOf(new Map()),
    registries: openRegistries({ ...sources, garProject: config.images.garProject }),
    pythonReleases: openPythonReleases(sources),
    secretManager: openSecretManager({ ...wire, region: config.region }),
    serviceAccounts: openServiceAccounts(wire),
    clock,
    log: createLogger('silent'),
  });
  // The environments that are offered.
  await refresh(assembled.refresh);
  const app = await buildApp({ config, deps: assembled.deps });
  await app.ready();
  const faultsOf = contractOf(await openapiDocument(app));
  const token = await issuer.token({ preferred_username: kari, groups: creators });

  const call = async (method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body?: object) => {
    const url = `/v1/teams${path}`;
    const answer = await app.inject({
      method,
      url,
      headers: { authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { payload: body }),
    });
    const { statusCode: status, headers } = answer;
    const faults = faultsOf({ method, url, status, headers, body: answer.body });
    assert.deepEqual(faults, [], faults.join('\n'));
    return { status, text: answer.body, json: () => answer.json() };
  };
  /** The JSON of an answer with this status. */
  const ask = async (status: number, ...request: Parameters<typeof call>) => {
    const answer = await call(...request);
    assert.equal(answer.status, status, `${request[0]} ${request[1]}: ${answer.text}`);
    return answer.text === '' ? undefined : answer.json();
  };
  const record = async (slug: string) => (await store.team(slug)) ?? assert.fail(slug);
  /** One call of Cloud Scheduler for the team, which is due by now. */
  const tickWhenDue = async (slug: string): Promise<void> => {
    const { reconcile } = await record(slug);
    const now = Math.max(Date.now(), Date.parse(reconcile.dueAt));
    await tick({ ...assembled.tick, clock: { now: () => now } });
  };
  /** Ticks until it is found. */
  const until = async <T>(slug: string, what: string, look: () => Promise<T | undefined>): Promise<T> => {
    const deadline = Date.now() + longestMs;
    for (;;) {
      const found = await look();
      if (found !== undefined) return found;
      if (Date.now() > deadline) throw new Error(`It did not happen: ${what}`);
      await tickWhenDue(slug);
      await wait(tickEveryMs);
    }
  };
  /** The operation once it has ended, followed as a client does who watches it. */
  const follow = async (slug: string, { id }: { readonly id: string }) => {
    const { status, text } = await call('GET', `/${slug}/operations/${id}/events`);
    assert.equal(status, 200, text);
    const events = [...text.matchAll(/^data: (.+)$/gm)].map(([, data = '']) => JSON.parse(data));
    const last = events.at(-1);
    assert.equal(last?.done, true, text);
    return { events, last };
  };
  return {
    store,
    hubs,
    ask,
    until,
    follow,
    record,
    /** Orders the operation, and follows it to its success. */
    async done(slug: string, path: string, body: object = {}) {
      const operation = await ask(202, 'POST', `/${slug}${path}`, body);
      const { last } = await follow(slug, operation);
      assert.equal(last.error, undefined, JSON.stringify(last));
      return last;
    },
    async server(slug: string, user: string) {
      const { items } = await ask(200, 'GET', `/${slug}/servers`);
      return items.find((one: { readonly user: string }) => one.user === user) ?? assert.fail(user);
    },
    /** The progress of a start: when its first line is there, and all of its lines once it has ended. */
    progress(team: NamedTeam, user: string) {
      const first = Promise.withResolvers<void>();
      const read = async (): Promise<readonly SpawnProgress[]> => {
        const lines: SpawnProgress[] = [];
        for await (const line of hubs.progress(team, user, AbortSignal.timeout(longestMs))) {
          lines.push(line);
          first.resolve();
        }
        return lines;
      };
      return { first: first.promise, lines: read() };
    },
    /** A culling run at a later hour: what is idle now has been so for that long then. */
    cull: (hoursAhead: number) =>
      cull({
        ...assembled.cull,
        clock: { now: () => Date.now() + hoursAhead * 3_600_000 },
        hubDeadlineMs: hubCallMs,
        stopDeadlineMs: hubCallMs,
      }),
    /** An image that the team may order; its digest. */
    publish(repository: string, tag: string): string {
      const image = buildImage({
        platforms: ['linux/amd64'],
        created: new Date().toISOString(),
        text: `${repository}:${tag}`,
      });
      const digest = registries.push(repository, image, { tag });
      registries.setVisibility(repository, 'public');
      return digest;
    },
    /** A request to a team’s hub, as our service or with another token. */
    async hub(slug: string, method: string, path: string, body?: object, bearer?: string) {
      const team = await record(slug);
      const response = await fetch(`${hubUrlTemplate.replace('{slug}', slug)}/hub/api${path}`, {
        method,
        headers: { authorization: `token ${bearer ?? hubToken(team.id, newestKey)}` },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      return { status: response.status, json: (): unknown => JSON.parse(text), text };
    },
    async close(): Promise<void> {
      await app.close();
      await store.close();
      await registries.close();
      await google.close();
      await issuer[Symbol.asyncDispose]();
    },
  };
};
export type Product = Awaited<ReturnType<typeof startProduct>>;
