import { kinds } from '../model/kinds.ts';
import type { Deletion } from '../model/record.ts';
import { Unavailable } from '../ports/unavailable.ts';
import { isOwned } from '../teams/desired.ts';
import { Blocked } from './blocked.ts';
import { removeObject } from './clear.ts';
import type { ReconcileContext } from './context.ts';
import { assertSameGeneration } from './fencing.ts';
import { namespaceContent } from './namespace-content.ts';
import { tearDownNotebook } from './teardown-notebook.ts';

/** How much of the deletion is done, in percent, while the namespace holds nothing of the notebook but of others. */
const emptying = 80;

/**
 * Removes the whole team. The namespace is deleted only if it is ours and holds nothing of others. Throws Blocked while
 * something is being deleted or prevents it.
 */
export const tearDownTeam = async (context: ReconcileContext, deletion: Deletion): Promise<void> => {
  const name = context.team.names.namespace;
  const ref = { ...kinds.namespace, name };
  const namespace = await context.deps.cluster.read(ref, context.signal);
  if (namespace === undefined) return tearDownGoogle(context, deletion);
  if (!isOwned(namespace, context.team)) {
    throw new Blocked(
      'blocked',
      'Conflict',
      `Namespace ${name} no longer belongs to this team. It is left alone.`,
    );
  }
  if (namespace.metadata.deletionTimestamp === undefined) {
    await tearDownNotebook(context, deletion);
    const { foreign, leaving } = await namespaceContent(context);
    if (foreign.length > 0) {
      const named = foreign.slice(0, 5).join(', ');
      const more = foreign.length > 5 ? ` and ${foreign.length - 5} more` : '';
      throw new Blocked(
        'blocked',
        'ForeignContent',
        `Namespace ${name} is kept because it holds objects of others: ${named}${more}. Remove them, and the deletion continues.`,
        emptying,
      );
    }
    if (leaving.length > 0) {
      const message = `Waiting for ${leaving[0]} to go (${leaving.length} left).`;
      throw new Blocked('waiting', 'Deleting', message, emptying);
    }
    await assertSameGeneration(context);
    await removeObject(context, kinds.namespace, namespace);
  }
  if ((await context.deps.cluster.read(ref, context.signal)) !== undefined) {
    throw new Blocked('waiting', 'Deleting', `Waiting for namespace ${name} to go.`, 85);
  }
  await tearDownGoogle(context, deletion);
};

/** Last: what still runs keeps its account until it is gone. */
const tearDownGoogle = async (
  { deps, team, signal }: ReconcileContext,
  { deleteSecret }: Deletion,
): Promise<void> => {
  const outcome = await deps.google.dismantle(team, { deleteSecret }, signal);
  if (outcome.state === 'gone') return;
  if (outcome.reason === 'Conflict') throw new Blocked('blocked', outcome.reason, outcome.message, 90);
  throw new Unavailable('Google', outcome.message);
};
