import Type, { type Static } from 'typebox';
import { answer, closed, Instant, known, nullable, ref } from '../lib/schema.ts';
import { Change } from './change.ts';
import { OperationReason } from './operation-reasons.ts';
import { pageOf } from './page.ts';
import { ProfileSlug, ServerProfile } from './profile.ts';
import { Slug, usernamePattern } from './team.ts';

export const serverStates = [
  'stopped',
  'starting',
  'running',
  'stopping',
  'hub_restarting',
  'unknown',
] as const;

/** A member’s notebook server as it is now. */
export const Server = answer(
  {
    user: Type.String({ description: 'Hub user name.', examples: ['kari.nordmann@nav.no'] }),
    state: known(serverStates, {
      description:
        'hub_restarting: the hub has just started and is checking whether this server is running. unknown: the hub does not answer and there is no pod.',
      examples: ['running'],
    }),
    startedAt: nullable(Instant),
    lastActivityAt: nullable(Instant),
    stopsAt: nullable(
      Type.String({
        format: 'date-time',
        description:
          'When it is stopped unless there is activity until then; null when it is not running, and while the hub does not answer.',
        examples: ['2026-11-23T10:00:00.000Z'],
      }),
    ),
    stopsBecause: nullable(
      known(['idle', 'max_age', 'extended'], {
        description: 'Which rule applies: no activity, maximum age, or the end of a requested extension.',
        examples: ['idle'],
      }),
    ),
    profile: ref(ServerProfile),
    image: nullable(
      Type.String({
        description: 'The running image with its digest; null without a pod.',
        examples: [`ghcr.io/navikt/my-notebook:20261123-090000-abc1234@sha256:${'a'.repeat(64)}`],
      }),
    ),
    pendingChanges: nullable(
      Type.Array(ref(Change), {
        description:
          'What a restart would change: pointers into the notebook’s configuration, and /profile for another profile. Empty for a server that is not running; null when it is not known, as while the hub does not answer.',
      }),
    ),
    pendingRestart: nullable(
      Type.Boolean({
        description: 'Whether a restart would change anything; null when that is not known.',
        examples: [false],
      }),
    ),
    url: Type.String({
      format: 'uri',
      examples: ['https://team-a.jupyter.knada.io/user/kari.nordmann@nav.no/'],
    }),
    reason: Type.Optional(ref(OperationReason)),
    message: Type.Optional(
      Type.String({
        description: 'The same, for people.',
        examples: ['No node has room for this notebook.'],
      }),
    ),
    operation: nullable(
      Type.String({
        description: 'Id of the open operation on this server.',
        examples: ['op-6f1c2a9be0d34c57'],
      }),
    ),
  },
  {
    $id: 'Server',
    examples: [
      {
        user: 'kari.nordmann@nav.no',
        state: 'running',
        startedAt: '2026-11-23T08:00:00.000Z',
        lastActivityAt: '2026-11-23T09:00:00.000Z',
        stopsAt: '2026-11-23T10:00:00.000Z',
        stopsBecause: 'idle',
        profile: { slug: 'own-image', displayName: 'Own image' },
        image: `ghcr.io/navikt/my-notebook:20261123-090000-abc1234@sha256:${'a'.repeat(64)}`,
        pendingChanges: [],
        pendingRestart: false,
        url: 'https://team-a.jupyter.knada.io/user/kari.nordmann@nav.no/',
        operation: null,
      },
    ],
  },
);
export type Server = Static<typeof Server>;

export const ServerPage = pageOf(ref(Server), 'ServerPage');

const profileDescription =
  'Slug of an offered profile, which stays the member’s choice until the team’s image changes. Default: the last choice, else the default profile.';
const forceDescription =
  'Delete the pod whatever the hub answers, and cancel another operation on this server.';

export const StartOrder = closed(
  {
    profile: Type.Optional({ ...ProfileSlug, description: profileDescription }),
  },
  { $id: 'StartOrder', examples: [{}] },
);
export type StartOrder = Static<typeof StartOrder>;

export const RestartOrder = closed(
  {
    profile: Type.Optional({ ...ProfileSlug, description: profileDescription }),
    force: Type.Optional(Type.Boolean({ description: forceDescription, examples: [false] })),
  },
  { $id: 'RestartOrder', examples: [{}] },
);
export type RestartOrder = Static<typeof RestartOrder>;

export const StopOrder = closed(
  {
    force: Type.Optional(
      Type.Boolean({
        description: forceDescription,
        examples: [false],
      }),
    ),
  },
  { $id: 'StopOrder' },
);
export type StopOrder = Static<typeof StopOrder>;

/** The longest extension of a server, in seconds. */
export const longestExtensionSeconds = 24 * 3_600;

export const ExtendOrder = closed(
  {
    until: Type.Optional(
      Type.String({
        format: 'date-time',
        description: 'An instant at most 24 hours ahead.',
        examples: ['2026-11-23T17:00:00.000Z'],
      }),
    ),
    forSeconds: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: longestExtensionSeconds,
        description: 'The same, counted from now.',
        examples: [14_400],
      }),
    ),
  },
  {
    $id: 'ExtendOrder',
    description: 'Either until or forSeconds. An earlier end than before shortens the extension.',
    examples: [{ forSeconds: 14_400 }],
  },
);
export type ExtendOrder = Static<typeof ExtendOrder>;

export const ServerPath = closed({
  team: Slug,
  user: Type.String({
    pattern: usernamePattern,
    maxLength: 254,
    description: 'Name of the hub user.',
    examples: ['kari'],
  }),
});

export const OperationPath = closed({
  team: Slug,
  operation: Type.String({
    pattern: '^op-[0-9a-f]{16}$',
    description: 'Id of the operation.',
    examples: ['op-6f1c2a9be0d34c57'],
  }),
});
