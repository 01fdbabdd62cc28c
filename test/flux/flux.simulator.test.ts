import { after, before, describe } from 'node:test';
import { startDeployments } from '@knada/simulators/cluster/deployments.ts';
import { startKubelet } from '@knada/simulators/cluster/kubelet.ts';
import { startHelmController } from '@knada/simulators/helm-controller/controller.ts';
import { uninstallRelease } from '@knada/simulators/helm-controller/helm.ts';
import { Ajv } from 'ajv';
import { enforcePolicies } from '../support/cluster-files.ts';
import { openSimulator } from '../support/simulated-kubernetes.ts';
import schema from './chart/values.schema.json' with { type: 'json' };
import { notebookOnFlux } from './contract.ts';
import type { FluxUnderTest } from './notebook.ts';

const validate = new Ajv({ strict: false, allErrors: true }).compile({ ...schema, required: [] });
const valuesFaults = (values: unknown): readonly string[] =>
  validate(values)
    ? []
    : (validate.errors ?? []).map(({ instancePath, message }) => `at '${instancePath}': ${message}`);
const noIndex = 'failed to fetch the index of the repository: 503 Service Unavailable';

describe('a notebook on Flux: the simulator', { concurrency: 6 }, () => {
  let flux: FluxUnderTest;
  const cleanUps: (() => Promise<unknown>)[] = [];

  before(async () => {
    const { simulator, cluster, send, close } = await openSimulator();
    cleanUps.push(close);
    await enforcePolicies(send);
    const failures: string[] = [];
    const onFailure = (what: string, error: unknown) => void failures.push(`${what}: ${error}`);
    const client = simulator.client('controllers');
    const away = new Set<string>();
    let repositories = 0;
    const parts = [
      startKubelet({
        client,
        podReadyMs: 5,
        podStopMs: 5,
        onFailure,
        pullable: (image) => !image.includes(':missing'),
      }),
      startDeployments({ client, onFailure }),
      startHelmController({
        client: simulator.client('helm-controller', {
          username: 'system:serviceaccount:flux-system:helm-controller',
          groups: ['system:serviceaccounts', 'system:authenticated'],
        }),
        actionMs: 5,
        sourceMs: 20,
        retryMs: 100,
        valuesFaults,
        repositoryFault: (name) => (away.has(name) ? noIndex : undefined),
        onFailure,
      }),
    ];
    for (const part of parts) cleanUps.push(() => part.close());
    flux = {
      cluster,
      send,
      watch: (namespace, changed) =>
        client.watch('helmreleases', { namespace }, (_type, object) => changed(object)),
      async repository() {
        repositories += 1;
        const name = `flux-system/charts-${repositories}`;
        return { name, answers: (yes) => void (yes ? away.delete(name) : away.add(name)) };
      },
      uninstall: (namespace, release) =>
        uninstallRelease(client, { name: 'jupyterhub', namespace }, release, namespace),
      logs: () => failures.slice(-10).join('\n'),
    };
  });
  after(async () => {
    for (const cleanUp of cleanUps.toReversed()) await cleanUp();
  });

  notebookOnFlux(() => flux);
});
