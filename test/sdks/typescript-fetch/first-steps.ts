// Orders a notebook, changes it and starts a server: node first-steps.js <team>
import { setTimeout as sleep } from 'node:timers/promises';
import {
  Configuration,
  EgressApi,
  type NotebookPatch,
  NotebooksApi,
  type Problem,
  ProblemFromJSON,
  ResponseError,
  ServersApi,
  TeamsApi,
} from './knada/index.js';

const [team = ''] = process.argv.slice(2);
const configuration = new Configuration({
  basePath: process.env.API ?? '',
  accessToken: process.env.TOKEN ?? '',
});
const teams = new TeamsApi(configuration);
const notebooks = new NotebooksApi(configuration);
const servers = new ServersApi(configuration);

/** The problem of a request that is refused: this generator leaves the body of an error unread. */
const problemOf = async (request: Promise<unknown>): Promise<Problem> => {
  try {
    await request;
  } catch (error) {
    if (error instanceof ResponseError) return ProblemFromJSON(await error.response.json());
    throw error;
  }
  throw new Error('The request was accepted.');
};

const created = await teams.createTeam({ teamOrder: { slug: team } });
let notebook = await notebooks.putNotebook({ team, notebookOrder: {} });
while (notebook.status.phase !== 'Ready') {
  await sleep(1_000);
  notebook = await notebooks.getNotebook({ team });
}
console.log('notebook', notebook.status.phase);

const { raw } = await notebooks.getNotebookRaw({ team });
const ifMatch = raw.headers.get('etag') ?? '';
const patch: NotebookPatch = { culling: { timeoutSeconds: 7_200 } };
const twoHours = { team, ifMatch, notebookPatch: patch };
notebook = await notebooks.patchNotebook(twoHours);
console.log('cull timeout', notebook.spec.culling.timeoutSeconds);
const conflict = await problemOf(notebooks.patchNotebook(twoHours));
console.log('conflict', conflict.status, conflict.code);

const member = await teams.addMember({
  team,
  email: 'ola.nordmann@nav.no',
  memberSettings: { role: 'member' },
});
console.log('member', member.email);
notebook = await new EgressApi(configuration).addAllowlistHost({ team, entry: 'pypi.org' });
console.log('allowlist', ...notebook.spec.allowlist.hosts);

let operation = await servers.startServer({ team, user: created.members[0]?.username ?? '' });
while (!operation.done) {
  await sleep(1_000);
  operation = await servers.getOperation({ team, operation: operation.id });
}
if (operation.error) throw new Error(`${operation.error.code}: ${operation.error.detail}`);
console.log('server', operation.progress, operation.result?.url);

const byDefault: NotebookPatch = { culling: { timeoutSeconds: null } };
notebook = await notebooks.patchNotebook({ team, notebookPatch: byDefault });
console.log('cull timeout', notebook.spec.culling.timeoutSeconds);

const badOrder = { resources: { cpu: { guarantee: 2, limit: 1 } } };
const problem = await problemOf(notebooks.putNotebook({ team, notebookOrder: badOrder }));
for (const fault of problem.errors ?? []) {
  console.log('problem', problem.status, problem.code, fault.pointer, fault.code);
}
