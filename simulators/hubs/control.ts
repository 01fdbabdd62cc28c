import Type from 'typebox';
import { Value } from 'typebox/value';
import type { Answer } from './answer.ts';
import type { Notebooks } from './notebooks.ts';
import type { HubProcess } from './process.ts';

/** The hub, user or running server does not exist; the message names it. */
export class NotThere extends Error {
  readonly status: 404 | 409;
  constructor(status: 404 | 409, message: string) {
    super(message);
    this.status = status;
  }
}

/** What can be set of a user’s server. Instants are ISO 8601. */
export interface ServerSettings {
  /** When it was last used; unlike a report to the hub, this may move back. */
  readonly lastActivityAt?: string;
  /** When it was started; the server must be running. */
  readonly startedAt?: string;
  /** Whether its kernel is busy; the server must be running. */
  readonly busyKernel?: boolean;
}

const Instant = Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(\\.\\d+)?Z$' });

const Body = Type.Object(
  {
    lastActivityAt: Type.Optional(Instant),
    startedAt: Type.Optional(Instant),
    busyKernel: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false, minProperties: 1 },
);

/** Sets the activity of a user’s server. Throws NotThere. */
export const setServer = (
  hub: HubProcess,
  notebooks: Notebooks,
  user: string,
  { lastActivityAt, startedAt, busyKernel }: ServerSettings,
): void => {
  const row = hub.database.user(user);
  if (row === undefined) throw new NotThere(404, `The hub of ${hub.slug} has no user ${user}.`);
  if (!row.server.active && (startedAt !== undefined || busyKernel !== undefined)) {
    throw new NotThere(409, `The server of ${user} is not running.`);
  }
  if (busyKernel !== undefined) notebooks.setBusy(hub.slug, user, busyKernel);
  if (startedAt !== undefined) hub.database.change(user, { server: { started: startedAt } });
  if (lastActivityAt === undefined) return;
  // Discard what the proxy has seen, or the hub would collect it later.
  notebooks.takeActivity(hub.slug, user);
  hub.database.change(user, { lastActivity: lastActivityAt, server: { lastActivity: lastActivityAt } });
};

const refusal = (status: number, message: string): Answer => ({ status, body: { message } });

/**
 * Controls a user’s server by hand, which a real hub does not offer:
 *
 *     curl -X PUT localhost:8082/_sandbox/team-a/users/kari@example.com -d '{"busyKernel": true}'
 *
 * sets any of `lastActivityAt`, `startedAt` and `busyKernel` and answers the resulting state, as GET does. 400, 404 and
 * 409 come with a message.
 */
export const answerControl = (
  hub: HubProcess | undefined,
  notebooks: Notebooks,
  { slug, user, method, body }: { slug: string; user: string; method: string; body: string },
): Answer => {
  if (hub === undefined) return refusal(404, `No hub of ${slug} is running.`);
  if (method !== 'PUT' && method !== 'GET') return refusal(405, 'Use GET or PUT.');
  try {
    if (method === 'PUT') {
      let wanted: unknown;
      try {
        wanted = JSON.parse(body);
      } catch {
        return refusal(400, 'The body is not JSON.');
      }
      if (!Value.Check(Body, wanted)) {
        return refusal(
          400,
          'The body is {"lastActivityAt"?, "startedAt"?, "busyKernel"?}: instants as 2026-11-23T09:00:00Z, and a boolean.',
        );
      }
      setServer(hub, notebooks, user, wanted);
    } else setServer(hub, notebooks, user, {});
  } catch (error) {
    if (!(error instanceof NotThere)) throw error;
    return refusal(error.status, error.message);
  }
  const row = hub.database.user(user);
  return {
    status: 200,
    body: {
      running: row?.server.active === true,
      startedAt: row?.server.started ?? null,
      lastActivityAt: row?.server.lastActivity ?? null,
      busyKernel: notebooks.isBusy(slug, user),
    },
  };
};

const HubBody = Type.Object({ frozen: Type.Boolean() }, { additionalProperties: false });

/**
 *     curl -X PUT localhost:8082/_sandbox/team-a/hub -d '{"frozen": true}'
 *
 * freezes a hub, so it accepts connections and never answers; `false` starts it again. GET and PUT answer whether it is
 * frozen.
 */
export const answerFreezing = async (
  { method, body }: { readonly method: string; readonly body: string },
  hub: { isFrozen(): boolean; freeze(): void; thaw(): Promise<void> },
): Promise<Answer> => {
  if (method !== 'PUT' && method !== 'GET') return refusal(405, 'Use GET or PUT.');
  try {
    if (method === 'PUT') {
      const wanted = parsed(body);
      if (!Value.Check(HubBody, wanted))
        return refusal(400, 'The body is {"frozen": true} or {"frozen": false}.');
      if (wanted.frozen) hub.freeze();
      else await hub.thaw();
    }
    return { status: 200, body: { frozen: hub.isFrozen() } };
  } catch (error) {
    if (!(error instanceof NotThere)) throw error;
    return refusal(error.status, error.message);
  }
};

const ClockBody = Type.Object(
  { advanceSeconds: Type.Number({ minimum: 0, maximum: 366 * 86_400 }) },
  { additionalProperties: false },
);

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/**
 *     curl localhost:8082/_sandbox/clock -d '{"advanceSeconds": 7200}'
 *
 * moves the clock of all simulators forward and answers the new time. Tokens age too.
 */
export const answerClock = async (
  { method, body }: { readonly method: string; readonly body: string },
  moveClock: ((seconds: number) => Promise<void>) | undefined,
): Promise<Answer> => {
  if (moveClock === undefined) return refusal(404, 'The clock cannot be moved here.');
  if (method !== 'POST') return refusal(405, 'Use POST.');
  const wanted = parsed(body);
  if (!Value.Check(ClockBody, wanted)) {
    return refusal(
      400,
      'The body is {"advanceSeconds": n}, a number from 0 to a year’s worth; it never goes back.',
    );
  }
  await moveClock(wanted.advanceSeconds);
  return { status: 200, body: { now: new Date().toISOString() } };
};
