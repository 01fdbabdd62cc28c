/** The parts of a team that its names are derived from. */
export interface TeamName {
  readonly slug: string;
  readonly id: string;
}

/** The team’s namespace in the cluster. */
export const namespaceOf = (id: string): string => `team-${id}`;

/** The Kubernetes service account that the team’s notebooks run as, in its own namespace. */
export const serviceAccountOf = (id: string): string => id;

/** The e-mail of the team’s Google service account. An id has 7 to 30 characters; Google accepts 6 to 30. */
export const googleServiceAccount = (id: string, googleProject: string): string =>
  `${id}@${googleProject}.iam.gserviceaccount.com`;

/** The team’s secret as Secret Manager names it, without a version. */
export const secretName = (id: string, googleProject: string): string =>
  `projects/${googleProject}/secrets/${id}`;

/** The environment variable that holds the name of the team’s secret in a notebook. */
export const secretVariable = 'KNADA_TEAM_SECRET';

/** Unique in the cluster, because the chart names cluster-wide objects after it; at most 41 characters, Helm allows 53. */
export const releaseNameOf = (id: string): string => `jupyterhub-${id}`;

/** An address from a template with the placeholders {slug}, {id} and {namespace}; never ends in a slash. */
export const hubUrl = (template: string, team: TeamName): string =>
  template
    .replaceAll('{slug}', team.slug)
    .replaceAll('{id}', team.id)
    .replaceAll('{namespace}', namespaceOf(team.id))
    .replace(/\/+$/, '');

/**
 * A hub user’s name in the path of their server, as JupyterHub writes it (`url_escape_path`): a notebook server accepts
 * its own paths only in that form, with the @ of an e-mail address unescaped.
 */
export const serverSegment = (user: string): string =>
  encodeURIComponent(user)
    .replaceAll('%40', '@')
    .replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
