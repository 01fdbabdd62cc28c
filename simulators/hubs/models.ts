import { escapePath, isoformat } from './answer.ts';
import type { Call } from './caller.ts';
import type { TokenRow, UserRow } from './database.ts';
import { podNameOf } from './kubespawner.ts';
import type { HubProcess } from './process.ts';
import { allows, resolveScopes } from './scopes.ts';

type Model = Readonly<Record<string, unknown>>;
type Seen = Pick<Call, 'hub' | 'caller' | 'query'>;

export const userUrl = (name: string): string => `/user/${escapePath(name)}/`;

const stateOf = (hub: HubProcess, name: string): Model => {
  const { namespace } = hub.settings.spawner;
  const pod = podNameOf(name);
  return {
    kubespawner_version: '7.0.0',
    pod_name: pod,
    namespace,
    dns_name: `${pod}.${namespace}.svc.cluster.local`,
  };
};

/** JupyterHub’s model of a user’s default server. */
export const serverModel = ({ hub, caller }: Seen, { name, server }: UserRow): Model => {
  const known = hub.known(name);
  return {
    name: '',
    ...(hub.major >= 6 ? { display_name: '' } : {}),
    full_name: `${name}/`,
    last_activity: isoformat(server.lastActivity),
    started: isoformat(server.started),
    pending: known?.pending ?? null,
    ready: known?.ready ?? false,
    stopped: !(known?.active ?? false),
    url: userUrl(name),
    user_options: server.options ?? (known === undefined ? null : {}),
    progress_url: `/hub/api/users/${escapePath(name)}/server/progress`,
    full_url: null,
    full_progress_url: null,
    ...(caller !== undefined && allows(caller.scopes, 'admin:server_state', name)
      ? { state: server.active ? stateOf(hub, name) : {} }
      : {}),
  };
};

/** The fields of a user that each scope shows. */
const fieldsBy: Readonly<Record<string, readonly string[]>> = {
  'read:users': ['admin', 'roles', 'groups', 'server', 'pending', 'created', 'last_activity'],
  'read:users:name': ['admin', 'user_info'],
  'read:users:groups': ['groups'],
  'read:users:activity': ['last_activity'],
  'read:servers': ['servers'],
  'read:roles:users': ['roles', 'admin'],
  'admin:auth_state': ['auth_state'],
};

/** JupyterHub’s model of a user, as far as the caller may see it. */
export const userModel = (call: Seen, user: UserRow): Model => {
  const { hub, caller, query } = call;
  const known = hub.known(user.name);
  const asked = query.get('include_stopped_servers') ?? '0';
  const withStopped = !['0', 'false'].includes(asked.toLowerCase());
  const whole: Model = {
    admin: false,
    roles: ['user'],
    groups: [],
    server: known?.ready === true ? userUrl(user.name) : null,
    pending: known?.pending ?? null,
    created: isoformat(user.created),
    last_activity: isoformat(user.lastActivity),
    auth_state: null,
    ...(hub.major >= 6 ? { user_info: null } : {}),
    servers: withStopped || known?.active === true ? { '': serverModel(call, user) } : {},
  };
  const held = Object.keys(fieldsBy).filter((scope) => caller && allows(caller.scopes, scope, user.name));
  const fields = new Set(held.flatMap((scope) => fieldsBy[scope] ?? []));
  return {
    kind: 'user',
    name: user.name,
    ...Object.fromEntries(Object.entries(whole).filter(([field]) => fields.has(field))),
  };
};

export const tokenModel = (token: TokenRow): Model => ({
  user: token.user,
  id: `a${token.id}`,
  kind: 'api_token',
  roles: [],
  scopes: [...resolveScopes(token.scopes, token.user)],
  created: isoformat(token.created),
  last_activity: null,
  expires_at: isoformat(token.expiresAt),
  note: token.note,
  session_id: null,
  oauth_client: 'JupyterHub',
});
