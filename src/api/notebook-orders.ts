import { type EntryOptions, parseAllowlist } from '../egress/entry.ts';
import type { Caller } from '../http/auth.ts';
import { checkPreconditions, preconditionsOf, type Version } from '../http/preconditions.ts';
import type { Limits } from '../model/limits.ts';
import type { NamedTeam } from '../model/names.ts';
import type { Notebook, NotebookImage, NotebookSpec } from '../model/notebook.ts';
import { Problem } from '../model/problems.ts';
import type { Release, TeamRecord } from '../model/record.ts';
import type { TeamLimits } from '../model/team-limits.ts';
import { assertNotebookStays, notebookView, orderNotebook, pinnedImage } from '../notebooks/rules.ts';
import { assertWithinBounds, withCanonicalImage } from '../notebooks/spec.ts';
import type { Manifest as KubernetesObject } from '../ports/cluster.ts';
import type { Clock } from '../ports/runtime.ts';
import type { Decision, Store } from '../ports/store.ts';
import type { BoundedReconcile } from '../reconcile/bounded.ts';
import { assertOneServerFits } from '../teams/quota.ts';
import { assertMayOptOut } from '../teams/roles.ts';
import { actorOf, authorize, teamOf } from './access.ts';
import type { OperationRouteDeps } from './operations.ts';

/** What the routes of a notebook need. */
export interface NotebookRouteDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly limits: Limits;
  readonly teamLimits: TeamLimits;
  readonly allowlist: EntryOptions;
  /** The release for a team’s first order, rendered from the current platform. */
  readonly newRelease: (team: NamedTeam) => Release;
  /** What the image’s tag points to now, pinned. Throws the Problem that the image has. */
  readonly pinImage: (image: string, team: TeamRecord) => Promise<NotebookImage>;
  /** Every object of the team as it is to be applied. */
  readonly render: (team: TeamRecord) => Promise<readonly KubernetesObject[]>;
  /** One bounded reconcile after a write; answers the team as it is then, undefined when it is gone. */
  readonly reconcile: BoundedReconcile['afterWrite'];
  /** The same for a reader: at most once a second per team, and only while a change is under way. */
  readonly look: BoundedReconcile['whileUnderWay'];
  readonly operations: OperationRouteDeps['operations'];
}

/** The problems of every operation that orders a configuration, beside those of its image. */
export const orderProblems = [
  'forbidden',
  'deleting',
  'cannot_shrink',
  'quota_exceeded',
  'invalid_allowlist',
  'busy',
] as const;

export const versionOf = (team: TeamRecord): Version => ({
  id: team.id,
  revision: team.notebookRevision,
  statusVersion: team.statusVersion,
});

/** The team’s notebook as its clients see it. Throws `not_found` when no notebook is ordered. */
export const viewOf = (team: TeamRecord): Notebook => {
  const notebook = notebookView(team);
  if (notebook === undefined) throw new Problem('notebook_not_ordered');
  return notebook;
};

/** Throws `validation_failed` or `invalid_allowlist` for a configuration that cannot be ordered. */
const assertOrderable = (
  spec: NotebookSpec,
  { limits, allowlist }: Pick<NotebookRouteDeps, 'limits' | 'allowlist'>,
): void => {
  assertWithinBounds(spec, limits);
  const { errors } = parseAllowlist(spec.allowlist.hosts, allowlist);
  if (errors.length === 0) return;
  throw new Problem('invalid_allowlist', {
    errors: errors.map(({ index, code, message }) => ({
      pointer: `/allowlist/hosts/${index}`,
      code,
      message,
    })),
  });
};

/** Checks a configuration and pins its image; asks no registry for an image that the notebook has pinned already. */
export const checkOrder = async (
  spec: NotebookSpec,
  team: TeamRecord,
  deps: Pick<NotebookRouteDeps, 'limits' | 'allowlist' | 'pinImage'>,
): Promise<NotebookImage | null> => {
  assertOrderable(spec, deps);
  assertOneServerFits(team.quota, team.notebook?.spec, spec);
  if (spec.image === null) return null;
  return pinnedImage(team, spec) ?? deps.pinImage(spec.image, team);
};

interface Submission {
  readonly slug: string;
  readonly caller: Caller;
  readonly headers: Parameters<typeof preconditionsOf>[0];
  /** The configuration to order, from the team as it is; called again for every state that the decision meets. */
  readonly specFor: (team: TeamRecord) => NotebookSpec;
  readonly action: 'notebook_changed' | 'notebook_restored';
}

/**
 * Orders a configuration: decided on the newest state of the team, again when that has changed meanwhile. The image
 * is resolved again only when the decision needs another one.
 */
export const submitOrder = async (
  { slug, caller, headers, specFor, action }: Submission,
  deps: NotebookRouteDeps,
): Promise<{ readonly team: TeamRecord; readonly created: boolean }> => {
  const preconditions = preconditionsOf(headers);
  const assertMatches = (team: TeamRecord): void =>
    checkPreconditions(preconditions, team.notebook === null ? undefined : versionOf(team));
  let team = await teamOf(deps.store, slug, caller);
  for (;;) {
    assertNotebookStays(team);
    assertMatches(team);
    const checked = withCanonicalImage(specFor(team));
    assertMayOptOut(team, checked, caller);
    const image = await checkOrder(checked, team, deps);
    let created = false;
    let needsOtherImage = false;
    const changed = await deps.store.change(slug, (stored): Decision | undefined => {
      const current = authorize(stored, caller);
      assertMatches(current);
      const spec = withCanonicalImage(specFor(current));
      needsOtherImage = spec.image !== checked.image;
      if (needsOtherImage) return undefined;
      assertMayOptOut(current, spec, caller);
      assertWithinBounds(spec, deps.limits);
      created = current.notebook === null;
      return orderNotebook(
        current,
        { spec, image: pinnedImage(current, spec) ?? image, release: deps.newRelease(current) },
        actorOf(caller, deps.clock),
        created && action === 'notebook_changed' ? 'notebook_ordered' : action,
      );
    });
    team = authorize(changed, caller);
    if (!needsOtherImage) return { team, created };
  }
};

/** The team after one bounded reconcile; as it was written when the team is gone by then. */
export const reconcileNow = async (
  team: TeamRecord,
  { reconcile }: Pick<NotebookRouteDeps, 'reconcile'>,
): Promise<TeamRecord> => (await reconcile(team)) ?? team;
