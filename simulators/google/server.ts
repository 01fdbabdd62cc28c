import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { type Answer, bearerOf, type Call, json, readCall } from '../registries/http.ts';
import { type GoogleCall, jsonOf, owner } from './call.ts';
import { quotaRefusal, Refusal, refusal } from './errors.ts';
import { iam } from './iam.ts';
import { type MetadataServer, startMetadata, type Workload } from './metadata.ts';
import { allows, type Principals } from './policy.ts';
import { secretManager } from './secret-manager.ts';
import { type Account, type Policy, type Secret, State } from './state.ts';

/**
 * What happens instead of an answer. `hang`: none comes. `reset`: the connection ends and nothing was done. `lost`:
 * the request takes effect, then the connection ends. `garbage`: 200 with a page of HTML. `quota`: too many requests.
 */
export type Fault =
  | 'hang'
  | 'reset'
  | 'lost'
  | 'garbage'
  | 'quota'
  | { readonly status: number; readonly body?: string };

export interface GoogleRequest {
  readonly method: string;
  readonly path: string;
  /** `owner`, a principal, or undefined for an anonymous caller. */
  readonly caller: string | undefined;
}

export interface Google {
  readonly url: string;
  readonly port: number;
  readonly project: string;
  /** Every request since the start, the oldest first. */
  calls(): readonly GoogleRequest[];
  /**
   * From now on requests whose `METHOD path` matches meet the fault: the first `after` of them do not, then at most
   * `times`. Returns a function that ends it.
   */
  fault(
    request: RegExp,
    fault: Fault,
    options?: { readonly after?: number; readonly times?: number },
  ): () => void;
  /** Runs once, right before such a request is answered: a concurrent change. */
  before(request: RegExp, act: () => void): void;
  readonly policies: {
    secret(id: string): Policy | undefined;
    account(email: string): Policy | undefined;
    /** A concurrent change of a policy. */
    changeSecret(id: string, change: (bindings: Policy['bindings']) => Policy['bindings']): void;
    changeAccount(email: string, change: (bindings: Policy['bindings']) => Policy['bindings']): void;
  };
  readonly principals: {
    /** The address does not exist at Google. */
    unknown(address: string): void;
    /** The organisation’s policy refuses the address. */
    forbid(address: string): void;
    known(address: string): void;
    /** Policies accept a new account only when it is named for the n-th time: eventual consistency. */
    spreadSlowly(times: number): void;
  };
  readonly quotas: { serviceAccounts: number };
  secret(id: string): Secret | undefined;
  account(email: string): Account | undefined;
  /** Creates something from outside. */
  putSecret(id: string, labels: Readonly<Record<string, string>>): void;
  putAccount(email: string, description: string): void;
  /** A token of this account or user, as after signing in. */
  tokenFor(email: string): string;
  /** A pod’s metadata server. Closed with this one. */
  metadataFor(workload: Workload): Promise<MetadataServer>;
  close(): Promise<void>;
}

const page = '<!doctype html><title>Sorry</title>';

/** The token of the project’s owner, which may do everything. */
const ownToken = 'local';
const tokenSeconds = 3600;

/**
 * Simulates Secret Manager, IAM and IAM credentials of one Google Cloud project at one address: their paths do not
 * overlap. Policies decide about access; the state is kept in `file`. A service account’s token is answered, as
 * by a metadata server, at `/computeMetadata/v1/instance/service-accounts/<e-mail>/token`.
 */
export const startGoogle = async (
  options: {
    readonly port?: number;
    readonly host?: string;
    readonly project?: string;
    /** Default: the project’s own. */
    readonly workloadPool?: string;
    readonly file?: string;
    readonly now?: () => number;
  } = {},
): Promise<Google> => {
  const { port = 0, host = '127.0.0.1', project = 'simulated', now = Date.now } = options;
  const { workloadPool = `${project}.svc.id.goog` } = options;
  const state = new State(options.file);
  const tokens = new Map<string, { readonly principal: string; readonly until: number }>();
  const requests: GoogleRequest[] = [];
  const faults = new Set<{ request: RegExp; fault: Fault; after: number; left: number }>();
  const interruptions: { request: RegExp; act: () => void }[] = [];
  const unknown = new Set<string>();
  const forbidden = new Set<string>();
  const named = new Map<string, number>();
  const quotas = { serviceAccounts: 100 };
  let spreading = 0;
  const metadataServers: MetadataServer[] = [];

  const newToken = (principal: string, seconds: number): string => {
    const token = `ya29.${randomBytes(24).toString('base64url')}`;
    tokens.set(token, { principal, until: now() + seconds * 1000 });
    return token;
  };
  const principalOf = (email: string): string =>
    `${email.endsWith('.gserviceaccount.com') ? 'serviceAccount' : 'user'}:${email.toLowerCase()}`;

  const principals: Principals = {
    refusalOf(member) {
      const [, kind = '', address = ''] = /^(user|serviceAccount|group):(.+)$/.exec(member) ?? [];
      const [, pool] = /^(.+\.svc\.id\.goog)\[/.exec(address) ?? [];
      if (pool !== undefined && pool !== workloadPool) {
        return new Refusal(
          'INVALID_ARGUMENT',
          `Identity Pool does not exist (${pool}). Please check that you specified a valid resource name as returned in the \`name\` attribute in the configuration API.`,
        );
      }
      const isOwn = pool === undefined && address.endsWith(`@${project}.iam.gserviceaccount.com`);
      const isSpreading = isOwn && spreading > 0 && (named.get(address) ?? 0) < spreading;
      if (isSpreading) named.set(address, (named.get(address) ?? 0) + 1);
      if (unknown.has(address) || isSpreading || (isOwn && state.account(address) === undefined)) {
        const what = { user: 'User', serviceAccount: 'Service account', group: 'Group' }[kind] ?? 'Member';
        return new Refusal('INVALID_ARGUMENT', `${what} ${address} does not exist.`);
      }
      if (!forbidden.has(address)) return undefined;
      return new Refusal(
        'FAILED_PRECONDITION',
        'One or more users named in the policy do not belong to a permitted customer.',
        [
          {
            '@type': 'type.googleapis.com/google.rpc.PreconditionFailure',
            violations: [
              {
                type: 'constraints/iam.allowedPolicyMemberDomains',
                subject: `orgpolicy:projects/${project}?configvalue=${address}`,
                description: `User ${address} is not in permitted organization.`,
              },
            ],
          },
        ],
      );
    },
  };

  const callerOf = (call: Call): string | undefined => {
    const token = bearerOf(call.headers.authorization);
    if (token === undefined) return undefined;
    if (token === ownToken) return owner;
    const known = tokens.get(token);
    return known !== undefined && known.until > now() ? known.principal : undefined;
  };

  /** The metadata server of a machine that every account is attached to, asked by e-mail. */
  const attached = (call: Call): Answer | undefined => {
    const path = /^\/computeMetadata\/v1\/instance\/service-accounts\/([^/]+@[^/]+)\/token$/;
    const email = path.exec(decodeURIComponent(call.url.pathname))?.[1];
    if (email === undefined) return undefined;
    const headers = { 'metadata-flavor': 'Google' };
    if (call.headers['metadata-flavor'] !== 'Google') return { status: 403, headers };
    if (state.account(email) === undefined) return { status: 404, headers };
    const access_token = newToken(principalOf(email), tokenSeconds);
    return json(200, { access_token, expires_in: tokenSeconds, token_type: 'Bearer' }, headers);
  };

  const answer = (call: Call): Answer => {
    const metadata = attached(call);
    if (metadata !== undefined) return metadata;
    try {
      const caller = callerOf(call);
      if (caller === undefined) {
        throw new Refusal(
          'UNAUTHENTICATED',
          'Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.',
        );
      }
      const known: GoogleCall = { ...call, caller, json: jsonOf(call) };
      const { pathname } = call.url;
      if (/^\/v1\/projects\/[^/]+\/secrets(?:[/:]|$)/.test(pathname)) {
        return secretManager(known, { state, project, principals, now });
      }
      if (/^\/v1\/projects\/[^/]+\/serviceAccounts(?:[/:]|$)/.test(pathname)) {
        const mostAccounts = () => quotas.serviceAccounts;
        return iam(known, { state, project, principals, mostAccounts, newToken, now });
      }
      return json(404, { error: { code: 404, message: 'Not Found', status: 'NOT_FOUND' } });
    } catch (error) {
      if (error instanceof Refusal) return refusal(error);
      throw error;
    }
  };

  const faultFor = (line: string): Fault | undefined => {
    for (const rule of faults) {
      if (rule.left <= 0 || !rule.request.test(line)) continue;
      if (rule.after > 0) {
        rule.after -= 1;
        continue;
      }
      rule.left -= 1;
      return rule.fault;
    }
    return undefined;
  };

  const write = (response: ServerResponse, { status, headers = {}, body = '' }: Answer): void => {
    response.writeHead(status, headers).end(body);
  };

  const server = createServer(async (request, response) => {
    const call = await readCall(request);
    const line = `${call.method} ${call.url.pathname}`;
    requests.push({ method: call.method, path: call.url.pathname, caller: callerOf(call) });
    const index = interruptions.findIndex((one) => one.request.test(line));
    if (index >= 0) for (const { act } of interruptions.splice(index, 1)) act();
    const fault = faultFor(line);
    if (fault === undefined) return write(response, answer(call));
    if (fault === 'hang') return undefined;
    if (fault === 'lost') answer(call);
    if (fault === 'lost' || fault === 'reset') return void request.socket.destroy();
    if (fault === 'garbage') {
      return write(response, { status: 200, headers: { 'content-type': 'text/html' }, body: page });
    }
    if (fault === 'quota') {
      const isIam = call.url.pathname.includes('/serviceAccounts');
      const service = `${isIam ? 'iam' : 'secretmanager'}.googleapis.com`;
      return write(
        response,
        refusal(quotaRefusal(service, `${service}/${isIam ? 'write' : 'manage'}_requests`)),
      );
    }
    return write(response, { headers: { 'content-type': 'text/html' }, body: page, ...fault });
  });
  server.listen(port, host);
  await once(server, 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('Google has no port.');

  const bare = (): Policy => ({ bindings: [], etag: 'ACAB' });
  return {
    url: `http://${host}:${address.port}`,
    port: address.port,
    project,
    calls: () => requests,
    fault(request, fault, { after = 0, times = Number.POSITIVE_INFINITY } = {}) {
      const rule = { request, fault, after, left: times };
      faults.add(rule);
      return () => faults.delete(rule);
    },
    before(request, act) {
      interruptions.push({ request, act });
    },
    policies: {
      secret: (id) => state.secret(id)?.policy,
      account: (email) => state.account(email)?.policy,
      changeSecret(id, change) {
        const secret = state.secret(id);
        if (secret === undefined) throw new Error(`There is no secret ${id}.`);
        const policy = { ...secret.policy, bindings: change(secret.policy.bindings), etag: state.newEtag() };
        state.putSecret(id, { ...secret, policy });
      },
      changeAccount(email, change) {
        const account = state.account(email);
        if (account === undefined) throw new Error(`There is no account ${email}.`);
        const policy = {
          ...account.policy,
          bindings: change(account.policy.bindings),
          etag: state.newEtag(),
        };
        state.putAccount(email, { ...account, policy });
      },
    },
    principals: {
      unknown: (email) => void unknown.add(email),
      forbid: (email) => void forbidden.add(email),
      known(email) {
        unknown.delete(email);
        forbidden.delete(email);
      },
      spreadSlowly(times) {
        spreading = times;
      },
    },
    quotas,
    secret: (id) => state.secret(id),
    account: (email) => state.account(email),
    putSecret(id, labels) {
      const createTime = new Date(now()).toISOString();
      const etag = `"${state.newEtag()}"`;
      const replication = { automatic: {} };
      const secret = { labels, annotations: {}, replication, createTime, etag, versions: [], policy: bare() };
      state.putSecret(id, secret);
    },
    putAccount(email, description) {
      const etag = state.newEtag();
      const uniqueId = state.newUniqueId();
      state.putAccount(email, { uniqueId, displayName: '', description, etag, policy: bare() });
    },
    tokenFor: (email) => newToken(principalOf(email), tokenSeconds),
    async metadataFor(workload) {
      const email = workload.googleServiceAccount;
      const principal = `serviceAccount:${workloadPool}[${workload.namespace}/${workload.serviceAccount}]`;
      const token = () => {
        const policy = state.account(email)?.policy;
        if (policy === undefined || !allows(policy, principal, 'iam.serviceAccounts.getAccessToken'))
          return undefined;
        return { accessToken: newToken(`serviceAccount:${email}`, tokenSeconds), seconds: tokenSeconds };
      };
      const started = await startMetadata({ ...workload, project, token });
      metadataServers.push(started);
      return started;
    },
    close: async () => {
      for (const started of metadataServers.splice(0)) await started.close();
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
};

/** JSON: the simulated hosts, each with the address of the simulator. */
export const googleEndpoints = (url: string): string =>
  JSON.stringify({ 'secretmanager.googleapis.com': url, 'iam.googleapis.com': url });
