import { hubSecretName } from '../../../src/notebooks/keys.ts';
import type { Mischief, Seen } from '../../support/mirror.ts';

type Fields = Readonly<Record<string, string>>;

/** The ways in which an outside system fails. Each failure quotes the request, secrets included. */
const json = (status: number, body: unknown, headers: Fields = {}): Mischief => ({
  status,
  headers,
  body: JSON.stringify(body),
});
const hubVersion = { 'x-jupyterhub-version': '5.5.0' };
const status =
  (code: number, reason: string) =>
  ({ quoted }: Seen) =>
    json(code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', message: quoted, reason, code });
const googleError =
  (code: number, name: string) =>
  ({ quoted }: Seen) =>
    json(code, { error: { code, message: quoted, status: name } });
const hubError =
  (code: number, words = '') =>
  ({ quoted }: Seen) =>
    json(code, { status: code, message: `${words}${quoted}` }, hubVersion);
const garbage = ({ quoted }: Seen): Mischief => json(200, { message: quoted, items: quoted }, hubVersion);
const page = ({ quoted }: Seen): Mischief => ({
  status: 200,
  headers: { 'content-type': 'text/html', ...hubVersion },
  body: `<!doctype html><pre>${quoted}</pre>`,
});
const isWrite = ({ method }: Seen): boolean => method !== 'GET';
const onWrites = (then: (seen: Seen) => Mischief) => (seen: Seen) => (isWrite(seen) ? then(seen) : undefined);

type Ways = Readonly<Record<string, (seen: Seen) => Mischief | undefined>>;
/** Systems that answer per team: all of these fail at once, each for one team. */
export const failures: Readonly<Record<'kubernetes' | 'google' | 'hubs', Ways>> = {
  kubernetes: {
    'breaks off': () => 'drop',
    'answers 500': status(500, 'InternalError'),
    'answers 403': status(403, 'Forbidden'),
    'refuses writes': onWrites(status(422, 'Invalid')),
    'refuses the secret of the hub': (seen) =>
      isWrite(seen) && seen.url.includes(`/secrets/${hubSecretName}`)
        ? status(422, 'Invalid')(seen)
        : undefined,
    'talks nonsense': garbage,
  },
  google: {
    'breaks off': () => 'drop',
    'answers 500': googleError(500, 'INTERNAL'),
    'answers 429': googleError(429, 'RESOURCE_EXHAUSTED'),
    'answers 403': googleError(403, 'PERMISSION_DENIED'),
    'answers 400 to writes': (seen) =>
      /:setIamPolicy|:addVersion|versions\/[0-9]+:/.test(seen.url)
        ? googleError(400, 'INVALID_ARGUMENT')(seen)
        : undefined,
    'shows a page': page,
  },
  hubs: {
    freezes: () => 'freeze',
    'breaks off': () => 'drop',
    'answers 500': hubError(500),
    'answers 429': hubError(429),
    'answers 403': hubError(403, 'Action is not authorized with current scopes; '),
    'refuses writes': onWrites(hubError(400)),
    'reports a failed start': (seen) => {
      if (!seen.url.includes('/progress')) return undefined;
      const event = JSON.stringify({ progress: 50, message: seen.quoted, failed: true });
      const headers = { 'content-type': 'text/event-stream', ...hubVersion };
      return { status: 200, headers, body: `data: ${event}\n\n` };
    },
    'has notebook servers that talk nonsense': (seen) =>
      seen.url.includes('/user/') ? garbage(seen) : undefined,
    'talks nonsense': garbage,
    'shows a page': page,
  },
};
/** Registries are shared by all teams. */
export const registryFailures: Ways = {
  'breaking-off': () => 'drop',
  'answering-500': ({ quoted }) => json(500, { errors: [{ code: 'UNKNOWN', message: quoted }] }),
  'answering-401': ({ quoted }) => json(401, { errors: [{ code: 'UNAUTHORIZED', message: quoted }] }),
  'answering-403': googleError(403, 'PERMISSION_DENIED'),
  'talking-nonsense': garbage,
};
