import type { Manifest } from '../ports/cluster.ts';
import { isOwned } from '../teams/desired.ts';
import {
  assertNotNewer,
  assertSameGeneration,
  Blocked,
  nameOf,
  type ReconcileContext,
  refOf,
  StaleRead,
} from './context.ts';
import { differs, intrusion } from './difference.ts';

/** Makes one object as wanted; answers it as it stands. Writes nothing when nothing differs. */
export const ensure = async (
  look: ReconcileContext,
  wanted: Manifest,
  actual: Manifest | undefined,
): Promise<Manifest> => {
  const { cluster } = look.deps;
  if (actual === undefined) await assertSameGeneration(look);
  else {
    if (!isOwned(actual, look.team)) {
      throw new Blocked(
        'blocked',
        'Conflict',
        `${nameOf(wanted)} exists and is not this team’s; rename or delete it.`,
      );
    }
    if (actual.metadata.deletionTimestamp !== undefined) {
      throw new Blocked(
        'waiting',
        'Terminating',
        `${nameOf(wanted)} is being deleted; it is made anew once it is gone.`,
      );
    }
    assertNotNewer(look, actual);
    if (!differs(actual, wanted)) return cleaned(look, wanted, actual);
  }
  const { uid, resourceVersion } = actual?.metadata ?? {};
  const result = await cluster.apply(
    {
      ...wanted,
      metadata: {
        ...wanted.metadata,
        ...(uid === undefined || resourceVersion === undefined ? {} : { uid, resourceVersion }),
      },
    },
    look.signal,
  );
  if (result.outcome === 'conflict') throw new StaleRead();
  if (result.outcome === 'refused') {
    throw new Blocked('blocked', 'Refused', `The cluster refuses ${nameOf(wanted)}: ${result.message}`);
  }
  return cleaned(look, wanted, result.object);
};

/** Takes out what somebody else put into an object whose content is ours alone. */
const cleaned = async (look: ReconcileContext, wanted: Manifest, actual: Manifest): Promise<Manifest> => {
  const patch = intrusion(actual, wanted);
  const { uid, resourceVersion } = actual.metadata;
  if (patch === undefined || uid === undefined || resourceVersion === undefined) return actual;
  look.deps.log.warn({ team: look.team.slug, object: nameOf(wanted) }, 'foreign content removed');
  const result = await look.deps.cluster.patch(
    { ...refOf(wanted), uid, resourceVersion },
    patch,
    look.signal,
  );
  if (result.outcome === 'conflict') throw new StaleRead();
  if (result.outcome === 'refused') {
    throw new Blocked('blocked', 'Refused', `The cluster refuses ${nameOf(wanted)}: ${result.message}`);
  }
  return result.object;
};
