import { isDeepStrictEqual } from 'node:util';
import { isObject } from '../lib/json.ts';
import type { Change } from '../model/change.ts';
import type { NotebookSpec } from '../model/notebook.ts';
import { fieldRows } from '../model/notebook-fields.ts';
import type { Plan } from '../model/plan.ts';

/** The differences, leaf by leaf; a list is one leaf. */
export const changesBetween = (from: unknown, to: unknown, path = ''): readonly Change[] => {
  if (isObject(from) && isObject(to)) {
    const names = [...new Set([...Object.keys(from), ...Object.keys(to)])];
    return names.flatMap((name) => changesBetween(from[name], to[name], `${path}/${name}`));
  }
  return isDeepStrictEqual(from, to) ? [] : [{ path, from: from ?? null, to: to ?? null }];
};

const takesEffectNow = ({ path }: Change): boolean =>
  fieldRows.find(({ pointer }) => pointer === path)?.takesEffect === 'immediately';

/** The effect of a change. No order restarts the hub: nothing that a team can change is in the chart. */
export const planChange = (from: NotebookSpec | null, to: NotebookSpec): Omit<Plan, 'manifests'> => {
  if (from === null) {
    return { changes: [{ path: '', from: null, to }], restartsHub: false, runningServers: 'unaffected' };
  }
  const changes = [...changesBetween(from, to)];
  if (changes.length === 0) return { changes, restartsHub: false, runningServers: 'unaffected' };
  return { changes, restartsHub: false, runningServers: changes.some(takesEffectNow) ? 'now' : 'next_start' };
};
