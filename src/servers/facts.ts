import type { HubServer } from '../ports/hubs.ts';
import type { PodView } from './pod.ts';

/** What the hub says about one user. Without an answer nothing is known, which must never be shown as stopped. */
export type HubView =
  | { readonly answered: false }
  | { readonly answered: true; readonly isUser: boolean; readonly server: HubServer | null };

/** What the cluster says about one user’s pod. */
export type PodsView =
  | { readonly answered: false }
  | { readonly answered: true; readonly pod: PodView | undefined };

/** One user’s server as the hub and the cluster see it. */
export interface ServerView {
  readonly hub: HubView;
  readonly pods: PodsView;
}

/** The facts that the next step of an operation on a server depends on. */
export interface ServerFacts extends ServerView {
  readonly isMember: boolean;
  /** When a stop was last requested here (ISO 8601); null when none is remembered. */
  readonly stoppedAt: string | null;
  /** What the hub says about a start that failed; empty when it says nothing. */
  readonly hubMessage: string;
}

/** The hub’s Deployment, as far as a rollout restart is concerned. */
export interface HubDeployment {
  /** Value of kubectl’s restartedAt annotation on the pod template. */
  readonly restartedAt: string | null;
  /** Every pod has the current template and is available. */
  readonly isRolledOut: boolean;
}

/** The facts that the next step of a hub restart depends on. */
export interface HubFacts {
  /** null when there is none, undefined when the cluster did not answer. */
  readonly deployment: HubDeployment | null | undefined;
  readonly answers: boolean;
}

/** Whether the hub considers the server stopped, with nothing pending. */
export const isStopped = (server: HubServer | null): boolean =>
  server === null || (server.stopped && server.pending === null);

export const podOf = ({ pods }: ServerView): PodView | undefined => (pods.answered ? pods.pod : undefined);

/** The cluster answered, and there is no pod. */
export const hasNoPod = ({ pods }: ServerView): boolean => pods.answered && pods.pod === undefined;

/** Stopped according to the hub, and no pod contradicts it. */
export const isDown = (facts: ServerView): boolean =>
  facts.hub.answered && isStopped(facts.hub.server) && podOf(facts) === undefined;
