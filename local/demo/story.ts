import assert from 'node:assert/strict';
import type { Hubs } from '@knada/simulators/hubs/server.ts';
import type { Client, Selection } from '@knada/simulators/kubernetes/client.ts';
import {
  asList,
  asMap,
  asText,
  at,
  type Json,
  parseJson,
  without,
} from '@knada/simulators/kubernetes/json.ts';
import { type KubeObject, uidOf } from '@knada/simulators/kubernetes/object.ts';
import type { Kubernetes } from '@knada/simulators/kubernetes/server.ts';
import type { Registries } from '@knada/simulators/registries/server.ts';
import type { Sandbox } from '../sandbox.ts';
import type { Answer, Api } from './api.ts';

/** State shared by the steps. A step adds what later steps need. */
export interface Story {
  readonly sandbox: Sandbox;
  readonly kubernetes: Kubernetes;
  readonly cluster: Client;
  readonly registries: Registries;
  readonly hubs: Hubs;
  kari: Api;
  /** Namespace of team-a. */
  namespace: string;
}

/** One step of the story. Throws unless the statement in `says` holds. */
export interface Step {
  readonly says: string;
  run(story: Story): Promise<void>;
}

export const notebook = '/teams/team-a/notebook';
/** Waits for a state of the cluster; checks again at each change of the kind. */
export const until = async (
  { cluster }: Story,
  plural: string,
  selection: Selection,
  wanted: (objects: readonly KubeObject[]) => boolean,
  what: string,
): Promise<void> => {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const look = async () => {
    if (wanted(await cluster.list(plural, selection))) resolve();
  };
  const timer = setTimeout(() => reject(new Error(`waited 30 seconds for ${what}`)), 30_000);
  const stop = cluster.watch(plural, selection, () => void look().catch(reject));
  look().catch(reject);
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    stop();
  }
};

/** Asks ten times a second until `look` finds nothing left to wait for; throws with what it found after `ms`. */
export const untilNothing = async (look: () => Promise<string | undefined>, ms: number): Promise<void> => {
  const end = performance.now() + ms;
  for (;;) {
    const missing = await look();
    if (missing === undefined) return;
    assert.ok(performance.now() < end, missing);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
};

/** Waits until every condition of the notebook is True. */
export const untilAllTrue = async (api: Api, path: string): Promise<void> =>
  untilNothing(async () => {
    const body = expectStatus(await api.call('GET', path), 200);
    const conditions = asList(at(body, 'status', 'conditions'));
    const others = conditions.filter((condition) => at(condition, 'status') !== 'True');
    if (conditions.length > 0 && others.length === 0) return undefined;
    return `not every condition is True: ${JSON.stringify(others)}`;
  }, 30_000);

export const expectStatus = (answer: Answer, status: number): Json => {
  assert.equal(answer.status, status, JSON.stringify(answer.body));
  return answer.body;
};

export const isReady = (object: KubeObject): boolean =>
  asList(at(object, 'status', 'conditions')).some(
    (condition) => at(condition, 'type') === 'Ready' && at(condition, 'status') === 'True',
  );

export const profilesOf = async ({ cluster, namespace }: Story): Promise<Json> => {
  const map = await cluster.get('configmaps', namespace, 'notebook-profiles');
  return parseJson(asText(at(map, 'data', 'profiles.json')));
};
export const firstOverride = async (story: Story): Promise<Json | undefined> =>
  at(asList(await profilesOf(story))[0], 'kubespawner_override');

export const releaseOf = async ({ cluster, namespace }: Story): Promise<KubeObject> => {
  const release = await cluster.get('helmreleases', namespace, 'jupyterhub');
  assert.ok(release, 'there is a HelmRelease');
  return release;
};
export const hubPods = async ({ cluster, namespace }: Story): Promise<string[]> =>
  (await cluster.list('pods', { namespace, labelSelector: 'component=hub' })).map(uidOf);

/** The product’s writes to the cluster while `happens` runs. */
export const writesDuring = async (
  { kubernetes }: Story,
  happens: () => Promise<unknown>,
): Promise<string[]> => {
  const writes: string[] = [];
  const stop = kubernetes.onRequest((entry) => {
    if (entry.via === 'http' && entry.isWrite) writes.push(`${entry.method} ${entry.path}`);
  });
  await happens();
  stop();
  return writes;
};

/** A problem without its request id, to compare two of them. */
export const withoutInstance = (body: Json): Json => without(asMap(body), 'instance');
