import Type from 'typebox';
import { defaultLimits, Limits } from '../model/limits.ts';
import type { Variables } from './variables.ts';

export const limitsOf = (env: Variables): Limits => {
  const limits = {
    ...defaultLimits,
    ...env.json('NOTEBOOK_LIMITS', Type.Partial(Limits, { additionalProperties: false }), {}),
  };
  const ordered: readonly (readonly [keyof Limits, keyof Limits])[] = [
    ['cpuMin', 'cpuMax'],
    ['memoryMinMi', 'memoryMaxMi'],
    ['timeoutMinSeconds', 'timeoutMaxSeconds'],
    ['timeoutMaxSeconds', 'maxAgeMaxSeconds'],
    ['homeMinMi', 'homeMaxMi'],
  ];
  for (const [low, high] of ordered) {
    if (limits[low] > limits[high]) env.fault('NOTEBOOK_LIMITS', `${low} is above ${high}`);
  }
  return limits;
};
