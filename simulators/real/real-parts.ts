import { appendFileSync } from 'node:fs';

/** The real systems that some suites run against. `scripts/run.mjs` prints which of them took part. */
export type RealPart =
  | 'Firestore emulator'
  | 'kube-apiserver'
  | 'KubeSpawner'
  | 'spawning hub 5.x'
  | 'spawning hub 6.x'
  | 'JupyterHub 5.x'
  | 'JupyterHub 6.x'
  | 'kubectl'
  | 'helm-controller'
  | 'source-controller'
  | 'kwok'
  | 'docker-registry'
  | 'dnsmasq'
  | 'SDK generators'
  | 'Chromium'
  | 'schemathesis';

const report = (line: Record<string, string>): void => {
  const file = process.env.REAL_PARTS_FILE;
  if (file !== undefined) appendFileSync(file, `${JSON.stringify(line)}\n`);
};

/** Records that a suite runs against the real system. Call it once that has answered. */
export const tookPart = (part: RealPart, version: string): void => report({ part, version });

/**
 * Why the real system is missing; the suite skips with this reason. In CI a missing part is a failure,
 * so there it throws.
 */
export const isAbsent = (part: RealPart, absent: string): string => {
  report({ part, absent });
  if (process.env.CI === 'true') throw new Error(`${part} must take part in CI: ${absent}`);
  return `${part}: ${absent}`;
};
