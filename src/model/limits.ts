import Type, { type Static } from 'typebox';
import { answer, closed, known, ref } from '../lib/schema.ts';
import { TeamLimits } from './team-limits.ts';

const bound = (description: string) =>
  Type.Optional(
    Type.Unknown({ description: `${description} A number, or <n>Mi or <n>Gi, as in the field.` }),
  );

/** The default and the bounds of one field of an order. */
export const FieldLimits = answer(
  {
    pointer: Type.String({
      description: 'JSON pointer (RFC 6901) into the order.',
      examples: ['/resources/cpu/limit'],
    }),
    type: known(['number', 'integer', 'quantity', 'boolean', 'text', 'list']),
    default: Type.Unknown({
      description: 'The value when the order leaves it and its related fields out.',
      examples: [0.5],
    }),
    minimum: bound('The smallest accepted value.'),
    maximum: bound('The largest accepted value; for a list, the most entries.'),
    unit: Type.Optional(known(['cores', 'seconds'])),
  },
  { $id: 'FieldLimits' },
);

/** A list of hosts that an allowlist names as `preset:<name>`. */
export const EgressPreset = answer(
  {
    name: Type.String({ examples: ['pypi'] }),
    hosts: Type.Array(Type.String(), { examples: [['pypi.org', 'files.pythonhosted.org']] }),
  },
  { $id: 'EgressPreset' },
);

export const NotebookLimits = answer(
  {
    fields: Type.Array(ref(FieldLimits)),
    teams: ref(TeamLimits),
    egressPresets: Type.Array(ref(EgressPreset), {
      description: 'The presets that an allowlist may contain, with the hosts that they open now.',
    }),
  },
  {
    $id: 'NotebookLimits',
    examples: [
      {
        fields: [
          {
            pointer: '/resources/cpu/limit',
            type: 'number',
            default: 0.5,
            minimum: 0.1,
            maximum: 16,
            unit: 'cores',
          },
        ],
        egressPresets: [{ name: 'pypi', hosts: ['pypi.org', 'files.pythonhosted.org'] }],
        teams: {
          maxPerPerson: 20,
          max: 5000,
          membersMax: 500,
          reservedSlugs: ['hub', 'www'],
          memberEmailDomains: ['nav.no'],
        },
      },
    ],
  },
);
export type NotebookLimits = Static<typeof NotebookLimits>;

/** Bounds of what a team may order, set by the operator. Memory and storage in MiB, time in seconds. */
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

/** The bounds when the operator sets none. */
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
