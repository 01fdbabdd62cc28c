/** Google’s APIs that can be simulated on this machine, by host name, as `GOOGLE_ENDPOINTS` gives them. */
export interface GoogleEndpoints {
  readonly 'secretmanager.googleapis.com'?: string;
  readonly 'iam.googleapis.com'?: string;
}

export type GoogleHost = keyof GoogleEndpoints;

const localOrigin = /^http:\/\/(127\.0\.0\.1|localhost):[0-9]{1,5}$/;

/** The origin of a host: Google itself, unless a simulator on this machine is configured. Throws on anything else. */
export const originOf = (host: GoogleHost, endpoints: GoogleEndpoints = {}): string => {
  const origin = endpoints[host];
  if (origin === undefined) return `https://${host}`;
  if (!localOrigin.test(origin)) throw new TypeError(`${host} can only be simulated on this machine.`);
  return origin;
};

/** The token that the simulators accept as ours. */
const simulatorToken = 'local';

/**
 * Access tokens of our own identity. Only a simulator speaks plain HTTP, and it gets none of Google’s. Google’s library
 * is loaded with the first token that is needed, and keeps it until it expires.
 */
export const tokenSource = (origin: string): (() => Promise<string>) => {
  if (origin.startsWith('http:')) return () => Promise.resolve(simulatorToken);
  let auth: Promise<{ getAccessToken(): Promise<string | null | undefined> }> | undefined;
  return async () => {
    auth ??= import('google-auth-library').then(
      ({ GoogleAuth }) => new GoogleAuth({ scopes: ['https://www.googleapis.com/auth/cloud-platform'] }),
    );
    const token = await (await auth).getAccessToken();
    if (!token) throw new Error('Google gave no access token for this service’s identity.');
    return token;
  };
};
