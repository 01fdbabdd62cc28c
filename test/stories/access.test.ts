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

const ola = 'ola.nordmann@nav.no';
const anne = 'anne.nordmann@nav.no';
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
  urlFor(slug: string, variation?: Pick<Variation, 'query' | 'path'>): string;
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
    const fill = (slug: string, chosen: Readonly<Record<string, string>>) =>
      path.replaceAll(/\{(\w+)\}/g, (_, name) => {
        const parameter = parameters.find((p) => p.in === 'path' && p.name === name);
        return name === 'team' ? slug : encodeURIComponent(chosen[name] ?? sample(parameter));
      });
    return {
      id: String(operationId),
      method: methods[verb],
      isPublic: Array.isArray(security) && security.length === 0,
      takesBody: content !== undefined,
      body: content?.example ?? exampleOf(content?.schema, components),
      urlFor: (slug, { query: more = {}, path: chosen = {} } = {}) => {
        const asked = new URLSearchParams([...query, ...Object.entries(more)]).toString();
        return asked === '' ? fill(slug, chosen) : `${fill(slug, chosen)}?${asked}`;
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
  { query = {}, path = {}, headers = {}, payload = body }: Variation = {},
): Promise<Answer> =>
  client.send({
    method,
    url: urlFor(slug, { query, path }),
    headers: { ...(takesBody && { 'content-type': 'application/json' }), ...headers },
    ...(takesBody && { payload: JSON.stringify(payload) }),
  });

interface Variation {
  readonly path?: Readonly<Record<string, string>>;
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
 * A team of an owner (Kari) and two members, with an image of its own, a notebook that is ready and a server that runs,
 * with every operation finished, so streams of the notebook and of operations end by themselves; its slug.
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
  const members = [{ email: kari, username: 'kari' }, { email: ola }, { email: anne }];
  const team = await api.newTeam({ members, garTeam: 'team-a' });
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

/** The same team, opted in to an allowlist by its second revision. */
const restrictedTeam = async (): Promise<string> => {
  const slug = await readyTeam();
  const optIn = await asKari.patch(`/v1/teams/${slug}/notebook`, { allowlist: { enabled: true } });
  assert.equal(optIn.statusCode, 200, optIn.body);
  return slug;
};

const callers = {
  owner: asKari,
  member: api.asPerson(ola),
  admin,
  stranger,
  anonymous: api.anonymous(),
} as const;
type Who = keyof typeof callers;
const whos: readonly Who[] = ['owner', 'member', 'admin', 'stranger', 'anonymous'];

type Verdict = 'allowed' | 'forbidden' | 'not_found' | 'unauthenticated';
type Verdicts = Readonly<Record<Who, Verdict>>;

const byMembers: Verdicts = {
  owner: 'allowed',
  member: 'allowed',
  admin: 'allowed',
  stranger: 'not_found',
  anonymous: 'unauthenticated',
};
const byOwners: Verdicts = { ...byMembers, member: 'forbidden' };
const byCallers: Verdicts = { ...byMembers, stranger: 'allowed' };
const byAnyone: Verdicts = { ...byCallers, anonymous: 'allowed' };

interface Case extends Variation {
  readonly verdicts: Verdicts;
  /** What is special about the request. */
  readonly when?: string;
  /** The slug of a team that the request fits. */
  readonly team?: () => Promise<string>;
  /** The status of a request that was let in but needs a registry, which no test here has. */
  readonly letIn?: number;
}

const only = (verdicts: Verdicts): readonly Case[] => [{ verdicts }];
const optingOut = (payload: object): readonly Case[] => [
  { verdicts: byMembers },
  { verdicts: byMembers, when: 'keeping the allowlist', team: restrictedTeam, payload: optIn },
  { verdicts: byOwners, when: 'opting out of the allowlist', team: restrictedTeam, payload },
];
const optIn = { allowlist: { enabled: true, hosts: ['pypi.org'] } };

/** Who may do what: a row per operation of the contract, and more where the request decides. */
const rights: Readonly<Record<string, readonly Case[]>> = {
  getLiveness: only(byAnyone),
  getReadiness: only(byAnyone),
  getVersion: only(byAnyone),
  getOpenapi: only(byAnyone),
  listCodes: only(byAnyone),

  getMe: only(byCallers),
  getLimits: only(byCallers),
  listEnvironments: only(byCallers),
  listPythonVersions: only(byCallers),
  validateAllowlist: only(byCallers),
  createImageScaffold: [{ verdicts: byCallers, letIn: 400 }],
  listTeams: only(byCallers),
  createTeam: [{ verdicts: byCallers, payload: { slug: 'new-team' } }],
  resolveImage: [
    {
      verdicts: byMembers,
      when: 'for a team',
      letIn: 503,
      payload: { image: 'ghcr.io/navikt/x:1', team: 'TEAM' },
    },
    { verdicts: byCallers, letIn: 503, payload: { image: 'ghcr.io/navikt/x:1' } },
  ],

  getTeam: only(byMembers),
  updateTeam: [
    { verdicts: byMembers, when: 'with other repositories', payload: { ghcrRepositories: ['x'] } },
    {
      verdicts: byMembers,
      when: 'with the same members',
      payload: { members: [{ email: kari }, { email: ola }, { email: anne }] },
    },
    {
      verdicts: byOwners,
      when: 'with fewer members',
      payload: { members: [{ email: kari }, { email: ola }] },
    },
    {
      verdicts: byOwners,
      when: 'with another role',
      payload: { members: [{ email: kari }, { email: ola, role: 'owner' }, { email: anne }] },
    },
  ],
  deleteTeam: only(byOwners),
  listHistory: only(byMembers),
  listProfiles: only(byMembers),
  listOperations: only(byMembers),
  listMembers: only(byMembers),
  addMember: [
    { verdicts: byOwners, when: 'for a new person', path: { email: 'siri@nav.no' }, payload: {} },
    { verdicts: byOwners, when: 'that promotes', path: { email: ola }, payload: { role: 'owner' } },
  ],
  removeMember: [
    { verdicts: byOwners, when: 'for another member', path: { email: anne } },
    { verdicts: byOwners, when: 'for someone who is no member', path: { email: 'siri@nav.no' } },
  ],

  getNotebook: only(byMembers),
  watchNotebook: only(byMembers),
  putNotebook: optingOut({}),
  patchNotebook: optingOut({ allowlist: { enabled: false } }),
  planNotebook: optingOut({ allowlist: null }),
  addAllowlistHost: only(byMembers),
  removeAllowlistHost: only(byMembers),
  getManifests: only(byMembers),
  restoreRevision: [
    { verdicts: byMembers, path: { revision: '1' } },
    {
      verdicts: byOwners,
      when: 'opting out of the allowlist',
      team: restrictedTeam,
      path: { revision: '1' },
    },
  ],
  refreshImage: only(byMembers),
  retryNotebook: only(byMembers),
  deleteNotebook: only(byOwners),

  listServers: only(byMembers),
  watchServers: only(byMembers),
  startServer: only(byMembers),
  stopServer: only(byMembers),
  restartServer: only(byMembers),
  extendServer: only(byMembers),
  restartHub: only(byMembers),
  getOperation: only(byMembers),
  watchOperation: only(byMembers),

  getSecret: only(byMembers),
  addSecretVersion: only(byMembers),
  enableSecretVersion: only(byMembers),
  disableSecretVersion: only(byMembers),

  listTeamImages: only(byMembers),
  listImageTags: only(byMembers),
  getEgress: only(byMembers),
  checkEgress: only(byMembers),
};

/** The stream of the servers ends with the notebook, which is gone once the hub was asked. */
const endWithFirstLook = (slug: string): void => {
  const { hubs } = api.outside;
  const users: typeof hubs.users = async (...given) => {
    const found = await hubs.users(...given);
    await api.store.change(slug, (current) => ({ next: { ...current, notebook: null } }));
    return found;
  };
  api.outside.hubs = { ...hubs, users };
};

let made = 0;
/** The request, with a slug of its own if it creates a team. */
const unique = (variation: Variation): Variation => {
  if (JSON.stringify(variation.payload) !== '{"slug":"new-team"}') return variation;
  made += 1;
  return { ...variation, payload: { slug: `new-team-${made}` } };
};

/** A request that names a team in its body names this one. */
const naming = (variation: Variation, slug: string): Variation =>
  'payload' in variation
    ? { ...variation, payload: JSON.parse(JSON.stringify(variation.payload).replace('"TEAM"', `"${slug}"`)) }
    : variation;

describe('rights', () => {
  it('have a row for every operation of the contract', () => {
    assert.deepEqual(Object.keys(rights).toSorted(), operations.map(({ id }) => id).toSorted());
  });

  it('are asked for by every operation but the public ones', () => {
    const open = operations.filter(({ isPublic }) => isPublic).map(({ id }) => id);
    const free = Object.entries(rights).flatMap(([id, cases]) =>
      cases.some(({ verdicts }) => verdicts === byAnyone) ? [id] : [],
    );
    assert.deepEqual(open.toSorted(), free.toSorted());
  });

  it('are those of a member at least for every operation on a team', () => {
    for (const { id } of ofTeams) {
      for (const { verdicts } of rights[id] ?? []) {
        assert.deepEqual([verdicts.stranger, verdicts.anonymous], ['not_found', 'unauthenticated'], id);
      }
    }
  });

  for (const operation of operations) {
    for (const { verdicts, when, letIn, team = readyTeam, ...variation } of rights[operation.id] ?? []) {
      const is = (...wanted: readonly Verdict[]) => whos.filter((who) => wanted.includes(verdicts[who]));
      const title = [operation.id, ...(when === undefined ? [] : [when])].join(' ');
      it(`${title}: allows ${is('allowed').join(', ')} and refuses everyone else`, async () => {
        const slug = await team();
        await api.writesNothing(async () => {
          for (const who of is('forbidden', 'not_found', 'unauthenticated')) {
            const answer = await ask(callers[who], operation, slug, naming(variation, slug));
            const refused = verdicts[who];
            assert.notEqual(refused, 'allowed');
            if (refused !== 'allowed') assertProblem(answer, refused);
            if (refused === 'forbidden')
              assert.match(answer.json().detail, new RegExp(`Only owners .*${kari}`));
            if (refused !== 'not_found' || !operation.isOfTeam) continue;
            assert.equal(seen(answer), seen(await ask(callers[who], operation, missing, variation)), who);
          }
        });
        for (const who of is('allowed')) {
          const own = await team();
          if (operation.id === 'watchServers') endWithFirstLook(own);
          const answer = await ask(callers[who], operation, own, naming(unique(variation), own));
          const isLetIn = letIn === undefined ? answer.statusCode < 300 : answer.statusCode === letIn;
          assert.ok(isLetIn, `${who}: ${answer.statusCode} ${answer.body}`);
        }
      });
    }
  }

  it('let a member leave, but not the last owner', async () => {
    const slug = await readyTeam();
    const path = `/v1/teams/${slug}`;
    assert.equal((await callers.member.delete(`${path}/members/${ola}`)).statusCode, 204);
    assertProblem(await callers.member.get(path), 'not_found');
    assertProblem(await api.writesNothing(() => asKari.delete(`${path}/members/${kari}`)), 'last_owner');
  });

  it('change with a role at once', async () => {
    const slug = await readyTeam();
    const path = `/v1/teams/${slug}`;
    const asOla = callers.member;
    await asKari.put(`${path}/members/${ola}`, { role: 'owner' });
    assert.equal((await asOla.put(`${path}/members/${kari}`, { role: 'member' })).statusCode, 200);
    assertProblem(await asKari.delete(path), 'forbidden');
    assert.equal((await asOla.delete(path)).statusCode, 202);
  });
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
    const outsider = api.asPerson('outsider@nav.no');
    assert.deepEqual((await outsider.get('/v1/teams')).json(), { items: [], nextCursor: null });
    const answer = await outsider.post('/v1/teams', { slug });
    assertProblem(answer, 'team_exists');
    assert.ok(!answer.body.includes(kari));
  });
});

describe('members of a team', () => {
  it('have access as soon as they are added and lose it as soon as they are removed', async () => {
    const slug = await readyTeam();
    const asSiri = api.asPerson('Siri@nav.no');
    const path = `/v1/teams/${slug}`;
    assertProblem(await asSiri.get(path), 'not_found');
    await asKari.patch(path, { members: [{ email: kari }, { email: 'siri@nav.no' }] });
    assert.equal((await asSiri.get(path)).statusCode, 200);
    await asKari.patch(path, { members: [{ email: kari }] });
    assertProblem(await asSiri.get(path), 'not_found');
  });
});
