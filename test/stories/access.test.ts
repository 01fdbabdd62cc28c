import assert from 'node:assert/strict';
import { after, afterEach, describe, it } from 'node:test';
import { exampleOf } from '../../src/http/example.ts';
import { type Answer, admins, assertProblem, type Client, creators, kari, openApi } from '../support/api.ts';
import { scriptedHub } from '../support/hubs.ts';
import { anOperation } from '../support/operations.ts';
import { aSecretManager } from '../support/secret-manager.ts';

const api = await openApi();
after(() => api.close());
afterEach(() => api.calm());

const asKari = api.asPerson(kari, creators);
const stranger = api.asPerson('stranger@nav.no', creators);
const admin = api.asPerson('admin@nav.no', admins);
const missing = 'team-nowhere';

interface Operation {
  readonly id: string;
  readonly method: 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';
  readonly isPublic: boolean;
  readonly takesBody: boolean;
  readonly body: unknown;
  /** Its URL for a team, with the query that it needs, and more. */
  urlFor(slug: string, query?: Readonly<Record<string, string>>): string;
  readonly isOfTeam: boolean;
}

const methods = { get: 'GET', put: 'PUT', post: 'POST', patch: 'PATCH', delete: 'DELETE' } as const;
const isMethod = (name: string): name is keyof typeof methods => name in methods;

/** Every operation of the document, with a request that it takes. */
const operations: readonly Operation[] = Object.entries(api.document.paths).flatMap(([path, verbs]) =>
  Object.entries(verbs).flatMap(([verb, operation]) => {
    if (!isMethod(verb)) return [];
    const { operationId, requestBody, parameters = [], security } = operation;
    const content = Object.values(requestBody?.content ?? {})[0];
    const components = api.document.components.schemas;
    const sample = (parameter: (typeof parameters)[number] | undefined) =>
      String(parameter?.example ?? exampleOf(parameter?.schema, components));
    const needed = parameters.filter((p) => p.in === 'query' && p.required === true);
    const query = new URLSearchParams(Object.fromEntries(needed.map((p) => [p.name, sample(p)])));
    const fill = (slug: string) =>
      path.replaceAll(/\{(\w+)\}/g, (_, name) => {
        const parameter = parameters.find((p) => p.in === 'path' && p.name === name);
        return name === 'team' ? slug : sample(parameter);
      });
    return {
      id: String(operationId),
      method: methods[verb],
      isPublic: Array.isArray(security) && security.length === 0,
      takesBody: content !== undefined,
      body: content?.example ?? exampleOf(content?.schema, components),
      urlFor: (slug, more = {}) => {
        const asked = new URLSearchParams([...query, ...Object.entries(more)]).toString();
        return asked === '' ? fill(slug) : `${fill(slug)}?${asked}`;
      },
      isOfTeam: path.includes('{team}'),
    };
  }),
);
const ofTeams = operations.filter(({ isOfTeam }) => isOfTeam);

const ask = (
  client: Client,
  { method, body, takesBody, urlFor }: Operation,
  slug: string,
  { query = {}, headers = {}, payload = body }: Variation = {},
): Promise<Answer> =>
  client.send({
    method,
    url: urlFor(slug, query),
    headers: { ...(takesBody && { 'content-type': 'application/json' }), ...headers },
    ...(takesBody && { payload: JSON.stringify(payload) }),
  });

interface Variation {
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly payload?: unknown;
}

/** The bytes of an answer, with the request id replaced by a placeholder. */
const seen = ({ statusCode, statusMessage, headers, body }: Answer) => {
  const requestId = String(headers['x-request-id']);
  const { date: _, ...rest } = headers;
  return JSON.stringify([statusCode, statusMessage, rest, body]).replaceAll(requestId, '<request id>');
};

/**
 * A team with an image of its own, a notebook that is ready and a server that runs, with every operation finished, so
 * that streams end by themselves; its slug.
 */
const readyTeam = async (): Promise<string> => {
  api.outside.pinImage = async (reference) => ({
    reference,
    digest: `sha256:${'a'.repeat(64)}`,
    resolvedAt: api.now(),
    newerDigest: null,
  });
  api.outside.registries = {
    ...api.outside.registries,
    tags: async () => ({ answer: 'found', value: { tags: [{ tag: '1' }], partial: false, asOf: api.now() } }),
    garImages: async () => ({ answer: 'found', value: [] }),
  };
  const team = await api.newTeam({ members: [{ email: kari, username: 'kari' }], garTeam: 'team-a' });
  assert.equal((await asKari.put(`${team}/notebook`, { image: 'ghcr.io/navikt/x:1' })).statusCode, 201);
  const record = await api.record(team);
  await api.reach(record, { phase: 'Ready', appliedRevision: 1 });
  const { hubs, cluster, ...hub } = scriptedHub({
    clock: { now: () => Date.parse(api.now()) },
    team: record,
  });
  await hub.add('kari');
  hub.run('kari');
  const secretManager = aSecretManager({ now: () => Date.parse(api.now()) });
  for (const text of ['one', 'two', 'three']) {
    await secretManager.addVersion(record.id, Buffer.from(text), AbortSignal.timeout(1_000));
  }
  Object.assign(api.outside, { hubs, cluster, secretManager });
  const operation = anOperation({ user: 'kari' });
  await api.store.openOperation(record.slug, operation);
  await api.store.changeOperation(record.slug, operation.id, (current) => ({
    ...current,
    step: 'done',
    outcome: 'ready',
    dueAt: null,
  }));
  return record.slug;
};

describe('authorization', () => {
  it('is required by most operations', () => {
    assert.ok(ofTeams.length >= 14, String(ofTeams.length));
    assert.ok(ofTeams.every(({ isPublic }) => !isPublic));
  });

  it('allows only public operations without a token', async () => {
    await api.writesNothing(async () => {
      for (const operation of operations) {
        const answer = await ask(api.anonymous(), operation, missing);
        if (operation.isPublic) assert.equal(answer.statusCode, 200, operation.id);
        else assertProblem(answer, 'unauthenticated');
      }
    });
    const open = operations.filter(({ isPublic }) => isPublic).map(({ id }) => id);
    assert.deepEqual(open.toSorted(), ['getLiveness', 'getOpenapi', 'getReadiness', 'getVersion']);
  });

  for (const operation of ofTeams) {
    it(`${operation.id}: allows members and admins, and hides the team from anyone else`, async () => {
      const slug = await readyTeam();
      await api.writesNothing(async () => {
        assertProblem(await ask(api.anonymous(), operation, slug), 'unauthenticated');
        assertProblem(await ask(stranger, operation, slug), 'not_found');
        assert.equal(
          seen(await ask(stranger, operation, slug)),
          seen(await ask(stranger, operation, missing)),
        );
      });
      for (const client of [asKari, admin]) {
        const answer = await ask(client, operation, await readyTeam());
        assert.ok(answer.statusCode < 300, `${operation.id}: ${answer.body}`);
      }
    });
  }
});

describe('a team that the caller may not see', () => {
  const states = {
    'just created': async () => (await api.newTeam()).replace('/v1/teams/', ''),
    'with a notebook': readyTeam,
    'with a notebook on its way out': async () => {
      const slug = await readyTeam();
      await asKari.delete(`/v1/teams/${slug}/notebook`);
      return slug;
    },
    'on its way out': async () => {
      const slug = await readyTeam();
      await asKari.delete(`/v1/teams/${slug}`);
      return slug;
    },
    'that has homes': async () => {
      api.outside.hasHomes = async () => true;
      return readyTeam();
    },
  };
  const variations: Readonly<Record<string, Variation>> = {
    'a plain request': {},
    'an If-Match that does not': { headers: { 'if-match': '"99.0"' } },
    'If-None-Match: *': { headers: { 'if-none-match': '*' } },
    'a broken If-Match': { headers: { 'if-match': 'x', 'if-none-match': 'x' } },
    'a body that does not fit': { payload: { unknown: true, culling: { timeoutSeconds: 1 } } },
    'a body that the rules refuse': {
      payload: { storage: { home: '1Gi' }, allowlist: { hosts: ['*.nav.no'] } },
    },
    'an image': { payload: { image: 'ghcr.io/navikt/y:1' } },
    garTeam: { payload: { garTeam: 'team-b' } },
    'a query that it does not have': { query: { x: '1' } },
    'an invalid cursor': { query: { cursor: 'x' } },
    'an Accept that nothing fits': { headers: { accept: 'image/png' } },
  };
  for (const [state, make] of Object.entries(states)) {
    it(`${state} answers byte for byte like a team that does not exist`, async () => {
      const slug = await make();
      await api.writesNothing(async () => {
        for (const operation of ofTeams) {
          const fitting = { headers: { 'if-match': await api.tagged(`/v1/teams/${slug}`, '"1.0"') } };
          for (const [what, variation] of Object.entries({
            ...variations,
            'an If-Match that fits': fitting,
          })) {
            const [there, nowhere] = [
              await ask(stranger, operation, slug, variation),
              await ask(stranger, operation, missing, variation),
            ];
            assert.ok(there.statusCode >= 400, `${operation.id} with ${what}`);
            assert.equal(seen(there), seen(nowhere), `${operation.id} with ${what}`);
          }
        }
      });
    });
  }

  it('is not listed, and creating a team with its slug reveals only that the slug is taken', async () => {
    const slug = await readyTeam();
    assert.deepEqual((await stranger.get('/v1/teams')).json(), { items: [], nextCursor: null });
    const answer = await stranger.post('/v1/teams', { slug });
    assertProblem(answer, 'team_exists');
    assert.ok(!answer.body.includes(kari));
  });
});

describe('members of a team', () => {
  it('have access as soon as they are added and lose it as soon as they are removed', async () => {
    const slug = await readyTeam();
    const asOla = api.asPerson('Ola.Nordmann@nav.no');
    const path = `/v1/teams/${slug}`;
    assertProblem(await asOla.get(path), 'not_found');
    await asKari.patch(path, { members: [{ email: kari }, { email: 'ola.nordmann@nav.no' }] });
    assert.equal((await asOla.get(path)).statusCode, 200);
    await asKari.patch(path, { members: [{ email: kari }] });
    assertProblem(await asOla.get(path), 'not_found');
  });
});
