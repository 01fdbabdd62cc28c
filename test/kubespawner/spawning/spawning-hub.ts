import type { NamedTeam } from '../../../src/model/names.ts';
import type { Cluster } from '../../../src/ports/cluster.ts';
import type { Send } from '../../support/cluster-files.ts';

/** A cluster in which one team’s hub is installed, and its notebooks run in pods. */
export interface SpawningHub {
  /** JupyterHub’s major version. */
  readonly major: 5 | 6;
  /** The adapter, with what the product may do. */
  readonly cluster: Cluster;
  /** Requests of the administrator. */
  readonly send: Send;
  /** Where the product and the members reach the hub; {slug} is the team. */
  readonly urlTemplate: string;
  /** From now on the cluster does what the product orders for this team. */
  host(team: NamedTeam): void;
  /** No node has room for this person’s notebook until the answer is called. */
  hold(user: string): () => void;
  /** A kernel of the running notebook computes and says nothing, or waits for the next cell; with a token of the member’s. */
  setBusy(user: string, busy: boolean, token: string): Promise<void>;
  /** What the hub has written, all of its processes; empty in a simulation. */
  log(): string;
  /** What went wrong in the cluster itself. */
  failures(): readonly string[];
  close(): Promise<void>;
}
