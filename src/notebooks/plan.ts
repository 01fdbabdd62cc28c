import { isDeepStrictEqual } from 'node:util';
import { isObject } from '../lib/json.ts';
import type { Change } from '../model/change.ts';
import type { NotebookSpec } from '../model/notebook.ts';
import type { Plan } from '../model/plan.ts';

/** What differs, leaf by leaf; a list is one leaf. */
export const changesBetween = (from: unknown, to: unknown, path = ''): readonly Change[] => {
  if (isObject(from) && isObject(to)) {
    const names = [...new Set([...Object.keys(from), ...Object.keys(to)])];
    return names.flatMap((name) => changesBetween(from[name], to[name], `${path}/${name}`));
  }
  return isDeepStrictEqual(from, to) ? [] : [{ path, from: from ?? null, to: to ?? null }];
};

/** What takes effect while a server runs; everything else waits for its next start (DESIGN 2). */
const takesEffectNow = (path: string): boolean =>
  path.startsWith('/culling/') || path.startsWith('/allowlist/');

/** What a change means for people. No order restarts the hub: nothing a team can change is in the chart. */
export const planned = (from: NotebookSpec | null, to: NotebookSpec): Omit<Plan, 'manifests'> => {
  const changes = from === null ? [{ path: '', from: null, to }] : changesBetween(from, to);
  const effective = from === null ? [] : changes;
  const runningServers =
    effective.length === 0
      ? 'unaffected'
      : effective.some(({ path }) => takesEffectNow(path))
        ? 'now'
        : 'next_start';
  return { changes: [...changes], restartsHub: false, runningServers };
};
