import type { ErrorObject } from 'ajv';
import { pointerToken } from '../lib/json.ts';
import type { FaultCode } from '../model/faults.ts';
import type { Fault } from '../model/problems.ts';

const formats: Readonly<Record<string, string>> = {
  email: 'an e-mail address',
  uri: 'a URI with its scheme',
  'date-time': 'an instant such as 2026-11-23T09:00:00Z',
  uuid: 'a UUID',
};

const typeNames: Readonly<Record<string, string>> = {
  array: 'a list',
  boolean: 'true or false',
  integer: 'a whole number',
  null: 'null',
  number: 'a number',
  object: 'an object',
  string: 'a text',
};

const bounds: Readonly<Record<string, string>> = {
  '>=': 'at least',
  '<=': 'at most',
  '>': 'more than',
  '<': 'less than',
};

const quoted = (value: unknown) => JSON.stringify(value);
const count = (n: number, noun: string) => `${n} ${noun}${n === 1 ? '' : 's'}`;

/** One error of Ajv (with `verbose`) as a fault; its pointer is relative to the part of the request. */
export const faultOf = (error: ErrorObject): Fault => {
  const { keyword, params, instancePath, parentSchema = {} } = error;
  const fault = (code: FaultCode, message: string): Fault => ({ pointer: instancePath, code, message });
  switch (keyword) {
    case 'required':
      return {
        pointer: instancePath + pointerToken(params.missingProperty),
        code: 'required',
        message: 'This field is required.',
      };
    case 'additionalProperties':
      return unknownField(
        instancePath,
        params.additionalProperty,
        Object.keys(parentSchema.properties ?? {}),
      );
    case 'type':
      return fault(
        'wrong_type',
        `Must be ${[params.type]
          .flat()
          .map((t) => typeNames[t] ?? t)
          .join(' or ')}.`,
      );
    case 'format':
      return fault('bad_format', `Must be ${formats[params.format] ?? params.format}.`);
    case 'pattern':
      return fault('bad_format', `${sentence(parentSchema.description)}Must match ${params.pattern}`);
    case 'minimum':
    case 'maximum':
    case 'exclusiveMinimum':
    case 'exclusiveMaximum':
      return fault('out_of_range', `Must be ${bounds[params.comparison]} ${params.limit}.`);
    case 'multipleOf':
      return fault('out_of_range', `Must be a multiple of ${params.multipleOf}.`);
    case 'enum':
      return fault('not_in_list', `Must be one of ${params.allowedValues.map(quoted).join(', ')}.`);
    case 'const':
      return fault('not_in_list', `Must be ${quoted(params.allowedValue)}.`);
    case 'minLength':
      return fault('too_short', `Must have at least ${count(params.limit, 'character')}.`);
    case 'maxLength':
      return fault('too_long', `Must have at most ${count(params.limit, 'character')}.`);
    case 'minItems':
      return fault('too_short', `Must have at least ${count(params.limit, 'item')}.`);
    case 'minProperties':
      return fault('too_short', `Must have at least ${count(params.limit, 'field')}.`);
    case 'maxItems':
      return fault('too_many', `Must have at most ${count(params.limit, 'item')}.`);
    case 'maxProperties':
      return fault('too_many', `Must have at most ${count(params.limit, 'field')}.`);
    default:
      return fault('invalid', `${capital(error.message ?? 'is invalid')}.`);
  }
};

/** The fault of an unknown field, with the field that was probably meant. */
export const unknownField = (parent: string, name: string, allowed: readonly string[]): Fault => {
  const near = nearest(name, allowed);
  const hint = near
    ? ` Did you mean ${quoted(near)}?`
    : allowed.length > 0 && allowed.length <= 12
      ? ` The fields are ${allowed.map(quoted).join(', ')}.`
      : '';
  return {
    pointer: parent + pointerToken(name),
    code: 'unknown_field',
    message: `There is no such field.${hint}`,
  };
};

const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

const sentence = (text: unknown) =>
  typeof text === 'string' && text ? `${text.replace(/[.\s]*$/, '.')} ` : '';

/** The allowed name closest to `name` within a typing error, if any. Case and separators are ignored. */
const nearest = (name: string, allowed: readonly string[]): string | undefined => {
  if (name.length > 64) return undefined;
  const plain = (text: string) => text.toLowerCase().replace(/[^a-z0-9]/g, '');
  const ranked = allowed
    .map((candidate) => ({ candidate, slips: distance(plain(name), plain(candidate)) }))
    .filter(({ candidate, slips }) => slips <= Math.max(1, Math.floor(candidate.length / 3)))
    .sort((a, b) => a.slips - b.slips);
  return ranked[0]?.candidate;
};

/** Levenshtein. */
const distance = (a: string, b: string): number => {
  let above = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = (above[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(swap, (above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    above = row;
  }
  return above[b.length] ?? 0;
};
