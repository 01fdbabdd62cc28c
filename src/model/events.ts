import Type, { type TSchema } from 'typebox';
import { answer, known, ref } from '../lib/schema.ts';
import { Notebook } from './notebook.ts';
import { Operation } from './operation.ts';
import { ServerPage } from './server.ts';

/** One event of a stream, as EventSource reports it: its name, and its data parsed as JSON. */
const streamEvent = <T extends TSchema>(
  name: string,
  data: T,
  $id: string,
  description: string,
  more: Record<string, TSchema> = {},
) =>
  answer(
    {
      event: Type.Unsafe<string>({ type: 'string', const: name, description: 'The name of the event.' }),
      ...more,
      data,
    },
    { $id, description },
  );

export const NotebookEvent = streamEvent(
  'notebook',
  ref(Notebook),
  'NotebookEvent',
  'The notebook as it is now.',
  {
    id: Type.String({
      description: 'Revision and version of the status; the same for the same notebook.',
      examples: ['3.14'],
    }),
  },
);

export const OperationEvent = streamEvent(
  'operation',
  ref(Operation),
  'OperationEvent',
  'The operation as it is now. The stream ends after one that is done.',
);

export const ServersEvent = streamEvent(
  'servers',
  ref(ServerPage),
  'ServersEvent',
  'Every server of the team as it is now.',
);

export const Reconnect = answer(
  {
    reason: Type.Optional(
      known(['token_expired'], {
        description: 'token_expired: a new token is needed first. Absent for every other reason.',
        examples: ['token_expired'],
      }),
    ),
  },
  { $id: 'Reconnect' },
);

export const ReconnectEvent = streamEvent(
  'reconnect',
  ref(Reconnect),
  'ReconnectEvent',
  'The stream ends here, and its subject may change again: connect again.',
);

export const Deleted = answer({}, { $id: 'Deleted' });

export const DeletedEvent = streamEvent(
  'deleted',
  ref(Deleted),
  'DeletedEvent',
  'The notebook is gone, and the stream ends.',
);

/** The events of one stream: whichever it is, `event` says so. */
const streamOf = ($id: string, ...events: readonly (TSchema & { readonly $id?: string })[]) =>
  Type.Unsafe<string>({
    $id,
    description: 'One event of the stream.',
    oneOf: events.map((event) => ref(event)),
  });

export const NotebookStream = streamOf('NotebookStream', NotebookEvent, DeletedEvent, ReconnectEvent);
export const OperationStream = streamOf('OperationStream', OperationEvent, ReconnectEvent);
export const ServersStream = streamOf('ServersStream', ServersEvent, DeletedEvent, ReconnectEvent);

export const eventSchemas = [
  Deleted,
  DeletedEvent,
  NotebookEvent,
  OperationEvent,
  Reconnect,
  ReconnectEvent,
  ServersEvent,
  NotebookStream,
  OperationStream,
  ServersStream,
];
