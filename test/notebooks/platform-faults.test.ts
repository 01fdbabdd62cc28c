import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { platformFaults } from '../../src/notebooks/platform-faults.ts';
import type { Values } from '../../src/notebooks/values.ts';
import { entraValues, helmMerge } from './platform.ts';

const guarded = (values: Values) => platformFaults(values, { allowInsecureAuth: false });
const added = (hub: Values) => guarded(helmMerge(entraValues, { hub }) as Values);

const noClass =
  'hub.config.JupyterHub.authenticator_class is missing; the chart’s default is the dummy authenticator, which admits anyone.';
const noClaim = (section: string) =>
  `hub.config.${section}.username_claim is missing; it names the claim that identifies a member, such as preferred_username.`;
const open = (section: string) =>
  `hub.config.JupyterHub.authenticator_class is ${section}, which does not authenticate people.`;
const set = (path: string) =>
  `${path} must not be set: only the team’s members may log in, and a hub has no administrators.`;
const spoken = (path: string, name: string) => `${path} must not set ${name}: it decides who may log in.`;
const needed = (path: string, name: string) =>
  `${path} must not set ${name}: the notebooks’ profiles depend on it.`;
const ours = (path: string) => `${path} must not be set: this product sets it.`;

const authenticator = (authenticator_class: unknown, sections: Values = {}): Values => ({
  hub: { config: { JupyterHub: { authenticator_class }, ...sections } },
});

describe('platform values', () => {
  it('values that identify users and admit only members have no faults', () =>
    assert.deepEqual(guarded(entraValues), []));

  it('of the documented example have no faults', () => {
    const example = new URL('../../deploy/hub-values.example.yaml', import.meta.url);
    assert.deepEqual(guarded(parse(readFileSync(example, 'utf8'))), []);
  });

  const fine: readonly (readonly [string, Values])[] = [
    [
      'the claim in the section of the base class',
      {
        hub: {
          config: {
            AzureAdOAuthenticator: { username_claim: undefined },
            OAuthenticator: { username_claim: 'upn' },
          },
        },
      },
    ],
    ['who may not log in', { hub: { config: { Authenticator: { blocked_users: ['eve'] } } } }],
    [
      'the identity providers of CILogon',
      { hub: { config: { CILogonOAuthenticator: { allowed_idps: {} } } } },
    ],
    [
      'Python that is about something else',
      { hub: { extraConfig: { theme: 'c.JupyterHub.template_vars = {"allowed": 1}' } } },
    ],
  ];
  for (const [what, values] of fine) {
    it(`may have ${what}`, () => assert.deepEqual(guarded(helmMerge(entraValues, values) as Values), []));
  }

  const faults: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    ['nothing at all', guarded({}), [noClass]],
    ['null for the hub', guarded({ hub: null }), [noClass]],
    ['null for the class', guarded(authenticator(null)), [noClass]],
    ['dummy', guarded(authenticator('dummy')), [open('DummyAuthenticator')]],
    ['Dummy in capitals', guarded(authenticator('DUMMY')), [open('DummyAuthenticator')]],
    [
      'the dummy by its path, with a claim',
      guarded(
        authenticator('jupyterhub.auth.DummyAuthenticator', { DummyAuthenticator: { username_claim: 'x' } }),
      ),
      [open('DummyAuthenticator')],
    ],
    [
      'one password for all',
      guarded(authenticator('shared-password')),
      [open('SharedPasswordAuthenticator')],
    ],
    [
      'a throw-away user',
      guarded(authenticator('tmpauthenticator.TmpAuthenticator')),
      [open('TmpAuthenticator')],
    ],
    [
      'an unregistered name',
      guarded(authenticator('entra')),
      [
        'hub.config.JupyterHub.authenticator_class is "entra", which is not a known short name; use the full path of the class.',
      ],
    ],
    ['no claim', guarded(authenticator('azuread')), [noClaim('AzureAdOAuthenticator')]],
    [
      'an empty claim',
      guarded(authenticator('azuread', { AzureAdOAuthenticator: { username_claim: ' ' } })),
      [noClaim('AzureAdOAuthenticator')],
    ],
    [
      'the claim of another class',
      guarded(authenticator('azuread', { GoogleOAuthenticator: { username_claim: 'email' } })),
      [noClaim('AzureAdOAuthenticator')],
    ],
    [
      'allow_all where it counts',
      added({ config: { AzureAdOAuthenticator: { allow_all: true } } }),
      [set('hub.config.AzureAdOAuthenticator.allow_all')],
    ],
    [
      'what is off today and one edit away from on',
      added({ config: { Authenticator: { allow_all: false } } }),
      [set('hub.config.Authenticator.allow_all')],
    ],
    [
      'groups, domains and administrators, wherever they are',
      added({
        config: {
          OAuthenticator: { allowed_groups: ['everybody'], admin_groups: ['some'] },
          Authenticator: { admin_users: ['eve'], allowed_users: [] },
          JupyterHub: { admin_users: ['eve'] },
          CILogonOAuthenticator: { allowed_idps: { idp: { allowed_domains: ['nav.no'] } } },
          Unheard: { nested: [{ allow_all: true }] },
        },
      }),
      [
        set('hub.config.JupyterHub.admin_users'),
        set('hub.config.OAuthenticator.allowed_groups'),
        set('hub.config.OAuthenticator.admin_groups'),
        set('hub.config.Authenticator.admin_users'),
        set('hub.config.Authenticator.allowed_users'),
        set('hub.config.CILogonOAuthenticator.allowed_idps.idp.allowed_domains'),
        set('hub.config.Unheard.nested[0].allow_all'),
      ],
    ],
    [
      'the same in Python',
      added({
        extraConfig: { login: 'c.Authenticator.allow_all = True\nc.Authenticator.admin_users = {"eve"}' },
      }),
      [spoken('hub.extraConfig.login', 'allow_all'), spoken('hub.extraConfig.login', 'admin_users')],
    ],
    [
      'another authenticator in Python',
      added({ extraConfig: { x: "c.JupyterHub.authenticator_class = 'dummy'" } }),
      [spoken('hub.extraConfig.x', 'authenticator_class')],
    ],
    [
      'the same in a file that the hub loads',
      added({
        extraFiles: {
          more: {
            mountPath: '/usr/local/etc/jupyterhub/jupyterhub_config.d/x.py',
            stringData: '\nallow_all = 1',
          },
        },
      }),
      [spoken('hub.extraFiles.more', 'allow_all')],
    ],
    [
      'profiles and hooks of its own',
      added({ extraConfig: { y: 'c.KubeSpawner.profile_list = []\nc.Spawner.pre_spawn_hook = None' } }),
      [needed('hub.extraConfig.y', 'profile_list'), needed('hub.extraConfig.y', 'pre_spawn_hook')],
    ],
    [
      'another spawner, and roles in place of ours',
      added({ config: { JupyterHub: { spawner_class: 'simple', load_roles: [] } } }),
      [ours('hub.config.JupyterHub.spawner_class'), ours('hub.config.JupyterHub.load_roles')],
    ],
  ];
  for (const [what, found, expected] of faults) {
    it(`are refused with ${what}`, () => assert.deepEqual(found, expected));
  }

  it('values of a sandbox may admit anyone, but not break the profiles', () => {
    const sandbox = (values: Values) => platformFaults(values, { allowInsecureAuth: true });
    assert.deepEqual(sandbox({}), []);
    assert.deepEqual(sandbox(authenticator('dummy', { DummyAuthenticator: { allow_all: true } })), []);
    assert.deepEqual(sandbox({ hub: { extraConfig: { z: 'c.KubeSpawner.profile_list = []' } } }), [
      needed('hub.extraConfig.z', 'profile_list'),
    ]);
  });
});
