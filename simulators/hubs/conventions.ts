/** How a platform’s hubs differ from a plain Zero to JupyterHub installation. Each option left out means no difference. */
export interface HubConventions {
  /** The namespace label whose value is the path of the hub. Default: the path is the namespace’s name. */
  readonly slugLabel?: string;
  /** The hubs read KubeSpawner profiles from files. Default: every start uses the chart’s values alone. */
  readonly profiles?: ProfileConvention;
}

export interface ProfileConvention {
  /** The key below `hub.extraConfig` whose code reads them; a hub without it reads none. */
  readonly extraConfig: string;
  /** Where the hub has the ConfigMap with `revision` and `profiles.json` mounted. */
  readonly folder: string;
  /** The user option of a start that names the lowest revision it may use. */
  readonly revisionOption: string;
  /** The user option that names the revision at which the profile was chosen; the hub stores it with the profile. */
  readonly chosenAtOption: string;
  /** The file with the revision before which a choice counts no longer; 0 without it. */
  readonly choicesFromFile: string;
}
