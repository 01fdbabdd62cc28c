import Type, { type Static } from 'typebox';
import { answer, Instant, known, nullable, ref } from '../lib/schema.ts';
import type { OperationReason } from './operation-reasons.ts';
import { pageOf } from './page.ts';

export const operationKinds = [
  'start',
  'stop',
  'restart',
  'restart_hub',
  'retry_notebook',
  'delete_notebook',
  'delete_team',
] as const;
export type OperationKind = (typeof operationKinds)[number];

/** What an operation is about. */
export const OperationTarget = answer(
  {
    type: known(['server', 'hub', 'notebook', 'team'], { examples: ['server'] }),
    team: Type.String({ description: 'The team’s slug.', examples: ['team-a'] }),
    user: nullable(
      Type.String({
        description: 'The hub user whose server it is; null unless the type is server.',
        examples: ['kari.nordmann@nav.no'],
      }),
    ),
  },
  { $id: 'OperationTarget' },
);

export const OperationResult = answer(
  {
    url: Type.Optional(
      Type.String({
        format: 'uri',
        description: 'Where the server is used, after a start or restart.',
        examples: ['https://team-a.jupyter.knada.io/user/kari.nordmann@nav.no/'],
      }),
    ),
  },
  { $id: 'OperationResult' },
);

export const exampleOperation = {
  id: 'op-6f1c2a9be0d34c57',
  kind: 'restart',
  target: { type: 'server', team: 'team-a', user: 'kari.nordmann@nav.no' },
  done: false,
  progress: 60,
  message: 'The notebook is starting.',
  createdAt: '2026-11-23T09:00:00.000Z',
  updatedAt: '2026-11-23T09:00:04.000Z',
} as const;

/** The body of a Problem; http/problem.ts has its schema. */
interface OperationError {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly instance: string;
}

/** A long-running operation as clients see it (AIP-151). */
export const Operation = answer(
  {
    id: Type.String({ examples: ['op-6f1c2a9be0d34c57'] }),
    kind: known(operationKinds, { examples: ['restart'] }),
    target: ref(OperationTarget),
    done: Type.Boolean({
      description: 'Whether it has ended: in failure when there is an error, else in success.',
      examples: [false],
    }),
    progress: Type.Integer({
      minimum: 0,
      maximum: 100,
      description: 'Percent; it never decreases.',
      examples: [60],
    }),
    message: Type.String({
      description: 'The state in a sentence.',
      examples: ['The notebook is starting.'],
    }),
    error: Type.Optional(Type.Unsafe<OperationError>(Type.Ref('Problem'))),
    result: Type.Optional(ref(OperationResult)),
    createdAt: Instant,
    updatedAt: Instant,
  },
  { $id: 'Operation', examples: [exampleOperation] },
);
export type Operation = Static<typeof Operation>;

export const OperationPage = pageOf(ref(Operation), 'OperationPage');

/** The filter of listOperations, beside those of every page. */
export const operationFilter = {
  open: Type.Optional(
    Type.Boolean({
      description: 'true: only operations that have not ended; false: only those that have. Default: both.',
      examples: [true],
    }),
  ),
};

/**
 * The current step of an operation. Each step is one outside call that is safe to repeat, or one wait; the instance that
 * advances it writes the next one by compare-and-set. `cancel` cancels a start that cannot succeed. `await_reconcile`:
 * reconciling the team does the work, and the operation follows what the team’s record says about it.
 */
export type OperationStep =
  | 'stop'
  | 'await_stopped'
  | 'start'
  | 'await_ready'
  | 'cancel'
  | 'restart_hub'
  | 'await_hub'
  | 'await_reconcile'
  | 'done';

/** An operation as it is stored. Instants are ISO 8601 UTC. */
export interface OperationRecord {
  readonly id: string;
  readonly kind: OperationKind;
  /** The hub user whose server it is; null for every other target. */
  readonly user: string | null;
  readonly step: OperationStep;
  readonly outcome: 'ready' | 'failed' | null;
  readonly progress: number;
  readonly message: string;
  readonly reason?: OperationReason;
  readonly force: boolean;
  /** The profile to start with; null until it is chosen. */
  readonly profile: string | null;
  /** The team’s generation when the profile was chosen; absent without one, and in records of earlier versions. */
  readonly profileChosenAt?: number;
  /** Uid of the previous pod, which a start must not mistake for its own while it terminates; null without one. */
  readonly formerPod: string | null;
  /** Since when the new pod’s image cannot be pulled; absent while it can. */
  readonly pullFailingSince?: string;
  /** Until when one instance alone makes the call of this step; absent when it is not claimed. */
  readonly claimedUntil?: string;
  /** E-mails of those who may read the deletion of a team, which outlives the team; absent for every other kind. */
  readonly readers?: readonly string[];
  readonly by: string;
  /** The stable subject of the caller’s account, if known. */
  readonly bySubject?: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  /** When the current step times out. */
  readonly deadlineAt: string;
  /** When the tick advances it next; null once it is finished. */
  readonly dueAt: string | null;
  /** When it may be deleted; counted from its end once it is finished. */
  readonly expiresAt: string;
}

/** What an operation is about; several of one kind are possible only on different servers. */
export const targetTypeOf = ({
  kind,
}: Pick<OperationRecord, 'kind'>): Static<typeof OperationTarget>['type'] => {
  switch (kind) {
    case 'start':
    case 'stop':
    case 'restart':
      return 'server';
    case 'restart_hub':
      return 'hub';
    case 'retry_notebook':
    case 'delete_notebook':
      return 'notebook';
    case 'delete_team':
      return 'team';
    default:
      return kind satisfies never;
  }
};

/** Whether reconciling the team does the work; such an operation is never the only one on its target. */
export const isByReconcile = ({ kind }: Pick<OperationRecord, 'kind'>): boolean =>
  kind === 'retry_notebook' || kind === 'delete_notebook' || kind === 'delete_team';
