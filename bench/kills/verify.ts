import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { openHubs } from '../../src/adapters/jupyterhub.ts';
import { openSqliteStore } from '../../src/adapters/sqlite.ts';
import { at } from '../../src/lib/json.ts';
import type { HistoryRecord } from '../../src/model/history.ts';
import type { TeamRecord } from '../../src/model/record.ts';
import { hubToken } from '../../src/notebooks/keys.ts';
import type { Store } from '../../src/ports/store.ts';
import { principalOf } from '../../src/secrets/bindings.ts';
import { aNaming } from '../../test/support/records.ts';
import type { World } from './world.ts';
import type { Writer } from './writers.ts';

const project = 'knada-local';

const everyTeam = async (store: Store): Promise<readonly TeamRecord[]> => {
  const all: TeamRecord[] = [];
  let after: string | undefined;
  do {
    const page = await store.teams({ limit: 100, ...(after === undefined ? {} : { after }) });
    all.push(...page.items);
    after = page.next;
  } while (after !== undefined);
  return all;
};

const historyOf = async (store: Store, slug: string): Promise<readonly HistoryRecord[]> => {
  const all: HistoryRecord[] = [];
  let before: number | undefined;
  for (;;) {
    const page = await store.history(slug, { limit: 100, ...(before === undefined ? {} : { before }) });
    all.push(...page.items);
    const last = page.items.at(-1);
    if (page.next === undefined || last === undefined) return all.toReversed();
    before = last.n;
  }
};

/** What keeps a team from being settled; undefined when nothing does. */
const unsettled = async (store: Store, team: TeamRecord): Promise<string | undefined> => {
  const open = await store.openOperations(team.slug);
  const { status } = team;
  if (team.deletion !== null || team.notebook?.deletion) return `${team.slug} is being deleted`;
  if (status.phase !== 'Ready' || status.appliedGeneration !== team.generation) {
    const said = status.conditions.filter((one) => one.status !== 'True');
    return `${team.slug} is ${status.phase} at ${status.appliedGeneration} of ${team.generation} ${JSON.stringify(said)}`;
  }
  const [first] = open;
  return first === undefined ? undefined : `${team.slug} has an open ${first.kind} at ${first.step}`;
};

/** Waits until every team is Ready at its generation, without open operations; the faults of those that are not. */
export const settle = async (world: World, seconds: number): Promise<readonly string[]> => {
  const store = openSqliteStore({ file: world.storeFile, naming: aNaming });
  const until = performance.now() + seconds * 1000;
  try {
    for (;;) {
      const teams = await everyTeam(store);
      const waiting = (await Promise.all(teams.map((team) => unsettled(store, team)))).filter(
        (one) => one !== undefined,
      );
      if (waiting.length === 0) return [];
      if (performance.now() > until) return waiting.map((one) => `not settled: ${one}`);
      await sleep(500);
    }
  } finally {
    await store.close();
  }
};

const timeoutPath = '/culling/timeoutSeconds';

/** Everything acknowledged is in the record and in the history once, and the history is a chain without a gap. */
const historyFaults = (
  team: TeamRecord,
  history: readonly HistoryRecord[],
  writers: readonly Writer[],
): readonly string[] => {
  const faults: string[] = [];
  const { slug } = team;
  history.forEach(({ n }, index) => {
    if (n !== index + 1) faults.push(`lost: history of ${slug} has entry ${n} in place ${index + 1}`);
  });
  const changes = history.flatMap(({ revision, changes: all }) =>
    all.filter(({ pointer }) => pointer === timeoutPath).map(({ from, to }) => ({ revision, from, to })),
  );
  let before: unknown;
  for (const change of changes) {
    if (before !== undefined && change.from !== before)
      faults.push(`lost: ${slug} ${timeoutPath} goes from ${String(change.from)}, not ${String(before)}`);
    before = change.to;
  }
  if (before !== undefined && team.notebook?.spec.culling.timeoutSeconds !== before)
    faults.push(`lost: ${slug} does not have the last timeout of its history, ${String(before)}`);
  const revisions = changes.map(({ revision }) => revision);
  if (new Set(revisions).size !== revisions.length) faults.push(`doubled: a revision of ${slug}`);
  for (const { ledger } of writers) {
    for (const { value, revision } of ledger.timeouts.filter((one) => one.slug === slug)) {
      const found = changes.filter(({ to }) => to === value);
      if (found.length > 1) faults.push(`doubled: timeout ${value} of ${slug}`);
      const noted = found[0]?.revision ?? undefined;
      // The response may show a later revision: it is written after a reconcile that reads the newest record.
      if (revision !== undefined && (noted === undefined || noted > revision))
        faults.push(`lost: timeout ${value} of ${slug}, acknowledged at revision ${revision}`);
    }
  }
  return faults;
};

const memberFaults = (team: TeamRecord, writers: readonly Writer[]): readonly string[] =>
  writers.flatMap(({ name, ledger }) => {
    const known = ledger.members.get(team.slug);
    if (known === undefined) return [];
    const own = team.members.map(({ email }) => email).filter((email) => email.startsWith(`${name}-extra-`));
    const isSame = (one: readonly string[]) => one.toSorted().join() === own.toSorted().join();
    return isSame(known.acknowledged) || known.unanswered.some(isSame)
      ? []
      : [`lost: members ${known.acknowledged.join()} of ${team.slug}; there are ${own.join()}`];
  });

const secretFaults = (
  world: World,
  team: TeamRecord,
  history: readonly HistoryRecord[],
  writers: readonly Writer[],
): readonly string[] => {
  const faults: string[] = [];
  const secret = world.google.secret(team.id);
  if (secret === undefined) return [`lost: the secret of ${team.slug}`];
  const stored = secret.versions.map(({ data = '' }) => Buffer.from(data, 'base64').toString());
  let acknowledged = 0;
  for (const { ledger } of writers) {
    for (const payload of ledger.payloads.filter(({ slug }) => slug === team.slug)) {
      const count = stored.filter((data) => data === payload.data).length;
      if (payload.acknowledged) acknowledged += 1;
      if (count > 1) faults.push(`doubled: secret version ${payload.data} of ${team.slug}`);
      if (count === 0 && payload.acknowledged) faults.push(`lost: secret version ${payload.data}`);
    }
  }
  const noted = history.filter(({ action }) => action === 'secret_version_added').length;
  if (noted < acknowledged) faults.push(`lost: history of ${acknowledged - noted} secret versions`);
  if (noted > stored.length) faults.push(`doubled: history of secret versions of ${team.slug}`);

  const wanted = new Set([
    ...team.members.map(({ email }) => principalOf(email)),
    principalOf(team.names.googleServiceAccount.email),
  ]);
  const bound = new Set(secret.policy.bindings.flatMap(({ members }) => members));
  for (const one of bound)
    if (!wanted.has(one)) faults.push(`left over: ${one} on the secret of ${team.slug}`);
  for (const one of wanted) if (!bound.has(one)) faults.push(`lost: ${one} on the secret of ${team.slug}`);
  return faults;
};

const operationFaults = async (
  store: Store,
  team: TeamRecord,
  history: readonly HistoryRecord[],
  writers: readonly Writer[],
): Promise<readonly string[]> => {
  const ids = new Set(
    writers
      .flatMap(({ ledger }) => ledger.operations.filter(({ slug }) => slug === team.slug))
      .map((o) => o.id),
  );
  const faults: string[] = [];
  for (const id of ids) {
    const operation = await store.operation(team.slug, id);
    if (operation === undefined) faults.push(`lost: operation ${id} of ${team.slug}`);
    else if (operation.outcome === null) faults.push(`left over: operation ${id} of ${team.slug} is open`);
  }
  const noted = history.filter(({ action }) => /^server_(?:started|stopped|restarted)$/.test(action)).length;
  if (noted < ids.size) faults.push(`lost: history of ${ids.size - noted} operations of ${team.slug}`);
  return faults;
};

const policiesOf = (team: TeamRecord, hasPods: boolean): readonly string[] => {
  if (team.notebook === null) return [];
  if (!team.notebook.spec.allowlist.enabled) return ['notebook-egress-open'];
  const base = ['airflow-egress-baseline', 'notebook-egress-baseline'];
  return hasPods ? ['airflow-egress-baseline', 'notebook-egress-allow', 'notebook-egress-baseline'] : base;
};

const clusterFaults = async (world: World, team: TeamRecord): Promise<readonly string[]> => {
  const { client } = world;
  const { namespace } = team.names;
  const faults: string[] = [];
  const ours = { namespace, labelSelector: `knada.io/team-id=${team.id}` };
  const [releases, policies, pods, profiles] = await Promise.all([
    client.list('helmreleases', { namespace }),
    client.list('networkpolicies', ours),
    client.list('pods', { namespace, labelSelector: 'component=singleuser-server' }),
    client.get('configmaps', namespace, 'notebook-profiles'),
  ]);
  const expected = team.notebook === null ? 0 : 1;
  if (releases.length !== expected) faults.push(`${releases.length} HelmReleases in ${namespace}`);
  const names = policies
    .map(({ metadata }) => String(metadata.name))
    .filter((name) => /^(?:notebook|airflow)-egress/.test(name))
    .toSorted();
  const wanted = policiesOf(team, pods.length > 0);
  if (names.join() !== wanted.join())
    faults.push(`policies of ${team.slug}: ${names.join()}, wanted ${wanted.join()}`);
  const users = pods.map(({ metadata }) => metadata.name);
  if (new Set(users).size !== users.length) faults.push(`doubled: a server in ${namespace}`);
  const culling = JSON.parse(String(at(profiles, 'data', 'culling.json') ?? '{}'));
  if (team.notebook !== null && at(culling, 'timeoutSeconds') !== team.notebook.spec.culling.timeoutSeconds)
    faults.push(`lost: the timeout of ${team.slug} in the cluster: ${JSON.stringify(culling)}`);
  return faults;
};

const hubFaults = async (world: World, team: TeamRecord): Promise<readonly string[]> => {
  if (team.notebook === null) return [];
  const masterKeys = world.hubMasterKeys.split(',').map((item) => {
    const [id = '', key = ''] = item.split(':');
    return { id, key };
  });
  const hubs = openHubs({
    urlTemplate: world.hubUrlTemplate,
    tokens: (id) => masterKeys.map((key) => hubToken(id, key)),
    clock: { now: () => Date.now() },
  });
  const users = (await hubs.users(team, AbortSignal.timeout(10_000))).map(({ name }) => name).toSorted();
  const members = team.members.map(({ username, email }) => username ?? email).toSorted();
  return users.join() === members.join()
    ? []
    : [`hub users of ${team.slug}: ${users.join()}, members ${members.join()}`];
};

/** Ids of deleted teams; the store keeps them for ever. */
export const goneIds = (world: World): readonly string[] => {
  const database = new DatabaseSync(world.storeFile, { readOnly: true });
  const rows = database.prepare('SELECT id FROM ids WHERE gone = 1').all();
  database.close();
  return rows.map(({ id }) => String(id));
};

/** Compares what the writers were told with the store, the cluster, the hubs and Google’s services. */
export const verify = async (
  world: World,
  writers: readonly Writer[],
): Promise<{ readonly faults: readonly string[]; readonly teams: number; readonly deleted: number }> => {
  const store = openSqliteStore({ file: world.storeFile, naming: aNaming });
  const faults: string[] = [];
  try {
    const teams = await everyTeam(store);
    const bySlug = new Map(teams.map((team) => [team.slug, team]));
    for (const { ledger } of writers) {
      for (const [slug, state] of ledger.teams) {
        if (state === 'present' && !bySlug.has(slug)) faults.push(`lost: team ${slug}`);
        if (state === 'absent' && bySlug.has(slug)) faults.push(`left over: team ${slug}`);
      }
    }
    for (const team of teams) {
      const history = await historyOf(store, team.slug);
      faults.push(
        ...historyFaults(team, history, writers),
        ...memberFaults(team, writers),
        ...secretFaults(world, team, history, writers),
        ...(await operationFaults(store, team, history, writers)),
        ...(await clusterFaults(world, team)),
        ...(await hubFaults(world, team)),
      );
    }

    const alive = new Set(teams.map(({ id }) => id));
    const gone = goneIds(world);
    const namespaces = await world.client.list('namespaces', {
      labelSelector: 'app.kubernetes.io/managed-by=knada-notebooks',
    });
    for (const { metadata } of namespaces) {
      const id = String(metadata.name).replace(/^team-/, '');
      if (!alive.has(id)) faults.push(`left over: namespace ${metadata.name}`);
    }
    for (const id of gone) {
      if (world.google.secret(id) !== undefined) faults.push(`left over: secret ${id}`);
      if (world.google.account(`${id}@${project}.iam.gserviceaccount.com`) !== undefined)
        faults.push(`left over: service account ${id}`);
    }
    return { faults, teams: teams.length, deleted: gone.length };
  } finally {
    await store.close();
  }
};
