import { googleServiceAccount, namespaceOf } from '../model/names.ts';
import type { TeamRecord } from '../model/record.ts';
import type { Manifest } from '../ports/cluster.ts';

/** Decides ownership: nothing without it is ever touched (DESIGN 5). */
export const teamIdLabel = 'knada.io/team-id';

/** The generation an object was last applied for; an admission policy refuses a lower one. */
export const revisionAnnotation = 'knada.io/revision';

/** What every object of a team carries. */
export interface Meta {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export const metaOf = (team: TeamRecord): Meta => ({
  namespace: namespaceOf(team.id),
  labels: {
    'app.kubernetes.io/managed-by': 'knada-notebooks',
    [teamIdLabel]: team.id,
    'knada.io/team': team.slug,
  },
  annotations: { [revisionAnnotation]: String(team.generation) },
});

/** Whether an object of the cluster is this team’s, and so ours to change. */
export const isOwned = (object: Manifest, team: TeamRecord): boolean =>
  object.metadata.labels?.[teamIdLabel] === team.id;

const isRestricted = (team: TeamRecord): boolean =>
  team.notebook !== null && team.notebook.deletion === null && team.notebook.spec.allowlist.enabled;

/** The namespace; its egress label tells the admission webhook whose pods to speak of. */
export const namespace = (team: TeamRecord): Manifest => {
  const { namespace: name, labels, annotations } = metaOf(team);
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {
      name,
      labels: {
        ...labels,
        'team-namespace': 'true',
        ...(isRestricted(team) ? { 'knada.io/egress': 'restricted' } : {}),
      },
      annotations,
    },
  };
};

/** The account that notebooks run as, tied to the team’s Google service account by Workload Identity. */
export const serviceAccount = (team: TeamRecord, googleProject: string): Manifest => {
  const { namespace, labels, annotations } = metaOf(team);
  return {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: {
      name: team.id,
      namespace,
      labels,
      annotations: {
        ...annotations,
        'iam.gke.io/gcp-service-account': googleServiceAccount(team.id, googleProject),
      },
    },
  };
};
