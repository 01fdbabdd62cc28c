import { type ApplyOutcome, type Manifest, nameOf, refOf } from '../ports/cluster.ts';
import { Blocked, StaleRead } from './blocked.ts';
import type { ReconcileContext } from './context.ts';
import { assertNotNewer, assertSameGeneration } from './fencing.ts';
import { objectState } from './object-state.ts';

/** Brings one object in sync and answers it as it is then. Writes nothing when it is in sync already. */
export const applyObject = async (
  context: ReconcileContext,
  wanted: Manifest,
  actual: Manifest | undefined,
): Promise<Manifest> => {
  const found = objectState(context.team, wanted, actual);
  if (found.state === 'Blocked') throw new Blocked('blocked', found.reason, found.message);
  if (found.state === 'Terminating') throw new Blocked('waiting', found.state, found.message);
  if (actual === undefined) {
    await assertSameGeneration(context);
    return removeForeignContent(context, wanted, await write(context, wanted));
  }
  assertNotNewer(context, actual);
  if (found.state !== 'OutOfSync') return removeForeignContent(context, wanted, actual);
  const { uid, resourceVersion } = actual.metadata;
  const guard = uid === undefined || resourceVersion === undefined ? {} : { uid, resourceVersion };
  const applied = await write(context, { ...wanted, metadata: { ...wanted.metadata, ...guard } });
  return removeForeignContent(context, wanted, applied);
};

const write = async ({ deps, signal }: ReconcileContext, manifest: Manifest): Promise<Manifest> =>
  written(manifest, await deps.cluster.apply(manifest, signal));

const removeForeignContent = async (
  context: ReconcileContext,
  wanted: Manifest,
  actual: Manifest,
): Promise<Manifest> => {
  const { deps, team, signal } = context;
  const found = objectState(team, wanted, actual);
  const { uid, resourceVersion } = actual.metadata;
  if (found.state !== 'Drifted' || uid === undefined || resourceVersion === undefined) return actual;
  deps.log.warn({ team: team.slug, object: nameOf(wanted) }, 'foreign content removed');
  const ref = { ...refOf(wanted), uid, resourceVersion };
  return written(wanted, await deps.cluster.patch(ref, found.patch, signal));
};

const written = (wanted: Manifest, result: ApplyOutcome): Manifest => {
  switch (result.outcome) {
    case 'applied':
      return result.object;
    case 'conflict':
      throw new StaleRead();
    case 'refused': {
      const message = `The cluster rejects ${nameOf(wanted)}: ${result.message}`;
      throw new Blocked('blocked', 'Refused', message);
    }
  }
};
