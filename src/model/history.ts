import Type, { type Static } from 'typebox';
import { answer, Instant, known, nullable, ref } from '../lib/schema.ts';
import { Change } from './change.ts';
import { NotebookSpec } from './notebook.ts';
import { pageOf } from './page.ts';

/** One change: who made it, when, and what changed. */
export const HistoryItem = answer(
  {
    n: Type.Integer({ minimum: 1, description: 'Number of the entry within its team.' }),
    at: Instant,
    by: Type.String({
      description: 'The person or the part of the platform that made the change.',
      examples: ['kari.nordmann@nav.no'],
    }),
    action: known([
      'team_created',
      'team_updated',
      'team_deleted',
      'member_added',
      'member_changed',
      'member_removed',
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
        description: 'Why it happened, in a sentence, when the action alone does not say.',
        examples: ['No activity for 60 minutes.'],
      }),
    ),
    revision: nullable(
      Type.Integer({
        description: 'The resulting notebook revision, which restoreRevision accepts.',
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

/**
 * A history entry as it is stored. `bySubject`: the stable subject of the caller’s account (`oid` of Entra, else `sub`),
 * since an e-mail address may pass to another person. Clients do not see it; absent for the platform and in older entries.
 */
export interface HistoryRecord extends HistoryItem {
  readonly bySubject?: string;
}

/** A history entry before the store assigns its number. */
export type HistoryEvent = Omit<HistoryRecord, 'n'>;
