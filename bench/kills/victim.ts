import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { start, stop } from '../process.ts';

/** A process of the product that is killed and started again. */
export interface Victim {
  readonly port: number;
  start(): Promise<void>;
  /** SIGKILL: the process gets no chance to finish anything. */
  kill(): Promise<void>;
  close(): Promise<void>;
}

export const victim = (
  script: string,
  port: number,
  environment: Readonly<Record<string, string>>,
  ready: string,
): Victim => {
  let child: ChildProcess | undefined;
  // Nothing outlives the run, however it ends.
  process.once('exit', () => child?.kill('SIGKILL'));
  return {
    port,
    async start() {
      child = start(script, port, environment);
      for (;;) {
        const isReady = await fetch(`http://127.0.0.1:${port}${ready}`).then(
          ({ ok }) => ok,
          () => false,
        );
        // Before its answer is believed: another program may have taken the port.
        if (child.exitCode !== null) throw new Error(`${script} ended with ${child.exitCode}`);
        if (isReady) return;
        await sleep(20);
      }
    },
    async kill() {
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
    async close() {
      if (child !== undefined && child.signalCode === null) await stop(child);
    },
  };
};

/** Between the two bounds, in milliseconds. */
export const randomMs = (least: number, most: number): number => least + Math.random() * (most - least);

/** Kills a process this many times, each time after `work`, and leaves it running. */
export const killRepeatedly = async (
  one: Victim,
  kills: number,
  work: () => Promise<unknown>,
  onKill: () => void,
): Promise<void> => {
  for (let done = 0; done < kills; done += 1) {
    await work();
    await one.kill();
    await one.start();
    onKill();
  }
};
