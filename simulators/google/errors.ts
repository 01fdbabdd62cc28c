import { type Answer, json } from '../registries/http.ts';

const statusOf = {
  INVALID_ARGUMENT: 400,
  FAILED_PRECONDITION: 400,
  UNAUTHENTICATED: 401,
  PERMISSION_DENIED: 403,
  NOT_FOUND: 404,
  ABORTED: 409,
  ALREADY_EXISTS: 409,
  RESOURCE_EXHAUSTED: 429,
  INTERNAL: 500,
  UNAVAILABLE: 503,
} as const;

export type Status = keyof typeof statusOf;

/** An error of Google’s APIs, in the form of AIP-193. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly status: Status;
  readonly details: readonly object[];
  constructor(status: Status, message: string, details: readonly object[] = []) {
    super(message);
    this.status = status;
    this.details = details;
  }
}

export const refusal = ({ status, message, details }: Refusal): Answer =>
  json(statusOf[status], {
    error: { code: statusOf[status], message, status, ...(details.length > 0 && { details }) },
  });

/** The error for a missing permission, and for a missing resource that the caller may not know about. */
export const denied = (permission: string, resource: string): Refusal =>
  new Refusal(
    'PERMISSION_DENIED',
    `Permission '${permission}' denied for resource '${resource}' (or it may not exist).`,
    [
      {
        '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
        reason: 'IAM_PERMISSION_DENIED',
        domain: 'iam.googleapis.com',
        metadata: { permission, resource },
      },
    ],
  );

/** The quota of requests per minute is exhausted. */
export const quotaRefusal = (service: string, metric: string): Refusal =>
  new Refusal(
    'RESOURCE_EXHAUSTED',
    `Quota exceeded for quota metric '${metric}' and limit '${metric} per minute' of service '${service}' for consumer 'project_number:123456789012'.`,
    [
      {
        '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
        reason: 'RATE_LIMIT_EXCEEDED',
        domain: 'googleapis.com',
        metadata: { service, quota_metric: metric },
      },
    ],
  );
