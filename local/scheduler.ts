/**
 * Simulates Cloud Scheduler for one function: calls it every `everyMs`, measured from start to start, one call at a
 * time. A failure is reported once, not for every failing call.
 */
export const startSchedule = (
  url: string,
  everyMs: number,
  report: (message: string) => void,
): { close(): Promise<void> } => {
  const stop = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> = Promise.resolve();
  let failing = false;

  const call = async (): Promise<void> => {
    const started = Date.now();
    const fault = await fetch(url, { method: 'POST', signal: stop.signal }).then(
      async (response) => {
        const text = await response.text();
        return response.ok ? undefined : `${response.status} ${text.slice(0, 200)}`;
      },
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
    if (stop.signal.aborted) return;
    if (fault !== undefined && !failing) report(`POST ${url} fails: ${fault}`);
    failing = fault !== undefined;
    timer = setTimeout(again, Math.max(0, everyMs - (Date.now() - started)));
  };
  const again = (): void => {
    running = call();
  };
  again();

  return {
    async close() {
      stop.abort();
      clearTimeout(timer);
      await running;
    },
  };
};
