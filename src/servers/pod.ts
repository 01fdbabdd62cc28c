import { at, listAt, textAt } from '../lib/json.ts';
import { isoFrom } from '../lib/time.ts';
import { profileAnnotation, profileRevisionAnnotation } from '../notebooks/profiles.ts';
import type { Manifest } from '../ports/cluster.ts';
import { hasEnded } from '../teams/labels.ts';
import { type Failure, podFailure } from './failure.ts';

/** What the cluster knows of a member’s server. */
export interface PodView {
  readonly name: string;
  readonly uid: string;
  /** On its way out. */
  readonly isLeaving: boolean;
  readonly isReady: boolean;
  /** With its digest, as far as known. */
  readonly image: string | null;
  readonly profile: string | null;
  readonly profileRevision: string | null;
  readonly startedAt: string | null;
  readonly failure?: Failure;
}

const userAnnotation = 'hub.jupyter.org/username';
const serverAnnotation = 'hub.jupyter.org/servername';

const notebookContainer = (containers: readonly unknown[]): unknown =>
  containers.find((container) => at(container, 'name') === 'notebook') ?? containers[0];

const imageOf = (pod: Manifest): string | null => {
  const image = textAt(notebookContainer(listAt(pod, 'spec', 'containers')), 'image');
  if (image === '' || image.includes('@')) return image || null;
  const id = textAt(notebookContainer(listAt(pod, 'status', 'containerStatuses')), 'imageID');
  const [digest] = /sha256:[0-9a-f]{64}$/.exec(id) ?? [];
  return digest === undefined ? image : `${image}@${digest}`;
};

const podView = (pod: Manifest, events: readonly Manifest[]): PodView => {
  const { name, uid = '', annotations, deletionTimestamp } = pod.metadata;
  const isReady = listAt(pod, 'status', 'conditions').some(
    (condition) => at(condition, 'type') === 'Ready' && at(condition, 'status') === 'True',
  );
  const failure = podFailure(pod, events);
  return {
    name,
    uid,
    isLeaving: deletionTimestamp !== undefined || hasEnded(pod),
    isReady: isReady && deletionTimestamp === undefined,
    image: imageOf(pod),
    profile: annotations?.[profileAnnotation] ?? null,
    profileRevision: annotations?.[profileRevisionAnnotation] ?? null,
    startedAt: isoFrom(textAt(pod, 'status', 'startTime')) ?? null,
    ...(failure === undefined ? {} : { failure }),
  };
};

/**
 * The pods of members’ default servers by hub user name, which only an annotation has as it is: the label is a slug.
 * While one goes and the next one comes, the next one speaks.
 */
export const podsByUser = (
  pods: readonly Manifest[],
  events: readonly Manifest[] = [],
): ReadonlyMap<string, PodView> => {
  const found = new Map<string, PodView>();
  for (const pod of pods) {
    const user = pod.metadata.annotations?.[userAnnotation];
    if (user === undefined || (pod.metadata.annotations?.[serverAnnotation] ?? '') !== '') continue;
    const view = podView(pod, events);
    if (found.get(user)?.isLeaving !== false) found.set(user, view);
  }
  return found;
};
