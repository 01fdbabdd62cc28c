import { type Answer, json } from '../registries/http.ts';
import { type GoogleCall, owner, recordIn, textIn } from './call.ts';
import { denied, Refusal } from './errors.ts';
import { allows, type Principals, replaced, shown } from './policy.ts';
import type { Account, State } from './state.ts';

export interface IamOptions {
  readonly state: State;
  readonly project: string;
  readonly principals: Principals;
  readonly mostAccounts: () => number;
  /** A token with which its bearer is this principal. */
  readonly newToken: (principal: string, lifetimeSeconds: number) => string;
  readonly now: () => number;
}

const route = /^\/v1\/projects\/([^/]+)\/serviceAccounts(?:\/([^/:]+))?(?::([A-Za-z]+))?$/;
const idForm = /^[a-z](?:[-a-z0-9]{4,28}[a-z0-9])$/;

const permissionOf: Readonly<Record<string, string>> = {
  GET: 'iam.serviceAccounts.get',
  DELETE: 'iam.serviceAccounts.delete',
  'POST:getIamPolicy': 'iam.serviceAccounts.getIamPolicy',
  'POST:setIamPolicy': 'iam.serviceAccounts.setIamPolicy',
  'POST:generateAccessToken': 'iam.serviceAccounts.getAccessToken',
};

const accountOf = (email: string, account: Account, project: string): object => ({
  name: `projects/${project}/serviceAccounts/${email}`,
  projectId: project,
  uniqueId: account.uniqueId,
  email,
  displayName: account.displayName,
  etag: account.etag,
  ...(account.description === '' ? {} : { description: account.description }),
  oauth2ClientId: account.uniqueId,
});

/** The service accounts of IAM’s REST API (v1), and `generateAccessToken` of the IAM credentials API. */
export const iam = (call: GoogleCall, options: IamOptions): Answer => {
  const { state, project, principals } = options;
  const found = route.exec(decodeURIComponent(call.url.pathname));
  if (found === null) throw new Refusal('NOT_FOUND', 'Requested entity was not found.');
  const [, inProject = '', address, verb] = found;
  const isOwner = call.caller === owner;

  if (address === undefined) {
    const permission = `iam.serviceAccounts.${call.method === 'POST' ? 'create' : 'list'}`;
    if (!isOwner || inProject !== project) throw denied(permission, `projects/${inProject}`);
    if (call.method === 'POST') return create(call, options);
    const accounts = state.emails().flatMap((email) => {
      const account = state.account(email);
      return account === undefined ? [] : [accountOf(email, account, project)];
    });
    return json(200, { accounts });
  }

  const permission = permissionOf[verb === undefined ? call.method : `${call.method}:${verb}`];
  if (permission === undefined) throw new Refusal('NOT_FOUND', 'Requested entity was not found.');
  const account = inProject === project || inProject === '-' ? state.account(address) : undefined;
  const isAllowed = isOwner || (account !== undefined && allows(account.policy, call.caller, permission));
  if (!isAllowed) throw denied(permission, `projects/${inProject}/serviceAccounts/${address}`);
  if (account === undefined) throw new Refusal('NOT_FOUND', `Unknown service account`);

  switch (verb) {
    case 'getIamPolicy':
      return json(
        200,
        shown(account.policy, Number(call.url.searchParams.get('options.requestedPolicyVersion') ?? 0)),
      );
    case 'setIamPolicy': {
      const policy = replaced(account.policy, call.json, principals, () => state.newEtag());
      state.putAccount(address, { ...account, policy });
      return json(200, shown(policy, 3));
    }
    case 'generateAccessToken': {
      const seconds = Number(/^([0-9]+)s$/.exec(textIn(call.json, 'lifetime'))?.[1] ?? 3600);
      const accessToken = options.newToken(`serviceAccount:${address}`, seconds);
      return json(200, { accessToken, expireTime: new Date(options.now() + seconds * 1000).toISOString() });
    }
    default:
      if (call.method === 'GET') return json(200, accountOf(address, account, project));
      state.deleteAccount(address);
      return json(200, {});
  }
};

const create = (call: GoogleCall, { state, project, mostAccounts }: IamOptions): Answer => {
  const id = textIn(call.json, 'accountId');
  if (!idForm.test(id)) throw new Refusal('INVALID_ARGUMENT', 'Account ID does not conform to its pattern.');
  const email = `${id}@${project}.iam.gserviceaccount.com`;
  if (state.account(email) !== undefined) {
    throw new Refusal(
      'ALREADY_EXISTS',
      `Service account ${id} already exists within project projects/${project}.`,
    );
  }
  if (state.emails().length >= mostAccounts()) {
    throw new Refusal('RESOURCE_EXHAUSTED', 'Maximum number of service accounts on project reached.', [
      { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '86401s' },
    ]);
  }
  const wish = recordIn(call.json, 'serviceAccount');
  const description = textIn(wish, 'description');
  const displayName = textIn(wish, 'displayName');
  if (Buffer.byteLength(description) > 256 || Buffer.byteLength(displayName) > 100) {
    throw new Refusal('INVALID_ARGUMENT', 'The description or the display name is too long.');
  }
  const account: Account = {
    uniqueId: state.newUniqueId(),
    displayName,
    description,
    etag: state.newEtag(),
    policy: { bindings: [], etag: 'ACAB' },
  };
  state.putAccount(email, account);
  return json(200, accountOf(email, account, project));
};
