import type { HubConventions } from '@knada/simulators/hubs/conventions.ts';
import { profilesFolder } from '../src/notebooks/hub-config.ts';

/** How this product’s hubs differ from plain Zero to JupyterHub ones. */
export const hubConventions: HubConventions = {
  slugLabel: 'knada.io/team',
  profiles: {
    extraConfig: 'knada-notebooks',
    folder: profilesFolder,
    revisionOption: 'knada_revision',
    chosenAtOption: 'knada_chosen_at',
    choicesFromFile: 'image-revision',
  },
};

/** The repositories that the simulated registries start with. */
export const registryContent = {
  owner: 'navikt',
  garProject: 'nais-management-233d',
  standardRepository: 'knada-images/jupyter',
} as const;

/** The audience of the tokens that the API accepts. */
export const audience = 'knada-notebooks';
