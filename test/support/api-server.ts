import {
  type ApiServer,
  startApiServer as startRealApiServer,
} from '@knada/simulators/real/kube-apiserver.ts';
import { sharedFile } from './shared.ts';

/** Users with a token of their own: the product’s account, and two people. */
export const users = [
  'knada-notebooks@knada.iam.gserviceaccount.com',
  'kari.nordmann@nav.no',
  'ola.nordmann@nav.no',
] as const;

/** The real API server with the kinds of Flux and the users above. */
export const startApiServer = (): Promise<ApiServer> =>
  startRealApiServer({ users, definitions: sharedFile('data/crds/') });
