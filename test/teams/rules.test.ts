import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Problem } from '../../src/model/problems.ts';
import type { Deletion, TeamRecord } from '../../src/model/record.ts';
import type { Member, MemberOrder, TeamPatch } from '../../src/model/team.ts';
import type { Decision } from '../../src/ports/store.ts';
import { membersOf } from '../../src/teams/members.ts';
import { assertStays, deleteTeam, newTeam, patchTeam, teamView } from '../../src/teams/rules.ts';
import { aMoment, aNaming, anOrderedRecord, aRecord } from '../support/records.ts';

const later = '2026-11-23T10:00:00.000Z';
const act = { by: 'Ola.Nordmann@nav.no', now: later };
const kari = { email: 'kari@nav.no', username: 'kari@nav.no', role: 'member' } as const;
const ola = { email: 'ola@nav.no', username: 'ola@nav.no', role: 'member' } as const;
/** An admin, whose rights no decision below depends on. */
const asAdmin = { requester: { email: 'admin@nav.no', isAdmin: true } };

describe('members', () => {
  const good: readonly (readonly [string, readonly MemberOrder[], readonly Member[]])[] = [
    ['none', [], []],
    ['are hub users by their e-mail', [{ email: 'kari@nav.no' }], [kari]],
    ['are kept in lower case', [{ email: 'Kari@NAV.no' }], [kari]],
    [
      'may have a hub user of their own',
      [{ email: 'Kari@nav.no', username: 'kari' }],
      [{ ...kari, username: 'kari' }],
    ],
    ['are sorted by e-mail', [{ email: 'ola@nav.no' }, { email: 'KARI@nav.no' }], [kari, ola]],
  ];
  it('are lower-cased in ASCII only: an e-mail with a KELVIN SIGN is another person', () => {
    const kelvin = { email: '\u212Aari@nav.no', username: 'kelvin', role: 'member' } as const;
    const members = membersOf([{ email: 'KARI@nav.no' }, kelvin]);
    assert.deepEqual(members, [kari, kelvin]);
  });

  it('include the caller of a new team only under the caller’s own e-mail', () => {
    const order = { slug: 'team-a', members: [{ email: '\u212Aari@nav.no', username: 'kelvin' }] };
    const team = newTeam(order, 'team-a-3f9c', { by: 'kari@nav.no', now: later }, aNaming);
    assert.deepEqual(
      team.members.map(({ email }) => email),
      ['kari@nav.no', '\u212Aari@nav.no'],
    );
  });

  for (const [sentence, orders, expected] of good) {
    it(sentence, () => assert.deepEqual(membersOf(orders), expected));
  }

  const bad: readonly (readonly [string, readonly MemberOrder[], readonly string[]])[] = [
    ['the same person twice', [{ email: 'kari@nav.no' }, { email: 'KARI@nav.no' }], ['/members/1/email']],
    [
      'two people as one hub user',
      [
        { email: 'kari@nav.no', username: 'knada' },
        { email: 'ola@nav.no', username: 'knada' },
      ],
      ['/members/1/username'],
    ],
    [
      'one person as another’s hub user',
      [{ email: 'kari@nav.no' }, { email: 'ola@nav.no', username: 'kari@nav.no' }],
      ['/members/1/username'],
    ],
    [
      'several of these at once, all of them named',
      [
        { email: 'a@nav.no' },
        { email: 'b@nav.no', username: 'a@nav.no' },
        { email: 'c@nav.no' },
        { email: 'A@nav.no', username: 'x' },
      ],
      ['/members/1/username', '/members/3/email'],
    ],
  ];
  for (const [sentence, orders, pointers] of bad) {
    it(`are refused: ${sentence}`, () => {
      assert.throws(
        () => membersOf(orders),
        (error) => {
          assert.ok(error instanceof Problem);
          assert.equal(error.code, 'validation_failed');
          assert.deepEqual(
            error.errors?.map(({ pointer }) => pointer),
            pointers,
          );
          return true;
        },
      );
    });
  }

  it('are the same for any order of the list, and no two share an e-mail or a hub user', () => {
    const email = fc
      .tuple(fc.constantFrom('a', 'B', 'c', 'kari'), fc.constantFrom('nav.no', 'NAV.no'))
      .map((parts) => parts.join('@'));
    const orders = fc.array(
      fc.record({ email, username: fc.constantFrom('a', 'b', 'a@nav.no') }, { requiredKeys: ['email'] }),
      { maxLength: 5 },
    );
    fc.assert(
      fc.property(orders, (some) => {
        let members: readonly MemberOrder[];
        try {
          members = membersOf(some);
        } catch (error) {
          assert.ok(error instanceof Problem);
          assert.throws(() => membersOf(some.toReversed()), Problem);
          return;
        }
        assert.deepEqual(membersOf(some.toReversed()), members);
        assert.deepEqual(membersOf(members), members);
        assert.equal(members.length, some.length);
        for (const field of ['email', 'username'] as const) {
          assert.equal(new Set(members.map((member) => member[field])).size, members.length);
        }
      }),
    );
  });
});

describe('a new team', () => {
  it('has its creator as its owner, is due at once, and has nothing applied', () => {
    assert.deepEqual(newTeam({ slug: 'team-a' }, 'team-a-3f9c', act, aNaming), {
      ...aRecord(),
      createdAt: later,
      updatedAt: later,
      members: [{ email: 'ola.nordmann@nav.no', username: 'ola.nordmann@nav.no', role: 'owner' }],
      reconcile: { dueAt: later, failures: 0 },
    } satisfies TeamRecord);
  });

  it('adds its creator to the listed members, unless already listed', () => {
    const members = (orders: MemberOrder[]) =>
      newTeam({ slug: 'team-a', members: orders }, 'team-a-3f9c', act, aNaming).members.map(
        ({ username }) => username,
      );
    assert.deepEqual(members([{ email: 'kari@nav.no' }]), ['kari@nav.no', 'ola.nordmann@nav.no']);
    assert.deepEqual(members([{ email: 'OLA.Nordmann@nav.no', username: 'ola' }]), ['ola']);
  });

  it('has its repositories sorted and deduplicated', () => {
    const order = { slug: 'team-a', ghcrRepositories: ['b', 'a', 'b'], garTeam: 'team-a' };
    const team = newTeam(order, 'team-a-3f9c', act, aNaming);
    assert.deepEqual(team.ghcrRepositories, ['a', 'b']);
    assert.equal(team.garTeam, 'team-a');
  });

  it('refuses a member with the creator’s hub user', () => {
    const members = [{ email: 'kari@nav.no', username: 'ola.nordmann@nav.no' }];
    assert.throws(() => newTeam({ slug: 'team-a', members }, 'team-a-3f9c', act, aNaming), Problem);
  });
});

describe('a patch of a team', () => {
  const team = anOrderedRecord({ members: [kari], ghcrRepositories: ['a'], garTeam: 'team-a' });

  const rows: readonly (readonly [TeamPatch, Partial<TeamRecord> | undefined])[] = [
    [{}, undefined],
    [{ members: [{ email: 'KARI@nav.no' }] }, undefined],
    [{ ghcrRepositories: ['a', 'a'] }, undefined],
    [{ garTeam: 'team-a' }, undefined],
    [{ members: [{ email: 'ola@nav.no' }] }, { members: [ola] }],
    [{ members: [{ email: 'ola@nav.no' }, { email: 'kari@nav.no' }] }, { members: [kari, ola] }],
    [{ members: null }, { members: [] }],
    [{ ghcrRepositories: ['b', 'a'] }, { ghcrRepositories: ['a', 'b'] }],
    [{ ghcrRepositories: null }, { ghcrRepositories: [] }],
    [{ garTeam: null }, { garTeam: null }],
    [
      { garTeam: 'team-b', ghcrRepositories: [] },
      { garTeam: 'team-b', ghcrRepositories: [] },
    ],
  ];
  for (const [patch, expected] of rows) {
    it(`${JSON.stringify(patch)} ${expected === undefined ? 'changes nothing' : `gives ${JSON.stringify(expected)}`}`, () => {
      const decision = patchTeam(team, patch, act, asAdmin);
      if (expected === undefined) return assert.equal(decision, undefined);
      assert.deepEqual(decision?.next, {
        ...team,
        ...expected,
        updatedAt: later,
        revision: 2,
        generation: 3,
        reconcile: { dueAt: later, failures: 0 },
      });
      assert.equal(decision?.event?.action, 'team_updated');
      assert.deepEqual(decision?.event?.changes.map(({ pointer }) => pointer).toSorted(), [
        ...Object.keys(expected)
          .map((name) => `/${name}`)
          .toSorted(),
      ]);
    });
  }

  it('lists the values before and after', () => {
    assert.deepEqual(patchTeam(team, { garTeam: null }, act, asAdmin)?.event?.changes, [
      { pointer: '/garTeam', from: 'team-a', to: null },
    ]);
  });

  it('changes nothing for any field order of the stored record', () => {
    const shuffled = { ...team, members: [{ role: kari.role, username: kari.username, email: kari.email }] };
    assert.equal(patchTeam(shuffled, { members: [{ email: 'kari@nav.no' }] }, act, asAdmin), undefined);
  });

  it('is refused while the team is being deleted', () => {
    const going = { ...team, deletion: { requestedAt: aMoment, deleteHomes: false, deleteSecret: false } };
    const isDeleting = (error: unknown) => error instanceof Problem && error.code === 'deleting';
    assert.throws(() => patchTeam(going, {}, act, asAdmin), isDeleting);
    assert.throws(() => assertStays(going), isDeleting);
    assert.doesNotThrow(() => assertStays(team));
  });
});

describe('deleting a team', () => {
  it('marks the team, and leaves everything else to the teardown', () => {
    const team = anOrderedRecord();
    const decision = deleteTeam(team, { deleteHomes: true, deleteSecret: false }, act);
    const deletion: Deletion = { requestedAt: later, deleteHomes: true, deleteSecret: false };
    assert.deepEqual(decision?.next, {
      ...team,
      deletion,
      updatedAt: later,
      revision: 2,
      generation: 3,
      status: { ...team.status, phase: 'Deleting' },
      statusVersion: 1,
      reconcile: { dueAt: later, failures: 0 },
    });
    assert.deepEqual(decision?.event?.changes, [{ pointer: '/deletion', from: null, to: deletion }]);
  });

  const no = { deleteHomes: false, deleteSecret: false };
  const rows: readonly (readonly [string, typeof no, typeof no, Deletion | undefined])[] = [
    ['the same again is nothing new', no, no, undefined],
    [
      'homes too, from now on',
      no,
      { ...no, deleteHomes: true },
      { requestedAt: later, deleteHomes: true, deleteSecret: false },
    ],
    [
      'the secret too; the homes are those of the first request',
      { ...no, deleteHomes: true },
      { ...no, deleteSecret: true },
      { requestedAt: aMoment, deleteHomes: true, deleteSecret: true },
    ],
    [
      'homes once more, which means those made since',
      { ...no, deleteHomes: true },
      { ...no, deleteHomes: true },
      { requestedAt: later, deleteHomes: true, deleteSecret: false },
    ],
    ['less than before takes nothing back', { deleteHomes: true, deleteSecret: true }, no, undefined],
  ];
  for (const [sentence, before, asked, expected] of rows) {
    it(`repeated: ${sentence}`, () => {
      const going = aRecord({ deletion: { requestedAt: aMoment, ...before } });
      const decision = deleteTeam(going, asked, act);
      assert.deepEqual(decision?.next.deletion, expected);
      if (expected !== undefined) assert.ok((decision?.next.generation ?? 0) > going.generation);
    });
  }
});

describe('any sequence of requests for a team', () => {
  type Ask = (team: TeamRecord, now: string) => Decision | undefined;
  const anyAsk: fc.Arbitrary<Ask> = fc.oneof(
    fc
      .record(
        {
          members: fc.constantFrom<MemberOrder[] | null>(
            null,
            [{ email: 'kari@nav.no', role: 'owner' }],
            [{ email: 'ola@nav.no', role: 'owner' }],
          ),
          ghcrRepositories: fc.constantFrom<string[] | null>(null, ['a'], ['b', 'a']),
          garTeam: fc.constantFrom(null, 'team-a'),
        },
        { requiredKeys: [] },
      )
      .map(
        (patch): Ask =>
          (team, now) =>
            patchTeam(team, patch, { by: act.by, now }, asAdmin),
      ),
    fc.record({ deleteHomes: fc.boolean(), deleteSecret: fc.boolean() }).map(
      (asked): Ask =>
        (team, now) =>
          deleteTeam(team, asked, { by: act.by, now }),
    ),
  );

  it('only increases the generation, and writes exactly when something changes', () => {
    fc.assert(
      fc.property(fc.array(anyAsk, { maxLength: 10 }), (asks) => {
        let team: TeamRecord = aRecord();
        for (const [index, ask] of asks.entries()) {
          const now = new Date(Date.parse(aMoment) + (index + 1) * 1000).toISOString();
          const before = structuredClone(team);
          let decision: Decision | undefined;
          try {
            decision = ask(team, now);
          } catch (error) {
            assert.ok(error instanceof Problem, String(error));
            if (error.code !== 'last_owner')
              assert.deepEqual([error.code, team.deletion === null], ['deleting', false]);
          }
          assert.deepEqual(team, before, 'a decision leaves what it was made about alone');
          if (decision === undefined) continue;
          const { next, event } = decision;
          assert.equal(next.revision, team.revision + 1);
          assert.equal(next.generation, team.generation + 1);
          assert.equal(next.notebookRevision, team.notebookRevision);
          assert.deepEqual(next.reconcile, { dueAt: now, failures: 0 });
          assert.ok((event?.changes.length ?? 0) > 0);
          for (const { pointer, from, to } of event?.changes ?? []) assert.notDeepEqual(from, to, pointer);
          team = next;
        }
      }),
    );
  });
});

describe('a team as clients see it', () => {
  it('has its names and addresses, and no internal fields', () => {
    assert.deepEqual(teamView(aRecord()), {
      slug: 'team-a',
      id: 'team-a-3f9c',
      namespace: 'team-team-a-3f9c',
      hubUrl: 'https://team-a.jupyter.knada.io',
      serviceAccount: 'team-a-3f9c@knada-gcp.iam.gserviceaccount.com',
      members: [{ email: 'kari.nordmann@nav.no', username: 'kari.nordmann@nav.no', role: 'owner' }],
      ghcrRepositories: [],
      garTeam: null,
      quota: { cpu: null, memory: null, members: null, home: null },
      phase: 'Pending',
      revision: 1,
      createdAt: aMoment,
      updatedAt: aMoment,
      warnings: [],
    });
  });

  it('is Deleting from the request on', () => {
    const going = aRecord({ deletion: { requestedAt: aMoment, deleteHomes: false, deleteSecret: false } });
    assert.equal(teamView(going).phase, 'Deleting');
  });
});
