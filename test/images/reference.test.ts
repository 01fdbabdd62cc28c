import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  checkAllowed,
  garHost,
  type ImagePolicy,
  type ImageReference,
  parseReference,
  parseTeamImage,
  printReference,
} from '../../src/images/reference.ts';

const policy: ImagePolicy = {
  ghcrOwner: 'navikt',
  garRegion: 'europe-north1',
  garProject: 'nais-management-233d',
  garTeam: 'team-a',
};
const { garTeam: _, ...withoutGarTeam } = policy;
const digest = `sha256:${'a'.repeat(64)}`;

const vectorsUrl = new URL('../../../shared/vectors/images.json', import.meta.url);
const noVectors =
  existsSync(vectorsUrl) || process.env.CI === 'true' ? false : 'the shared vectors are absent';

interface Vectors {
  references: { image: string; expect: ImageReference | { code: string } }[];
}

function judge(image: string, against: ImagePolicy = policy) {
  const result = parseTeamImage(image, against);
  return result.ok ? result.reference : { code: result.code };
}

function codeOf(image: string, against: ImagePolicy = policy) {
  const result = parseTeamImage(image, against);
  return result.ok ? 'ok' : result.code;
}

function messageOf(image: string, against: ImagePolicy = policy) {
  const result = parseTeamImage(image, against);
  assert.equal(result.ok, false);
  return result.ok ? '' : result.message;
}

describe('an image reference', () => {
  it('matches the shared vectors', { skip: noVectors }, () => {
    const { references } = JSON.parse(readFileSync(vectorsUrl, 'utf8')) as Vectors;
    assert.ok(references.length > 0);
    for (const { image, expect } of references) assert.deepEqual(judge(image), expect, image);
  });

  const read: readonly (readonly [string, ImageReference])[] = [
    ['  ghcr.io/navikt/x:1\n', { host: 'ghcr.io', path: 'navikt/x', tag: '1' }],
    [`ghcr.io/navikt/x@${digest}`, { host: 'ghcr.io', path: 'navikt/x', digest }],
    ['nginx', { host: 'docker.io', path: 'library/nginx' }],
    ['nginx:1.27', { host: 'docker.io', path: 'library/nginx', tag: '1.27' }],
    ['docker.io/nginx:1', { host: 'docker.io', path: 'library/nginx', tag: '1' }],
    [
      'index.docker.io/jupyter/base-notebook:x',
      { host: 'docker.io', path: 'jupyter/base-notebook', tag: 'x' },
    ],
    ['team-a/nb:1', { host: 'docker.io', path: 'team-a/nb', tag: '1' }],
    ['ghcr.io', { host: 'docker.io', path: 'library/ghcr.io' }],
    ['localhost/x:1', { host: 'localhost', path: 'x', tag: '1' }],
    ['localhost:5000/x:1', { host: 'localhost:5000', path: 'x', tag: '1' }],
    ['[::1]:5000/x:1', { host: '[::1]:5000', path: 'x', tag: '1' }],
    ['GHCR.IO/navikt/x:Tag_1', { host: 'ghcr.io', path: 'navikt/x', tag: 'Tag_1' }],
    ['ghcr.io/navikt/a__b/c---d/e.f:1', { host: 'ghcr.io', path: 'navikt/a__b/c---d/e.f', tag: '1' }],
    [`ghcr.io/${'a'.repeat(64)}:1`, { host: 'ghcr.io', path: 'a'.repeat(64), tag: '1' }],
    [`ghcr.io/navikt/x:${'t'.repeat(128)}`, { host: 'ghcr.io', path: 'navikt/x', tag: 't'.repeat(128) }],
  ];
  for (const [text, expected] of read) {
    it(`parses ${JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)}`, () => {
      assert.deepEqual(parseReference(text), { ok: true, reference: expected });
    });
  }

  const unreadable: readonly (readonly [string, string])[] = [
    ['only white space', ' \t\n'],
    ['a scheme', 'docker://ghcr.io/navikt/x:1'],
    ['user information', 'user:pw@ghcr.io/navikt/x:1'],
    ['two digests', `ghcr.io/navikt/x@${digest}@${digest}`],
    ['a short digest', 'ghcr.io/navikt/x:1@sha256:abc'],
    ['a digest in upper case', `ghcr.io/navikt/x@sha256:${'A'.repeat(64)}`],
    ['another digest algorithm', `ghcr.io/navikt/x@sha512:${'a'.repeat(128)}`],
    ['an empty digest', 'ghcr.io/navikt/x:1@'],
    ['an empty tag', 'ghcr.io/navikt/x:'],
    ['a tag that begins with a dot', 'ghcr.io/navikt/x:.1'],
    ['a tag that begins with a dash', 'ghcr.io/navikt/x:-1'],
    ['a tag of 129 characters', `ghcr.io/navikt/x:${'t'.repeat(129)}`],
    ['a tag with a slash', 'ghcr.io/navikt/x:1/y'],
    ['a path of dots', 'ghcr.io/navikt/../other/x:1'],
    ['a single dot', 'ghcr.io/navikt/./x:1'],
    ['an encoded slash', 'ghcr.io/navikt%2Fx:1'],
    ['an encoded dot segment', 'ghcr.io/navikt/%2e%2e/x:1'],
    ['a backslash', 'ghcr.io\\navikt/x:1'],
    ['a backslash in the path', 'ghcr.io/navikt\\x:1'],
    ['a query', 'ghcr.io/navikt/x?y:1'],
    ['a fragment', 'ghcr.io/navikt/x#y:1'],
    ['inner white space', 'ghcr.io/navikt/x :1'],
    ['a line break', 'ghcr.io/navikt/x:1\nghcr.io/navikt/y:1'],
    ['a NUL', 'ghcr.io/navikt/x\u0000:1'],
    ['a trailing slash', 'ghcr.io/navikt/x/'],
    ['a leading slash', '/navikt/x:1'],
    ['two leading slashes', '//ghcr.io/navikt/x:1'],
    ['three underscores', 'ghcr.io/navikt/a___b:1'],
    ['two dots inside a name', 'ghcr.io/navikt/a..b:1'],
    ['a name that ends in a dash', 'ghcr.io/navikt/a-:1'],
    ['a trailing dot on the host', 'ghcr.io./navikt/x:1'],
    ['an empty port', 'ghcr.io:/navikt/x:1'],
    ['a port that is no number', 'ghcr.io:abc/navikt/x:1'],
    ['an underscore in the host', 'gh_cr.io/navikt/x:1'],
    ['a full-width dot in the host', 'ghcr.io。evil.com/navikt/x:1'],
    [
      'a Kelvin sign for a k in the host',
      'europe-north1-doc\u212Aer.pkg.dev/nais-management-233d/team-a/x:1',
    ],
    ['a Cyrillic letter in the path', 'ghcr.io/n\u0430vikt/x:1'],
    ['a bare image id', 'a'.repeat(64)],
    ['a path of 256 characters', `ghcr.io/navikt/${'a'.repeat(249)}:1`],
    ['1025 characters', `ghcr.io/navikt/x:1${' '.repeat(1007)}`],
  ];
  for (const [what, text] of unreadable) {
    it(`is invalid with ${what}`, () => {
      const result = parseReference(text);
      assert.equal(result.ok, false);
      assert.equal(!result.ok && result.code, 'image_invalid');
    });
  }

  it('is unchanged by printing and parsing', () => {
    fc.assert(
      fc.property(anyReference(), (reference) => {
        assert.deepEqual(parseReference(printReference(reference)), { ok: true, reference });
      }),
    );
  });

  it('is canonical: the printed form of any reference parses to the same', () => {
    fc.assert(
      fc.property(nearlyReference(), (text) => {
        const first = parseReference(text);
        if (first.ok) assert.deepEqual(parseReference(printReference(first.reference)), first);
      }),
    );
  });

  it('never throws, and every refusal has a message', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary', maxLength: 1100 }), nearlyReference()), (text) => {
        const result = parseTeamImage(text, policy);
        if (!result.ok) assert.match(result.message, /^.{10,}[.>]$/s);
      }),
    );
  });
});

describe('an image of a team', () => {
  it('may be named by its digest only, which is a fixed build', () => {
    assert.equal(codeOf(`ghcr.io/navikt/x@${digest}`), 'ok');
  });

  it('may be deeper in the team’s repository', () => {
    assert.equal(codeOf('europe-north1-docker.pkg.dev/nais-management-233d/team-a/nb/gpu:1'), 'ok');
  });

  const refused: readonly (readonly [string, string])[] = [
    ['ghcr.io/navikt:1', 'image_not_allowed'],
    ['ghcr.io/navikt-evil/x:1', 'image_not_allowed'],
    ['ghcr.io/other/navikt/x:1', 'image_not_allowed'],
    ['ghcr.io/other/x', 'image_not_allowed'],
    ['europe-north1-docker.pkg.dev/nais-management-233d/team-a:1', 'image_not_allowed'],
    ['europe-north1-docker.pkg.dev/nais-management-233d/team-ab/nb:1', 'image_not_allowed'],
    ['europe-north1-docker.pkg.dev/nais-management-233d/x/team-a/nb:1', 'image_not_allowed'],
    ['europe-west1-docker.pkg.dev/nais-management-233d/team-a/nb:1', 'registry_not_allowed'],
    ['eu.gcr.io/nais-management-233d/team-a/nb:1', 'registry_not_allowed'],
    ['ghcr.io.evil.com/navikt/x:1', 'registry_not_allowed'],
    ['evil.com/ghcr.io/navikt/x:1', 'registry_not_allowed'],
    ['NAVIKT/x:1', 'registry_not_allowed'],
    ['navikt/x:1', 'registry_not_allowed'],
    ['nginx', 'registry_not_allowed'],
    ['localhost:5000/navikt/x:1', 'registry_not_allowed'],
    ['169.254.169.254/navikt/x:1', 'registry_not_allowed'],
    ['[::1]/navikt/x:1', 'registry_not_allowed'],
    ['europe-north1-docker.pkg.dev/nais-management-233d/team-a/nb', 'tag_required'],
  ];
  for (const [image, code] of refused) {
    it(`${image} is refused: ${code}`, () => assert.equal(codeOf(image), code));
  }

  it('must be in GHCR while the team has no garTeam, and the refusal says how to get one', () => {
    const image = 'europe-north1-docker.pkg.dev/nais-management-233d/team-a/nb:1';
    assert.equal(codeOf(image, withoutGarTeam), 'image_not_allowed');
    assert.equal(codeOf(image, { ...policy, garTeam: null }), 'image_not_allowed');
    assert.equal(codeOf(image, { ...policy, garTeam: '' }), 'image_not_allowed');
    assert.match(messageOf(image, withoutGarTeam), /administrator .* garTeam/);
    assert.equal(codeOf('ghcr.io/navikt/x:1', withoutGarTeam), 'ok');
  });

  it('is refused with the closest valid form', () => {
    assert.match(messageOf('ghcr.io:443/navikt/x:1'), /: ghcr\.io\/navikt\/x:1\.$/);
    assert.match(messageOf('https://ghcr.io/navikt/x:1'), /"ghcr\.io\/navikt\/x:1"/);
    assert.match(messageOf('ghcr.io/Navikt/x:1'), /"navikt" for "Navikt"/);
    assert.match(messageOf('ghcr.io/navikt/x'), /ghcr\.io\/navikt\/x:<tag>/);
    assert.match(messageOf('ghcr.io/other/x:1'), /ghcr\.io\/navikt\/<image>:<tag>/);
    assert.match(
      messageOf('europe-north1-docker.pkg.dev/nais-management-233d/team-b/x:1'),
      /europe-north1-docker\.pkg\.dev\/nais-management-233d\/team-a\/<image>:<tag>/,
    );
  });

  it('does not repeat a long text in the refusal', () => {
    assert.ok(messageOf(`ghcr.io/navikt/x@${'y'.repeat(1000)}`).length < 300);
  });

  it('never leads to a request to a host or a path that is not allowed', () => {
    let allowed = 0;
    fc.assert(
      fc.property(nearlyReference(), (text) => {
        const result = parseTeamImage(text, policy);
        if (!result.ok) return;
        allowed += 1;
        const { host, path, tag, digest: pin } = result.reference;
        assert.ok(host === 'ghcr.io' || host === garHost(policy));
        assert.ok(path.startsWith('navikt/') || path.startsWith('nais-management-233d/team-a/'));
        for (const version of [tag, pin].filter((value) => value !== undefined)) {
          const url = new URL(`https://${host}/v2/${path}/manifests/${version}`);
          assert.equal(url.host, host);
          assert.equal(url.pathname, `/v2/${path}/manifests/${version}`);
          assert.equal(`${url.username}${url.password}${url.port}${url.search}${url.hash}`, '');
        }
      }),
      { numRuns: 2000 },
    );
    assert.ok(allowed > 50, `only ${allowed} of the generated references were allowed`);
  });

  it('gets the same result in its printed form', () => {
    fc.assert(
      fc.property(anyReference(), (reference) => {
        const direct = checkAllowed(reference, policy);
        const printed = parseTeamImage(printReference(reference), policy);
        assert.equal(direct.ok, printed.ok);
      }),
    );
  });
});

/** References by construction: every one is canonical. */
function anyReference(): fc.Arbitrary<ImageReference> {
  const component = fc.stringMatching(/^[a-z0-9]{1,6}(?:(?:\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}$/);
  return fc
    .record(
      {
        host: fc.oneof(
          fc.constantFrom('ghcr.io', 'europe-north1-docker.pkg.dev', 'docker.io', 'localhost', 'quay.io:443'),
          fc.stringMatching(/^[a-z0-9]{1,5}(?:-[a-z0-9]{1,3})?\.[a-z]{2,3}(?::[0-9]{1,5})?$/),
        ),
        path: fc
          .array(component, { minLength: 2, maxLength: 4 })
          .chain((parts) =>
            fc.constantFrom(parts, ['navikt', ...parts], ['nais-management-233d', 'team-a', ...parts]),
          )
          .map((parts) => parts.join('/')),
        tag: fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,20}$/),
        digest: fc.stringMatching(/^[a-f0-9]{64}$/).map((hex) => `sha256:${hex}`),
      },
      { requiredKeys: ['host', 'path'] },
    )
    .map((reference) => ({ ...reference }));
}

/** Text around the border between right and wrong: allowed references, and pieces glued with hostile characters. */
function nearlyReference(): fc.Arbitrary<string> {
  const piece = fc.oneof(
    fc.constantFrom(
      'ghcr.io',
      'navikt',
      'x',
      '1',
      'GHCR.io',
      'nais-management-233d',
      'team-a',
      'evil.com',
      '',
    ),
    fc.constantFrom('europe-north1-docker.pkg.dev', '..', '.', '%2e%2e', '%2F', digest, '443', '\u212A', 'İ'),
    fc.string({ unit: 'binary', maxLength: 3 }),
  );
  const glue = fc.constantFrom('/', '/', '/', ':', ':', '@', '\\', '?', '#', '//', '', ' ', '\t', '\n');
  const glued = fc.array(fc.tuple(piece, glue), { maxLength: 7 }).map((parts) => parts.flat().join(''));
  const prefixed = fc
    .tuple(
      fc.constantFrom('ghcr.io/navikt/', 'europe-north1-docker.pkg.dev/nais-management-233d/team-a/'),
      glued,
      fc.constantFrom(':1', ':v_1.2-x', `@${digest}`, `:1@${digest}`, ''),
    )
    .map((parts) => parts.join(''));
  const allowed = fc
    .tuple(
      fc.constantFrom('ghcr.io/navikt/', 'europe-north1-docker.pkg.dev/nais-management-233d/team-a/'),
      anyReference(),
    )
    .map(([prefix, { path, tag = '1' }]) => `${prefix}${path}:${tag}`);
  const spoilt = fc
    .tuple(allowed, fc.nat(100), piece)
    .map(([text, at, inserted]) => `${text.slice(0, at)}${inserted}${text.slice(at)}`);
  return fc.oneof(glued, prefixed, allowed, spoilt, anyReference().map(printReference));
}
