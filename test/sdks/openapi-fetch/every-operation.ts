// Calls every operation of a calls file and prints what was read: node every-operation.ts <url> <calls>
import { readFileSync } from 'node:fs';
import createClient from 'openapi-fetch';
import type { HttpMethod } from 'openapi-typescript-helpers';
import type { components } from './knada.d.ts';

interface Call {
  readonly operation: string;
  readonly method: string;
  readonly path: string;
  readonly parameters: readonly { readonly in: string; readonly name: string; readonly value: unknown }[];
  readonly body: { readonly value: unknown } | null;
}

const [baseUrl = '', file = ''] = process.argv.slice(2);
const calls: readonly Call[] = JSON.parse(readFileSync(file, 'utf8'));
const methods: readonly HttpMethod[] = ['get', 'put', 'post', 'patch', 'delete'];
const methodOf = (name: string): HttpMethod => {
  const found = methods.find((method) => method === name.toLowerCase());
  if (found === undefined) throw new Error(`${name} is not a method`);
  return found;
};
type Values = Record<string, unknown>;
/** What all operations have in common: here, the path is known at run time only. */
interface AnyOperation {
  parameters: { path: Values; query: Values; header: Values };
  requestBody?: { content: { 'application/json': unknown } };
  responses: {
    200: { content: { 'application/json': unknown } };
    default: { content: { 'application/problem+json': components['schemas']['Problem'] } };
  };
}
const client = createClient<Record<string, Record<HttpMethod, AnyOperation>>>({
  baseUrl,
  headers: { authorization: 'Bearer token' },
});

for (const { operation, method, path, parameters, body } of calls) {
  const given = (place: string) =>
    Object.fromEntries(parameters.filter((one) => one.in === place).map(({ name, value }) => [name, value]));
  const { data, error } = await client.request(methodOf(method), path, {
    params: { path: given('path'), query: given('query'), header: given('header') },
    ...(body !== null && { body: body.value }),
  });
  console.log(
    JSON.stringify(error === undefined ? { operation, answer: data ?? null } : { operation, problem: error }),
  );
}
