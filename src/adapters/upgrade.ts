import type { HistoryEvent } from '../model/history.ts';
import { deriveNames, type Naming, type TeamIdentity, type TeamNames } from '../model/names.ts';
import type { NotebookOrder } from '../model/notebook.ts';
import { complete } from '../model/notebook-fields.ts';
import type { NotebookRecord, TeamRecord } from '../model/record.ts';

/** A notebook as any version may have stored it: fields that were added since may be absent from its configuration. */
export type StoredNotebookRecord = Omit<NotebookRecord, 'spec'> & { readonly spec: NotebookOrder };

/** A team’s record as any version of this product may have stored it: what was added since the first may be absent. */
export type StoredTeamRecord = Omit<TeamRecord, 'notebook' | 'names' | 'culling' | 'egressHosts'> &
  Partial<Pick<TeamRecord, 'names' | 'culling' | 'egressHosts'>> & {
    readonly notebook: StoredNotebookRecord | null;
  };

/** The team’s names; for a team that was stored without any, those that it has had since it was created. */
export const namesIn = (
  { slug, id, names }: TeamIdentity & { readonly names?: TeamNames },
  naming: Naming,
): TeamNames => names ?? deriveNames({ slug, id }, naming);

/**
 * The record in this version’s form. A store completes each record on reading, and the next write of the team stores
 * it; until then the team is in no index over an added field. The hub of a notebook becomes due for culling when the
 * team is due, and every reconcile of a team writes the record.
 */
export const upgraded = (stored: StoredTeamRecord, naming: Naming): TeamRecord => ({
  ...stored,
  names: namesIn(stored, naming),
  notebook: stored.notebook && { ...stored.notebook, spec: complete(stored.notebook.spec) },
  culling: stored.culling ?? { dueAt: stored.notebook && stored.reconcile.dueAt, servers: {} },
  egressHosts: stored.egressHosts ?? [],
});

/** The same for a history entry, whose configuration may be older still. */
export const upgradedEvent = <T extends Pick<HistoryEvent, 'spec'>>(stored: T): T =>
  stored.spec === undefined ? stored : { ...stored, spec: complete(stored.spec) };
