import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync } from 'node:crypto';
import { describe, it } from 'node:test';
import { exportSPKI, SignJWT } from 'jose';
import { type Caller, registerAuth } from '../../src/http/auth.ts';
import type { Issuer } from '../../src/http/issuer.ts';
import { createLogger } from '../../src/logging.ts';
import { startIssuer } from './issuer.ts';
import { shell } from './shell.ts';

type TestIssuer = Awaited<ReturnType<typeof startIssuer>>;
const minute = 60_000;

const entra = (issuer: TestIssuer, more: Partial<Issuer> = {}): Issuer => ({
  issuer: issuer.url,
  audience: issuer.audience,
  algorithms: ['ES256'],
  userClaim: 'preferred_username',
  groupsClaim: 'groups',
  ...more,
});

/** An app with one closed and one public route, a clock of its own, and a count of what its handlers saw. */
const guarded = async (issuers: readonly Issuer[]) => {
  const app = await shell();
  const clock = { now: Date.now() };
  const seen: Caller[] = [];
  registerAuth(app, {
    issuers,
    adminGroups: ['knada-admins'],
    auditorGroups: ['knada-auditors'],
    teamCreators: ['Creators', 'Robot@nav.no'],
    now: () => clock.now,
  });
  app.get('/me', async (request) => {
    seen.push(request.caller);
    return request.caller;
  });
  app.post('/me', async () => ({}));
  app.get('/public', { config: { public: true } }, async () => ({ ok: true }));
  app.get('/confused', { config: { public: true } }, async (request) => request.caller);
  const ask = (token: string | undefined, url = '/me') =>
    app.inject({ url, headers: token === undefined ? {} : { authorization: `Bearer ${token}` } });
  return { app, clock, seen, ask };
};

const segment = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

describe('a caller', () => {
  it('is the user of a valid token, in lower case', async () => {
    await using issuer = await startIssuer();
    const { ask } = await guarded([entra(issuer)]);
    const exp = Math.floor(Date.now() / 1000) + 600;
    const answer = await ask(await issuer.token({ groups: ['a', 7, 'b'], exp }));
    assert.deepEqual(answer.json(), {
      email: 'kari.nordmann@nav.no',
      subject: null,
      name: null,
      validUntil: (exp + 30) * 1000,
      groups: ['a', 'b'],
      isAdmin: false,
      isAuditor: false,
      isTeamCreator: false,
    });
  });

  it('has the name that the token gives, and none if that is not a plain text', async () => {
    await using issuer = await startIssuer();
    const { ask } = await guarded([entra(issuer)]);
    const nameOf = async (name: unknown) => (await ask(await issuer.token({ name }))).json().name;
    assert.equal(await nameOf(' Kari Nordmann '), 'Kari Nordmann');
    for (const none of [undefined, '', ' ', 7, null, ['Kari'], 'x'.repeat(256)]) {
      assert.equal(await nameOf(none), null, String(none));
    }
  });

  it('is an auditor by a group of its token alone', async () => {
    await using issuer = await startIssuer();
    const { ask } = await guarded([entra(issuer)]);
    const isAuditor = async (groups: readonly string[]) =>
      (await ask(await issuer.token({ groups }))).json().isAuditor;
    assert.deepEqual(await Promise.all([['knada-auditors'], ['knada-admins'], []].map(isAuditor)), [
      true,
      false,
      false,
    ]);
  });

  it('is not another user whose name only looks the same in lower case', async () => {
    await using issuer = await startIssuer();
    const { ask } = await guarded([entra(issuer)]);
    // U+212A KELVIN SIGN, which toLowerCase() makes a k.
    const kelvin = await issuer.token({ preferred_username: '\u212aari.Nordmann@nav.no' });
    assert.equal((await ask(kelvin)).json().email, '\u212aari.nordmann@nav.no');
  });

  it('has the stable subject of its account: oid of Entra, otherwise sub', async () => {
    await using issuer = await startIssuer();
    const subjectOf = async (more: Partial<Issuer>, claims: object) => {
      const { ask } = await guarded([entra(issuer, more)]);
      return (await ask(await issuer.token({ ...claims }))).json().subject;
    };
    const claims = { oid: 'the-object', sub: 'the-subject', tid: 'nav' };
    assert.equal(await subjectOf({ tenantId: 'nav' }, claims), 'the-object');
    assert.equal(await subjectOf({}, claims), 'the-subject');
    assert.equal(await subjectOf({ tenantId: 'nav' }, { ...claims, oid: 7 }), 'the-subject');
  });

  it('is logged by its subject, never by its e-mail', async () => {
    await using issuer = await startIssuer();
    const lines: string[] = [];
    const app = await shell({ logger: createLogger('info', { write: (line) => void lines.push(line) }) });
    registerAuth(app, { issuers: [entra(issuer)], adminGroups: [], auditorGroups: [], teamCreators: [] });
    app.get('/me', async () => ({}));
    const token = await issuer.token({ sub: 'the-subject' });
    for (let n = 0; n < 2; n += 1)
      await app.inject({ url: '/me', headers: { authorization: `Bearer ${token}` } });
    const completed = lines.map((line) => JSON.parse(line)).filter(({ res }) => res !== undefined);
    assert.deepEqual(
      completed.map(({ subject }) => subject),
      ['the-subject', 'the-subject'],
    );
    assert.doesNotMatch(lines.join(''), /nordmann/i);
  });

  it('is an admin by group, and a team creator by group or by e-mail', async () => {
    await using issuer = await startIssuer();
    const { ask } = await guarded([entra(issuer)]);
    const rights = async (claims: object) => {
      const { isAdmin, isTeamCreator } = (await ask(await issuer.token({ ...claims }))).json();
      return { isAdmin, isTeamCreator };
    };
    assert.deepEqual(await rights({ groups: ['knada-admins'] }), { isAdmin: true, isTeamCreator: true });
    assert.deepEqual(await rights({ groups: ['Creators'] }), { isAdmin: false, isTeamCreator: true });
    assert.deepEqual(await rights({ groups: ['creators'] }), { isAdmin: false, isTeamCreator: false });
    assert.deepEqual(await rights({ preferred_username: 'ROBOT@nav.no' }), {
      isAdmin: false,
      isTeamCreator: true,
    });
    assert.deepEqual(await rights({ groups: 'knada-admins' }), { isAdmin: false, isTeamCreator: false });
    assert.deepEqual(await rights({ roles: ['knada-admins'] }), { isAdmin: false, isTeamCreator: false });
  });

  it('is not an admin if the token omits groups because there are too many', async () => {
    await using issuer = await startIssuer();
    const { ask } = await guarded([entra(issuer)]);
    for (const overage of [{ hasgroups: true }, { _claim_names: { groups: 'src1' } }]) {
      const answer = await ask(await issuer.token({ groups: ['knada-admins'], ...overage }));
      assert.deepEqual([answer.json().isAdmin, answer.json().groups], [false, []]);
    }
  });

  it('of Google is accepted only with a verified e-mail', async () => {
    await using issuer = await startIssuer();
    const { ask } = await guarded([entra(issuer, { userClaim: 'email' })]);
    const email = 'job@knada-gcp.iam.gserviceaccount.com';
    assert.equal((await ask(await issuer.token({ email, email_verified: true }))).json().email, email);
    for (const email_verified of [false, undefined, 'true']) {
      const answer = await ask(await issuer.token({ email, email_verified }));
      assert.equal(answer.statusCode, 401);
      assert.match(answer.json().detail, /email_verified/);
    }
  });

  it('a token without a claim is refused, and the claim is named', async () => {
    await using issuer = await startIssuer();
    const { ask } = await guarded([entra(issuer)]);
    for (const preferred_username of [undefined, '', 'kari', 7, 'a b@nav.no', 'a@b@nav.no']) {
      const answer = await ask(await issuer.token({ preferred_username }));
      assert.equal(answer.statusCode, 401);
      assert.match(answer.json().detail, /preferred_username/);
    }
  });

  it('a public route needs no token and has no caller', async () => {
    const { ask } = await guarded([]);
    assert.equal((await ask(undefined, '/public')).statusCode, 200);
    assert.equal((await ask('rubbish', '/public')).statusCode, 200);
    assert.equal((await ask(undefined, '/confused')).statusCode, 500);
    assert.equal((await ask(undefined, '/absent')).statusCode, 404);
  });
});

describe('a token', () => {
  const hs256 = (header: object, claims: object, secret: string) => {
    const signed = `${segment(header)}.${segment(claims)}`;
    return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
  };
  const claimsOf = (issuer: TestIssuer) => ({
    iss: issuer.url,
    aud: issuer.audience,
    exp: Math.floor(Date.now() / 1000) + 600,
    preferred_username: 'kari.nordmann@nav.no',
  });

  const forgeries: Record<string, (issuer: TestIssuer) => Promise<string>> = {
    'without a signature (alg none)': async (issuer) =>
      `${segment({ alg: 'none' })}.${segment(claimsOf(issuer))}.`,
    'with alg None in capitals': async (issuer) =>
      `${segment({ alg: 'NONE' })}.${segment(claimsOf(issuer))}.`,
    'of HS256 with the public key as its secret': async (issuer) => {
      const [key] = issuer.keys;
      assert.ok(key);
      return hs256({ alg: 'HS256', kid: key.kid }, claimsOf(issuer), await exportSPKI(key.publicKey));
    },
    'signed by another key under a known name': async (issuer) => {
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      return new SignJWT(claimsOf(issuer))
        .setProtectedHeader({ alg: 'ES256', kid: 'first' })
        .sign(privateKey);
    },
    'signed by an unknown key': async (issuer) => {
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      return new SignJWT(claimsOf(issuer))
        .setProtectedHeader({ alg: 'ES256', kid: '../../etc/passwd' })
        .sign(privateKey);
    },
    'that brings its own key': async (issuer) => {
      const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const jwk = publicKey.export({ format: 'jwk' });
      return new SignJWT(claimsOf(issuer))
        .setProtectedHeader({ alg: 'ES256', jwk, jku: `${issuer.url}/keys` })
        .sign(privateKey);
    },
    'of an algorithm that is not configured': async (issuer) => {
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
      return new SignJWT(claimsOf(issuer))
        .setProtectedHeader({ alg: 'ES384', kid: 'first' })
        .sign(privateKey);
    },
    'for another audience': (issuer) => issuer.token({ aud: 'somebody-else' }),
    'without an audience': (issuer) => issuer.token({ aud: undefined }),
    'of another issuer': (issuer) => issuer.token({ iss: 'https://login.example.com' }),
    'without an issuer': (issuer) => issuer.token({ iss: undefined }),
    'of another tenant': (issuer) => issuer.token({ tid: 'theirs' }),
    'without a tenant': (issuer) => issuer.token({ tid: undefined }),
    'that expired a minute ago': (issuer) =>
      issuer.token({ tid: 'ours', exp: Math.floor(Date.now() / 1000) - 61 }),
    'that never expires': (issuer) => issuer.token({ tid: 'ours', exp: undefined }),
    'that is valid in two minutes': (issuer) =>
      issuer.token({ tid: 'ours', nbf: Math.floor(Date.now() / 1000) + 120 }),
    'that was cut': async (issuer) => (await issuer.token({ tid: 'ours' })).slice(0, -4),
    'whose claims were changed': async (issuer) => {
      const [head, , signature] = (await issuer.token({ tid: 'ours' })).split('.');
      return `${head}.${segment({ ...claimsOf(issuer), tid: 'ours', preferred_username: 'boss@nav.no' })}.${signature}`;
    },
    'that is no token': async () => 'rubbish',
    'that is no token in three parts': async () => 'a.b.c',
    'whose claims are a list': async () => `${segment({ alg: 'ES256' })}.${segment([1])}.AAAA`,
  };

  for (const [what, forge] of Object.entries(forgeries)) {
    it(`${what} is refused, before any handler`, async () => {
      await using issuer = await startIssuer();
      const { ask, seen } = await guarded([entra(issuer, { tenantId: 'ours' })]);
      const answer = await ask(await forge(issuer));
      assert.deepEqual([answer.statusCode, answer.json().code], [401, 'unauthenticated']);
      assert.match(
        String(answer.headers['www-authenticate']),
        /^Bearer realm="knada-notebooks", error="invalid_token"/,
      );
      assert.deepEqual(seen, []);
    });
  }

  it('a request without a bearer token is 401 with a challenge', async () => {
    await using issuer = await startIssuer();
    const { app, ask } = await guarded([entra(issuer)]);
    const missing = await ask(undefined);
    assert.deepEqual(
      [missing.statusCode, missing.headers['www-authenticate']],
      [401, 'Bearer realm="knada-notebooks"'],
    );
    const token = await issuer.token();
    for (const authorization of [
      `Basic ${token}`,
      token,
      'Bearer',
      `Bearer ${token} ${token}`,
      `Bearer ${token}\u00e5`,
    ]) {
      assert.equal((await app.inject({ url: '/me', headers: { authorization } })).statusCode, 401);
    }
    for (const authorization of [`bearer ${token}`, `Bearer  ${token}`]) {
      assert.equal((await app.inject({ url: '/me', headers: { authorization } })).statusCode, 200);
    }
  });

  it('is required before a body is read', async () => {
    await using issuer = await startIssuer();
    const { app } = await guarded([entra(issuer)]);
    const headers = { 'content-type': 'application/json' };
    const answer = await app.inject({ method: 'POST', url: '/me', headers, payload: 'x'.repeat(100_000) });
    assert.equal(answer.statusCode, 401);
  });

  it('may be half a minute early or late, since clocks differ', async () => {
    await using issuer = await startIssuer();
    const { ask } = await guarded([entra(issuer)]);
    const now = Math.floor(Date.now() / 1000);
    assert.equal((await ask(await issuer.token({ exp: now - 20 }))).statusCode, 200);
    assert.equal((await ask(await issuer.token({ nbf: now + 20 }))).statusCode, 200);
  });

  it('a verified token is cached for five minutes, even if its key is revoked', async (t) => {
    await using issuer = await startIssuer();
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
    const { ask, clock } = await guarded([entra(issuer)]);
    const pass = (ms: number) => {
      t.mock.timers.tick(ms);
      clock.now = Date.now();
    };
    const token = await issuer.token();
    assert.equal((await ask(token)).statusCode, 200);
    await issuer.roll();
    issuer.keys.pop();
    pass(minute);
    assert.equal((await ask(await issuer.token())).statusCode, 200, 'the new keys are known');
    assert.equal((await ask(token)).statusCode, 200, 'believed');
    pass(5 * minute);
    assert.equal((await ask(token)).statusCode, 401, 'looked at again');
  });

  it('is not accepted after its expiry', async () => {
    await using issuer = await startIssuer();
    const { ask, clock } = await guarded([entra(issuer)]);
    const token = await issuer.token({ exp: Math.floor(clock.now / 1000) + 60 });
    assert.equal((await ask(token)).statusCode, 200);
    clock.now += 2 * minute;
    assert.equal((await ask(token)).statusCode, 401);
  });

  it('the cached token of one caller never identifies another', async () => {
    await using issuer = await startIssuer();
    const { ask } = await guarded([entra(issuer)]);
    const people = Array.from({ length: 20 }, (_, i) => `person${i}@nav.no`);
    const tokens = await Promise.all(
      people.map((preferred_username) => issuer.token({ preferred_username })),
    );
    for (let round = 0; round < 2; round++) {
      const answers = await Promise.all(tokens.map((token) => ask(token)));
      assert.deepEqual(
        answers.map((answer) => answer.json().email),
        people,
      );
    }
  });
});

describe('issuers', () => {
  it('may be several, each with its own keys, audience and claims', async () => {
    await using people = await startIssuer();
    await using services = await startIssuer('RS256');
    const { ask } = await guarded([
      entra(people),
      entra(services, {
        algorithms: ['RS256'],
        audience: ['other', 'robots'],
        userClaim: 'email',
        jwksUri: `${services.url}/keys`,
      }),
    ]);
    const robot = { aud: 'robots', email: 'robot@nav.no', email_verified: true };
    assert.equal((await ask(await people.token())).json().email, 'kari.nordmann@nav.no');
    assert.equal((await ask(await services.token(robot))).json().email, 'robot@nav.no');
    assert.equal((await ask(await services.token({ ...robot, aud: 'knada-notebooks' }))).statusCode, 401);
    assert.equal((await ask(await services.token({ ...robot, iss: people.url }))).statusCode, 401);
    assert.deepEqual([people.asked.discovery, services.asked.discovery], [1, 0]);
  });

  it('the keys of an issuer are fetched once for concurrent callers', async () => {
    await using issuer = await startIssuer();
    const { ask } = await guarded([entra(issuer)]);
    const tokens = await Promise.all(Array.from({ length: 10 }, (_, i) => issuer.token({ jti: String(i) })));
    await Promise.all(tokens.map((token) => ask(token)));
    assert.deepEqual(issuer.asked, { discovery: 1, keys: 1 });
  });

  it('an unavailable issuer gives 503, not 401, for an unknown key, and known keys stay valid', async () => {
    await using issuer = await startIssuer();
    const { ask, clock } = await guarded([entra(issuer)]);
    issuer.goAway(true);
    const token = await issuer.token();
    const unknown = await ask(token);
    assert.deepEqual([unknown.statusCode, unknown.json().code], [503, 'upstream_unavailable']);
    assert.ok(unknown.headers['retry-after']);
    assert.equal(unknown.headers['www-authenticate'], undefined);

    issuer.goAway(false);
    assert.equal((await ask(token)).statusCode, 503, 'left alone for a while after a failure');
    clock.now += minute;
    assert.equal((await ask(token)).statusCode, 200);

    issuer.goAway(true);
    assert.equal((await ask(await issuer.token({ jti: 'new token, old key' }))).statusCode, 200);
  });

  it('known keys stay valid when the issuer is unavailable at their refresh', async (t) => {
    await using issuer = await startIssuer();
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
    const { ask, clock } = await guarded([entra(issuer)]);
    assert.equal((await ask(await issuer.token())).statusCode, 200);
    issuer.goAway(true);
    t.mock.timers.tick(11 * minute);
    clock.now = Date.now();
    assert.equal((await ask(await issuer.token())).statusCode, 200);
    issuer.goAway(false);
    t.mock.timers.tick(minute);
    clock.now = Date.now();
    assert.equal((await ask(await issuer.token())).statusCode, 200);
    assert.equal(issuer.asked.keys, 2);
  });

  it('that rotate their keys are queried for the new one', async (t) => {
    await using issuer = await startIssuer();
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
    const { ask, clock } = await guarded([entra(issuer)]);
    assert.equal((await ask(await issuer.token())).statusCode, 200);
    await issuer.roll();
    t.mock.timers.tick(minute);
    clock.now = Date.now();
    assert.equal((await ask(await issuer.token())).statusCode, 200);
    assert.equal(issuer.asked.keys, 2);
  });

  it('issuers need asymmetric algorithms and an audience, and may be configured only once', async () => {
    const app = await shell();
    const ours: Issuer = { issuer: 'https://i', audience: 'a', algorithms: ['RS256'], userClaim: 'email' };
    const attempt = (issuers: readonly Issuer[]) => () =>
      registerAuth(app, { issuers, adminGroups: [], auditorGroups: [], teamCreators: [] });
    assert.throws(attempt([{ ...ours, algorithms: ['HS256'] }]), /asymmetric/);
    assert.throws(attempt([{ ...ours, algorithms: [] }]), /asymmetric/);
    assert.throws(attempt([{ ...ours, algorithms: ['none'] }]), /asymmetric/);
    assert.throws(attempt([{ ...ours, audience: [] }]), /audience/);
    assert.throws(attempt([ours, ours]), /twice/);
  });
});

describe('a Google issuer', () => {
  const google = (issuer: TestIssuer, more: Partial<Issuer>): Issuer =>
    entra(issuer, { userClaim: 'email', ...more });
  const robot = 'robot@knada-gcp.iam.gserviceaccount.com';
  const rows: readonly (readonly [string, Partial<Issuer>, Record<string, unknown>, number])[] = [
    [
      'a person of a named domain',
      { hostedDomains: ['nav.no'] },
      { hd: 'nav.no', email: 'kari@nav.no' },
      200,
    ],
    [
      'a person of another domain',
      { hostedDomains: ['nav.no'] },
      { hd: 'evil.no', email: 'kari@nav.no' },
      401,
    ],
    ['an account without a domain', { hostedDomains: ['nav.no'] }, { email: 'kari@nav.no' }, 401],
    ['a service account, where domains are named', { hostedDomains: ['nav.no'] }, { email: robot }, 401],
    [
      'a service account of a named project',
      { serviceAccountProjects: ['knada-gcp'] },
      { email: robot },
      200,
    ],
    [
      'a service account of App Engine in a named project',
      { serviceAccountProjects: ['knada-gcp'] },
      { email: 'knada-gcp@appspot.gserviceaccount.com' },
      200,
    ],
    [
      'a service account of another project',
      { serviceAccountProjects: ['other-gcp'] },
      { email: robot },
      401,
    ],
    [
      'a project whose name only ends like a named one',
      { serviceAccountProjects: ['knada-gcp'] },
      { email: 'robot@evil.knada-gcp.iam.gserviceaccount.com' },
      401,
    ],
    [
      'an unverified address of a service account',
      { serviceAccountProjects: ['knada-gcp'] },
      { email: robot, email_verified: false },
      401,
    ],
    [
      'a person, where projects are named',
      { serviceAccountProjects: ['knada-gcp'] },
      { hd: 'nav.no', email: 'kari@nav.no' },
      401,
    ],
  ];
  for (const [who, narrowed, claims, status] of rows) {
    it(`${status === 200 ? 'accepts' : 'refuses'} ${who}`, async () => {
      await using issuer = await startIssuer();
      const { ask } = await guarded([google(issuer, narrowed)]);
      const answer = await ask(await issuer.token({ email_verified: true, ...claims }));
      assert.equal(answer.statusCode, status, answer.body);
    });
  }

  it('is refused unless it is restricted', async () => {
    const open = {
      issuer: 'https://accounts.google.com',
      audience: 'a',
      algorithms: ['RS256'],
      userClaim: 'email',
    };
    await assert.rejects(guarded([open]), /issues tokens to every Google account/);
  });
});
