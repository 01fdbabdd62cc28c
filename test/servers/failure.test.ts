import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Manifest } from '../../src/ports/cluster.ts';
import { hubFailure, podFailure } from '../../src/servers/failure.ts';

const image = 'ghcr.io/navikt/x:1';

const aPod = (status: object): Manifest => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'jupyter-kari', namespace: 'team-a', uid: 'pod-1' },
  status,
});
const waiting = (reason: string, message?: string) =>
  aPod({ containerStatuses: [{ image, state: { waiting: { reason, message } } }] });
const anEvent = (
  reason: string,
  message: string,
  { uid = 'pod-1', type = 'Warning', at = '2026-11-23T09:00:00Z' } = {},
): Manifest & Record<string, unknown> => ({
  apiVersion: 'v1',
  kind: 'Event',
  metadata: { name: reason },
  involvedObject: { uid },
  type,
  lastTimestamp: at,
  ...{ reason, message },
});

describe('why a pod does not become ready', () => {
  const situations: readonly (readonly [
    what: string,
    pod: Manifest,
    events: readonly Manifest[],
    reason: string,
    says: RegExp,
    final: boolean,
  ])[] = [
    [
      'an image that is gone',
      waiting('ErrImagePull', 'rpc error: code = NotFound'),
      [],
      'image_pull_failed',
      /ghcr\.io\/navikt\/x:1 does not exist/,
      false,
    ],
    [
      'an image that the cluster may not pull',
      waiting('ErrImagePull', 'failed to authorize: 403 Forbidden'),
      [],
      'image_pull_failed',
      /not allowed to pull the image ghcr\.io\/navikt\/x:1/,
      false,
    ],
    [
      'a registry that has enough of us',
      waiting('ErrImagePull', '429 toomanyrequests: limit'),
      [],
      'image_pull_failed',
      /rate-limiting pulls/,
      false,
    ],
    [
      'a back-off, which only the event before explains',
      waiting('ImagePullBackOff', `Back-off pulling image "${image}"`),
      [anEvent('Failed', `Failed to pull image "${image}": manifest unknown`)],
      'image_pull_failed',
      /does not exist/,
      false,
    ],
    [
      'a pull that fails otherwise',
      waiting('ErrImagePull', 'dial tcp: i/o timeout'),
      [],
      'image_pull_failed',
      /cannot be pulled: dial tcp: i\/o timeout\.$/,
      false,
    ],
    [
      'a name that is none',
      waiting('InvalidImageName', 'x'),
      [],
      'image_pull_failed',
      /not the name of an image/,
      true,
    ],
    [
      'an image that may not be pulled',
      waiting('ErrImageNeverPull'),
      [],
      'image_pull_failed',
      /pull policy forbids pulling/,
      true,
    ],
    [
      'a container that cannot be made',
      waiting('CreateContainerConfigError', 'secret "x" not found'),
      [],
      'container_not_created',
      /secret "x" not found\.$/,
      false,
    ],
    [
      'a notebook that ends at once',
      waiting('CrashLoopBackOff'),
      [],
      'crashed',
      /jupyterhub-singleuser/,
      false,
    ],
    [
      'too much memory',
      aPod({ containerStatuses: [{ state: { terminated: { reason: 'OOMKilled', exitCode: 137 } } }] }),
      [],
      'out_of_memory',
      /Increase its memory/,
      true,
    ],
    [
      'an exit',
      aPod({ containerStatuses: [{ state: { terminated: { reason: 'Error', exitCode: 127 } } }] }),
      [],
      'crashed',
      /exited with code 127/,
      true,
    ],
    [
      'an init container that fails',
      aPod({ initContainerStatuses: [{ state: { terminated: { exitCode: 1 } } }] }),
      [],
      'crashed',
      /exited with code 1\./,
      true,
    ],
    [
      'an eviction',
      aPod({ phase: 'Failed', reason: 'Evicted', message: 'The node was low on memory.' }),
      [],
      'evicted',
      /low on memory/,
      true,
    ],
    [
      'no room',
      aPod({
        conditions: [
          {
            type: 'PodScheduled',
            status: 'False',
            reason: 'Unschedulable',
            message: '0/3 nodes are available',
          },
        ],
      }),
      [],
      'unschedulable',
      /No node .* 0\/3 nodes are available\.$/,
      false,
    ],
    [
      'no room, reported only by an event',
      aPod({}),
      [anEvent('FailedScheduling', '0/3 nodes')],
      'unschedulable',
      /0\/3 nodes/,
      false,
    ],
    [
      'a home that is still attached elsewhere',
      aPod({}),
      [anEvent('FailedAttachVolume', 'Multi-Attach error')],
      'home_not_attached',
      /Multi-Attach error/,
      false,
    ],
  ];
  for (const [what, pod, events, reason, says, final] of situations) {
    it(`is ${what}`, () => {
      const failure = podFailure(pod, events);
      assert.partialDeepStrictEqual(failure, { reason, final });
      assert.match(failure?.message ?? '', says);
    });
  }

  it('is undefined while the container is being created, or exited with 0', () => {
    assert.equal(podFailure(waiting('ContainerCreating')), undefined);
    assert.equal(podFailure(aPod({ containerStatuses: [{ state: { running: {} } }] })), undefined);
    assert.equal(
      podFailure(aPod({ containerStatuses: [{ state: { terminated: { exitCode: 0 } } }] })),
      undefined,
    );
    assert.equal(podFailure(aPod({})), undefined);
  });

  it('ignores events of other pods and normal events', () => {
    const events = [
      anEvent('FailedScheduling', 'no', { uid: 'pod-2' }),
      anEvent('FailedMount', 'no', { type: 'Normal' }),
    ];
    assert.equal(podFailure(aPod({}), events), undefined);
  });

  it('follows the newest event', () => {
    const events = [
      anEvent('FailedScheduling', 'old', { at: '2026-11-23T09:00:00Z' }),
      anEvent('FailedMount', 'new', { at: '2026-11-23T09:01:00Z' }),
    ];
    assert.equal(podFailure(aPod({}), events)?.reason, 'home_not_attached');
    assert.equal(podFailure(aPod({}), events.toReversed())?.reason, 'home_not_attached');
  });
});

describe('why the hub did not start a notebook', () => {
  const quota =
    'Spawn failed: (403)\nReason: Forbidden\nHTTP response body: {"kind":"Status","message":"pods \\"jupyter-kari\\" is forbidden: exceeded quota: compute, requested: limits.cpu=8, used: limits.cpu=4, limited: limits.cpu=10","code":403}';
  for (const [text, reason, message] of [
    [
      'Spawn failed: profiles_not_synced: The hub still has revision 3. Try again in a minute.',
      'profiles_not_synced',
      'The hub still has revision 3. Try again in a minute.',
    ],
    ['no_environment: There is nothing to start', 'no_environment', 'There is nothing to start.'],
    [
      quota,
      'quota_exceeded',
      'The team’s quota is exhausted: pods "jupyter-kari" is forbidden: exceeded quota: compute, requested: limits.cpu=8, used: limits.cpu=4, limited: limits.cpu=10.',
    ],
    [
      'Spawn failed: pods "jupyter-kari" is forbidden: exceeded quota: compute',
      'quota_exceeded',
      'The team’s quota is exhausted: pods "jupyter-kari" is forbidden: exceeded quota: compute.',
    ],
    [
      "Spawn failed: Server at http://10.0.0.1:8888/ didn't respond in 30 seconds; Timeout",
      'start_timed_out',
      /Try again\. If the problem persists, restart the hub\.$/,
    ],
    ['Spawn failed: There is no room', 'start_failed', 'There is no room.'],
    ['', 'start_failed', 'The hub could not start the notebook and gave no reason.'],
  ] as const) {
    it(`is ${reason}: ${text.slice(0, 40).replace(/\s+/g, ' ')}`, () => {
      const failure = hubFailure(text);
      assert.equal(failure.reason, reason);
      if (typeof message === 'string') assert.equal(failure.message, message);
      else assert.match(failure.message, message);
    });
  }

  it('is a bounded sentence, however long the hub’s message', () => {
    const { message } = hubFailure(`Spawn failed: ${'x\n'.repeat(5_000)}`);
    assert.ok(message.length <= 601);
    assert.doesNotMatch(message, /\n/);
  });
});
