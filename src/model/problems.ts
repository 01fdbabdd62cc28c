/**
 * The catalogue of errors. A code is part of the API: once released it keeps its meaning. Only http/problem.ts maps
 * codes to HTTP.
 */
export const catalogue = {
  validation_failed: [
    'Validation failed',
    'The request does not fit its schema or its bounds; errors lists every fault.',
  ],
  malformed: ['Malformed request', 'The request could not be read.'],
  invalid_cursor: ['Invalid cursor', 'This cursor was not made by this list; start again without one.'],
  unauthenticated: [
    'Not signed in',
    'Send a bearer token of a configured issuer in the Authorization header.',
  ],
  forbidden: ['Forbidden', 'You may not do this.'],
  not_found: ['Not found', 'There is nothing here that you may see.'],
  method_not_allowed: ['Method not allowed', 'This path does not answer that method.'],
  team_exists: ['Team exists', 'A team with this slug exists already; choose another slug.'],
  server_busy: ['Server busy', 'Another operation on this server is still open.'],
  server_not_running: ['Server not running', 'The server is not running, so there is nothing to extend.'],
  no_environment: [
    'No environment',
    'There is nothing to start: the team has no image of its own, and no environment is offered.',
  ],
  homes_exist: [
    'Home volumes exist',
    'The team has home volumes. Send deleteHomes=true to delete them for good.',
  ],
  secret_exists: ['Secret exists', 'The team has a secret. Send deleteSecret=true to delete it for good.'],
  secret_version_destroyed: [
    'Version destroyed',
    'This version is destroyed permanently; it can be neither enabled nor disabled.',
  ],
  cannot_shrink: ['Storage cannot shrink', 'A home volume can only grow.'],
  deleting: ['Being deleted', 'This is being deleted; wait until it is gone.'],
  revision_mismatch: [
    'Revision mismatch',
    'It has changed since you read it; read it again and repeat your change.',
  ],
  payload_too_large: ['Payload too large', 'The body is larger than this operation accepts.'],
  unsupported_media_type: ['Unsupported media type', 'This operation does not accept that content type.'],
  not_acceptable: [
    'Not acceptable',
    'This operation cannot respond in a media type that the Accept header allows.',
  ],
  uri_too_long: ['URI too long', 'The path or a parameter in it is too long.'],
  headers_too_large: ['Header fields too large', 'The header fields are too large.'],
  invalid_allowlist: [
    'Invalid allowlist',
    'The allowlist has invalid entries; errors lists every one of them.',
  ],
  image_invalid: ['Invalid image', 'This is not an image reference.'],
  tag_required: ['Tag required', 'Name a tag.'],
  registry_not_allowed: [
    'Registry not allowed',
    'Notebook images come from GHCR or Google Artifact Registry.',
  ],
  image_not_allowed: ['Image not allowed', 'This team may not use that image.'],
  image_not_found_or_private: [
    'Image not found or private',
    'The image does not exist, or the cluster may not pull it.',
  ],
  tag_not_found: ['Tag not found', 'The image has no such tag.'],
  image_broken: ['Image broken', 'The registry lists this image but a part of it is missing; rebuild it.'],
  platform_missing: ['Platform missing', 'The image has no variant for linux/amd64.'],
  too_many_requests: ['Too many requests', 'The rate limit is exceeded; Retry-After says when to try again.'],
  upstream_bad_answer: ['Bad answer from upstream', 'A system behind this API returned an invalid response.'],
  upstream_unavailable: [
    'Upstream unavailable',
    'A system behind this API does not answer; try again shortly.',
  ],
  hub_unavailable: ['Hub unavailable', 'The team’s JupyterHub does not answer; try again shortly.'],
  hub_restarting: ['Hub restarting', 'The team’s JupyterHub is restarting; try again shortly.'],
  registry_unavailable: ['Registry unavailable', 'The image registry does not answer; try again shortly.'],
  busy: ['Busy', 'Many changes arrive at once; try again shortly.'],
  internal: ['Internal error', 'An unexpected error occurred; give the request id when you report it.'],
} as const satisfies Record<string, readonly [title: string, detail: string]>;

export type ProblemCode = keyof typeof catalogue;

/** One fault of a request: where (RFC 6901 pointer into the body; query and path as `/query/…`, `/path/…`) and what. */
export interface Fault {
  readonly pointer: string;
  readonly code: string;
  readonly message: string;
}

interface ProblemOptions {
  readonly detail?: string;
  readonly errors?: readonly Fault[];
  readonly retryAfterSeconds?: number;
  readonly cause?: unknown;
}

/** An error response. The detail is for the caller; the cause is only logged. */
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
