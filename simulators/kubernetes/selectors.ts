import { asList, asMap, asText, asTexts, at, type Json, type JsonMap } from './json.ts';
import { type KubeObject, labelsOf } from './object.ts';
import { badRequest } from './status.ts';

export type Matches = (object: KubeObject) => boolean;

interface Requirement {
  readonly key: string;
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  readonly values: readonly string[];
}

const KEY = /^([a-z0-9A-Z][-a-z0-9A-Z.]*\/)?[a-zA-Z0-9]([-_.a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$/;
const VALUE = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;

/** Parses a label selector of a query string: `a=b,c!=d,e in (f,g),h notin (i),j,!k`. */
export function labelSelector(text: string): Matches {
  const requirements = splitOutsideParentheses(text).map(parseRequirement);
  return (object) => requirements.every((requirement) => meets(requirement, labelsOf(object)));
}

/** Whether labels match a LabelSelector object (matchLabels and matchExpressions); an absent one matches all. */
export function matchesLabels(selector: Json | undefined, labels: JsonMap): boolean {
  const pairs = Object.entries(asMap(at(selector, 'matchLabels')));
  if (!pairs.every(([key, value]) => labels[key] === value)) return false;
  return asList(at(selector, 'matchExpressions')).every((expression) => {
    const operator = asText(at(expression, 'operator'));
    if (operator !== 'In' && operator !== 'NotIn' && operator !== 'Exists' && operator !== 'DoesNotExist')
      return false;
    return meets(
      { key: asText(at(expression, 'key')), operator, values: asTexts(at(expression, 'values')) },
      labels,
    );
  });
}

function meets(requirement: Requirement, labels: JsonMap): boolean {
  const value = labels[requirement.key];
  switch (requirement.operator) {
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'In':
      return value !== undefined && requirement.values.includes(asText(value));
    case 'NotIn':
      return value === undefined || !requirement.values.includes(asText(value));
    default:
      return requirement.operator satisfies never;
  }
}

function splitOutsideParentheses(text: string): string[] {
  return text
    .split(/,(?![^(]*\))/)
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function parseRequirement(text: string): Requirement {
  const set = /^(\S+)\s+(in|notin)\s*\(([^)]*)\)$/.exec(text);
  const equality = /^([^=!\s]+)\s*(==|=|!=)\s*(\S*)$/.exec(text);
  const existence = /^(!?)\s*([^=!\s(]+)$/.exec(text);
  if (set !== null) {
    return checked({
      key: set[1] ?? '',
      operator: set[2] === 'in' ? 'In' : 'NotIn',
      values: (set[3] ?? '').split(',').map((value) => value.trim()),
    });
  }
  if (equality !== null) {
    return checked({
      key: equality[1] ?? '',
      operator: equality[2] === '!=' ? 'NotIn' : 'In',
      values: [equality[3] ?? ''],
    });
  }
  if (existence !== null) {
    return checked({
      key: existence[2] ?? '',
      operator: existence[1] === '!' ? 'DoesNotExist' : 'Exists',
      values: [],
    });
  }
  throw badRequest(`unable to parse requirement: ${text}`);
}

function checked(requirement: Requirement): Requirement {
  const bad =
    [requirement.key].find((key) => !KEY.test(key)) ?? requirement.values.find((value) => !VALUE.test(value));
  if (bad !== undefined)
    throw badRequest(`unable to parse requirement: invalid label key or value ${JSON.stringify(bad)}`);
  return requirement;
}

/** Fields that a kind can be selected by, beyond the name and the namespace. */
const SELECTABLE: Readonly<Record<string, readonly string[]>> = {
  Pod: [
    'spec.nodeName',
    'spec.serviceAccountName',
    'spec.restartPolicy',
    'spec.schedulerName',
    'status.phase',
    'status.podIP',
  ],
  Secret: ['type'],
  Namespace: ['status.phase'],
  Event: [
    'involvedObject.kind',
    'involvedObject.namespace',
    'involvedObject.name',
    'involvedObject.uid',
    'involvedObject.apiVersion',
    'reason',
    'type',
  ],
};

/** Parses a field selector of a query string: `metadata.name=x,status.phase!=Running`. */
export function fieldSelector(text: string, kind: string): Matches {
  const terms = text
    .split(',')
    .filter((term) => term !== '')
    .map((term) => {
      const parsed = /^([^=!]+)(==|=|!=)(.*)$/.exec(term);
      if (parsed === null) throw badRequest(`invalid selector: '${text}'; can't understand '${term}'`);
      const [, path = '', operator, value = ''] = parsed;
      const known = ['metadata.name', 'metadata.namespace', ...(SELECTABLE[kind] ?? [])];
      if (!known.includes(path)) throw badRequest(`field label not supported: ${path}`);
      return { path: path.split('.'), wanted: operator !== '!=', value };
    });
  return (object) =>
    terms.every(({ path, wanted, value }) => (asText(at(object, ...path)) === value) === wanted);
}

/** Both selectors of a list or watch request; what is absent matches all. */
export function selectorOf(query: URLSearchParams, kind: string): Matches {
  const labels = labelSelector(query.get('labelSelector') ?? '');
  const fields = fieldSelector(query.get('fieldSelector') ?? '', kind);
  return (object) => labels(object) && fields(object);
}
