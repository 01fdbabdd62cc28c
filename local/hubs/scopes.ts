/** What a scope brings along in JupyterHub 5 (jupyterhub/scopes.py), as far as the simulated API checks it. */
const implied: Readonly<Record<string, readonly string[]>> = {
  'admin:users': ['users', 'delete:users'],
  users: ['read:users', 'list:users', 'users:activity'],
  'read:users': ['read:users:name', 'read:users:groups', 'read:users:activity'],
  'list:users': ['read:users:name'],
  'users:activity': ['read:users:activity'],
  servers: ['read:servers', 'delete:servers'],
  'read:servers': ['read:users:name'],
};

/** Every scope that the given ones amount to. */
export const expandScopes = (scopes: readonly string[]): ReadonlySet<string> => {
  const all = new Set<string>();
  const waiting = [...scopes];
  for (let scope = waiting.pop(); scope !== undefined; scope = waiting.pop()) {
    if (all.has(scope)) continue;
    all.add(scope);
    waiting.push(...(implied[scope] ?? []));
  }
  return all;
};
