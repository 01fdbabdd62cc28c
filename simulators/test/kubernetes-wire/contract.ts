import { after, before } from 'node:test';
import { admissionPolicies } from './admission-policies.ts';
import { type WireServer, wireClient } from './client.ts';
import { discovery } from './discovery.ts';
import { helmReleases } from './helm-releases.ts';
import { listsAndWatches } from './lists-and-watches.ts';
import { networkPolicies } from './network-policies.ts';
import { objects } from './objects.ts';
import { ownersAndNamespaces } from './owners-and-namespaces.ts';
import { patches } from './patches.ts';
import { podsAndClaims } from './pods-and-claims.ts';
import { serverSideApply } from './server-side-apply.ts';

/**
 * What the Kubernetes API promises to an HTTP client. The same contract runs on the real kube-apiserver and on the
 * simulator, so what works against one works against the other.
 */
export const kubernetesWire = (open: () => Promise<WireServer>): void => {
  let server: WireServer;
  before(async () => {
    server = await open();
  });
  after(() => server.close());
  const client = wireClient(() => server);

  discovery(client);
  objects(client);
  listsAndWatches(client);
  patches(client);
  serverSideApply(client);
  helmReleases(client);
  networkPolicies(client);
  ownersAndNamespaces(client);
  podsAndClaims(client);
  admissionPolicies(client);
};
