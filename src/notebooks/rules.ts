import { isDeepStrictEqual } from 'node:util';
import { present } from '../images/absence.ts';
import { mebibytes } from '../lib/quantity.ts';
import type { Absence } from '../model/absence.ts';
import type { Notebook, NotebookImage, NotebookSpec } from '../model/notebook.ts';
import { Problem } from '../model/problems.ts';
import type { NotebookDeletion, NotebookRecord, Release, TeamRecord } from '../model/record.ts';
import type { Decision } from '../ports/store.ts';
import { type Actor, assertStays, bumpGeneration } from '../teams/rules.ts';
import { planChange } from './plan.ts';

/** What a new configuration needs in addition to its spec. */
export interface Ordering {
  readonly spec: NotebookSpec;
  /** The image as resolved; null exactly when the spec names none. */
  readonly image: NotebookImage | null;
  /** The release of a team that has none yet. */
  readonly release: Release;
}

const assertGrows = (from: NotebookSpec, to: NotebookSpec): void => {
  if (mebibytes(to.storage.home) < mebibytes(from.storage.home)) {
    throw new Problem('cannot_shrink', {
      detail: `The home volumes have ${from.storage.home}; they can grow but not shrink to ${to.storage.home}.`,
      errors: [
        { pointer: '/storage/home', code: 'cannot_shrink', message: `Must be ${from.storage.home} or more.` },
      ],
    });
  }
};

/** Throws Problem `deleting` while the notebook or its team is being deleted. */
export const assertNotebookStays = (team: TeamRecord): void => {
  assertStays(team);
  if (team.notebook?.deletion) {
    throw new Problem('deleting', {
      detail: 'The notebook is being deleted; order it again once it is gone.',
    });
  }
};

/** The image that the notebook has pinned, when the configuration names the same one. A pinned digest is kept. */
export const pinnedImage = ({ notebook }: TeamRecord, spec: NotebookSpec): NotebookImage | null =>
  notebook !== null && notebook.spec.image === spec.image ? notebook.image : null;

/**
 * The team with this configuration ordered. Undefined when nothing would change, so nothing is written. Throws Problem
 * `deleting` or `cannot_shrink`.
 */
export const orderNotebook = (
  team: TeamRecord,
  { spec, image, release }: Ordering,
  act: Actor,
  action: 'notebook_ordered' | 'notebook_changed' | 'notebook_restored',
): Decision | undefined => {
  assertNotebookStays(team);
  const before = team.notebook;
  if (before !== null) assertGrows(before.spec, spec);
  const changes = planChange(before?.spec ?? null, spec).changes;
  if (before !== null && changes.length === 0 && before.image?.digest === image?.digest) return undefined;
  const notebook: NotebookRecord = {
    spec,
    image,
    createdAt: before?.createdAt ?? act.now,
    updatedAt: act.now,
    updatedBy: act.by,
    deletion: null,
    retry: before?.retry ?? null,
  };
  const revision = team.notebookRevision + 1;
  const cullsAnew = before === null || changes.some(({ path }) => path.startsWith('/culling/'));
  return {
    next: {
      ...team,
      ...bumpGeneration(team, act),
      ...(cullsAnew ? { culling: { ...team.culling, dueAt: act.now } } : {}),
      notebook,
      notebookRevision: revision,
      release: team.release ?? release,
      updatedAt: act.now,
      status: {
        ...team.status,
        phase: before === null ? 'Pending' : 'Applying',
        wasReady: before !== null && team.status.wasReady,
      },
      statusVersion: team.statusVersion + 1,
    },
    event: { at: act.now, by: act.by, action, revision, changes, spec },
  };
};

/**
 * The team with the newer digest of the same tag in use. Undefined when nothing would change. Throws Problem
 * `deleting`; `not_found` when no image is ordered, or meanwhile another one.
 */
export const refreshImage = (team: TeamRecord, image: NotebookImage, act: Actor): Decision | undefined => {
  assertNotebookStays(team);
  const before = team.notebook?.image ?? null;
  if (team.notebook === null || before === null || before.reference !== image.reference) {
    throw new Problem('not_found', { detail: 'No image of your own is ordered.' });
  }
  if (before.digest === image.digest) return recordNewerDigest(team, image.digest);
  const revision = team.notebookRevision + 1;
  const { spec } = team.notebook;
  return {
    next: {
      ...team,
      ...bumpGeneration(team, act),
      notebook: { ...team.notebook, image, updatedAt: act.now, updatedBy: act.by },
      notebookRevision: revision,
      updatedAt: act.now,
      status: { ...team.status, phase: 'Applying' },
      statusVersion: team.statusVersion + 1,
    },
    event: {
      at: act.now,
      by: act.by,
      action: 'image_refreshed',
      revision,
      changes: [{ path: '/image/digest', from: before.digest, to: image.digest }],
      spec,
    },
  };
};

/** Records the digest that the tag of the team’s image points to, without using it. Undefined if unchanged. */
export const recordNewerDigest = (team: TeamRecord, digest: string): Decision | undefined => {
  const image = team.notebook?.image ?? null;
  if (team.notebook === null || image === null) return undefined;
  const newerDigest = image.digest === digest ? null : digest;
  if (image.newerDigest === newerDigest) return undefined;
  return {
    next: {
      ...team,
      notebook: { ...team.notebook, image: { ...image, newerDigest } },
      statusVersion: team.statusVersion + 1,
    },
  };
};

/** Records whether the pinned image exists. Undefined if unchanged; the team is due at once if it matters. */
export const recordAbsence = (team: TeamRecord, absence: Absence, now: string): Decision | undefined => {
  const { notebook } = team;
  if (notebook === null || notebook.image === null) return undefined;
  const before = notebook.imageAbsence ?? present;
  if (before.missing === absence.missing && before.missingSince === absence.missingSince) return undefined;
  const { imageAbsence: _before, ...rest } = notebook;
  return {
    next: {
      ...team,
      notebook: absence.missingSince === null ? rest : { ...rest, imageAbsence: absence },
      reconcile: before.missing === absence.missing ? team.reconcile : { ...team.reconcile, dueAt: now },
    },
  };
};

/** Marks the notebook for teardown; a repeated request can only add to it. Undefined when nothing changes. */
export const deleteNotebook = (
  team: TeamRecord,
  asked: { deleteHomes: boolean },
  act: Actor,
): Decision | undefined => {
  const { notebook } = team;
  if (notebook === null || team.deletion !== null) return undefined;
  const before = notebook.deletion;
  const deletion: NotebookDeletion = {
    // A request covers the homes that exist when it is made; a repeated request covers newer ones too.
    requestedAt: before === null || asked.deleteHomes ? act.now : before.requestedAt,
    deleteHomes: asked.deleteHomes || (before?.deleteHomes ?? false),
  };
  if (isDeepStrictEqual(before, deletion)) return undefined;
  const revision = team.notebookRevision + 1;
  return {
    next: {
      ...team,
      ...bumpGeneration(team, act),
      notebook: { ...notebook, deletion, updatedAt: act.now, updatedBy: act.by },
      notebookRevision: revision,
      status: { ...team.status, phase: 'Deleting' },
      statusVersion: team.statusVersion + 1,
    },
    event: {
      at: act.now,
      by: act.by,
      action: 'notebook_deleted',
      revision,
      changes: [{ path: '/deletion', from: before, to: deletion }],
    },
  };
};

/** Retries a failed roll-out. Throws Problem `deleting` or, without a notebook, `not_found`. */
export const retryNotebook = (team: TeamRecord, force: boolean, act: Actor): Decision => {
  assertNotebookStays(team);
  if (team.notebook === null) throw new Problem('not_found');
  return {
    next: {
      ...team,
      ...bumpGeneration(team, act),
      notebook: { ...team.notebook, retry: { at: act.now, force } },
      status: { ...team.status, phase: 'Applying' },
      statusVersion: team.statusVersion + 1,
    },
    event: {
      at: act.now,
      by: act.by,
      action: 'notebook_retried',
      revision: null,
      changes: [{ path: '/retry', from: team.notebook.retry, to: { at: act.now, force } }],
    },
  };
};

/** The notebook as its clients see it; undefined when none is ordered. */
export const notebookView = (team: TeamRecord, url: string): Notebook | undefined => {
  const { notebook } = team;
  if (notebook === null) return undefined;
  const leaving = notebook.deletion !== null || team.deletion !== null;
  return {
    spec: notebook.spec,
    status: {
      phase: leaving ? 'Deleting' : team.status.phase,
      conditions: [...team.status.conditions],
      url,
      ...(notebook.image === null ? {} : { image: notebook.image }),
      observedRevision: team.status.appliedRevision,
    },
    revision: team.notebookRevision,
    createdAt: notebook.createdAt,
    updatedAt: notebook.updatedAt,
    updatedBy: notebook.updatedBy,
  };
};
