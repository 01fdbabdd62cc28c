import { isoOf } from '../lib/time.ts';
import type { Absence } from '../model/absence.ts';

/** How long an image has to be missing before it counts: a registry under repair answers 404 too. */
const CONFIRM_MS = 10 * 60_000;

export const present: Absence = { missingSince: null, missing: false };

/** The absence after the registry has answered 404 once more; `now` in epoch milliseconds. */
export const notThere = ({ missingSince, missing }: Absence, now: number): Absence => {
  if (missingSince === null) return { missingSince: isoOf(now), missing: false };
  return { missingSince, missing: missing || now - Date.parse(missingSince) >= CONFIRM_MS };
};
