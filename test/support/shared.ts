import { existsSync } from 'node:fs';

/** A file that several projects share, next to this checkout. It is not there on a stranger’s laptop. */
export const sharedFile = (path: string): URL => new URL(`../../../shared/${path}`, import.meta.url);

/** Why a suite that needs this file skips; false when it is there. In CI a missing file is a failure, not a skip. */
export const withoutShared = (file: URL): string | false =>
  existsSync(file) || process.env.CI === 'true' ? false : `${file.pathname} is absent`;
