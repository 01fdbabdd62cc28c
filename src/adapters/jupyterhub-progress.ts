import { isObject } from '../lib/json.ts';
import type { SpawnProgress } from '../ports/hubs.ts';
import { parsed } from './jupyterhub-model.ts';

/** An event of KubeSpawner contains the whole Kubernetes event; nothing legitimate is longer than this. */
const longestEvent = 1024 * 1024;

/** The stream is not a progress stream. */
export class NotProgress extends Error {
  override readonly name = 'NotProgress';
}

/** The data of server-sent events, however the stream was chunked; comments and blank keep-alives are skipped. */
export async function* eventData(stream: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  let data: string[] = [];
  for await (const chunk of stream) {
    rest += decoder.decode(chunk, { stream: true });
    // A carriage return at the end may be the first half of a line ending.
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line.startsWith('data:')) data.push(line.slice(line.startsWith('data: ') ? 6 : 5));
      if (line === '' && data.length > 0) {
        yield data.join('\n');
        data = [];
      }
    }
    const waiting = data.reduce((sum, line) => sum + line.length, rest.length);
    if (waiting > longestEvent) throw new NotProgress('event without an end');
  }
}

/**
 * One progress event of a start, without its HTML. `last`: the progress so far; events of some spawners have none. Only
 * the hub itself sets `ready` and `failed` (SpawnProgressAPIHandler).
 */
export const readProgress = (data: string, last: number): SpawnProgress => {
  const event = parsed(data);
  if (!isObject(event)) throw new NotProgress('event that is not a JSON object');
  const { progress, message, ready, failed } = event;
  return {
    progress: typeof progress === 'number' ? Math.min(100, Math.max(0, progress)) : last,
    message: typeof message === 'string' ? message : '',
    ...(failed === true ? { outcome: 'failed' } : ready === true ? { outcome: 'ready' } : {}),
  };
};
