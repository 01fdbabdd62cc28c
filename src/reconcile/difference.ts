import { isObject } from '../lib/json.ts';
import { kinds } from '../model/kinds.ts';
import type { Manifest } from '../ports/cluster.ts';

/** An inherited name such as `constructor` is not a key of the object. */
const own = (object: Readonly<Record<string, unknown>>, name: string): unknown =>
  Object.hasOwn(object, name) ? object[name] : undefined;

/**
 * Whether everything wanted is there. What others or the API server’s defaults add to an object does not count; an item
 * of a list is ours as a whole, because a peer with one more selector is another peer.
 */
const contains = (actual: unknown, wanted: unknown): boolean => {
  if (Array.isArray(wanted)) {
    return (
      Array.isArray(actual) &&
      actual.length === wanted.length &&
      wanted.every((item, index) => contains(actual[index], item) && contains(item, actual[index]))
    );
  }
  if (isObject(wanted)) {
    return (
      isObject(actual) && Object.entries(wanted).every(([name, value]) => contains(own(actual, name), value))
    );
  }
  return actual === wanted;
};

/** Whether an apply would change anything: the object lacks something that is wanted. */
export const differs = (actual: Manifest, wanted: Manifest): boolean => !contains(actual, wanted);

/** The merge patch that removes what is not wanted; undefined when there is nothing to remove. */
const removal = (actual: unknown, wanted: unknown): Record<string, unknown> | undefined => {
  if (!isObject(actual) || !isObject(wanted)) return undefined;
  const entries = Object.entries(actual).flatMap(([name, value]): [string, unknown][] => {
    if (!Object.hasOwn(wanted, name)) return [[name, null]];
    const inner = removal(value, wanted[name]);
    return inner === undefined ? [] : [[name, inner]];
  });
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
};

const foreignSpec = (actual: Manifest, wanted: Manifest): Record<string, unknown> | undefined => {
  // Ours to the last key: with one more label in its selector a policy no longer selects the notebooks, and one more
  // resource in a quota can refuse the hub’s pod.
  if (wanted.kind === kinds.networkPolicy.kind || wanted.kind === kinds.resourceQuota.kind)
    return removal(actual.spec, wanted.spec);
  if (wanted.kind !== kinds.helmRelease.kind || !isObject(actual.spec) || !isObject(wanted.spec))
    return undefined;
  const values = removal(actual.spec.values, wanted.spec.values);
  const valuesFrom = 'valuesFrom' in actual.spec && !('valuesFrom' in wanted.spec);
  if (values === undefined && !valuesFrom) return undefined;
  return { ...(values === undefined ? {} : { values }), ...(valuesFrom ? { valuesFrom: null } : {}) };
};

/**
 * Where an object’s content is ours alone, what others add is drift too: a chart value that is added by hand would reach
 * the hub, and server-side apply leaves the fields of other managers alone. Answers a JSON merge patch (RFC 7396) that
 * removes it, or undefined.
 */
export const foreignContent = (actual: Manifest, wanted: Manifest): Record<string, unknown> | undefined => {
  const data = removal(actual.data, wanted.data);
  const spec = foreignSpec(actual, wanted);
  if (data === undefined && spec === undefined) return undefined;
  return { ...(data === undefined ? {} : { data }), ...(spec === undefined ? {} : { spec }) };
};
