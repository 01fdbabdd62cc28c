import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import contract from '../../openapi/openapi.json' with { type: 'json' };
import { canonicalItem, defaultEntryOptions } from '../../src/egress/entry.ts';
import { parseDestination } from '../../src/egress/explain.ts';
import { preconditionsOf } from '../../src/http/preconditions.ts';
import { parseTeamImage } from '../../src/images/reference.ts';
import { payloadOf } from '../../src/secrets/secret.ts';
import { parseRepository } from '../../src/teams/ghcr.ts';

const { schemas } = contract.components;
const parametersOf = (parameters: readonly { name: string; schema: object }[], name: string): string => {
  const schema = parameters.find((parameter) => parameter.name === name)?.schema;
  assert.ok(schema !== undefined && 'pattern' in schema && typeof schema.pattern === 'string');
  return schema.pattern;
};

const takes = (run: () => unknown): boolean => {
  try {
    run();
    return true;
  } catch {
    return false;
  }
};

/** Texts that are put together from parts, so that many are accepted and many nearly. */
const joined = (...parts: readonly (readonly string[])[]): fc.Arbitrary<string> =>
  fc.tuple(...parts.map((choices) => fc.constantFrom(...choices))).map((chosen) => chosen.join(''));

const hosts = [
  'pypi.org',
  'PyPI.org.',
  'a-b.c--d.no',
  'blåbær.no',
  'xn--blbr-toad9i.no',
  '例え.jp',
  '8.8.8.8',
  '198.35.26.0/24',
  'localhost',
  '-a.no',
  'a_b.no',
  'a..no',
  '*.nav.no',
  '[::1]',
];
const schemes = ['', '', 'https://', 'HTTP://', 'jdbc:postgresql://', '//', 'x y://'];
const ports = ['', '', ':443', ':1-2', ':65535', ':0', ':01', ':99999', ':', ':a'];
const tails = ['', '', '/simple', '?a=b', '#x', '/a b', '/,', '/udp'];
const entry = fc.oneof(
  joined(schemes, hosts, ports, tails),
  joined(['preset:', 'PRESET:'], ['pypi', 'PyPI', 'nothing']),
);
const image = joined(
  ['ghcr.io/', 'GHCR.io/', 'europe-north1-docker.pkg.dev/', '', 'docker.io/', 'localhost:5000/'],
  ['navikt/', 'nav/', 'p/team-a/'],
  ['a', 'a__b', 'a--b/c.d', 'A', 'a_-b', ''],
  ['', ':1', ':.x', `:${'a'.repeat(129)}`],
  ['', `@sha256:${'a'.repeat(64)}`, '@sha256:00', '@md5:1'],
);
const repository = joined(
  ['', 'https://', 'SSH://git@', 'git@github.com:', 'oci://'],
  [
    '',
    'navikt/',
    'NAVIKT/',
    'github.com/navikt/',
    'www.github.com/orgs/navikt/packages/container/',
    'ghcr.io/navikt/',
  ],
  ['my-image', 'my--image_x', 'a/b', 'a%2Fb', 'package/a', '.x', 'x.git'],
  ['', ':tag', '@sha256:1', '/', '.git', '?tab=x', ' '],
);
const tag = joined(['', 'W/', 'w/'], ['"', ''], ['a-b.1.2', '', 'a,b', '~!#'], ['"', '']);
const tags = fc.oneof(
  fc.constantFrom('*', '', '**'),
  fc.array(tag, { minLength: 1, maxLength: 3 }).map((all) => all.join(', ')),
);
const base64 = fc.oneof(
  fc.uint8Array({ maxLength: 12, minLength: 1 }).map((bytes) => Buffer.from(bytes).toString('base64')),
  fc.stringMatching(/^[AQgw0+/]{1,6}={0,3}$/),
);

const policy = { ghcrOwner: 'navikt', garRegion: 'europe-north1', garProject: 'p', garTeam: 'team-a' };
const options = { ...defaultEntryOptions, allowCidr: true };
const hostsOfOrder = schemas.AllowlistOrder.properties.hosts.items;
const inPath = contract.paths['/v1/teams/{team}/notebook/allowlist/hosts/{entry}'].put.parameters;
const ofTags = contract.paths['/v1/teams/{team}/images/tags'].get.parameters;
const ofTeam = contract.paths['/v1/teams/{team}'].patch.parameters;

const rules: readonly (readonly [string, fc.Arbitrary<string>, (text: string) => boolean, string])[] = [
  ['an entry', entry, (text) => canonicalItem(text, options).ok, hostsOfOrder.pattern],
  [
    'an entry in a path',
    entry.filter((text) => !text.includes('/')),
    (text) => canonicalItem(text, options).ok,
    parametersOf(inPath, 'entry'),
  ],
  [
    'a destination',
    entry,
    (text) => parseDestination(text, options).ok,
    schemas.EgressQuestion.properties.destination.pattern,
  ],
  ['an image', image, (text) => parseTeamImage(text, policy).ok, schemas.ImageOrder.properties.image.pattern],
  ['the name of an image', image, (text) => parseTeamImage(text, policy).ok, parametersOf(ofTags, 'image')],
  [
    'a repository',
    repository,
    (text) => 'name' in parseRepository(text, 'navikt') && text === text.trim(),
    schemas.TeamOrder.properties.ghcrRepositories.items.pattern,
  ],
  [
    'entity tags',
    tags,
    (text) => takes(() => preconditionsOf({ 'if-match': text })),
    parametersOf(ofTeam, 'if-match'),
  ],
  [
    'base64',
    base64,
    (text) => takes(() => payloadOf({ dataBase64: text })),
    schemas.SecretVersionOrder.properties.dataBase64.pattern,
  ],
];

describe('a rule that the contract states and a handler enforces', () => {
  for (const [what, texts, isAccepted, pattern] of rules) {
    it(`forbids nothing that is accepted: ${what}`, () => {
      const form = new RegExp(pattern, 'u');
      let accepted = 0;
      let forbidden = 0;
      fc.assert(
        fc.property(texts, (text) => {
          const fits = form.test(text);
          if (isAccepted(text)) {
            accepted += 1;
            assert.ok(fits, `${JSON.stringify(text)} is accepted, but does not match ${pattern}`);
          } else if (!fits) forbidden += 1;
        }),
        { numRuns: 4_000, seed: 20261128 },
      );
      assert.ok(accepted > 10 && forbidden > 10, `${accepted} accepted, ${forbidden} forbidden`);
    });
  }

  it('base64: allows exactly what is accepted', () => {
    const form = new RegExp(schemas.SecretVersionOrder.properties.dataBase64.pattern, 'u');
    fc.assert(
      fc.property(base64, (text) => {
        assert.equal(
          form.test(text),
          takes(() => payloadOf({ dataBase64: text })),
          text,
        );
      }),
      { numRuns: 4_000, seed: 20261128 },
    );
  });
});
