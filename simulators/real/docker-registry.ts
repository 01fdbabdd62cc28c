import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { SignJWT } from 'jose';
import type { Content, Image } from '../registries/image.ts';
import { freePort } from './free-port.ts';
import { isAbsent, tookPart } from './real-parts.ts';

/**
 * Debian's docker-registry on the loopback, with nothing in it. `token`: readers are anonymous and bring a token
 * from `/token`, as in GHCR. `basic`: they sign in, as in Artifact Registry (user oauth2accesstoken, password local).
 */
export interface DockerRegistry {
  readonly url: string;
  /** Paths of the requests that it has answered, the token server's among them. */
  readonly requests: readonly string[];
  /** Pushes with skopeo, which reads the image from an OCI layout. */
  push(path: string, image: Image, tag: string): Promise<void>;
  /** Gives an image that is there more tags, in this order. */
  tag(path: string, from: string, tags: readonly string[]): Promise<void>;
  /** Removes a manifest and every tag of it. */
  remove(path: string, digest: string): Promise<void>;
  /** Its token server denies anonymous readers this repository, as GHCR does with a private one. */
  hide(path: string): void;
  close(): Promise<void>;
}

export const password = 'local';
/** `password` in bcrypt, the one form that docker-registry reads. */
const htpasswd = 'oauth2accesstoken:$2y$05$abcdefghijklmnopqrstuuYsV0vVFubT4C45vxUR7dxvuKpuQYWeS\n';
const programs = ['docker-registry', 'skopeo', 'openssl'];
const run = promisify(execFile);

const versionOf = (program: string): string | undefined => {
  try {
    return execFileSync(program, [program === 'openssl' ? 'version' : '--version'], {
      encoding: 'utf8',
    }).trim();
  } catch {
    return undefined;
  }
};

/** Why it cannot be started here, for `skip`; false when it can. In CI that is an error. */
export const absent = (): string | false => {
  const missing = programs.filter((program) => versionOf(program) === undefined);
  if (missing.length === 0) return false;
  return isAbsent('docker-registry', `apt-get install ${missing.join(' ')} installs what is missing`);
};

/** Pushes an image to a registry on the loopback; `login` is user:password. */
export const skopeoPush = async (
  url: string,
  path: string,
  image: Image,
  tag: string,
  login: string,
): Promise<void> => {
  const layout = mkdtempSync(join(tmpdir(), 'oci-layout-'));
  try {
    writeLayout(layout, image, tag);
    const target = `docker://${url.replace('http://', '')}/${path}:${tag}`;
    const options = ['--all', '--quiet', '--insecure-policy', '--dest-tls-verify=false'];
    await run('skopeo', ['copy', ...options, `--dest-creds=${login}`, `oci:${layout}:${tag}`, target]);
  } finally {
    rmSync(layout, { recursive: true, force: true });
  }
};

export const startDockerRegistry = async (auth: 'token' | 'basic'): Promise<DockerRegistry> => {
  const folder = mkdtempSync(join(tmpdir(), 'docker-registry-'));
  const hidden = new Set<string>();
  const requests: string[] = [];
  const port = await freePort();
  const signer = auth === 'token' ? makeSigner(folder) : undefined;
  const front = createServer((incoming, outgoing) => {
    requests.push(incoming.url ?? '/');
    const url = new URL(incoming.url ?? '/', 'http://localhost');
    if (signer !== undefined && url.pathname === '/token') {
      void answerToken(url, hidden, signer, outgoing);
      return;
    }
    forward(incoming, outgoing, port);
  });
  front.listen(0, '127.0.0.1');
  await once(front, 'listening');
  const address = front.address();
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  const url = `http://127.0.0.1:${address.port}`;

  const log = openSync(join(folder, 'log'), 'w');
  const config = join(folder, 'config.json');
  // JSON is YAML, which is what it reads.
  writeFileSync(config, JSON.stringify(configuration(folder, port, auth, url)));
  const child = spawn('docker-registry', ['serve', config], { stdio: ['ignore', log, log] });
  closeSync(log);
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  const close = async (): Promise<void> => {
    process.off('exit', kill);
    front.close();
    front.closeAllConnections();
    await ended(child);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await until(async () => (await fetch(`${url}/v2/`)).status === 401);
  } catch (cause) {
    const text = readFileSync(join(folder, 'log'), 'utf8').slice(-2000);
    await close();
    throw new Error(`docker-registry did not start\n${text}`, { cause });
  }
  tookPart('docker-registry', versionOf('docker-registry')?.split(' ').at(-1) ?? '');

  const authorization = async (path: string): Promise<string> =>
    signer === undefined
      ? `Basic ${Buffer.from(`oauth2accesstoken:${password}`).toString('base64')}`
      : `Bearer ${await signer.sign(path, ['pull', 'push', 'delete'])}`;
  const send = async (method: string, path: string, rest: string, body?: Content): Promise<Response> => {
    const response = await fetch(`${url}/v2/${path}/${rest}`, {
      method,
      headers: {
        authorization: await authorization(path),
        accept: 'application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json',
        ...(body && { 'content-type': body.mediaType }),
      },
      ...(body && { body: new Uint8Array(body.bytes) }),
    });
    if (!response.ok)
      throw new Error(`${method} ${path}/${rest}: ${response.status} ${await response.text()}`);
    return response;
  };

  return {
    url,
    requests,
    hide: (path) => void hidden.add(path),
    push: (path, image, tag) => {
      const login = signer === undefined ? `oauth2accesstoken:${password}` : 'somebody:with-a-password';
      return skopeoPush(url, path, image, tag, login);
    },
    tag: async (path, from, tags) => {
      const response = await send('GET', path, `manifests/${from}`);
      const bytes = Buffer.from(await response.arrayBuffer());
      const mediaType = response.headers.get('content-type') ?? '';
      for (const tag of tags) await send('PUT', path, `manifests/${tag}`, { bytes, mediaType, digest: '' });
    },
    remove: async (path, digest) => {
      await send('DELETE', path, `manifests/${digest}`);
    },
    close,
  };
};

const configuration = (folder: string, port: number, auth: 'token' | 'basic', url: string) => {
  const passwords = join(folder, 'htpasswd');
  writeFileSync(passwords, htpasswd);
  return {
    version: '0.1',
    log: { level: 'error' },
    storage: { filesystem: { rootdirectory: join(folder, 'data') }, delete: { enabled: true } },
    http: { addr: `127.0.0.1:${port}`, relativeurls: true },
    auth:
      auth === 'basic'
        ? { htpasswd: { realm: 'registry', path: passwords } }
        : {
            token: {
              realm: `${url}/token`,
              service: 'ghcr.io',
              issuer: 'test',
              rootcertbundle: join(folder, 'certificate.pem'),
            },
          },
  };
};

interface Signer {
  sign(path: string, actions: readonly string[]): Promise<string>;
}

/** A key and its certificate, with which docker-registry verifies the tokens of our token server. */
const makeSigner = (folder: string): Signer => {
  const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')];
  const subject = ['-subj', '/CN=test', '-days', '2'];
  const made = ['-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', certificate];
  execFileSync('openssl', ['req', '-x509', ...made, ...subject], { stdio: 'ignore' });
  const privateKey = createPrivateKey(readFileSync(key));
  const kid = fingerprint(createPublicKey(privateKey));
  return {
    sign: (path, actions) =>
      new SignJWT({ access: [{ type: 'repository', name: path, actions }] })
        .setProtectedHeader({ alg: 'RS256', kid, typ: 'JWT' })
        .setIssuer('test')
        .setAudience('ghcr.io')
        .setSubject('somebody')
        .setIssuedAt()
        .setNotBefore('-1 minute')
        .setExpirationTime('5 minutes')
        .setJti(crypto.randomUUID())
        .sign(privateKey),
  };
};

/** The name that docker-registry gives a key: 240 bits of its SHA-256 in base32, in groups of four. */
const fingerprint = (key: KeyObject): string => {
  const digest = createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest()
    .subarray(0, 30);
  const bits = [...digest].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const letters = (bits.match(/.{5}/g) ?? []).map(
    (five) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[Number.parseInt(five, 2)] ?? '',
  );
  return (letters.join('').match(/.{4}/g) ?? []).join(':');
};

const answerToken = async (
  url: URL,
  hidden: ReadonlySet<string>,
  signer: Signer,
  outgoing: ServerResponse,
) => {
  const [, path = '', actions = ''] = (url.searchParams.get('scope') ?? '').split(':');
  const isDenied = hidden.has(path);
  const body = isDenied
    ? { errors: [{ code: 'DENIED', message: 'requested access to the resource is denied' }] }
    : { token: await signer.sign(path, actions.split(',')) };
  outgoing.writeHead(isDenied ? 403 : 200, { 'content-type': 'application/json' });
  outgoing.end(JSON.stringify(body));
};

const forward = (incoming: IncomingMessage, outgoing: ServerResponse, port: number): void => {
  const { method, url, headers } = incoming;
  const upstream = request({ host: '127.0.0.1', port, method, path: url, headers }, (answer) => {
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(outgoing);
  });
  upstream.on('error', () => outgoing.destroy());
  incoming.pipe(upstream);
};

const writeLayout = (folder: string, { top, children, blobs }: Image, tag: string): void => {
  const files = join(folder, 'blobs', 'sha256');
  mkdirSync(files, { recursive: true });
  for (const { digest, bytes } of [top, ...children, ...blobs]) {
    writeFileSync(join(files, digest.slice('sha256:'.length)), bytes);
  }
  const { mediaType, digest, bytes } = top;
  const named = { mediaType, digest, size: bytes.length };
  const annotations = { 'org.opencontainers.image.ref.name': tag };
  writeFileSync(
    join(folder, 'index.json'),
    JSON.stringify({ schemaVersion: 2, manifests: [{ ...named, annotations }] }),
  );
  writeFileSync(join(folder, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
};

const until = async (holds: () => Promise<boolean>): Promise<void> => {
  const end = Date.now() + 15_000;
  while (!(await holds().catch(() => false))) {
    if (Date.now() > end) throw new Error('waited 15 seconds');
    await delay(25);
  }
};

const ended = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
};
