/** An image that a registry did not have when it was checked. `missingSince` is an instant; null while it exists. */
export interface Absence {
  /** When it was first found missing (ISO 8601 UTC); null while it exists. */
  readonly missingSince: string | null;
  /** It was missing twice, at least ten minutes apart, and not found in between. */
  readonly missing: boolean;
}
