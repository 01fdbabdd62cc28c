import { type Answer, isoformat, Refused } from './answer.ts';
import { type Call, jsonOf, needs } from './caller.ts';

const furthestMs = 59 * 60_000;
const form = 'servers must be a dict of the form {server_name: {last_activity: timestamp}}';

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A reported instant; without a time zone it is UTC. Throws Refused. */
const instantOf = (value: unknown, now: number): string => {
  const text = typeof value === 'string' ? value : '';
  const time = Date.parse(/(?:Z|[+-]\d{2}:?\d{2})$/i.test(text) ? text : `${text}Z`);
  if (Number.isNaN(time)) throw new Refused(400, `Not a valid timestamp: '${String(value)}'`);
  const instant = new Date(time).toISOString();
  if (time - now > furthestMs) {
    throw new Refused(400, `Rejecting activity from more than an hour in the future: ${isoformat(instant)}`);
  }
  return instant;
};

const isLater = (instant: string, than: string | null): boolean =>
  than === null || Date.parse(instant) > Date.parse(than);

/** Records reported activity, which only moves forward. */
export const reportActivity = (call: Call, name: string): Answer => {
  needs(call, ['users:activity'], name);
  const { database, now } = call.hub;
  const user = database.user(name);
  if (user === undefined) throw new Refused(404, `No such user: '${name}'`);
  const body = jsonOf(call);
  if (!isRecord(body)) throw new Refused(400, 'body must be a json dict');
  const { last_activity: ofUser, servers } = body;
  if (!ofUser && !servers) {
    throw new Refused(400, 'body must contain at least one of `last_activity` or `servers`');
  }
  let ofServer: string | undefined;
  if (servers) {
    if (!isRecord(servers)) throw new Refused(400, form);
    for (const [server, report] of Object.entries(servers)) {
      if (server !== '') throw new Refused(400, `No such server '${server}' for user ${name}`);
      if (!isRecord(report) || !('last_activity' in report)) throw new Refused(400, form);
      ofServer = instantOf(report.last_activity, now());
    }
  }
  if (ofUser) {
    const instant = instantOf(ofUser, now());
    if (isLater(instant, user.lastActivity)) database.change(name, { lastActivity: instant });
  }
  if (ofServer !== undefined && isLater(ofServer, user.server.lastActivity)) {
    database.change(name, { server: { lastActivity: ofServer } });
  }
  return { status: 200 };
};
