import { at, listAt } from '../lib/json.ts';
import { isoOf } from '../lib/time.ts';
import { profileAnnotation, profileRevisionAnnotation } from '../notebooks/profiles.ts';
import type { Manifest } from '../ports/cluster.ts';
import { hasEnded } from '../teams/labels.ts';
import { type Failure, podFailure } from './failure.ts';
import { type PodSize, podSizeOf } from './quota.ts';

/** A member’s server as the cluster sees it. */
export interface PodView {
  readonly name: string;
  readonly uid: string;
  /** Being deleted, or finished. */
  readonly isTerminating: boolean;
  readonly isReady: boolean;
  /** With its digest where that is known. */
  readonly image: string | null;
  readonly profile: string | null;
  readonly profileRevision: string | null;
  readonly startedAt: string | null;
  readonly size: PodSize;
  /** Whether pip installs into the home volume (PIP_USER). */
  readonly userInstallByDefault: boolean;
  readonly failure?: Failure;
}

const userAnnotation = 'hub.jupyter.org/username';
const serverAnnotation = 'hub.jupyter.org/servername';

const textAt = (value: unknown, ...path: readonly string[]): string | null => {
  const found = at(value, ...path);
  return typeof found === 'string' && found !== '' ? found : null;
};

const notebookContainer = (containers: readonly unknown[]): unknown =>
  containers.find((container) => at(container, 'name') === 'notebook') ?? containers[0];

const imageOf = (pod: Manifest): string | null => {
  const image = textAt(notebookContainer(listAt(pod, 'spec', 'containers')), 'image');
  if (image === null || image.includes('@')) return image;
  const id = textAt(notebookContainer(listAt(pod, 'status', 'containerStatuses')), 'imageID');
  const [digest] = /sha256:[0-9a-f]{64}$/.exec(id ?? '') ?? [];
  return digest === undefined ? image : `${image}@${digest}`;
};

const hasPipUser = (pod: Manifest): boolean =>
  listAt(notebookContainer(listAt(pod, 'spec', 'containers')), 'env').some(
    (variable) => at(variable, 'name') === 'PIP_USER' && at(variable, 'value') === '1',
  );

/** Kubernetes timestamps have no milliseconds; ours do. */
const instantOf = (text: string | null): string | null => {
  const ms = Date.parse(text ?? '');
  return Number.isNaN(ms) ? null : isoOf(ms);
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
    isTerminating: deletionTimestamp !== undefined || hasEnded(pod),
    isReady: isReady && deletionTimestamp === undefined,
    image: imageOf(pod),
    profile: annotations?.[profileAnnotation] ?? null,
    profileRevision: annotations?.[profileRevisionAnnotation] ?? null,
    startedAt: instantOf(textAt(pod, 'status', 'startTime')),
    size: podSizeOf(pod),
    userInstallByDefault: hasPipUser(pod),
    ...(failure === undefined ? {} : { failure }),
  };
};

/**
 * The pods of members’ default servers by hub user name, which only an annotation holds unescaped: the label is a slug.
 * While one pod terminates and the next one starts, the next one counts.
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
    if (found.get(user)?.isTerminating !== false) found.set(user, view);
  }
  return found;
};
