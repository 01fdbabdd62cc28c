import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Records } from '../dns/records.ts';
import type { Dns } from '../dns/server.ts';
import { freePort } from './free-port.ts';
import { isAbsent, tookPart } from './real-parts.ts';

/** Debian’s dnsmasq on the loopback. */
export interface Dnsmasq {
  readonly port: number;
  /** Gives a name without a TTL or alias of its own other addresses; without any it does not exist. */
  set(name: string, addresses: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

interface DnsmasqOptions {
  readonly records: Readonly<Record<string, Records>>;
  /** Queries below this domain are forwarded to another server, on the loopback; no other server is queried. */
  readonly forward?: readonly { readonly domain: string; readonly to: Pick<Dns, 'port'> }[];
}

/** Debian installs it in /usr/sbin, which is not in every user’s PATH. */
const programs = ['dnsmasq', '/usr/sbin/dnsmasq'];
const startTimeoutMs = 15_000;

const found = (): { readonly program: string; readonly version: string } | undefined => {
  for (const program of programs) {
    try {
      const [, version] =
        /version (\S+)/.exec(execFileSync(program, ['--version'], { encoding: 'utf8' })) ?? [];
      if (version !== undefined) return { program, version };
    } catch {
      // Not here.
    }
  }
  return undefined;
};

/** Why it cannot be started here, for `skip`; false when it can. In CI that is an error. */
export const absent = (): string | false =>
  found() === undefined ? isAbsent('dnsmasq', 'apt-get install dnsmasq-base installs it') : false;

/** The records of a hosts file: addresses with the server’s own TTL. */
const isPlain = ({ ttlSeconds, cname, a = [], aaaa = [] }: Records): boolean =>
  ttlSeconds === undefined && cname === undefined && a.length + aaaa.length > 0;

const linesOf = ([name, { a = [], aaaa = [], cname, ttlSeconds = 300 }]: [string, Records]): string[] => {
  if (cname !== undefined) return [`cname=${name},${cname},${ttlSeconds}`];
  // A name with records of another type exists, and has no address.
  if (a.length + aaaa.length === 0) return [`txt-record=${name},nothing else`];
  return [...a, ...aaaa].map((address) => `host-record=${name},${address},${ttlSeconds}`);
};

export const startDnsmasq = async ({ records, forward = [] }: DnsmasqOptions): Promise<Dnsmasq> => {
  const { program, version } = found() ?? assertThere();
  const folder = mkdtempSync(join(tmpdir(), 'dnsmasq-'));
  const [hosts, config] = [join(folder, 'hosts'), join(folder, 'dnsmasq.conf')];
  const all = Object.entries(records);
  const plain = new Map(
    all
      .filter(([, one]) => isPlain(one))
      .map(([name, one]) => [name, [...(one.a ?? []), ...(one.aaaa ?? [])]]),
  );
  const writeHosts = (): void => {
    const lines = [...plain].flatMap(([name, addresses]) => addresses.map((address) => `${address} ${name}`));
    writeFileSync(hosts, `${lines.join('\n')}\n`);
  };
  writeHosts();
  const port = await freePort();
  const domains = new Set(all.map(([name]) => name.slice(name.lastIndexOf('.') + 1)));
  writeFileSync(
    config,
    [
      `port=${port}`,
      'listen-address=127.0.0.1',
      'bind-interfaces',
      'no-resolv',
      'no-hosts',
      'pid-file=',
      `user=${userInfo().username}`,
      'group=',
      `addn-hosts=${hosts}`,
      'local-ttl=300',
      ...[...domains].map((domain) => `local=/${domain}/`),
      ...forward.map(({ domain, to }) => `server=/${domain}/127.0.0.1#${to.port}`),
      ...all.filter(([, one]) => !isPlain(one)).flatMap(linesOf),
    ].join('\n'),
  );

  const child = spawn(program, ['--no-daemon', `--conf-file=${config}`], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  const log: string[] = [];
  /** Callers that wait until it has read its hosts file. */
  const waiting: (() => void)[] = [];
  createInterface(child.stderr).on('line', (line) => {
    log.push(line);
    if (line.includes(`read ${hosts}`)) waiting.shift()?.();
  });
  const hasRead = async (): Promise<void> => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    waiting.push(resolve);
    const giveUp = (why: string) => () => reject(new Error(`dnsmasq ${why}\n${log.join('\n')}`));
    const timer = setTimeout(giveUp('has not read its hosts file'), startTimeoutMs);
    const ended = giveUp('has ended');
    child.once('exit', ended);
    await promise.finally(() => {
      clearTimeout(timer);
      child.off('exit', ended);
    });
  };
  const close = async (): Promise<void> => {
    process.off('exit', kill);
    if (child.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    }
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await hasRead();
  } catch (error) {
    await close();
    throw error;
  }
  tookPart('dnsmasq', version);
  return {
    port,
    set: async (name, addresses) => {
      plain.set(name, addresses.slice());
      writeHosts();
      const read = hasRead();
      child.kill('SIGHUP');
      await read;
    },
    close,
  };
};

const assertThere = (): never => {
  throw new Error('dnsmasq is not installed.');
};
