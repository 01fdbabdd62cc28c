import type { JsonMap } from './json.ts';

export interface Cause extends JsonMap {
  reason: string;
  message: string;
  field: string;
}

interface Details {
  name?: string;
  group?: string;
  kind?: string;
  causes?: Cause[];
  retryAfterSeconds?: number;
}

/** A refusal as the API server words it: a Status object with an HTTP code. */
export class ApiError extends Error {
  readonly code: number;
  readonly reason: string;
  readonly details: Details | undefined;

  constructor(code: number, reason: string, message: string, details?: Details) {
    super(message);
    this.code = code;
    this.reason = reason;
    this.details = details;
  }

  get body(): JsonMap {
    const details: JsonMap = {};
    for (const [key, value] of Object.entries(this.details ?? {})) {
      if (value !== undefined && value !== '') details[key] = value;
    }
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: this.message,
      ...(this.reason === '' ? {} : { reason: this.reason }),
      ...(Object.keys(details).length === 0 ? {} : { details }),
      code: this.code,
    };
  }
}

/** What an error is about: the plural with its group, and the object's name. */
export interface Subject {
  readonly group: string;
  readonly plural: string;
  readonly kind: string;
  readonly name: string;
}

const qualified = (subject: Subject): string =>
  subject.group === '' ? subject.plural : `${subject.plural}.${subject.group}`;

const about = (subject: Subject): Details => ({
  name: subject.name,
  group: subject.group,
  kind: subject.plural,
});

export const badRequest = (message: string): ApiError => new ApiError(400, 'BadRequest', message);

export const notFound = (subject: Subject): ApiError =>
  new ApiError(404, 'NotFound', `${qualified(subject)} "${subject.name}" not found`, about(subject));

export const noSuchPath = (): ApiError =>
  new ApiError(404, 'NotFound', 'the server could not find the requested resource', {});

export const methodNotAllowed = (): ApiError =>
  new ApiError(
    405,
    'MethodNotAllowed',
    'the server does not allow this method on the requested resource',
    {},
  );

export const alreadyExists = (subject: Subject): ApiError =>
  new ApiError(
    409,
    'AlreadyExists',
    `${qualified(subject)} "${subject.name}" already exists`,
    about(subject),
  );

export const conflict = (subject: Subject, why: string): ApiError =>
  new ApiError(
    409,
    'Conflict',
    `Operation cannot be fulfilled on ${qualified(subject)} "${subject.name}": ${why}`,
    about(subject),
  );

export const modified = (subject: Subject): ApiError =>
  conflict(
    subject,
    'the object has been modified; please apply your changes to the latest version and try again',
  );

export const forbidden = (subject: Subject, why: string): ApiError =>
  new ApiError(
    403,
    'Forbidden',
    `${qualified(subject)} "${subject.name}" is forbidden: ${why}`,
    about(subject),
  );

export const internal = (message: string): ApiError =>
  new ApiError(500, 'InternalError', `Internal error occurred: ${message}`, {
    causes: [{ reason: '', message, field: '' }],
  });

export const unsupportedMediaType = (message: string): ApiError =>
  new ApiError(415, 'UnsupportedMediaType', message, {});

export const expired = (message: string): ApiError => new ApiError(410, 'Expired', message);

/** One fault in an object, as `field.Error` of the API machinery words it. */
export interface Fault {
  readonly reason:
    | 'FieldValueInvalid'
    | 'FieldValueRequired'
    | 'FieldValueForbidden'
    | 'FieldValueNotSupported'
    | 'FieldValueDuplicate';
  readonly field: string;
  readonly message: string;
}

const shown = (value: unknown): string => JSON.stringify(value) ?? 'null';

export const invalidValue = (field: string, value: unknown, why: string): Fault => ({
  reason: 'FieldValueInvalid',
  field,
  message: `Invalid value: ${shown(value)}: ${why}`,
});

export const requiredValue = (field: string, why = ''): Fault => ({
  reason: 'FieldValueRequired',
  field,
  message: why === '' ? 'Required value' : `Required value: ${why}`,
});

export const forbiddenValue = (field: string, why: string): Fault => ({
  reason: 'FieldValueForbidden',
  field,
  message: `Forbidden: ${why}`,
});

export const notSupported = (field: string, value: unknown, allowed: readonly string[]): Fault => ({
  reason: 'FieldValueNotSupported',
  field,
  message: `Unsupported value: ${shown(value)}: supported values: ${allowed.map((one) => `"${one}"`).join(', ')}`,
});

export const duplicateValue = (field: string, value: unknown): Fault => ({
  reason: 'FieldValueDuplicate',
  field,
  message: `Duplicate value: ${shown(value)}`,
});

/** 422 with every fault listed; call it with at least one. */
export function invalid(subject: Subject, faults: readonly Fault[]): ApiError {
  const lines = faults.map((fault) => `${fault.field}: ${fault.message}`);
  const kind = subject.group === '' ? subject.kind : `${subject.kind}.${subject.group}`;
  return new ApiError(
    422,
    'Invalid',
    `${kind} "${subject.name}" is invalid: ${lines.length === 1 ? lines[0] : `[${lines.join(', ')}]`}`,
    {
      name: subject.name,
      group: subject.group,
      kind: subject.kind,
      causes: faults.map((fault) => ({ ...fault })),
    },
  );
}
