import { problemBody } from '../http/problem.ts';
import { type Operation, type OperationRecord, targetTypeOf } from '../model/operation.ts';
import { catalogue, Problem, type ProblemCode } from '../model/problems.ts';
import type { TeamRecord } from '../model/record.ts';
import { messageOf } from '../servers/operation-state.ts';
import { serverUrl } from '../servers/server-view.ts';

/** Where an operation is seen from. */
export interface OperationContext {
  readonly slug: string;
  /** The team, if it still exists. */
  readonly team: TeamRecord | undefined;
  /** What the hub reports about a start at this moment. */
  readonly live?: { readonly message: string } | undefined;
}

/** A newer version may have stored a code that this one does not know. */
const isCode = (code: string): code is ProblemCode => Object.hasOwn(catalogue, code);

const errorOf = ({ id, outcome, reason = 'start_failed', message }: OperationRecord) => {
  if (outcome !== 'failed') return {};
  const problem = new Problem(isCode(reason) ? reason : 'internal', { detail: message });
  return { error: problemBody(problem, `urn:knada:operation:${id}`) };
};

const resultOf = (
  { kind, user, outcome }: OperationRecord,
  { team }: OperationContext,
): Pick<Operation, 'result'> => {
  const isStart = kind === 'start' || kind === 'restart';
  if (outcome !== 'ready' || !isStart || user === null || team === undefined) return {};
  return { result: { url: serverUrl(team, user) } };
};

/** The operation as clients see it. */
export const operationView = (operation: OperationRecord, context: OperationContext): Operation => {
  const { id, kind, user, step, outcome, progress, message, createdAt, updatedAt } = operation;
  const report = step === 'await_ready' && outcome === null ? context.live : undefined;
  return {
    id,
    kind,
    target: { type: targetTypeOf(operation), team: context.slug, user },
    done: outcome !== null,
    progress,
    message: report !== undefined && message === messageOf.await_ready ? report.message : message,
    ...errorOf(operation),
    ...resultOf(operation, context),
    createdAt,
    updatedAt,
  };
};
