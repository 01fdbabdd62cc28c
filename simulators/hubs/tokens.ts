import { randomUUID } from 'node:crypto';
import { type Answer, Refused } from './answer.ts';
import { type Call, isExpired, jsonOf, needs } from './caller.ts';
import type { TokenRow } from './database.ts';
import { tokenModel } from './models.ts';
import { allows, scopeFault } from './scopes.ts';

/** The role `token`: all scopes of its owner. */
const usualScopes = ['inherit'];

const known = (call: Call, name: string): void => {
  if (call.hub.database.user(name) === undefined) throw new Refused(404, `No such user: ${name}`);
};

const tokensOf = ({ hub }: Call, name: string): readonly TokenRow[] =>
  hub.database.tokensOf(name).filter((token) => {
    if (!isExpired(token, hub.now())) return true;
    hub.database.removeToken(token.id);
    return false;
  });

export const listTokens = (call: Call, name: string): Answer => {
  needs(call, ['read:tokens'], name);
  known(call, name);
  return { status: 200, body: { api_tokens: tokensOf(call, name).map(tokenModel) } };
};

const found = (call: Call, name: string, id: string): TokenRow => {
  known(call, name);
  const token = tokensOf(call, name).find((one) => `a${one.id}` === id);
  if (token === undefined) throw new Refused(404, `No such token ${id} for user ${name}`);
  return token;
};

export const getToken = (call: Call, name: string, id: string): Answer => {
  needs(call, ['read:tokens'], name);
  return { status: 200, body: tokenModel(found(call, name, id)) };
};

export const deleteToken = (call: Call, name: string, id: string): Answer => {
  needs(call, ['tokens'], name);
  call.hub.database.removeToken(found(call, name, id).id);
  return { status: 204, headers: { 'content-type': 'text/plain' } };
};

const isTexts = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string');

/** Creates a token for a user. Only this answer contains it. */
export const addToken = (call: Call, name: string): Answer => {
  const { hub, caller } = call;
  const body = jsonOf(call) ?? {};
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new Refused(400, 'Body must be a JSON dict or empty');
  }
  const given: Readonly<Record<string, unknown>> = { ...body };
  if (caller === undefined) throw new Refused(403, 'Forbidden');
  if (hub.database.user(name) === undefined || !allows(caller.scopes, 'tokens', name)) {
    const kind = caller.kind === 'service' ? 'Service' : 'User';
    throw new Refused(403, `${kind} ${name} not found or no permissions to generate tokens`);
  }
  const { scopes = null, expires_in: seconds = null, note } = given;
  if (scopes !== null && !isTexts(scopes)) {
    throw new Refused(400, `token scopes must be null or a list of strings, not ${JSON.stringify(scopes)}`);
  }
  if (seconds !== null && !Number.isInteger(seconds)) {
    throw new Refused(400, `token expires_in must be null or integer, not ${JSON.stringify(seconds)}`);
  }
  const fault = scopes === null ? undefined : scopeFault(scopes, name);
  if (fault !== undefined) throw new Refused(400, fault);
  const lifeSeconds = typeof seconds === 'number' && seconds !== 0 ? seconds : undefined;
  if (lifeSeconds !== undefined && lifeSeconds < 1) {
    throw new Refused(400, `expires_in must be a positive integer or null, not ${lifeSeconds}`);
  }
  const by = caller.kind === 'user' && caller.name === name ? '' : ` by ${caller.kind} ${caller.name}`;
  const token = randomUUID().replaceAll('-', '');
  const row = hub.database.addToken(token, {
    user: name,
    scopes: scopes ?? usualScopes,
    note: typeof note === 'string' && note !== '' ? note : `Requested via api${by}`,
    created: new Date(hub.now()).toISOString(),
    expiresAt: lifeSeconds === undefined ? null : new Date(hub.now() + lifeSeconds * 1000).toISOString(),
  });
  return { status: 201, body: { ...tokenModel(row), token } };
};
