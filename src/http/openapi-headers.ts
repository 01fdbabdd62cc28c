/** The response headers of the contract, as OpenAPI components; a response refers to them by name. */
const headers = {
  'x-request-id': {
    component: 'RequestId',
    description: 'Identifies this request; quote it when you report a problem.',
    required: true,
    schema: { type: 'string', format: 'uuid', examples: ['0f5a6b4c-92f3-4f0e-8a53-3c1d4c2f6a10'] },
  },
  etag: {
    component: 'ETag',
    description:
      'The version of this representation (RFC 9110): send it back in If-Match or If-None-Match. Opaque.',
    required: true,
    schema: { type: 'string', examples: ['"team-a-3f9c.3.14"'] },
  },
  location: {
    component: 'Location',
    description: 'The path of what was created.',
    required: true,
    schema: { type: 'string', examples: ['/v1/teams/team-a'] },
  },
  'retry-after': {
    component: 'RetryAfter',
    description: 'How long to wait before the next attempt, in seconds.',
    required: true,
    schema: { type: 'integer', minimum: 0, maximum: 86_400, examples: [5] },
  },
  'ratelimit-limit': {
    component: 'RateLimitLimit',
    description: 'Requests per minute; absent where no rate limit is set.',
    required: false,
    schema: { type: 'integer', minimum: 1, maximum: 2_147_483_647, examples: [1200] },
  },
  'ratelimit-remaining': {
    component: 'RateLimitRemaining',
    description: 'Requests that are left in this minute.',
    required: false,
    schema: { type: 'integer', minimum: 0, maximum: 2_147_483_647, examples: [1187] },
  },
  'ratelimit-reset': {
    component: 'RateLimitReset',
    description: 'Seconds until the minute is over.',
    required: false,
    schema: { type: 'integer', minimum: 0, maximum: 60, examples: [42] },
  },
  deprecation: {
    component: 'Deprecation',
    description:
      'Since when this operation is deprecated (RFC 9745), as @<epoch seconds>; absent while it is not.',
    required: false,
    schema: { type: 'string', examples: ['@1798761600'] },
  },
  sunset: {
    component: 'Sunset',
    description:
      'When this operation stops answering (RFC 8594), an HTTP date; absent while that is not decided.',
    required: false,
    schema: { type: 'string', examples: ['Fri, 01 Jan 2027 00:00:00 GMT'] },
  },
} as const;

type HeaderName = keyof typeof headers;

/** The headers that every response may have. */
const everywhere: readonly HeaderName[] = [
  'x-request-id',
  'ratelimit-limit',
  'ratelimit-remaining',
  'ratelimit-reset',
  'deprecation',
  'sunset',
];

/** All response headers that a web page needs to see; browsers hide the others (CORS). */
export const exposedHeaders: readonly string[] = [...Object.keys(headers), 'allow'];

export const componentHeaders = Object.fromEntries(
  Object.values(headers).map(({ component, ...header }) => [component, header]),
);

/** The headers of a response: its own and those of every response. */
export const headerRefs = (own: readonly HeaderName[]): Record<string, { readonly $ref: string }> =>
  Object.fromEntries(
    [...own, ...everywhere].map((name) => [
      name,
      { $ref: `#/components/headers/${headers[name].component}` },
    ]),
  );
