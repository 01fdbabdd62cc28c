/** How a platform’s hubs differ from plain Zero to JupyterHub ones. Left out: they do not. */
export interface HubConventions {
  /** The label of a namespace that says below which path its hub is served. Default: below the namespace’s name. */
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
}
