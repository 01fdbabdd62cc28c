/** The records of a name. A name without any exists and has no address. */
export interface Records {
  readonly a?: readonly string[];
  readonly aaaa?: readonly string[];
  /** Another name, whose records are part of the answer. */
  readonly cname?: string;
  /** 300 unless given. */
  readonly ttlSeconds?: number;
  /** How many of the addresses one answer contains; the next one contains others. */
  readonly perAnswer?: number;
}

const google: Records = { cname: 'private.googleapis.com', ttlSeconds: 300 };

/**
 * The names at the start. Those below example.com are an example of one situation each; the others
 * have the addresses of the public DNS.
 */
export const seed: Readonly<Record<string, Records>> = {
  'pypi.org': { a: ['151.101.0.223', '151.101.64.223', '151.101.128.223', '151.101.192.223'] },
  'files.pythonhosted.org': { cname: 'dualstack.python.map.fastly.net', ttlSeconds: 120 },
  'dualstack.python.map.fastly.net': { a: ['151.101.84.223'], aaaa: ['2a04:4e42:14::223'], ttlSeconds: 30 },
  'github.com': { a: ['140.82.121.4'], ttlSeconds: 60 },
  'api.github.com': { a: ['140.82.121.6'], ttlSeconds: 60 },
  'data.ssb.no': { a: ['193.160.164.150'] },
  // As private.googleapis.com is set up for a network without a way out.
  'private.googleapis.com': { a: ['199.36.153.8', '199.36.153.9', '199.36.153.10', '199.36.153.11'] },
  'secretmanager.googleapis.com': google,
  'storage.googleapis.com': google,
  'bigquery.googleapis.com': google,
  'oauth2.googleapis.com': google,
  'rotating.example.com': {
    a: ['93.184.215.10', '93.184.215.11', '93.184.215.12', '93.184.215.13', '93.184.215.14', '93.184.215.15'],
    perAnswer: 2,
    ttlSeconds: 30,
  },
  'many.example.com': { a: Array.from({ length: 300 }, (_, i) => `93.184.${220 + (i >> 8)}.${i & 255}`) },
  'private.example.com': { a: ['10.20.1.5', '10.20.1.6'] },
  'mixed.example.com': { a: ['93.184.215.20', '10.20.1.7'] },
  'ipv6.example.com': { aaaa: ['2606:2800:21f:cb07:6820:80da:af6b:8b2c'] },
  'empty.example.com': {},
};

/** Names that are answered with SERVFAIL from the start. */
export const broken: readonly string[] = ['broken.example.com'];
