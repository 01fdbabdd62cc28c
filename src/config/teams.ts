import { membersMax, slugPattern } from '../model/team.ts';
import type { TeamLimits } from '../model/team-limits.ts';
import type { Variables } from './variables.ts';

/** Names that a hub’s address or a namespace of the platform may need, or that would mislead people. */
const reserved = [
  ...['admin', 'api', 'auth', 'cdn', 'dashboard', 'default', 'docs', 'flux-system', 'gke-system', 'grafana'],
  ...['health', 'help', 'hub', 'internal', 'istio-system', 'jupyter', 'jupyterhub', 'knada', 'knada-system'],
  ...['knorten', 'kube-node-lease', 'kube-public', 'kube-system', 'localhost', 'login', 'logout', 'mail'],
  ...['metrics', 'monitoring', 'nav', 'notebook', 'notebooks', 'oauth', 'oauth2', 'proxy', 'public', 'root'],
  ...['security', 'sso', 'static', 'status', 'support', 'system', 'user', 'www'],
];

const slug = new RegExp(slugPattern);
const domain = /^[a-z0-9-]+(\.[a-z0-9-]+)+$/;

/** Which teams may be created, and who may be a member. */
export const teamsOf = (env: Variables): TeamLimits => {
  const reservedSlugs = env.optional('RESERVED_SLUGS') === undefined ? reserved : env.list('RESERVED_SLUGS');
  for (const name of reservedSlugs) {
    if (!slug.test(name)) env.fault('RESERVED_SLUGS', `"${name}" cannot be a slug`);
  }
  const memberEmailDomains = env.list('MEMBER_EMAIL_DOMAINS').map((name) => name.toLowerCase());
  for (const name of memberEmailDomains) {
    if (!domain.test(name)) env.fault('MEMBER_EMAIL_DOMAINS', `"${name}" is not a domain such as nav.no`);
  }
  return {
    maxPerPerson: env.integer('MAX_TEAMS_PER_PERSON', 20),
    max: env.integer('MAX_TEAMS', 5000),
    membersMax,
    reservedSlugs: [...reservedSlugs],
    memberEmailDomains,
  };
};
