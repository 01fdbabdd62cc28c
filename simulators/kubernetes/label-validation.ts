import { asList, asMap, asText, asTexts, at, type Json, type JsonMap } from './json.ts';
import { type Fault, forbiddenValue, invalidValue, requiredValue } from './status.ts';

export const SUBDOMAIN =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
export const LABEL =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
export const QUALIFIED =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
export const LABEL_VALUE =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

export interface NameRule {
  readonly pattern: RegExp;
  readonly longest: number;
  readonly why: string;
}

export const subdomain: NameRule = {
  pattern: /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/,
  longest: 253,
  why: SUBDOMAIN,
};

export const label: NameRule = { pattern: /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/, longest: 63, why: LABEL };

/** Faults of a LabelSelector. */
export function selectorFaults(selector: Json | undefined, path: string): Fault[] {
  const expressions = asList(at(selector, 'matchExpressions'));
  return [
    ...labelFaults(asMap(at(selector, 'matchLabels')), `${path}.matchLabels`),
    ...expressions.flatMap((expression, index) =>
      expressionFaults(asMap(expression), `${path}.matchExpressions[${index}]`),
    ),
  ];
}

function expressionFaults(expression: JsonMap, path: string): Fault[] {
  const operator = asText(expression.operator);
  const values = asTexts(expression.values);
  const faults: Fault[] = [];
  if (operator === 'In' || operator === 'NotIn') {
    if (values.length === 0)
      faults.push(requiredValue(`${path}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
  } else if (operator === 'Exists' || operator === 'DoesNotExist') {
    if (values.length > 0)
      faults.push(
        forbiddenValue(
          `${path}.values`,
          "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        ),
      );
  } else faults.push(invalidValue(`${path}.operator`, operator, 'not a valid selector operator'));
  return [...faults, ...keyFaults(asText(expression.key), asText(expression.key), `${path}.key`)];
}

export function labelFaults(labels: JsonMap, path: string): Fault[] {
  return Object.entries(labels).flatMap(([key, value]) => {
    const faults = keyFaults(key, key, path);
    if (asText(value).length > 63) faults.push(invalidValue(path, value, 'must be no more than 63 bytes'));
    if (!/^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/.test(asText(value)))
      faults.push(invalidValue(path, value, LABEL_VALUE));
    return faults;
  });
}

export function keyFaults(key: string, shown: string, path: string): Fault[] {
  const [first = '', second] = key.split('/');
  const name = second ?? first;
  const faults: Fault[] = [];
  if (second !== undefined && !subdomain.pattern.test(first))
    faults.push(invalidValue(path, shown, `prefix part ${SUBDOMAIN}`));
  if (name.length > 63) faults.push(invalidValue(path, shown, 'name part must be no more than 63 bytes'));
  if (!/^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/.test(name))
    faults.push(invalidValue(path, shown, QUALIFIED));
  return faults;
}
