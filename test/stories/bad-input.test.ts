import assert from 'node:assert/strict';
import { after, afterEach, describe, it } from 'node:test';
import { generateKeyPair } from 'jose';
import { Problem, type ProblemCode } from '../../src/model/problems.ts';
import { type Answer, assertProblem, creators, kari, openApi } from '../support/api.ts';

const api = await openApi();
after(() => api.close());
const asKari = api.asPerson(kari, creators);

const team = await api.newTeam();
const notebook = `${team}/notebook`;
await asKari.put(notebook, { storage: { home: '20Gi' }, resources: { cpu: { guarantee: 1, limit: 2 } } });
const asStored = await api.everything();

/** Whatever these stories send: nothing is stored by it, and no look is asked for. */
const looks = api.reconciled.length;
afterEach(async () => {
  api.calm();
  assert.deepEqual(await api.everything(), asStored);
  assert.equal(api.reconciled.length, looks);
});

const bodies = [
  ['PUT', notebook],
  ['PATCH', notebook],
  ['POST', `${notebook}/plan`],
] as const;
type Method = (typeof bodies)[number][0];
const send = (method: Method, url: string, payload: object | string, type = 'application/json') =>
  asKari.send({ method, url, payload, headers: { 'content-type': type } });

/** Everywhere that an order is taken. */
const everywhere = async (payload: object | string, expect: (answer: Answer) => void) => {
  for (const [method, url] of bodies) expect(await send(method, url, payload));
};

describe('invalid orders', () => {
  it('report unknown fields at every level', async () => {
    await everywhere(
      {
        cpu: 1,
        resources: { gpu: 1, cpu: { limits: 2 }, memory: { 'a/b~c': 1 } },
        culling: { timeout: 3600 },
        allowlist: { host: [] },
        storage: { Home: '1Gi' },
        pip: { '': true },
      },
      (answer) =>
        assertProblem(answer, 'validation_failed', [
          '/cpu unknown_field',
          '/resources/gpu unknown_field',
          '/resources/cpu/limits unknown_field',
          '/resources/memory/a~1b~0c unknown_field',
          '/culling/timeout unknown_field',
          '/allowlist/host unknown_field',
          '/storage/Home unknown_field',
          '/pip/ unknown_field',
        ]),
    );
  });

  it('report wrong types without coercion', async () => {
    await everywhere(
      {
        resources: { cpu: { guarantee: '1', limit: [2] }, memory: { limit: 1024 } },
        image: 7,
        culling: { timeoutSeconds: 3600.5, maxAgeSeconds: '3600', keepBusyKernels: 'yes' },
        allowlist: { enabled: 0, hosts: 'pypi.org' },
        storage: [],
        pip: 'no',
      },
      (answer) =>
        assertProblem(
          answer,
          'validation_failed',
          [
            '/resources/cpu/guarantee',
            '/resources/cpu/limit',
            '/resources/memory/limit',
            '/image',
            '/culling/timeoutSeconds',
            '/culling/maxAgeSeconds',
            '/culling/keepBusyKernels',
            '/allowlist/enabled',
            '/allowlist/hosts',
            '/storage',
            '/pip',
          ].map((pointer) => `${pointer} wrong_type`),
        ),
    );
    await everywhere({ allowlist: { hosts: ['pypi.org', 7, null] } }, (answer) =>
      assertProblem(answer, 'validation_failed', [
        '/allowlist/hosts/1 wrong_type',
        '/allowlist/hosts/2 wrong_type',
      ]),
    );
    for (const body of ['[]', '"{}"', '7', 'true'])
      await everywhere(body, (answer) => assertProblem(answer, 'validation_failed', [' wrong_type']));
    for (const method of ['PUT', 'PATCH'] as const)
      assertProblem(await send(method, notebook, 'null'), 'validation_failed', [' wrong_type']);
    const plans = await Promise.all(['null', '{}'].map((body) => send('POST', `${notebook}/plan`, body)));
    assert.deepEqual(plans[0]?.json(), plans[1]?.json(), 'where a body may be left out, null leaves it out');
  });

  it('may contain null in a patch only', async () => {
    const answer = await send('PUT', notebook, { culling: null, resources: { cpu: { limit: null } } });
    assertProblem(answer, 'validation_failed', ['/culling wrong_type', '/resources/cpu/limit wrong_type']);
  });

  it('report bounds and schema violations together', async () => {
    await everywhere(
      {
        resources: { cpu: { guarantee: 0, limit: 17 }, memory: { guarantee: '8Gi', limit: '4Gi' } },
        culling: { timeoutSeconds: 7200, maxAgeSeconds: 3600 },
        storage: { home: '2000Gi' },
        pip: { userInstall: true },
      },
      (answer) =>
        assertProblem(answer, 'validation_failed', [
          '/pip/userInstall unknown_field',
          '/resources/cpu/guarantee out_of_range',
          '/resources/cpu/limit out_of_range',
          '/resources/memory/guarantee above_limit',
          '/culling/maxAgeSeconds below_timeout',
          '/storage/home out_of_range',
        ]),
    );
    const answer = await asKari.send({
      method: 'POST',
      url: `${notebook}/plan?manifests=perhaps&x=1`,
      payload: { culling: { timeoutSeconds: 1 }, image: 1 },
    });
    assertProblem(answer, 'validation_failed', [
      '/image wrong_type',
      '/query/manifests wrong_type',
      '/query/x unknown_field',
      '/culling/timeoutSeconds out_of_range',
    ]);
  });

  it('report malformed quantities', async () => {
    for (const limit of ['2GB', '2G', '', '-1Gi', '1e3Gi', ' 2Gi', '2Gi\n', '.5Gi', '2 Gi', '0x2Gi', '٢Gi'])
      await everywhere({ resources: { memory: { limit } } }, (answer) =>
        assertProblem(answer, 'validation_failed', ['/resources/memory/limit bad_format']),
      );
    for (const limit of ['0Gi', '0.0000001Mi', '99999999999999Gi'])
      await everywhere({ resources: { memory: { limit } } }, (answer) =>
        assertProblem(answer, 'validation_failed', ['/resources/memory/limit out_of_range']),
      );
    await everywhere({ resources: { memory: { limit: `${'9'.repeat(400)}Gi` } } }, (answer) =>
      assertProblem(answer, 'validation_failed', ['/resources/memory/limit too_long']),
    );
  });

  it('report numbers that JSON cannot represent', async () => {
    for (const [text, code] of [
      ['1e400', 'wrong_type'],
      ['-1e400', 'wrong_type'],
      ['-0', 'out_of_range'],
      ['1e-400', 'out_of_range'],
      ['9007199254740993', 'out_of_range'],
    ] as const)
      for (const field of ['"resources":{"cpu":{"limit":#}}', '"culling":{"timeoutSeconds":#}']) {
        const pointer = field.includes('cpu') ? '/resources/cpu/limit' : '/culling/timeoutSeconds';
        await everywhere(`{${field.replace('#', text)}}`, (answer) =>
          assertProblem(answer, 'validation_failed', [`${pointer} ${code}`]),
        );
      }
    for (const text of ['NaN', 'Infinity', '-Infinity', '01', '+1', '1.', '.5', '0x10', "'1'"])
      await everywhere(`{"resources":{"cpu":{"limit":${text}}}}`, (answer) =>
        assertProblem(answer, 'malformed'),
      );
  });

  it('must be JSON', async () => {
    for (const body of ['{', '{"a"}', '{"a":1,}', '', '\u0000', '{}{}', '{"a":"\n"}', '<x/>', '{"a":"\\x"}'])
      await everywhere(body === '' ? ' ' : body, (answer) => assertProblem(answer, 'malformed'));
  });

  it('cannot pollute a prototype', async () => {
    for (const body of [
      '{"__proto__":{"image":"x"}}',
      '{"resources":{"__proto__":{"cpu":{}}}}',
      '{"constructor":{"prototype":{"image":"x"}}}',
    ])
      await everywhere(body, (answer) => assertProblem(answer, 'malformed'));
    await everywhere('{"toString":1,"culling":{"hasOwnProperty":2}}', (answer) =>
      assertProblem(answer, 'validation_failed', [
        '/toString unknown_field',
        '/culling/hasOwnProperty unknown_field',
      ]),
    );
    assert.equal(Object.hasOwn(Object.prototype, 'image'), false);
  });

  it('use the last of two fields with the same name', async () => {
    await everywhere('{"culling":{"timeoutSeconds":3600,"timeoutSeconds":1}}', (answer) =>
      assertProblem(answer, 'validation_failed', ['/culling/timeoutSeconds out_of_range']),
    );
  });

  it('are limited to 64 KiB', async () => {
    const padded = (bytes: number) => `{"image":7${' '.repeat(bytes - 11)}}`.padEnd(bytes, ' ');
    assert.equal(Buffer.byteLength(padded(65_536)), 65_536);
    await everywhere(padded(65_536), (answer) =>
      assertProblem(answer, 'validation_failed', ['/image wrong_type']),
    );
    await everywhere(padded(65_537), (answer) => assertProblem(answer, 'payload_too_large'));
  });

  it('may be nested or long within 64 KiB', async () => {
    const deep = (open: string, close: string) => `{"image":${open.repeat(30_000)}${close.repeat(30_000)}}`;
    await everywhere(deep('[', ']'), (answer) =>
      assertProblem(answer, 'validation_failed', ['/image wrong_type']),
    );
    await everywhere(`${'{"a":'.repeat(9000)}1${'}'.repeat(9000)}`, (answer) =>
      assertProblem(answer, 'validation_failed', ['/a unknown_field']),
    );
    const names = Array.from({ length: 6000 }, (_, i) => `"f${i}":0`).join();
    await everywhere(`{${names}}`, (answer) => {
      assert.equal(answer.statusCode, 400);
      assert.equal(answer.json().errors.length, 500);
    });
    const empty = JSON.stringify({ allowlist: { hosts: Array.from({ length: 20_000 }, () => '') } });
    await everywhere(empty, (answer) => {
      assert.equal(answer.json().code, 'invalid_allowlist');
      const [first, last] = [answer.json().errors[0], answer.json().errors.at(-1)];
      assert.deepEqual([first.code, last.code], ['empty_entry', 'too_many_entries']);
    });
  });

  it('must have an accepted content type', async () => {
    for (const type of [
      'text/plain',
      'application/xml',
      'application/x-www-form-urlencoded',
      'json',
      '*/*',
    ]) {
      for (const [method, url] of bodies) {
        const answer = await send(method, url, '{}', type);
        assertProblem(answer, 'unsupported_media_type');
        const patches = method === 'PATCH' ? 'application/merge-patch+json, ' : '';
        assert.equal(answer.headers.accept, `${patches}application/json`);
      }
    }
    assertProblem(
      await send('PUT', notebook, '{}', 'application/merge-patch+json'),
      'unsupported_media_type',
    );
  });

  it('must have a body', async () => {
    for (const method of ['PUT', 'PATCH'] as const)
      assertProblem(await asKari.send({ method, url: notebook }), 'validation_failed', [' required']);
  });
});

describe('an operation without a body', () => {
  it('accepts no body', async () => {
    for (const [method, url] of [
      ['DELETE', notebook],
      ['DELETE', team],
      ['POST', `${team}/history/1/restore`],
    ] as const) {
      const answer = (payload: string, type = 'application/json') =>
        asKari.send({ method, url, payload, headers: { 'content-type': type } });
      assertProblem(await answer('{"deleteHomes":true}'), 'validation_failed', [
        '/deleteHomes unknown_field',
      ]);
      assertProblem(await answer('{'), 'malformed');
      assertProblem(await answer('{}', 'text/plain'), 'unsupported_media_type');
      assertProblem(await answer(`{${' '.repeat(65_535)}}`), 'payload_too_large');
    }
  });

  it('reports unknown query parameters', async () => {
    assertProblem(await asKari.delete(`${notebook}?deleteHome=true`), 'validation_failed', [
      '/query/deleteHome unknown_field',
    ]);
    assertProblem(await asKari.delete(`${team}?deleteHomes=1&deleteSecret=ja`), 'validation_failed', [
      '/query/deleteHomes wrong_type',
      '/query/deleteSecret wrong_type',
    ]);
  });
});

describe('the rules', () => {
  it('refuse to shrink a home', async () => {
    await everywhere({ storage: { home: '19Gi' } }, (answer) =>
      assertProblem(answer, 'cannot_shrink', ['/storage/home cannot_shrink']),
    );
    assertProblem(await send('PUT', notebook, {}), 'cannot_shrink', ['/storage/home cannot_shrink']);
  });

  it('report every invalid allowlist entry by its pointer', async () => {
    const hosts = ['pypi.org', '', '*.nav.no', 'ssb.no', '127.0.0.1', 'x.svc', 'a.no:70000', 'ftp://a.no'];
    await everywhere({ storage: { home: '20Gi' }, allowlist: { hosts } }, (answer) =>
      assertProblem(answer, 'invalid_allowlist', [
        '/allowlist/hosts/1 empty_entry',
        '/allowlist/hosts/2 wildcard_not_supported',
        '/allowlist/hosts/4 forbidden_range',
        '/allowlist/hosts/5 internal_name',
        '/allowlist/hosts/6 port_out_of_range',
        '/allowlist/hosts/7 scheme_port_mismatch',
      ]),
    );
  });

  it('accept 200 hosts', async () => {
    const hosts = Array.from({ length: 201 }, (_, i) => `host-${i}.nav.no`);
    await everywhere({ storage: { home: '20Gi' }, allowlist: { hosts } }, (answer) =>
      assertProblem(answer, 'invalid_allowlist', ['/allowlist/hosts/200 too_many_entries']),
    );
  });

  it('report what is wrong with an image', async () => {
    const codes: readonly ProblemCode[] = [
      'image_invalid',
      'tag_required',
      'registry_not_allowed',
      'image_not_allowed',
      'image_not_found_or_private',
      'tag_not_found',
      'image_broken',
      'platform_missing',
      'registry_unavailable',
    ];
    for (const code of codes) {
      api.outside.pinImage = async () => {
        throw new Problem(code);
      };
      await everywhere({ storage: { home: '20Gi' }, image: 'ghcr.io/navikt/x:1' }, (answer) => {
        assertProblem(answer, code);
        assert.equal(answer.headers['retry-after'] !== undefined, answer.statusCode === 503);
      });
    }
  });

  it('reveal nothing about internal errors', async () => {
    for (const failure of [new Error('password=hunter2'), 'hunter2', undefined]) {
      api.outside.pinImage = async () => {
        throw failure;
      };
      const answer = await api.app.inject({
        method: 'PUT',
        url: notebook,
        payload: { storage: { home: '20Gi' }, image: 'ghcr.io/navikt/x:1' },
        headers: { authorization: `Bearer ${await api.issuer.token()}` },
      });
      assertProblem(answer, 'internal');
      assert.doesNotMatch(answer.body, /hunter2|\.ts|stack/);
    }
  });
});

describe('invalid teams', () => {
  const create = (order: unknown) =>
    asKari.post('/v1/teams', typeof order === 'string' ? order : JSON.stringify(order));

  it('are refused unless the slug has 2 to 25 allowed characters', async () => {
    for (const [slug, code] of [
      ['a'.repeat(26), 'too_long'],
      ['a', 'too_short'],
      ['Team', 'bad_format'],
      ['1team', 'bad_format'],
      ['team-', 'bad_format'],
      ['te--am', 'bad_format'],
      ['te_am', 'bad_format'],
      ['team\n', 'bad_format'],
      ['tëam', 'bad_format'],
      ['../x', 'bad_format'],
      [7, 'wrong_type'],
    ] as const)
      assertProblem(await create({ slug }), 'validation_failed', [`/slug ${code}`]);
    assertProblem(await create({}), 'validation_failed', ['/slug required']);
  });

  it('report every fault at once', async () => {
    const order = {
      slug: 'X',
      name: 'x',
      members: [
        { email: 'nobody' },
        { username: 'a' },
        { email: 'a@nav.no', username: '-', role: 1 },
        'a@nav.no',
      ],
      ghcrRepositories: ['-', 'a'.repeat(513)],
      garTeam: '-',
    };
    const answer = await create(order);
    assert.deepEqual(
      answer
        .json()
        .errors.map(({ pointer }: { pointer: string }) => pointer)
        .toSorted(),
      [
        '/garTeam',
        '/ghcrRepositories/0',
        '/ghcrRepositories/1',
        '/members/0/email',
        '/members/1/email',
        '/members/2/role',
        '/members/2/username',
        '/members/3',
        '/name',
        '/slug',
      ],
    );
  });

  it('are limited to 500 members and 100 repositories', async () => {
    const members = Array.from({ length: 501 }, (_, i) => ({ email: `m${i}@nav.no` }));
    const ghcrRepositories = Array.from({ length: 101 }, (_, i) => `r${i}`);
    assertProblem(await create({ slug: 'many', members, ghcrRepositories }), 'validation_failed', [
      '/members too_many',
      '/ghcrRepositories too_many',
    ]);
  });

  it('are refused when another member has the caller’s name as hub user', async () => {
    const answer = await create({ slug: 'taken', members: [{ email: 'ola@nav.no', username: kari }] });
    assertProblem(answer, 'validation_failed', ['/members/1/username duplicate']);
  });
});

describe('a malformed path', () => {
  it('answers 404', async () => {
    for (const slug of [
      'a'.repeat(26),
      'x',
      'Team-1',
      'team-1%00',
      'team-1%2Fnotebook',
      '%2e%2e',
      '..',
      'team-1%0a',
      '',
      'team-1%20',
      '*',
      '{team}',
      '%F0%9F%90%8D',
    ])
      for (const rest of ['', '/notebook', '/history'])
        assertProblem(await asKari.get(`/v1/teams/${slug}${rest}`), 'not_found');
    assert.equal((await asKari.get(`/v1/teams/${'x'.repeat(321)}`)).statusCode, 414);
    assertProblem(await asKari.get('/v1/teams/%E0%A4%A'), 'not_found');
  });
});

describe('a cursor of another list', () => {
  it('is refused by every list', async () => {
    const { nextCursor } = (await asKari.get(`${team}/history?limit=1`)).json();
    assert.equal((await asKari.get(`${team}/history?cursor=${nextCursor}`)).statusCode, 200);
    assertProblem(await asKari.get(`/v1/teams?cursor=${nextCursor}`), 'invalid_cursor');
    for (const cursor of ['x', 'WyJhIl0', nextCursor.slice(1), nextCursor.toLowerCase()])
      assertProblem(await asKari.get(`${team}/history?cursor=${cursor}`), 'invalid_cursor');
    assertProblem(await asKari.get(`${team}/history?cursor=${'x'.repeat(1025)}`), 'validation_failed', [
      '/query/cursor too_long',
    ]);
  });
});

describe('an invalid token', () => {
  const attempts: readonly (readonly [string, () => Promise<string>])[] = [
    ['expired', () => api.issuer.token({ exp: Math.floor(Date.now() / 1000) - 60 })],
    [
      'signed by another key',
      async () => {
        const [key] = api.issuer.keys;
        assert.ok(key);
        return api.issuer.token({}, { key: { ...key, ...(await generateKeyPair('ES256')) } });
      },
    ],
    [
      'unsigned (alg none)',
      async () => {
        const [, claims = ''] = (await api.issuer.token()).split('.');
        const header = Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url');
        return `${header}.${claims}.`;
      },
    ],
    ['for another audience', () => api.issuer.token({ aud: 'another-api' })],
    ['of another issuer', () => api.issuer.token({ iss: 'https://issuer.example' })],
    ['without an end', () => api.issuer.token({ exp: undefined })],
    ['without a user', () => api.issuer.token({ preferred_username: undefined })],
    ['cut short', async () => (await api.issuer.token()).slice(0, -8)],
  ];
  for (const [what, token] of attempts) {
    it(`is refused: one ${what}`, async () => {
      const client = api.anonymous({ authorization: `Bearer ${await token()}` });
      for (const answer of [
        await client.get('/v1/teams'),
        await client.get(notebook),
        await client.put(notebook, {}),
        await client.post('/v1/teams', { slug: 'sneaky' }),
        await client.delete(team),
      ]) {
        assertProblem(answer, 'unauthenticated');
        assert.match(String(answer.headers['www-authenticate']), /^Bearer .*error="invalid_token"/);
      }
    });
  }

  it('is refused when missing', async () => {
    for (const client of [api.anonymous(), api.anonymous({ authorization: 'Basic a2FyaTpoZW1tZWxpZw==' })])
      assertProblem(await client.post('/v1/teams', { slug: 'sneaky' }), 'unauthenticated');
  });
});

describe('a member of another team', () => {
  const asOla = api.asPerson('ola.nordmann@nav.no');

  it('cannot change anything', async () => {
    for (const answer of [
      await asOla.put(notebook, { storage: { home: '30Gi' } }),
      await asOla.patch(notebook, { culling: { timeoutSeconds: 7200 } }),
      await asOla.delete(`${notebook}?deleteHomes=true`),
      await asOla.patch(team, { members: [{ email: 'ola.nordmann@nav.no' }] }),
      await asOla.delete(`${team}?deleteHomes=true&deleteSecret=true`),
      await asOla.post(`${team}/history/1/restore`),
      await asOla.post(`${notebook}/retry`, { force: true }),
    ])
      assertProblem(answer, 'not_found');
  });
});
