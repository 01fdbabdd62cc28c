import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { fetch } from 'undici';
import { asText, at, parseJson } from '../kubernetes/json.ts';
import { startKubernetes } from '../kubernetes/server.ts';
import { absent, startApiServer } from '../real/kube-apiserver.ts';
import { definitions } from './definitions.ts';

const namespace = '/api/v1/namespaces/default';
const hard = {
  'requests.cpu': '1500m',
  'requests.memory': '3Gi',
  pods: '2',
  persistentvolumeclaims: '1',
  'requests.storage': '10Gi',
};

type Send = (
  method: string,
  path: string,
  body: object,
  type?: string,
) => Promise<{ code: number; message: string }>;

const aPod = (name: string, requests?: { readonly cpu: string; readonly memory: string }) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: {
    automountServiceAccountToken: false,
    containers: [{ name: 'c', image: 'x', resources: requests === undefined ? {} : { requests } }],
  },
});
const aClaim = (name: string, storage: string) => ({
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  metadata: { name },
  spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage } } },
});

/** What is said of each thing that is asked for under one quota; '' where it was made. */
const said = async (send: Send): Promise<readonly string[]> => {
  const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default' } };
  await send('POST', `${namespace}/serviceaccounts`, account);
  const quota = { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'compute' }, spec: { hard } };
  assert.equal((await send('POST', `${namespace}/resourcequotas`, quota)).code, 201);
  // What the quota controller does, which an API server alone does not have.
  const used = Object.fromEntries(Object.keys(hard).map((resource) => [resource, '0']));
  const status = { status: { hard, used } };
  const written = await send(
    'PATCH',
    `${namespace}/resourcequotas/compute/status`,
    status,
    'application/merge-patch+json',
  );
  assert.equal(written.code, 200);
  // Nothing is admitted until the server has seen that status: the first pod is asked for until it is.
  for (const deadline = AbortSignal.timeout(20_000); ; await wait(50, undefined, { signal: deadline })) {
    const { code, message } = await send(
      'POST',
      `${namespace}/pods`,
      aPod('one', { cpu: '1', memory: '1Gi' }),
    );
    if (code === 201) break;
    assert.match(message, /status unknown for quota/);
  }
  const answers: string[] = [];
  for (const [plural, object] of [
    ['pods', aPod('two', { cpu: '1', memory: '1Gi' })],
    ['pods', aPod('two', { cpu: '700m', memory: '2.5Gi' })],
    ['pods', aPod('two')],
    ['pods', aPod('two', { cpu: '100m', memory: '512Mi' })],
    ['pods', aPod('three', { cpu: '100m', memory: '1Mi' })],
    ['persistentvolumeclaims', aClaim('a', '20Gi')],
    ['persistentvolumeclaims', aClaim('a', '5Gi')],
    ['persistentvolumeclaims', aClaim('b', '6Gi')],
  ] as const) {
    const { code, message } = await send('POST', `${namespace}/${plural}`, object);
    assert.equal(code, message === '' ? 201 : 403);
    answers.push(message);
  }
  return answers;
};

const messageOf = (code: number, text: string) => ({
  code,
  message: code < 400 ? '' : asText(at(parseJson(text), 'message')),
});

const simulated = async (): Promise<readonly string[]> => {
  const kubernetes = await startKubernetes();
  try {
    return await said(async (method, path, body, type = 'application/json') => {
      const headers = { 'content-type': type };
      const response = await fetch(`${kubernetes.url}${path}`, {
        method,
        headers,
        body: JSON.stringify(body),
      });
      return messageOf(response.status, await response.text());
    });
  } finally {
    await kubernetes.close();
  }
};

const skip = await absent();

describe('a quota of the simulated cluster', () => {
  it('quota: refuses objects beyond it, and names the amounts', async () => {
    const [first, second, third, fourth] = await simulated();
    const exceeded = 'pods "two" is forbidden: exceeded quota: compute,';
    assert.equal(
      first,
      `${exceeded} requested: requests.cpu=1, used: requests.cpu=1, limited: requests.cpu=1500m`,
    );
    assert.match(second ?? '', /requested: requests\.cpu=700m,requests\.memory=2560Mi, /);
    assert.match(
      third ?? '',
      /: failed quota: compute: must specify requests\.cpu for: c; requests\.memory for: c$/,
    );
    assert.equal(fourth, '');
  });

  it('quota: answers as the real server', { skip }, async () => {
    const server = await startApiServer({ definitions });
    try {
      const real = await said(async (method, path, body, type = 'application/json') => {
        const headers = { 'content-type': type };
        const response = await server.fetch(path, { method, headers, body: JSON.stringify(body) });
        return messageOf(response.status, await response.text());
      });
      assert.deepEqual(await simulated(), real);
    } finally {
      await server.close();
    }
  });
});
