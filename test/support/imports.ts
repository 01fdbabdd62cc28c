import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** The clients of outside systems: hundreds of files each, so a cold start must not load the ones that it does not use. */
export const heavyPackages = [
  '@google-cloud/artifact-registry',
  '@google-cloud/firestore',
  '@google-cloud/secret-manager',
  '@grpc/grpc-js',
  '@kubernetes/client-node',
  'google-auth-library',
  'google-gax',
] as const;

/**
 * What importing these files of the project alone does, in a process of its own without any configuration:
 * the packages that it loads, and the resources that it leaves open.
 */
export const importing = async (
  ...files: readonly string[]
): Promise<{ readonly packages: readonly string[]; readonly open: readonly string[] }> => {
  const fixture = fileURLToPath(new URL('imports.fixture.ts', import.meta.url));
  const targets = files.map((file) => new URL(`../../${file}`, import.meta.url).href);
  const { stdout } = await promisify(execFile)(process.execPath, [fixture, ...targets], {
    env: { PATH: process.env.PATH },
  });
  return JSON.parse(stdout);
};
