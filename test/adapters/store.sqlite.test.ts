import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { text } from 'node:stream/consumers';
import { after, describe, it, type TestContext } from 'node:test';
import { openSqliteStore } from '../../src/adapters/sqlite.ts';
import { migrations, statements } from '../../src/adapters/sqlite-schema.ts';
import type { TeamRecord } from '../../src/model/record.ts';
import { storeContract } from '../contracts/store.ts';
import { anOperation } from '../support/operations.ts';
import { aMoment, aNaming, anEvent, anOrderedRecord, aRecord } from '../support/records.ts';

const folder = mkdtempSync(join(tmpdir(), 'knada-store-'));
after(() => rmSync(folder, { recursive: true }));

let files = 0;
const newFile = () => {
  files += 1;
  return join(folder, `${files}.db`);
};

describe('the SQLite store in memory', () => {
  storeContract(async () => [openSqliteStore({ file: ':memory:', naming: aNaming })]);
});

describe('the SQLite store on a file', () => {
  storeContract(async () => [openSqliteStore({ file: newFile(), naming: aNaming })]);
});

describe('the SQLite store shared by two connections', () => {
  storeContract(async () => {
    const file = newFile();
    return [openSqliteStore({ file, naming: aNaming }), openSqliteStore({ file, naming: aNaming })];
  });
});

const opened = (t: TestContext, file: string, random?: () => number) => {
  const store = openSqliteStore({ file, naming: aNaming, ...(random && { random }) });
  t.after(() => store.close());
  return store;
};

/** A connection that knows nothing of the adapter. */
const rawOn = (t: TestContext, file: string) => {
  const db = new DatabaseSync(file);
  t.after(() => db.close());
  return db;
};

/** A process of its own that runs a module with `store`, opened on the file, in scope. */
const processOn = (file: string, body: string, wrap = 'exec "$@"') => {
  const module = `
    import { openSqliteStore } from ${JSON.stringify(import.meta.resolve('../../src/adapters/sqlite.ts'))};
    const store = openSqliteStore({ file: ${JSON.stringify(file)}, naming: ${JSON.stringify(aNaming)} });
    ${body}`;
  const command = [process.execPath, '--input-type=module', '--eval', module];
  return spawn('/bin/sh', ['-c', wrap, 'sh', ...command], { stdio: ['ignore', 'pipe', 'inherit'] });
};

const increment = `(current) => ({
  next: { ...current, revision: current.revision + 1 },
  event: ${JSON.stringify(anEvent({ action: 'team_updated' }))},
})`;

describe('the SQLite store', () => {
  it('uses an index for every statement', async (t) => {
    const file = newFile();
    await opened(t, file).ping();
    const db = rawOn(t, file);
    for (const [name, sql] of Object.entries(statements)) {
      const plan = db
        .prepare(`EXPLAIN QUERY PLAN ${sql}`)
        .all()
        .map(({ detail }) => String(detail));
      assert.ok(
        plan.every(
          (step) =>
            !/SCAN (teams|members|listings|history|ids|operations|departures|hosts|catalogue)|TEMP B-TREE/.test(
              step,
            ),
        ),
        `${name}: ${plan.join('; ')}`,
      );
    }
    const planOf = (sql: string) => JSON.stringify(db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all());
    assert.match(planOf(statements.due), /SEARCH teams USING (COVERING )?INDEX teams_due/);
    assert.match(planOf(statements.degraded), /SEARCH teams USING (COVERING )?INDEX teams_degraded/);
    assert.match(planOf(statements.outdated), /SEARCH teams USING (COVERING )?INDEX teams_platform/);
    assert.match(planOf(statements.teamsOfMember), /SEARCH members USING PRIMARY KEY/);
    assert.match(planOf(statements.memberships), /SEARCH members USING PRIMARY KEY/);
    assert.match(planOf(statements.countTeams), /SEARCH teams USING COVERING INDEX/);
    assert.match(planOf(statements.cullingDue), /SEARCH teams USING (COVERING )?INDEX teams_culling/);
    assert.match(planOf(statements.restricted), /SEARCH teams USING (COVERING )?INDEX teams_restricted/);
    assert.match(planOf(statements.operationOn), /SEARCH operations USING INDEX operations_exclusive/);
    assert.match(planOf(statements.newestOpen), /SEARCH operations USING INDEX operations_open/);
    assert.match(planOf(statements.newestEnded), /SEARCH operations USING INDEX operations_ended/);
    assert.match(planOf(statements.openOperations), /SEARCH operations USING INDEX operations_open/);
    assert.match(
      planOf(statements.operationsDue),
      /SEARCH operations USING (COVERING )?INDEX operations_due/,
    );
    assert.match(planOf(statements.hostsDue), /SEARCH hosts USING (COVERING )?INDEX hosts_due/);
    assert.match(planOf(statements.listing), /SEARCH listings USING PRIMARY KEY/);
  });

  it('keeps its data when it is reopened', async (t) => {
    const file = newFile();
    const first = openSqliteStore({ file, naming: aNaming });
    await first.create(anOrderedRecord(), anEvent());
    await first.close();
    const again = opened(t, file);
    assert.deepEqual(await again.team('team-a'), anOrderedRecord());
    assert.equal((await again.history('team-a', { limit: 5 })).items.length, 1);
  });

  it('upgrades a file of the first version, and keeps its teams', async (t) => {
    const file = newFile();
    const db = rawOn(t, file);
    db.exec(`${migrations[0]} PRAGMA user_version = 1`);
    const insert = db.prepare('INSERT INTO teams (slug, record) VALUES (?, ?)');
    const expected = anOrderedRecord({ culling: { dueAt: aMoment, servers: {} } });
    const listing = aRecord({ slug: 'team-b', egressHosts: ['pypi.org', 'pypi.org', 'nav.no'] });
    const bare = aRecord({ slug: 'team-c' });
    const older = ({ culling: _, egressHosts: __, names: ___, ...record }: TeamRecord) => record;
    for (const record of [older(expected), listing, older(bare)]) {
      insert.run(record.slug, JSON.stringify(record));
    }

    const store = opened(t, file);
    assert.deepEqual(await store.team('team-a'), expected);
    assert.deepEqual(await store.teams({ limit: 5 }), { items: [expected, listing, bare] });
    assert.deepEqual(await store.listing(['pypi.org', 'nav.no']), ['team-b']);
    const known = await store.change('team-a', (current) => {
      assert.deepEqual(current, expected);
      return { next: { ...current, egressHosts: ['nav.no'] } };
    });
    assert.deepEqual(await store.team('team-a'), known);
    assert.deepEqual(await store.listing(['nav.no']), ['team-a', 'team-b']);
    assert.deepEqual(await store.cullingDue(aMoment, 5), ['team-a']);
  });

  it('upgrades the operations of a file of the version before, and what they exclude', async (t) => {
    const file = newFile();
    const db = rawOn(t, file);
    db.exec(`${migrations.slice(0, 3).join('\n')} PRAGMA user_version = 3`);
    db.prepare('INSERT INTO teams (slug, record) VALUES (?, ?)').run('team-a', JSON.stringify(aRecord()));
    const insert = db.prepare('INSERT INTO operations (slug, id, operation) VALUES (?, ?, ?)');
    const open = anOperation({ id: 'op-1' });
    const later = '2026-11-23T09:01:00.000Z';
    const hub = anOperation({ id: 'op-2', kind: 'restart_hub', user: null, createdAt: later });
    const over = anOperation({ id: 'op-3', user: 'ola', outcome: 'ready', step: 'done', dueAt: null });
    for (const operation of [open, hub, over]) insert.run('team-a', operation.id, JSON.stringify(operation));

    const store = opened(t, file);
    assert.deepEqual(await store.operations('team-a', { limit: 5 }), [hub, over, open]);
    assert.deepEqual(await store.operations('team-a', { limit: 5, open: false }), [over]);
    assert.deepEqual(await store.openOperation('team-a', anOperation({ id: 'op-4' })), open);
    assert.deepEqual(await store.openOperation('team-a', { ...hub, id: 'op-5' }), hub);
    const retry = anOperation({ id: 'op-6', kind: 'retry_notebook', user: null });
    assert.deepEqual(await store.openOperation('team-a', retry), retry);
  });

  it('deletes finished operations that have expired when another one is opened', async (t) => {
    const file = newFile();
    const store = opened(t, file);
    for (const slug of ['team-a', 'team-b']) await store.create(aRecord({ slug }), anEvent());
    const at = (hour: number) => `2026-11-23T${String(hour).padStart(2, '0')}:00:00.000Z`;
    const finished = anOperation({ id: 'op-1', user: 'a', expiresAt: at(12) });
    await store.openOperation('team-a', finished);
    await store.changeOperation('team-a', 'op-1', (next) => ({ ...next, dueAt: null }));
    await store.openOperation('team-a', anOperation({ id: 'op-2', user: 'b', expiresAt: at(12) }));
    const known = async () => {
      const ids = ['op-1', 'op-2', 'op-3', 'op-4'];
      const found = await Promise.all(ids.map((id) => store.operation('team-a', id)));
      return found.flatMap((operation) => operation?.id ?? []);
    };
    await store.openOperation('team-a', anOperation({ id: 'op-3', user: 'c', createdAt: at(11) }));
    assert.deepEqual(await known(), ['op-1', 'op-2', 'op-3']);
    await store.openOperation('team-b', anOperation({ id: 'op-4', user: 'd', createdAt: at(12) }));
    assert.deepEqual(await known(), ['op-2', 'op-3'], 'only what is finished goes, whatever team it is of');
  });

  it('refuses a file of a newer version, and leaves it unchanged', async (t) => {
    const file = newFile();
    const db = rawOn(t, file);
    db.exec('PRAGMA user_version = 999');
    await assert.rejects(opened(t, file).ping(), /newer version/);
    assert.deepEqual({ ...db.prepare('PRAGMA user_version').get() }, { user_version: 999 });
  });

  it('waits for another process’s transaction without losing its own', async (t) => {
    const file = newFile();
    const other = rawOn(t, file);
    let waits = 0;
    const store = opened(t, file, () => {
      waits += 1;
      if (waits === 3) other.exec('COMMIT');
      return 0;
    });
    await store.create(aRecord(), anEvent());
    other.exec('BEGIN IMMEDIATE');
    const answer = await store.change('team-a', (current) => ({ next: { ...current, revision: 2 } }));
    assert.deepEqual([answer?.revision, waits], [2, 3]);
  });

  it('reads while another process writes', async (t) => {
    const file = newFile();
    const other = rawOn(t, file);
    const store = opened(t, file, () => assert.fail('a reader waits for nobody'));
    await store.create(aRecord(), anEvent());
    other.exec('BEGIN IMMEDIATE');
    other.exec(`UPDATE teams SET record = json_set(record, '$.revision', 7)`);
    assert.equal((await store.team('team-a'))?.revision, 1);
    other.exec('COMMIT');
    assert.equal((await store.team('team-a'))?.revision, 7);
  });

  it('throws busy when another process holds the lock for too long', async (t) => {
    const file = newFile();
    const store = opened(t, file, () => 0);
    await store.create(aRecord(), anEvent());
    const other = rawOn(t, file);
    other.exec('BEGIN IMMEDIATE');
    await assert.rejects(
      store.change('team-a', (current) => ({ next: { ...current, revision: 2 } })),
      { name: 'Problem', code: 'busy', retryAfterSeconds: 1 },
    );
    other.exec('ROLLBACK');
    assert.equal((await store.team('team-a'))?.revision, 1);
  });

  it('loses no update of two processes that create the same file concurrently', async (t) => {
    const file = newFile();
    const body = `
      await store.create(${JSON.stringify(aRecord())}, ${JSON.stringify(anEvent())});
      for (let i = 0; i < 50; i += 1) await store.change('team-a', ${increment});`;
    const exits = await Promise.all([1, 2].map(() => once(processOn(file, body), 'exit')));
    assert.deepEqual(exits, [
      [0, null],
      [0, null],
    ]);
    const store = opened(t, file);
    assert.equal((await store.team('team-a'))?.revision, 101);
    const { items } = await store.history('team-a', { limit: 200 });
    assert.deepEqual(
      items.map(({ n }) => n),
      Array.from({ length: 101 }, (_, i) => 101 - i),
    );
  });

  for (const table of ['teams', 'history', 'members']) {
    it(`keeps the old state when writing to ${table} fails in mid-transaction`, async (t) => {
      const file = newFile();
      const store = opened(t, file);
      await store.create(aRecord(), anEvent());
      const db = rawOn(t, file);
      const verb = table === 'teams' ? 'UPDATE' : 'INSERT';
      db.exec(`CREATE TRIGGER broken AFTER ${verb} ON ${table} BEGIN SELECT RAISE(FAIL, 'broken'); END`);
      const change = () =>
        store.change('team-a', (current) => ({
          next: {
            ...current,
            revision: 2,
            members: [{ email: 'ola@nav.no', username: 'ola', role: 'owner' }],
          },
          event: anEvent({ action: 'team_updated' }),
        }));
      await assert.rejects(change(), /broken/);
      assert.deepEqual(await store.team('team-a'), aRecord());
      assert.equal((await store.history('team-a', { limit: 5 })).items.length, 1);
      assert.equal((await store.teams({ member: 'kari.nordmann@nav.no', limit: 5 })).items.length, 1);
      db.exec('DROP TRIGGER broken');
      assert.equal((await change())?.revision, 2);
      assert.equal((await store.history('team-a', { limit: 5 })).items[0]?.n, 2);
    });
  }

  // Whichever of the two is written second, its process dies when the first has been written already.
  const lethal = `{ toJSON() { process.kill(process.pid, 'SIGKILL'); for (;;); } }`;
  for (const [what, next, to] of [
    ['the record', `{ ...current, revision: 2, release: { platformHash: 'x', spec: ${lethal} } }`, '2'],
    ['the history entry', '{ ...current, revision: 2 }', lethal],
  ]) {
    it(`keeps the old state when its process is killed while it writes ${what}`, async (t) => {
      const file = newFile();
      const store = opened(t, file);
      await store.create(aRecord(), anEvent());
      const child = processOn(
        file,
        `const event = ${JSON.stringify(anEvent({ action: 'team_updated' }))};
         await store.change('team-a', (current) => ({
           next: ${next},
           event: { ...event, changes: [{ pointer: '/revision', from: 1, to: ${to} }] },
         }));`,
      );
      assert.deepEqual(await once(child, 'exit'), [null, 'SIGKILL']);
      assert.deepEqual(await store.team('team-a'), aRecord());
      assert.equal((await store.history('team-a', { limit: 5 })).items.length, 1);
      const next2 = await store.change('team-a', (current) => ({ next: { ...current, revision: 2 } }));
      assert.equal(next2?.revision, 2, 'the lock of the dead process is gone');
    });
  }

  it('throws Unavailable when the disk is full, and keeps the old state', async (t) => {
    const file = newFile();
    const store = opened(t, file);
    await store.create(aRecord(), anEvent());
    // A limit on the size of files stands for a full disk; without the trap the signal would end the process.
    const child = processOn(
      file,
      `const spec = { filler: 'x'.repeat(10_000_000) };
       await store
         .change('team-a', (current) => ({ next: { ...current, release: { platformHash: 'x', spec } } }))
         .catch(({ name, system }) => console.log(name, system));`,
      `trap '' XFSZ; ulimit -f 1000; exec "$@"`,
    );
    assert.equal(await text(child.stdout), 'Unavailable sqlite\n');
    assert.deepEqual(await store.team('team-a'), aRecord());
  });
});
