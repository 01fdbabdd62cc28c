import type { Client } from '../kubernetes/client.ts';
import { type KubeObject, nameOf, namespaceOf } from '../kubernetes/object.ts';

/** Waits for pods, as KubeSpawner’s reflector: changes wake it, the current state decides. */
export class Pods {
  readonly #client: Client;
  readonly #waiting = new Map<string, Set<() => void>>();
  readonly #stop: () => void;

  constructor(client: Client) {
    this.#client = client;
    this.#stop = client.watch('pods', {}, (_type, pod) => {
      for (const wake of this.#waiting.get(`${namespaceOf(pod)}/${nameOf(pod)}`) ?? []) wake();
    });
  }

  get(namespace: string, name: string): Promise<KubeObject | undefined> {
    return this.#client.get('pods', namespace, name);
  }

  /** The pod once it matches; rejects with the signal’s reason when that aborts first. */
  async until(
    namespace: string,
    name: string,
    isSo: (pod: KubeObject | undefined) => boolean,
    signal: AbortSignal,
  ): Promise<KubeObject | undefined> {
    const key = `${namespace}/${name}`;
    let wake = Promise.withResolvers<void>();
    const woken = (): void => wake.resolve();
    const waiting = this.#waiting.get(key) ?? new Set();
    this.#waiting.set(key, waiting.add(woken));
    signal.addEventListener('abort', woken);
    try {
      for (;;) {
        signal.throwIfAborted();
        const pod = await this.get(namespace, name);
        if (isSo(pod)) return pod;
        await wake.promise;
        wake = Promise.withResolvers();
      }
    } finally {
      signal.removeEventListener('abort', woken);
      waiting.delete(woken);
      if (waiting.size === 0) this.#waiting.delete(key);
    }
  }

  close(): void {
    this.#stop();
  }
}
