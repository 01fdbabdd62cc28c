import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseReference, parseTeamImage, printReference } from '../../src/images/reference.ts';

const hex = 'f'.repeat(64);
const digest = `sha256:${hex}`;

/**
 * What distribution/reference v0.6 makes of these texts (`ParseNormalizedNamed`), as its tests state it: the canonical
 * form, or undefined where it is an error.
 */
const upstream: readonly (readonly [text: string, canonical: string | undefined])[] = [
  ['test_com', 'docker.io/library/test_com'],
  ['test.com:tag', 'docker.io/library/test.com:tag'],
  ['test.com:5000', 'docker.io/library/test.com:5000'],
  ['test.com/repo:tag', 'test.com/repo:tag'],
  ['test:5000/repo', 'test:5000/repo'],
  ['test:5000/repo:tag', 'test:5000/repo:tag'],
  [`test:5000/repo@${digest}`, `test:5000/repo@${digest}`],
  [`test:5000/repo:tag@${digest}`, `test:5000/repo:tag@${digest}`],
  ['', undefined],
  [':justtag', undefined],
  [`@${digest}`, undefined],
  [`repo@sha256:${'f'.repeat(34)}`, undefined],
  [`validname@invaliddigest:${hex}`, undefined],
  ['Uppercase:tag', undefined],
  ['test:5000/Uppercase/lowercase:tag', undefined],
  ['lowercase:Uppercase', 'docker.io/library/lowercase:Uppercase'],
  [`${'a/'.repeat(128)}a:tag`, undefined],
  [`${'a/'.repeat(127)}a:tag-puts-this-over-max`, `docker.io/${'a/'.repeat(127)}a:tag-puts-this-over-max`],
  ['aa/asdf$$^/aa', undefined],
  ['sub-dom1.foo.com/bar/baz/quux:some-long-tag', 'sub-dom1.foo.com/bar/baz/quux:some-long-tag'],
  ['b.gcr.io/test.example.com/my-app:test.example.com', 'b.gcr.io/test.example.com/my-app:test.example.com'],
  ['xn--n3h.com/myimage:xn--n3h.com', 'xn--n3h.com/myimage:xn--n3h.com'],
  ['foo_bar.com:8080', 'docker.io/library/foo_bar.com:8080'],
  ['foo/foo_bar.com:8080', 'docker.io/foo/foo_bar.com:8080'],
  ['192.168.1.1', 'docker.io/library/192.168.1.1'],
  ['192.168.1.1:5000', 'docker.io/library/192.168.1.1:5000'],
  ['192.168.1.1/repo', '192.168.1.1/repo'],
  ['192.168.1.1:5000/repo:5050', '192.168.1.1:5000/repo:5050'],
  ['[2001:db8::1]', undefined],
  ['[2001:db8::1]:5000', undefined],
  ['[2001:db8::1]:tag', undefined],
  ['[2001:db8::1]/repo', '[2001:db8::1]/repo'],
  ['[2001:db8:1:2:3:4:5:6]/repo:tag', '[2001:db8:1:2:3:4:5:6]/repo:tag'],
  ['[2001:db8::]:5000/repo', '[2001:db8::]:5000/repo'],
  [`[::1]:5000/repo:tag@${digest}`, `[::1]:5000/repo:tag@${digest}`],
  ['[fe80::1%eth0]:5000/repo', undefined],
  ['[fe80::1%@invalidzone]:5000/repo', undefined],
  ['[2001:db8:3:4::192.0.2.33]:5000/debian', undefined],
  ['fc00::1:5000/debian', undefined],
  ['test_com/foo', 'docker.io/test_com/foo'],
  ['test-com:8080/foo', 'test-com:8080/foo'],
  ['docker.io/debian', 'docker.io/library/debian'],
  ['index.docker.io/library/debian', 'docker.io/library/debian'],
  ['127.0.0.1:5000/debian', '127.0.0.1:5000/debian'],
  [
    'thisisthesongthatneverendsitgoesonandonandonthisisthesongthatnev',
    'docker.io/library/thisisthesongthatneverendsitgoesonandonandonthisisthesongthatnev',
  ],
  [hex, undefined],
  [`docker.io/${hex}`, `docker.io/library/${hex}`],
  [hex.slice(1), `docker.io/library/${hex.slice(1)}`],
  ['https://github.com/docker/docker', undefined],
  ['docker/Docker', undefined],
  ['docker.io/docker/Docker', undefined],
  ['-docker', undefined],
  ['-docker/docker', undefined],
  ['-docker.io/docker/docker', undefined],
  ['docker-/docker', undefined],
  ['docker///docker', undefined],
  ['docker.io/docker///docker', undefined],
  ['docker/', undefined],
  ['____/____', undefined],
  ['_docker/_docker', undefined],
  ['dock..er/docker', undefined],
  ['dock_.er/docker', undefined],
  ['dock-.er/docker', undefined],
  ['dock__er/docker', 'docker.io/dock__er/docker'],
  ['docker---rules/docker', 'docker.io/docker---rules/docker'],
  ['d/docker', 'docker.io/d/docker'],
  [`${'this_is_too_long_'.repeat(16)}x/docker`, undefined],
  [`busybox:latest@${digest}`, `docker.io/library/busybox:latest@${digest}`],
];

/** Valid upstream, and refused here: digests are sha256, and only upper case makes these first parts a host. */
const narrower = [
  `xn--7o8h.com/myimage:xn--7o8h.com@sha512:${'f'.repeat(128)}`,
  'Docker/docker',
  'DOCKER/docker',
];

/** White space as JavaScript, Unicode and the people who paste it know it. */
const spaces = [
  '\n',
  '\r\n',
  '\t',
  ' ',
  '\v',
  '\f',
  '\u00a0',
  '\u1680',
  '\u2003',
  '\u2028',
  '\u2029',
  '\u202f',
  '\u3000',
  '\ufeff',
];
/** Invisible, and no white space by Unicode’s definition. */
const invisible = ['\u0000', '\u0085', '\u180e', '\u200b', '\u200d', '\u2060'];

const policy = { ghcrOwner: 'navikt', garRegion: 'europe-north1', garProject: 'p', garTeam: null };
const image = 'ghcr.io/navikt/x:1';

const canonicalOf = (text: string): string | undefined => {
  const parsed = parseReference(text);
  return parsed.ok ? printReference(parsed.reference) : undefined;
};

describe('the grammar of image references', () => {
  for (const [text, canonical] of upstream) {
    it(`agrees with distribution/reference on ${JSON.stringify(text.slice(0, 70))}`, () => {
      assert.equal(canonicalOf(text), canonical);
    });
  }

  for (const text of narrower) {
    it(`is narrower than distribution/reference on ${JSON.stringify(text.slice(0, 40))}`, () => {
      assert.equal(canonicalOf(text), undefined);
    });
  }

  it('drops white space around a reference, so none of it is stored', () => {
    for (const space of spaces) {
      for (const text of [`${space}${image}`, `${image}${space}`, `${space}${space}${image}${space}`]) {
        assert.equal(canonicalOf(text), image, JSON.stringify(text));
      }
    }
  });

  it('refuses white space and invisible characters inside a reference, and names them', () => {
    for (const character of [...spaces, ...invisible]) {
      for (const at of [0, 4, 7, 8, 14, 15, 16, 17, image.length]) {
        const text = `a${image.slice(0, at)}${character}${image.slice(at)}b`;
        assert.equal(canonicalOf(text), undefined, JSON.stringify(text));
      }
    }
    const nbsp = parseReference('ghcr.io/navikt/x\u00a0:1');
    assert.match(nbsp.ok ? '' : nbsp.message, /contains U\+00A0/);
    for (const character of invisible) {
      assert.equal(canonicalOf(`${image}${character}`), undefined, JSON.stringify(character));
      assert.equal(canonicalOf(`${character}${image}`), undefined, JSON.stringify(character));
    }
  });

  it('prints only characters that a container runtime accepts', () => {
    for (const text of [
      ...upstream.map(([text]) => text),
      ...spaces.map((space) => `${space}${image}${space}`),
    ]) {
      const canonical = canonicalOf(text);
      if (canonical !== undefined) assert.match(canonical, /^[A-Za-z0-9._:/@[\]-]+$/);
    }
  });

  it('has one spelling per image: a team’s image parses to its printed form only', () => {
    for (const text of [image, ` ${image}\n`, 'GHCR.IO/navikt/x:1', `\u00a0${image}`]) {
      const parsed = parseTeamImage(text, policy);
      assert.equal(parsed.ok && printReference(parsed.reference), image);
    }
  });
});
