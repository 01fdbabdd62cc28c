import { garHostOf, ghcrHost } from '../lib/oci.ts';

/**
 * The endpoints of the registries. The hosts are a fixed set: user input can only select one of them. Tests and the
 * sandbox can set another origin for each.
 */
export interface Endpoints {
  readonly ghcr: Host;
  /** The OCI endpoint of Google Artifact Registry in one region. */
  readonly gar: Host;
  readonly garApi: Host;
  readonly quay: Host;
  readonly python: Host;
}

export interface Host {
  /** As in an image reference. */
  readonly name: string;
  /** Scheme, host and port to connect to. */
  readonly origin: string;
}

/** Origins by host name, as `REGISTRY_ENDPOINTS` gives them. */
export type Origins = Readonly<Record<string, string>>;

const namesIn = (garRegion: string) => ({
  ghcr: ghcrHost,
  gar: garHostOf(garRegion),
  garApi: 'artifactregistry.googleapis.com',
  quay: 'quay.io',
  python: 'peps.python.org',
});

const originForm = /^https?:\/\/[a-z0-9.-]+(:[0-9]+)?$/i;

/** The faults of `REGISTRY_ENDPOINTS`, one sentence each: unknown hosts, and values that are not origins. */
export const endpointFaults = (garRegion: string, origins: Origins): readonly string[] => {
  const known: readonly string[] = Object.values(namesIn(garRegion));
  return Object.entries(origins).flatMap(([host, origin]) => [
    ...(known.includes(host) ? [] : [`${host} is not one of ${known.join(', ')}`]),
    ...(originForm.test(origin) ? [] : [`${host} needs an origin such as http://127.0.0.1:8083`]),
  ]);
};

/** The endpoints of a region. Throws when `endpointFaults` finds a fault. */
export const endpointsOf = (garRegion: string, origins: Origins = {}): Endpoints => {
  const [fault] = endpointFaults(garRegion, origins);
  if (fault !== undefined) throw new TypeError(fault);
  const host = (name: string): Host => ({
    name,
    origin: (Object.hasOwn(origins, name) ? origins[name] : undefined) ?? `https://${name}`,
  });
  const { ghcr, gar, garApi, quay, python } = namesIn(garRegion);
  return { ghcr: host(ghcr), gar: host(gar), garApi: host(garApi), quay: host(quay), python: host(python) };
};
