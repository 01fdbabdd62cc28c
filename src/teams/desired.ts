import { googleServiceAccount, namespaceOf } from '../model/names.ts';
import type { TeamRecord } from '../model/record.ts';
import type { Manifest } from '../ports/cluster.ts';

/** Decides ownership: an object without this label is never changed or deleted. */
export const teamIdLabel = 'knada.io/team-id';

/** The generation that an object was last applied for; an admission policy rejects a lower one. */
export const revisionAnnotation = 'knada.io/revision';

/** The metadata of every object of a team. */
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

/** Whether an object of the cluster belongs to this team, and so may be changed. */
export const isOwned = (object: Manifest, team: TeamRecord): boolean =>
  object.metadata.labels?.[teamIdLabel] === team.id;

const isRestricted = (team: TeamRecord): boolean =>
  team.notebook !== null && team.notebook.deletion === null && team.notebook.spec.allowlist.enabled;

/** The namespace; its egress label selects the pods that the admission webhook reviews. */
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

/** The service account of the notebooks, bound to the team’s Google service account by Workload Identity. */
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
