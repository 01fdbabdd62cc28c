import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  defaultEntryOptions,
  type EntryOptions,
  parseAllowlist,
  parseEntry,
  printEntry,
} from '../../src/egress/entry.ts';
import { parseCidr } from '../../src/egress/ranges.ts';
import { EntryProblem } from '../../src/model/allowlist.ts';

const withCidr: EntryOptions = { ...defaultEntryOptions, allowCidr: true };

/** The short form of an answer: the canonical entry with its warnings, or the code. */
function answer(text: string, options = defaultEntryOptions): string {
  const result = parseEntry(text, options);
  return result.ok ? [result.entry.entry, ...result.entry.warnings].join(' ') : result.code;
}

const vectors = new URL('../../../shared/vectors/allowlist.json', import.meta.url);
const missing = !existsSync(vectors) && process.env.CI !== 'true';

describe('the vectors of the allowlist', {
  skip: missing && 'the folder with the vectors is not there',
}, () => {
  interface Vector {
    readonly entry: string;
    readonly expect: {
      readonly code?: string;
      readonly host?: string;
      readonly portStart?: number;
      readonly portEnd?: number;
      readonly warnings?: readonly string[];
    };
  }
  const rows: readonly Vector[] = missing ? [] : JSON.parse(readFileSync(vectors, 'utf8'));
  for (const { entry, expect } of rows) {
    it(`${JSON.stringify(entry.slice(0, 80))} is ${expect.code ?? `${expect.host?.slice(0, 80)} ${expect.portStart}`}`, () => {
      const result = parseEntry(entry, defaultEntryOptions);
      if (expect.code !== undefined) {
        assert.deepEqual(result.ok ? result.entry : result.code, expect.code);
        return;
      }
      assert.ok(result.ok, JSON.stringify(result));
      const { host, portStart, portEnd, warnings } = result.entry;
      assert.deepEqual({ host, portStart, portEnd, warnings }, { warnings: [], ...expect });
    });
  }
});

const label63 = 'a'.repeat(63);
/** Exactly 253 characters: three labels of 63 and one of 61. */
const longestName = `${label63}.${label63}.${label63}.${'b'.repeat(58)}.no`;

describe('an entry of the allowlist', () => {
  const rows: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
    'takes a port, a range of ports, or 443': [
      ['nav.no', 'nav.no:443'],
      ['nav.no:1', 'nav.no:1'],
      ['nav.no:65535', 'nav.no:65535'],
      ['nav.no:1-100', 'nav.no:1-100'],
      ['nav.no:443-443', 'nav.no:443'],
      ['198.35.26.96:80-90', '198.35.26.96:80-90'],
    ],
    'drops what is around host and port, and says so': [
      ['https://nav.no/', 'nav.no:443 normalized'],
      ['HTTPS://Nav.NO', 'nav.no:443 normalized'],
      ['//nav.no', 'nav.no:443 normalized'],
      ['nav.no?q=1', 'nav.no:443 normalized'],
      ['nav.no#part', 'nav.no:443 normalized'],
      ['nav.no:8443/path', 'nav.no:8443 normalized'],
      ['nav.no/@someone', 'nav.no:443 normalized'],
      ['nav.no:53/tcp', 'nav.no:53 normalized'],
      ['198.35.26.96/path', '198.35.26.96:443 normalized'],
      ['jdbc:postgresql://db.nav.no:5432/sales', 'db.nav.no:5432 normalized'],
    ],
    'lets an explicit port win over the scheme': [
      ['https://nav.no:8443', 'nav.no:8443 normalized'],
      ['https://nav.no:80', 'nav.no:80 normalized'],
      ['http://nav.no:80', 'nav.no:80 normalized'],
    ],
    'wants a port with any scheme but https': [
      ['http://nav.no', 'scheme_port_mismatch'],
      ['oracle://db.nav.no', 'scheme_port_mismatch'],
      ['postgresql://db.nav.no/sales', 'scheme_port_mismatch'],
    ],
    'trims ASCII white space around, and takes none inside': [
      ['\t nav.no:443\r\n', 'nav.no:443'],
      ['nav\t.no', 'whitespace_in_host'],
      ['nav.no\nnav.se', 'whitespace_in_host'],
      ['nav.no: 443', 'whitespace_in_host'],
      ['nav.no/a b', 'whitespace_in_host'],
      ['\u00a0nav.no', 'whitespace_in_host'],
      ['nav\u3000.no', 'whitespace_in_host'],
    ],
    'is one destination': [
      ['a.no, b.no', 'one_entry_per_item'],
      ['a.no,', 'one_entry_per_item'],
      ['a.no;b.no', 'one_entry_per_item'],
      ['a.no/x,b.no', 'one_entry_per_item'],
    ],
    'names a host': [
      [' \t\n', 'empty_entry'],
      ['https://', 'empty_entry'],
      ['//', 'empty_entry'],
      ['/path', 'empty_entry'],
      [':443', 'empty_entry'],
      ['?', 'empty_entry'],
    ],
    'has no credentials': [
      ['user:pass@db.nav.no:5432', 'userinfo_not_allowed'],
      ['oracle://user:pass@db.nav.no:1521', 'userinfo_not_allowed'],
      ['@nav.no', 'userinfo_not_allowed'],
      ['nav.no\\@evil.no', 'userinfo_not_allowed'],
    ],
    'has no wildcard': [
      ['*', 'wildcard_not_supported'],
      ['a.*.no', 'wildcard_not_supported'],
      ['198.35.26.*', 'wildcard_not_supported'],
      ['*.blåbær.no', 'wildcard_not_supported'],
    ],
    'has the grammar of host names': [
      [label63.concat('.no'), `${label63}.no:443`],
      [`a${label63}.no`, 'label_too_long'],
      [longestName, `${longestName}:443`],
      [`${longestName}.`, `${longestName}:443`],
      [`a${longestName}`, 'name_too_long'],
      ['a', 'single_label_host'],
      ['localhost', 'single_label_host'],
      ['localhost:8080', 'single_label_host'],
      ['blåbær', 'single_label_host'],
      ['.', 'empty_label'],
      ['nav.no..', 'empty_label'],
      ['.nav.no', 'empty_label'],
      ['-nav.no', 'invalid_label'],
      ['nav-.no', 'invalid_label'],
      ['nav.-', 'invalid_label'],
      ['na\0v.no', 'invalid_label'],
      ['n%61v.no', 'invalid_label'],
      ['nav.no\\path', 'invalid_label'],
      ['<nav.no>', 'invalid_label'],
      ['blå_bær.no', 'invalid_label'],
      ['nav.123', 'invalid_label'],
      ['nav.0x7f', 'invalid_label'],
      ['127.no', '127.no:443'],
      ['0x7f.example.no', '0x7f.example.no:443'],
      ['r3---sn-5go.googlevideo.com', 'r3---sn-5go.googlevideo.com:443'],
    ],
    'names characters outside ASCII': [
      ['BLÅBÆR.no', 'xn--blbr-roah.no:443'],
      ['bl\u00e5b\u00e4r.no', 'xn--blbr-noae.no:443'],
      ['bla\u030Aba\u0308r.no', 'xn--blbr-noae.no:443'],
      ['faß.de', 'xn--fa-hia.de:443'],
      ['XN--BLBR-ROAH.no', 'xn--blbr-roah.no:443'],
      ['nav。no', 'ambiguous_unicode'],
      ['nav．no', 'ambiguous_unicode'],
      ['nav｡no', 'ambiguous_unicode'],
      ['ｎav.no', 'ambiguous_unicode'],
      ['ⅷ.no', 'ambiguous_unicode'],
      ['na\u00adv.no', 'ambiguous_unicode'],
      ['na\u200bv.no', 'ambiguous_unicode'],
      ['na\u200dv.no', 'ambiguous_unicode'],
      ['na\u202ev.no', 'ambiguous_unicode'],
      ['\ufeffnav.no', 'ambiguous_unicode'],
      ['１２７.１', 'ambiguous_unicode'],
      ['℀.no', 'ambiguous_unicode'],
      ['å：b.no', 'ambiguous_unicode'],
      ['ᾳ.gr', 'ambiguous_unicode'],
      ['nav\u0378.no', 'invalid_idn'],
      // Encodings of Å, of full-width ｎ, of a decomposed é, of a zero-width space and of an ideographic dot.
      ['xn--a-7da.no', 'invalid_idn'],
      ['xn--av-f03n.no', 'invalid_idn'],
      ['xn--e-xbb.no', 'invalid_idn'],
      ['xn--ab-g1t.no', 'invalid_idn'],
      ['xn--ab-r13a.no', 'invalid_idn'],
      ['nav\ud800.no', 'invalid_idn'],
      ['xn--a.no', 'invalid_idn'],
      ['xn--.no', 'invalid_idn'],
      ['xn--google-.no', 'invalid_idn'],
      ['nav.xn--99999999999', 'invalid_idn'],
      [`${'å'.repeat(80)}.no`, 'label_too_long'],
      [`${'å.'.repeat(100)}no`, 'name_too_long'],
      ['å'.repeat(2000), 'name_too_long'],
    ],
    'is flagged when it is not all Latin letters': [
      ['раура1.com', 'xn--1-7sba6dbr.com:443 mixed_or_non_latin_script'],
      ['https://раура1.com', 'xn--1-7sba6dbr.com:443 normalized mixed_or_non_latin_script'],
      ['xn--1-7sba6dbr.com', 'xn--1-7sba6dbr.com:443 mixed_or_non_latin_script'],
      ['пример.рф', 'xn--e1afmkfd.xn--p1ai:443 mixed_or_non_latin_script'],
      ['ΣΑΣ.gr', 'xn--mxa9ab.gr:443 mixed_or_non_latin_script'],
      ['σας.gr', 'xn--mxa8ab.gr:443 mixed_or_non_latin_script'],
      ['☃.net', 'xn--n3h.net:443 mixed_or_non_latin_script'],
    ],
    'is an IPv4 address in its one canonical spelling': [
      ['198.35.26.96', '198.35.26.96:443'],
      ['1.2.3', 'ambiguous_ip'],
      ['2130706433', 'ambiguous_ip'],
      ['0x7f.1', 'ambiguous_ip'],
      ['0x7f000001', 'ambiguous_ip'],
      ['0177.0.0.1', 'ambiguous_ip'],
      ['198.35.26.096', 'ambiguous_ip'],
      ['1.2.3.256', 'invalid_ipv4'],
      ['1.2.3.4.5', 'invalid_ipv4'],
      ['198.35.26.96.', 'invalid_ipv4'],
    ],
    'is not IPv6': [
      ['::1', 'ipv6_not_supported'],
      ['[2001:db8::1]:443', 'ipv6_not_supported'],
      ['https://[::1]/', 'ipv6_not_supported'],
      ['fe80::1%eth0', 'ipv6_not_supported'],
      ['::ffff:10.0.0.1', 'ipv6_not_supported'],
      ['2001:db8:0:0:0:0:0:1', 'ipv6_not_supported'],
      ['2001:db8::/32', 'ipv6_not_supported'],
    ],
    'lies outside of the forbidden ranges and internal names': [
      ['127.0.0.1', 'forbidden_range'],
      ['0.0.0.0', 'forbidden_range'],
      ['100.64.0.1:443', 'forbidden_range'],
      ['34.118.224.1', 'forbidden_range'],
      ['http://169.254.169.254/computeMetadata/v1/', 'forbidden_range'],
      ['printer.local', 'internal_name'],
      ['kubernetes.default.svc', 'internal_name'],
      ['Kubernetes.Default.SVC.Cluster.Local.', 'internal_name'],
      ['cluster.local', 'internal_name'],
      ['a.localhost', 'internal_name'],
      ['nas.home.arpa', 'internal_name'],
      ['http://metadata.google.internal/', 'internal_name'],
      ['mylocal.no', 'mylocal.no:443'],
      ['notinternal', 'single_label_host'],
      ['internal.nav.no', 'internal.nav.no:443'],
    ],
    'has ports that are numbers': [
      ['nav.no:', 'port_missing'],
      ['https://nav.no:/', 'port_missing'],
      ['nav.no:https', 'invalid_port'],
      ['nav.no:+443', 'invalid_port'],
      ['nav.no:0443', 'invalid_port'],
      ['nav.no:0x1bb', 'invalid_port'],
      ['nav.no:4e2', 'invalid_port'],
      ['nav.no:４４３', 'invalid_port'],
      ['nav.no:443\0', 'invalid_port'],
      ['nav.no:-443', 'invalid_port'],
      ['nav.no:443-', 'invalid_port'],
      ['nav.no:1-2-3', 'invalid_port'],
      ['nav.no:80–90', 'invalid_port'],
      ['nav.no::443', 'invalid_port'],
      ['198.35.26.96:443:80', 'invalid_port'],
      ['nav.no:65536', 'port_out_of_range'],
      ['nav.no:4294967739', 'port_out_of_range'],
      ['nav.no:0-10', 'port_out_of_range'],
      ['nav.no:65000-65536', 'port_out_of_range'],
      ['nav.no:2-1', 'port_range_reversed'],
      ['nav.no:1-101', 'port_range_too_wide'],
    ],
    'is TCP': [
      ['nav.no:53/UDP', 'protocol_not_supported'],
      ['udp://nav.no:53', 'protocol_not_supported'],
      ['nav.no:5000/sctp', 'protocol_not_supported'],
    ],
    'reports the fault of the host before that of the port': [
      ['postgres:abc', 'single_label_host'],
      ['*.nav.no:', 'wildcard_not_supported'],
      ['10.0.0.5:0', 'forbidden_range'],
      ['http://localhost', 'single_label_host'],
    ],
    'is never read as one address when it is a range': [
      ['198.35.26.0/24', 'cidr_not_allowed'],
      ['198.35.26.96/32', 'cidr_not_allowed'],
      ['198.35.26.0:443/24', 'cidr_not_allowed'],
      ['https://198.35.26.0/24/', 'cidr_not_allowed'],
      ['0.0.0.0/0', 'cidr_not_allowed'],
      ['256.0.0.0/8', 'invalid_ipv4'],
      ['127.1/8', 'ambiguous_ip'],
    ],
  };
  for (const [sentence, cases] of Object.entries(rows)) {
    describe(sentence, () => {
      for (const [text, expected] of cases) {
        it(`${JSON.stringify(text.slice(0, 80))}: ${expected.slice(0, 80)}`, () => {
          assert.equal(answer(text), expected);
        });
      }
    });
  }

  const cidrs: readonly (readonly [string, string])[] = [
    ['198.35.26.0/24', '198.35.26.0/24:443'],
    ['198.35.26.0/24:8080-8090', '198.35.26.0/24:8080-8090'],
    ['198.35.26.96/32:22', '198.35.26.96:22'],
    ['https://198.35.26.0/24', '198.35.26.0/24:443 normalized'],
    ['198.35.26.0/24:443/path', '198.35.26.0/24:443 normalized'],
    ['198.35.26.96/24', 'cidr_host_bits'],
    ['10.0.0.0/8', 'forbidden_range'],
    ['8.0.0.0/6', 'forbidden_range'],
    ['0.0.0.0/0', 'forbidden_range'],
    ['198.35.26.0/33', 'invalid_ipv4'],
    ['198.35.26.0/024', 'invalid_ipv4'],
    ['198.35.26.0:443/24', 'invalid_port'],
    ['198.35.26.0/24:', 'port_missing'],
    ['198.35.26.0/24:53/udp', 'protocol_not_supported'],
  ];
  for (const [text, expected] of cidrs) {
    it(`with ranges enabled by the operator, ${text} is ${expected}`, () => {
      assert.equal(answer(text, withCidr), expected);
    });
  }

  it('follows the operator’s own suffixes, ranges and bounds', () => {
    const [cluster, opened] = [parseCidr('35.228.1.2'), parseCidr('10.20.0.0/16')];
    assert.ok(cluster && opened);
    const options: EntryOptions = {
      ...defaultEntryOptions,
      clusterRanges: [cluster],
      privateRanges: [opened],
      internalSuffixes: ['.Adeo.no', 'preprod.nav.no'],
      maxPortRangeWidth: 2,
    };
    assert.equal(answer('dm08.adeo.no:1521', options), 'internal_name');
    assert.equal(answer('preprod.nav.no', options), 'internal_name');
    assert.equal(answer('notadeo.no', options), 'notadeo.no:443');
    assert.equal(answer('35.228.1.2', options), 'forbidden_range');
    assert.equal(answer('10.20.1.5:5432', options), '10.20.1.5:5432');
    assert.equal(answer('10.21.1.5:5432', options), 'forbidden_range');
    assert.equal(answer('nav.no:1-2', options), 'nav.no:1-2');
    assert.equal(answer('nav.no:1-3', options), 'port_range_too_wide');
  });

  it('never repeats a password', () => {
    const result = parseEntry('oracle://scott:tiger@db.nav.no:1521', defaultEntryOptions);
    assert.ok(!result.ok);
    assert.doesNotMatch(result.message, /scott|tiger/);
    assert.match(result.message, /db\.nav\.no:1521/);
  });

  it('spells out what cannot be seen', () => {
    const result = parseEntry('na\u200bv.no', defaultEntryOptions);
    assert.ok(!result.ok);
    assert.match(result.message, /na<U\+200B>v\.no/);
  });
});

describe('printing and parsing an entry', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      '.',
      ':',
      '-',
      '/',
      '*',
      '@',
      '0',
      '443',
      'nav.no',
      '://',
      'https',
      '198.35.26.96',
      'xn--',
      'å',
      '。',
      ' ',
      ',',
      '%',
      '[',
      '0x',
    ),
    fc.string({ unit: 'binary', maxLength: 4 }),
  );
  const text = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(''));
  const label = fc.stringMatching(/^[a-z]([a-z0-9-]{0,8}[a-z0-9])?$/);
  const name = fc.oneof(
    fc.domain(),
    fc.array(label, { minLength: 2, maxLength: 4 }).map((labels) => labels.join('.')),
  );
  const port = fc.integer({ min: 1, max: 65_535 });
  const suffix = fc.oneof(
    fc.constant(''),
    port.map((start) => `:${start}`),
    fc.tuple(port, fc.nat(99)).map(([start, width]) => `:${start}-${Math.min(start + width, 65_535)}`),
  );
  const wellFormed = fc.tuple(fc.oneof(name, fc.ipV4()), suffix).map((parts) => parts.join(''));

  it('gives the same entry again, for any entry', () => {
    let read = 0;
    fc.assert(
      fc.property(fc.oneof(text, wellFormed), fc.boolean(), (input, allowCidr) => {
        const options = { ...defaultEntryOptions, allowCidr };
        const result = parseEntry(input, options);
        if (!result.ok) {
          assert.ok(Object.values(EntryProblem).includes(result.code));
          assert.ok(result.message.length < 1000);
          return;
        }
        read += 1;
        const { warnings, ...entry } = result.entry;
        assert.equal(printEntry(entry), entry.entry);
        const again = parseEntry(entry.entry, options);
        assert.ok(again.ok);
        const { warnings: warningsAgain, ...entryAgain } = again.entry;
        assert.deepEqual(entryAgain, entry);
        assert.deepEqual(
          warningsAgain,
          warnings.filter((warning) => warning !== 'normalized'),
        );
      }),
      { numRuns: 2000 },
    );
    assert.ok(read > 100, `only ${read} inputs were entries`);
  });

  it('accepts every well-formed public name', () => {
    fc.assert(
      fc.property(name, suffix, (host, ports) => {
        const result = parseEntry(host + ports, defaultEntryOptions);
        assert.ok(
          result.ok || ['internal_name', 'invalid_idn'].includes(result.code),
          JSON.stringify(result),
        );
      }),
    );
  });

  it('ends in a host of letters, digits, hyphens and dots, for any entry', () => {
    fc.assert(
      fc.property(text, (input) => {
        const result = parseEntry(input, defaultEntryOptions);
        if (result.ok) assert.match(result.entry.host, /^[a-z0-9-]+(\.[a-z0-9-]+)+$/);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('64 KiB of any text', () => {
  // Not timed: every text that reaches a step other than one pass over it is cut to a length before, and
  // a pass that went wrong here (a backtracking pattern, a conversion of the whole) would not come back.
  const size = 65_536;
  const rows: readonly (readonly [string, string, string])[] = [
    ['spaces', ' '.repeat(size), 'empty_entry'],
    ['commas', ','.repeat(size), 'one_entry_per_item'],
    ['letters', 'a'.repeat(size), 'name_too_long'],
    ['hyphens', '-'.repeat(size), 'name_too_long'],
    ['dots', '.'.repeat(size), 'name_too_long'],
    ['labels', 'a.'.repeat(size / 2), 'name_too_long'],
    ['digits', '1'.repeat(size), 'ambiguous_ip'],
    ['octets', '1.'.repeat(size / 2), 'invalid_ipv4'],
    ['colons', ':'.repeat(size), 'ipv6_not_supported'],
    ['hexadecimal groups', 'a:'.repeat(size / 2), 'ipv6_not_supported'],
    ['slashes', '/'.repeat(size), 'empty_entry'],
    ['schemes', 'a://'.repeat(size / 4), 'single_label_host'],
    ['at signs', '@'.repeat(size), 'userinfo_not_allowed'],
    ['stars', '*'.repeat(size), 'name_too_long'],
    ['å', 'å'.repeat(size), 'name_too_long'],
    ['combining marks', `a${'\u0301'.repeat(size)}.no`, 'name_too_long'],
    ['zero-width spaces', '\u200b'.repeat(size), 'name_too_long'],
    ['xn--', 'xn--'.repeat(size / 4), 'name_too_long'],
    ['port digits', `nav.no:${'9'.repeat(size)}`, 'port_out_of_range'],
    ['port ranges', `nav.no:${'1-'.repeat(size / 2)}`, 'invalid_port'],
    ['a path', `nav.no/${'a/'.repeat(size / 2)}`, 'nav.no:443 normalized'],
    ['a prefix length', `198.35.26.0/${'1'.repeat(size)}`, '198.35.26.0:443 normalized'],
    ['brackets', '['.repeat(size), 'ipv6_not_supported'],
    ['NULs', '\0'.repeat(size), 'name_too_long'],
  ];
  for (const [what, text, expected] of rows) {
    it(`of ${what} is ${expected}, in a sentence of bounded length`, () => {
      assert.equal(answer(text), expected);
      const result = parseEntry(text, defaultEntryOptions);
      if (!result.ok) assert.ok(result.message.length < 1000);
    });
  }
});

describe('an allowlist', () => {
  it('separates the good entries from the bad ones, each with its index', () => {
    const { entries, errors } = parseAllowlist(['nav.no', '', 'pypi.org:443', '*.no'], defaultEntryOptions);
    assert.deepEqual(
      entries.map((entry) => entry.entry),
      ['nav.no:443', 'pypi.org:443'],
    );
    assert.deepEqual(
      errors.map(({ index, entry, code }) => ({ index, entry, code })),
      [
        { index: 1, entry: '', code: 'empty_entry' },
        { index: 3, entry: '*.no', code: 'wildcard_not_supported' },
      ],
    );
  });

  it('flags the later of two equal entries, in any spelling', () => {
    const list = [
      'Nav.no',
      'https://nav.no:443/',
      'nav.no:8443',
      'nav.no.',
      '198.35.26.96',
      '198.35.26.96/32',
    ];
    const { entries } = parseAllowlist(list, withCidr);
    assert.deepEqual(
      entries.map((entry) => entry.warnings),
      [[], ['normalized', 'duplicate'], [], ['duplicate'], [], ['duplicate']],
    );
  });

  it('accepts overlapping entries', () => {
    const { errors, entries } = parseAllowlist(['nav.no:440-450', 'nav.no:443'], defaultEntryOptions);
    assert.deepEqual(errors, []);
    assert.deepEqual(
      entries.map((entry) => entry.warnings),
      [[], []],
    );
  });

  it('is limited to 200 entries, and no further entry is read', () => {
    const list = (length: number) => Array.from({ length }, (_, index) => `h${index}.nav.no`);
    assert.deepEqual(parseAllowlist(list(200), defaultEntryOptions).errors, []);
    const { entries, errors } = parseAllowlist([...list(200), 'one-more.nav.no', '*'], defaultEntryOptions);
    assert.equal(entries.length, 200);
    assert.deepEqual(
      errors.map(({ index, entry, code }) => ({ index, entry, code })),
      [{ index: 200, entry: 'one-more.nav.no', code: 'too_many_entries' }],
    );
  });

  it('counts the hosts of a preset, and leaves out a preset that does not fit', () => {
    const presets = new Map([['three', ['a.nav.no', 'b.nav.no', 'c.nav.no']]]);
    const options = { ...defaultEntryOptions, presets, maxEntries: 4 };
    assert.deepEqual(parseAllowlist(['nav.no', 'preset:three'], options).errors, []);
    const { entries, errors } = parseAllowlist(['nav.no', 'ssb.no', 'preset:three', 'x.no'], options);
    assert.deepEqual(
      entries.map(({ entry }) => entry),
      ['nav.no:443', 'ssb.no:443'],
    );
    assert.deepEqual(
      errors.map(({ index, code }) => [index, code]),
      [[2, 'too_many_entries']],
    );
  });

  it('replaces a preset by its hosts, which name it', () => {
    const presets = new Map([['own', ['nav.no', 'db.nav.no:1521']]]);
    const { entries, errors } = parseAllowlist([' Preset:OWN ', 'nav.no'], {
      ...defaultEntryOptions,
      presets,
    });
    assert.deepEqual(errors, []);
    assert.deepEqual(
      entries.map(({ entry, preset, warnings }) => [entry, preset, warnings]),
      [
        ['nav.no:443', 'own', []],
        ['db.nav.no:1521', 'own', []],
        ['nav.no:443', undefined, ['duplicate']],
      ],
    );
  });

  it('names the presets that there are when one is unknown', () => {
    const { errors } = parseAllowlist(['preset:pipy', 'preset:'], defaultEntryOptions);
    assert.deepEqual(
      errors.map(({ code }) => code),
      ['unknown_preset', 'unknown_preset'],
    );
    assert.match(errors[0]?.message ?? '', /"pipy".*preset:pypi, preset:conda/);
  });

  it('may be empty', () => {
    assert.deepEqual(parseAllowlist([], defaultEntryOptions), { entries: [], errors: [] });
  });

  it('has a documented code for every refusal', () => {
    const refused = new Set<string>();
    for (const text of [
      '',
      'a,b',
      'a b',
      'u@a.no',
      'http://a.no',
      '*.no',
      'a',
      '-a.no',
      'a..no',
      `${'a'.repeat(64)}.no`,
      'a.'.repeat(200),
      'xn--a.no',
      '１.no',
      '1.2.3.256',
      '1.2',
      '::1',
      '8.8.8.0/24',
      '10.0.0.1',
      'a.local',
      'a.no:',
      'a.no:x',
      'a.no:0',
      'a.no:2-1',
      'a.no:1-999',
      'a.no:1/udp',
    ]) {
      refused.add(answer(text));
    }
    refused.add(answer('8.8.8.8/24', withCidr));
    for (const { code } of parseAllowlist(['preset:none'], defaultEntryOptions).errors) refused.add(code);
    for (const { code } of parseAllowlist(['a.no'], { ...defaultEntryOptions, maxEntries: 0 }).errors)
      refused.add(code);
    assert.deepEqual([...refused].sort(), Object.values(EntryProblem).toSorted());
  });
});
