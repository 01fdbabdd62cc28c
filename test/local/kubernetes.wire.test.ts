import { describe } from 'node:test';
import { fetch } from 'undici';
import { startKubernetes } from '../../local/kubernetes/server.ts';
import { kubernetesWire } from '../contracts/kubernetes-wire.ts';
import { absent, startApiServer } from '../support/kube-apiserver.ts';

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
  kubernetesWire(startApiServer);
});
