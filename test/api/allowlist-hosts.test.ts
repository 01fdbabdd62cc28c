import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { assertProblem, kari, ola, openApi } from '../support/api.ts';
import { aNotebook, aRecord, aSpec } from '../support/records.ts';

const api = await openApi();
after(() => api.close());
const asKari = api.asPerson(kari);

const hostPath = (team: string, entry: string) =>
  `${team}/notebook/allowlist/hosts/${encodeURIComponent(entry)}`;

/** A team whose notebook has these hosts on its allowlist; its path. */
const listing = async (...hosts: readonly string[]): Promise<string> => {
  const team = await api.newTeam();
  const order = { allowlist: { enabled: true, hosts } };
  assert.equal((await asKari.put(`${team}/notebook`, order)).statusCode, 201);
  return team;
};
const hostsOf = async (team: string) => (await api.record(team)).notebook?.spec.allowlist.hosts;
const newest = async (team: string) => {
  const { slug } = await api.record(team);
  return (await api.store.history(slug, { limit: 1 })).items[0];
};

describe('addAllowlistHost', () => {
  it('adds an entry as it is written, records it and reconciles at once', async () => {
    const team = await listing('pypi.org');
    const { slug } = await api.record(team);
    const before = api.reconciled.filter((one) => one === slug).length;
    const answer = await asKari.put(hostPath(team, 'SSB.no:8443'));
    assert.equal(answer.statusCode, 200, answer.body);
    assert.deepEqual(answer.json().spec.allowlist.hosts, ['pypi.org', 'SSB.no:8443']);
    assert.equal(answer.json().revision, 2);
    assert.ok(answer.headers.etag !== undefined);
    assert.partialDeepStrictEqual(await newest(team), {
      by: kari,
      action: 'notebook_changed',
      revision: 2,
      changes: [{ pointer: '/allowlist/hosts', from: ['pypi.org'], to: ['pypi.org', 'SSB.no:8443'] }],
    });
    assert.equal(api.reconciled.filter((one) => one === slug).length, before + 1);
  });

  it('writes nothing for an entry that is on the list in another spelling', async () => {
    const team = await listing('https://PyPI.org/simple', 'preset:conda');
    for (const same of ['pypi.org', 'pypi.org:443', 'Preset:Conda']) {
      const answer = await api.writesNothing(() => asKari.put(hostPath(team, same)));
      assert.equal(answer.statusCode, 200, answer.body);
      assert.equal(answer.json().revision, 1);
    }
  });

  it('takes the longest entry that there can be', async () => {
    const team = await listing();
    const label = 'a'.repeat(63);
    const longest = `${label}.${label}.${label}.${'b'.repeat(58)}.no:60000-60010`;
    const answer = await asKari.put(hostPath(team, longest));
    assert.equal(answer.statusCode, 200, answer.body);
    assert.deepEqual(await hostsOf(team), [longest]);
  });

  it('takes no slash, as no path of this API does', async () => {
    const team = await listing('pypi.org');
    for (const entry of ['https://nav.no', '198.35.26.0/24'])
      assertProblem(await api.writesNothing(() => asKari.put(hostPath(team, entry))), 'not_found');
  });

  it('refuses an entry that the list would refuse, with the same code', async () => {
    const team = await listing('pypi.org');
    const rows = [
      ['*.nav.no', 'wildcard_not_supported'],
      ['10.0.0.1', 'forbidden_range'],
      ['preset:nothing', 'unknown_preset'],
      [' ', 'empty_entry'],
    ] as const;
    for (const [entry, code] of rows) {
      const answer = await api.writesNothing(() => asKari.put(hostPath(team, entry)));
      assertProblem(answer, 'invalid_allowlist', [`/path/entry ${code}`]);
    }
  });

  it('refuses the entry after the last one that fits, the hosts of presets counted', async () => {
    const hosts = Array.from({ length: 197 }, (_, n) => `h${n}.example.org`);
    const team = await listing(...hosts, 'preset:pypi');
    assert.equal((await asKari.put(hostPath(team, 'one.example.org'))).statusCode, 200);
    const answer = await asKari.put(hostPath(team, 'two.example.org'));
    assertProblem(answer, 'invalid_allowlist', ['/path/entry too_many_entries']);
    assert.equal((await hostsOf(team))?.length, 199);
  });

  it('does not add an entry to a list whose other entries are refused today, but keeps them', async () => {
    const team = await listing('pypi.org');
    const { slug } = await api.record(team);
    const older = ['pypi.org', 'once-accepted'];
    await api.store.change(slug, (current) => ({
      next: {
        ...current,
        notebook: current.notebook && {
          ...current.notebook,
          spec: { ...current.notebook.spec, allowlist: { enabled: true, hosts: older } },
        },
      },
    }));
    assert.equal((await asKari.put(hostPath(team, 'nav.no'))).statusCode, 200);
    assert.deepEqual(await hostsOf(team), ['pypi.org', 'once-accepted', 'nav.no']);
    assert.equal((await asKari.delete(hostPath(team, 'once-accepted'))).statusCode, 200);
    assert.deepEqual(await hostsOf(team), ['pypi.org', 'nav.no']);
  });
});

describe('removeAllowlistHost', () => {
  it('removes an entry however it is written, and all of its repetitions', async () => {
    const team = await listing('https://pypi.org/', 'nav.no', 'pypi.org:443');
    const answer = await asKari.delete(hostPath(team, 'PYPI.org'));
    assert.equal(answer.statusCode, 200, answer.body);
    assert.deepEqual(answer.json().spec.allowlist.hosts, ['nav.no']);
    assert.partialDeepStrictEqual(await newest(team), { action: 'notebook_changed', revision: 2 });
  });

  it('writes nothing for an entry that is not on the list', async () => {
    const team = await listing('preset:pypi');
    for (const absent of ['nav.no', 'pypi.org', 'preset:conda']) {
      const answer = await api.writesNothing(() => asKari.delete(hostPath(team, absent)));
      assert.equal(answer.statusCode, 200, answer.body);
      assert.deepEqual(answer.json().spec.allowlist.hosts, ['preset:pypi']);
    }
    const answer = await api.writesNothing(() => asKari.delete(hostPath(team, '*')));
    assertProblem(answer, 'invalid_allowlist', ['/path/entry wildcard_not_supported']);
  });
});

describe('an edit of one entry', () => {
  it('is not found without a notebook, and for a person who is no member as if there was no team', async () => {
    const team = await api.newTeam();
    const other = await listing('pypi.org');
    for (const method of ['PUT', 'DELETE'] as const) {
      assertProblem(await asKari.send({ method, url: hostPath(team, 'nav.no') }), 'notebook_not_ordered');
      for (const path of [other, '/v1/teams/no-such-team']) {
        const answer = await api.asPerson(ola).send({ method, url: hostPath(path, 'nav.no') });
        assertProblem(answer, 'not_found');
      }
    }
  });

  it('is refused while the notebook is being deleted', async () => {
    const team = await listing('pypi.org');
    await asKari.delete(`${team}/notebook`);
    assertProblem(await asKari.put(hostPath(team, 'nav.no')), 'deleting');
    assertProblem(await asKari.delete(hostPath(team, 'pypi.org')), 'deleting');
  });
});

describe('a preset', () => {
  it('is stored as it is written, and shown host by host', async (t) => {
    t.after(() => api.calm());
    api.outside.cluster = { ...api.outside.cluster, list: async () => [], serves: async () => false };
    const team = await listing('preset:pypi', 'nav.no');
    assert.deepEqual(await hostsOf(team), ['preset:pypi', 'nav.no']);
    const { entries } = (await asKari.get(`${team}/egress`)).json();
    assert.deepEqual(
      entries.map(({ entry, preset }: { entry: string; preset?: string }) => [entry, preset]),
      [
        ['pypi.org:443', 'pypi'],
        ['files.pythonhosted.org:443', 'pypi'],
        ['nav.no:443', undefined],
      ],
    );
    const validated = await asKari.post('/v1/allowlist/validate', { entries: ['preset:pypi'] });
    assert.deepEqual(
      validated
        .json()
        .entries.map(({ entry, preset }: { entry: string; preset?: string }) => [entry, preset]),
      [
        ['pypi.org:443', 'pypi'],
        ['files.pythonhosted.org:443', 'pypi'],
      ],
    );
  });

  it('is listed with its hosts in getLimits', async () => {
    const { egressPresets } = (await asKari.get('/v1/limits')).json();
    assert.deepEqual(
      egressPresets.map(({ name }: { name: string }) => name),
      ['pypi', 'conda', 'github', 'cran'],
    );
    assert.deepEqual(egressPresets[0].hosts, ['pypi.org', 'files.pythonhosted.org']);
  });

  it('is enforced as its hosts, and follows the operator', async () => {
    const record = (hosts: readonly string[]) =>
      aRecord({
        notebook: aNotebook({ spec: aSpec({ allowlist: { enabled: true, hosts: [...hosts] } }) }),
        release: { platformHash: '', spec: {} },
      });
    const rendered = async (presets: object) => {
      const world = await openApi({ environment: { EGRESS_PRESETS: JSON.stringify(presets) } });
      try {
        const allowed = async (hosts: readonly string[]) =>
          (await world.render(record(hosts))).filter(({ metadata }) => metadata.name.includes('egress'));
        return [await allowed(['preset:pypi']), await allowed(['198.35.26.7', '198.35.26.8:8443'])];
      } finally {
        await world.close();
      }
    };
    const [preset, hosts] = await rendered({ pypi: ['198.35.26.7', '198.35.26.8:8443'] });
    assert.deepEqual(preset, hosts);
    assert.match(JSON.stringify(preset), /198\.35\.26\.7/);
    const [changed] = await rendered({ pypi: ['198.35.26.9'] });
    assert.match(JSON.stringify(changed), /198\.35\.26\.9/);
    assert.doesNotMatch(JSON.stringify(changed), /198\.35\.26\.7/);
    const [gone] = await rendered({ pypi: [] });
    assert.doesNotMatch(JSON.stringify(gone), /198\.35\.26/);
  });
});
