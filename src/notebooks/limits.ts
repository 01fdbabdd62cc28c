import type { Limits, NotebookLimits } from '../model/limits.ts';
import { printMebibytes } from './quantity.ts';
import { complete } from './spec.ts';

/** What a form needs to know of every field, from the bounds that are in force. */
export const limitsView = (limits: Limits): NotebookLimits => {
  const { resources, image, culling, allowlist, storage, pip } = complete({}, limits);
  const cpu = { type: 'number', minimum: limits.cpuMin, maximum: limits.cpuMax, unit: 'cores' } as const;
  const memory = {
    type: 'quantity',
    minimum: printMebibytes(limits.memoryMinMi),
    maximum: printMebibytes(limits.memoryMaxMi),
  } as const;
  const seconds = { type: 'integer', minimum: limits.timeoutMinSeconds, unit: 'seconds' } as const;
  return {
    fields: [
      { path: '/resources/cpu/guarantee', default: resources.cpu.guarantee, ...cpu },
      { path: '/resources/cpu/limit', default: resources.cpu.limit, ...cpu },
      { path: '/resources/memory/guarantee', default: resources.memory.guarantee, ...memory },
      { path: '/resources/memory/limit', default: resources.memory.limit, ...memory },
      { path: '/image', type: 'text', default: image },
      {
        path: '/culling/timeoutSeconds',
        default: culling.timeoutSeconds,
        ...seconds,
        maximum: limits.timeoutMaxSeconds,
      },
      {
        path: '/culling/maxAgeSeconds',
        default: culling.maxAgeSeconds,
        ...seconds,
        maximum: limits.maxAgeMaxSeconds,
      },
      { path: '/culling/keepBusyKernels', type: 'boolean', default: culling.keepBusyKernels },
      { path: '/allowlist/enabled', type: 'boolean', default: allowlist.enabled },
      { path: '/allowlist/hosts', type: 'list', default: allowlist.hosts, maximum: limits.hostsMax },
      {
        path: '/storage/home',
        type: 'quantity',
        default: storage.home,
        minimum: printMebibytes(limits.homeMinMi),
        maximum: printMebibytes(limits.homeMaxMi),
      },
      { path: '/pip/userInstallByDefault', type: 'boolean', default: pip.userInstallByDefault },
    ],
  };
};
