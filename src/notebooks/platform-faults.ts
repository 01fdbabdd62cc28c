import { isObject } from '../lib/json.ts';
import { authenticatorSection } from './authenticator.ts';

const objectAt = (value: unknown, key: string): Readonly<Record<string, unknown>> => {
  const found = isObject(value) ? value[key] : undefined;
  return isObject(found) ? found : {};
};

/** Authenticators that admit anyone, under any name or with a shared password. */
const open = /^(Dummy|Null|SharedPassword|Tmp|FirstUse)Authenticator$/;

/**
 * Settings that admit, or make an administrator of, a person who is not one of the members that are created as hub users.
 * CILogon’s `allowed_idps` narrows; every other `allowed_…` of JupyterHub and OAuthenticator widens.
 */
const widens = /^(allow_all|allowed_(?!idps$)\w+|admin_users|admin_\w*groups|admin_\w*organizations)$/;

/** The same settings in Python code, and the settings that decide who logs in. */
const widensInPython =
  /\b(allow_all|allowed_(?!idps\b)\w+|admin_users|admin_\w*groups|allow_existing_users|authenticator_class|username_claim)\b/g;

/** Settings in Python code that this product sets itself. */
const oursInPython = /\b(profile_list|pre_spawn_hook|spawner_class)\b/g;

const settings = (value: unknown, path: string): readonly string[] => {
  if (Array.isArray(value)) return value.flatMap((entry, index) => settings(entry, `${path}[${index}]`));
  if (!isObject(value)) return [];
  return Object.entries(value).flatMap(([key, inner]) => [
    ...(widens.test(key) ? [`${path}.${key}`] : []),
    ...settings(inner, `${path}.${key}`),
  ]);
};

/** Every key and every text in a value. Files that the chart mounts into the hub may be Python as well. */
const textsOf = (value: unknown): readonly string[] => {
  if (typeof value === 'string') return [value];
  if (Array.isArray(value)) return value.flatMap(textsOf);
  return isObject(value) ? Object.entries(value).flatMap(([key, inner]) => [key, ...textsOf(inner)]) : [];
};

const pythonOf = (hub: Readonly<Record<string, unknown>>): readonly (readonly [string, string])[] => [
  ...Object.entries(objectAt(hub, 'extraConfig')).map(
    ([key, text]) => [`hub.extraConfig.${key}`, String(text)] as const,
  ),
  ...Object.entries(objectAt(hub, 'extraFiles')).map(
    ([key, file]) => [`hub.extraFiles.${key}`, textsOf(file).join('\n')] as const,
  ),
];

const found = (text: string, pattern: RegExp): readonly string[] => [
  ...new Set([...text.matchAll(pattern)].map(([match]) => match)),
];

const loginFaults = (hub: Readonly<Record<string, unknown>>): readonly string[] => {
  const config = objectAt(hub, 'config');
  const authenticatorClass = objectAt(config, 'JupyterHub').authenticator_class;
  const section = authenticatorSection(authenticatorClass);
  const faults: string[] = [];
  if (authenticatorClass === undefined || authenticatorClass === null) {
    faults.push(
      'hub.config.JupyterHub.authenticator_class is missing; the chart’s default is the dummy authenticator, which admits anyone.',
    );
  } else if (section === undefined) {
    faults.push(
      `hub.config.JupyterHub.authenticator_class is ${JSON.stringify(authenticatorClass)}, which is not a known short name; use the full path of the class.`,
    );
  } else if (open.test(section)) {
    faults.push(
      `hub.config.JupyterHub.authenticator_class is ${section}, which does not authenticate people.`,
    );
  } else {
    // A class reads its own section first, then those of its base classes.
    const sections = [section, section.replace(/^Local/, ''), 'OAuthenticator', 'Authenticator'];
    const claim = sections
      .map((name) => objectAt(config, name).username_claim)
      .find((value) => value !== undefined);
    if (typeof claim !== 'string' || claim.trim() === '') {
      faults.push(
        `hub.config.${section}.username_claim is missing; it names the claim that identifies a member, such as preferred_username.`,
      );
    }
  }
  return [
    ...faults,
    ...settings(config, 'hub.config').map(
      (path) =>
        `${path} must not be set: only the team’s members may log in, and a hub has no administrators.`,
    ),
    ...pythonOf(hub).flatMap(([path, text]) =>
      found(text, widensInPython).map((name) => `${path} must not set ${name}: it decides who may log in.`),
    ),
  ];
};

/**
 * The reasons not to start with these platform values, one sentence each. `allowInsecureAuth` is for the sandbox: it
 * skips the checks of who may log in, not those of the settings that would break the profiles.
 */
export const platformFaults = (
  values: Readonly<Record<string, unknown>>,
  { allowInsecureAuth }: { readonly allowInsecureAuth: boolean },
): readonly string[] => {
  const hub = objectAt(values, 'hub');
  const app = objectAt(objectAt(hub, 'config'), 'JupyterHub');
  return [
    ...(allowInsecureAuth ? [] : loginFaults(hub)),
    ...['spawner_class', 'load_roles']
      .filter((name) => name in app)
      .map((name) => `hub.config.JupyterHub.${name} must not be set: this product sets it.`),
    ...pythonOf(hub).flatMap(([path, text]) =>
      found(text, oursInPython).map(
        (name) => `${path} must not set ${name}: the notebooks’ profiles depend on it.`,
      ),
    ),
  ];
};
