import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import fc from 'fast-check';
import { at } from '../../src/lib/json.ts';
import type { Cluster } from '../../src/ports/cluster.ts';
import type { Hubs } from '../../src/ports/hubs.ts';
import { exact } from '../openapi/contract.ts';
import { creators, kari, openApi } from '../support/api.ts';
import { scriptedHub } from '../support/hubs.ts';

/** FUZZ_SEED repeats a run; a failure prints its seed and the smallest scenario that fails. */
const seed = Number(process.env.FUZZ_SEED ?? 20261128);
const scenarios = 24;
const pollMs = 1_000;
const patienceMs = 60_000;

const api = await openApi();
const origin = await api.app.listen({ host: '127.0.0.1', port: 0 });
const asKari = api.asPerson(kari, creators);
after(() => api.close());

const ajv = new Ajv2020({ strict: false, allErrors: true });
addFormats.default(ajv);
ajv.addSchema(Object(exact(api.document)), 'api');

const streams = {
  notebook: { schema: 'NotebookStream', snapshot: 'notebook' },
  operation: { schema: 'OperationStream', snapshot: 'operation' },
  servers: { schema: 'ServersStream', snapshot: 'servers' },
} as const;
type Stream = keyof typeof streams;

const steps = [
  'pause',
  'pass a second',
  'change the status',
  'run a server',
  'hear of progress',
  'hub goes away',
  'cluster goes away',
  'both come back',
  'leave',
  'connect',
  'lose access',
] as const;
type Step = (typeof steps)[number];

interface Scenario {
  readonly stream: Stream;
  readonly steps: readonly Step[];
  /** What the client claims to have seen; a stream starts with a snapshot all the same. */
  readonly lastEventId: string | undefined;
}

const aScenario: fc.Arbitrary<Scenario> = fc.record({
  stream: fc.constantFrom(...(['notebook', 'operation', 'servers'] as const)),
  steps: fc.array(fc.constantFrom(...steps), { maxLength: 8 }),
  lastEventId: fc.option(fc.stringMatching(/^[!-~]{1,20}$/), { nil: undefined }),
});

interface StreamEvent {
  readonly id?: string;
  readonly event?: string;
  readonly data: unknown;
}

interface Connection {
  readonly status: number;
  /** The code of the problem that was answered instead of a stream. */
  readonly code: unknown;
  readonly events: readonly StreamEvent[];
  /** Resolves once the stream has ended, whoever ended it. */
  readonly ended: Promise<void>;
  wasLeft: boolean;
  leave(): void;
}

const eventIn = (frame: string): StreamEvent => {
  const fields = frame
    .split('\n')
    .map((line) => /^(id|event|data): (.*)$/s.exec(line)?.slice(1) ?? [line, '']);
  const { data = '', ...rest } = Object.fromEntries(fields);
  return { ...rest, data: JSON.parse(data) };
};

const connect = async (path: string, headers: Readonly<Record<string, string>>): Promise<Connection> => {
  const gone = new AbortController();
  const answer = await fetch(`${origin}${path}`, { headers, signal: gone.signal });
  const events: StreamEvent[] = [];
  const read = async (): Promise<void> => {
    let text = '';
    for await (const part of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      const frames = `${text}${part}`.split('\n\n');
      text = frames.pop() ?? '';
      events.push(...frames.filter((frame) => !frame.startsWith(':')).map(eventIn));
    }
    assert.equal(text, '', 'the stream ends after a whole event');
  };
  const isStream = answer.headers.get('content-type') === 'text/event-stream';
  const connection: Connection = {
    status: answer.status,
    code: isStream ? undefined : at(await answer.json(), 'code'),
    events,
    wasLeft: false,
    ended: isStream
      ? read().catch((error: unknown) => {
          if (!connection.wasLeft) throw error;
        })
      : Promise.resolve(),
    leave() {
      connection.wasLeft = true;
      gone.abort();
    },
  };
  return connection;
};

type Hub = ReturnType<typeof scriptedHub>;
const hubOf = new Map<string, Hub>();
/** Every call of a source, by the slug of its team. */
const calls = new Map<string, number>();
const count = (slug: string): void => void calls.set(slug, (calls.get(slug) ?? 0) + 1);

/** Every team’s own hub and cluster behind one port: the first argument says whose they are. */
const dispatched = <T extends object>(part: T, of: (hub: Hub) => T): T =>
  new Proxy(part, {
    get:
      (_, name) =>
      (...given: readonly unknown[]) => {
        const [first] = given;
        const slug = at(first, 'slug') ?? String(at(first, 'namespace')).replace(/^team-|-[0-9a-f]{4}$/g, '');
        const hub = hubOf.get(String(slug));
        assert.ok(hub, `${String(name)} of an unknown team ${slug}`);
        count(String(slug));
        const call: unknown = Reflect.get(of(hub), name);
        assert.ok(typeof call === 'function');
        return Reflect.apply(call, undefined, given);
      },
  });
const noHubs: Hubs = { ...api.outside.hubs };
const noCluster: Cluster = { ...api.outside.cluster };
Object.assign(api.outside, {
  hubs: dispatched(noHubs, ({ hubs }) => hubs),
  cluster: dispatched(noCluster, ({ cluster }) => cluster),
  pinImage: async (reference: string) => ({
    reference,
    digest: `sha256:${'a'.repeat(64)}`,
    resolvedAt: api.now(),
    newerDigest: null,
  }),
});

let people = 0;

const play = async ({ stream, steps: chosen, lastEventId }: Scenario): Promise<void> => {
  people += 1;
  const [email, username] = [`watcher-${people}@nav.no`, `watcher-${people}`];
  const team = await api.newTeam({
    members: [
      { email: kari, username: 'kari' },
      { email, username },
    ],
  });
  const slug = team.replace('/v1/teams/', '');
  const record = await api.record(team);
  const hub = scriptedHub({ clock: { now: () => Date.parse(api.now()) }, team: record });
  hubOf.set(slug, hub);
  await hub.add('kari', username);
  const order = await asKari.put(`${team}/notebook`, { image: 'ghcr.io/navikt/x:1' });
  assert.equal(order.statusCode, 201, order.body);
  const started = stream === 'operation' ? await asKari.post(`${team}/servers/kari/start`) : undefined;
  const path = {
    notebook: `${team}/notebook/events`,
    servers: `${team}/servers/events`,
    operation: `${started?.headers.location}/events`,
  }[stream];
  const headers = {
    authorization: `Bearer ${await api.issuer.token({ preferred_username: email })}`,
    ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
  };

  const connections: Connection[] = [];
  const open = async () => connections.push(await connect(path, headers));
  let hasAccess = true;
  let isAway = { hub: false, cluster: false };
  const pass = (): void => {
    api.advance(1_000);
    hub.settle();
  };
  const act = {
    pause: () => wait(pollMs / 2),
    'pass a second': async () => pass(),
    'change the status': async () => void (await api.reach(await api.record(team), { phase: 'Applying' })),
    'run a server': async () => {
      if (!isAway.hub) hub.run(username);
    },
    'hear of progress': async () => hub.say('kari', 40, 'Pulling the image'),
    'hub goes away': async () => {
      hub.goAway();
      isAway = { ...isAway, hub: true };
    },
    'cluster goes away': async () => {
      hub.clusterGoesAway();
      isAway = { ...isAway, cluster: true };
    },
    'both come back': async () => {
      hub.comeBack();
      hub.clusterComesBack();
      isAway = { hub: false, cluster: false };
    },
    leave: async () => connections.at(-1)?.leave(),
    connect: open,
    'lose access': async () => {
      const removed = await asKari.delete(`${team}/members/${email}`);
      assert.equal(removed.statusCode, 204, removed.body);
      hasAccess = false;
    },
  } as const satisfies Record<Step, () => Promise<unknown>>;

  await open();
  for (const step of chosen) {
    if (step === 'lose access' && !hasAccess) continue;
    await act[step]();
  }
  await act['both come back']();
  const last = connections.at(-1);
  if (last?.wasLeft === true || last?.status !== 200) await open();

  // What the stream is about comes to its end.
  const isOver = Promise.all(connections.map(({ ended }) => ended)).then(() => true);
  const deadline = performance.now() + patienceMs;
  if (stream === 'notebook') await api.reach(await api.record(team), { phase: 'Ready' });
  if (stream === 'servers')
    await api.store.change(slug, (current) => ({ next: { ...current, notebook: null } }));
  while (!(await Promise.race([isOver, wait(pollMs / 4, false)]))) {
    assert.ok(
      performance.now() < deadline,
      `the stream ${stream} does not end after ${chosen.join(', ')}: ${JSON.stringify(connections.map(({ wasLeft, events }) => ({ wasLeft, last: events.at(-1) })))}`,
    );
    if (stream === 'operation') pass();
  }

  const validate = ajv.compile({ $ref: `api#/components/schemas/${streams[stream].schema}` });
  for (const { status, code, events, wasLeft } of connections) {
    if (status !== 200) {
      const expected = hasAccess ? ['hub_unavailable'] : ['not_found', 'hub_unavailable'];
      assert.ok(expected.includes(String(code)), `${status} ${String(code)}`);
      continue;
    }
    for (const event of events)
      assert.ok(validate(event), `${ajv.errorsText(validate.errors)} in ${JSON.stringify(event)}`);
    const names = events.map(({ event }) => event);
    if (events.length > 0 || !wasLeft)
      assert.ok(names[0] === streams[stream].snapshot, `begins with ${names[0]}, not with a snapshot`);
    for (const [index, event] of events.entries())
      assert.notDeepEqual(event, events[index + 1], 'an event is sent once');
    const farewells = names.filter((name) => name === 'reconnect' || name === 'deleted');
    assert.ok(farewells.length <= 1 && (farewells.length === 0 || farewells[0] === names.at(-1)));
    if (wasLeft) continue;
    const end = events.at(-1);
    const isDone =
      (stream === 'notebook' && at(end?.data, 'status', 'phase') === 'Ready') ||
      (stream === 'operation' && at(end?.data, 'done') === true) ||
      (stream === 'servers' && end?.event === 'deleted');
    assert.ok(isDone || (!hasAccess && end?.event === 'reconnect'), `ended with ${JSON.stringify(end)}`);
  }

  // Nothing is left of the streams of this person: as many as are allowed can be opened.
  const allowed = Array.from({ length: api.config.streams.perCaller }, () => api.app.openStream(email));
  for (const release of allowed) release();
};

describe('event streams', () => {
  it('send typed events from a snapshot to their end, whatever happens, and leave nothing open', async () => {
    await fc.assert(
      fc.asyncProperty(
        // Played at the same time, since each waits for the streams’ polls most of the time.
        fc.array(aScenario, { minLength: scenarios, maxLength: scenarios, size: 'max' }),
        async (all) => void (await Promise.all(all.map(play))),
      ),
      { seed, numRuns: 2, endOnFailure: true },
    );
    const before = new Map(calls);
    api.advance(10_000);
    // Longer than two polls: a stream that had been left open would have asked by then.
    await wait(2.5 * pollMs);
    assert.deepEqual(calls, before, 'a stream that has ended still asks the hub or the cluster');
    assert.ok(calls.size > 0);
  });
});
