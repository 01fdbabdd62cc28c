/** CustomResourceDefinitions as Flux publishes them; the suites that need them skip where the folder is absent. */
export const definitions = new URL('../../../shared/data/crds/', import.meta.url);
