import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { OperationRecord } from '../../src/model/operation.ts';
import { advanceWith } from '../../src/servers/advance.ts';
import type { OperationDeps } from '../../src/servers/calls.ts';
import { aScene, kari, type Scene } from './scene.ts';

/** The process ended: nothing after this call runs any more. */
class Killed extends Error {}

/** Everything outside an instance, which dies once `lives` calls have arrived (`after`), or right before the last. */
const mortal = (deps: OperationDeps, lives: number, moment: 'before' | 'after') => {
  let made = 0;
  let isDead = false;
  const living = <T extends object>(target: T): T =>
    new Proxy(target, {
      get(inner, name, receiver) {
        const value: unknown = Reflect.get(inner, name, receiver);
        if (typeof value !== 'function' || name === 'progress') return value;
        return async (...args: unknown[]) => {
          if (isDead) throw new Killed();
          made += 1;
          isDead = made >= lives;
          if (isDead && moment === 'before') throw new Killed();
          const answer: unknown = await Reflect.apply(value, inner, args);
          if (isDead) throw new Killed();
          return answer;
        };
      },
    });
  return {
    deps: {
      ...deps,
      store: living(deps.store),
      hubs: living(deps.hubs),
      cluster: living(deps.cluster),
      access: living(deps.access),
    },
    made: () => made,
  };
};

/** What reached the hub or the cluster to change something there. */
const changes = ({ hub }: Scene) =>
  hub.calls.filter((call) => /^(start|stop|delete|patch)/.test(call)).toSorted();

const wishes = {
  restart: {
    prepare: (scene: Scene) => scene.hub.run(kari),
    open: async ({ servers, record, act }: Scene) => servers.restart(await record(), kari, {}, act()),
    changes: [`start ${kari}`, `stop ${kari}`],
    pods: 1,
  },
  start: {
    prepare: () => {},
    open: async ({ servers, record, act }: Scene) => servers.start(await record(), kari, undefined, act()),
    changes: [`start ${kari}`],
    pods: 1,
  },
  'restart of the hub': {
    prepare: (scene: Scene) => scene.hub.run(kari),
    open: async ({ servers, record, act }: Scene) => servers.restartHub(await record(), act()),
    changes: ['patch Deployment'],
    pods: 0,
  },
};

/** An operation that is only stored: the instance that opened it was killed before its first step. */
const leftBehind = async (scene: Scene, open: (scene: Scene) => Promise<OperationRecord>) => {
  const dead = { ...scene, servers: scene.another({ store: onlyOpening(scene) }) };
  const opened = await open(dead);
  assert.equal((await scene.stored(opened)).updatedAt, opened.createdAt);
  scene.hub.calls.length = 0;
  return opened;
};
const onlyOpening = ({ store }: Scene) =>
  new Proxy(store, {
    get: (target, name, receiver) =>
      name === 'changeOperation'
        ? () => Promise.reject(new Killed())
        : name === 'team'
          ? () => Promise.reject(new Killed())
          : Reflect.get(target, name, receiver),
  });

describe('an instance that is killed', () => {
  for (const [name, { prepare, open, changes: once }] of Object.entries(wishes)) {
    for (const moment of ['before', 'after'] as const) {
      it(`${moment} any call of a ${name} is replaced by another one, which finishes the operation once`, async (t) => {
        for (let lives = 1; ; lives += 1) {
          const scene = await aScene(t);
          prepare(scene);
          const opened = await leftBehind(scene, open);
          const { deps, made } = mortal(scene.deps, lives, moment);
          const advance = advanceWith(deps);
          let isKilled = false;
          for (let second = 0; second < 60 && !isKilled; second += 1) {
            const operation = await scene.stored(opened);
            if (operation.outcome !== null) break;
            await advance(scene.slug, operation, AbortSignal.timeout(10_000)).catch((error: unknown) => {
              if (!(error instanceof Killed)) throw error;
              isKilled = true;
            });
            if (!isKilled) scene.pass(1);
          }
          const finished = await scene.finish(opened);
          assert.equal(finished.outcome, 'ready', `killed ${moment} call ${lives}: ${finished.message}`);
          assert.deepEqual(changes(scene), once, `killed ${moment} call ${lives}`);
          if (!isKilled) {
            assert.ok(lives > 10, `only ${made()} calls were made`);
            return;
          }
        }
      });
    }
  }
});

describe('an instance suspended between its observation and its call', () => {
  it('does not act on outdated facts', async (t) => {
    const scene = await aScene(t);
    scene.hub.run(kari);
    const opened = await leftBehind(scene, wishes.restart.open);
    const hubs = {
      ...scene.hub.hubs,
      user: async (...asked: Parameters<typeof scene.hub.hubs.user>) => {
        const answer = await scene.hub.hubs.user(...asked);
        scene.pass(6);
        return answer;
      },
    };
    const advance = advanceWith({ ...scene.deps, hubs });
    await advance(scene.slug, await scene.stored(opened), AbortSignal.timeout(10_000));
    assert.deepEqual(changes(scene), []);
    assert.equal((await scene.finish(opened)).outcome, 'ready');
  });
});

describe('two concurrent instances', () => {
  it('take an operation through each step once, however their calls interleave', async (t) => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.constantFrom(...Object.values(wishes)),
        // At once: one instance is through with everything while the other one is still at its first look.
        fc.constantFrom({}, { startMs: 0, stopMs: 0 }),
        async (scheduler, wish, speed) => {
          const scene = await aScene(t, {}, speed);
          wish.prepare(scene);
          const opened = await leftBehind(scene, wish.open);
          const podsBefore = scene.hub.podsMade();
          const steps: string[] = [];
          const deps = {
            ...scene.deps,
            store: new Proxy(scene.store, {
              get(target, name, receiver) {
                const value: unknown = Reflect.get(target, name, receiver);
                if (name === 'changeOperation') {
                  return async (...[slug, id, decide]: Parameters<typeof target.changeOperation>) => {
                    await scheduler.schedule(Promise.resolve(), 'changeOperation');
                    return target.changeOperation(slug, id, (current) => {
                      const next = decide(current);
                      if (next !== undefined && next.step !== current.step) steps.push(next.step);
                      return next;
                    });
                  };
                }
                if (typeof value !== 'function') return value;
                return async (...args: unknown[]) => {
                  await scheduler.schedule(Promise.resolve(), String(name));
                  return Reflect.apply(value, target, args);
                };
              },
            }),
          };
          const one = advanceWith(deps);
          const two = advanceWith(deps);
          for (let second = 0; second < 60; second += 1) {
            const operation = await scene.stored(opened);
            if (operation.outcome !== null) break;
            const signal = AbortSignal.timeout(10_000);
            const both = Promise.all([
              one(scene.slug, operation, signal),
              two(scene.slug, operation, signal),
            ]);
            await scheduler.waitFor(both);
            scene.pass(1);
          }
          const finished = await scene.stored(opened);
          assert.equal(finished.outcome, 'ready', finished.message);
          assert.equal(new Set(steps).size, steps.length, steps.join(', '));
          assert.deepEqual(changes(scene), wish.changes);
          assert.equal(scene.hub.podsMade(), podsBefore + wish.pods);
        },
      ),
      { numRuns: 60 },
    );
  });
});
