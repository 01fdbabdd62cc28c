/** Whether a registry was found to lack something. */
export interface Absence {
  /** When it was first found missing (ISO 8601 UTC); null while it exists. */
  readonly missingSince: string | null;
  /** It was missing in two checks at least ten minutes apart, and found in none between them. */
  readonly missing: boolean;
}
