import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startDeployments } from '@knada/simulators/cluster/deployments.ts';
import { startKubelet } from '@knada/simulators/cluster/kubelet.ts';
import { startDns } from '@knada/simulators/dns/server.ts';
import { startGoogle } from '@knada/simulators/google/server.ts';
import { startHelmController } from '@knada/simulators/helm-controller/controller.ts';
import { startHubs } from '@knada/simulators/hubs/server.ts';
import { startIssuer } from '@knada/simulators/issuer/server.ts';
import { startKubernetes } from '@knada/simulators/kubernetes/server.ts';
import { startRegistries } from '@knada/simulators/registries/server.ts';
import { audience, hubConventions, registryContent } from '../../local/conventions.ts';
import { openData } from '../../local/data.ts';
import { environmentOf, googleProject } from '../../local/environment.ts';
import { installPlatform } from '../../local/platform.ts';
import { freeBase, portOf } from '../../local/ports.ts';

/** The simulators, and the environment of the processes that will be killed. The simulators survive. */
export const startWorld = async () => {
  const folder = await mkdtemp(join(tmpdir(), 'knada-kills-'));
  const base = await freeBase();
  const data = openData(folder, { fresh: true });
  const onFailure = (): void => {};
  const issuer = await startIssuer({ port: portOf('issuer', base), audience });
  const registries = await startRegistries({ ...registryContent, port: portOf('registries', base) });
  const kubernetes = await startKubernetes({ port: portOf('kubernetes', base) });
  await installPlatform(kubernetes.client('platform'), {
    PROJECT_ID: googleProject,
    ADMISSION_URL: `http://127.0.0.1:${portOf('functions', base)}/admission/${data.admissionSecret}`,
  });
  const client = kubernetes.client('test');
  const flux = kubernetes.client('helm-controller', {
    username: 'system:serviceaccount:flux-system:helm-controller',
    groups: ['system:serviceaccounts', 'system:serviceaccounts:flux-system', 'system:authenticated'],
  });
  const controllers = [
    startKubelet({ client, pullable: (image) => registries.pullable(image), onFailure }),
    startDeployments({ client, onFailure }),
    startHelmController({ client: flux, onFailure }),
  ];
  const hubs = await startHubs({
    port: portOf('hubs', base),
    client: kubernetes.client('hub'),
    conventions: hubConventions,
    onFailure,
  });
  const dns = await startDns({ port: portOf('dns', base) });
  const google = await startGoogle({ port: portOf('google', base), project: googleProject });
  const storeFile = data.path('store.sqlite');
  const environment: Readonly<Record<string, string>> = {
    ...environmentOf({
      port: base,
      storeFile,
      hubMasterKeys: data.hubMasterKeys,
      admissionSecret: data.admissionSecret,
      issuer: issuer.url,
      kubeconfig: false,
      given: { LOG_LEVEL: 'fatal', MAX_TEAMS_PER_PERSON: '100000' },
    }),
    NODE_ENV: 'production',
  };
  return {
    folder,
    base,
    client,
    google,
    issuer,
    storeFile,
    environment,
    hubMasterKeys: data.hubMasterKeys,
    hubUrlTemplate: environment.HUB_API_URL_TEMPLATE ?? '',
    async close() {
      await hubs.close();
      for (const controller of controllers.toReversed()) await controller.close();
      await kubernetes.close();
      for (const part of [google, dns, registries, issuer]) await part.close();
      data.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
};

export type World = Awaited<ReturnType<typeof startWorld>>;
