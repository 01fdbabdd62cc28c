import type { TeamRecord } from './record.ts';

/** A team’s record as any version of this product may have stored it: what was added since the first may be absent. */
export type StoredTeamRecord = Omit<TeamRecord, 'culling' | 'egressHosts'> &
  Partial<Pick<TeamRecord, 'culling' | 'egressHosts'>>;

/**
 * The record as this version knows it. A store completes what it reads, and writes the rest with the next change;
 * until then the team is in none of the indexes over what it lacked.
 */
export const upgraded = (stored: StoredTeamRecord): TeamRecord => ({
  ...stored,
  culling: stored.culling ?? { dueAt: null, servers: {} },
  egressHosts: stored.egressHosts ?? [],
});
