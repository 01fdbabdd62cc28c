import { parse as parseYaml } from 'yaml';
import { isReady } from '../cluster/kubelet.ts';
import type { Client } from '../kubernetes/client.ts';
import { asMap, asText, asTexts, at, isMap, type Json } from '../kubernetes/json.ts';
import { type KubeObject, labelsOf, nameOf, namespaceOf, uidOf } from '../kubernetes/object.ts';
import type { HubConventions } from './conventions.ts';
import { expandScopes } from './scopes.ts';
import { type HubSettings, settingsOf } from './settings.ts';

/** What a hub read when it started. Later changes of a token have no effect. */
export interface HubConfiguration {
  /** The uid of the volume claim with its database. */
  readonly claim: string;
  readonly services: readonly Service[];
  readonly settings: HubSettings;
}

export interface Service {
  readonly name: string;
  readonly token: string;
  readonly scopes: ReadonlySet<string>;
}

const decoded = (secret: KubeObject | undefined, key: string): string =>
  Buffer.from(asText(at(secret, 'data', key)), 'base64').toString();

export const isHub = (pod: KubeObject): boolean =>
  labelsOf(pod).app === 'jupyterhub' && labelsOf(pod).component === 'hub';

/** The path below which this pod’s hub is served; undefined where the namespace does not have the label for it. */
export const slugOf = async (
  client: Client,
  pod: KubeObject,
  { slugLabel }: HubConventions,
): Promise<string | undefined> => {
  if (slugLabel === undefined) return namespaceOf(pod);
  const namespace = await client.get('namespaces', '', namespaceOf(pod));
  const slug = asText(at(namespace?.metadata, 'labels', slugLabel));
  return slug === '' ? undefined : slug;
};

const namespacesOf = async (
  client: Client,
  slug: string,
  { slugLabel }: HubConventions,
): Promise<readonly string[]> => {
  if (slugLabel === undefined) return [slug];
  return (await client.list('namespaces', { labelSelector: `${slugLabel}=${slug}` })).map(nameOf);
};

/** The pod that answers for a hub; undefined while there is none, as behind any Service without endpoints. */
export const hubPodOf = async (
  client: Client,
  slug: string,
  conventions: HubConventions,
): Promise<KubeObject | undefined> => {
  for (const namespace of await namespacesOf(client, slug, conventions)) {
    const selection = { namespace, labelSelector: 'app=jupyterhub,component=hub' };
    const pod = (await client.list('pods', selection)).find(isReady);
    if (pod !== undefined) return pod;
  }
  return undefined;
};

/** Configures a hub as z2jh.py does: values from Secret `hub`, keys from `hub.existingSecret` before the chart’s own. */
export const readConfiguration = async (
  client: Client,
  pod: KubeObject,
  conventions: HubConventions,
): Promise<HubConfiguration> => {
  const namespace = namespaceOf(pod);
  const secret = (name: string) => client.get('secrets', namespace, name);
  const own = await secret('hub');
  const values: Json = parseYaml(decoded(own, 'values.yaml')) ?? {};
  const existing = asText(at(values, 'hub', 'existingSecret'));
  const ours = existing === '' ? undefined : await secret(existing);
  const claim = await client.get('persistentvolumeclaims', namespace, 'hub-db-dir');
  const roles = Object.values(asMap(at(values, 'hub', 'loadRoles'))).filter(isMap);
  const services = Object.keys(asMap(at(values, 'hub', 'services'))).map((name) => {
    const key = `hub.services.${name}.apiToken`;
    const granted = roles.filter((role) => asTexts(role.services).includes(name));
    return {
      name,
      token: decoded(ours, key) || decoded(own, key),
      scopes: expandScopes(granted.flatMap((role) => asTexts(role.scopes))),
    };
  });
  return {
    claim: claim === undefined ? uidOf(pod) : uidOf(claim),
    services: services.filter(({ token }) => token !== ''),
    settings: settingsOf(asMap(values), pod, conventions.profiles),
  };
};
