import type { Config } from '../config.ts';
import { knownAddresses } from '../egress/addresses.ts';
import { namesOf } from '../egress/hosts.ts';
import type { LiveEgress } from '../egress/live-egress.ts';
import type { Environment } from '../model/environment.ts';
import type { NamedTeam } from '../model/names.ts';
import type { TeamRecord } from '../model/record.ts';
import { platformHash, releaseSpec } from '../notebooks/desired.ts';
import type { ProfileEnvironment } from '../notebooks/profiles.ts';
import type { Platform } from '../notebooks/values.ts';
import type { Manifest } from '../ports/cluster.ts';
import type { Outside } from '../ports/outside.ts';
import { renderWith } from '../reconcile/render.ts';
import type { Egress } from './egress.ts';
import type { Images } from './images.ts';

/** A team’s notebook as objects of the cluster. */
export interface Notebooks {
  readonly platformHash: string;
  readonly releaseSpec: (team: NamedTeam) => ReturnType<typeof releaseSpec>;
  /** With what is known of the cluster. */
  readonly renderLive: (team: TeamRecord, live: LiveEgress) => Promise<readonly Manifest[]>;
  /** The standard environments that members can choose. */
  readonly environments: () => Promise<readonly ProfileEnvironment[]>;
  /** As while a notebook runs: everything that the team may get. */
  readonly render: (team: TeamRecord) => Promise<readonly Manifest[]>;
}

/** What is the same for every team. */
export const platformOf = ({ hub, limits }: Config): Platform => ({
  chartVersion: hub.chartVersion,
  helmRepository: hub.helmRepository,
  keyId: hub.masterKeys[0]?.id ?? '',
  values: hub.values,
  backstop: { timeoutSeconds: limits.timeoutMaxSeconds, maxAgeSeconds: limits.maxAgeMaxSeconds },
});

/** An environment as a profile needs it: with the drivers that it includes. */
const profileEnvironment = ({ python, image, digest, drivers, default: isDefault }: Environment) => ({
  python,
  image,
  digest,
  drivers: drivers.flatMap(({ name, included, version }) =>
    included ? [version === undefined ? name : `${name} ${version}`] : [],
  ),
  default: isDefault,
});

export const wireNotebooks = (
  config: Config,
  { store }: Outside,
  { egress, images }: { readonly egress: Egress; readonly images: Images },
): Notebooks => {
  const platform = platformOf(config);
  const environments = async () => (await images.catalogue()).items.map(profileEnvironment);
  const renderLive = async (team: TeamRecord, live: LiveEgress) =>
    renderWith({
      masterKeys: config.hub.masterKeys,
      environments: team.notebook === null ? [] : await environments(),
      egress: { settings: await egress.currentSettings(), entries: egress.entries },
    })(team, live);
  return {
    platformHash: platformHash(platform),
    releaseSpec: (team) => releaseSpec(team, platform),
    environments,
    renderLive,
    async render(team) {
      const addresses = await knownAddresses(store, namesOf(team, egress));
      return renderLive(team, { addresses, podsAlive: true, owners: [] });
    },
  };
};
