import type { AllowlistEntry } from '../model/allowlist.ts';
import type { TeamRecord } from '../model/record.ts';
import { isRestricted } from '../teams/lifecycle.ts';
import { type EntryOptions, parseAllowlist } from './entry.ts';
import { byText, type EgressSettings } from './policy.ts';

/** The operator’s settings for allowlists and for the policies compiled from them. */
export interface EgressConfig {
  readonly settings: EgressSettings;
  readonly entries: EntryOptions;
}

/** Notebooks read their secrets from it; its addresses show whether the baseline still covers Google APIs. */
export const googleApi = 'secretmanager.googleapis.com';

/** The host names of these entries that have to be resolved: those that the operator has not mapped. */
export function namesIn(entries: readonly AllowlistEntry[], settings: EgressSettings): readonly string[] {
  const names = entries.flatMap(({ kind, host }) =>
    kind === 'name' && !settings.hostMap.has(host) ? [host] : [],
  );
  return [...new Set(names)].sort(byText);
}

/** The host names that are resolved for a team; none for a team that has not opted in. */
export function namesOf(team: TeamRecord, { settings, entries: options }: EgressConfig): readonly string[] {
  if (team.notebook === null || !isRestricted(team)) return [];
  const { entries } = parseAllowlist(team.notebook.spec.allowlist.hosts, options);
  const google = settings.googleApis === 'resolve' ? settings.googleApiHosts : [googleApi];
  return [...new Set([...namesIn(entries, settings), ...google])].toSorted();
}
