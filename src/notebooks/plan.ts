import { isDeepStrictEqual } from 'node:util';
import { isObject } from '../lib/json.ts';
import type { Change } from '../model/change.ts';
import type { NotebookSpec } from '../model/notebook.ts';
import { fieldRows } from '../model/notebook-fields.ts';
import type { Plan, PlannedChange } from '../model/plan.ts';

/** The differences, leaf by leaf; a list is one leaf. */
export const changesBetween = (from: unknown, to: unknown, pointer = ''): readonly Change[] => {
  if (isObject(from) && isObject(to)) {
    const names = [...new Set([...Object.keys(from), ...Object.keys(to)])];
    return names.flatMap((name) => changesBetween(from[name], to[name], `${pointer}/${name}`));
  }
  return isDeepStrictEqual(from, to) ? [] : [{ pointer, from: from ?? null, to: to ?? null }];
};

/** What the table does not know, such as a first order as a whole, is met by the next start. */
const planned = (change: Change): PlannedChange => ({
  ...change,
  takesEffect: fieldRows.find(({ pointer }) => pointer === change.pointer)?.takesEffect ?? 'next_start',
});

const summaryOf = (changes: readonly PlannedChange[]): Plan['runningServers'] => {
  if (changes.some(({ takesEffect }) => takesEffect === 'immediately')) return 'now';
  return changes.some(({ takesEffect }) => takesEffect === 'next_start') ? 'next_start' : 'unaffected';
};

/** The effects of a change. No order restarts the hub: nothing that a team can change is in the chart’s values. */
export const planChange = (
  from: NotebookSpec | null,
  to: NotebookSpec,
): Omit<Plan, 'manifests' | 'serversPendingRestart' | 'unreachableEntries'> => {
  if (from === null) {
    const changes = [planned({ pointer: '', from: null, to })];
    return { changes, restartsHub: false, runningServers: 'unaffected' };
  }
  const changes = changesBetween(from, to).map(planned);
  return { changes, restartsHub: false, runningServers: summaryOf(changes) };
};
