import type { Manifest } from '../ports.ts';

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Whether everything we want is there. What others or the API server's defaults added is not looked at. */
const contains = (actual: unknown, wanted: unknown): boolean => {
  if (Array.isArray(wanted)) {
    return (
      Array.isArray(actual) &&
      actual.length === wanted.length &&
      wanted.every((item, index) => contains(actual[index], item))
    );
  }
  if (isObject(wanted)) {
    return isObject(actual) && Object.entries(wanted).every(([name, value]) => contains(actual[name], value));
  }
  return actual === wanted;
};

/** Whether an apply would change anything: the object as read lacks something of what we want. */
export const differs = (actual: Manifest, wanted: Manifest): boolean => !contains(actual, wanted);

/** Removes what is there and not wanted: a merge patch, undefined when there is nothing to remove. */
const removal = (actual: unknown, wanted: unknown): Record<string, unknown> | undefined => {
  if (!isObject(actual) || !isObject(wanted)) return undefined;
  const entries = Object.entries(actual).flatMap(([name, value]): [string, unknown][] => {
    if (!(name in wanted)) return [[name, null]];
    const inner = removal(value, wanted[name]);
    return inner === undefined ? [] : [[name, inner]];
  });
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
};

/**
 * Where an object’s content is ours alone, what somebody else added counts as drift too: a chart value put in
 * by hand would reach the hub, and server-side apply leaves other managers’ fields alone. Answers a JSON merge
 * patch (RFC 7396) that takes it out, or undefined.
 */
export const intrusion = (actual: Manifest, wanted: Manifest): Record<string, unknown> | undefined => {
  const data = removal(actual.data, wanted.data);
  const actualSpec = isObject(actual.spec) ? actual.spec : {};
  const wantedSpec = isObject(wanted.spec) ? wanted.spec : {};
  const values = removal(actualSpec.values, wantedSpec.values);
  const valuesFrom =
    wanted.kind === 'HelmRelease' && 'valuesFrom' in actualSpec && !('valuesFrom' in wantedSpec);
  const spec = {
    ...(values === undefined ? {} : { values }),
    ...(valuesFrom ? { valuesFrom: null } : {}),
  };
  if (data === undefined && Object.keys(spec).length === 0) return undefined;
  return { ...(data === undefined ? {} : { data }), ...(Object.keys(spec).length === 0 ? {} : { spec }) };
};
