import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { OperationRecord } from '../../../src/model/operation.ts';
import { anOperation } from '../../support/operations.ts';
import { anEvent, aRecord } from '../../support/records.ts';
import type { Opened } from '../store.ts';

const at = (minute: number) => `2026-11-23T09:${String(minute).padStart(2, '0')}:00.000Z`;

/** The last step of an operation. */
const finished = (current: OperationRecord): OperationRecord => ({
  ...current,
  step: 'done',
  outcome: 'ready',
  progress: 100,
  dueAt: null,
});

/** What every OperationStore must do. */
export const operationContract = (opened: Opened): void => {
  const withTeams: Opened = async (t) => {
    const stores = await opened(t);
    for (const slug of ['team-a', 'team-b']) {
      assert.equal(await stores.here.create(aRecord({ slug }), anEvent()), 'created');
    }
    return stores;
  };

  it('keeps an operation exactly as it was given', async (t) => {
    const { here, there } = await withTeams(t);
    const operation = anOperation({
      message: 'Linje 1\nlinje 2 🦆 \u0000',
      reason: 'image_pull_failed',
      profile: 'py-3.13',
      formerPod: '2f1a',
      force: true,
    });
    assert.deepEqual(await here.openOperation('team-a', operation), operation);
    assert.deepEqual(await there.operation('team-a', operation.id), operation);
    assert.deepEqual(await there.openOperations('team-a'), [operation]);
    assert.deepEqual(await there.operationsDue(at(0), 10), [{ slug: 'team-a', id: operation.id }]);
  });

  it('returns undefined for an operation that was never opened', async (t) => {
    const { here, there } = await withTeams(t);
    const { id } = anOperation();
    await here.openOperation('team-b', anOperation());
    assert.equal(await there.operation('team-a', id), undefined);
    assert.equal(await there.changeOperation('team-a', id, finished), undefined);
    assert.deepEqual(await there.openOperations('team-a'), []);
    assert.equal(await there.operation('team-c', id), undefined);
    assert.deepEqual(await there.openOperations('team-c'), []);
  });

  it('opens no operation of a team that there is not', async (t) => {
    const { here, there } = await withTeams(t);
    assert.equal(await here.openOperation('team-c', anOperation()), undefined);
    assert.deepEqual(await there.operationsDue(at(59), 10), []);
    await here.create(aRecord({ slug: 'team-c' }), anEvent());
    assert.deepEqual(await there.openOperations('team-c'), []);
  });

  it('returns the operation that is already open on the same server', async (t) => {
    const { here, there } = await withTeams(t);
    const first = anOperation({ id: 'op-1' });
    await here.openOperation('team-a', first);
    const second = anOperation({ id: 'op-2', kind: 'stop', step: 'stop', createdAt: at(1) });
    assert.deepEqual(await there.openOperation('team-a', second), first);
    assert.equal(await there.operation('team-a', 'op-2'), undefined);
    const further = await there.changeOperation('team-a', 'op-1', (now) => ({ ...now, progress: 40 }));
    assert.deepEqual(await here.openOperation('team-a', second), further);
    assert.deepEqual(await here.openOperations('team-a'), [further]);
  });

  it('opens an operation once for concurrent requests', async (t) => {
    const { all, here, there } = await withTeams(t);
    const answers = await Promise.all(
      Array.from({ length: 32 }, (_, i) =>
        (all[i % all.length] ?? here).openOperation('team-a', anOperation({ id: `op-${i}` })),
      ),
    );
    const open = await there.openOperations('team-a');
    assert.equal(open.length, 1);
    for (const answer of answers) assert.deepEqual(answer, open[0]);
    const known = await Promise.all(answers.map((_, i) => there.operation('team-a', `op-${i}`)));
    assert.deepEqual(
      known.filter((operation) => operation !== undefined),
      open,
    );
  });

  it('opens separate operations for every server of every team, and for every hub', async (t) => {
    const { all, here, there } = await withTeams(t);
    const long = 'å'.repeat(255);
    const users = [
      null,
      'null',
      'hub',
      'kari',
      'Kari',
      '.',
      '..',
      '__x__',
      'a/b',
      '%2F',
      `${long}1`,
      `${long}2`,
    ];
    const operations = users.map((user, i) =>
      anOperation({ id: `op-${i + 10}`, user, createdAt: at(i), dueAt: at(i) }),
    );
    for (const slug of ['team-a', 'team-b']) {
      const answers = await Promise.all(
        operations.map((operation, i) => (all[i % all.length] ?? here).openOperation(slug, operation)),
      );
      assert.deepEqual(answers, operations);
    }
    assert.deepEqual(await there.openOperations('team-a'), operations, 'the oldest first');
    assert.deepEqual(await there.openOperations('team-b'), operations);
    for (const operation of operations) {
      const again = { ...operation, id: 'op-again' };
      assert.deepEqual(await there.openOperation('team-a', again), operation);
    }
  });

  it('opens the next operation once one is finished, and keeps the finished one', async (t) => {
    const { here, there } = await withTeams(t);
    const [first, second] = [anOperation({ id: 'op-1' }), anOperation({ id: 'op-2', createdAt: at(1) })];
    await here.openOperation('team-a', first);
    assert.deepEqual(await there.changeOperation('team-a', 'op-1', finished), finished(first));
    assert.deepEqual(await here.openOperations('team-a'), []);
    assert.deepEqual(await here.operationsDue(at(59), 10), []);
    assert.deepEqual(await here.operation('team-a', 'op-1'), finished(first));
    assert.deepEqual(await there.openOperation('team-a', second), second);
    assert.deepEqual(await here.openOperations('team-a'), [second]);
    // A late step of the one that is over leaves the one that is open alone.
    await here.changeOperation('team-a', 'op-1', (current) => ({ ...current, message: 'Done.' }));
    assert.deepEqual(await there.openOperation('team-a', anOperation({ id: 'op-3' })), second);
  });

  it('returns the current record when the same operation is opened again', async (t) => {
    const { here, there } = await withTeams(t);
    await here.openOperation('team-a', anOperation());
    await here.changeOperation('team-a', anOperation().id, finished);
    assert.deepEqual(await there.openOperation('team-a', anOperation()), finished(anOperation()));
    assert.deepEqual(await there.openOperations('team-a'), []);
  });

  it('advances a step once for concurrent attempts', async (t) => {
    const { all, here, there } = await withTeams(t);
    await here.openOperation('team-a', anOperation());
    const wins = Array.from({ length: 16 }, () => false);
    await Promise.all(
      wins.map((_, i) =>
        (all[i % all.length] ?? here).changeOperation('team-a', anOperation().id, (current) => {
          wins[i] = current.step === 'start';
          return wins[i] ? { ...current, step: 'await_ready', message: `${i}` } : undefined;
        }),
      ),
    );
    assert.equal(wins.filter(Boolean).length, 1);
    assert.equal((await there.operation('team-a', anOperation().id))?.message, `${wins.indexOf(true)}`);
  });

  it('loses no change of an operation that many write at the same time', async (t) => {
    const { all, here, there } = await withTeams(t);
    await here.openOperation('team-a', anOperation());
    const answers = await Promise.all(
      Array.from({ length: 24 }, (_, i) =>
        (all[i % all.length] ?? here).changeOperation('team-a', anOperation().id, (current) => ({
          ...current,
          progress: current.progress + 1,
        })),
      ),
    );
    assert.equal((await there.operation('team-a', anOperation().id))?.progress, 24);
    assert.deepEqual(
      answers.map((operation) => operation?.progress ?? 0).toSorted((a, b) => a - b),
      Array.from({ length: 24 }, (_, i) => i + 1),
    );
  });

  it('opens operations one after the other when one finishes during other requests', async (t) => {
    const { all, here, there } = await withTeams(t);
    await here.openOperation('team-a', anOperation({ id: 'op-0' }));
    const [, ...answers] = await Promise.all([
      there.changeOperation('team-a', 'op-0', finished),
      ...Array.from({ length: 8 }, (_, i) =>
        (all[i % all.length] ?? here).openOperation('team-a', anOperation({ id: `op-${i + 1}` })),
      ),
    ]);
    const open = await there.openOperations('team-a');
    const next = answers.filter((answer) => answer?.id !== 'op-0');
    assert.equal(open.length, next.length === 0 ? 0 : 1);
    for (const answer of next) assert.deepEqual(answer, open[0]);
  });

  it('writes nothing when the decision returns undefined, and rethrows its error', async (t) => {
    const { here, there } = await withTeams(t);
    const { id } = anOperation();
    await here.openOperation('team-a', anOperation());
    assert.deepEqual(await here.changeOperation('team-a', id, () => undefined), anOperation());
    assert.deepEqual(
      await here.changeOperation('team-a', id, (current) => structuredClone(current)),
      anOperation(),
    );
    const refusal = new Error('not like this');
    await assert.rejects(
      here.changeOperation('team-a', id, () => {
        throw refusal;
      }),
      (error) => error === refusal,
    );
    assert.deepEqual(await there.operation('team-a', id), anOperation());
  });

  it('refuses an operation with another name or subject, and one that is over or begins again', async (t) => {
    const { here, there } = await withTeams(t);
    const { id } = anOperation();
    await here.openOperation('team-a', anOperation());
    for (const other of [{ id: 'op-2' }, { user: 'ola' }, { user: null }]) {
      const change = here.changeOperation('team-a', id, (current) => ({ ...current, ...other }));
      await assert.rejects(change, TypeError);
    }
    assert.deepEqual(await there.operation('team-a', id), anOperation());
    const over = here.openOperation('team-a', finished(anOperation({ id: 'op-2', user: 'ola' })));
    await assert.rejects(over, TypeError);
    await here.changeOperation('team-a', id, finished);
    const again = here.changeOperation('team-a', id, (current) => ({ ...current, dueAt: at(1) }));
    await assert.rejects(again, TypeError);
    assert.deepEqual(await there.openOperations('team-a'), []);
  });

  it('returns the due operations of every team, longest due first', async (t) => {
    const { here, there } = await withTeams(t);
    const dueAt = { 'op-1': 30, 'op-2': 10, 'op-3': 20, 'op-4': 40 };
    for (const [i, [id, minute]] of Object.entries(dueAt).entries()) {
      const slug = i % 2 === 0 ? 'team-a' : 'team-b';
      await here.openOperation(slug, anOperation({ id, user: id, dueAt: at(minute) }));
    }
    const due = async (minute: number, limit: number) =>
      (await there.operationsDue(at(minute), limit)).map(({ slug, id }) => `${slug} ${id}`);
    assert.deepEqual(await due(30, 10), ['team-b op-2', 'team-a op-3', 'team-a op-1']);
    assert.deepEqual(await due(30, 2), ['team-b op-2', 'team-a op-3']);
    assert.deepEqual(await due(9, 10), []);
    await here.changeOperation('team-b', 'op-2', (current) => ({ ...current, dueAt: at(50) }));
    await here.changeOperation('team-a', 'op-3', finished);
    assert.deepEqual(await due(59, 10), ['team-a op-1', 'team-b op-4', 'team-b op-2']);
  });

  const aDeletion = (overrides: Partial<OperationRecord> = {}) =>
    anOperation({
      id: 'op-d',
      kind: 'delete_team',
      user: null,
      step: 'await_reconcile',
      readers: ['kari.nordmann@nav.no'],
      ...overrides,
    });
  const aRetry = (overrides: Partial<OperationRecord> = {}) =>
    anOperation({ id: 'op-r', kind: 'retry_notebook', user: null, step: 'await_reconcile', ...overrides });

  it('keeps the deletion of a team when the team is removed, also from its heir', async (t) => {
    const { here, there } = await withTeams(t);
    assert.deepEqual(await here.openOperation('team-a', aDeletion()), aDeletion());
    assert.deepEqual(await there.operationsDue(at(0), 10), [{ slug: 'team-a', id: 'op-d' }]);
    assert.deepEqual(await there.openOperations('team-a'), [], 'it is not among those of the team');
    assert.deepEqual(await there.operations('team-a', { limit: 10 }), []);
    assert.equal(await here.remove('team-a', { id: 'team-a-3f9c', generation: 1 }), 'removed');
    assert.deepEqual(await there.operation('team-a', 'op-d'), aDeletion());
    assert.equal(await there.operation('team-b', 'op-d'), undefined);
    assert.deepEqual(await there.operationsDue(at(0), 10), [{ slug: 'team-a', id: 'op-d' }]);

    await here.create(aRecord({ id: 'team-a-77aa' }), anEvent());
    assert.deepEqual(await there.operation('team-a', 'op-d'), aDeletion());
    assert.deepEqual(await there.openOperations('team-a'), []);
    assert.deepEqual(await there.operations('team-a', { limit: 10 }), []);
    assert.deepEqual(await there.changeOperation('team-a', 'op-d', finished), finished(aDeletion()));
    assert.deepEqual(await here.operation('team-a', 'op-d'), finished(aDeletion()));
    assert.deepEqual(await here.operationsDue(at(59), 10), []);
    const again = here.changeOperation('team-a', 'op-d', (current) => ({ ...current, dueAt: at(1) }));
    await assert.rejects(again, TypeError);
    assert.deepEqual(await there.openOperation('team-a', aDeletion()), finished(aDeletion()));
  });

  it('opens the deletion of a team that is gone by now, and one for every team of a slug', async (t) => {
    const { here, there } = await withTeams(t);
    assert.deepEqual(await here.openOperation('team-c', aDeletion()), aDeletion());
    assert.deepEqual(
      await here.openOperation('team-c', aDeletion({ id: 'op-e' })),
      aDeletion({ id: 'op-e' }),
    );
    assert.deepEqual(await there.operation('team-c', 'op-d'), aDeletion());
    assert.deepEqual(await there.operation('team-c', 'op-e'), aDeletion({ id: 'op-e' }));
  });

  it('ends the deletion of a team once for concurrent attempts', async (t) => {
    const { all, here, there } = await withTeams(t);
    await here.openOperation('team-a', aDeletion());
    await here.remove('team-a', { id: 'team-a-3f9c', generation: 1 });
    const wins = Array.from({ length: 12 }, () => false);
    await Promise.all(
      wins.map((_, i) =>
        (all[i % all.length] ?? here).changeOperation('team-a', 'op-d', (current) => {
          wins[i] = current.dueAt !== null;
          return wins[i] ? finished(current) : undefined;
        }),
      ),
    );
    assert.equal(wins.filter(Boolean).length, 1);
    assert.deepEqual(await there.operationsDue(at(59), 10), []);
  });

  it('opens a retry beside the operation on the hub, and goes with its team', async (t) => {
    const { here, there } = await withTeams(t);
    const hub = anOperation({ id: 'op-1', user: null, kind: 'restart_hub' });
    await here.openOperation('team-a', hub);
    assert.deepEqual(
      await here.openOperation('team-a', aRetry({ createdAt: at(1) })),
      aRetry({ createdAt: at(1) }),
    );
    assert.deepEqual(
      await here.openOperation('team-a', aRetry()),
      aRetry({ createdAt: at(1) }),
      'the same one',
    );
    const deletion = aRetry({ id: 'op-n', kind: 'delete_notebook', createdAt: at(2) });
    assert.deepEqual(await here.openOperation('team-a', deletion), deletion);
    assert.deepEqual(
      (await there.openOperations('team-a')).map(({ id }) => id),
      ['op-1', 'op-r', 'op-n'],
    );
    await here.changeOperation('team-a', 'op-r', finished);
    const other = anOperation({ id: 'op-2', user: null, kind: 'restart_hub' });
    assert.deepEqual(await there.openOperation('team-a', other), hub, 'the end of a retry frees no hub');
    assert.equal(await here.openOperation('team-c', aRetry()), undefined);
    await here.remove('team-a', { id: 'team-a-3f9c', generation: 1 });
    assert.equal(await there.operation('team-a', 'op-r'), undefined);
    assert.equal(await there.operation('team-a', 'op-n'), undefined);
  });

  it('adds an operation that has ended already, beside an open one', async (t) => {
    const { here, there } = await withTeams(t);
    const open = anOperation({ id: 'op-1' });
    await here.openOperation('team-a', open);
    const done = finished(anOperation({ id: 'op-2', createdAt: at(1) }));
    assert.equal(await here.addOperation('team-a', done), true);
    assert.deepEqual(await there.operation('team-a', 'op-2'), done);
    assert.deepEqual(await there.openOperations('team-a'), [open]);
    assert.equal(await here.addOperation('team-c', done), false);
    await assert.rejects(here.addOperation('team-a', anOperation({ id: 'op-3' })), TypeError);
  });

  it('lists operations newest first, page by page, open or finished', async (t) => {
    const { here, there } = await withTeams(t);
    const all = Array.from({ length: 9 }, (_, i) =>
      // Pairs that were opened at the same instant; their ids decide.
      anOperation({ id: `op-${i}`, user: `user-${i}`, createdAt: at(i >> 1) }),
    );
    for (const operation of all) await here.openOperation('team-a', operation);
    for (const id of ['op-1', 'op-4', 'op-8']) await here.changeOperation('team-a', id, finished);
    await here.openOperation('team-b', anOperation({ id: 'op-x' }));
    const walked = async (open: boolean | undefined, limit: number) => {
      const ids: string[] = [];
      let before: OperationRecord | undefined;
      for (;;) {
        const page = await there.operations('team-a', {
          limit,
          ...(open === undefined ? {} : { open }),
          ...(before === undefined ? {} : { before }),
        });
        ids.push(...page.map(({ id }) => id));
        before = page.at(-1);
        if (page.length < limit) return ids;
      }
    };
    const newestFirst = [8, 7, 6, 5, 4, 3, 2, 1, 0].map((i) => `op-${i}`);
    for (const limit of [1, 2, 3, 4, 20]) {
      assert.deepEqual(await walked(undefined, limit), newestFirst);
      assert.deepEqual(await walked(false, limit), ['op-8', 'op-4', 'op-1']);
      assert.deepEqual(await walked(true, limit), ['op-7', 'op-6', 'op-5', 'op-3', 'op-2', 'op-0']);
    }
  });

  it('removes the operations of a team with it, and shows its heir none', async (t) => {
    const { here, there } = await withTeams(t);
    const open = anOperation({ id: 'op-1' });
    await here.openOperation('team-a', open);
    await here.openOperation('team-a', anOperation({ id: 'op-2', user: null }));
    await here.changeOperation('team-a', 'op-2', finished);
    await here.openOperation('team-b', open);
    assert.equal(await here.remove('team-a', { id: 'team-a-3f9c', generation: 1 }), 'removed');

    const forgotten = async () => {
      assert.equal(await there.operation('team-a', 'op-1'), undefined);
      assert.equal(await there.operation('team-a', 'op-2'), undefined);
      assert.deepEqual(await there.openOperations('team-a'), []);
      assert.deepEqual(await there.operationsDue(at(59), 10), [{ slug: 'team-b', id: 'op-1' }]);
    };
    await forgotten();
    assert.equal(await there.changeOperation('team-a', 'op-1', finished), undefined);
    assert.equal(await there.openOperation('team-a', open), undefined);
    await here.create(aRecord({ id: 'team-a-77aa' }), anEvent());
    await forgotten();
    const next = anOperation({ id: 'op-3' });
    assert.deepEqual(await there.openOperation('team-a', next), next);
  });

  it('leaves no operation behind when a team is removed while some are opened', async (t) => {
    const { all, here, there } = await withTeams(t);
    const [removal, ...answers] = await Promise.all([
      there.remove('team-a', { id: 'team-a-3f9c', generation: 1 }),
      ...Array.from({ length: 8 }, (_, i) =>
        (all[i % all.length] ?? here).openOperation('team-a', anOperation({ id: `op-${i}`, user: `${i}` })),
      ),
    ]);
    assert.equal(removal, 'removed');
    for (const [i, answer] of answers.entries()) {
      if (answer !== undefined) assert.equal(answer.id, `op-${i}`);
    }
    assert.deepEqual(await there.operationsDue(at(59), 10), []);
    await here.create(aRecord({ id: 'team-a-77aa' }), anEvent());
    assert.deepEqual(await there.openOperations('team-a'), []);
    for (const i of answers.keys()) assert.equal(await there.operation('team-a', `op-${i}`), undefined);
  });
};
