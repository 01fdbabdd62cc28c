import { isObject } from '../lib/json.ts';
import type { Values } from './values.ts';

/** Keys of a pod spec, an ingress or the chart that name a Secret, by what their value is. */
const secretNames = new Set(['secretName', 'existingSecret', 'existingSecretName']);
const secretRefs = new Set(['secretKeyRef', 'secretRef', 'imagePullSecrets', 'secret']);
const configMapRefs = new Set(['configMapKeyRef', 'configMapRef', 'configMap']);

const namesIn = (value: unknown): readonly string[] => {
  if (typeof value === 'string') return [value];
  if (Array.isArray(value)) return value.flatMap(namesIn);
  return isObject(value) && typeof value.name === 'string' ? [value.name] : [];
};

/** Whether an object, such as `Secret hub-login`, is the platform’s: in the hub’s values or on the operator’s list. */
export type IsPlatformContent = (object: string) => boolean;

/** `listed`: the operator’s list, as `Secret hub-login` or, for every name that begins so, `Secret sh.vendor.*`. */
export const isPlatformContentOf = (values: Values, listed: readonly string[]): IsPlatformContent => {
  const named = platformContent(values);
  const exact = new Set(listed.filter((entry) => !entry.endsWith('*')));
  const prefixes = listed.filter((entry) => entry.endsWith('*')).map((entry) => entry.slice(0, -1));
  return (object) =>
    named.has(object) || exact.has(object) || prefixes.some((prefix) => object.startsWith(prefix));
};

/**
 * Secrets and ConfigMaps that the hub’s values name, as `Secret hub-login`: the platform puts them into every team’s
 * namespace, so they are no reason to keep one. Names are found where Kubernetes and the Zero to JupyterHub chart put
 * them: environment variables, volumes, pull secrets, certificates.
 */
export const platformContent = (values: Values): ReadonlySet<string> => {
  const found = new Set<string>();
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) for (const item of value) visit(item);
    if (!isObject(value)) return;
    for (const [key, inner] of Object.entries(value)) {
      if (secretNames.has(key) && typeof inner === 'string') found.add(`Secret ${inner}`);
      if (secretRefs.has(key)) for (const name of namesIn(inner)) found.add(`Secret ${name}`);
      if (configMapRefs.has(key)) for (const name of namesIn(inner)) found.add(`ConfigMap ${name}`);
      visit(inner);
    }
  };
  visit(values);
  return found;
};
