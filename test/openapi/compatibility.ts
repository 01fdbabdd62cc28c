import { isDeepStrictEqual } from 'node:util';
import type { OpenapiDocument } from '../../src/http/openapi.ts';

type Node = Readonly<Record<string, unknown>>;
const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const nodeAt = (node: unknown, ...path: readonly string[]): Node =>
  path.reduce<Node>((at, name) => (isNode(at[name]) ? at[name] : {}), isNode(node) ? node : {});
const listOf = (value: unknown): readonly unknown[] =>
  Array.isArray(value) ? value : value === undefined ? [] : [value];

const methods = ['get', 'put', 'post', 'patch', 'delete'];
/** Of a request: how much less it takes when the number moves this way. */
const narrowing = {
  minimum: 'raised',
  exclusiveMinimum: 'raised',
  minLength: 'raised',
  minItems: 'raised',
  maximum: 'lowered',
  exclusiveMaximum: 'lowered',
  maxLength: 'lowered',
  maxItems: 'lowered',
} as const;

/**
 * What in `next` breaks a client that was written for `released`, as sentences; an empty list is compatible.
 * What clients send must still be accepted, and what they read must still be there. A new field or a new value in an answer
 * is compatible only where the released contract announces others: `additionalProperties: true`, `x-extensible-enum`.
 * New problems are compatible: the released contract has a `default` response.
 */
export const breakingChanges = (released: OpenapiDocument, next: OpenapiDocument): readonly string[] => {
  const faults = new Set<string>();
  const compared = new Set<string>();

  const resolved = (document: OpenapiDocument, schema: Node): Node => {
    const name = typeof schema.$ref === 'string' ? schema.$ref.replace(/^.*\//, '') : undefined;
    return name === undefined ? schema : resolved(document, nodeAt(document.components.schemas, name));
  };

  const compare = (before: Node, after: Node, side: 'request' | 'answer', where: string): void => {
    // A component is looked at once, under the first place where it is used; it may contain itself.
    if (before.$ref !== undefined || after.$ref !== undefined) {
      const pair = `${before.$ref} ${after.$ref} ${side}`;
      if (compared.has(pair)) return;
      compared.add(pair);
    }
    const [from, to] = [resolved(released, before), resolved(next, after)];
    const fault = (sentence: string) => faults.add(`${where} ${sentence}`);

    const isTaken = (type: unknown, types: readonly unknown[]) =>
      types.length === 0 || types.includes(type) || (type === 'integer' && types.includes('number'));
    const [typesFrom, typesTo] = [listOf(from.type), listOf(to.type)];
    if (side === 'request') {
      if (typesFrom.length === 0 && typesTo.length > 0) fault(`takes only ${typesTo.join(' or ')}`);
      for (const type of typesFrom) if (!isTaken(type, typesTo)) fault(`does not take ${type} any more`);
    } else {
      if (typesTo.length === 0 && typesFrom.length > 0) fault('may be of any type');
      for (const type of typesTo) if (!isTaken(type, typesFrom)) fault(`may now be ${type}`);
    }

    if (side === 'request') {
      if (to.enum !== undefined) {
        if (from.enum === undefined) fault('takes only listed values');
        for (const value of listOf(from.enum))
          if (!listOf(to.enum).includes(value)) fault(`does not take "${value}" any more`);
      }
      for (const keyword of ['pattern', 'format', 'const'])
        if (to[keyword] !== undefined && !isDeepStrictEqual(from[keyword], to[keyword]))
          fault(`has another ${keyword}`);
      for (const [keyword, way] of Object.entries(narrowing)) {
        const [was, is] = [from[keyword], to[keyword]];
        if (typeof is !== 'number') continue;
        const isNarrower = typeof was !== 'number' || (way === 'raised' ? is > was : is < was);
        if (isNarrower) fault(`has a ${keyword} of ${is}, it was ${was ?? 'none'}`);
      }
    }

    if (side === 'answer') {
      if (from.format !== undefined && from.format !== to.format) fault('has another format');
      for (const value of listOf(to.enum)) {
        if (from.enum !== undefined && !listOf(from.enum).includes(value))
          fault(`may now be "${value}", but clients were told that there is no other value`);
      }
      if (from['x-extensible-enum'] !== undefined && to['x-extensible-enum'] === undefined)
        fault('does not announce other values any more');
      if (from.additionalProperties === true && to.additionalProperties !== true)
        fault('does not announce other fields any more');
    }

    const [fieldsFrom, fieldsTo] = [nodeAt(from, 'properties'), nodeAt(to, 'properties')];
    const [neededFrom, neededTo] = [listOf(from.required), listOf(to.required)];
    for (const name of Object.keys(fieldsFrom)) {
      if (fieldsTo[name] === undefined) fault(`lost its field ${name}`);
      else compare(nodeAt(fieldsFrom, name), nodeAt(fieldsTo, name), side, `${where}/${name}`);
    }
    if (side === 'answer' && from.additionalProperties === false) {
      for (const name of Object.keys(fieldsTo).filter((field) => fieldsFrom[field] === undefined))
        fault(`has a new field ${name}, but clients were told that there is no other`);
    }
    if (side === 'request') {
      for (const name of neededTo) if (!neededFrom.includes(name)) fault(`now needs the field ${name}`);
      if (to.additionalProperties === false && from.additionalProperties !== false)
        fault('takes no other fields any more');
    } else {
      for (const name of neededFrom)
        if (!neededTo.includes(name) && fieldsTo[String(name)] !== undefined)
          fault(`may leave out the field ${name}`);
    }
    if (isNode(from.items) && isNode(to.items)) compare(from.items, to.items, side, `${where}/*`);
  };

  const contents = (before: Node, after: Node, side: 'request' | 'answer', where: string): void => {
    for (const type of Object.keys(nodeAt(before, 'content'))) {
      if (nodeAt(after, 'content')[type] === undefined) faults.add(`${where} has no ${type} any more`);
      else
        compare(
          nodeAt(before, 'content', type, 'schema'),
          nodeAt(after, 'content', type, 'schema'),
          side,
          where,
        );
    }
  };

  const parameters = (before: Node, after: Node, where: string): void => {
    const byName = (operation: Node) =>
      new Map(listOf(operation.parameters).map((p) => [`${nodeAt(p).in} ${nodeAt(p).name}`, nodeAt(p)]));
    const [known, present] = [byName(before), byName(after)];
    for (const [name, parameter] of known) {
      const now = present.get(name);
      if (now === undefined) faults.add(`${where} lost its parameter ${name}`);
      else compare(nodeAt(parameter, 'schema'), nodeAt(now, 'schema'), 'request', `${where} ${name}`);
    }
    for (const [name, parameter] of present)
      if (parameter.required === true && known.get(name)?.required !== true)
        faults.add(`${where} now needs its parameter ${name}`);
  };

  for (const [path, operations] of Object.entries(released.paths)) {
    for (const method of methods.filter((name) => operations[name] !== undefined)) {
      const where = `${method.toUpperCase()} ${path}`;
      const [before, after] = [nodeAt(operations, method), nodeAt(next.paths, path, method)];
      if (after.responses === undefined) {
        faults.add(`${where} is gone`);
        continue;
      }
      if (after.operationId !== before.operationId) faults.add(`${where} is called ${after.operationId} now`);
      const isPublic = ({ security }: Node) => Array.isArray(security) && security.length === 0;
      if (isPublic(before) && !isPublic(after)) faults.add(`${where} now needs a token`);
      parameters(before, after, where);
      const [bodyBefore, bodyAfter] = [nodeAt(before, 'requestBody'), nodeAt(after, 'requestBody')];
      if (bodyAfter.required === true && bodyBefore.required !== true)
        faults.add(`${where} now needs a body`);
      contents(bodyBefore, bodyAfter, 'request', `${where} body`);
      for (const [status, answer] of Object.entries(nodeAt(before, 'responses'))) {
        if (!/^[23]/.test(status)) continue;
        const now = nodeAt(after, 'responses', status);
        if (now.description === undefined) {
          faults.add(`${where} does not answer ${status} any more`);
          continue;
        }
        contents(nodeAt(answer), now, 'answer', `${where} ${status}`);
        for (const name of Object.keys(nodeAt(answer, 'headers')))
          if (nodeAt(now, 'headers')[name] === undefined)
            faults.add(`${where} ${status} lost its header ${name}`);
      }
    }
  }
  // SDKs name their types after components.
  for (const name of Object.keys(released.components.schemas))
    if (next.components.schemas[name] === undefined) faults.add(`the component ${name} is gone`);
  return [...faults];
};
