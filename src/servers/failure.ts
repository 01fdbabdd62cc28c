import { at, listAt, textAt } from '../lib/json.ts';
import type { Manifest } from '../ports/cluster.ts';

/** What keeps a server from starting: for programs, for people, and whether waiting could still help. */
export interface Failure {
  readonly reason: string;
  readonly message: string;
  readonly final: boolean;
}

const longestMessage = 600;

/** Text of another system as the end of a sentence of ours: one line, no longer than people read. */
const said = (text: string): string => {
  const line = text.replace(/\s+/g, ' ').trim().slice(0, longestMessage);
  return line === '' || /[.!?]$/.test(line) ? line : `${line}.`;
};

const whyNotPulled = (image: string, text: string): string => {
  if (/not found|manifest unknown|does not exist|NotFound|404/i.test(text)) {
    return `The image ${image} is not there (any more). Push it again, or order another one.`;
  }
  if (/unauthori[sz]ed|denied|forbidden|authorization failed|401|403/i.test(text)) {
    return `The cluster may not pull the image ${image}. Let it read the repository, or order another image.`;
  }
  if (/toomanyrequests|429/i.test(text))
    return `The registry of the image ${image} lets nobody pull so often; try again in a few minutes.`;
  const reason = said(text.replace(/^.*ErrImagePull: /s, ''));
  return `The image ${image} cannot be pulled${reason === '' ? '.' : `: ${reason}`}`;
};

/** The events about this very pod, the newest first. */
const warningsOf = (pod: Manifest, events: readonly Manifest[]): readonly Manifest[] => {
  const when = (event: Manifest) => textAt(event, 'lastTimestamp') || textAt(event, 'eventTime');
  return events
    .filter(
      (event) =>
        textAt(event, 'type') === 'Warning' && textAt(event, 'involvedObject', 'uid') === pod.metadata.uid,
    )
    .toSorted((a, b) => (when(a) > when(b) ? -1 : 1));
};

const waitingFailure = (status: unknown, warnings: readonly Manifest[]): Failure | undefined => {
  const reason = textAt(status, 'state', 'waiting', 'reason');
  const message = textAt(status, 'state', 'waiting', 'message');
  const image = textAt(status, 'image') || 'of this notebook';
  switch (reason) {
    case 'ErrImagePull':
    case 'ImagePullBackOff': {
      // “Back-off pulling image” says nothing; the event of the attempt before says why.
      const pull = warnings.map((event) => textAt(event, 'message')).find((text) => /pull/i.test(text)) ?? '';
      const text = reason === 'ErrImagePull' && message !== '' ? message : `${message} ${pull}`;
      return { reason: 'image_pull_failed', message: whyNotPulled(image, text), final: false };
    }
    case 'InvalidImageName':
      return {
        reason: 'image_pull_failed',
        message: `${image} is not the name of an image.`,
        final: true,
      };
    case 'ErrImageNeverPull':
      return {
        reason: 'image_pull_failed',
        message: `The image ${image} is not on the machine, and may not be pulled.`,
        final: true,
      };
    case 'CreateContainerConfigError':
    case 'CreateContainerError':
      return {
        reason: 'container_not_created',
        message: `The notebook’s container cannot be made: ${said(message)}`,
        final: false,
      };
    case 'CrashLoopBackOff':
      return {
        reason: 'crashed',
        message:
          'The notebook ends as soon as it has started. If the image is your own, check that it starts jupyterhub-singleuser.',
        final: false,
      };
    default:
      return undefined;
  }
};

const endedFailure = (status: unknown): Failure | undefined => {
  const reason = textAt(status, 'state', 'terminated', 'reason');
  if (reason === 'OOMKilled') {
    return {
      reason: 'out_of_memory',
      message: 'The notebook used more memory than its limit and was stopped. Order more memory.',
      final: true,
    };
  }
  const code = at(status, 'state', 'terminated', 'exitCode');
  if (typeof code !== 'number' || code === 0) return undefined;
  return {
    reason: 'crashed',
    message: `The notebook ended with exit code ${code}. If the image is your own, check that it starts jupyterhub-singleuser.`,
    final: true,
  };
};

const notScheduled = (message: string): Failure => ({
  reason: 'unschedulable',
  message: `No machine in the cluster has room for this notebook yet; it waits for one. Kubernetes says: ${said(message)}`,
  final: false,
});

/**
 * What a pod and its events tell of why it does not become ready; undefined when nothing is wrong with it so far.
 * A pull that fails is not final: whoever knows for how long decides.
 */
export const podFailure = (pod: Manifest, events: readonly Manifest[] = []): Failure | undefined => {
  const warnings = warningsOf(pod, events);
  const statuses = [
    ...listAt(pod, 'status', 'initContainerStatuses'),
    ...listAt(pod, 'status', 'containerStatuses'),
  ];
  for (const status of statuses) {
    const failure = waitingFailure(status, warnings) ?? endedFailure(status);
    if (failure !== undefined) return failure;
  }
  if (textAt(pod, 'status', 'reason') === 'Evicted') {
    return {
      reason: 'evicted',
      message: `The machine had to put the notebook out: ${said(textAt(pod, 'status', 'message'))}`,
      final: true,
    };
  }
  const scheduled = listAt(pod, 'status', 'conditions').find(
    (condition) => at(condition, 'type') === 'PodScheduled' && at(condition, 'status') === 'False',
  );
  if (textAt(scheduled, 'reason') === 'Unschedulable') return notScheduled(textAt(scheduled, 'message'));
  for (const event of warnings) {
    const message = textAt(event, 'message');
    switch (textAt(event, 'reason')) {
      case 'FailedMount':
      case 'FailedAttachVolume':
        return {
          reason: 'home_not_attached',
          message: `The home volume cannot be attached yet: ${said(message)}`,
          final: false,
        };
      case 'FailedScheduling':
        return notScheduled(message);
    }
  }
  return undefined;
};

/** The API server’s own sentence inside what the hub tells of a refused pod. */
const apiServerSentence = (text: string): string => {
  const [, quoted] = /"message":\s*"((?:[^"\\]|\\.)*)"/.exec(text) ?? [];
  return (quoted ?? text).replaceAll('\\"', '"');
};

/** Codes with which our configuration of the hub refuses a start (hub-config.ts). */
const refusals = /\b(profiles_not_synced|no_environment|no_such_profile|invalid_revision): (.+)$/s;

/** What the hub told when a start failed; every start that failed has a reason and a sentence. */
export const hubFailure = (told: string): Failure => {
  const text = told.replace(/^Spawn failed:\s*/i, '');
  const [, code, sentence] = refusals.exec(text) ?? [];
  if (code !== undefined && sentence !== undefined) {
    return { reason: code, message: said(sentence), final: true };
  }
  if (/exceeded quota/i.test(text)) {
    return {
      reason: 'quota_exceeded',
      message: `The team has used up what it may have in the cluster: ${said(apiServerSentence(text))}`,
      final: true,
    };
  }
  if (/Timeout|did not start in|timed out/i.test(text)) {
    return {
      reason: 'start_timed_out',
      message: 'The notebook did not become ready in time. Try again; if it stays so, restart the hub.',
      final: true,
    };
  }
  const plain = said(text);
  return {
    reason: 'start_failed',
    message: plain === '' ? 'The hub could not start the notebook, and did not say why.' : plain,
    final: true,
  };
};
