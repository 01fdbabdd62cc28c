/**
 * Where the registries answer. The hosts are a fixed set: whatever a caller writes can only pick one of them. For
 * tests and the sandbox each may be given another origin.
 */
export interface Endpoints {
  readonly ghcr: Host;
  /** Docker’s protocol of Google Artifact Registry, in one region. */
  readonly gar: Host;
  readonly garApi: Host;
  readonly quay: Host;
  readonly python: Host;
}

export interface Host {
  /** As it stands in an image reference. */
  readonly name: string;
  /** Where we connect: scheme, host and port. */
  readonly origin: string;
}

/** Origins by host name, as `REGISTRY_ENDPOINTS` gives them. */
export type Origins = Readonly<Record<string, string>>;

const namesIn = (garRegion: string) => ({
  ghcr: 'ghcr.io',
  gar: `${garRegion.toLowerCase()}-docker.pkg.dev`,
  garApi: 'artifactregistry.googleapis.com',
  quay: 'quay.io',
  python: 'peps.python.org',
});

const originForm = /^https?:\/\/[a-z0-9.-]+(:[0-9]+)?$/i;

/** What is wrong with `REGISTRY_ENDPOINTS`, a sentence each: only known hosts, only origins. */
export const endpointFaults = (garRegion: string, origins: Origins): readonly string[] => {
  const known: readonly string[] = Object.values(namesIn(garRegion));
  return Object.entries(origins).flatMap(([host, origin]) => [
    ...(known.includes(host) ? [] : [`${host} is none of ${known.join(', ')}`]),
    ...(originForm.test(origin) ? [] : [`${host} needs an origin such as http://127.0.0.1:8083`]),
  ]);
};

/** The endpoints of a region. Throws when an origin is given that `endpointFaults` objects to. */
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
