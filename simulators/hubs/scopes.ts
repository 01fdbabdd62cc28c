/** The scopes that a scope implies (jupyterhub/scopes.py), as far as the simulated API checks them. */
const implied: Readonly<Record<string, readonly string[]>> = {
  'admin:users': ['admin:auth_state', 'users', 'read:roles:users', 'delete:users'],
  users: ['read:users', 'list:users', 'users:activity'],
  'read:users': ['read:users:name', 'read:users:groups', 'read:users:activity'],
  'list:users': ['read:users:name'],
  'users:activity': ['read:users:activity'],
  'admin:servers': ['admin:server_state', 'servers'],
  // start:servers is new in version 6. Version 5 does not check it.
  servers: ['read:servers', 'start:servers', 'delete:servers'],
  'read:servers': ['read:users:name'],
  tokens: ['read:tokens'],
};

const known = new Set([
  ...Object.keys(implied),
  ...Object.values(implied).flat(),
  'inherit',
  'self',
  'read:hub',
  'access:servers',
]);

/** The given scopes and all that they imply. A filter (`!user=kari`) applies to the implied scopes too. */
export const expandScopes = (scopes: readonly string[]): ReadonlySet<string> => {
  const all = new Set<string>();
  const waiting = [...scopes];
  for (let scope = waiting.pop(); scope !== undefined; scope = waiting.pop()) {
    if (all.has(scope)) continue;
    all.add(scope);
    const [name = '', filter] = scope.split('!', 2);
    const suffix = filter === undefined ? '' : `!${filter}`;
    waiting.push(...(implied[name] ?? []).map((inner) => `${inner}${suffix}`));
  }
  return all;
};

/** The scopes of every user, on the user’s own resources. */
const selfScopes = ['read:users', 'users:activity', 'servers', 'tokens', 'access:servers'];

const scopesOfUser = (user: string): ReadonlySet<string> =>
  expandScopes(selfScopes.map((scope) => `${scope}!user=${user}`));

/** Whether the scopes allow this; with a user, on this user and the user’s server. */
export const allows = (scopes: ReadonlySet<string>, scope: string, user?: string): boolean =>
  scopes.has(scope) ||
  (user !== undefined && (scopes.has(`${scope}!user=${user}`) || scopes.has(`${scope}!server=${user}/`)));

/** Why a token of this user cannot have these scopes, in JupyterHub’s words; undefined when it can. */
export const scopeFault = (scopes: readonly string[], user: string): string | undefined => {
  const unknown = scopes.find((scope) => !known.has(scope.replace(/!.*$/, '')));
  // Python prints the message of a KeyError with quotes around it.
  if (unknown !== undefined) return `"Scope '${unknown}' for token does not exist"`;
  const own = scopesOfUser(user);
  const excess = [...resolveScopes(scopes, user)].filter((scope) => {
    const [name = '', filter] = scope.split('!', 2);
    return filter !== `user=${user}` && filter !== `server=${user}/` ? true : !allows(own, name, user);
  });
  return excess.length === 0
    ? undefined
    : `Not assigning requested scopes ${excess.join(',')} not held by User ${user}`;
};

/** The scopes of a user’s token. */
export const resolveScopes = (scopes: readonly string[], user: string): ReadonlySet<string> =>
  expandScopes(
    scopes.flatMap((scope) => {
      if (scope === 'inherit' || scope === 'self') return [...scopesOfUser(user)];
      return [scope.endsWith('!user') ? `${scope}=${user}` : scope];
    }),
  );
