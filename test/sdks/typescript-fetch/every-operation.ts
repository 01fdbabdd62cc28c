// Calls every operation of a calls file and prints what was read: node every-operation.js <url> <calls>
import { readFileSync } from 'node:fs';
import * as knada from './knada/index.js';

interface Call {
  readonly operation: string;
  readonly tag: string;
  readonly parameters: readonly { readonly name: string; readonly value: unknown }[];
  readonly body: { readonly schema: string; readonly value: unknown } | null;
}

type Callable = (argument: unknown) => Promise<unknown>;

const [basePath = '', file = ''] = process.argv.slice(2);
const calls: readonly Call[] = JSON.parse(readFileSync(file, 'utf8'));
const configuration = new knada.Configuration({ basePath, accessToken: 'token' });
const exported: Readonly<Record<string, unknown>> = knada;

const camelCase = (name: string) => name.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
const lowerFirst = (name: string) => name.charAt(0).toLowerCase() + name.slice(1);
const callable = (holder: object, name: string): Callable => {
  const found: unknown = Reflect.get(holder, name);
  if (typeof found !== 'function') throw new Error(`${name} is not a function`);
  return (argument) => found.call(holder, argument);
};

for (const { operation, tag, parameters, body } of calls) {
  const Api = exported[`${tag.charAt(0).toUpperCase()}${tag.slice(1)}Api`];
  if (typeof Api !== 'function') throw new Error(`There is no API ${tag}`);
  const given = parameters.map(({ name, value }) => [camelCase(name), value]);
  if (body !== null) {
    given.push([lowerFirst(body.schema), callable(knada, `${body.schema}FromJSON`)(body.value)]);
  }
  try {
    const answer = await callable(
      Reflect.construct(Api, [configuration]),
      operation,
    )(Object.fromEntries(given));
    console.log(JSON.stringify({ operation, answer: answer ?? null }));
  } catch (error) {
    if (!(error instanceof knada.ResponseError)) throw error;
    const problem = knada.ProblemFromJSON(await error.response.json());
    console.log(JSON.stringify({ operation, problem }));
  }
}
