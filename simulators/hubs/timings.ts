/** How long things take at a hub, in milliseconds; JupyterHub’s and the chart’s own, where they have one. */
export interface Timings {
  /** A server that is not up by then has failed: `start_timeout`, 300 s in the chart. */
  readonly startMs: number;
  /** A stop is answered 202 when it takes longer: `slow_stop_timeout`. */
  readonly slowStopMs: number;
  /** Between the end of an interrupted start and its stop. */
  readonly interruptMs: number;
  /** How long servers are `pending: check` after the hub’s start. */
  readonly checkMs: number;
  /** How long a checked server may take to answer: `http_timeout`. */
  readonly answerMs: number;
  /** How soon a server whose pod is gone is known to be stopped: `poll_interval`, 30 s at a real hub. */
  readonly pollMs: number;
  /** How soon the hub knows what the proxy saw: `last_activity_interval`. */
  readonly activityMs: number;
  /** Between two looks at a pod’s events while somebody follows its start. */
  readonly progressMs: number;
  /** Between two blank lines of the same: `keepalive_interval`. */
  readonly keepAliveMs: number;
  /** How long a start waits for the revision of the profiles that it names, and how often it looks. */
  readonly profilesMs: number;
  readonly profilesPollMs: number;
  /** Until the kubelet sees by itself that a mounted ConfigMap has changed. */
  readonly syncMs: number;
}

export const usualTimings: Timings = {
  startMs: 60_000,
  slowStopMs: 10_000,
  interruptMs: 1_000,
  checkMs: 1_000,
  answerMs: 30_000,
  pollMs: 1_000,
  activityMs: 60_000,
  progressMs: 1_000,
  keepAliveMs: 8_000,
  profilesMs: 30_000,
  profilesPollMs: 500,
  syncMs: 60_000,
};
