import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Problem } from '../../../src/model/problems.ts';
import type { TeamRecord } from '../../../src/model/record.ts';
import type { Member } from '../../../src/model/team.ts';
import type { CreationGuard, Store, TeamCounts } from '../../../src/ports/store.ts';
import { assertMayCreateTeam } from '../../../src/teams/limits.ts';
import { addMember, removeMember } from '../../../src/teams/membership.ts';
import { aMoment, anEvent, aRecord } from '../../support/records.ts';
import type { Opened } from '../store.ts';

const person = 'kari@nav.no';
const member = (email: string, role: Member['role'] = 'member'): Member => ({ email, username: email, role });
const act = { by: person, now: aMoment };
const requester = { email: person, isAdmin: false };

/** A record as a version before roles stored it. */
const withoutRoles = (record: TeamRecord): TeamRecord => ({
  ...record,
  // What is read back from a store is trusted to be a Member; these are not.
  members: record.members.map(({ role: _, ...older }) => older as Member),
});

const limited = (most: number, seen: TeamCounts[] = []): CreationGuard => ({
  person,
  check: (counts) => {
    seen.push(counts);
    assertMayCreateTeam(counts, { max: 1_000, maxPerPerson: most }, requester);
  },
});

const ownedTeam = (index: number) => aRecord({ slug: `mine-${index}`, members: [member(person, 'owner')] });

/** What every store does about the people of a team; part of the store contract. */
export const peopleContract = (opened: Opened): void => {
  const filled = async (store: Store, records: readonly TeamRecord[]) => {
    for (const record of records) assert.equal(await store.create(record, anEvent()), 'created');
  };

  it('makes owners of the members that a version before roles stored', async (t) => {
    const { here, there } = await opened(t);
    const roleless = withoutRoles(aRecord({ members: [member('kari@nav.no'), member('ola@nav.no')] }));
    await filled(here, [roleless]);
    const members = [member('kari@nav.no', 'owner'), member('ola@nav.no', 'owner')];
    assert.deepEqual((await there.team('team-a'))?.members, members);
    assert.deepEqual((await there.teams({ limit: 5 })).items[0]?.members, members);
    assert.deepEqual(await there.memberships('ola@nav.no'), [{ slug: 'team-a', role: 'owner' }]);
    const changed = await here.change('team-a', (current) =>
      addMember(current, { email: 'anne@nav.no' }, act, { requester }),
    );
    assert.deepEqual(changed?.members, [member('anne@nav.no'), ...members]);
    assert.deepEqual((await there.team('team-a'))?.members, changed?.members);
  });

  it('lists every team of a person with the role there, by slug', async (t) => {
    const { here, there } = await opened(t);
    await filled(here, [
      aRecord({ slug: 'team-c', members: [member(person, 'owner')] }),
      aRecord({ slug: 'team-a', members: [member('ola@nav.no', 'owner'), member(person)] }),
      aRecord({ slug: 'team-b', members: [member('ola@nav.no', 'owner')] }),
      withoutRoles(aRecord({ slug: 'team-d', members: [member(person)] })),
    ]);
    assert.deepEqual(await there.memberships(person), [
      { slug: 'team-a', role: 'member' },
      { slug: 'team-c', role: 'owner' },
      { slug: 'team-d', role: 'owner' },
    ]);
    await here.change('team-a', (current) => ({
      next: { ...current, members: [member('ola@nav.no'), member(person, 'owner')] },
    }));
    await here.change('team-c', (current) => ({ next: { ...current, members: [] } }));
    assert.deepEqual(await there.memberships(person), [
      { slug: 'team-a', role: 'owner' },
      { slug: 'team-d', role: 'owner' },
    ]);
    await here.remove('team-a', { id: 'team-a-3f9c', generation: 1 });
    assert.deepEqual(await there.memberships(person), [{ slug: 'team-d', role: 'owner' }]);
    assert.deepEqual(await there.memberships('kari'), []);
  });

  it('lists more memberships than a page has', async (t) => {
    const { here, there } = await opened(t);
    const slugs = Array.from({ length: 60 }, (_, index) => `team-${String(index).padStart(3, '0')}`);
    await Promise.all(
      slugs.map((slug) => here.create(aRecord({ slug, members: [member(person)] }), anEvent())),
    );
    assert.deepEqual(
      (await there.memberships(person)).map(({ slug }) => slug),
      slugs,
    );
  });

  it('counts teams, without those that are removed', async (t) => {
    const { here, there } = await opened(t);
    assert.equal(await there.countTeams(), 0);
    await filled(here, [aRecord(), aRecord({ slug: 'team-b' }), aRecord({ slug: 'team-c' })]);
    assert.equal(await there.countTeams(), 3);
    await here.remove('team-b', { id: 'team-b-3f9c', generation: 1 });
    assert.equal(await there.countTeams(), 2);
  });

  it('tells the guard of a creation the counts, and creates nothing when it throws', async (t) => {
    const { here, there } = await opened(t);
    await filled(here, [
      aRecord({ slug: 'team-a', members: [member(person, 'owner')] }),
      aRecord({ slug: 'team-b', members: [member('ola@nav.no', 'owner'), member(person)] }),
    ]);
    const seen: TeamCounts[] = [];
    assert.equal(await there.create(ownedTeam(1), anEvent(), limited(2, seen)), 'created');
    assert.deepEqual(seen.at(-1), { owned: 1, teams: 2 });
    await assert.rejects(there.create(ownedTeam(2), anEvent(), limited(2, seen)), { code: 'quota_exceeded' });
    assert.deepEqual(seen.at(-1), { owned: 2, teams: 3 });
    assert.equal(await here.team('mine-2'), undefined);
    assert.equal(await here.countTeams(), 3);
    assert.equal(await here.create(ownedTeam(2), anEvent(), limited(3)), 'created', 'its id was not taken');
  });

  it('lets concurrent creations of one person fill the limit exactly', async (t) => {
    const { all, here } = await opened(t);
    const outcomes = await Promise.allSettled(
      Array.from({ length: 8 }, (_, index) =>
        (all[index % all.length] ?? here).create(ownedTeam(index), anEvent(), limited(3)),
      ),
    );
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 3);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') assert.equal(outcome.reason.code, 'quota_exceeded', outcome.reason);
    }
    assert.equal((await here.memberships(person)).length, 3);
  });

  it('loses no member of two people who add and remove at the same time', async (t) => {
    const { all, here, there } = await opened(t);
    const leavers = Array.from({ length: 10 }, (_, index) => `leaver-${index}@nav.no`);
    const joiners = Array.from({ length: 10 }, (_, index) => `joiner-${index}@nav.no`);
    const others = leavers.map((email) => member(email));
    await filled(here, [aRecord({ members: [member(person, 'owner'), ...others] })]);
    await Promise.all([
      ...joiners.map(async (email, index) => {
        if (index % 3 === 0) await setImmediate();
        return (all[index % all.length] ?? here).change('team-a', (current) =>
          addMember(current, { email }, act, { requester }),
        );
      }),
      ...leavers.map((email, index) =>
        (all[(index + 1) % all.length] ?? here).change('team-a', (current) =>
          removeMember(current, email, act, requester),
        ),
      ),
    ]);
    const expected = [...joiners, person].toSorted();
    assert.deepEqual(
      (await there.team('team-a'))?.members.map(({ email }) => email),
      expected,
    );
    const { items } = await there.history('team-a', { limit: 100 });
    const changed = items.flatMap(({ action, changes }) =>
      changes.map(({ pointer }) => `${action} ${pointer.replace('/members/', '')}`),
    );
    assert.deepEqual(
      changed.toSorted(),
      [
        ...joiners.map((email) => `member_added ${email}`),
        ...leavers.map((email) => `member_removed ${email}`),
      ].toSorted(),
      'each change has one history entry',
    );
  });

  it('keeps an owner when two owners leave at the same time', async (t) => {
    const { all, here, there } = await opened(t);
    await filled(here, [aRecord({ members: [member('a@nav.no', 'owner'), member('b@nav.no', 'owner')] })]);
    const outcomes = await Promise.allSettled(
      ['a@nav.no', 'b@nav.no'].map((email, index) =>
        (all[index % all.length] ?? here).change('team-a', (current) =>
          removeMember(current, email, act, { email, isAdmin: false }),
        ),
      ),
    );
    const refused = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
    assert.equal(refused.length, 1);
    assert.ok(refused[0] instanceof Problem && refused[0].code === 'last_owner', String(refused[0]));
    assert.equal((await there.team('team-a'))?.members.length, 1);
  });
};
