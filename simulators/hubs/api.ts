import { reportActivity } from './activity.ts';
import { type Answer, Refused } from './answer.ts';
import { type Call, needs } from './caller.ts';
import { kubeSpawnerVersion } from './kubespawner.ts';
import { showProgress } from './progress.ts';
import { deleteServer, getServer, startServer } from './servers.ts';
import { addToken, deleteToken, getToken, listTokens } from './tokens.ts';
import { addUser, addUsers, getUser, listUsers, removeUser } from './users.ts';

type Handler = (call: Call, user: string, rest: string) => Answer | Promise<Answer>;
type Methods = Readonly<Record<string, Handler>>;

const version: Handler = ({ hub }) => ({ status: 200, body: { version: hub.version } });

const info: Handler = (call) => {
  needs(call, ['read:hub']);
  const { version: hubVersion } = call.hub;
  return {
    status: 200,
    body: {
      version: hubVersion,
      python: '3.12.11',
      sys_executable: '/usr/local/bin/python3',
      spawner: { class: 'kubespawner.spawner.KubeSpawner', version: kubeSpawnerVersion },
      authenticator: { class: 'jupyterhub.auth.DummyAuthenticator', version: hubVersion },
    },
  };
};

const server: Methods = { POST: startServer, DELETE: deleteServer };
const serverOf6: Methods = { ...server, GET: getServer };

/** Paths below /hub/api; `*` is the user’s name, `**` what follows it. */
const routes = (major: number): Readonly<Record<string, Methods>> => ({
  '': { GET: version },
  info: { GET: info },
  users: { GET: listUsers, POST: addUsers },
  'users/*': { GET: getUser, POST: addUser, DELETE: removeUser },
  'users/*/server': major < 6 ? server : serverOf6,
  'users/*/servers': major < 6 ? server : serverOf6,
  'users/*/servers/**': major < 6 ? server : serverOf6,
  'users/*/server/progress': { GET: showProgress },
  'users/*/servers/**/progress': { GET: showProgress },
  'users/*/tokens': { GET: listTokens, POST: addToken },
  'users/*/tokens/**': { GET: getToken, DELETE: deleteToken },
  'users/*/activity': { POST: reportActivity },
});

/** The route of a path, whose second segment is a user and whose fourth a server or a token. */
const shapeOf = (path: readonly string[]): string =>
  path
    .map((segment, index) =>
      index === 1 && path[0] === 'users' ? '*' : index === 3 && isNamed(path) ? '**' : segment,
    )
    .join('/');

const isNamed = ([, , noun]: readonly string[]): boolean => noun === 'servers' || noun === 'tokens';

/** One call of JupyterHub’s REST API, version 5 or 6. Throws Refused. */
export const answerCall = (call: Call): Answer | Promise<Answer> => {
  const methods = routes(call.hub.major)[shapeOf(call.path)];
  if (methods === undefined) throw new Refused(404, 'Not Found');
  const handler = methods[call.method];
  if (handler === undefined) throw new Refused(405, 'Method Not Allowed');
  return handler(call, call.path[1] ?? '', isNamed(call.path) ? (call.path[3] ?? '') : '');
};
