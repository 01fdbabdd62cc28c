import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, describe, it } from 'node:test';
import { type Body, MERGE, refused, until, type WireClient } from './client.ts';

export const admissionPolicies = (client: WireClient): void => {
  const { post, put, patch, remove, apply, newNamespace, mapsIn, map } = client;

  describe('admission policies', () => {
    const policies = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies';
    const bindings = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings';
    const made: string[] = [];
    after(async () => {
      for (const path of made) await remove(path);
    });
    const enforce = async (name: string, labels: Body, spec: Body): Promise<void> => {
      const rule = {
        apiGroups: [''],
        apiVersions: ['v1'],
        operations: ['CREATE', 'UPDATE'],
        resources: ['configmaps'],
      };
      const policy = await post(policies, {
        apiVersion: 'admissionregistration.k8s.io/v1',
        kind: 'ValidatingAdmissionPolicy',
        metadata: { name },
        spec: { matchConstraints: { resourceRules: [rule] }, ...spec },
      });
      assert.equal(policy.status, 201, JSON.stringify(policy.body));
      const binding = await post(bindings, {
        apiVersion: 'admissionregistration.k8s.io/v1',
        kind: 'ValidatingAdmissionPolicyBinding',
        metadata: { name },
        spec: {
          policyName: name,
          validationActions: ['Deny'],
          matchResources: { namespaceSelector: { matchLabels: labels } },
        },
      });
      assert.equal(binding.status, 201, JSON.stringify(binding.body));
      made.push(`${bindings}/${name}`, `${policies}/${name}`);
    };
    const fenced = async (label: string): Promise<string> => {
      const namespace = await newNamespace();
      await patch(`/api/v1/namespaces/${namespace}`, MERGE, { metadata: { labels: { [label]: 'true' } } });
      return namespace;
    };

    it('admission policy: refuses a decreasing revision with its message', async () => {
      const name = `revision-${randomUUID().slice(0, 8)}`;
      const namespace = await fenced(name);
      const maps = mapsIn(namespace);
      const revision = (value: string): Body =>
        map('one', {}, { annotations: { 'example.com/revision': value } });
      await post(maps, revision('5'));
      await enforce(
        name,
        { [name]: 'true' },
        {
          matchConditions: [{ name: 'is-update', expression: 'request.operation == "UPDATE"' }],
          variables: [
            {
              name: 'before',
              expression: "int(oldObject.metadata.?annotations[?'example.com/revision'].orValue('0'))",
            },
            {
              name: 'after',
              expression: "int(object.metadata.?annotations[?'example.com/revision'].orValue('0'))",
            },
          ],
          validations: [
            {
              expression: 'variables.after >= variables.before',
              messageExpression:
                "'revision ' + string(variables.after) + ' is older than ' + string(variables.before)",
            },
          ],
        },
      );
      await until(
        'the policy holds',
        async () => (await put(`${maps}/one?dryRun=All`, revision('4'))).status === 422,
      );
      refused(
        await put(`${maps}/one`, revision('4')),
        422,
        'Invalid',
        `configmaps "one" is forbidden: ValidatingAdmissionPolicy '${name}' with binding '${name}' denied request: revision 4 is older than 5`,
      );
      assert.equal((await put(`${maps}/one`, revision('5'))).status, 200);
      assert.equal((await put(`${maps}/one`, revision('12'))).status, 200);
      assert.equal((await apply(`${maps}/one`, 'red', revision('9'), '&force=true')).status, 422);
      assert.equal((await apply(`${maps}/one`, 'red', revision('13'), '&force=true')).status, 200);
      assert.equal((await patch(`${maps}/one`, MERGE, { metadata: { annotations: null } })).status, 422);
      assert.equal((await post(mapsIn(await newNamespace()), revision('1'))).status, 201);
    });

    it('admission policy: sees the user and the namespace, and sets the reason', async () => {
      const name = `identity-${randomUUID().slice(0, 8)}`;
      const maps = mapsIn(await fenced(name));
      await enforce(
        name,
        { [name]: 'true' },
        {
          matchConditions: [{ name: 'not-system', expression: "!object.metadata.name.startsWith('kube-')" }],
          validations: [
            {
              expression: `request.userInfo.username == 'someone@example.com' || namespaceObject.metadata.labels['${name}'] != 'true' || 'system:nobody' in request.userInfo.groups`,
              message: 'only someone may',
              reason: 'Forbidden',
            },
          ],
        },
      );
      await until(
        'the policy holds',
        async () => (await post(`${maps}?dryRun=All`, map('one'))).status === 403,
      );
      refused(
        await post(maps, map('one')),
        403,
        'Forbidden',
        `configmaps "one" is forbidden: ValidatingAdmissionPolicy '${name}' with binding '${name}' denied request: only someone may`,
      );
    });

    it('admission policy: ignores what it does not match, and fails closed on errors', async () => {
      const name = `errors-${randomUUID().slice(0, 8)}`;
      const maps = mapsIn(await fenced(name));
      await enforce(
        name,
        { [name]: 'true' },
        {
          matchConditions: [{ name: 'has-data', expression: 'has(object.data)' }],
          validations: [{ expression: "object.data['must'] == 'be'" }],
        },
      );
      await until(
        'the policy holds',
        async () => (await post(`${maps}?dryRun=All`, map('one', { must: 'not' }))).status === 422,
      );
      const failed = await post(maps, map('one', { must: 'not' }));
      assert.match(
        String(failed.body.message),
        /denied request: failed expression: object\.data\['must'\] == 'be'$/,
      );
      const broken = await post(maps, map('one', { other: '1' }));
      assert.equal(broken.status, 422);
      assert.match(String(broken.body.message), /resulted in error: .*no such key: must/);
      assert.equal((await post(maps, map('one', { must: 'be' }))).status, 201);
      assert.equal((await post(maps, { metadata: { name: 'two' } })).status, 201);
    });
  });
};
