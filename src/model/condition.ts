import Type, { type Static } from 'typebox';
import { closed, Instant, oneOf } from '../lib/schema.ts';

export const conditionTypes = [
  'ImageResolved',
  'SecretReady',
  'Applied',
  'HubReady',
  'MembersSynced',
  'EgressEffective',
] as const;

export type ConditionType = (typeof conditionTypes)[number];

/**
 * One aspect of the status. Unknown means that the state could not be determined; it is never shown as True or False.
 * The condition of a feature that is not in use is absent.
 */
export const Condition = closed(
  {
    type: oneOf(conditionTypes, { examples: ['Applied'] }),
    status: oneOf(['True', 'False', 'Unknown']),
    reason: Type.String({ description: 'CamelCase, for programs.', examples: ['AsOrdered'] }),
    message: Type.String({
      description: 'A sentence, for people.',
      examples: ['Everything ordered is in the cluster.'],
    }),
    lastTransitionTime: Instant,
  },
  { $id: 'Condition' },
);
export type Condition = Static<typeof Condition>;

export const phases = ['Pending', 'Applying', 'Ready', 'Degraded', 'Deleting'] as const;

/** The overall state of a team or its notebook. */
export const Phase = oneOf(phases, {
  $id: 'Phase',
  description:
    'Pending: nothing applied yet. Applying: on its way. Ready: as ordered. Degraded: was Ready and is not, or every try is spent. Deleting.',
});
export type Phase = (typeof phases)[number];
