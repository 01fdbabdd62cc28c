import type { Limits } from '../model/limits.ts';

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
