import Type, { type Static } from 'typebox';
import { quantityPattern } from '../lib/quantity.ts';
import { answer, closed, known, nullable, ref } from '../lib/schema.ts';
import { FaultCode } from './faults.ts';
import { LocalizedText } from './localized-text.ts';
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
    label: ref(LocalizedText),
    type: known(['number', 'integer', 'quantity', 'boolean', 'text', 'list']),
    default: Type.Unknown({
      description: 'The value when the order leaves it and its related fields out.',
      examples: [0.5],
    }),
    minimum: bound('The smallest accepted value.'),
    maximum: bound('The largest accepted value; for a list, the most entries.'),
    unit: Type.Optional(known(['cores', 'seconds'])),
    pattern: Type.Optional(
      Type.String({
        description:
          'A regular expression (ECMA-262) that every accepted text matches, once white space around it is removed. Other rules can still refuse a text that matches.',
        examples: [quantityPattern],
      }),
    ),
  },
  { $id: 'FieldLimits' },
);

/** A rule that involves another field, or the configuration before a change. */
export const FieldRule = answer(
  {
    kind: known(['at_most', 'at_least', 'cannot_shrink', 'false_needs'], {
      description:
        'at_most: the field is not above the other. at_least: it is not below the other. cannot_shrink: it is not below its value before the change. false_needs: while it is false, the other is not null.',
      examples: ['at_most'],
    }),
    pointer: Type.String({
      description: 'JSON pointer (RFC 6901) to the field that a fault is reported on.',
      examples: ['/resources/cpu/guarantee'],
    }),
    other: nullable(
      Type.String({
        description: 'JSON pointer to the other field; null for a rule about one field.',
        examples: ['/resources/cpu/limit'],
      }),
    ),
    code: ref(FaultCode),
    message: ref(LocalizedText),
  },
  { $id: 'FieldRule' },
);
export type FieldRule = Static<typeof FieldRule>;

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
    rules: Type.Array(ref(FieldRule), {
      description:
        'The rules between fields. `code` is the code of the fault in the answer to an order that breaks the rule.',
    }),
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
            label: { en: 'CPU limit', nb: 'CPU-grense' },
            type: 'number',
            default: 0.5,
            minimum: 0.1,
            maximum: 16,
            unit: 'cores',
          },
        ],
        rules: [
          {
            kind: 'at_most',
            pointer: '/resources/cpu/guarantee',
            other: '/resources/cpu/limit',
            code: 'above_limit',
            message: {
              en: 'The guarantee must not be above the limit.',
              nb: 'Garantien kan ikke være høyere enn grensen.',
            },
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
