import { at, isObject } from '../lib/json.ts';
import type { Limits } from '../model/limits.ts';
import type { NotebookOrder, NotebookPatch, NotebookSpec } from '../model/notebook.ts';
import { type Fault, Problem } from '../model/problems.ts';
import { mebibytes, printMebibytes } from './quantity.ts';

const clamp = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high);

const atMost = (quantity: string, other: string): string =>
  mebibytes(quantity) <= mebibytes(other) ? quantity : other;

const atLeast = (quantity: string, other: string): string =>
  mebibytes(quantity) >= mebibytes(other) ? quantity : other;

const within = (quantity: string, lowMi: number, highMi: number): string => {
  const mi = mebibytes(quantity);
  return mi === clamp(mi, lowMi, highMi) ? quantity : printMebibytes(clamp(mi, lowMi, highMi));
};

/**
 * The order with every answer given. A default follows its sibling: ordering only a guarantee of four cores
 * makes the limit four, not an error. A value that was given is never changed.
 */
export const complete = (order: NotebookOrder, limits: Limits): NotebookSpec => {
  const cpu = order.resources?.cpu ?? {};
  const memory = order.resources?.memory ?? {};
  const cpuDefault = (value: number) => clamp(value, limits.cpuMin, limits.cpuMax);
  const memoryDefault = (quantity: string) => within(quantity, limits.memoryMinMi, limits.memoryMaxMi);
  const timeoutSeconds =
    order.culling?.timeoutSeconds ??
    Math.min(
      clamp(3600, limits.timeoutMinSeconds, limits.timeoutMaxSeconds),
      order.culling?.maxAgeSeconds ?? Number.POSITIVE_INFINITY,
    );
  return {
    resources: {
      cpu: {
        guarantee: cpu.guarantee ?? Math.min(cpuDefault(0.2), cpu.limit ?? Number.POSITIVE_INFINITY),
        limit: cpu.limit ?? Math.max(cpuDefault(0.5), cpu.guarantee ?? 0),
      },
      memory: {
        guarantee:
          memory.guarantee ??
          (memory.limit === undefined ? memoryDefault('1Gi') : atMost(memoryDefault('1Gi'), memory.limit)),
        limit:
          memory.limit ??
          (memory.guarantee === undefined
            ? memoryDefault('2Gi')
            : atLeast(memoryDefault('2Gi'), memory.guarantee)),
      },
    },
    image: order.image ?? null,
    culling: {
      timeoutSeconds,
      maxAgeSeconds:
        order.culling?.maxAgeSeconds ?? Math.max(Math.min(604800, limits.maxAgeMaxSeconds), timeoutSeconds),
      keepBusyKernels: order.culling?.keepBusyKernels ?? true,
    },
    allowlist: { enabled: order.allowlist?.enabled ?? false, hosts: order.allowlist?.hosts ?? [] },
    storage: { home: order.storage?.home ?? within('10Gi', limits.homeMinMi, limits.homeMaxMi) },
    pip: { userInstallByDefault: order.pip?.userInstallByDefault ?? false },
  };
};

/** RFC 7396: null removes, an object is merged, everything else replaces. */
const merged = (target: unknown, patch: unknown): unknown => {
  if (!isObject(patch)) return patch;
  const result: Record<string, unknown> = { ...(isObject(target) ? target : {}) };
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = merged(result[name], value);
  }
  return result;
};

/** The configuration after a merge patch: what the patch removed is back at its default. */
export const patched = (spec: NotebookSpec, patch: NotebookPatch, limits: Limits): NotebookSpec =>
  // A schema-checked patch merged into a spec is an order by construction.
  complete(merged(spec, patch) as NotebookOrder, limits);

/**
 * An earlier configuration as it can be ordered today: fields that came later take their defaults, and home
 * volumes that have grown stay as large as they are.
 */
export const restored = (
  earlier: NotebookSpec,
  present: NotebookSpec | undefined,
  limits: Limits,
): NotebookSpec => {
  const spec = complete(earlier, limits);
  if (present === undefined) return spec;
  return { ...spec, storage: { home: atLeast(spec.storage.home, present.storage.home) } };
};

const outside = (value: unknown, low: number, high: number): value is number =>
  typeof value === 'number' && (value < low || value > high);

const quantityPattern = /^[0-9]+(\.[0-9]+)?(Mi|Gi)$/;

const mi = (value: unknown): number | undefined =>
  typeof value === 'string' && value.length <= 16 && quantityPattern.test(value)
    ? mebibytes(value)
    : undefined;

/**
 * Every breach of the platform’s bounds in an order, a patch or a complete configuration, one per field. What has
 * the wrong type is passed over: the schema speaks of that.
 */
export const boundsFaults = (order: unknown, limits: Limits): readonly Fault[] => {
  const faults: Fault[] = [];
  const fault = (path: readonly string[], code: string, message: string) => {
    const pointer = `/${path.join('/')}`;
    if (!faults.some((earlier) => earlier.pointer === pointer)) faults.push({ pointer, code, message });
  };
  const number = (path: readonly string[], low: number, high: number, unit: string) => {
    if (outside(at(order, ...path), low, high))
      fault(path, 'out_of_range', `Must be ${low} to ${high} ${unit}.`);
  };
  const size = (path: readonly string[], lowMi: number, highMi: number) => {
    if (outside(mi(at(order, ...path)), lowMi, highMi)) {
      fault(path, 'out_of_range', `Must be ${printMebibytes(lowMi)} to ${printMebibytes(highMi)}.`);
    }
  };
  const pair = (low: unknown, high: unknown, path: readonly string[], code: string, message: string) => {
    if (typeof low === 'number' && typeof high === 'number' && low > high) fault(path, code, message);
  };

  const cpu = ['resources', 'cpu'];
  const memory = ['resources', 'memory'];
  number([...cpu, 'guarantee'], limits.cpuMin, limits.cpuMax, 'cores');
  number([...cpu, 'limit'], limits.cpuMin, limits.cpuMax, 'cores');
  size([...memory, 'guarantee'], limits.memoryMinMi, limits.memoryMaxMi);
  size([...memory, 'limit'], limits.memoryMinMi, limits.memoryMaxMi);
  number(['culling', 'timeoutSeconds'], limits.timeoutMinSeconds, limits.timeoutMaxSeconds, 'seconds');
  number(['culling', 'maxAgeSeconds'], limits.timeoutMinSeconds, limits.maxAgeMaxSeconds, 'seconds');
  size(['storage', 'home'], limits.homeMinMi, limits.homeMaxMi);
  pair(
    at(order, ...cpu, 'guarantee'),
    at(order, ...cpu, 'limit'),
    [...cpu, 'guarantee'],
    'above_limit',
    'The guarantee must not be above the limit.',
  );
  pair(
    mi(at(order, ...memory, 'guarantee')),
    mi(at(order, ...memory, 'limit')),
    [...memory, 'guarantee'],
    'above_limit',
    'The guarantee must not be above the limit.',
  );
  pair(
    at(order, 'culling', 'timeoutSeconds'),
    at(order, 'culling', 'maxAgeSeconds'),
    ['culling', 'maxAgeSeconds'],
    'below_timeout',
    'The maximum age must not be below the idle timeout.',
  );
  return faults;
};

/** Throws Problem `validation_failed` unless the complete configuration lies within the bounds. */
export const assertWithinBounds = (spec: NotebookSpec, limits: Limits): void => {
  const errors = boundsFaults(spec, limits);
  if (errors.length > 0) throw new Problem('validation_failed', { errors });
};
