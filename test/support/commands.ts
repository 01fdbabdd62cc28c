import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const isPresent = (command: string): boolean =>
  (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, command)));

/**
 * Why a suite that runs these commands of the operating system skips; false when all are there. In CI a missing one is a
 * failure, so there it throws: `.ci/run` installs them.
 */
export const without = (...commands: readonly string[]): string | false => {
  const missing = commands.filter((command) => !isPresent(command));
  if (missing.length === 0) return false;
  const reason = `${missing.join(' and ')} ${missing.length === 1 ? 'is' : 'are'} not installed`;
  if (process.env.CI === 'true') throw new Error(`In CI this suite must run: ${reason}`);
  return reason;
};
