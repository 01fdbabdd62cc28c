import { at } from '../lib/json.ts';
import type { Limits } from '../model/limits.ts';
import { NotebookOrder, NotebookPatch, notebookParts } from '../model/notebook.ts';
import { fieldRows } from '../model/notebook-fields.ts';

type Bounds = Readonly<Record<string, number>>;
interface Refinement {
  readonly properties: Readonly<Record<string, Bounds>>;
}

const componentOf = (schema: unknown): unknown =>
  notebookParts.find(({ $id }) => $id === at(schema, '$ref')) ?? schema;

/** The bounds of the fields of an order and of a patch, by component, as the contract says them. Quantities are text: their bounds are in getLimits. */
export const boundsInContract = (limits: Limits): Readonly<Record<string, Refinement>> => {
  const refinements = new Map<string, Record<string, Bounds>>();
  for (const { pointer, type, bounds, maxEntries } of fieldRows) {
    const [minimum, maximum] = bounds?.(limits) ?? [];
    const maxItems = maxEntries?.(limits);
    const rules: Bounds | undefined =
      type !== 'quantity' && minimum !== undefined && maximum !== undefined
        ? { minimum, maximum }
        : maxItems === undefined
          ? undefined
          : { maxItems };
    if (rules === undefined) continue;
    const names = pointer.slice(1).split('/');
    const field = names.at(-1) ?? '';
    for (const whole of [NotebookOrder, NotebookPatch]) {
      const component = names
        .slice(0, -1)
        .reduce<unknown>((schema, name) => componentOf(at(schema, 'properties', name)), whole);
      const id = String(at(component, '$id'));
      refinements.set(id, { ...refinements.get(id), [field]: rules });
    }
  }
  return Object.fromEntries([...refinements].map(([id, properties]) => [id, { properties }]));
};
