import { type DestinationStream, type Logger, type LoggerOptions, pino } from 'pino';
import { Value } from 'typebox/value';
import { at } from './lib/json.ts';
import { Slug } from './model/team.ts';

/** Cloud Logging’s severities (LogSeverity) of pino’s levels. */
const severities: Readonly<Record<string, string>> = {
  trace: 'DEBUG',
  debug: 'DEBUG',
  info: 'INFO',
  warn: 'WARNING',
  error: 'ERROR',
  fatal: 'CRITICAL',
};

/** What is logged of a request; one that matched no route has none. */
interface RequestSeen {
  readonly id: string;
  readonly method: string;
  readonly routeOptions?: { readonly url?: string };
  readonly params?: unknown;
}

const teamIn = (params: unknown): string => {
  const team = at(params, 'team');
  return Value.Check(Slug, team) ? team : ':team';
};

/**
 * JSON lines as Cloud Logging reads them (cloud.google.com/logging/docs/structured-logging). Requests are logged
 * by method, route and team; nothing else that the caller wrote ever is: it may be a secret in the wrong place.
 * Lines go to standard output, unless to a destination.
 */
export const createLogger = (level: string, destination?: DestinationStream): Logger => {
  const options: LoggerOptions = {
    level,
    messageKey: 'message',
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label) => ({ severity: severities[label] ?? 'DEFAULT' }) },
    serializers: {
      req: ({ id, method, routeOptions, params }: RequestSeen) => ({
        id,
        method,
        url: routeOptions?.url?.replace(':team', teamIn(params)),
      }),
      res: ({ statusCode }: { statusCode: number }) => ({ statusCode }),
    },
  };
  return destination === undefined ? pino(options) : pino(options, destination);
};
