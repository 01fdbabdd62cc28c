import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { IamBinding, IamPolicy } from '../../src/ports/iam.ts';
import {
  boundFor,
  boundWith,
  fingerprint,
  type Grants,
  grantsOn,
  memberRoles,
  nextPolicy,
  principalOf,
  workloadPrincipal,
} from '../../src/secrets/bindings.ts';
import { emptyLedger, ledgerAnnotation, readLedger, withLedger } from '../../src/secrets/grant-ledger.ts';

const [accessor, manager, viewer] = memberRoles;
const account = 'team-a-3f9c@knada-gcp.iam.gserviceaccount.com';
const bare: IamPolicy = { bindings: [], etag: 'e1', version: 1 };
const kari = 'kari.nordmann@nav.no';
const ola = 'ola.nordmann@nav.no';

/** The policy after a first pass for these members, and what we remember of it. */
const afterFirst = (members: readonly string[], policy: IamPolicy = bare) => {
  const wanted = grantsOn(members, account);
  const next = nextPolicy(policy, wanted, new Map());
  assert.ok(next);
  return { policy: next.policy, bound: boundWith(new Map(), next.added) };
};

/** Who holds what without a condition. */
const pairsOf = ({ bindings }: IamPolicy): Set<string> =>
  new Set(
    bindings.flatMap(({ role, members, condition }) =>
      condition === undefined ? members.map((member) => `${role} ${member}`) : [],
    ),
  );

describe('a principal', () => {
  it('is a service account if its address says so, otherwise a user', () => {
    assert.equal(principalOf('Kari.Nordmann@nav.no'), 'user:kari.nordmann@nav.no');
    assert.equal(principalOf(account), `serviceAccount:${account}`);
    const compute = '123-compute@developer.gserviceaccount.com';
    assert.equal(principalOf(compute), `serviceAccount:${compute}`);
    assert.equal(
      principalOf('x@gserviceaccount.com.evil.example'),
      'user:x@gserviceaccount.com.evil.example',
    );
  });

  it('is lower-cased in ASCII only, so no two addresses become one principal', () => {
    assert.notEqual(principalOf('\u212Aari@nav.no'), principalOf('kari@nav.no'));
    assert.notEqual(fingerprint('user:\u212Aari@nav.no'), fingerprint('user:kari@nav.no'));
  });

  it('of a Kubernetes service account names pool, namespace and account', () => {
    assert.equal(
      workloadPrincipal('knada-gcp.svc.id.goog', 'team-x', 'x'),
      'serviceAccount:knada-gcp.svc.id.goog[team-x/x]',
    );
  });

  it('is the same principal after Google has marked it as deleted', () => {
    assert.equal(fingerprint(`deleted:user:${kari}?uid=123`), fingerprint(`user:${kari}`));
    assert.notEqual(fingerprint(`user:${ola}`), fingerprint(`user:${kari}`));
  });
});

describe('the IAM policy of a team’s secret', () => {
  it('gives each member exactly three roles, and the service account one', () => {
    const { policy } = afterFirst([kari]);
    assert.deepEqual(policy.bindings, [
      { role: accessor, members: [`user:${kari}`, `serviceAccount:${account}`] },
      { role: manager, members: [`user:${kari}`] },
      { role: viewer, members: [`user:${kari}`] },
    ]);
    assert.equal(policy.etag, 'e1');
  });

  it('removes every role from former members and gives them to new members', () => {
    const { policy, bound } = afterFirst([kari]);
    const next = nextPolicy(policy, grantsOn([ola], account), bound);
    assert.deepEqual(next?.policy.bindings, [
      { role: accessor, members: [`serviceAccount:${account}`, `user:${ola}`] },
      { role: manager, members: [`user:${ola}`] },
      { role: viewer, members: [`user:${ola}`] },
    ]);
  });

  it('loses a binding when its last member is removed', () => {
    const { policy, bound } = afterFirst([kari]);
    const next = nextPolicy(policy, grantsOn([], account), bound);
    assert.deepEqual(next?.policy.bindings, [{ role: accessor, members: [`serviceAccount:${account}`] }]);
  });

  it('keeps the members that another user bound to the same role', () => {
    const others = { ...bare, bindings: [{ role: accessor, members: ['group:ops@nav.no', `user:${ola}`] }] };
    const { policy, bound } = afterFirst([kari], others);
    const next = nextPolicy(policy, grantsOn([], account), bound);
    assert.deepEqual(next?.policy.bindings, [
      { role: accessor, members: ['group:ops@nav.no', `user:${ola}`, `serviceAccount:${account}`] },
    ]);
  });

  it('keeps the roles that a former member had before we granted any', () => {
    const others = { ...bare, bindings: [{ role: viewer, members: [`user:${kari}`] }] };
    const { policy, bound } = afterFirst([kari], others);
    const next = nextPolicy(policy, grantsOn([], account), bound);
    assert.deepEqual(next?.policy.bindings, [
      { role: viewer, members: [`user:${kari}`] },
      { role: accessor, members: [`serviceAccount:${account}`] },
    ]);
  });

  it('recognizes a member in any case', () => {
    const others = {
      ...bare,
      bindings: memberRoles.map((role) => ({ role, members: ['user:Kari.Nordmann@NAV.no'] })),
    };
    const wanted = grantsOn([kari], account);
    const next = nextPolicy(others, wanted, new Map());
    assert.deepEqual([...(next?.added.keys() ?? [])], [`serviceAccount:${account}`]);
  });

  it('replaces a service account that was deleted and recreated', () => {
    const { policy, bound } = afterFirst([]);
    const members = [`deleted:serviceAccount:${account}?uid=123456789`];
    const deleted = { ...policy, bindings: [{ role: accessor, members }] };
    const next = nextPolicy(deleted, grantsOn([], account), bound);
    assert.deepEqual(next?.policy.bindings, [{ role: accessor, members: [`serviceAccount:${account}`] }]);
  });

  it('neither adds nor removes a member who is withheld', () => {
    const { policy, bound } = afterFirst([kari]);
    const partly = { ...policy, bindings: policy.bindings.filter(({ role }) => role !== viewer) };
    const withheld = new Set([`user:${kari}`]);
    assert.equal(nextPolicy(partly, grantsOn([kari], account), bound, withheld), undefined);
  });

  it('keeps conditions and every other field', () => {
    const condition = { title: 'x', expression: 'false' };
    const conditional = { role: accessor, members: [`user:${kari}`], condition };
    const policy = { ...bare, bindings: [conditional], rest: { auditConfigs: [{ service: 'allServices' }] } };
    const next = nextPolicy(policy, grantsOn([kari], account), new Map());
    assert.deepEqual(next?.policy.bindings[0], conditional);
    assert.deepEqual(next.policy.rest, policy.rest);
    const left = nextPolicy(next.policy, grantsOn([], account), boundWith(new Map(), next.added));
    assert.deepEqual(left?.policy.bindings[0], conditional);
  });
});

describe('the IAM policy of a secret, for any existing bindings', () => {
  const people = ['a@nav.no', 'b@nav.no', 'c@nav.no', 'd@nav.no'];
  const roles = [...memberRoles, 'roles/secretmanager.admin'];
  const member = fc.constantFrom(
    ...people.map((email) => `user:${email}`),
    'group:a@nav.no',
    'allUsers',
    'deleted:user:z@nav.no?uid=1',
    `serviceAccount:${account}`,
  );
  const binding = fc.record(
    {
      role: fc.constantFrom(...roles),
      members: fc.uniqueArray(member, { minLength: 1, maxLength: 5 }),
      condition: fc.constantFrom({ expression: 'true' }, { expression: 'false' }),
    },
    { requiredKeys: ['role', 'members'] },
  );
  const policies: fc.Arbitrary<IamPolicy> = fc
    .array(binding, { maxLength: 6 })
    .map((bindings) => ({ ...bare, bindings }));
  /** A member’s account was deleted at Google. */
  const withTombstones = policies.map(({ bindings }) => ({
    ...bare,
    bindings: bindings.map((one) => ({ ...one, members: [...one.members, 'deleted:user:b@nav.no?uid=1'] })),
  }));
  const team = fc.subarray(people);

  /** Runs passes for these teams, one after the other. */
  const passes = (start: IamPolicy, teams: readonly (readonly string[])[]) => {
    let policy = start;
    let bound: ReadonlyMap<string, ReadonlySet<string>> = new Map();
    for (const members of teams) {
      const wanted: Grants = grantsOn(members, account);
      const next = nextPolicy(policy, wanted, bound);
      policy = next?.policy ?? policy;
      bound = boundFor(boundWith(bound, next?.added ?? new Map()), wanted);
    }
    return { policy, bound };
  };

  it('keeps every binding of others unchanged', () => {
    fc.assert(
      fc.property(policies, fc.array(team, { minLength: 1, maxLength: 4 }), (start, teams) => {
        const { policy } = passes(start, teams);
        const after = pairsOf(policy);
        for (const pair of pairsOf(start)) assert.ok(after.has(pair), pair);
        const isOthers = ({ role, condition }: IamBinding) =>
          condition !== undefined || role === 'roles/secretmanager.admin';
        assert.deepEqual(policy.bindings.filter(isOthers), start.bindings.filter(isOthers));
      }),
    );
  });

  it('gives members their roles, and leaves former members none of the roles that we granted', () => {
    fc.assert(
      fc.property(policies, fc.array(team, { minLength: 1, maxLength: 4 }), (start, teams) => {
        const { policy } = passes(start, teams);
        const wanted = grantsOn(teams.at(-1) ?? [], account);
        const expected = new Set(pairsOf(start));
        for (const [principal, granted] of wanted)
          for (const role of granted) expected.add(`${role} ${principal}`);
        assert.deepEqual([...pairsOf(policy)].toSorted(), [...expected].toSorted());
      }),
    );
  });

  it('is unchanged by a second pass', () => {
    fc.assert(
      fc.property(
        fc.oneof(policies, withTombstones),
        fc.array(team, { minLength: 1, maxLength: 4 }),
        (start, teams) => {
          const { policy, bound } = passes(start, teams);
          assert.equal(nextPolicy(policy, grantsOn(teams.at(-1) ?? [], account), bound), undefined);
        },
      ),
    );
  });
});

describe('the ledger of grants in the secret’s annotations', () => {
  const memory = {
    bound: boundWith(new Map(), grantsOn([kari, ola], account)),
    notedAt: 1_800_000_000_000,
    refused: new Set([fingerprint('user:x@nav.no')]),
    refusedAt: 1_800_000_000_001,
  };

  it('is read as it was written, and leaves other annotations alone', () => {
    const annotations = withLedger({ theirs: 'x' }, memory);
    assert.equal(annotations.theirs, 'x');
    assert.deepEqual(readLedger(annotations), memory);
  });

  it('is empty at first', () => {
    assert.deepEqual(readLedger({ theirs: 'x' }), emptyLedger);
  });

  it('is unknown if another writer has changed it', () => {
    for (const text of ['', '{', '[]', '{"bound":{"x":7}}', JSON.stringify({ ...memory, bound: { x: 9 } })]) {
      assert.equal(readLedger({ [ledgerAnnotation]: text }), 'unreadable', text);
    }
  });

  it('holds the largest team that is allowed', () => {
    const emails = Array.from({ length: 500 }, (_, index) => `${'x'.repeat(200)}${index}@nav.no`);
    const bound = boundWith(new Map(), grantsOn(emails, account));
    const [text = ''] = Object.values(withLedger({}, { ...memory, bound }));
    assert.ok(text.length < 10_000, String(text.length));
  });
});
