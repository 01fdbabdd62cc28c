/** Durations of a hub in milliseconds, with the name of JupyterHub’s own setting where there is one. */
export interface Timings {
  /** A start that takes longer has failed: `start_timeout`, 300 s in the chart. */
  readonly startMs: number;
  /** A stop is answered 202 when it takes longer: `slow_stop_timeout`. */
  readonly slowStopMs: number;
  /** Between the end of an interrupted start and its stop. */
  readonly interruptMs: number;
  /** How long servers are `pending: check` after the hub’s start. */
  readonly checkMs: number;
  /** How long a checked server may take to answer: `http_timeout`. */
  readonly answerMs: number;
  /** How often the hub checks whether a server’s pod still exists: `poll_interval`, 30 s at a real hub. */
  readonly pollMs: number;
  /** How often the hub collects activity from the proxy: `last_activity_interval`. */
  readonly activityMs: number;
  /** Between two reads of a pod’s events while a client follows its start. */
  readonly progressMs: number;
  /** Between two blank lines of that stream: `keepalive_interval`. */
  readonly keepAliveMs: number;
  /** How long a start waits for the revision of the profiles that it names, and how often it checks. */
  readonly profilesMs: number;
  readonly profilesPollMs: number;
  /** How often the kubelet synchronises mounted ConfigMaps. */
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
