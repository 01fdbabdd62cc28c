import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, describe } from 'node:test';
import { promisify } from 'node:util';
import { absent, forFlux, startFlux } from '@knada/simulators/real/flux.ts';
import {
  type ApiServer,
  absent as apiServerIsAbsent,
  startApiServer,
} from '@knada/simulators/real/kube-apiserver.ts';
import { openCluster } from '../../src/adapters/kubernetes.ts';
import { users } from '../support/api-server.ts';
import { enforcePolicies } from '../support/cluster-files.ts';
import { asDeployed, sender } from '../support/rbac.ts';
import { serveCharts } from './chart-repository.ts';
import { notebookOnFlux } from './contract.ts';
import type { FluxUnderTest } from './notebook.ts';

/** Passes each object of a watch on, until the signal. */
const watchObjects = async (
  server: ApiServer,
  path: string,
  signal: AbortSignal,
  changed: (object: unknown) => void,
): Promise<void> => {
  const { body } = await server.fetch(`${path}?watch=true`, { signal });
  if (body === null) return;
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n')) {
      const event: { type: string; object: unknown } = JSON.parse(text.slice(0, end));
      text = text.slice(end + 1);
      if (event.type !== 'ERROR') changed(event.object);
    }
  }
};

const skip = (await apiServerIsAbsent()) || absent();

describe('a notebook on Flux: the real controllers, with our RBAC', { skip, concurrency: 16 }, () => {
  let flux: FluxUnderTest;
  const cleanUps: (() => Promise<unknown>)[] = [];

  before(async () => {
    const server = await startApiServer({ users, ...forFlux() });
    cleanUps.push(() => server.close());
    const send = sender(server);
    const running = await startFlux(server);
    cleanUps.push(() => running.close());
    await enforcePolicies(send);
    const access = await asDeployed({ after: (cleanUp) => void cleanUps.push(cleanUp) }, server);
    const cluster = openCluster(access);
    cleanUps.push(() => cluster.close());
    const charts = await serveCharts(running.helm.program, ['4.4.0', '4.4.1']);
    cleanUps.push(() => charts.close());
    let repositories = 0;
    flux = {
      cluster,
      send,
      watch(namespace, changed) {
        const stop = new AbortController();
        const path = `/apis/helm.toolkit.fluxcd.io/v2/namespaces/${namespace}/helmreleases`;
        watchObjects(server, path, stop.signal, changed).catch((error: unknown) => {
          if (!stop.signal.aborted) throw error;
        });
        return () => stop.abort();
      },
      async repository() {
        repositories += 1;
        const name = `charts-${repositories}`;
        const path = '/apis/source.toolkit.fluxcd.io/v1/namespaces/flux-system/helmrepositories';
        const { code, body } = await send('POST', path, {
          apiVersion: 'source.toolkit.fluxcd.io/v1',
          kind: 'HelmRepository',
          metadata: { name },
          spec: { url: charts.urlOf(name), interval: '1h', timeout: '10s' },
        });
        assert.equal(code, 201, JSON.stringify(body));
        return { name: `flux-system/${name}`, answers: (yes) => charts.answers(name, yes) };
      },
      async uninstall(namespace, release) {
        const env = { ...process.env, ...running.helm.env };
        await promisify(execFile)(running.helm.program, ['uninstall', release, '--namespace', namespace], {
          env,
        });
      },
      logs: () =>
        Object.entries(running.logs())
          .map(([name, text]) => `${name}\n${text}`)
          .join('\n'),
    };
  });
  after(async () => {
    for (const cleanUp of cleanUps.toReversed()) await cleanUp();
  });

  notebookOnFlux(() => flux);
});
