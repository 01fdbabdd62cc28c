import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import Type, { type Static } from 'typebox';
import { Value } from 'typebox/value';
import { parse } from 'yaml';
import { ConfigError, loadConfig } from '../../src/config.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const text = (path: string) => readFileSync(`${root}${path}`, 'utf8');

/** Values as an operator would give them. */
const operator = {
  PROJECT_ID: 'knada-test',
  REGION: 'europe-north1',
  CLUSTER_NAME: 'knada',
  TENANT_ID: '62366534-1ec3-4962-8869-9b5535279d0b',
  API_CLIENT_ID: '0f3b8b1e-0000-4000-8000-000000000000',
  ADMIN_GROUP_ID: '9d1a5d2c-0000-4000-8000-000000000000',
  AUDITOR_GROUPS: '',
  MEMBER_EMAIL_DOMAINS: 'nav.no',
  TEAM_CREATORS: '',
  CORS_ORIGINS: 'https://knorten.knada.io',
  IMAGE: `europe-north1-docker.pkg.dev/knada-test/knada-notebooks/api@sha256:${'a'.repeat(64)}`,
};

const render = (files: readonly string[], env: Record<string, string>) =>
  execFileSync('bash', ['deploy/render.sh', ...files], {
    cwd: root,
    env: { PATH: process.env.PATH, ...env },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });

const Service = Type.Object({
  apiVersion: Type.Literal('serving.knative.dev/v1'),
  kind: Type.Literal('Service'),
  metadata: Type.Object({ name: Type.String(), annotations: Type.Record(Type.String(), Type.String()) }),
  spec: Type.Object({
    template: Type.Object({
      metadata: Type.Object({ annotations: Type.Record(Type.String(), Type.String()) }),
      spec: Type.Object({
        serviceAccountName: Type.String(),
        containerConcurrency: Type.Integer(),
        timeoutSeconds: Type.Integer(),
        containers: Type.Tuple([
          Type.Object({
            image: Type.String(),
            command: Type.Optional(Type.Array(Type.String())),
            args: Type.Optional(Type.Array(Type.String())),
            startupProbe: Type.Optional(Type.Unknown()),
            livenessProbe: Type.Optional(Type.Unknown()),
            env: Type.Array(
              Type.Union([
                Type.Object({ name: Type.String(), value: Type.String() }, { additionalProperties: false }),
                Type.Object(
                  {
                    name: Type.String(),
                    valueFrom: Type.Object({
                      secretKeyRef: Type.Object({ name: Type.String(), key: Type.String() }),
                    }),
                  },
                  { additionalProperties: false },
                ),
              ]),
            ),
            volumeMounts: Type.Array(Type.Object({ name: Type.String(), mountPath: Type.String() })),
          }),
        ]),
        volumes: Type.Array(
          Type.Object({
            name: Type.String(),
            secret: Type.Object({
              secretName: Type.String(),
              items: Type.Array(Type.Object({ key: Type.String(), path: Type.String() })),
            }),
          }),
        ),
      }),
    }),
  }),
});

/** One file describes every function. */
const functions = ['reconcile', 'cull', 'refresh'];

const service = (file: string, called = 'reconcile'): Static<typeof Service> => {
  const value: unknown = parse(render([file], { ...operator, FUNCTION: called }));
  for (const error of Value.Errors(Service, value))
    assert.fail(`${file} ${error.instancePath} ${error.message}`);
  return Value.Parse(Service, value);
};
const containerOf = (file: string) => service(file).spec.template.spec.containers[0];
const files = ['service.yaml', 'deploy/functions.yaml', 'deploy/admission.yaml'];

/** Every variable that the configuration looks at, and those that it cannot do without. */
const configuration = () => {
  const known = new Set<string>();
  const empty = new Proxy<Record<string, string | undefined>>(
    {},
    {
      get: (_target, name) => {
        known.add(String(name));
        return undefined;
      },
    },
  );
  let missing: string[] = [];
  try {
    loadConfig(empty);
    assert.fail('an empty environment is no configuration');
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    missing = error.faults
      .filter((fault) => fault.endsWith('is missing'))
      .map((fault) => fault.split(':')[0] ?? '');
  }
  // What STORE=firestore looks at besides.
  known.add('FIRESTORE_DATABASE');
  return { known, required: new Set(missing) };
};

describe('the Cloud Run services', () => {
  it('set every required variable and no unknown one', () => {
    const { known, required } = configuration();
    assert.ok(required.has('CLUSTER') && required.has('HUB_MASTER_KEYS') && required.size >= 8);
    for (const file of files) {
      const names = new Set(containerOf(file).env.map(({ name }) => name));
      assert.deepEqual(
        [...required].filter((name) => !names.has(name)),
        [],
        `${file} lacks`,
      );
      assert.deepEqual(
        [...names].filter((name) => !known.has(name)),
        [],
        `${file} knows too much`,
      );
      assert.equal(names.size, containerOf(file).env.length, `${file} names a variable twice`);
      assert.ok(!names.has('PORT'), 'Cloud Run reserves PORT');
      assert.ok(!names.has('ALLOW_INSECURE_HUB_AUTH'), 'hubs are never open to anybody');
    }
  });

  it('have a valid configuration', () => {
    const { env, volumeMounts } = containerOf('service.yaml');
    const secrets: Record<string, string> = {
      'knada-notebooks-hub-master-keys': `k1:${'0'.repeat(64)}`,
    };
    const values = Object.fromEntries(
      env.map((each) => [
        each.name,
        'value' in each ? each.value : (secrets[each.valueFrom.secretKeyRef.name] ?? assert.fail(each.name)),
      ]),
    );
    const [volume] = service('service.yaml').spec.template.spec.volumes;
    const mounted = `${volumeMounts[0]?.mountPath}/${volume?.secret.items[0]?.path}`;
    const config = loadConfig(values, (path) => {
      assert.equal(path, mounted);
      return text('deploy/hub-values.example.yaml');
    });
    assert.deepEqual(config.cluster, {
      kind: 'gke',
      name: 'projects/knada-test/locations/europe-north1/clusters/knada',
    });
    assert.equal(config.store.kind, 'firestore');
    assert.equal(config.auth.issuers[0]?.tenantId, operator.TENANT_ID);
  });

  it('give each function the environment, identity, image and secrets of the API', () => {
    const api = service('service.yaml').spec.template.spec;
    for (const name of functions) {
      const { metadata, spec } = service('deploy/functions.yaml', name);
      const called = spec.template.spec;
      assert.equal(metadata.name, `knada-notebooks-${name}`);
      assert.deepEqual(called.containers[0].env, api.containers[0].env);
      assert.deepEqual(called.containers[0].volumeMounts, api.containers[0].volumeMounts);
      assert.deepEqual(called.volumes, api.volumes);
      assert.equal(called.containers[0].image, api.containers[0].image);
      assert.equal(called.serviceAccountName, api.serviceAccountName);
      assert.deepEqual(called.containers[0].args, [`--target=${name}`, '--signature-type=http']);
    }
  });

  it('give the admission function the same and the secret of its path', () => {
    const api = service('service.yaml').spec.template.spec;
    const { metadata, spec } = service('deploy/admission.yaml');
    const [container] = spec.template.spec.containers;
    const own = container.env.filter(({ name }) => name === 'ADMISSION_SECRETS');
    assert.equal(metadata.name, 'knada-notebooks-admission');
    assert.deepEqual(container.env, [...api.containers[0].env, ...own]);
    assert.equal(own.length, 1);
    assert.deepEqual(container.volumeMounts, api.containers[0].volumeMounts);
    assert.deepEqual(spec.template.spec.volumes, api.volumes);
    assert.equal(container.image, api.containers[0].image);
    assert.equal(spec.template.spec.serviceAccountName, api.serviceAccountName);
    assert.deepEqual(container.args, ['--target=admission', '--signature-type=http']);
  });

  it('keep one admission instance warm, and are named as the deployment expects', () => {
    const { metadata } = service('deploy/admission.yaml').spec.template;
    assert.equal(metadata.annotations['autoscaling.knative.dev/minScale'], '1');
    for (const file of files) assert.match(text('cloudbuild.yaml'), new RegExp(`^ +replace ${file}$`, 'm'));
  });

  it('are called by Cloud Scheduler with a sufficient deadline', () => {
    const readme = text('deploy/README.md');
    const deadlineSeconds = Number(/--attempt-deadline (\d+)s/.exec(readme)?.[1]);
    for (const name of functions) {
      assert.match(readme, new RegExp(`^schedule ${name} '[^']+'$`, 'm'));
      const { timeoutSeconds } = service('deploy/functions.yaml', name).spec.template.spec;
      assert.equal(deadlineSeconds, timeoutSeconds);
    }
    assert.match(readme, /^schedule refresh '\d+ \* \* \* \*'$/m);
  });

  it('open the API and the admission function to all callers, the other functions to the scheduler only', () => {
    for (const file of ['service.yaml', 'deploy/admission.yaml']) {
      assert.equal(service(file).metadata.annotations['run.googleapis.com/invoker-iam-disabled'], 'true');
    }
    assert.ok(
      !('run.googleapis.com/invoker-iam-disabled' in service('deploy/functions.yaml').metadata.annotations),
    );
    assert.ok(!text('deploy/README.md').includes('allUsers'));
  });

  it('keep secrets out of plain values', () => {
    for (const file of files) {
      for (const each of containerOf(file).env) {
        if (/KEY|SECRET|TOKEN|PASSWORD/.test(each.name)) assert.ok('valueFrom' in each, each.name);
      }
    }
  });

  it('wait for the store before taking traffic, and allow streams of 50 minutes', () => {
    const { containers, timeoutSeconds } = service('service.yaml').spec.template.spec;
    assert.partialDeepStrictEqual(containers[0], {
      startupProbe: { httpGet: { path: '/readyz' } },
      livenessProbe: { httpGet: { path: '/livez' } },
    });
    assert.ok(timeoutSeconds > 50 * 60);
  });

  it('cannot be rendered while a placeholder has no value', () => {
    const { CLUSTER_NAME: _, ...rest } = operator;
    assert.throws(() => render(['service.yaml'], rest), /CLUSTER_NAME/);
    const given = { ...operator, FUNCTION: 'refresh' };
    assert.doesNotMatch(render(files, { ...given, TEAM_CREATORS: 'a&b\\1$x' }), /\$\{/);
    assert.match(render(files, { ...given, TEAM_CREATORS: 'a&b$x' }), /"a&b\$x"/);
  });

  it('are documented: deploy/README.md has every variable and every placeholder', () => {
    const readme = text('deploy/README.md');
    for (const name of configuration().known) assert.ok(readme.includes(`\`${name}\``), name);
    for (const name of Object.keys(operator)) {
      if (name !== 'IMAGE') assert.match(readme, new RegExp(`^export ${name}=`, 'm'));
    }
  });
});
