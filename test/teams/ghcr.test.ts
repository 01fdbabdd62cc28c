import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseRepository, repositoryFaults, withRepositoryNames } from '../../src/teams/ghcr.ts';

const digest = `sha256:${'0a'.repeat(32)}`;
const nameOf = (text: string, owner = 'navikt') => {
  const parsed = parseRepository(text, owner);
  return 'name' in parsed ? parsed.name : parsed.refusal.code;
};

describe('a GHCR repository', () => {
  for (const [text, name] of [
    ['x', 'x'],
    ['My-Image', 'my-image'],
    [' x ', 'x'],
    ['x/', 'x'],
    ['x:latest', 'x'],
    [`x@${digest}`, 'x'],
    [`x:1.2@${digest}`, 'x'],
    ['x.git', 'x'],
    ['repo/notebook', 'repo/notebook'],
    ['my.repo/notebook', 'my.repo/notebook'],
    ['navikt', 'navikt'],
    ['navikt/x', 'x'],
    ['NAVIKT/X/', 'x'],
    ['navikt/x.git', 'x'],
    ['navikt/repo/notebook:20261123-090000-abc1234', 'repo/notebook'],
    ['ghcr.io/navikt/x', 'x'],
    ['GHCR.IO/navikt/x:latest', 'x'],
    [`ghcr.io/navikt/repo/notebook:1@${digest.toUpperCase()}`, 'repo/notebook'],
    ['https://ghcr.io/navikt/x', 'x'],
    ['docker://ghcr.io/navikt/x:1', 'x'],
    ['oci://ghcr.io/navikt/x', 'x'],
    ['github.com/navikt/x', 'x'],
    ['https://github.com/navikt/x', 'x'],
    ['http://www.github.com/NAVIKT/x/', 'x'],
    ['https://github.com/navikt/x.git', 'x'],
    ['https://github.com/navikt/x?tab=readme#install', 'x'],
    ['git@github.com:navikt/x.git', 'x'],
    ['ssh://git@github.com/navikt/x.git', 'x'],
    ['https://github.com/orgs/navikt/packages/container/package/x', 'x'],
    ['https://github.com/orgs/navikt/packages/container/package/repo%2Fnotebook', 'repo/notebook'],
    ['https://github.com/orgs/navikt/packages/container/x/versions', 'x'],
    ['https://github.com/users/navikt/packages/container/package/x', 'x'],
    ['https://github.com/navikt/repo/pkgs/container/x', 'x'],
    ['https://github.com/navikt/repo/pkgs/container/repo%2fnotebook/123?tag=1', 'repo/notebook'],
  ] as const)
    it(`${text} is stored as ${name}`, () => assert.equal(nameOf(text), name));

  for (const [text, code] of [
    ['ghcr.io/other/x', 'owner_not_allowed'],
    ['ghcr.io/navikt-evil/x', 'owner_not_allowed'],
    ['https://github.com/other/x', 'owner_not_allowed'],
    ['https://github.com/orgs/other/packages/container/package/x', 'owner_not_allowed'],
    ['git@github.com:other/x.git', 'owner_not_allowed'],
    ['docker.io/navikt/x', 'registry_not_allowed'],
    ['europe-north1-docker.pkg.dev/navikt/x', 'registry_not_allowed'],
    ['https://gitlab.com/navikt/x', 'registry_not_allowed'],
    ['https://navikt/x', 'registry_not_allowed'],
    ['', 'bad_format'],
    ['/', 'bad_format'],
    ['a b', 'bad_format'],
    ['x:', 'bad_format'],
    ['-x', 'bad_format'],
    ['a//b', 'bad_format'],
    ['../x', 'bad_format'],
    ['blåbær', 'bad_format'],
    // The Kelvin sign, whose lower case is an ASCII letter.
    ['\u212a', 'bad_format'],
    ['ghcr.io', 'bad_format'],
    ['ghcr.io/navikt', 'bad_format'],
    ['ghcr.io/navikt/', 'bad_format'],
    ['github.com/navikt', 'bad_format'],
    ['https://github.com/navikt/x/tree/main', 'bad_format'],
    ['https://github.com/orgs/navikt/packages/container/package/%', 'bad_format'],
    ['https://github.com/orgs/navikt/packages/container/package/..%2fother%2fx', 'bad_format'],
    ['https://github.com/orgs/navikt/packages', 'bad_format'],
    ['ghcr.io/navikt/navikt/x', 'bad_format'],
    ['a'.repeat(201), 'bad_format'],
  ] as const)
    it(`${text.slice(0, 70)} is refused as ${code}`, () => assert.equal(nameOf(text), code));

  it('has an owner whose case does not matter, and that is named in the sentence', () => {
    assert.equal(nameOf('ghcr.io/navikt/x', 'NavIKT'), 'x');
    const parsed = parseRepository('ghcr.io/Other/x', 'navikt');
    assert.deepEqual(parsed, {
      refusal: {
        code: 'owner_not_allowed',
        message: 'The owner of the repository is “other”; only repositories of navikt can be used.',
      },
    });
  });

  it('is read again as itself once it is stored, whatever it was', () => {
    const parts = fc.constantFrom(
      ...[
        'navikt',
        'x',
        'b',
        '/',
        '/',
        ':',
        '@',
        '.git',
        '.',
        '-',
        'ghcr.io',
        'github.com',
        'www.',
        'https://',
      ],
      ...[
        'git@github.com:',
        'orgs',
        'packages',
        'container',
        'package',
        'pkgs',
        '%2f',
        '?',
        '#',
        'docker.io',
      ],
      ...['quay.io', ' ', 'A', digest],
    );
    const texts = fc.oneof(
      fc.array(parts, { maxLength: 10 }).map((some) => some.join('')),
      fc.string({ maxLength: 40 }),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const parsed = parseRepository(text, 'navikt');
        if ('refusal' in parsed) return;
        assert.match(
          parsed.name,
          /^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$/,
        );
        assert.deepEqual(parseRepository(parsed.name, 'navikt'), parsed);
        assert.deepEqual(parseRepository(`ghcr.io/navikt/${parsed.name}`, 'navikt'), parsed);
      }),
      { numRuns: 5000 },
    );
  });
});

describe('the repositories of an order', () => {
  it('have one fault per refused item, wherever the schema has found none', () => {
    const body = { ghcrRepositories: ['x', 'ghcr.io/other/x', 1, 'a b', 'y'.repeat(600)] };
    assert.deepEqual(
      repositoryFaults(body, 'navikt').map(({ pointer, code }) => `${pointer} ${code}`),
      ['/ghcrRepositories/1 owner_not_allowed', '/ghcrRepositories/3 bad_format'],
    );
    for (const other of [undefined, null, 1, [], {}, { ghcrRepositories: null }, { ghcrRepositories: 'x' }])
      assert.deepEqual(repositoryFaults(other, 'navikt'), []);
  });

  it('keep null and absent as they are', () => {
    assert.deepEqual(withRepositoryNames({}, 'navikt'), {});
    assert.deepEqual(withRepositoryNames({ ghcrRepositories: null }, 'navikt'), { ghcrRepositories: null });
  });
});
