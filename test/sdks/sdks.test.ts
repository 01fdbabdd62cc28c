import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { asList, asText, at, isMap, type Json, parseJson } from '@knada/simulators/kubernetes/json.ts';
import { isAbsent, tookPart } from '@knada/simulators/real/real-parts.ts';
import { apiAt } from '../../local/demo/api.ts';
import { freeBase } from '../../local/ports.ts';
import { type Sandbox, startSandbox } from '../../local/sandbox.ts';
import type { OpenapiDocument } from '../../src/http/openapi.ts';
import { assetsOf, type Built, build, clients, contractFile, type Ended } from './clients.ts';
import {
  type Call,
  callsOf,
  type NewerServer,
  newerAnswers,
  newerProblem,
  newField,
  type Shape,
  shapes,
  startNewerServer,
} from './newer-server.ts';

const part = 'SDK generators';
const assets = assetsOf();
const absent = 'absent' in assets && isAbsent(part, assets.absent);
const assetsFolder = 'folder' in assets ? assets.folder : '';

const document: OpenapiDocument = JSON.parse(await readFile(contractFile, 'utf8'));

/** The differences of what a client read from what was sent. It may drop unknown fields, and null. */
const differences = (sent: unknown, read: unknown, pointer = ''): readonly string[] => {
  if (sent === null)
    return read === null || read === undefined ? [] : [`${pointer}: ${JSON.stringify(read)}`];
  if (Array.isArray(sent) && Array.isArray(read) && sent.length === read.length)
    return sent.flatMap((item, index) => differences(item, read[index], `${pointer}/${index}`));
  if (typeof sent === 'object' && !Array.isArray(sent) && typeof read === 'object' && read !== null) {
    return Object.entries(sent)
      .filter(([name]) => name !== newField || Reflect.has(read, name))
      .flatMap(([name, value]) => differences(value, Reflect.get(read, name), `${pointer}/${name}`));
  }
  if (sent === read || isSameInstant(sent, read)) return [];
  return [`${pointer}: ${JSON.stringify(read)} in place of ${JSON.stringify(sent)}`];
};

const instant = /^\d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:\d\d))?$/;
/** A client may write an instant with another precision or offset. */
const isSameInstant = (sent: unknown, read: unknown): boolean =>
  typeof sent === 'string' &&
  typeof read === 'string' &&
  instant.test(sent) &&
  instant.test(read) &&
  Date.parse(sent) === Date.parse(read);

const succeeded = ({ code, stdout, stderr }: Ended): string => {
  assert.equal(code, 0, `${stdout}\n${stderr}`);
  return stdout;
};

const linesOf = (text: string): readonly Json[] => text.trim().split('\n').map(parseJson);

/** What the first steps leave behind, oldest first: each changes what it names and nothing else. */
const historyOfFirstSteps: readonly Json[] = [
  'team_created ',
  'notebook_ordered ',
  'notebook_changed /culling/timeoutSeconds 7200',
  'member_added /members/ola.nordmann@nav.no',
  'notebook_changed /allowlist/hosts pypi.org',
  'server_started',
  'notebook_changed /culling/timeoutSeconds 3600',
];
const inWords = (entry: Json): string => {
  const changes = asList(at(entry, 'changes')).map((change) => {
    const to = at(change, 'to');
    return [at(change, 'pointer'), ...(isMap(to) ? [] : [to])].join(' ');
  });
  return [at(entry, 'action'), ...changes].join(' ');
};

describe('SDKs', { skip: absent, timeout: 1_800_000, concurrency: 2 }, () => {
  let folder: string;
  let callsFile: string;
  let sandbox: Sandbox;
  const calls: readonly Call[] = callsOf(document);

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sdks-'));
    callsFile = join(folder, 'calls.json');
    await writeFile(callsFile, JSON.stringify(calls));
    sandbox = await startSandbox({ port: await freeBase(), folder: join(folder, 'sandbox') });
    tookPart(part, 'openapi-generator, oapi-codegen, openapi-typescript');
  });
  after(async () => {
    await sandbox?.close();
    await rm(folder, { recursive: true, force: true });
  });

  for (const client of clients) {
    describe(client.heading, { concurrency: 1 }, () => {
      let built: Built;
      let newer: NewerServer;
      const person = `${client.folder}@nav.no`;
      const team = `team-${client.folder}`;

      before(async () => {
        newer = await startNewerServer(document);
      });
      after(() => newer.close());

      const everyOperation = async (answer: Shape | 'problem'): Promise<readonly Json[]> => {
        const command = [...client.run.everyOperation, newer.url(answer), callsFile];
        return linesOf(succeeded(await built.run(command)));
      };

      it('is generated from the contract and passes its strict check', async () => {
        built = await build(client, assetsFolder);
      });

      it('orders and changes a notebook, starts a server and reads problems', async () => {
        const token = await sandbox.issuer.token({ email: person });
        const env = { API: sandbox.url('api'), TOKEN: token };
        const stdout = succeeded(await built.run([...client.run.firstSteps, team], env));
        assert.deepEqual(stdout.trim().split('\n'), [
          'notebook Ready',
          'cull timeout 7200',
          'conflict 412 revision_mismatch',
          'member ola.nordmann@nav.no',
          'allowlist pypi.org',
          `server 100 ${sandbox.url('hubs')}/${team}/user/${person}/`,
          'cull timeout 3600',
          'problem 400 validation_failed /resources/cpu/guarantee above_limit',
        ]);
        const history = await apiAt(sandbox.url('api'), token).call('GET', `/teams/${team}/history`);
        const entries = asList(at(history.body, 'items')).toReversed();
        assert.deepEqual(entries.map(inWords), historyOfFirstSteps);
      });

      for (const shape of shapes) {
        it(`reads an answer of every operation with unknown fields and values (${shape})`, async () => {
          const answers = newerAnswers(document, shape);
          const read = new Map(
            (await everyOperation(shape)).map((line) => [asText(at(line, 'operation')), at(line, 'answer')]),
          );
          const faults = [...answers].flatMap(([operation, answer]) =>
            read.has(operation)
              ? differences(answer, read.get(operation), `${operation} `)
              : [`${operation} was not read`],
          );
          assert.deepEqual(faults, []);
          const received = newer.received();
          assert.deepEqual(
            received.map((one) => ({ ...one, parameters: Object.fromEntries(one.parameters) })),
            calls.map(({ operation, parameters, body, isPublic }, index) => ({
              operation,
              parameters: Object.fromEntries(parameters.map(({ name, value }) => [name, String(value)])),
              body: body?.value ?? null,
              // A client may send it where none is needed.
              authorization: isPublic ? received[index]?.authorization : 'Bearer token',
            })),
          );
        });
      }

      it('reads a problem with an unknown code and an unlisted status from every operation', async () => {
        const lines = await everyOperation('problem');
        const problem = newerProblem(document);
        assert.deepEqual(
          lines.map((line) => at(line, 'operation')),
          calls.map(({ operation }) => operation),
        );
        assert.deepEqual(
          lines.flatMap((line) =>
            differences(problem, at(line, 'problem'), `${asText(at(line, 'operation'))} `),
          ),
          [],
        );
      });
    });
  }
});
