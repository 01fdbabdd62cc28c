import type { IamOutcome } from '../ports/iam.ts';
import { QuotaExceeded, Unavailable } from '../ports/unavailable.ts';

/** gRPC’s codes as far as they mean something to us (google/rpc/code.proto). */
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

/** An error that Google answered in its own form. */
export interface GoogleFailure {
  readonly code: number | undefined;
  readonly message: string;
  /** Of a PreconditionFailure: what is against it. */
  readonly violations: readonly string[];
}

/** Whom a failure is told about. */
export interface GoogleSystem {
  readonly system: 'secret-manager' | 'iam';
  /** For people. */
  readonly name: string;
  /** What our service account needs there. */
  readonly role: string;
}

const longestMessage = 400;

/** Google’s sentence, on one line and not endless. */
const told = (message: string): string => {
  const line = message.replaceAll(/\s+/g, ' ').trim().slice(0, longestMessage);
  return line === '' ? 'no reason was given.' : line;
};

/** Which quota is used up, from Google’s sentence. */
const quotaIn = (message: string): string => {
  const [, metric] = /quota metric '([^']{1,100})'/i.exec(message) ?? [];
  return metric === undefined ? '' : ` (${metric})`;
};

/**
 * The error to throw for a failure. `isSilent`: the request carried a payload, which Google’s sentence may quote; it is
 * not repeated then. No error has a cause: those of Google’s clients carry the request.
 */
export const unavailable = (
  { system, name, role }: GoogleSystem,
  failure: GoogleFailure,
  isSilent = false,
): Unavailable => {
  const said = isSilent ? '' : ` Google says: ${told(failure.message)}`;
  switch (failure.code) {
    case code.unauthenticated:
      return new Unavailable(system, `${name} does not accept this service’s identity.`);
    case code.permissionDenied:
      return new Unavailable(
        system,
        `${name} does not let this service’s account in: it needs ${role}, and the API must be enabled in the project.${said}`,
      );
    case code.exhausted: {
      const which = isSilent ? `${quotaIn(failure.message)}.` : `: ${told(failure.message)}`;
      return new QuotaExceeded(system, `A quota of ${name} is used up${which}`);
    }
    case code.deadlineExceeded:
      return new Unavailable(system, `${name} did not answer in time.`);
    case code.invalidArgument:
    case code.failedPrecondition:
      return new Unavailable(system, `${name} refused what was asked of it.${said}`);
    default:
      return new Unavailable(system, `${name} failed.${said}`);
  }
};

const unknownMember =
  /^(?:.{0,200}: )?(?:User|Service account|Group|Domain|Account|Principal|Member) (\S{1,254}) (?:does not exist|is of type)/i;

const forbiddenMember = /^User (\S{1,254}) is not in permitted organization/i;
const forbidden = /do not belong to a permitted customer/i;

/** What a refused write of a policy says in our words; undefined when it is none of those that are expected. */
export const policyRefusal = ({
  code: failed,
  message,
  violations,
}: GoogleFailure): IamOutcome | undefined => {
  if (failed === code.aborted || failed === code.notFound) return { outcome: 'conflict' };
  const isAboutMembers = failed === code.invalidArgument || failed === code.failedPrecondition;
  if (!isAboutMembers) return undefined;
  const unknown = unknownMember.exec(message)?.[1];
  if (unknown !== undefined) return { outcome: 'unknown_member', member: unknown, message: told(message) };
  if (!forbidden.test(message)) return undefined;
  const member = violations.map((violation) => forbiddenMember.exec(violation)?.[1]).find(Boolean);
  return { outcome: 'unknown_member', member, message: told(message) };
};

/** What every call has at most; milliseconds. */
export const callMs = 10_000;

/** Ends with the signal or after `callMs`, also where a client knows no signals. `given up` is thrown then. */
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
