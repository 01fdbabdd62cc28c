import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { type ApiServer, absent } from '@knada/simulators/real/kube-apiserver.ts';
import { isAbsent } from '@knada/simulators/real/real-parts.ts';
import Type from 'typebox';
import { Value } from 'typebox/value';
import { startApiServer } from '../support/api-server.ts';
import { deployed, deployedUser, enforcePolicies, render, type Send } from '../support/cluster-files.ts';
import { asDeployed, kubeconfig, sender } from '../support/rbac.ts';

const apply = 'application/apply-patch+yaml';
const ours = { 'app.kubernetes.io/managed-by': 'knada-notebooks' };
const Refusal = Type.Object({ message: Type.String() });

describe('the cluster objects of the deployment', { skip: await absent() }, () => {
  let server: ApiServer;
  let send: Send;
  before(async () => {
    server = await startApiServer();
    send = sender(server);
  });
  after(() => server.close());

  it('are accepted by kubectl apply --dry-run=server', async (t) => {
    if (spawnSync('kubectl', ['version', '--client']).status !== 0) {
      t.skip(isAbsent('kubectl', 'not on the PATH'));
      return;
    }
    const { file } = await kubeconfig(t, server);
    const kubectl = (args: readonly string[], input?: string) =>
      execFileSync('kubectl', ['--kubeconfig', file, ...args], {
        encoding: 'utf8',
        ...(input === undefined ? {} : { input }),
      });
    const fluxSystem = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'flux-system' } };
    kubectl(['apply', '-f', '-'], JSON.stringify(fluxSystem));
    const files = ['rbac.yaml', 'admission-policies.yaml', 'helm-repository.yaml', 'admission-webhook.yaml'];
    const said = kubectl(['apply', '--dry-run=server', '-f', '-'], render(...files))
      .trim()
      .split('\n');
    assert.equal(said.length, deployed(...files).length);
    for (const line of said) assert.match(line, / (created|configured|unchanged) \(server dry run\)$/);
  });

  it('bind exactly one role, without wildcards, to exactly one identity', () => {
    for (const { kind, ...object } of deployed('rbac.yaml')) {
      assert.doesNotMatch(JSON.stringify(object), /"\*"/);
      if (kind === 'ClusterRoleBinding') {
        assert.partialDeepStrictEqual(object, { subjects: [{ kind: 'User', name: deployedUser }] });
      }
    }
  });

  it('allow the API what it does in a team’s namespace, and no escalation', async (t) => {
    await asDeployed(t, server);
    const may = async (verb: string, group: string, resource: string, subresource = '', name = '') => {
      const { body } = await send('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SubjectAccessReview',
        spec: {
          user: deployedUser,
          groups: ['system:authenticated'],
          resourceAttributes: { verb, group, resource, subresource, name, namespace: 'team-red-0000' },
        },
      });
      const Review = Type.Object({ status: Type.Object({ allowed: Type.Boolean() }) });
      assert.ok(Value.Check(Review, body));
      return body.status.allowed;
    };
    assert.ok(await may('patch', 'helm.toolkit.fluxcd.io', 'helmreleases'));
    assert.ok(await may('create', '', 'secrets'));
    assert.ok(await may('delete', '', 'pods'));
    assert.ok(await may('list', '', 'events'));
    for (const verb of ['get', 'list', 'create', 'patch', 'delete'])
      assert.ok(await may(verb, '', 'resourcequotas'), verb);
    assert.ok(await may('patch', 'apps', 'deployments', '', 'hub'));
    assert.ok(!(await may('patch', 'apps', 'deployments', '', 'proxy')));
    for (const [verb, group, resource, subresource] of [
      ['create', '', 'pods'],
      ['create', '', 'pods', 'exec'],
      ['create', '', 'serviceaccounts', 'token'],
      ['delete', '', 'serviceaccounts'],
      ['impersonate', '', 'users'],
      ['get', '', 'nodes'],
      ['watch', '', 'secrets'],
      ['update', '', 'configmaps'],
      ['deletecollection', '', 'persistentvolumeclaims'],
      ['patch', 'apps', 'deployments'],
      ['create', 'rbac.authorization.k8s.io', 'rolebindings'],
      ['escalate', 'rbac.authorization.k8s.io', 'clusterroles'],
      ['patch', 'admissionregistration.k8s.io', 'validatingadmissionpolicies'],
    ] as const) {
      assert.ok(
        !(await may(verb, group, resource, subresource)),
        `${verb} ${group} ${resource} ${subresource ?? ''}`,
      );
    }
  });

  describe('the revision policy', () => {
    const namespace = `fence-${randomUUID().slice(0, 8)}`;
    before(async () => {
      await enforcePolicies(send);
      const made = await send('POST', '/api/v1/namespaces', { metadata: { name: namespace } });
      assert.equal(made.code, 201);
    });

    let count = 0;
    /** The current object, and the outcome of a write by any user. */
    const writing = async (
      before: { labels?: object; annotations?: object },
      after: { labels?: object; annotations?: object },
    ) => {
      count += 1;
      const metadata = { name: `fence-${count}` };
      const path = `/api/v1/namespaces/${namespace}/configmaps`;
      const created = await send('POST', path, { metadata: { ...metadata, ...before } });
      assert.equal(created.code, 201);
      const put = await send('PUT', `${path}/${metadata.name}`, { metadata: { ...metadata, ...after } });
      return put.code === 200
        ? 'taken'
        : Value.Parse(Refusal, put.body).message.replace(/^.*denied request: /s, '');
    };
    const at = (revision: string) => ({ labels: ours, annotations: { 'knada.io/revision': revision } });

    for (const [situation, before, after] of [
      ['a higher revision', at('9'), at('10')],
      ['the same revision', at('9'), at('9')],
      ['a first revision', { labels: ours }, at('1')],
      ['a revision where there was none that is a number', at('soon'), at('1')],
      ['no revision where there was none', { labels: ours }, { labels: ours }],
      ['anything into what is not ours', { annotations: { 'knada.io/revision': '9' } }, {}],
    ] as const) {
      it(`accepts ${situation}`, async () => assert.equal(await writing(before, after), 'taken'));
    }

    for (const [situation, before, after, sentence] of [
      [
        'a lower revision',
        at('10'),
        at('9'),
        'This object is at knada.io/revision 10; it cannot be set to "9".',
      ],
      [
        'a revision that is no number',
        at('9'),
        at('ten'),
        'This object is at knada.io/revision 9; it cannot be set to "ten".',
      ],
      [
        'a negative revision',
        at('9'),
        at('-10'),
        'This object is at knada.io/revision 9; it cannot be set to "-10".',
      ],
      [
        'a revision too large to compare',
        at('9'),
        at('9'.repeat(40)),
        `This object is at knada.io/revision 9; it cannot be set to "${'9'.repeat(40)}".`,
      ],
      [
        'the loss of the revision',
        at('9'),
        { labels: ours },
        'This object is at knada.io/revision 9, which cannot be removed.',
      ],
      [
        'a lower revision without our label',
        at('9'),
        { annotations: { 'knada.io/revision': '8' } },
        'This object is at knada.io/revision 9; it cannot be set to "8".',
      ],
    ] as const) {
      it(`refuses ${situation}`, async () => assert.equal(await writing(before, after), sentence));
    }

    it('allows deletions and the finalizers before them', async () => {
      const path = `/api/v1/namespaces/${namespace}/configmaps`;
      const metadata = { name: 'fence-held', finalizers: ['test.knada.io/hold'], ...at('9') };
      assert.equal((await send('POST', path, { metadata })).code, 201);
      await send('DELETE', `${path}/fence-held`);
      const released = await send('PUT', `${path}/fence-held`, { metadata: { name: 'fence-held' } });
      assert.equal(released.code, 200);
      assert.equal((await send('GET', `${path}/fence-held`)).code, 404);
    });

    it('applies to the HelmRelease but not to its status', async () => {
      const release = (revision: string) => ({
        apiVersion: 'helm.toolkit.fluxcd.io/v2',
        kind: 'HelmRelease',
        metadata: { name: 'fence', ...at(revision) },
        spec: {
          interval: '10m',
          chart: { spec: { chart: 'jupyterhub', sourceRef: { kind: 'HelmRepository', name: 'jupyterhub' } } },
        },
      });
      const path = `/apis/helm.toolkit.fluxcd.io/v2/namespaces/${namespace}/helmreleases/fence`;
      const put = (revision: string) =>
        send('PATCH', `${path}?fieldManager=knada-notebooks&force=true`, release(revision), apply);
      assert.equal((await put('9')).code, 201);
      assert.equal((await put('8')).code, 422);
      assert.equal((await put('9')).code, 200);
      const status = await send(
        'PATCH',
        `${path}/status`,
        { status: { observedGeneration: 1 } },
        'application/merge-patch+json',
      );
      assert.equal(status.code, 200);
    });
  });
});
