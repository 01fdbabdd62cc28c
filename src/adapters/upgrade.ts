import type { TeamRecord } from '../model/record.ts';

/** A team’s record as any version of this product may have stored it: what was added since the first may be absent. */
export type StoredTeamRecord = Omit<TeamRecord, 'culling' | 'egressHosts'> &
  Partial<Pick<TeamRecord, 'culling' | 'egressHosts'>>;

/**
 * The record as this version knows it. A store completes what it reads, and the next write of the team keeps it; until
 * then the team is in none of the indexes over what it lacked. The hub of a notebook is due for culling when the team
 * is due anyway, and every look at a team writes it.
 */
export const upgraded = (stored: StoredTeamRecord): TeamRecord => ({
  ...stored,
  culling: stored.culling ?? { dueAt: stored.notebook && stored.reconcile.dueAt, servers: {} },
  egressHosts: stored.egressHosts ?? [],
});
