import type { Catalogue } from '../model/catalogue.ts';
import type { Change } from '../model/change.ts';
import type { HistoryEvent } from '../model/history.ts';
import type { Membership } from '../model/me.ts';
import { deriveNames, type Naming, type TeamIdentity, type TeamNames } from '../model/names.ts';
import type { NotebookOrder } from '../model/notebook.ts';
import { complete } from '../model/notebook-fields.ts';
import type { NotebookRecord, TeamRecord } from '../model/record.ts';
import type { Member } from '../model/team.ts';
import { unlimited } from '../model/team-quota.ts';

/** A notebook as any version may have stored it: fields that were added since may be absent from its configuration. */
export type StoredNotebookRecord = Omit<NotebookRecord, 'spec' | 'imageGeneration'> &
  Partial<Pick<NotebookRecord, 'imageGeneration'>> & { readonly spec: NotebookOrder };

/** A member as any version may have stored it. */
export type StoredMember = Omit<Member, 'role'> & Partial<Pick<Member, 'role'>>;

/** A team’s record as any version of this product may have stored it: what was added since the first may be absent. */
export type StoredTeamRecord = Omit<
  TeamRecord,
  'members' | 'notebook' | 'names' | 'quota' | 'culling' | 'egressHosts'
> &
  Partial<Pick<TeamRecord, 'names' | 'quota' | 'culling' | 'egressHosts'>> & {
    readonly members: readonly StoredMember[];
    readonly notebook: StoredNotebookRecord | null;
  };

/** Before there were roles, every member could do everything; none of them loses it. */
export const upgradedMember = (stored: StoredMember): Member => ({ ...stored, role: stored.role ?? 'owner' });

/** What a person is in a team with these stored members; empty if no member. */
export const membershipIn = (slug: string, members: readonly StoredMember[], email: string): Membership[] =>
  members
    .filter((member) => member.email === email)
    .map((member) => ({ slug, role: upgradedMember(member).role }));

/** The team’s names; for a team that was stored without any, those that it has had since it was created. */
export const namesIn = (
  { slug, id, names }: TeamIdentity & { readonly names?: TeamNames },
  naming: Naming,
): TeamNames => names ?? deriveNames({ slug, id }, naming);

/**
 * Earlier versions neither recorded when the image was ordered nor dated a member’s choice of profile. An undated choice
 * counts as generation 0, so an image that was ordered then takes precedence over every choice that was made then.
 */
const upgradedNotebook = (stored: StoredNotebookRecord): NotebookRecord => ({
  ...stored,
  spec: complete(stored.spec),
  imageGeneration: stored.imageGeneration ?? (stored.image === null ? 0 : 1),
});

/**
 * The record in this version’s form. A store completes each record on reading, and the next write of the team stores
 * it; until then the team is in no index over an added field. The hub of a notebook becomes due for culling when the
 * team is due, and every reconcile of a team writes the record.
 */
export const upgraded = (stored: StoredTeamRecord, naming: Naming): TeamRecord => ({
  ...stored,
  names: namesIn(stored, naming),
  members: stored.members.map(upgradedMember),
  notebook: stored.notebook && upgradedNotebook(stored.notebook),
  quota: stored.quota ?? unlimited,
  culling: stored.culling ?? { dueAt: stored.notebook && stored.reconcile.dueAt, servers: {} },
  egressHosts: stored.egressHosts ?? [],
});

/** A history entry as any version may have stored it: the pointer of a change was called `path`. */
export type StoredEvent = Omit<HistoryEvent, 'changes' | 'spec'> & {
  readonly changes: readonly (Change | (Omit<Change, 'pointer'> & { readonly path: string }))[];
  readonly spec?: NotebookOrder;
};

/** The same for a history entry, whose configuration may be older still. */
export const upgradedEvent = <T extends StoredEvent>(
  stored: T,
): Omit<T, 'changes' | 'spec'> & Pick<HistoryEvent, 'changes' | 'spec'> => {
  const { changes, spec, ...event } = stored;
  return {
    ...event,
    changes: changes.map((change) => {
      if ('pointer' in change) return change;
      const { path: pointer, ...values } = change;
      return { pointer, ...values };
    }),
    ...(spec === undefined ? {} : { spec: complete(spec) }),
  };
};

/** The catalogue, whose Python versions had the upstream spelling `end-of-life`. */
export const upgradedCatalogue = (stored: Catalogue): Catalogue => ({
  ...stored,
  pythonVersions: stored.pythonVersions.map(({ status, ...version }) => ({
    ...version,
    status: String(status) === 'end-of-life' ? 'end_of_life' : status,
  })),
});
