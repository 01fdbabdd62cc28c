import assert from 'node:assert/strict';
import type { HubServer, Hubs, HubUser } from '../../src/ports/hubs.ts';
import { Unavailable } from '../../src/ports/unavailable.ts';

const running: HubServer = {
  stopped: false,
  ready: true,
  pending: null,
  startedAt: '2026-11-23T08:00:00.000Z',
  lastActivityAt: '2026-11-23T08:30:00.000Z',
  profile: null,
};

/** A hub for reconcile: users are added and removed, it may be unavailable, and a server may be slow to stop. */
export const aHub = () => {
  const users = new Set<string>();
  /** Users whose server stops slowly: removing them is to be asked for again. */
  const stopping = new Set<string>();
  /** Users whose server is running. */
  const active = new Set<string>();
  const calls: string[] = [];
  const state = { away: false };
  const answering = (call: string): void => {
    calls.push(call);
    if (state.away) throw new Unavailable('hub', 'The hub does not answer.');
  };
  const unasked = (): never => assert.fail('reconcile has no business with this');
  const port: Hubs = {
    version: unasked,
    user: unasked,
    start: unasked,
    stop: unasked,
    progress: unasked,
    reportActivity: unasked,
    isBusy: unasked,
    async users() {
      answering('list users');
      return [...users].map((name): HubUser => ({ name, server: active.has(name) ? running : null }));
    },
    async addUser(_team, name) {
      answering(`add ${name}`);
      const known = users.has(name);
      users.add(name);
      return known ? 'exists' : 'added';
    },
    async removeUser(_team, name) {
      answering(`remove ${name}`);
      if (stopping.delete(name)) return 'stopping';
      return users.delete(name) ? 'removed' : 'absent';
    },
  };
  return { port, users, stopping, active, calls, state };
};
