import Type, { type Static } from 'typebox';
import { closed, Instant, nullable, oneOf, ref } from '../lib/schema.ts';
import { Change } from './change.ts';
import { NotebookSpec } from './notebook.ts';
import { pageOf } from './page.ts';

/** A recorded change: who, when, and the values before and after. */
export const HistoryItem = closed(
  {
    n: Type.Integer({ minimum: 1, description: 'Counts the entries of a team.' }),
    at: Instant,
    by: Type.String({
      description: 'The person, or the part of the platform, that did it.',
      examples: ['kari.nordmann@nav.no'],
    }),
    action: oneOf([
      'team_created',
      'team_updated',
      'team_deleted',
      'notebook_ordered',
      'notebook_changed',
      'notebook_restored',
      'notebook_deleted',
      'notebook_retried',
      'image_refreshed',
      'server_started',
      'server_stopped',
      'server_restarted',
      'server_extended',
      'server_culled',
      'hub_restarted',
      'hub_user_removed',
      'secret_version_added',
      'secret_version_enabled',
      'secret_version_disabled',
    ]),
    reason: Type.Optional(
      Type.String({
        description: 'A sentence, for people, where the action alone does not say why.',
        examples: ['No activity for 60 minutes.'],
      }),
    ),
    revision: nullable(
      Type.Integer({
        description: 'The notebook revision it led to; restore takes this number.',
        examples: [3],
      }),
    ),
    changes: Type.Array(ref(Change)),
    spec: Type.Optional(ref(NotebookSpec)),
  },
  { $id: 'HistoryItem' },
);
export type HistoryItem = Static<typeof HistoryItem>;

export const HistoryPage = pageOf(ref(HistoryItem), 'HistoryPage');

/** A history entry before the store has numbered it. */
export type HistoryEvent = Omit<HistoryItem, 'n'>;
