import type { HostRecord } from '../model/host.ts';
import { kinds } from '../model/kinds.ts';
import type { Cluster, Manifest } from '../ports/cluster.ts';
import type { HostStore } from '../ports/store.ts';
import { Unavailable } from '../ports/unavailable.ts';

/** The facts for an answer about a team’s egress. */
export interface CurrentEgress {
  readonly hosts: ReadonlyMap<string, HostRecord>;
  /** Every policy in the namespace, including those of other owners; undefined when the cluster did not answer. */
  readonly policies: readonly Manifest[] | undefined;
  /** Whether the cluster serves GKE’s FQDNNetworkPolicy. */
  readonly servesFqdn: boolean;
}

/** Read-only. Throws when the store fails, never when the cluster does. */
export const readCurrentEgress = async (
  { cluster, store }: { readonly cluster: Pick<Cluster, 'list' | 'serves'>; readonly store: HostStore },
  namespace: string,
  names: readonly string[],
  signal: AbortSignal,
): Promise<CurrentEgress> => {
  const [hosts, seen] = await Promise.all([
    names.length === 0 ? new Map() : store.hosts(names),
    policiesIn(cluster, namespace, signal).catch((error: unknown) => {
      if (error instanceof Unavailable) return { policies: undefined, servesFqdn: false };
      throw error;
    }),
  ]);
  return { hosts, ...seen };
};

/** Every egress policy in a namespace, including those of other owners, any of which may open more than ours do. */
export const policiesIn = async (
  cluster: Pick<Cluster, 'list' | 'serves'>,
  namespace: string,
  signal: AbortSignal,
): Promise<{ readonly policies: readonly Manifest[]; readonly servesFqdn: boolean }> => {
  const { apiVersion, kind } = kinds.fqdnNetworkPolicy;
  const [plain, servesFqdn] = await Promise.all([
    cluster.list({ ...kinds.networkPolicy, namespace }, signal),
    cluster.serves(apiVersion, kind, signal),
  ]);
  const native = servesFqdn ? await cluster.list({ apiVersion, kind, namespace }, signal) : [];
  return { policies: [...plain, ...native], servesFqdn };
};
