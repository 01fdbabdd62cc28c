import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import Type, { type Static } from 'typebox';
import { Value } from 'typebox/value';
import type { Send } from '../../support/cluster-files.ts';
import { podIpAnnotation } from './pod-stages.ts';

const Texts = Type.Record(Type.String(), Type.String());
export const Pod = Type.Object({
  metadata: Type.Object({
    name: Type.String(),
    uid: Type.String(),
    labels: Type.Optional(Texts),
    annotations: Type.Optional(Texts),
    deletionTimestamp: Type.Optional(Type.String()),
    deletionGracePeriodSeconds: Type.Optional(Type.Number()),
  }),
  spec: Type.Object({
    nodeName: Type.Optional(Type.String()),
    containers: Type.Array(
      Type.Object({
        args: Type.Optional(Type.Array(Type.String())),
        env: Type.Optional(
          Type.Array(Type.Object({ name: Type.String(), value: Type.Optional(Type.String()) })),
        ),
      }),
    ),
  }),
});
export type Pod = Static<typeof Pod>;
const Pods = Type.Object({ items: Type.Array(Pod) });

/** The process that stands for a pod’s container. */
export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  /** Its whole environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly folder: string;
  /** What it writes, and what the ones before it at the same file have written. */
  readonly logFile: string;
  /** The pod’s address. */
  readonly ip: string;
  /** The readiness probe; without one a container is ready once it runs. */
  readonly answers?: () => Promise<boolean>;
}

interface Container {
  readonly program: Program;
  readonly child: ChildProcess;
  /** Resolves when no process of it is left. */
  readonly ended: Promise<void>;
  hasEnded: boolean;
  isStopping: boolean;
}

const everyMs = 250;

/**
 * What a scheduler, a kubelet’s container runtime and its probes do for the pods of one namespace: each pod is bound to
 * kwok’s node and is a process here, until it is deleted.
 */
export const startNode = (
  { send, namespace, node }: { readonly send: Send; readonly namespace: string; readonly node: string },
  {
    programOf,
    isHeld,
    sync,
  }: {
    readonly programOf: (pod: Pod) => Promise<Program>;
    /** No node has room for this pod yet. */
    readonly isHeld: (pod: Pod) => boolean;
    /** What else changes in time, such as mounted files. */
    readonly sync: () => Promise<void>;
  },
) => {
  const path = `/api/v1/namespaces/${namespace}/pods`;
  const containers = new Map<string, Container>();
  const failures = new Set<string>();
  const closing = new AbortController();

  const bind = async ({ metadata: { name, uid } }: Pod): Promise<void> => {
    const { code, body } = await send('POST', `${path}/${name}/binding`, {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { name, uid },
      target: { apiVersion: 'v1', kind: 'Node', name: node },
    });
    if (code === 404 || code === 409) return;
    assert.equal(code, 201, JSON.stringify(body));
    const at = new Date().toISOString().replace(/\.\d+/, '');
    await send('POST', `/api/v1/namespaces/${namespace}/events`, {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `${name}.${randomUUID()}` },
      involvedObject: { apiVersion: 'v1', kind: 'Pod', namespace, name, uid },
      type: 'Normal',
      reason: 'Scheduled',
      message: `Successfully assigned ${namespace}/${name} to ${node}`,
      source: { component: 'default-scheduler' },
      firstTimestamp: at,
      lastTimestamp: at,
      count: 1,
    });
  };

  const run = async (pod: Pod): Promise<Container> => {
    const program = await programOf(pod);
    const log = openSync(program.logFile, 'a');
    const child = spawn(program.command, program.args, {
      cwd: program.folder,
      env: program.env,
      stdio: ['ignore', log, log],
      // The leader of its group, so nothing of it outlives it.
      detached: true,
    });
    closeSync(log);
    const ended = once(child, 'exit').then(() => {
      killGroup(child);
      container.hasEnded = true;
    });
    const container: Container = { program, child, ended, hasEnded: false, isStopping: false };
    return container;
  };

  const stop = (container: Container, graceMs: number): void => {
    if (container.isStopping) return;
    container.isStopping = true;
    container.child.kill('SIGTERM');
    const timer = setTimeout(() => killGroup(container.child), graceMs);
    void container.ended.finally(() => clearTimeout(timer));
  };

  const terminate = async ({ metadata }: Pod, container: Container | undefined): Promise<void> => {
    const { name, uid, deletionGracePeriodSeconds: seconds = 0 } = metadata;
    if (container !== undefined) {
      stop(container, seconds * 1_000);
      if (!container.hasEnded) return;
    }
    // A kubelet’s last word on a pod: its containers have ended.
    await send('DELETE', `${path}/${name}`, {
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      gracePeriodSeconds: 0,
      preconditions: { uid },
    });
  };

  const becomeReady = async ({ metadata: { name } }: Pod, { program }: Container): Promise<void> => {
    if (!((await program.answers?.()) ?? true)) return;
    const patch = { metadata: { annotations: { [podIpAnnotation]: program.ip } } };
    await send('PATCH', `${path}/${name}`, patch, 'application/merge-patch+json');
  };

  const visit = async (pod: Pod): Promise<void> => {
    const { metadata, spec } = pod;
    const container = containers.get(metadata.uid);
    if (metadata.deletionTimestamp !== undefined) return terminate(pod, container);
    if (spec.nodeName === undefined) return isHeld(pod) ? undefined : bind(pod);
    if (container === undefined) {
      containers.set(metadata.uid, await run(pod));
      return;
    }
    if (container.hasEnded) {
      failures.add(`The container of ${metadata.name} has ended with ${container.child.exitCode}`);
      return;
    }
    if (metadata.annotations?.[podIpAnnotation] === undefined) await becomeReady(pod, container);
  };

  const pass = async (): Promise<void> => {
    await sync();
    const { code, body } = await send('GET', path);
    assert.equal(code, 200, JSON.stringify(body));
    const pods = Value.Parse(Pods, body).items;
    await Promise.all(pods.map(visit));
    const present = new Set(pods.map(({ metadata }) => metadata.uid));
    for (const [uid, container] of containers) {
      if (present.has(uid)) continue;
      // Deleted by force: the API server asked nobody.
      stop(container, 0);
      await container.ended;
      containers.delete(uid);
    }
  };

  const loop = (async () => {
    while (!closing.signal.aborted) {
      try {
        await pass();
      } catch (error) {
        if (!closing.signal.aborted) failures.add(String(error));
      }
      await delay(everyMs);
    }
  })();

  const kill = (): void => {
    for (const { child } of containers.values()) killGroup(child);
  };
  process.once('exit', kill);
  return {
    /** What went wrong in it. */
    failures: (): readonly string[] => [...failures],
    async close(): Promise<void> {
      closing.abort();
      await loop;
      process.off('exit', kill);
      for (const container of containers.values()) {
        stop(container, 0);
        await container.ended;
      }
    },
  };
};

const killGroup = ({ pid }: ChildProcess): void => {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nothing of it is left.
  }
};
