import type { Client } from '../kubernetes/client.ts';
import { asList, asMap, asText, asTexts, at } from '../kubernetes/json.ts';
import { type KubeObject, namespaceOf } from '../kubernetes/object.ts';

/** The ConfigMap that a container has mounted at a folder; undefined when there is none. */
const configMapAt = (pod: KubeObject, folder: string): string | undefined => {
  const mounts = asList(at(pod, 'spec', 'containers')).flatMap((one) => asList(at(one, 'volumeMounts')));
  const volume = mounts.find((mount) => at(mount, 'mountPath') === folder);
  const found = asList(at(pod, 'spec', 'volumes')).find((one) => at(one, 'name') === at(volume, 'name'));
  const name = asText(at(found, 'configMap', 'name'));
  return name === '' ? undefined : name;
};

/**
 * A mounted ConfigMap, which lags behind the object: the kubelet writes the files when the pod starts, when
 * the pod changes, and at intervals.
 */
export class Mount {
  readonly #client: Client;
  readonly #namespace: string;
  readonly #name: string | undefined;
  readonly #timer: NodeJS.Timeout;
  #files: Readonly<Record<string, string>> = {};

  constructor(client: Client, pod: KubeObject, folder: string, syncMs: number) {
    this.#client = client;
    this.#namespace = namespaceOf(pod);
    this.#name = configMapAt(pod, folder);
    this.#timer = setInterval(() => void this.sync().catch(() => undefined), syncMs);
    this.#timer.unref();
  }

  /** The files by name; empty when the ConfigMap was not there. */
  get files(): Readonly<Record<string, string>> {
    return this.#files;
  }

  async sync(): Promise<void> {
    if (this.#name === undefined) return;
    const map = await this.#client.get('configmaps', this.#namespace, this.#name);
    const data = asMap(at(map, 'data'));
    this.#files = Object.fromEntries(
      Object.keys(data).flatMap((key) => asTexts([data[key] ?? '']).map((text) => [key, text] as const)),
    );
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
