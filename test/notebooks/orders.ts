import fc from 'fast-check';
import type { Limits } from '../../src/model/limits.ts';
import type { NotebookOrder, NotebookSpec } from '../../src/model/notebook.ts';
import { anySpec } from './arbitrary.ts';

const ascending = (count: number, min: number, max: number): fc.Arbitrary<number[]> =>
  fc
    .array(fc.integer({ min, max }), { minLength: count, maxLength: count })
    .map((numbers) => numbers.toSorted((a, b) => a - b));

/** Bounds that an operator may set: every lower one at most its upper one. */
export const anyLimits: fc.Arbitrary<Limits> = fc
  .record({
    milli: ascending(2, 1, 64_000),
    memory: ascending(2, 1, 600_000),
    seconds: ascending(3, 1, 5_000_000),
    home: ascending(2, 1, 2_000_000),
    hostsMax: fc.integer({ min: 1, max: 500 }),
  })
  .map(({ milli, memory, seconds, home, hostsMax }) => {
    const [cpuMin = 0, cpuMax = 0] = milli.map((number) => number / 1000);
    const [memoryMinMi = 0, memoryMaxMi = 0] = memory;
    const [timeoutMinSeconds = 0, timeoutMaxSeconds = 0, maxAgeMaxSeconds = 0] = seconds;
    const [homeMinMi = 0, homeMaxMi = 0] = home;
    return {
      cpuMin,
      cpuMax,
      memoryMinMi,
      memoryMaxMi,
      timeoutMinSeconds,
      timeoutMaxSeconds,
      maxAgeMaxSeconds,
      homeMinMi,
      homeMaxMi,
      hostsMax,
    };
  });

/** Some of the fields, none of them, or not even the section. */
const some = <T extends object>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record(fields, { requiredKeys: [], noNullPrototype: true });

const quantity = (mi: number) => fc.constantFrom(`${mi}Mi`, `${mi / 1024}Gi`, `${mi}.0Mi`);

/** Every configuration, as a store hands it out. */
export const anyCompleteSpec: fc.Arbitrary<NotebookSpec> = anySpec.map((spec) => structuredClone(spec));

/** Every order that these bounds allow, with any part of it left out. */
export const anyOrder = (limits: Limits): fc.Arbitrary<NotebookOrder> =>
  fc
    .record({
      milli: ascending(2, Math.round(limits.cpuMin * 1000), Math.round(limits.cpuMax * 1000)),
      memory: ascending(2, limits.memoryMinMi, limits.memoryMaxMi),
      timeout: fc.integer({ min: limits.timeoutMinSeconds, max: limits.timeoutMaxSeconds }),
      age: fc.integer({ min: limits.timeoutMinSeconds, max: limits.maxAgeMaxSeconds }),
      home: fc.integer({ min: limits.homeMinMi, max: limits.homeMaxMi }),
    })
    .chain(({ milli: [low = 0, high = 0], memory: [lowMi = 0, highMi = 0], timeout, age, home }) =>
      some({
        resources: some({
          cpu: some({ guarantee: fc.constant(low / 1000), limit: fc.constant(high / 1000) }),
          memory: some({ guarantee: quantity(lowMi), limit: quantity(highMi) }),
        }),
        image: fc.constantFrom(null, 'ghcr.io/navikt/a:1'),
        culling: some({
          timeoutSeconds: fc.constant(Math.min(timeout, age)),
          maxAgeSeconds: fc.constant(age),
          keepBusyKernels: fc.boolean(),
        }),
        allowlist: some({ enabled: fc.boolean(), hosts: fc.array(fc.domain(), { maxLength: 3 }) }),
        storage: some({ home: quantity(home) }),
        pip: some({ userInstallByDefault: fc.boolean() }),
      }),
    );

export const anyLimitsAndOrder = anyLimits.chain((limits) =>
  fc.record({ limits: fc.constant(limits), order: anyOrder(limits) }),
);
