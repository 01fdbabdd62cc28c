/** Google’s APIs that we can be pointed elsewhere for, by their host names, as `GOOGLE_ENDPOINTS` gives them. */
export interface GoogleEndpoints {
  readonly 'secretmanager.googleapis.com'?: string;
  readonly 'iam.googleapis.com'?: string;
}

export type GoogleHost = keyof GoogleEndpoints;

const localOrigin = /^http:\/\/(127\.0\.0\.1|localhost):[0-9]{1,5}$/;

/** Whether it is a simulator on this machine, where no account of ours is needed and none is shown. */
export const isLocalOrigin = (origin: string): boolean => localOrigin.test(origin);

/** Where a host answers: Google itself, unless a simulator on this machine is configured. Throws on anything else. */
export const originOf = (host: GoogleHost, endpoints: GoogleEndpoints = {}): string => {
  const origin = endpoints[host];
  if (origin === undefined) return `https://${host}`;
  if (!isLocalOrigin(origin)) throw new TypeError(`${host} can only be simulated on this machine.`);
  return origin;
};

/** The token that a simulator takes for ours. */
const localToken = 'local';

/**
 * Access tokens of our own identity. A simulator on this machine is given none that is worth anything. Google’s library
 * is loaded with the first token that is needed, and keeps it until it expires.
 */
export const tokenSource = (origin: string): (() => Promise<string>) => {
  if (isLocalOrigin(origin)) return () => Promise.resolve(localToken);
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
