import { isObject } from '../lib/json.ts';
import type { Manifest } from '../ports/cluster.ts';

/** Names such as `constructor` may be keys, and are not there when they are not. */
const own = (object: Readonly<Record<string, unknown>>, name: string): unknown =>
  Object.hasOwn(object, name) ? object[name] : undefined;

/**
 * Whether everything we want is there. What others or the API server’s defaults added to an object is not looked
 * at; an item of a list is ours as a whole, because a peer with one selector more is another peer.
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

/** Whether an apply would change anything: the object as read lacks something of what we want. */
export const differs = (actual: Manifest, wanted: Manifest): boolean => !contains(actual, wanted);

/** Removes what is there and not wanted: a merge patch, undefined when there is nothing to remove. */
const removal = (actual: unknown, wanted: unknown): Record<string, unknown> | undefined => {
  if (!isObject(actual) || !isObject(wanted)) return undefined;
  const entries = Object.entries(actual).flatMap(([name, value]): [string, unknown][] => {
    if (!Object.hasOwn(wanted, name)) return [[name, null]];
    const inner = removal(value, wanted[name]);
    return inner === undefined ? [] : [[name, inner]];
  });
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
};

const specIntrusion = (actual: Manifest, wanted: Manifest): Record<string, unknown> | undefined => {
  // Ours to the last key: one label more in its selector, and a policy lets go of pods.
  if (wanted.kind === 'NetworkPolicy') return removal(actual.spec, wanted.spec);
  if (wanted.kind !== 'HelmRelease' || !isObject(actual.spec) || !isObject(wanted.spec)) return undefined;
  const values = removal(actual.spec.values, wanted.spec.values);
  const valuesFrom = 'valuesFrom' in actual.spec && !('valuesFrom' in wanted.spec);
  if (values === undefined && !valuesFrom) return undefined;
  return { ...(values === undefined ? {} : { values }), ...(valuesFrom ? { valuesFrom: null } : {}) };
};

/**
 * Where an object’s content is ours alone, what somebody else added counts as drift too: a chart value put in
 * by hand would reach the hub, and server-side apply leaves other managers’ fields alone. Answers a JSON merge
 * patch (RFC 7396) that takes it out, or undefined.
 */
export const intrusion = (actual: Manifest, wanted: Manifest): Record<string, unknown> | undefined => {
  const data = removal(actual.data, wanted.data);
  const spec = specIntrusion(actual, wanted);
  if (data === undefined && spec === undefined) return undefined;
  return { ...(data === undefined ? {} : { data }), ...(spec === undefined ? {} : { spec }) };
};
