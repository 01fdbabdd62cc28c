import Type from 'typebox';
import { Value } from 'typebox/value';
import { Unavailable } from '../ports/unavailable.ts';

/** The endpoint of a control plane; `caData` (PEM in base64) only without a publicly trusted certificate. */
export interface ControlPlane {
  readonly server: string;
  readonly caData?: string;
}

/** How to access a GKE cluster: its location, and the identity of this service. */
export interface Gke {
  controlPlane(signal: AbortSignal): Promise<ControlPlane>;
  /** A Google access token, renewed before it expires. */
  token(): Promise<string>;
}

const ClusterAnswer = Type.Object({
  endpoint: Type.Optional(Type.String()),
  masterAuth: Type.Optional(Type.Object({ clusterCaCertificate: Type.Optional(Type.String()) })),
  controlPlaneEndpointsConfig: Type.Optional(
    Type.Object({
      dnsEndpointConfig: Type.Optional(
        Type.Object({
          endpoint: Type.Optional(Type.String()),
          allowExternalTraffic: Type.Optional(Type.Boolean()),
        }),
      ),
    }),
  ),
});

const fields = 'endpoint,masterAuth.clusterCaCertificate,controlPlaneEndpointsConfig.dnsEndpointConfig';

const controlPlaneOf = (answer: unknown): ControlPlane => {
  if (!Value.Check(ClusterAnswer, answer)) {
    throw new Unavailable('GKE', 'The GKE API returned an invalid answer.');
  }
  const dns = answer.controlPlaneEndpointsConfig?.dnsEndpointConfig;
  if (dns?.endpoint !== undefined && dns.endpoint !== '' && dns.allowExternalTraffic === true) {
    return { server: `https://${dns.endpoint}` };
  }
  const caData = answer.masterAuth?.clusterCaCertificate;
  if (answer.endpoint === undefined || answer.endpoint === '' || caData === undefined) {
    throw new Unavailable('GKE', 'The GKE API names no usable endpoint for the cluster.');
  }
  return { server: `https://${answer.endpoint}`, caData };
};

const applicationDefaultToken = () => {
  let auth: Promise<{ getAccessToken(): Promise<string | null | undefined> }> | undefined;
  return async () => {
    auth ??= import('google-auth-library').then(
      ({ GoogleAuth }) => new GoogleAuth({ scopes: ['https://www.googleapis.com/auth/cloud-platform'] }),
    );
    return (await (await auth).getAccessToken()) ?? undefined;
  };
};

/**
 * The cluster `projects/…/locations/…/clusters/…`. Its DNS endpoint is preferred where traffic from outside
 * the VPC may use it (public TLS, no network path to keep open), else the IP endpoint with the cluster’s own
 * authority. Throws Unavailable when Google does not answer.
 */
export const openGke = (
  name: string,
  {
    accessToken = applicationDefaultToken(),
    api = 'https://container.googleapis.com',
  }: { accessToken?: () => Promise<string | undefined>; api?: string } = {},
): Gke => {
  const token = async () => {
    const value = await accessToken();
    if (value === undefined || value === '') {
      throw new Unavailable('Google', 'Google gave no access token for this service’s identity.');
    }
    return value;
  };
  return {
    token,
    async controlPlane(signal) {
      const response = await fetch(`${api}/v1/${name}?fields=${encodeURIComponent(fields)}`, {
        headers: { authorization: `Bearer ${await token()}` },
        redirect: 'error',
        signal,
      }).catch((cause: unknown) => {
        if (cause instanceof Unavailable) throw cause;
        throw new Unavailable('GKE', 'The GKE API cannot be reached.', { cause });
      });
      if (!response.ok) {
        await response.body?.cancel();
        throw new Unavailable('GKE', `The GKE API answered ${response.status} when asked for the cluster.`);
      }
      return controlPlaneOf(await response.json().catch(() => undefined));
    },
  };
};
