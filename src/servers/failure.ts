import { at, listAt, textAt } from '../lib/json.ts';
import type { OperationReason } from '../model/operation-reasons.ts';
import type { Manifest } from '../ports/cluster.ts';

/** Why a server does not start: for programs, for people, and whether waiting cannot help. */
export interface Failure {
  readonly reason: OperationReason;
  readonly message: string;
  readonly final: boolean;
}

const longestMessage = 600;

/** Another system’s text as the end of one of our sentences: one line of bounded length. */
const sentenceOf = (text: string): string => {
  const line = text.replace(/\s+/g, ' ').trim().slice(0, longestMessage);
  return line === '' || /[.!?]$/.test(line) ? line : `${line}.`;
};

const whyNotPulled = (image: string, text: string): string => {
  if (/not found|manifest unknown|does not exist|NotFound|404/i.test(text)) {
    return `The image ${image} does not exist. Push it again, or choose another image.`;
  }
  if (/unauthori[sz]ed|denied|forbidden|authorization failed|401|403/i.test(text)) {
    return `The cluster is not allowed to pull the image ${image}. Grant it read access to the repository, or choose another image.`;
  }
  if (/toomanyrequests|429/i.test(text))
    return `The registry is rate-limiting pulls of the image ${image}. Try again in a few minutes.`;
  const reason = sentenceOf(text.replace(/^.*ErrImagePull: /s, ''));
  return `The image ${image} cannot be pulled${reason === '' ? '.' : `: ${reason}`}`;
};

/** The pod’s own warning events, newest first. */
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
      // “Back-off pulling image” gives no cause; the event of the previous attempt does.
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
        message: `The image ${image} is not on the node, and its pull policy forbids pulling it.`,
        final: true,
      };
    case 'CreateContainerConfigError':
    case 'CreateContainerError':
      return {
        reason: 'container_not_created',
        message: `The notebook’s container cannot be created: ${sentenceOf(message)}`,
        final: false,
      };
    case 'CrashLoopBackOff':
      return {
        reason: 'crashed',
        message:
          'The notebook exits as soon as it starts. If the image is your own, check that it starts jupyterhub-singleuser.',
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
      message: 'The notebook exceeded its memory limit and was stopped. Increase its memory.',
      final: true,
    };
  }
  const code = at(status, 'state', 'terminated', 'exitCode');
  if (typeof code !== 'number' || code === 0) return undefined;
  return {
    reason: 'crashed',
    message: `The notebook exited with code ${code}. If the image is your own, check that it starts jupyterhub-singleuser.`,
    final: true,
  };
};

/** The scheduler’s message: `0/3 nodes are available: 1 node(s) had untolerated taint, 2 Insufficient cpu. …` */
const noRoom = (message: string): string => {
  const lacking = new Set(
    [...message.matchAll(/\bInsufficient ([\w./-]*\w)/g)].map(([, resource]) => resource),
  );
  if (lacking.size > 0) {
    return `No node has room for this server: insufficient ${[...lacking].toSorted().join(' and ')}.`;
  }
  return `No node has room for this server. Kubernetes reports: ${sentenceOf(message)}`;
};

const notScheduled = (message: string): Failure => ({
  reason: 'unschedulable',
  message: noRoom(message),
  final: false,
});

/**
 * Why a pod does not become ready, according to its status and events; undefined when nothing is wrong so far.
 * A failing pull is not final: the caller knows for how long it has been failing.
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
      message: `The node evicted the notebook: ${sentenceOf(textAt(pod, 'status', 'message'))}`,
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
          message: `The home volume cannot be attached yet: ${sentenceOf(message)}`,
          final: false,
        };
      case 'FailedScheduling':
        return notScheduled(message);
    }
  }
  return undefined;
};

/** The API server’s sentence inside the hub’s message about a rejected pod. */
const apiServerSentence = (text: string): string => {
  const [, quoted] = /"message":\s*"((?:[^"\\]|\\.)*)"/.exec(text) ?? [];
  return (quoted ?? text).replaceAll('\\"', '"');
};

/** Codes with which our hub configuration rejects a start (src/notebooks/hub-config.ts). */
const refusals = [
  'profiles_not_synced',
  'no_environment',
  'no_such_profile',
  'invalid_revision',
] as const satisfies readonly OperationReason[];
const refusalForm = new RegExp(String.raw`\b(${refusals.join('|')}): (.+)$`, 's');

const withoutReason = 'The hub could not start the notebook and gave no reason.';

/** Whether a failure only says that time ran out, or nothing at all: any known cause explains more. */
export const isUnexplained = ({ reason, message }: Pick<Failure, 'reason' | 'message'>): boolean =>
  reason === 'start_timed_out' || message === withoutReason;

/** The hub’s message about a failed start; every failed start has a reason and a sentence. */
export const hubFailure = (hubMessage: string): Failure => {
  const text = hubMessage.replace(/^Spawn failed:\s*/i, '');
  const [, code, sentence] = refusalForm.exec(text) ?? [];
  const reason = refusals.find((one) => one === code);
  if (reason !== undefined && sentence !== undefined) {
    return { reason, message: sentenceOf(sentence), final: true };
  }
  if (/exceeded quota/i.test(text)) {
    return {
      reason: 'quota_exceeded',
      message: `The team’s quota is exhausted: ${sentenceOf(apiServerSentence(text))}`,
      final: true,
    };
  }
  if (/Timeout|did not start in|timed out/i.test(text)) {
    return {
      reason: 'start_timed_out',
      message:
        'The notebook did not become ready in time. Try again. If the problem persists, restart the hub.',
      final: true,
    };
  }
  const plain = sentenceOf(text);
  return {
    reason: 'start_failed',
    message: plain === '' ? withoutReason : plain,
    final: true,
  };
};
