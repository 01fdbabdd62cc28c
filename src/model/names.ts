/** What identifies a team: its slug, and its id, which is never reused. */
export interface TeamIdentity {
  readonly slug: string;
  readonly id: string;
}

/** The names under which a team exists elsewhere. Stored in its record: they stay when the rules of naming change. */
export interface TeamNames {
  /** The team’s namespace in the cluster. */
  readonly namespace: string;
  /** The Helm release of the hub. The chart names cluster-wide objects after it. */
  readonly releaseName: string;
  /** The Kubernetes service account that the team’s notebooks run as, in its own namespace. */
  readonly serviceAccount: string;
  /** The Google service account that the team’s notebooks act as. */
  readonly googleServiceAccount: { readonly id: string; readonly email: string };
  /** The team’s secret in Secret Manager: its id, and its resource name without a version. */
  readonly secret: { readonly id: string; readonly name: string };
  /** The hub’s address for people; never ends in a slash. */
  readonly hubUrl: string;
}

/** A team and its names, for what acts on it elsewhere. */
export interface NamedTeam extends TeamIdentity {
  readonly names: TeamNames;
}

/** The operator’s settings that a new team’s names depend on. */
export interface Naming {
  /** Where members log in; placeholders {slug} {id} {namespace}. */
  readonly hubUrlTemplate: string;
  readonly googleProject: string;
}

/** An address from a template with the placeholders {slug}, {id} and {namespace}; never ends in a slash. */
export const addressFrom = (
  template: string,
  { slug, id, namespace }: TeamIdentity & { readonly namespace: string },
): string =>
  template
    .replaceAll('{slug}', slug)
    .replaceAll('{id}', id)
    .replaceAll('{namespace}', namespace)
    .replace(/\/+$/, '');

/**
 * The names of a new team, and of one that was stored before names were. Everything else reads them from the record.
 * An id has 7 to 30 characters: Google accepts 6 to 30 for an account, and Helm 53 for a release.
 */
export const deriveNames = (
  { slug, id }: TeamIdentity,
  { hubUrlTemplate, googleProject }: Naming,
): TeamNames => {
  const namespace = `team-${id}`;
  return {
    namespace,
    releaseName: `jupyterhub-${id}`,
    serviceAccount: id,
    googleServiceAccount: { id, email: `${id}@${googleProject}.iam.gserviceaccount.com` },
    secret: { id, name: `projects/${googleProject}/secrets/${id}` },
    hubUrl: addressFrom(hubUrlTemplate, { slug, id, namespace }),
  };
};

/** The environment variable that holds the name of the team’s secret in a notebook. */
export const secretVariable = 'KNADA_TEAM_SECRET';

/**
 * A hub user’s name in the path of their server, as JupyterHub writes it (`url_escape_path`): a notebook server accepts
 * its own paths only in that form, with the @ of an e-mail address unescaped.
 */
export const serverSegment = (user: string): string =>
  encodeURIComponent(user)
    .replaceAll('%40', '@')
    .replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
