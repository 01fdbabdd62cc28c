import type { Cluster } from '../../src/ports/cluster.ts';

/** One call of the Cluster port, as a test sees it go by. */
export interface Call {
  readonly verb: 'read' | 'list' | 'apply' | 'patch' | 'remove' | 'discover';
  readonly kind: string;
  /** Empty for a list. */
  readonly name: string;
}

/** Selects calls of a reconcile, by index. */
export type Moments = (calls: readonly Call[]) => readonly number[];

interface Hooks {
  /** What it waits for, or throws, holds back or replaces the call. */
  before?(call: Call): Promise<void> | void;
  /** What it throws replaces the answer; the call has taken effect. */
  after?(call: Call): Promise<void> | void;
}

/** The cluster with intercepted calls. */
export const intercepted = (cluster: Cluster, { before, after }: Hooks): Cluster => {
  const around = async <T>(call: Call, work: () => Promise<T>): Promise<T> => {
    await before?.(call);
    const answer = await work();
    await after?.(call);
    return answer;
  };
  return {
    read: (ref, signal) => around({ verb: 'read', ...nameOf(ref) }, () => cluster.read(ref, signal)),
    list: (query, signal) =>
      around({ verb: 'list', kind: query.kind, name: '' }, () => cluster.list(query, signal)),
    apply: (manifest, signal) =>
      around({ verb: 'apply', kind: manifest.kind, name: manifest.metadata.name }, () =>
        cluster.apply(manifest, signal),
      ),
    patch: (ref, patch, signal) =>
      around({ verb: 'patch', ...nameOf(ref) }, () => cluster.patch(ref, patch, signal)),
    remove: (ref, signal) => around({ verb: 'remove', ...nameOf(ref) }, () => cluster.remove(ref, signal)),
    serves: (apiVersion, kind, signal) =>
      around({ verb: 'discover', kind, name: '' }, () => cluster.serves(apiVersion, kind, signal)),
  };
};

const nameOf = ({ kind, name }: { readonly kind: string; readonly name: string }) => ({ kind, name });

/** The cluster, which refuses every write of this kind. */
export const refusing = (cluster: Cluster, kind: string): Cluster => {
  const refused = { outcome: 'refused', message: 'no' } as const;
  return {
    ...cluster,
    apply: async (manifest, signal) => (manifest.kind === kind ? refused : cluster.apply(manifest, signal)),
    patch: async (ref, patch, signal) => (ref.kind === kind ? refused : cluster.patch(ref, patch, signal)),
  };
};

/** The cluster, and every call that went there. */
export const recorded = (
  cluster: Cluster,
): { readonly cluster: Cluster; readonly calls: readonly Call[] } => {
  const calls: Call[] = [];
  return { cluster: intercepted(cluster, { before: (call) => void calls.push(call) }), calls };
};

/** `apply NetworkPolicy notebook-egress-open`, for lists of calls. */
export const spoken = ({ verb, kind, name }: Call): string => `${verb} ${kind} ${name}`.trimEnd();

export const isWrite = ({ verb }: Call): boolean => ['apply', 'patch', 'remove'].includes(verb);

/** An instance that pauses right before the first matching call, until it is resumed. */
export const asleepBefore = (cluster: Cluster, fits: (call: Call, index: number) => boolean) => {
  const asleep = Promise.withResolvers<void>();
  const woken = Promise.withResolvers<void>();
  let calls = 0;
  let slept = false;
  return {
    cluster: intercepted(cluster, {
      async before(call) {
        const index = calls++;
        if (slept || !fits(call, index)) return;
        slept = true;
        asleep.resolve();
        await woken.promise;
      },
    }),
    asleep: asleep.promise,
    wake: () => woken.resolve(),
  };
};
