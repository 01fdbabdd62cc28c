import type { UpstreamMessage } from '../lib/redaction.ts';
import type { IamOutcome } from '../ports/iam.ts';
import { QuotaExceeded, Unavailable } from '../ports/unavailable.ts';

/** The gRPC codes that are handled (google/rpc/code.proto). */
export const code = {
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  exhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  unauthenticated: 16,
} as const;

/** An error in Google’s own form. */
export interface GoogleFailure {
  readonly code: number | undefined;
  readonly message: UpstreamMessage;
  /** The violations of a PreconditionFailure. */
  readonly violations: readonly UpstreamMessage[];
}

/** The API that a failure is about. */
export interface GoogleSystem {
  readonly system: 'secret-manager' | 'iam';
  /** The display name. */
  readonly name: string;
  /** The role that our service account needs. */
  readonly role: string;
}

const longestMessage = 400;

/** Google’s message on one line, shortened. */
const oneLine = (message: UpstreamMessage): string => {
  const line = `${message}`.replaceAll(/\s+/g, ' ').trim().slice(0, longestMessage);
  return line === '' ? 'no reason was given.' : line;
};

/** The exhausted quota, from Google’s message. */
const quotaIn = (message: UpstreamMessage): string => {
  const [, metric] = /quota metric '([^']{1,100})'/i.exec(`${message}`) ?? [];
  return metric === undefined ? '' : ` (${metric})`;
};

/**
 * The error to throw for a failure. `isSilent`: the request carried a payload, which Google’s message may quote, so the
 * message is left out. No error has a cause: the errors of Google’s clients carry the request.
 */
export const unavailable = (
  { system, name, role }: GoogleSystem,
  failure: GoogleFailure,
  isSilent = false,
): Unavailable => {
  const said = isSilent ? '' : ` Google says: ${oneLine(failure.message)}`;
  switch (failure.code) {
    case code.unauthenticated:
      return new Unavailable(system, `${name} does not accept this service’s identity.`);
    case code.permissionDenied:
      return new Unavailable(
        system,
        `${name} denies access to this service’s account: it needs ${role}, and the API must be enabled in the project.${said}`,
      );
    case code.exhausted: {
      const which = isSilent ? `${quotaIn(failure.message)}.` : `: ${oneLine(failure.message)}`;
      return new QuotaExceeded(system, `A quota of ${name} is exhausted${which}`);
    }
    case code.deadlineExceeded:
      return new Unavailable(system, `${name} did not answer in time.`);
    case code.invalidArgument:
    case code.failedPrecondition:
      return new Unavailable(system, `${name} rejected the request.${said}`);
    default:
      return new Unavailable(system, `${name} failed.${said}`);
  }
};

/** Google reads and writes policies with conditions in this version only. */
export const policyVersion = 3;

const unknownMember =
  /^(?:.{0,200}: )?(?:User|Service account|Group|Domain|Account|Principal|Member) (\S{1,254}) (?:does not exist|is of type)/i;

const forbiddenMember = /^User (\S{1,254}) is not in permitted organization/i;
const forbidden = /do not belong to a permitted customer/i;

/** The outcome of a refused policy write; undefined when the failure is not one of the expected ones. */
export const policyRefusal = ({
  code: failed,
  message,
  violations,
}: GoogleFailure): IamOutcome | undefined => {
  if (failed === code.aborted || failed === code.notFound) return { outcome: 'conflict' };
  const isAboutMembers = failed === code.invalidArgument || failed === code.failedPrecondition;
  if (!isAboutMembers) return undefined;
  const unknown = message.exec(unknownMember)?.[1];
  if (unknown !== undefined) return { outcome: 'unknown_member', member: unknown, message: oneLine(message) };
  if (message.exec(forbidden) === null) return undefined;
  const member = violations.map((violation) => violation.exec(forbiddenMember)?.[1]).find(Boolean);
  return { outcome: 'unknown_member', member, message: oneLine(message) };
};

/** The timeout of every call; milliseconds. */
export const callMs = 10_000;

/** Ends with the signal or after `callMs`, also for clients that do not support signals; throws Unavailable then. */
export const bounded = async <T>(
  { system, name }: GoogleSystem,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> => {
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(callMs)]);
  const late = () => new Unavailable(system, `${name} did not answer in time.`);
  if (deadline.aborted) throw late();
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = () => reject(late());
  deadline.addEventListener('abort', stop, { once: true });
  try {
    const running = work(deadline);
    running.catch(() => {});
    return await Promise.race([running, promise]);
  } finally {
    deadline.removeEventListener('abort', stop);
  }
};
