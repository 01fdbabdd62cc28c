// Orders a notebook, changes it and starts a server: node first-steps.ts <team>
import { setTimeout as sleep } from 'node:timers/promises';
import createClient from 'openapi-fetch';
import type { components, paths } from './knada.d.ts';

const [team = ''] = process.argv.slice(2);
const client = createClient<paths>({
  baseUrl: process.env.API ?? '',
  headers: { authorization: `Bearer ${process.env.TOKEN}` },
});

type Schemas = components['schemas'];
type Problem = Schemas['Problem'];

/** The answer’s data; throws with the problem of a refused request. */
const dataOf = <T>({ data, error }: { data?: T; error?: Problem }): T => {
  if (data === undefined) throw new Error(`${error?.code}: ${error?.detail}`);
  return data;
};

const created = dataOf(await client.POST('/v1/teams', { body: { slug: team } }));
let notebook = dataOf(
  await client.PUT('/v1/teams/{team}/notebook', { params: { path: { team } }, body: {} }),
);
while (notebook.status.phase !== 'Ready') {
  await sleep(1_000);
  notebook = dataOf(await client.GET('/v1/teams/{team}/notebook', { params: { path: { team } } }));
}
console.log('notebook', notebook.status.phase);

const read = await client.GET('/v1/teams/{team}/notebook', { params: { path: { team } } });
const etag = read.response.headers.get('etag') ?? '';
const patch: Schemas['NotebookPatch'] = { culling: { timeoutSeconds: 7_200 } };
const twoHours = { params: { path: { team }, header: { 'if-match': etag } }, body: patch };
notebook = dataOf(await client.PATCH('/v1/teams/{team}/notebook', twoHours));
const timeoutOf = ({ spec }: Schemas['Notebook']): number => spec.culling.timeoutSeconds;
console.log('cull timeout', timeoutOf(notebook));
const { error: conflict } = await client.PATCH('/v1/teams/{team}/notebook', twoHours);
console.log('conflict', conflict?.status, conflict?.code);

const member = dataOf(
  await client.PUT('/v1/teams/{team}/members/{email}', {
    params: { path: { team, email: 'ola.nordmann@nav.no' } },
    body: { role: 'member' },
  }),
);
console.log('member', member.email);
notebook = dataOf(
  await client.PUT('/v1/teams/{team}/notebook/allowlist/hosts/{entry}', {
    params: { path: { team, entry: 'pypi.org' } },
  }),
);
console.log('allowlist', ...notebook.spec.allowlist.hosts);

const user = created.members[0]?.username ?? '';
let operation = dataOf(
  await client.POST('/v1/teams/{team}/servers/{user}/start', { params: { path: { team, user } } }),
);
while (!operation.done) {
  await sleep(1_000);
  const path = { team, operation: operation.id };
  operation = dataOf(await client.GET('/v1/teams/{team}/operations/{operation}', { params: { path } }));
}
if (operation.error) throw new Error(`${operation.error.code}: ${operation.error.detail}`);
console.log('server', operation.progress, operation.result?.url);

const byDefault: Schemas['NotebookPatch'] = { culling: { timeoutSeconds: null } };
notebook = dataOf(
  await client.PATCH('/v1/teams/{team}/notebook', { params: { path: { team } }, body: byDefault }),
);
console.log('cull timeout', timeoutOf(notebook));

const { error: problem } = await client.PUT('/v1/teams/{team}/notebook', {
  params: { path: { team } },
  body: { resources: { cpu: { guarantee: 2, limit: 1 } } },
});
for (const fault of problem?.errors ?? []) {
  console.log('problem', problem?.status, problem?.code, fault.pointer, fault.code);
}
