/** Classes by the short names that JupyterHub 5.5 and OAuthenticator 17 register as entry points in jupyterhub.authenticators. */
const classes: Readonly<Record<string, string>> = {
  default: 'PAMAuthenticator',
  dummy: 'DummyAuthenticator',
  null: 'NullAuthenticator',
  pam: 'PAMAuthenticator',
  'shared-password': 'SharedPasswordAuthenticator',
  auth0: 'Auth0OAuthenticator',
  azuread: 'AzureAdOAuthenticator',
  bitbucket: 'BitbucketOAuthenticator',
  cilogon: 'CILogonOAuthenticator',
  'generic-oauth': 'GenericOAuthenticator',
  github: 'GitHubOAuthenticator',
  gitlab: 'GitLabOAuthenticator',
  globus: 'GlobusOAuthenticator',
  google: 'GoogleOAuthenticator',
  mediawiki: 'MWOAuthenticator',
  openshift: 'OpenShiftOAuthenticator',
};

const named = (name: string): string | undefined => {
  const local = name.startsWith('local-') ? classes[name.slice('local-'.length)] : undefined;
  return local !== undefined && isOAuth(local) ? `Local${local}` : classes[name];
};

/**
 * The config section of an `authenticator_class`: its class name, from a short name or a module path. The chart’s
 * default is `dummy`. undefined for anything else.
 */
export const authenticatorSection = (authenticatorClass: unknown): string | undefined => {
  if (authenticatorClass === undefined || authenticatorClass === null) return classes.dummy;
  if (typeof authenticatorClass !== 'string') return undefined;
  const known = named(authenticatorClass.toLowerCase());
  return known ?? /^(?:[A-Za-z_]\w*\.)+([A-Za-z_]\w*)$/.exec(authenticatorClass)?.[1];
};

/** Whether the class redirects to an identity provider, and therefore needs a callback URL. */
export const isOAuth = (section: string): boolean => section.endsWith('OAuthenticator');
