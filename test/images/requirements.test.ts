import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { checkRequirements } from '../../src/images/requirements.ts';

const sha256 = 'a'.repeat(64);

function codes(text: string) {
  const result = checkRequirements(text);
  return result.ok ? [] : result.errors.map(({ code }) => code);
}

function messages(text: string) {
  const result = checkRequirements(text);
  return result.ok ? [] : result.errors.map(({ message }) => message);
}

describe('requirements', () => {
  const accepted = [
    'pandas',
    'pandas==2.2.3',
    'pandas == 2.2.3',
    'pandas>=2.1,<3',
    'pandas >= 2.1 , != 2.2.0, < 3',
    'pandas (>=2.1)',
    'pandas~=2.1',
    'pandas==2.*',
    'pandas===2.2.3-nav',
    'pandas==1!2.0.dev1',
    'pandas==2.0+cu121',
    'A.b-c_d9',
    'requests[security,socks]>=2',
    'requests [ security , socks ]',
    'requests[]',
    "pandas==2.2.3; python_version < '3.12'",
    `pandas;python_version<"3.12" and (sys_platform == 'linux' or os_name != 'nt')`,
    "pandas ; '3.8' <= python_version",
    "pandas; platform_machine not in 'arm64 aarch64'",
    "pandas; extra == 'gpu'",
    'pandas # the comment',
    'pandas==2.2.3 # a comment with --extra-index-url and git+https://x',
    'nada @ https://github.com/navikt/nada/archive/abc1234.zip',
    'nada[x]@https://example.com/nada.whl',
    'nada @ https://example.com/nada.whl#sha256=abc',
    "nada @ https://example.com/nada.whl ; python_version < '3.12'",
    `pandas==2.2.3 --hash=sha256:${sha256}`,
    `pandas==2.2.3 \\\n    --hash=sha256:${sha256} \\\n    --hash=sha512:${'b'.repeat(128)}`,
    'pandas>=2,\\\n<3',
  ];
  for (const text of accepted) {
    it(`accept ${JSON.stringify(text.slice(0, 70))}`, () => assert.deepEqual(messages(text), []));
  }

  const refused: readonly (readonly [string, string])[] = [
    ['--extra-index-url https://evil.example/simple', 'option_not_allowed'],
    ['--extra-index-url=https://evil.example/simple', 'option_not_allowed'],
    ['-i https://evil.example/simple', 'option_not_allowed'],
    ['-ihttps://evil.example/simple', 'option_not_allowed'],
    ['--find-links .', 'option_not_allowed'],
    ['--trusted-host evil.example', 'option_not_allowed'],
    ['-r other.txt', 'option_not_allowed'],
    ['-c constraints.txt', 'option_not_allowed'],
    ['-e .', 'option_not_allowed'],
    ['--editable=git+https://github.com/navikt/x', 'option_not_allowed'],
    ['--pre', 'option_not_allowed'],
    ['  --no-binary :all:', 'option_not_allowed'],
    ['-', 'option_not_allowed'],
    ['pandas --extra-index-url https://evil.example/simple', 'option_not_allowed'],
    ['pandas==2.2.3 --global-option="--x"', 'option_not_allowed'],
    ['\\\n--index-url https://evil.example', 'option_not_allowed'],
    ['pandas --hash=md5:abc', 'invalid_hash'],
    [`pandas --hash=sha256:${'a'.repeat(63)}`, 'invalid_hash'],
    ['git+https://github.com/navikt/x', 'vcs_not_allowed'],
    ['x @ git+https://github.com/navikt/x@main', 'vcs_not_allowed'],
    ['x @ git+ssh://git@github.com/navikt/x', 'vcs_not_allowed'],
    ['https://example.com/x.whl', 'url_without_name'],
    ['x @ http://example.com/x.whl', 'https_required'],
    ['x @ file:///etc/passwd', 'https_required'],
    ['x @ https://user:secret@example.com/x.whl', 'credentials_not_allowed'],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: pip fills these in
    ['x @ https://example.com/${TOKEN}/x.whl', 'variable_not_allowed'],
    ['x @ nowhere', 'invalid_url'],
    ['x @', 'invalid_url'],
    ['x @ https://example.com/x.whl and more', 'invalid_url'],
    ['./wheels/x.whl', 'path_not_allowed'],
    ['../x', 'path_not_allowed'],
    ['/opt/x', 'path_not_allowed'],
    ['x-1.0-py3-none-any.whl', 'path_not_allowed'],
    ['pandas=2.2.3', 'invalid_version'],
    ['pandas 2.2.3', 'invalid_version'],
    ['pandas==', 'invalid_version'],
    ['pandas==two', 'invalid_version'],
    ['pandas>=2.*', 'invalid_version'],
    ['pandas~=2', 'invalid_version'],
    ['pandas numpy', 'invalid_version'],
    ['pandas, numpy', 'invalid_version'],
    ['pandas; rm -rf /', 'invalid_marker'],
    ['pandas;', 'invalid_marker'],
    ["pandas; python_version = '3'", 'invalid_marker'],
    ["pandas; python < '3'", 'invalid_marker'],
    ["pandas; (python_version < '3'", 'invalid_marker'],
    ["pandas; python_version < '3')", 'invalid_marker'],
    ["pandas; python_version < '3' and", 'invalid_marker'],
    ['pandas; python_version', 'invalid_marker'],
    ['requests[security', 'invalid_extras'],
    ['requests[,]', 'invalid_extras'],
    ['requests[a b]', 'invalid_extras'],
    ['_pandas', 'invalid_requirement'],
    ['pandas-', 'invalid_requirement'],
    ['pandæs', 'invalid_version'],
    ['import pandas', 'invalid_version'],
    ['$(curl evil.example)', 'invalid_requirement'],
    ['pan\u0000das', 'control_character'],
    ['pandas\u2028--pre', 'control_character'],
    ['pandas\u000c--pre', 'control_character'],
    ['# a line break to pip, not to an editor\u2028--pre', 'control_character'],
    ['# another\u0085--pre', 'control_character'],
    [`pandas==${'1'.repeat(2000)}`, 'too_long'],
    ['a'.repeat(65_537), 'too_long'],
    ['a\n'.repeat(1001), 'too_long'],
  ];
  for (const [text, code] of refused) {
    it(`refuse ${JSON.stringify(text.slice(0, 70))}: ${code}`, () => assert.deepEqual(codes(text), [code]));
  }

  it('keep comments, blank lines, continued lines and hashes', () => {
    const text = `# data\npandas==2.2.3  # pinned\n\n\nnumpy \\\n  --hash=sha256:${sha256}\n# the end\n`;
    assert.deepEqual(checkRequirements(text), { ok: true, text, names: ['pandas', 'numpy'] });
  });

  it('may be empty, or comments only', () => {
    assert.deepEqual(checkRequirements(''), { ok: true, text: '', names: [] });
    assert.deepEqual(checkRequirements(' \n\n'), { ok: true, text: '', names: [] });
    assert.deepEqual(checkRequirements('# later'), { ok: true, text: '# later\n', names: [] });
  });

  it('get normalized line ends', () => {
    assert.deepEqual(checkRequirements('\ufeffpandas\r\nnumpy\r\n\r\n'), {
      ok: true,
      text: 'pandas\nnumpy\n',
      names: ['pandas', 'numpy'],
    });
  });

  it('list each package once, by its normalized name', () => {
    const result = checkRequirements('Foo.Bar\nfoo_bar; os_name == "nt"\nfoo--bar[x]==1\n');
    assert.deepEqual(result.ok && result.names, ['foo-bar']);
  });

  it('do not hide a line behind a comment that ends in a backslash', () => {
    assert.deepEqual(codes('# note \\\n--pre'), ['option_not_allowed']);
    assert.deepEqual(codes('pandas \\\n# note \\\n--pre'), ['option_not_allowed']);
  });

  it('are refused with every bad line, by its number', () => {
    const text = 'pandas\n-r x.txt\n\n# fine\nnumpy=1\nscipy \\\n  --pre\n';
    assert.deepEqual(
      messages(text).map((message) => message.split(':')[0]),
      ['Line 2', 'Line 5', 'Line 6'],
    );
  });

  it('give the reason why an index is refused, and the alternative', () => {
    assert.match(messages('--extra-index-url https://x')[0] ?? '', /where every package comes from/);
    assert.match(messages('pandas=2.2.3')[0] ?? '', /pandas==2\.2\.3/);
    assert.match(messages('x @ git+https://github.com/o/r')[0] ?? '', /<name> @ https:/);
    assert.match(messages('https://example.com/x.whl')[0] ?? '', /<name> @ https:\/\/example\.com\/x\.whl/);
  });

  it('are accepted or refused for any text; accepted ones contain no option and are accepted again', () => {
    const pieces = fc.constantFrom(
      ...[
        'pandas',
        '==',
        '1.0',
        ' ',
        '\n',
        '\\\n',
        ';',
        "'3'",
        'python_version',
        '<',
        '[x]',
        '@',
        '-r',
        '--pre',
      ],
      ...[
        'https://e.com/a',
        '#',
        '\t',
        '\r',
        '(',
        ')',
        ',',
        'git+https://e.com',
        '--hash=',
        `--hash=sha256:${sha256}`,
      ],
    );
    const texts = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.array(pieces, { maxLength: 12 }).map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const result = checkRequirements(text);
        if (!result.ok) {
          assert.ok(result.errors.length > 0);
          return;
        }
        assert.deepEqual(checkRequirements(result.text), result);
        const joined = result.text.replaceAll(/\\\n/g, '').replaceAll(/(^|[ \t])#.*$/gm, '');
        assert.doesNotMatch(joined, /(?:^|\s)-(?!-hash=)/m);
      }),
      { numRuns: 500 },
    );
  });
});
