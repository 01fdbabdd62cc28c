import type { FastifyReply } from 'fastify';
import { ref } from '../lib/schema.ts';
import { exampleOperation, Operation, type OperationRecord } from '../model/operation.ts';
import type { TeamRecord } from '../model/record.ts';
import type { BoundedReconcile } from '../reconcile/bounded.ts';
import type { FollowOrder, Operations } from '../servers/operations.ts';
import { type OperationContext, operationView } from './operation-view.ts';

interface FollowDeps {
  readonly operations: Pick<Operations, 'follow' | 'poll'>;
  /** One bounded reconcile after a write. */
  readonly reconcile: BoundedReconcile['afterWrite'];
}

/** The response of every operation that may take longer than its request. */
export const acceptedOperation = (example: Partial<Operation>) => ({
  202: {
    description:
      'Accepted; follow the operation at Location until it is done. It is done at once when there is nothing left to do.',
    content: {
      'application/json': { schema: ref(Operation), example: { ...exampleOperation, ...example } },
    },
  },
});

/**
 * Opens the operation that the team’s record names, reconciles the team within bounds, and returns how the operation
 * stands then.
 */
export const followOrder = async (
  team: TeamRecord,
  order: FollowOrder,
  { operations, reconcile }: FollowDeps,
): Promise<OperationRecord> => {
  const opened = await operations.follow(team.slug, order);
  await reconcile(team);
  return (await operations.poll(team.slug, order.id)) ?? opened;
};

/** Answers with the operation and where to follow it. */
export const sendOperation = (reply: FastifyReply, operation: OperationRecord, context: OperationContext) =>
  reply
    .code(202)
    .header('location', `/v1/teams/${context.slug}/operations/${operation.id}`)
    .type('application/json')
    .send(operationView(operation, context));
