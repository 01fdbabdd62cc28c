import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { at, type Json } from '@knada/simulators/kubernetes/json.ts';
import type { Answer, Api } from '../../local/demo/api.ts';

const methods = ['get', 'put', 'post', 'patch', 'delete'];

interface Example {
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly bodies: readonly Json[];
}

const first = (value: Json | undefined): Json | undefined => (Array.isArray(value) ? value[0] : undefined);

/** The operations of a document with the examples of their bodies, and their paths with the examples of their parameters. */
const examplesOf = (document: Json): readonly Example[] =>
  Object.entries(Object(at(document, 'paths'))).flatMap(([path, operations]) =>
    methods
      .filter((method) => at(operations as Json, method) !== undefined)
      .map((method) => {
        const operation = at(operations as Json, method);
        const [media] = Object.values<Json>(Object(at(operation, 'requestBody', 'content')));
        const named = Object.values<Json>(Object(at(media, 'examples'))).map(
          (one) => at(one, 'value') ?? null,
        );
        const only = at(media, 'example');
        const examples = new Map(
          [Object(at(operation, 'parameters') ?? [])].flat().map((parameter: Json) => {
            const schema = at(parameter, 'schema');
            const example =
              at(parameter, 'example') ?? first(at(schema, 'examples')) ?? at(schema, 'minimum');
            return [String(at(parameter, 'name')), String(example ?? '')] as const;
          }),
        );
        return {
          id: String(at(operation, 'operationId')),
          method: method.toUpperCase(),
          path: path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(examples.get(name) ?? '')),
          bodies: only === undefined ? named : [only],
        };
      }),
  );

/** The operations that take a body, in an order in which their examples make sense. */
const order = [
  ...['createTeam', 'updateTeam', 'addMember', 'putNotebook', 'planNotebook', 'patchNotebook'],
  ...['validateAllowlist', 'checkEgress', 'resolveImage', 'createImageScaffold', 'addSecretVersion'],
  ...['startServer', 'extendServer', 'restartServer', 'stopServer', 'retryNotebook'],
] as const;

/** Sends every body that the contract shows to a sandbox without teams, and follows the operations that it opens. */
export const sendEveryExample = async (api: Api, document: Json): Promise<void> => {
  const examples = examplesOf(document);
  const bodied = examples.filter(({ bodies }) => bodies.length > 0).map(({ id }) => id);
  assert.deepEqual(bodied.toSorted(), [...order].toSorted(), 'every body has its place in the order');

  const followed = async (answer: Answer): Promise<void> => {
    const operation = String(answer.headers.get('location')).replace(/^\/v1/, '');
    for (;;) {
      const { body } = await api.call('GET', operation);
      assert.equal(at(body, 'error'), undefined, JSON.stringify(body));
      if (at(body, 'done') === true) return;
      await sleep(100);
    }
  };
  const isReady = async (): Promise<boolean> =>
    at((await api.call('GET', '/teams/team-a/notebook')).body, 'status', 'phase') === 'Ready';
  for (const id of order) {
    // There is a hub to start servers on once the order is rolled out.
    while (id === 'startServer' && !(await isReady())) await sleep(100);
    const example = examples.find((one) => one.id === id);
    assert.ok(example, id);
    for (const body of example.bodies) {
      const answer = await api.call(example.method, example.path.replace(/^\/v1/, ''), { body });
      assert.ok(
        answer.status < 300,
        `${id} ${example.path} ${JSON.stringify(body)}: ${JSON.stringify(answer.body)}`,
      );
      if (answer.status === 202) await followed(answer);
    }
  }
};
