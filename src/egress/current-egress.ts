import type { HostRecord } from '../model/host.ts';
import { kinds } from '../model/kinds.ts';
import type { Cluster, Manifest } from '../ports/cluster.ts';
import type { HostStore } from '../ports/store.ts';
import { Unavailable } from '../ports/unavailable.ts';

/** What is to be known for an answer about a team’s egress. */
export interface CurrentEgress {
  readonly hosts: ReadonlyMap<string, HostRecord>;
  /** Every policy in the namespace, also those of others; undefined when the cluster did not say. */
  readonly policies: readonly Manifest[] | undefined;
  /** Whether the cluster has GKE’s own policies by host name. */
  readonly servesFqdn: boolean;
}

/** Reads only. Throws for the store, never for the cluster. */
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

/** Every egress policy in a namespace, also those of others: any of them may open more than ours do. */
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
