import assert from 'node:assert/strict';
import { it } from 'node:test';
import { kari, ola, openApi } from '../../support/api.ts';
import { aNotebook, anEvent, anOrderedRecord, aSpec } from '../../support/records.ts';
import type { Opened } from '../store.ts';

/** Two people who edit one allowlist at the same time, through two instances of the API on one store. */
export const allowlistHostsContract = (opened: Opened): void => {
  it('loses no entry of an allowlist that two people edit at the same time', async (t) => {
    const { here, there } = await opened(t);
    const [one, other] = await Promise.all([openApi({ store: here }), openApi({ store: there })]);
    t.after(() => Promise.all([one.close(), other.close()]));
    const kept = ['pypi.org', 'nav.no'];
    const leaving = Array.from({ length: 8 }, (_, n) => `leaving-${n}.example.org`);
    const allowlist = { enabled: true, hosts: [...kept, ...leaving] };
    await here.create(
      anOrderedRecord({
        members: [
          { email: kari, username: 'kari', role: 'owner' },
          { email: ola, username: 'ola', role: 'member' },
        ],
        notebook: aNotebook({ spec: aSpec({ allowlist }) }),
      }),
      anEvent(),
    );
    const [asKari, asOla] = [one.asPerson(kari), other.asPerson(ola)];
    const path = (entry: string) => `/v1/teams/team-a/notebook/allowlist/hosts/${encodeURIComponent(entry)}`;
    const arriving = Array.from({ length: 8 }, (_, n) => `arriving-${n}.example.org:8443`);
    const answers = await Promise.all([
      ...arriving.map((entry, n) => (n % 2 === 0 ? asKari : asOla).put(path(entry))),
      ...leaving.map((entry, n) => (n % 2 === 0 ? asOla : asKari).delete(path(entry))),
      // Both add the same one.
      asKari.put(path('ssb.no')),
      asOla.put(path('SSB.no:443')),
    ]);
    assert.deepEqual([...new Set(answers.map(({ statusCode }) => statusCode))], [200]);
    const hosts = (await there.team('team-a'))?.notebook?.spec.allowlist.hosts ?? [];
    const [ssb = ''] = hosts.filter((host) => /ssb/i.test(host));
    assert.deepEqual(hosts.toSorted(), [...kept, ...arriving, ssb].toSorted());
    const { items } = await here.history('team-a', { limit: 50 });
    assert.equal(items.length, 1 + arriving.length + leaving.length + 1);
  });
};
