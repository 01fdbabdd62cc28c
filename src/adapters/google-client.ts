/** What Google’s generated clients are opened with: HTTP rather than gRPC, our own tokens, and an origin. */
export const clientOptions = async (origin: string, accessToken: () => Promise<string>) => {
  const { OAuth2Client } = await import('google-auth-library');
  const authClient = new OAuth2Client();
  // The source of the token caches it; the short expiry only makes the client ask the source.
  authClient.refreshHandler = async () => ({
    access_token: await accessToken(),
    expiry_date: Date.now() + 60_000,
  });
  const { protocol, hostname, port } = new URL(origin);
  const defaultPort = protocol === 'http:' ? 80 : 443;
  return {
    fallback: true,
    authClient,
    protocol: protocol.slice(0, -1),
    apiEndpoint: hostname,
    port: port === '' ? defaultPort : Number(port),
  } as const;
};

/** Whether Google answered an error in its own form. The clients derive a code from any status, also of a proxy. */
export const isGoogleAnswer = (error: unknown): error is Error =>
  error instanceof Error && 'details' in error;

/** The gRPC code of a client’s error. */
export const codeOf = (error: unknown): number | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'number' ? error.code : undefined;
