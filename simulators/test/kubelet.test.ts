import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { quoted, referenceFault } from '../cluster/image-reference.ts';
import { startKubelet } from '../cluster/kubelet.ts';
import type { Client } from '../kubernetes/client.ts';
import { at } from '../kubernetes/json.ts';
import type { KubeObject } from '../kubernetes/object.ts';
import { type Kubernetes, startKubernetes } from '../kubernetes/server.ts';

const digest = `sha256:${'a'.repeat(64)}`;

describe('an image’s name', () => {
  for (const image of [
    'notebook',
    'notebook:1',
    'team/notebook',
    'ghcr.io/team/notebook:20260101-1',
    'GHCR.io/team/notebook',
    'localhost/notebook',
    'localhost:5000/notebook',
    '[2001:db8::1]:5000/notebook',
    `ghcr.io/team/notebook@${digest}`,
    `ghcr.io/team/notebook:1@${digest}`,
    'ghcr.io/a__b/c--d/e.f_g',
    `ghcr.io/${'x'.repeat(255)}`,
    `notebook:${'t'.repeat(128)}`,
  ]) {
    it(`is accepted: ${image.slice(0, 60)}`, () => assert.equal(referenceFault(image), undefined));
  }

  const format = 'invalid reference format';
  for (const [image, fault] of [
    ['', format],
    ['note book', format],
    ['ghcr.io/team/notebook\u00a0', format],
    ['ghcr.io/team/notebook:1\n', format],
    ['ghcr.io/team/notebook:', format],
    ['ghcr.io/team/notebook:-1', format],
    [`notebook:${'t'.repeat(129)}`, format],
    ['ghcr.io//notebook', format],
    ['ghcr.io/team/-notebook', format],
    ['https://ghcr.io/team/notebook', format],
    [`ghcr.io/team/notebook@sha256:${'a'.repeat(10)}`, format],
    ['ghcr.io/Team/notebook', `${format}: repository name (Team/notebook) must be lowercase`],
    ['Notebook', `${format}: repository name (library/Notebook) must be lowercase`],
    [`ghcr.io/${'x'.repeat(256)}`, 'repository name must not be more than 255 characters'],
    [
      'a'.repeat(64),
      `invalid repository name (${'a'.repeat(64)}), cannot specify 64-byte hexadecimal strings`,
    ],
    [`notebook@sha256:${'A'.repeat(64)}`, 'invalid checksum digest format'],
    [`notebook@sha256:${'a'.repeat(63)}`, 'invalid checksum digest length'],
    [`notebook@md5:${'a'.repeat(32)}`, 'unsupported digest algorithm'],
  ] as const) {
    it(`is refused: ${quoted(image).slice(0, 60)}`, () => assert.equal(referenceFault(image), fault));
  }

  it('is parsed in time that grows with its length', () => {
    const started = performance.now();
    for (const part of ['a', 'a-', 'a.', 'a__', 'a/']) referenceFault(`ghcr.io/${part.repeat(20_000)}\n`);
    assert.ok(performance.now() - started < 2_000);
  });
});

describe('the kubelet', () => {
  let kubernetes: Kubernetes;
  let client: Client;
  let kubelet: { close(): Promise<void> };
  before(async () => {
    kubernetes = await startKubernetes();
    client = kubernetes.client('test');
    kubelet = startKubelet({ client, podReadyMs: 1, podStopMs: 1 });
    await client.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'images' } });
    await kubernetes.settled();
  });
  after(async () => {
    await kubelet.close();
    await kubernetes.close();
  });

  /** The pod as soon as it is as wanted. */
  const podWhen = async (name: string, isSo: (pod: KubeObject) => boolean): Promise<KubeObject> => {
    const { promise, resolve } = Promise.withResolvers<KubeObject>();
    const stop = client.watch('pods', { namespace: 'images' }, (_type, pod) => {
      if (at(pod, 'metadata', 'name') === name && isSo(pod)) resolve(pod);
    });
    try {
      return await promise;
    } finally {
      stop();
    }
  };
  const waitingOf = (pod: KubeObject): unknown => {
    const statuses = at(pod, 'status', 'containerStatuses');
    return Array.isArray(statuses) ? at(statuses[0], 'state', 'waiting') : undefined;
  };
  const reasonOf = (pod: KubeObject): unknown => (waitingOf(pod) as { reason?: unknown } | undefined)?.reason;

  it('refuses a name that containerd cannot parse, and says so in an Event', async () => {
    for (const [name, image, shown, fault] of [
      [
        'inner-space',
        'ghcr.io/team/note\u00a0book:1',
        'ghcr.io/team/note\\u00a0book:1',
        'invalid reference format',
      ],
      [
        'upper-case',
        'ghcr.io/Team/notebook:1',
        'ghcr.io/Team/notebook:1',
        'invalid reference format: repository name (Team/notebook) must be lowercase',
      ],
    ] as const) {
      await client.create({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, namespace: 'images' },
        spec: { containers: [{ name: 'main', image }] },
      });
      const pod = await podWhen(name, (one) => reasonOf(one) === 'InvalidImageName');
      const message = `Failed to apply default image tag "${shown}": couldn't parse image name "${shown}": ${fault}`;
      assert.deepEqual(waitingOf(pod), { reason: 'InvalidImageName', message });
      assert.equal(at(pod, 'status', 'phase'), 'Pending');
    }
  });

  it('starts the pod once its image has a name that can be parsed', async () => {
    await client.patch(
      'pods',
      'images',
      'upper-case',
      {
        spec: { containers: [{ name: 'main', image: 'ghcr.io/team/notebook:1' }] },
      },
      { type: 'strategic' },
    );
    const pod = await podWhen('upper-case', (one) => at(one, 'status', 'phase') === 'Running');
    assert.equal(waitingOf(pod), undefined);
    const events = await client.list('events', {
      namespace: 'images',
      fieldSelector: 'involvedObject.name=upper-case',
    });
    const reasons = events.map((event) => `${at(event, 'reason')}: ${at(event, 'message')}`);
    assert.ok(reasons.some((one) => one.startsWith('InspectFailed: Failed to apply default image tag')));
    assert.ok(reasons.includes('Failed: Error: InvalidImageName'));
  });
});
