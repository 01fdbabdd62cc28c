import { type Kind, kinds } from '../model/kinds.ts';
import { homeLabels } from '../notebooks/home.ts';
import type { Manifest } from '../ports/cluster.ts';
import { isOwned } from '../teams/desired.ts';
import { componentLabel } from '../teams/labels.ts';
import { listKind } from './clear.ts';
import type { ReconcileContext } from './context.ts';

const contentKinds: readonly Kind[] = [
  kinds.pod,
  kinds.volumeClaim,
  kinds.deployment,
  kinds.statefulSet,
  kinds.service,
  kinds.helmRelease,
  kinds.networkPolicy,
  kinds.secret,
  kinds.configMap,
  kinds.serviceAccount,
];

/** What Kubernetes itself creates in every namespace. */
const builtIn = new Set(['ConfigMap kube-root-ca.crt', 'ServiceAccount default']);

export interface NamespaceContent {
  /** Objects of others in the team’s namespace, by kind and name. */
  readonly foreign: readonly string[];
  /** Objects that are being deleted, or were the hub’s: Flux finishes before the last pod and volume are gone. */
  readonly leaving: readonly string[];
}

export const namespaceContent = async (context: ReconcileContext): Promise<NamespaceContent> => {
  const release = context.team.names.releaseName;
  const lists = await Promise.all(
    contentKinds.map(async (kind) =>
      (await listKind(context, kind)).map((object) => ({
        object,
        name: `${kind.kind} ${object.metadata.name}`,
      })),
    ),
  );
  // A home that still exists was meant to stay, though the hub puts the team’s own labels on it.
  const isOurs = (object: Manifest): boolean =>
    isOwned(object, context.team) && object.kind !== kinds.volumeClaim.kind;
  const isGiven = (name: string): boolean => builtIn.has(name) || context.deps.isPlatformContent(name);
  const others = lists.flat().filter(({ object, name }) => !isOurs(object) && !isGiven(name));
  const isLeaving = ({ metadata }: Manifest): boolean =>
    metadata.deletionTimestamp !== undefined ||
    (metadata.labels?.release === release && metadata.labels[componentLabel] !== homeLabels.component);
  return {
    foreign: others.filter(({ object }) => !isLeaving(object)).map(({ name }) => name),
    leaving: others.filter(({ object }) => isLeaving(object)).map(({ name }) => name),
  };
};
