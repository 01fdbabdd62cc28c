import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isAbsent } from '@knada/simulators/real/real-parts.ts';
import { adminGroup } from '../../local/environment.ts';
import { type Sandbox, startSandbox } from '../../local/sandbox.ts';
import contract from '../../openapi/openapi.json' with { type: 'json' };
import { isObject } from '../../src/lib/json.ts';
import { exact } from '../openapi/contract.ts';

const auditorGroup = 'knada-auditors';

/** Who sends the requests. The auditor is a member of no team. */
export const roles = {
  owner: [],
  member: [],
  auditor: [auditorGroup],
  admin: [adminGroup],
} as const satisfies Record<string, readonly string[]>;
export type Role = keyof typeof roles;

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** The folder of the programs of the virtual environment; or why it is missing, for `skip`. */
export const schemathesis = (): { readonly programs: string } | { readonly absent: string } => {
  const { status, stdout, stderr, error } = spawnSync(file('../../.ci/fuzz-assets'), ['--if-present'], {
    encoding: 'utf8',
  });
  if (status === 0) return { programs: join(stdout.trim(), 'bin') };
  return { absent: isAbsent('schemathesis', error?.message ?? stderr.trim()) };
};

/**
 * The contract as this version keeps it: its answers have no field and no value that it does not list, and no status but
 * those of the operation and of every path. Streams are left out.
 */
const strictContract = (): unknown => {
  const document: unknown = exact(contract);
  if (!isObject(document) || !isObject(document.paths)) throw new TypeError('There is no contract.');
  const strict = (operation: unknown): unknown => {
    if (!isObject(operation) || !isObject(operation.responses)) return operation;
    const { default: other, ...own } = operation.responses;
    return { ...operation, responses: { ...own, 405: other, 414: other, 431: other } };
  };
  const paths = Object.entries(document.paths)
    .filter(([path]) => !path.endsWith('/events'))
    .map(([path, operations]) => [
      path,
      Object.fromEntries(Object.entries(Object(operations)).map(([method, one]) => [method, strict(one)])),
    ]);
  return { ...document, paths: Object.fromEntries(paths) };
};

export interface World {
  readonly sandbox: Sandbox;
  readonly folder: string;
  /** The strict contract. */
  readonly document: string;
  readonly tokens: Readonly<Record<Role, string>>;
  /** The file that tells hooks.py about a role’s run, and where it writes its report. */
  run(role: Role): { readonly file: string; readonly report: string };
  close(): Promise<void>;
}

/** A sandbox without limits on teams, tokens for every role, and the files that hooks.py reads. */
export const openWorld = async (port: number, print: (line: string) => void): Promise<World> => {
  const folder = await mkdtemp(join(tmpdir(), 'knada-fuzz-'));
  Object.assign(process.env, {
    AUDITOR_GROUPS: auditorGroup,
    MAX_TEAMS_PER_PERSON: '1000000',
    MAX_TEAMS: '1000000',
  });
  const sandbox = await startSandbox({ port, folder: join(folder, 'sandbox'), print });
  const token = (email: string, groups: readonly string[] = []) => sandbox.issuer.token({ email, groups });
  const emailOf = (role: Role) => `${role}@nav.no`;
  const document = join(folder, 'contract.json');
  await writeFile(document, JSON.stringify(strictContract()));
  const [owner, member, auditor, admin] = await Promise.all([
    token(emailOf('owner')),
    token(emailOf('member')),
    token(emailOf('auditor'), roles.auditor),
    token(emailOf('admin'), roles.admin),
  ]);
  const tokens = { owner, member, auditor, admin };
  const setup = { founder: await token('founder@nav.no'), admin: await token('setup@nav.no', roles.admin) };
  const run = (role: Role) => ({
    file: join(folder, `${role}.json`),
    report: join(folder, `${role}.report.json`),
  });
  for (const role of ['owner', 'member', 'auditor', 'admin'] as const) {
    const { file: path, report } = run(role);
    const about = { role, email: emailOf(role), api: sandbox.url('api'), document, report, tokens: setup };
    await writeFile(path, JSON.stringify(about));
  }
  return {
    sandbox,
    folder,
    document,
    tokens,
    run,
    async close() {
      await sandbox.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
};
