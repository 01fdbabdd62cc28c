/** Something that a registry did not have when we looked. `since` is an instant; null while it is there. */
export interface Absence {
  readonly missingSince: string | null;
  /** It was not there twice, at least ten minutes apart, and never in between. */
  readonly missing: boolean;
}
