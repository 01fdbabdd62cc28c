import { isDeepStrictEqual } from 'node:util';
import { type Absence, present } from '../images/absence.ts';
import { at, isObject } from '../json.ts';
import type { Decision } from '../ports.ts';
import { type Fault, Problem } from '../problems.ts';
import type { NotebookDeletion, NotebookRecord, Release, TeamRecord } from '../record.ts';
import { type Act, assertStays, wished } from '../teams/rules.ts';
import type { Limits } from './bounds.ts';
import type {
  Change,
  Notebook,
  NotebookImage,
  NotebookOrder,
  NotebookPatch,
  NotebookSpec,
  Plan,
} from './notebook.ts';
import { mebibytes, printMebibytes } from './quantity.ts';

const clamp = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high);
const atMost = (quantity: string, other: string): string =>
  mebibytes(quantity) <= mebibytes(other) ? quantity : other;
const atLeast = (quantity: string, other: string): string =>
  mebibytes(quantity) >= mebibytes(other) ? quantity : other;
const within = (quantity: string, lowMi: number, highMi: number): string => {
  const mi = mebibytes(quantity);
  return mi === clamp(mi, lowMi, highMi) ? quantity : printMebibytes(clamp(mi, lowMi, highMi));
};

/**
 * The order with every answer given. A default follows its sibling: ordering only a guarantee of four cores
 * makes the limit four, not an error. A value that was given is never changed.
 */
export const complete = (order: NotebookOrder, limits: Limits): NotebookSpec => {
  const cpu = order.resources?.cpu ?? {};
  const memory = order.resources?.memory ?? {};
  const cpuDefault = (value: number) => clamp(value, limits.cpuMin, limits.cpuMax);
  const memoryDefault = (quantity: string) => within(quantity, limits.memoryMinMi, limits.memoryMaxMi);
  const timeoutSeconds =
    order.culling?.timeoutSeconds ??
    Math.min(
      clamp(3600, limits.timeoutMinSeconds, limits.timeoutMaxSeconds),
      order.culling?.maxAgeSeconds ?? Number.POSITIVE_INFINITY,
    );
  return {
    resources: {
      cpu: {
        guarantee: cpu.guarantee ?? Math.min(cpuDefault(0.2), cpu.limit ?? Number.POSITIVE_INFINITY),
        limit: cpu.limit ?? Math.max(cpuDefault(0.5), cpu.guarantee ?? 0),
      },
      memory: {
        guarantee:
          memory.guarantee ??
          (memory.limit === undefined ? memoryDefault('1Gi') : atMost(memoryDefault('1Gi'), memory.limit)),
        limit:
          memory.limit ??
          (memory.guarantee === undefined
            ? memoryDefault('2Gi')
            : atLeast(memoryDefault('2Gi'), memory.guarantee)),
      },
    },
    image: order.image ?? null,
    culling: {
      timeoutSeconds,
      maxAgeSeconds:
        order.culling?.maxAgeSeconds ?? Math.max(Math.min(604800, limits.maxAgeMaxSeconds), timeoutSeconds),
      keepBusyKernels: order.culling?.keepBusyKernels ?? true,
    },
    allowlist: { enabled: order.allowlist?.enabled ?? false, hosts: order.allowlist?.hosts ?? [] },
    storage: { home: order.storage?.home ?? within('10Gi', limits.homeMinMi, limits.homeMaxMi) },
    pip: { userInstallByDefault: order.pip?.userInstallByDefault ?? false },
  };
};

/** RFC 7396: null removes, an object is merged, everything else replaces. */
const merged = (target: unknown, patch: unknown): unknown => {
  if (!isObject(patch)) return patch;
  const result: Record<string, unknown> = { ...(isObject(target) ? target : {}) };
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = merged(result[name], value);
  }
  return result;
};

/** The configuration after a merge patch: what the patch removed is back at its default. */
export const patched = (spec: NotebookSpec, patch: NotebookPatch, limits: Limits): NotebookSpec =>
  // A schema-checked patch merged into a spec is an order by construction.
  complete(merged(spec, patch) as NotebookOrder, limits);

/**
 * An earlier configuration as it can be ordered today: fields that came later take their defaults, and home
 * volumes that have grown stay as large as they are.
 */
export const restored = (
  earlier: NotebookSpec,
  present: NotebookSpec | undefined,
  limits: Limits,
): NotebookSpec => {
  const spec = complete(earlier, limits);
  if (present === undefined) return spec;
  return { ...spec, storage: { home: atLeast(spec.storage.home, present.storage.home) } };
};

const outside = (value: unknown, low: number, high: number): value is number =>
  typeof value === 'number' && (value < low || value > high);

const quantityPattern = /^[0-9]+(\.[0-9]+)?(Mi|Gi)$/;
const mi = (value: unknown): number | undefined =>
  typeof value === 'string' && value.length <= 16 && quantityPattern.test(value)
    ? mebibytes(value)
    : undefined;

/**
 * Every breach of the platform’s bounds in an order, a patch or a complete configuration, one per field. What has
 * the wrong type is passed over: the schema speaks of that.
 */
export const boundsFaults = (order: unknown, limits: Limits): readonly Fault[] => {
  const faults: Fault[] = [];
  const fault = (path: readonly string[], code: string, message: string) => {
    const pointer = `/${path.join('/')}`;
    if (!faults.some((earlier) => earlier.pointer === pointer)) faults.push({ pointer, code, message });
  };
  const number = (path: readonly string[], low: number, high: number, unit: string) => {
    if (outside(at(order, ...path), low, high))
      fault(path, 'out_of_range', `Must be ${low} to ${high} ${unit}.`);
  };
  const size = (path: readonly string[], lowMi: number, highMi: number) => {
    if (outside(mi(at(order, ...path)), lowMi, highMi)) {
      fault(path, 'out_of_range', `Must be ${printMebibytes(lowMi)} to ${printMebibytes(highMi)}.`);
    }
  };
  const pair = (low: unknown, high: unknown, path: readonly string[], code: string, message: string) => {
    if (typeof low === 'number' && typeof high === 'number' && low > high) fault(path, code, message);
  };

  const cpu = ['resources', 'cpu'];
  const memory = ['resources', 'memory'];
  number([...cpu, 'guarantee'], limits.cpuMin, limits.cpuMax, 'cores');
  number([...cpu, 'limit'], limits.cpuMin, limits.cpuMax, 'cores');
  size([...memory, 'guarantee'], limits.memoryMinMi, limits.memoryMaxMi);
  size([...memory, 'limit'], limits.memoryMinMi, limits.memoryMaxMi);
  number(['culling', 'timeoutSeconds'], limits.timeoutMinSeconds, limits.timeoutMaxSeconds, 'seconds');
  number(['culling', 'maxAgeSeconds'], limits.timeoutMinSeconds, limits.maxAgeMaxSeconds, 'seconds');
  size(['storage', 'home'], limits.homeMinMi, limits.homeMaxMi);
  pair(
    at(order, ...cpu, 'guarantee'),
    at(order, ...cpu, 'limit'),
    [...cpu, 'guarantee'],
    'above_limit',
    'The guarantee must not be above the limit.',
  );
  pair(
    mi(at(order, ...memory, 'guarantee')),
    mi(at(order, ...memory, 'limit')),
    [...memory, 'guarantee'],
    'above_limit',
    'The guarantee must not be above the limit.',
  );
  pair(
    at(order, 'culling', 'timeoutSeconds'),
    at(order, 'culling', 'maxAgeSeconds'),
    ['culling', 'maxAgeSeconds'],
    'below_timeout',
    'The maximum age must not be below the idle timeout.',
  );
  return faults;
};

/** Throws Problem `validation_failed` unless the complete configuration lies within the bounds. */
export const assertWithinBounds = (spec: NotebookSpec, limits: Limits): void => {
  const errors = boundsFaults(spec, limits);
  if (errors.length > 0) throw new Problem('validation_failed', { errors });
};

/** What differs, leaf by leaf; a list is one leaf. */
export const changesBetween = (from: unknown, to: unknown, path = ''): readonly Change[] => {
  if (isObject(from) && isObject(to)) {
    const names = [...new Set([...Object.keys(from), ...Object.keys(to)])];
    return names.flatMap((name) => changesBetween(from[name], to[name], `${path}/${name}`));
  }
  return isDeepStrictEqual(from, to) ? [] : [{ path, from: from ?? null, to: to ?? null }];
};

/** What takes effect while a server runs; everything else waits for its next start (DESIGN 2). */
const takesEffectNow = (path: string): boolean =>
  path.startsWith('/culling/') || path.startsWith('/allowlist/');

/** What a change means for people. No order restarts the hub: nothing a team can change is in the chart. */
export const planned = (from: NotebookSpec | null, to: NotebookSpec): Omit<Plan, 'manifests'> => {
  const changes = from === null ? [{ path: '', from: null, to }] : changesBetween(from, to);
  const effective = from === null ? [] : changes;
  const runningServers =
    effective.length === 0
      ? 'unaffected'
      : effective.some(({ path }) => takesEffectNow(path))
        ? 'now'
        : 'next_start';
  return { changes: [...changes], restartsHub: false, runningServers };
};

/** What a new configuration needs besides itself. */
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

/** Throws Problem `deleting` while the notebook or its team is on its way out. */
export const assertNotebookStays = (team: TeamRecord): void => {
  assertStays(team);
  if (team.notebook?.deletion) {
    throw new Problem('deleting', {
      detail: 'The notebook is being deleted; order it again once it is gone.',
    });
  }
};

/**
 * The team with this configuration ordered. Undefined when nothing would change, so that nothing is written.
 * Throws Problem `deleting` or `cannot_shrink`.
 */
export const order = (
  team: TeamRecord,
  { spec, image, release }: Ordering,
  act: Act,
  action: 'notebook_ordered' | 'notebook_changed' | 'notebook_restored',
): Decision | undefined => {
  assertNotebookStays(team);
  const before = team.notebook;
  if (before !== null) assertGrows(before.spec, spec);
  const changes = planned(before?.spec ?? null, spec).changes;
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
      ...wished(team, act),
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
 * `deleting`; `not_found` when no image is ordered, or another one by now.
 */
export const takeDigest = (team: TeamRecord, image: NotebookImage, act: Act): Decision | undefined => {
  assertNotebookStays(team);
  const before = team.notebook?.image ?? null;
  if (team.notebook === null || before === null || before.reference !== image.reference) {
    throw new Problem('not_found', { detail: 'No image of your own is ordered.' });
  }
  if (before.digest === image.digest) return tellDigest(team, image.digest);
  const revision = team.notebookRevision + 1;
  const { spec } = team.notebook;
  return {
    next: {
      ...team,
      ...wished(team, act),
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

/** What the tag of the team’s image points to now, shown and not taken. Undefined when that is known already. */
export const tellDigest = (team: TeamRecord, digest: string): Decision | undefined => {
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

/** What the registry says of the pinned image. Undefined when that is known already; due at once when it counts. */
export const tellAbsence = (team: TeamRecord, absence: Absence, now: string): Decision | undefined => {
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

/** Marks the notebook for teardown; asking again may only ask for more. Undefined when nothing changes. */
export const deleteNotebook = (
  team: TeamRecord,
  asked: { deleteHomes: boolean },
  act: Act,
): Decision | undefined => {
  const { notebook } = team;
  if (notebook === null || team.deletion !== null) return undefined;
  const before = notebook.deletion;
  const deletion: NotebookDeletion = {
    // Homes made after the request are not meant by it; asking for them again means those too.
    requestedAt: before === null || asked.deleteHomes ? act.now : before.requestedAt,
    deleteHomes: asked.deleteHomes || (before?.deleteHomes ?? false),
  };
  if (isDeepStrictEqual(before, deletion)) return undefined;
  const revision = team.notebookRevision + 1;
  return {
    next: {
      ...team,
      ...wished(team, act),
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

/** A new try for a roll-out that failed. Throws Problem `deleting` or, without a notebook, `not_found`. */
export const retry = (team: TeamRecord, force: boolean, act: Act): Decision => {
  assertNotebookStays(team);
  if (team.notebook === null) throw new Problem('not_found');
  return {
    next: {
      ...team,
      ...wished(team, act),
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
