import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { HistoryItem, type HistoryRecord } from '../../src/model/history.ts';
import type { Operation } from '../../src/model/operation.ts';
import { type Client, creators, kari, openApi } from '../support/api.ts';
import { scriptedHub } from '../support/hubs.ts';

const subject = 'b6f0c6f2-1f0a-4d55-9a3e-1f2d7f0e7a11';

const api = await openApi();
after(() => api.close());
const token = await api.issuer.token({ preferred_username: kari, groups: creators, sub: subject });
const asKari = api.anonymous({ authorization: `Bearer ${token}` });

/** Every action of the history, by its request; null for what the platform does by itself. */
const requests: Readonly<Record<HistoryItem['action'], string | null>> = {
  team_created: 'POST /v1/teams',
  team_updated: 'PATCH /v1/teams/team',
  member_added: 'PUT /v1/teams/team/members/per@nav.no',
  member_changed: 'PUT /v1/teams/team/members/per@nav.no',
  member_removed: 'DELETE /v1/teams/team/members/per@nav.no',
  notebook_ordered: 'PUT /v1/teams/team/notebook',
  notebook_changed: 'PATCH /v1/teams/team/notebook',
  notebook_restored: 'POST /v1/teams/team/history/1/restore',
  notebook_retried: 'POST /v1/teams/team/notebook/retry',
  image_refreshed: 'POST /v1/teams/team/notebook/refresh-image',
  server_started: 'POST /v1/teams/team/servers/{kari}/start',
  server_extended: 'POST /v1/teams/team/servers/{kari}/extend',
  server_restarted: 'POST /v1/teams/team/servers/{kari}/restart',
  server_stopped: 'POST /v1/teams/team/servers/{kari}/stop',
  hub_restarted: 'POST /v1/teams/team/hub/restart',
  secret_version_added: 'POST /v1/teams/team/secret/versions',
  secret_version_disabled: 'POST /v1/teams/team/secret/versions/1/disable',
  secret_version_enabled: 'POST /v1/teams/team/secret/versions/1/enable',
  notebook_deleted: 'DELETE /v1/teams/team/notebook',
  team_deleted: 'DELETE /v1/teams/team',
  server_culled: null,
  hub_user_removed: null,
};

const bodies: Readonly<Record<string, object>> = {
  team_created: { slug: 'team' },
  team_updated: { members: [{ email: kari }, { email: 'ola.nordmann@nav.no' }] },
  member_changed: { role: 'owner' },
  notebook_ordered: { image: 'ghcr.io/navikt/x:1' },
  notebook_changed: { culling: { timeoutSeconds: 7200 } },
  server_extended: { until: '2026-11-23T15:00:00Z' },
  secret_version_added: { data: 'x' },
};

const requested = (client: Client, action: string, request: string) => {
  const [method = '', path = ''] = request.split(' ');
  const url = path.replace('{kari}', encodeURIComponent(kari));
  const payload = bodies[action];
  return client.send({
    method: method as 'GET',
    url,
    ...(payload === undefined ? {} : { payload, headers: { 'content-type': 'application/json' } }),
  });
};

describe('the author of a history entry', () => {
  it('is stored with the stable subject of the account, for every action of a member', async () => {
    let build = 0;
    api.outside.pinImage = async (reference) => {
      build += 1;
      const digest = `sha256:${String(build).padStart(64, '0')}`;
      return { reference, digest, resolvedAt: api.now(), newerDigest: null };
    };
    const secret: { enabled: boolean } = { enabled: true };
    const version = () => ({
      version: '1',
      state: secret.enabled ? ('enabled' as const) : ('disabled' as const),
      createdAt: api.now(),
    });
    api.outside.secretManager = {
      ...api.outside.secretManager,
      versions: async () => [version()],
      addVersion: async () => version(),
      setEnabled: async (_id, _version, enabled) => {
        secret.enabled = enabled;
        return version();
      },
    };
    let hub: ReturnType<typeof scriptedHub> | undefined;
    for (const [action, request] of Object.entries(requests)) {
      if (request === null) continue;
      if (action === 'server_started') {
        const clock = { now: () => Date.parse(api.now()) };
        hub = scriptedHub({ clock, team: await api.record('/v1/teams/team') });
        await hub.add(kari);
        Object.assign(api.outside, { hubs: hub.hubs, cluster: hub.cluster });
      }
      const answer = await requested(asKari, action, request);
      assert.ok(answer.statusCode < 300, `${action}: ${answer.body}`);
      const location = String(answer.headers.location);
      for (let second = 0; location.includes('/operations/') && second < 60; second += 1) {
        api.advance(1_000);
        hub?.settle();
        const { done, error }: Operation = (await asKari.get(location)).json();
        assert.equal(error, undefined);
        if (done) break;
      }
    }

    const { items } = await api.store.history('team', { limit: 200 });
    const author = ({ action, by, bySubject }: HistoryRecord) => [action, by, bySubject];
    const byMembers = Object.entries(requests).filter(([, request]) => request !== null);
    assert.deepEqual(
      new Map(items.map((item) => [item.action, author(item)])),
      new Map(byMembers.map(([action]) => [action, [action, kari, subject]]).toReversed() as []),
    );
  });

  it('has a row in this test for every action', () => {
    const actions: unknown = HistoryItem.properties.action;
    assert.partialDeepStrictEqual(actions, { type: 'string' });
    const listed = Object.values(actions as Record<string, unknown>).find(Array.isArray);
    assert.deepEqual([...(listed ?? [])].toSorted(), Object.keys(requests).toSorted());
  });

  it('is shown to clients by e-mail only', async () => {
    const answer = await asKari.get('/v1/teams/team/history');
    assert.equal(answer.json().items.length > 0, true);
    assert.ok(!answer.body.includes(subject));
    assert.ok(!answer.body.includes('bySubject'));
  });

  it('has no subject when the token has none', async () => {
    const path = await api.newTeam();
    const { items } = await api.store.history(path.replace('/v1/teams/', ''), { limit: 1 });
    assert.deepEqual([items[0]?.by, items[0] && 'bySubject' in items[0]], [kari, false]);
  });
});
