import { type Json, parseJson } from '../kubernetes/json.ts';
import { Refused } from './answer.ts';
import type { TokenRow } from './database.ts';
import type { HubProcess } from './process.ts';
import { allows, resolveScopes } from './scopes.ts';

/** Who calls: one of the hub’s services, or a user by a token. */
export interface Caller {
  readonly kind: 'service' | 'user';
  readonly name: string;
  readonly scopes: ReadonlySet<string>;
}

/** A request below /hub/api. */
export interface Call {
  readonly hub: HubProcess;
  readonly method: string;
  /** Below /hub/api, decoded. */
  readonly path: readonly string[];
  readonly query: URLSearchParams;
  readonly accept: string;
  readonly body: string;
  /** The origin that the client used. */
  readonly origin: string;
  readonly caller: Caller | undefined;
}

export const isExpired = ({ expiresAt }: TokenRow, now: number): boolean =>
  expiresAt !== null && Date.parse(expiresAt) <= now;

/** The owner of the token; undefined for an unknown or expired one. */
export const callerOf = (hub: HubProcess, authorization: string | undefined): Caller | undefined => {
  const [, token = ''] = /^(?:token|bearer)\s+(\S+)$/i.exec(authorization ?? '') ?? [];
  const service = hub.services.find((one) => one.token === token);
  if (service !== undefined) return { kind: 'service', name: service.name, scopes: service.scopes };
  const row = hub.database.token(token);
  if (row === undefined || isExpired(row, hub.now())) return undefined;
  return { kind: 'user', name: row.user, scopes: resolveScopes(row.scopes, row.user) };
};

/**
 * JupyterHub’s `needs_scope`: one of these scopes, on this user if given. Throws Refused. A caller with the scope on
 * another user gets 404, which does not reveal whether this user exists.
 */
export const needs = ({ caller }: Pick<Call, 'caller'>, anyOf: readonly string[], user?: string): Caller => {
  if (caller === undefined) throw new Refused(403, 'Missing or invalid credentials.');
  if (anyOf.some((scope) => allows(caller.scopes, scope, user))) return caller;
  const isElsewhere = [...caller.scopes].some((scope) => anyOf.includes(scope.replace(/!.*$/, '')));
  if (user !== undefined && isElsewhere)
    throw new Refused(404, 'No access to resources or resources not found');
  throw new Refused(
    403,
    `Action is not authorized with current scopes; requires any of [${anyOf.join(', ')}]`,
  );
};

/** The body as JSON; undefined without one. Throws Refused. */
export const jsonOf = ({ body }: Pick<Call, 'body'>): Json | undefined => {
  if (body.trim() === '') return undefined;
  try {
    return parseJson(body);
  } catch {
    throw new Refused(400, 'Invalid JSON in body of request');
  }
};
