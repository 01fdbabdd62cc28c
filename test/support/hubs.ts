import type { NamedTeam } from '../../src/model/names.ts';
import type { Cluster, Manifest } from '../../src/ports/cluster.ts';
import type { HubRefusal, HubServer, Hubs, HubUser, SpawnProgress } from '../../src/ports/hubs.ts';
import { Unavailable } from '../../src/ports/unavailable.ts';
import { mergePatch } from './merge-patch.ts';

interface Person {
  readonly name: string;
  state: 'stopped' | 'spawn' | 'running' | 'stop' | 'check';
  startedAt: string | null;
  lastActivityAt: string | null;
  profile: string | null;
  profileChosenAt: number | undefined;
  hadServer: boolean;
  /** When what is pending is over, epoch milliseconds. */
  doneAt: number;
  failsWith: string | undefined;
  /** The hub’s message about the last failed start. */
  failed: string | undefined;
  isBusy: boolean;
  lines: SpawnProgress[];
  readonly held: Set<'start' | 'stop'>;
}

interface Options {
  readonly clock: { now(): number };
  readonly team: NamedTeam;
  readonly startMs?: number;
  readonly stopMs?: number;
}

const readyCondition = (status: 'True' | 'False') => [{ type: 'Ready', status }];
const image = `ghcr.io/navikt/jupyter:1@sha256:${'a'.repeat(64)}`;

/**
 * One team’s hub and the part of the cluster that its notebooks are in, in memory and on the test’s clock: JupyterHub’s
 * state machine as far as our port goes. What a test scripts (`hold`, `failNextStart`, `goAway`,
 * `troublePod`) happens; every call is in `calls`.
 */
export const scriptedHub = ({ clock, team, startMs = 2_000, stopMs = 1_000 }: Options) => {
  const people = new Map<string, Person>();
  const pods = new Map<string, Manifest>();
  const events: Manifest[] = [];
  const quotas: Manifest[] = [];
  const calls: string[] = [];
  const { namespace } = team.names;
  let presence: 'there' | 'away' | 'frozen' = 'there';
  let isClusterAway = false;
  let count = 0;
  let restartsUntil = 0;
  let news = Promise.withResolvers<void>();
  let deployment: Manifest | undefined = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'hub', namespace, uid: 'hub-deployment', resourceVersion: '1', generation: 1 },
    spec: { replicas: 1, template: { metadata: { annotations: {} } } },
    status: { observedGeneration: 1, replicas: 1, updatedReplicas: 1, availableReplicas: 1 },
  };

  const iso = () => new Date(clock.now()).toISOString();
  const tell = () => {
    news.resolve();
    news = Promise.withResolvers();
  };

  const labels = { component: 'singleuser-server' };
  const revisions = new Map<string, string>();
  const troubled = new Map<string, object>();
  const makePod = ({ name, profile }: Person): void => {
    count += 1;
    pods.set(name, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name: `jupyter-${count}`,
        namespace,
        uid: `pod-${count}`,
        resourceVersion: String(count),
        labels,
        annotations: {
          'hub.jupyter.org/username': name,
          'knada.io/profile': profile ?? '',
          'knada.io/profile-revision': revisions.get(profile ?? '') ?? 'revision-1',
        },
      },
      spec: { containers: [{ name: 'notebook', image }] },
      status: { phase: 'Pending', startTime: iso(), conditions: readyCondition('False') },
    });
    editPod(name, { status: troubled.get(name) ?? {} });
  };
  const editPod = (name: string, change: object): void => {
    const pod = pods.get(name);
    if (pod !== undefined) pods.set(name, mergePatch(pod, change) as Manifest);
  };

  const ended = (person: Person): void => {
    // JupyterHub counts a stop as activity (user.py, `stop`).
    const lastActivityAt = iso();
    Object.assign(person, {
      state: 'stopped',
      startedAt: null,
      lastActivityAt,

      lines: [],
    });
    pods.delete(person.name);
  };

  /** What became due has happened. */
  const settle = (): void => {
    const now = clock.now();
    for (const person of people.values()) {
      if (person.state === 'spawn' && !person.held.has('start') && now >= person.doneAt) {
        if (person.failsWith !== undefined) {
          const message = `Spawn failed: ${person.failsWith}`;
          ended(person);
          person.failsWith = undefined;
          person.failed = message;
        } else if (pods.has(person.name) && !troubled.has(person.name)) {
          person.state = 'running';
          person.lastActivityAt = iso();
          editPod(person.name, { status: { phase: 'Running', conditions: readyCondition('True') } });
        }
      }
      if (person.state === 'stop' && !person.held.has('stop') && now >= person.doneAt) ended(person);
    }
    if (restartsUntil > 0 && now >= restartsUntil && deployment !== undefined) {
      restartsUntil = 0;
      presence = 'there';
      const observedGeneration = deployment.metadata.generation;
      deployment = mergePatch(deployment, {
        status: { observedGeneration, availableReplicas: 1 },
      }) as Manifest;
    }
    tell();
  };

  const entering = async (call: string, signal: AbortSignal): Promise<void> => {
    calls.push(call);
    settle();
    if (presence === 'away') throw new Unavailable('hub', 'The hub does not answer.');
    if (presence === 'frozen') {
      await new Promise((_, reject) => {
        signal.addEventListener('abort', () =>
          reject(new Unavailable('hub', 'The hub did not answer in time.')),
        );
        if (signal.aborted) reject(new Unavailable('hub', 'The hub did not answer in time.'));
      });
    }
  };

  const serverOf = (person: Person): HubServer => {
    const { state, startedAt, lastActivityAt, profile, profileChosenAt } = person;
    const pending = state === 'stopped' || state === 'running' ? null : state;
    return {
      stopped: state === 'stopped',
      ready: state === 'running',
      pending,
      startedAt,
      lastActivityAt,
      profile,
      ...(profileChosenAt === undefined ? {} : { profileChosenAt }),
    };
  };
  const userOf = (person: Person): HubUser => ({
    name: person.name,
    server: person.hadServer ? serverOf(person) : null,
  });
  const refused = (what: HubRefusal['refused'], message: string, more: object = {}): HubRefusal => ({
    refused: what,
    message,
    ...more,
  });

  const beginStop = (person: Person): 'stopped' | 'stopping' => {
    if (person.state === 'stopped') return 'stopped';
    if (person.state === 'spawn') person.failed = 'Spawn failed: it was stopped.';
    if (person.state !== 'stop') {
      person.state = 'stop';
      person.doneAt = clock.now() + (pods.has(person.name) ? stopMs : 0);
      editPod(person.name, { metadata: { deletionTimestamp: iso() } });
    }
    settle();
    return serverOf(person).stopped ? 'stopped' : 'stopping';
  };

  const person = (name: string): Person => {
    const found = people.get(name);
    if (found === undefined) throw new TypeError(`${name} is not a user of the scripted hub`);
    return found;
  };

  let refusesStarts: HubRefusal | undefined;

  const hubs: Hubs = {
    async version(_team, signal) {
      await entering('version', signal);
      return '5.5.0';
    },
    async users(_team, signal, { active = false } = {}) {
      await entering('users', signal);
      return [...people.values()].filter(({ state }) => !active || state !== 'stopped').map(userOf);
    },
    async user(_team, name, signal) {
      await entering('user', signal);
      const found = people.get(name);
      return found && userOf(found);
    },
    async addUser(_team, name, signal) {
      await entering(`add ${name}`, signal);
      if (people.has(name)) return 'exists';
      people.set(name, {
        name,
        state: 'stopped',
        startedAt: null,
        lastActivityAt: null,
        profile: null,
        profileChosenAt: undefined,
        hadServer: false,
        doneAt: 0,
        failsWith: undefined,
        failed: undefined,
        isBusy: false,
        lines: [],
        held: new Set(),
      });
      return 'added';
    },
    async removeUser(_team, name, signal) {
      await entering(`remove ${name}`, signal);
      const found = people.get(name);
      if (found === undefined) return 'absent';
      if (beginStop(found) === 'stopping') return 'stopping';
      people.delete(name);
      return 'removed';
    },
    async start(_team, name, { profile, chosenAt: profileChosenAt }, signal) {
      await entering(`start ${name}`, signal);
      const found = people.get(name);
      if (found === undefined) return refused('no_such_user', 'There is no such user.');
      if (found.state === 'spawn') return 'starting';
      if (found.state === 'running') return refused('already_running', `${name} is already running`);
      if (found.state === 'stop') return refused('pending_stop', `${name} is pending stop`);
      if (found.state === 'check') return refused('pending_check', `${name} is pending check`);
      if (refusesStarts !== undefined) return refusesStarts;
      const startedAt = iso();
      Object.assign(found, {
        state: 'spawn',
        startedAt,
        profile,
        profileChosenAt,
        hadServer: true,
        failed: undefined,
      });
      found.doneAt = clock.now() + startMs;
      makePod(found);
      settle();
      return serverOf(found).ready ? 'ready' : 'starting';
    },
    async stop(_team, name, signal) {
      await entering(`stop ${name}`, signal);
      const found = people.get(name);
      if (found === undefined) return refused('no_such_user', 'There is no such user.');
      if (found.state === 'check') return refused('pending_check', `${name} is pending check`);
      return beginStop(found);
    },
    async *progress(_team, name, signal) {
      await entering('progress', signal);
      const found = people.get(name);
      if (found === undefined) return;
      let told = 0;
      while (found.state === 'spawn' && !signal.aborted) {
        yield* found.lines.slice(told);
        told = found.lines.length;
        const left = Promise.withResolvers<void>();
        signal.addEventListener('abort', () => left.resolve(), { once: true });
        if (found.state === 'spawn') await Promise.race([news.promise, left.promise]);
      }
      if (signal.aborted) return;
      if (found.state === 'running') yield { progress: 100, message: 'Server ready', outcome: 'ready' };
      else if (found.failed !== undefined) yield { progress: 100, message: found.failed, outcome: 'failed' };
    },
    async reportActivity(_team, name, at, signal) {
      await entering(`activity ${name}`, signal);
      if (Date.parse(at) > clock.now() + 59 * 60_000) throw new RangeError('too far ahead');
      const found = person(name);
      if (Date.parse(at) > Date.parse(found.lastActivityAt ?? '') || found.lastActivityAt === null)
        found.lastActivityAt = new Date(at).toISOString();
    },
    async isBusy(_team, name, signal) {
      await entering(`busy ${name}`, signal);
      const found = people.get(name);
      if (found?.state !== 'running') throw new Unavailable('hub', 'The server does not run.');
      return found.isBusy;
    },
  };

  const enteringCluster = async (): Promise<void> => {
    settle();
    if (isClusterAway) throw new Unavailable('Kubernetes', 'Kubernetes cannot be reached.');
  };

  /** Pods, events and the hub’s Deployment. Everything else is absent, and taken when it is applied. */
  const cluster: Cluster = {
    serves: async () => false,
    async read({ kind, name }) {
      await enteringCluster();
      return kind === 'Deployment' && name === 'hub' ? deployment : undefined;
    },
    async list({ kind, namespace: asked }) {
      await enteringCluster();
      if (asked !== namespace) return [];
      if (kind === 'Pod') return [...pods.values()];
      if (kind === 'ResourceQuota') return quotas;
      return kind === 'Event' ? events : [];
    },
    async apply(manifest) {
      await enteringCluster();
      return { outcome: 'applied', object: manifest };
    },
    async patch({ kind, uid, resourceVersion }, patch) {
      await enteringCluster();
      calls.push(`patch ${kind}`);
      const found = kind === 'Deployment' ? deployment : undefined;
      if (found?.metadata.uid !== uid || found.metadata.resourceVersion !== resourceVersion)
        return { outcome: 'conflict', message: 'It has moved.' };
      const generation = (found.metadata.generation ?? 0) + 1;
      deployment = mergePatch(mergePatch(found, patch), {
        metadata: { generation, resourceVersion: String(generation) },
        status: { availableReplicas: 0 },
      }) as Manifest;
      presence = 'away';
      restartsUntil = clock.now() + 5_000;
      return { outcome: 'applied', object: deployment };
    },
    async remove({ kind, uid }) {
      await enteringCluster();
      calls.push(`delete ${kind}`);
      for (const [name, pod] of pods) {
        if (pod.metadata.uid !== uid) continue;
        pods.delete(name);
        return 'removed';
      }
      return 'gone';
    },
  };

  return {
    team,
    hubs,
    cluster,
    /** Every call that changes the hub or the cluster, and every read of the hub, in order. */
    calls,
    /** The number of such calls, for any user. */
    told: (call: string) => calls.filter((one) => one === call || one.startsWith(`${call} `)).length,
    now: clock.now,
    settle,
    async add(...names: readonly string[]) {
      for (const name of names) await hubs.addUser(team, name, AbortSignal.timeout(1_000));
      calls.length = 0;
    },
    /** A server that runs, at once. */
    run(name: string, { profile = 'python-3-13', startedAt = iso(), revision = 'revision-1' } = {}) {
      const found = person(name);
      Object.assign(found, {
        state: 'running',
        startedAt,
        lastActivityAt: startedAt,
        profile,
        hadServer: true,
      });
      revisions.set(profile, revision);
      makePod(found);
      editPod(name, { status: { phase: 'Running', conditions: readyCondition('True') } });
    },
    hold(name: string, what: 'start' | 'stop') {
      person(name).held.add(what);
      return () => {
        person(name).held.delete(what);
        settle();
      };
    },
    failNextStart(name: string, message: string) {
      person(name).failsWith = message;
    },
    /** A ResourceQuota of the team’s namespace. */
    limit(hard: Readonly<Record<string, string>>, used: Readonly<Record<string, string>>) {
      const metadata = { name: `quota-${quotas.length}`, namespace };
      quotas.push({ apiVersion: 'v1', kind: 'ResourceQuota', metadata, spec: { hard }, status: { used } });
    },
    /** A start that is pending fails: the hub gives up and deletes the pod. */
    failPendingStart(name: string, message: string) {
      const found = person(name);
      ended(found);
      found.failed = `Spawn failed: ${message}`;
      tell();
    },
    refuseStarts(refusal: HubRefusal | undefined) {
      refusesStarts = refusal;
    },
    use(name: string) {
      person(name).lastActivityAt = iso();
    },
    setBusy(name: string, isBusy: boolean) {
      person(name).isBusy = isBusy;
    },
    /** The hub has just started and is checking whether this server is running. */
    check(name: string) {
      person(name).state = 'check';
    },
    checked(name: string) {
      person(name).state = pods.has(name) ? 'running' : 'stopped';
    },
    /** One line of the hub’s progress of a start. */
    say(name: string, progress: number, message: string) {
      person(name).lines.push({ progress, message });
      tell();
    },
    goAway() {
      presence = 'away';
      tell();
    },
    freeze() {
      presence = 'frozen';
    },
    comeBack() {
      presence = 'there';
    },
    clusterGoesAway() {
      isClusterAway = true;
    },
    clusterComesBack() {
      isClusterAway = false;
    },
    /** The hub’s own poll: it notices which pods are gone. */
    poll() {
      for (const found of people.values())
        if (found.state === 'running' && !pods.has(found.name)) ended(found);
    },
    /** The next or present pod of this person does not become ready; its status says why. */
    troublePod(name: string, status: object) {
      troubled.set(name, status);
      editPod(name, { status });
    },
    healPod(name: string) {
      troubled.delete(name);
      editPod(name, { status: { containerStatuses: null } });
      settle();
    },
    addEvent(event: object) {
      events.push({
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { name: `event-${events.length}` },
        ...event,
      });
    },
    podOf: (name: string) => pods.get(name),
    /** How many pods were ever made. */
    podsMade: () => count,
    withoutDeployment() {
      deployment = undefined;
    },
    deployment: () => deployment,
  };
};
export type ScriptedHub = ReturnType<typeof scriptedHub>;
