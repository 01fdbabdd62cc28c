import type { NotebookSpec } from '../model/notebook.ts';

/** The form in which two entries are compared. */
type KeyOf = (entry: string) => string;

/** The configuration with this entry on its allowlist; the same object when it is on it already. */
export const withHost = (spec: NotebookSpec, entry: string, keyOf: KeyOf): NotebookSpec => {
  const { allowlist } = spec;
  const key = keyOf(entry);
  if (allowlist.hosts.some((host) => keyOf(host) === key)) return spec;
  return { ...spec, allowlist: { ...allowlist, hosts: [...allowlist.hosts, entry] } };
};

/** The configuration without this entry, however it was written; the same object when it is not on the allowlist. */
export const withoutHost = (spec: NotebookSpec, entry: string, keyOf: KeyOf): NotebookSpec => {
  const { allowlist } = spec;
  const key = keyOf(entry);
  const hosts = allowlist.hosts.filter((host) => keyOf(host) !== key);
  if (hosts.length === allowlist.hosts.length) return spec;
  return { ...spec, allowlist: { ...allowlist, hosts } };
};
