import { kinds } from '../model/kinds.ts';
import type { TeamRecord } from '../model/record.ts';
import type { Manifest } from '../ports/cluster.ts';
import {
  managedBy,
  restrictedNamespace,
  revisionAnnotation,
  teamIdLabel,
  teamLabel,
  teamNamespace,
} from './labels.ts';
import { hasNotebook, isRestricted } from './lifecycle.ts';

/** What every object of a team carries. */
export interface Meta {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export const metaOf = (team: TeamRecord): Meta => ({
  namespace: team.names.namespace,
  labels: {
    ...managedBy,
    [teamIdLabel]: team.id,
    [teamLabel]: team.slug,
  },
  annotations: { [revisionAnnotation]: String(team.generation) },
});

/** Whether an object of the cluster is this team’s, and so ours to change. */
export const isOwned = (object: Manifest, team: TeamRecord): boolean =>
  object.metadata.labels?.[teamIdLabel] === team.id;

/** The namespace; its egress label selects the pods that the admission webhook is called for. */
export const namespace = (team: TeamRecord): Manifest => {
  const { namespace: name, labels, annotations } = metaOf(team);
  return {
    ...kinds.namespace,
    metadata: {
      name,
      labels: {
        ...labels,
        ...teamNamespace,
        ...(hasNotebook(team) && isRestricted(team) ? restrictedNamespace : {}),
      },
      annotations,
    },
  };
};

/** The account that notebooks run as, tied to the team’s Google service account by Workload Identity. */
export const serviceAccount = (team: TeamRecord): Manifest => {
  const { namespace, labels, annotations } = metaOf(team);
  return {
    ...kinds.serviceAccount,
    metadata: {
      name: team.names.serviceAccount,
      namespace,
      labels,
      annotations: {
        ...annotations,
        'iam.gke.io/gcp-service-account': team.names.googleServiceAccount.email,
      },
    },
  };
};
