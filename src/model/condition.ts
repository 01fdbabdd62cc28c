import Type, { type Static } from 'typebox';
import { answer, Instant, known, ref } from '../lib/schema.ts';
import { ConditionReason } from './condition-reasons.ts';

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
 * One aspect of a team’s status. Unknown means that it could not be determined; it is never reported as True or False.
 * The condition of a feature that is not in use is absent.
 */
export const Condition = answer(
  {
    type: known(conditionTypes, { examples: ['Applied'] }),
    status: known(['True', 'False', 'Unknown']),
    reason: ref(ConditionReason),
    message: Type.String({
      description: 'The reason in a sentence.',
      examples: ['All objects are applied.'],
    }),
    lastTransitionTime: Instant,
  },
  { $id: 'Condition' },
);
export type Condition = Static<typeof Condition>;

export const phases = ['Pending', 'Applying', 'Ready', 'Degraded', 'Deleting'] as const;

/** Summary of a team’s or a notebook’s status. */
export const Phase = known(phases, {
  $id: 'Phase',
  description:
    'Pending: nothing is applied yet. Applying: a change is being applied. Ready: the notebook is as ordered. Degraded: it was Ready and no longer is, or all retries have failed. Deleting: it is being deleted.',
});
export type Phase = (typeof phases)[number];
