import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import Type, { type Static } from 'typebox';
import { Value } from 'typebox/value';
import { parseAllDocuments } from 'yaml';
import type { ClusterUnderTest } from '../contracts/cluster.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** The subject of the binding in deploy/rbac.yaml, by its GKE name. */
export const deployedUser = 'knada-notebooks@knada.iam.gserviceaccount.com';

export type Send = ClusterUnderTest['send'];

const Named = Type.Object({
  apiVersion: Type.String(),
  kind: Type.String(),
  metadata: Type.Object({ name: Type.String(), namespace: Type.Optional(Type.String()) }),
});
type Named = Static<typeof Named>;

/** Where admission-webhook.yaml leads unless a test says otherwise. */
const nowhere = 'https://admission.invalid/secret';

/** The text of files in deploy/, rendered for the project `knada`. */
export const render = (...files: readonly string[]): string =>
  execFileSync('bash', ['deploy/render.sh', ...files.map((file) => `deploy/${file}`)], {
    cwd: root,
    env: { PATH: process.env.PATH, PROJECT_ID: 'knada', ADMISSION_URL: nowhere },
    encoding: 'utf8',
  });

/** The objects in them. */
export const deployed = (...files: readonly string[]): readonly Named[] =>
  parseAllDocuments(render(...files)).map((document) => {
    const object: unknown = document.toJS();
    assert.ok(Value.Check(Named, object));
    return object;
  });

/** Applies the objects as an administrator. */
export const applyAll = async (send: Send, objects: readonly Named[]): Promise<void> => {
  for (const object of objects) {
    const { apiVersion, kind, metadata } = object;
    const plural = `${kind.toLowerCase().replace(/y$/, 'ie')}s`;
    const namespace = metadata.namespace === undefined ? '' : `/namespaces/${metadata.namespace}`;
    const { code, body } = await send(
      'PATCH',
      `/apis/${apiVersion}${namespace}/${plural}/${metadata.name}?fieldManager=operator&force=true`,
      object,
      'application/apply-patch+yaml',
    );
    assert.ok(code === 200 || code === 201, JSON.stringify(body));
  }
};

/** Waits until it is so: what an API server has stored takes effect there a moment later. */
export const until = async (isSo: () => Promise<boolean>): Promise<void> => {
  const deadline = AbortSignal.timeout(30_000);
  while (!(await isSo())) await wait(50, undefined, { signal: deadline });
};

/** Puts deploy/admission-policies.yaml in force. */
export const enforcePolicies = async (send: Send): Promise<void> => {
  await applyAll(send, deployed('admission-policies.yaml'));
  const path = '/api/v1/namespaces/default/configmaps/fence-probe';
  const stamped = (revision: string) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: 'fence-probe',
      labels: { 'app.kubernetes.io/managed-by': 'knada-notebooks' },
      annotations: { 'knada.io/revision': revision },
    },
  });
  const apply = (query: string, revision: string) =>
    send(
      'PATCH',
      `${path}?fieldManager=probe&force=true${query}`,
      stamped(revision),
      'application/apply-patch+yaml',
    );
  await apply('', '2');
  await until(async () => (await apply('&dryRun=All', '1')).code === 422);
  await send('DELETE', path);
};
