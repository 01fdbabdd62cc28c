import { isoOf } from '../lib/time.ts';
import type { Absence } from '../model/absence.ts';

/** How long something has to be gone before it counts: a registry that is being repaired says 404 too. */
const CONFIRM_MS = 10 * 60_000;

export const present: Absence = { missingSince: null, missing: false };

/** What is known after the registry said once more that it is not there; `now` in epoch milliseconds. */
export const notThere = ({ missingSince, missing }: Absence, now: number): Absence => {
  if (missingSince === null) return { missingSince: isoOf(now), missing: false };
  return { missingSince, missing: missing || now - Date.parse(missingSince) >= CONFIRM_MS };
};
