import Type, { type Static } from 'typebox';
import { closed } from '../schema.ts';

/** Bounds of what a team may order (DESIGN 4). Memory and storage in MiB, time in seconds. */
export const Limits = closed({
  cpuMin: Type.Number({ exclusiveMinimum: 0 }),
  cpuMax: Type.Number({ exclusiveMinimum: 0 }),
  memoryMinMi: Type.Integer({ minimum: 1 }),
  memoryMaxMi: Type.Integer({ minimum: 1 }),
  timeoutMinSeconds: Type.Integer({ minimum: 1 }),
  timeoutMaxSeconds: Type.Integer({ minimum: 1 }),
  maxAgeMaxSeconds: Type.Integer({ minimum: 1 }),
  homeMinMi: Type.Integer({ minimum: 1 }),
  homeMaxMi: Type.Integer({ minimum: 1 }),
  hostsMax: Type.Integer({ minimum: 1 }),
});
export type Limits = Static<typeof Limits>;

export const defaultLimits: Limits = {
  cpuMin: 0.1,
  cpuMax: 16,
  memoryMinMi: 256,
  memoryMaxMi: 128 * 1024,
  timeoutMinSeconds: 600,
  timeoutMaxSeconds: 7 * 86400,
  maxAgeMaxSeconds: 30 * 86400,
  homeMinMi: 1024,
  homeMaxMi: 1024 * 1024,
  hostsMax: 200,
};
