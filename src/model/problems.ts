import { keysOf } from '../lib/keys.ts';
import { known } from '../lib/schema.ts';
import type { CodeText } from './code-text.ts';
import type { FaultCode } from './faults.ts';
import { operationReasons } from './operation-reasons.ts';

/** The errors of requests. */
const requestProblems = {
  validation_failed: [
    'Validation failed',
    'The request violates its schema or its bounds; errors lists every fault.',
  ],
  malformed: ['Malformed request', 'The request could not be read.'],
  invalid_cursor: ['Invalid cursor', 'The cursor does not belong to this list; start again without one.'],
  unauthenticated: [
    'Not signed in',
    'Send a bearer token of a configured issuer in the Authorization header.',
  ],
  forbidden: ['Forbidden', 'You are not allowed to do this.'],
  not_found: ['Not found', 'The resource does not exist, or you do not have access to it.'],
  notebook_not_ordered: ['Notebook not ordered', 'The team has no notebook; putNotebook orders one.'],
  method_not_allowed: ['Method not allowed', 'This path does not support that method.'],
  team_exists: ['Team exists', 'A team with this slug exists already; choose another slug.'],
  server_busy: ['Server busy', 'Another operation on this server is in progress.'],
  quota_exceeded: [
    'Quota exceeded',
    'The request needs more than a quota or a limit leaves; the detail says what is used and what is left.',
  ],
  last_owner: [
    'Last owner',
    'A team keeps at least one owner; make another member an owner first, or delete the team.',
  ],
  removes_you: [
    'Removes you',
    'The list of members leaves you out. Include yourself; to leave the team, remove yourself with removeMember.',
  ],
  slug_reserved: ['Slug reserved', 'The platform reserves this slug; choose another one.'],
  email_domain_not_allowed: [
    'E-mail domain not allowed',
    'Only e-mails of the platform’s domains can become members; errors lists every other one.',
  ],
  profile_differs: [
    'Another profile runs',
    'The server runs on another profile. Restart it with the profile that you want.',
  ],
  server_not_running: ['Server not running', 'The server is not running, so there is nothing to extend.'],
  no_environment: [
    'No environment',
    'There is nothing to start: the team has no image of its own, and no environment is available.',
  ],
  homes_exist: [
    'Home volumes exist',
    'The team has home volumes. Send deleteHomes=true to delete them permanently.',
  ],
  secret_exists: ['Secret exists', 'The team has a secret. Send deleteSecret=true to delete it permanently.'],
  secret_version_destroyed: [
    'Version destroyed',
    'The payload of this version was destroyed; the version can be neither enabled nor disabled.',
  ],
  cannot_shrink: ['Storage cannot shrink', 'A home volume can only grow.'],
  deleting: ['Being deleted', 'The resource is being deleted; wait until it is gone.'],
  idempotency_key_in_use: [
    'Idempotency key in use',
    'The first request with this Idempotency-Key is still running, or has ended without an answer.',
  ],
  idempotency_key_reused: [
    'Idempotency key reused',
    'Another request was sent with this Idempotency-Key; use a new key for each request.',
  ],
  revision_mismatch: [
    'Revision mismatch',
    'The resource has changed since you read it; read it again and repeat your change.',
  ],
  payload_too_large: ['Payload too large', 'The body is larger than this operation accepts.'],
  unsupported_media_type: ['Unsupported media type', 'This operation does not accept that content type.'],
  not_acceptable: ['Not acceptable', 'This operation has no response format that the Accept header allows.'],
  uri_too_long: ['URI too long', 'The path or one of its parameters is too long.'],
  headers_too_large: ['Header fields too large', 'The header fields are too large.'],
  invalid_allowlist: [
    'Invalid allowlist',
    'The allowlist has entries that cannot be used; errors lists all of them.',
  ],
  image_invalid: ['Invalid image', 'This is not an image reference.'],
  tag_required: ['Tag required', 'Name a tag.'],
  registry_not_allowed: [
    'Registry not allowed',
    'Notebook images come from GHCR or Google Artifact Registry.',
  ],
  image_not_allowed: ['Image not allowed', 'This team is not allowed to use that image.'],
  image_not_found_or_private: [
    'Image not found or private',
    'The image does not exist, or the cluster is not allowed to pull it.',
  ],
  tag_not_found: ['Tag not found', 'The image has no such tag.'],
  image_broken: ['Image broken', 'The registry lists this image, but a part of it is missing; rebuild it.'],
  platform_missing: ['Platform missing', 'The image has no variant for linux/amd64.'],
  too_many_requests: ['Too many requests', 'Send fewer requests; Retry-After says how long to wait.'],
  upstream_unavailable: [
    'Upstream unavailable',
    'A system behind this API does not answer; try again shortly.',
  ],
  hub_unavailable: ['Hub unavailable', 'The team’s JupyterHub does not answer; try again shortly.'],
  hub_restarting: ['Hub restarting', 'The team’s JupyterHub is restarting; try again shortly.'],
  registry_unavailable: ['Registry unavailable', 'The image registry does not answer; try again shortly.'],
  busy: ['Busy', 'Too many changes at the same time; try again shortly.'],
  internal: ['Internal error', 'An unexpected error occurred; report the request id.'],
} as const satisfies Record<string, CodeText>;

/**
 * The catalogue of errors: those of requests, and those that end an operation. A code is API: once released it keeps its
 * meaning. What a code means in HTTP is decided only in http/problem.ts.
 */
export const catalogue = { ...operationReasons, ...requestProblems };

export type ProblemCode = keyof typeof catalogue;

export const ProblemCode = known(keysOf(catalogue), {
  $id: 'ProblemCode',
  description: 'What went wrong with a request, or with an operation. listCodes explains each code.',
  examples: ['validation_failed'],
});

/** One fault of a request: where it is (RFC 6901 pointer into the body; query and path as `/query/…`, `/path/…`) and what it is. */
export interface Fault {
  readonly pointer: string;
  readonly code: FaultCode;
  readonly message: string;
}

interface ProblemOptions {
  readonly detail?: string;
  readonly errors?: readonly Fault[];
  readonly retryAfterSeconds?: number;
  readonly cause?: unknown;
}

/** A response that is not a success. The detail is for the caller; the cause is only logged. */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly code: ProblemCode;
  readonly title: string;
  readonly detail: string;
  readonly errors: readonly Fault[] | undefined;
  readonly retryAfterSeconds: number | undefined;

  constructor(code: ProblemCode, options: ProblemOptions = {}) {
    const [title, detail] = catalogue[code];
    super(options.detail ?? detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.title = title;
    this.detail = options.detail ?? detail;
    this.errors = options.errors;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}
