import type { Config } from '../config.ts';
import { shippedCatalogue } from '../environments/catalogue.ts';
import type { ImagePolicy } from '../images/reference.ts';
import { resolveImage } from '../images/resolve.ts';
import { isoOf } from '../lib/time.ts';
import type { Catalogue } from '../model/catalogue.ts';
import type { NotebookImage } from '../model/notebook.ts';
import type { TeamRecord } from '../model/record.ts';
import type { Outside } from '../ports/outside.ts';

const registryDeadlineMs = 10_000;

/** Which images may run: the platform’s environments and the teams’ own. */
export interface Images {
  readonly policyFor: (garTeam: string | null) => ImagePolicy;
  readonly catalogue: () => Promise<Catalogue>;
  readonly pin: (image: string, team: Pick<TeamRecord, 'garTeam'>) => Promise<NotebookImage>;
}

export const wireImages = (config: Config, { store, registries, clock }: Outside): Images => {
  const policyFor = (garTeam: string | null): ImagePolicy => ({
    ghcrOwner: config.images.ghcrOwner,
    garRegion: config.region,
    garProject: config.images.garProject,
    garTeam,
  });
  return {
    policyFor,
    catalogue: async () => (await store.catalogue()) ?? shippedCatalogue(config.standardImages, clock.now()),
    async pin(image, { garTeam }) {
      const now = clock.now();
      const asked = { registries, policy: policyFor(garTeam), now };
      const { reference, digest } = await resolveImage(asked, image, AbortSignal.timeout(registryDeadlineMs));
      return { reference, digest, resolvedAt: isoOf(now), newerDigest: null };
    },
  };
};
