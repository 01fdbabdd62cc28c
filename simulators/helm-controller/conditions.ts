import { asList, asText, isMap, type JsonMap } from '../kubernetes/json.ts';
import { seconds } from '../time.ts';

export interface Verdict {
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
}

/** The conditions of a HelmRelease during a reconcile, for one generation. */
export class Conditions {
  readonly #list: JsonMap[];
  readonly #generation: number;

  constructor(status: JsonMap, generation: number) {
    this.#list = asList(status.conditions).filter(isMap);
    this.#generation = generation;
  }

  get list(): JsonMap[] {
    return [...this.#list];
  }

  get(type: string): Verdict | undefined {
    const found = this.#list.find((condition) => condition.type === type);
    if (found === undefined) return undefined;
    const status = found.status === 'True' || found.status === 'False' ? found.status : 'Unknown';
    return { status, reason: asText(found.reason), message: asText(found.message) };
  }

  /** A transition is a change of status; Flux also counts a change of reason or message. */
  set(type: string, { status, reason, message }: Verdict): void {
    const index = this.#list.findIndex((condition) => condition.type === type);
    const before = this.#list[index];
    const same = before?.status === status && before.reason === reason && before.message === message;
    const lastTransitionTime = same ? asText(before.lastTransitionTime) : seconds(new Date());
    const after = { type, status, reason, message, lastTransitionTime, observedGeneration: this.#generation };
    if (before === undefined) this.#list.push(after);
    else this.#list[index] = after;
  }

  delete(type: string): void {
    const index = this.#list.findIndex((condition) => condition.type === type);
    if (index !== -1) this.#list.splice(index, 1);
  }

  reconciling(reason: string, message: string): void {
    this.delete('Stalled');
    this.set('Reconciling', { status: 'True', reason, message });
  }

  stalled(reason: string, message: string): void {
    this.delete('Reconciling');
    this.set('Stalled', { status: 'True', reason, message });
  }

  /**
   * Ready follows Remediated, else Released; a remediated release is never ready. An install that was taken back is
   * reported by its own failure, because there is no release to which Flux has returned.
   */
  summarize(): void {
    const released = this.get('Released');
    const remediated = this.get('Remediated');
    if (remediated !== undefined && remediated.reason !== 'UninstallSucceeded')
      this.set('Ready', { ...remediated, status: 'False' });
    else if (released !== undefined)
      this.set('Ready', { ...released, status: released.status === 'True' ? 'True' : 'False' });
  }
}
