import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A certificate for 127.0.0.1 and the authority that issued it, in PEM. */
export interface Certificate {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export const hasOpenssl = (): boolean => spawnSync('openssl', ['version']).status === 0;

/** Makes an authority and has it issue a certificate, good for a day. */
export const aCertificate = (): Certificate => {
  const folder = mkdtempSync(join(tmpdir(), 'knada-certificate-'));
  const file = (name: string) => join(folder, name);
  const openssl = (...args: readonly string[]) => execFileSync('openssl', args, { stdio: 'pipe' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-noenc'];
  try {
    openssl(
      'req',
      '-x509',
      ...key,
      '-days',
      '1',
      '-subj',
      '/CN=test authority',
      '-keyout',
      file('ca.key'),
      '-out',
      file('ca.pem'),
    );
    openssl('req', ...key, '-subj', '/CN=127.0.0.1', '-keyout', file('key.pem'), '-out', file('request.pem'));
    writeFileSync(file('extensions'), 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n');
    openssl(
      'x509',
      '-req',
      '-in',
      file('request.pem'),
      '-CA',
      file('ca.pem'),
      '-CAkey',
      file('ca.key'),
      '-days',
      '1',
      '-extfile',
      file('extensions'),
      '-out',
      file('cert.pem'),
    );
    const text = (name: string) => readFileSync(file(name), 'utf8');
    return { ca: text('ca.pem'), cert: text('cert.pem'), key: text('key.pem') };
  } finally {
    rmSync(folder, { recursive: true });
  }
};
