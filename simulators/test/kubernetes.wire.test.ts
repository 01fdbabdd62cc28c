import { describe } from 'node:test';
import { fetch } from 'undici';
import { startKubernetes } from '../kubernetes/server.ts';
import { absent, startApiServer } from '../real/kube-apiserver.ts';
import { definitions } from './definitions.ts';
import { kubernetesWire } from './kubernetes-wire/contract.ts';

describe('the Kubernetes API: the simulator', () => {
  kubernetesWire(async () => {
    const kubernetes = await startKubernetes();
    return {
      fetch: (path, init) => fetch(`${kubernetes.url}${path}`, init),
      customResources: ['helmreleases'],
      close: () => kubernetes.close(),
    };
  });
});

describe('the Kubernetes API: the real server', { skip: await absent() }, () => {
  kubernetesWire(() => startApiServer({ definitions }));
});
