import Type, { type Static } from 'typebox';
import { answer, Instant, known } from '../lib/schema.ts';

export const operationKinds = ['start', 'stop', 'restart', 'restart_hub'] as const;
export type OperationKind = (typeof operationKinds)[number];

/** The fields of every operation on a server; a failed one also has a reason. */
export const exampleOperation = {
  id: 'op-6f1c2a9be0d34c57',
  kind: 'restart',
  phase: 'starting',
  progress: 60,
  message: 'The notebook is starting.',
  user: 'kari.nordmann@nav.no',
  createdAt: '2026-11-23T09:00:00.000Z',
  updatedAt: '2026-11-23T09:00:04.000Z',
} as const;

/** A long-running operation as clients see it. A stop ends in `ready`, too: it is done. */
export const Operation = answer(
  {
    id: Type.String({ examples: ['op-6f1c2a9be0d34c57'] }),
    kind: known(operationKinds, { examples: ['restart'] }),
    phase: known(['stopping', 'starting', 'ready', 'failed'], { examples: ['starting'] }),
    progress: Type.Integer({ minimum: 0, maximum: 100, description: 'Percent.', examples: [60] }),
    message: Type.String({
      description: 'The state in a sentence.',
      examples: ['The notebook is starting.'],
    }),
    reason: Type.Optional(
      Type.String({ description: 'Machine-readable reason for a failure.', examples: ['image_pull_failed'] }),
    ),
    user: Type.Optional(
      Type.String({
        description: 'Hub user whose server it is; absent for an operation on the hub.',
        examples: ['kari.nordmann@nav.no'],
      }),
    ),
    createdAt: Instant,
    updatedAt: Instant,
  },
  { $id: 'Operation', examples: [exampleOperation] },
);
export type Operation = Static<typeof Operation>;

/**
 * The current step of an operation. Each step is one outside call that is safe to repeat, or one wait; the instance that
 * advances it writes the next one by compare-and-set. `cancel` cancels a start that cannot succeed.
 */
export type OperationStep =
  | 'stop'
  | 'await_stopped'
  | 'start'
  | 'await_ready'
  | 'cancel'
  | 'restart_hub'
  | 'await_hub'
  | 'done';

/** An operation as it is stored. Instants are ISO 8601 UTC. */
export interface OperationRecord {
  readonly id: string;
  readonly kind: OperationKind;
  /** A hub user name, or null for the hub itself. */
  readonly user: string | null;
  readonly step: OperationStep;
  readonly outcome: 'ready' | 'failed' | null;
  readonly progress: number;
  readonly message: string;
  readonly reason?: string;
  readonly force: boolean;
  /** The profile to start with; null until it is chosen. */
  readonly profile: string | null;
  /** Uid of the previous pod, which a start must not mistake for its own while it terminates; null without one. */
  readonly formerPod: string | null;
  /** Since when the new pod’s image cannot be pulled; absent while it can. */
  readonly pullFailingSince?: string;
  /** Until when one instance alone makes the call of this step; absent when it is not claimed. */
  readonly claimedUntil?: string;
  readonly by: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  /** When the current step times out. */
  readonly deadlineAt: string;
  /** When the tick advances it next; null once it is finished. */
  readonly dueAt: string | null;
  /** When it may be deleted. */
  readonly expiresAt: string;
}
