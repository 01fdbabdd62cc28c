import { randomBytes } from 'node:crypto';
import type { Client } from '../kubernetes/client.ts';
import { asText } from '../kubernetes/json.ts';
import { type KubeObject, nameOf, namespaceOf, uidOf } from '../kubernetes/object.ts';
import { ApiError } from '../kubernetes/status.ts';
import { seconds } from '../time.ts';

/** The API server's `--event-ttl`. */
const keptMs = 3_600_000;

export interface PodEvent {
  readonly type: 'Normal' | 'Warning';
  /** For programs, such as `Pulled`. */
  readonly reason: string;
  readonly message: string;
  readonly from: 'default-scheduler' | 'kubelet';
}

/** Writes what happens to a pod as an Event, as the kubelet and the scheduler do. */
export const recordEvent = async (
  client: Client,
  pod: KubeObject,
  { type, reason, message, from }: PodEvent,
): Promise<void> => {
  const now = seconds(new Date());
  try {
    await client.create({
      apiVersion: 'v1',
      kind: 'Event',
      metadata: {
        name: `${nameOf(pod)}.${randomBytes(8).toString('hex')}`,
        namespace: namespaceOf(pod),
      },
      involvedObject: {
        apiVersion: 'v1',
        kind: 'Pod',
        namespace: namespaceOf(pod),
        name: nameOf(pod),
        uid: uidOf(pod),
      },
      type,
      reason,
      message,
      count: 1,
      firstTimestamp: now,
      lastTimestamp: now,
      source: { component: from },
      reportingComponent: from,
      reportingInstance: '',
    });
  } catch (error) {
    // A terminating namespace accepts nothing new, and events are best effort.
    if (!(error instanceof ApiError) || (error.code !== 403 && error.code !== 404)) throw error;
  }
};

/** Removes the events that are older than an API server keeps them. */
export const removeOldEvents = async (client: Client): Promise<void> => {
  for (const event of await client.list('events')) {
    if (Date.parse(asText(event.lastTimestamp)) > Date.now() - keptMs) continue;
    await client.delete('events', namespaceOf(event), nameOf(event));
  }
};
