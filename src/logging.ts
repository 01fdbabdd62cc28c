import { type Logger, pino } from 'pino';

/** Cloud Logging’s severities (LogSeverity) of pino’s levels. */
const severities: Readonly<Record<string, string>> = {
  trace: 'DEBUG',
  debug: 'DEBUG',
  info: 'INFO',
  warn: 'WARNING',
  error: 'ERROR',
  fatal: 'CRITICAL',
};

/**
 * JSON lines as Cloud Logging reads them (cloud.google.com/logging/docs/structured-logging). Requests are logged
 * by method and path; headers and bodies, which may carry secrets, never are.
 */
export const createLogger = (level: string): Logger =>
  pino({
    level,
    messageKey: 'message',
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label) => ({ severity: severities[label] ?? 'DEFAULT' }) },
    serializers: {
      req: ({ id, method, url }: { id: string; method: string; url: string }) => ({ id, method, url }),
      res: ({ statusCode }: { statusCode: number }) => ({ statusCode }),
    },
  });
