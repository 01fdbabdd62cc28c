import { isDeepStrictEqual } from 'node:util';
import { present } from '../images/absence.ts';
import type { Absence } from '../model/absence.ts';
import type { Notebook, NotebookImage, NotebookSpec } from '../model/notebook.ts';
import { fieldRows, measureOf, valueAt } from '../model/notebook-fields.ts';
import { Problem } from '../model/problems.ts';
import type { NotebookDeletion, NotebookRecord, Release, TeamRecord } from '../model/record.ts';
import type { Decision } from '../ports/store.ts';
import { assertOneServerFits } from '../teams/quota.ts';
import { type Actor, assertStays, authored, bumpGeneration } from '../teams/rules.ts';
import { changesBetween } from './plan.ts';
import { canonicalImage, withCanonicalImage } from './spec.ts';

/** A configuration to order, with everything that was resolved for it. */
export interface Ordering {
  readonly spec: NotebookSpec;
  /** The image as resolved; null exactly when the spec names none. */
  readonly image: NotebookImage | null;
  /** The release to use if the team has none yet. */
  readonly release: Release;
}

const assertGrows = (from: NotebookSpec, to: NotebookSpec): void => {
  for (const row of fieldRows) {
    const { pointer, cannotShrink } = row;
    const [former, next] = [valueAt(from, pointer), valueAt(to, pointer)];
    const [before, after] = [measureOf(row, former), measureOf(row, next)];
    if (cannotShrink === undefined || before === undefined || after === undefined || after >= before)
      continue;
    throw new Problem('cannot_shrink', {
      detail: `${cannotShrink.message.en} It has ${former}, and ${next} is less.`,
      errors: [{ pointer, code: cannotShrink.code, message: `Must be ${former} or more.` }],
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

/**
 * The image that the notebook has pinned, when the configuration names the same one: a digest once pinned stays. The
 * configuration’s image is in canonical form; an earlier version stored it as it was written.
 */
export const pinnedImage = ({ notebook }: TeamRecord, { image }: NotebookSpec): NotebookImage | null => {
  if (image === null || !notebook?.image || notebook.spec.image === null) return null;
  return canonicalImage(notebook.spec.image) === image ? { ...notebook.image, reference: image } : null;
};

/** Whether an order brings an image that the notebook did not have; another digest of the same one is no other image. */
const bringsImage = (before: NotebookRecord | null, { image }: NotebookSpec): boolean => {
  if (image === null) return false;
  const former = before?.spec.image ?? null;
  return former === null || canonicalImage(former) !== canonicalImage(image);
};

/**
 * The team with this configuration ordered. Undefined when nothing would change; then nothing is written.
 * Throws Problem `deleting`, `cannot_shrink` or `quota_exceeded`.
 */
export const orderNotebook = (
  team: TeamRecord,
  { spec, image, release }: Ordering,
  actor: Actor,
  action: 'notebook_ordered' | 'notebook_changed' | 'notebook_restored',
): Decision | undefined => {
  assertNotebookStays(team);
  const before = team.notebook;
  if (before !== null) assertGrows(before.spec, spec);
  assertOneServerFits(team.quota, before?.spec, spec);
  const changes =
    before === null ? [{ pointer: '', from: null, to: spec }] : [...changesBetween(before.spec, spec)];
  if (before !== null && changes.length === 0 && before.image?.digest === image?.digest) return undefined;
  const bumped = bumpGeneration(team, actor);
  const notebook: NotebookRecord = {
    spec,
    image,
    imageGeneration: bringsImage(before, spec) ? bumped.generation : (before?.imageGeneration ?? 0),
    createdAt: before?.createdAt ?? actor.now,
    updatedAt: actor.now,
    updatedBy: actor.by,
    deletion: null,
    retry: before?.retry ?? null,
  };
  const revision = team.notebookRevision + 1;
  const cullingChanged = before === null || changes.some(({ pointer }) => pointer.startsWith('/culling/'));
  return {
    next: {
      ...team,
      ...bumped,
      ...(cullingChanged ? { culling: { ...team.culling, dueAt: actor.now } } : {}),
      notebook,
      notebookRevision: revision,
      release: team.release ?? release,
      updatedAt: actor.now,
      status: {
        ...team.status,
        phase: before === null ? 'Pending' : 'Applying',
        wasReady: before !== null && team.status.wasReady,
      },
      statusVersion: team.statusVersion + 1,
    },
    event: { ...authored(actor), action, revision, changes, spec },
  };
};

/**
 * The team with the image’s newer digest. Undefined when nothing would change. Throws Problem `deleting`, and
 * `not_found` when no image is ordered, or another one meanwhile.
 */
export const refreshImage = (team: TeamRecord, image: NotebookImage, actor: Actor): Decision | undefined => {
  assertNotebookStays(team);
  const before = team.notebook?.image ?? null;
  if (team.notebook === null || before === null || canonicalImage(before.reference) !== image.reference) {
    throw new Problem('not_found', { detail: 'The notebook has no image of its own.' });
  }
  if (before.digest === image.digest) return recordNewerDigest(team, image.digest);
  const revision = team.notebookRevision + 1;
  const spec = withCanonicalImage(team.notebook.spec);
  return {
    next: {
      ...team,
      ...bumpGeneration(team, actor),
      notebook: { ...team.notebook, spec, image, updatedAt: actor.now, updatedBy: actor.by },
      notebookRevision: revision,
      updatedAt: actor.now,
      status: { ...team.status, phase: 'Applying' },
      statusVersion: team.statusVersion + 1,
    },
    event: {
      ...authored(actor),
      action: 'image_refreshed',
      revision,
      changes: [{ pointer: '/image/digest', from: before.digest, to: image.digest }],
      spec,
    },
  };
};

/** Records what the tag of the team’s image points to now, without using it. Undefined when it is recorded already. */
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

/** Records whether the registry has the pinned image. Undefined when it is recorded already; due now when it changes. */
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

/** Marks the notebook for deletion; a repeated request can only add to it. Undefined when nothing changes. */
export const deleteNotebook = (
  team: TeamRecord,
  requested: Omit<NotebookDeletion, 'requestedAt'>,
  actor: Actor,
): Decision | undefined => {
  const { notebook } = team;
  if (notebook === null || team.deletion !== null) return undefined;
  const before = notebook.deletion;
  const operation = before?.operation ?? requested.operation;
  const deletion: NotebookDeletion = {
    // A request covers the homes that exist at its time; a repeated request with deleteHomes covers newer ones too.
    requestedAt: before === null || requested.deleteHomes ? actor.now : before.requestedAt,
    deleteHomes: requested.deleteHomes || (before?.deleteHomes ?? false),
    ...(operation === undefined ? {} : { operation }),
  };
  if (isDeepStrictEqual(before, deletion)) return undefined;
  const revision = team.notebookRevision + 1;
  return {
    next: {
      ...team,
      ...bumpGeneration(team, actor),
      notebook: { ...notebook, deletion, updatedAt: actor.now, updatedBy: actor.by },
      notebookRevision: revision,
      status: { ...team.status, phase: 'Deleting' },
      statusVersion: team.statusVersion + 1,
    },
    event: {
      ...authored(actor),
      action: 'notebook_deleted',
      revision,
      changes: [{ pointer: '/deletion', from: before, to: deletion }],
    },
  };
};

/**
 * Retries a failed roll-out. `operation`: the id of the operation that follows it. Throws Problem `deleting` or,
 * without a notebook, `notebook_not_ordered`.
 */
export const retryNotebook = (
  team: TeamRecord,
  force: boolean,
  actor: Actor,
  operation?: string,
): Decision => {
  assertNotebookStays(team);
  if (team.notebook === null) throw new Problem('notebook_not_ordered');
  const retry = { at: actor.now, force, ...(operation === undefined ? {} : { operation }) };
  return {
    next: {
      ...team,
      ...bumpGeneration(team, actor),
      notebook: { ...team.notebook, retry },
      status: { ...team.status, phase: 'Applying' },
      statusVersion: team.statusVersion + 1,
    },
    event: {
      ...authored(actor),
      action: 'notebook_retried',
      revision: null,
      changes: [{ pointer: '/retry', from: team.notebook.retry, to: retry }],
    },
  };
};

/** The notebook as its clients see it; undefined when none is ordered. */
export const notebookView = (team: TeamRecord): Notebook | undefined => {
  const { notebook } = team;
  if (notebook === null) return undefined;
  const leaving = notebook.deletion !== null || team.deletion !== null;
  return {
    spec: notebook.spec,
    status: {
      phase: leaving ? 'Deleting' : team.status.phase,
      conditions: [...team.status.conditions],
      url: team.names.hubUrl,
      ...(notebook.image === null ? {} : { image: notebook.image }),
      observedRevision: team.status.appliedRevision,
    },
    revision: team.notebookRevision,
    createdAt: notebook.createdAt,
    updatedAt: notebook.updatedAt,
    updatedBy: notebook.updatedBy,
  };
};
