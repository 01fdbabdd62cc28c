import { parse as parseYaml } from 'yaml';
import { isReady } from '../cluster/kubelet.ts';
import type { Client } from '../kubernetes/client.ts';
import type { Json } from '../kubernetes/json.ts';
import { asMap, asText, asTexts, at, isMap } from '../kubernetes/json.ts';
import type { KubeObject } from '../kubernetes/object.ts';
import { nameOf, uidOf } from '../kubernetes/object.ts';
import { expandScopes } from './scopes.ts';

/** A hub process: what it read when it started. A token that changes afterwards means nothing to it. */
export interface Hub {
  readonly pod: string;
  readonly version: string;
  /** The volume claim that its database lives on, by uid. */
  readonly claim: string;
  readonly services: readonly Service[];
}

export interface Service {
  readonly name: string;
  readonly token: string;
  readonly scopes: ReadonlySet<string>;
}

const decoded = (secret: KubeObject | undefined, key: string): string =>
  Buffer.from(asText(at(secret, 'data', key)), 'base64').toString();

/** The pod that answers for a team’s hub; undefined while there is none, as behind any Service without endpoints. */
export const hubPodOf = async (
  client: Client,
  slug: string,
): Promise<{ namespace: string; pod: KubeObject } | undefined> => {
  const namespaces = await client.list('namespaces', { labelSelector: `knada.io/team=${slug}` });
  for (const found of namespaces) {
    const namespace = nameOf(found);
    const pods = await client.list('pods', { namespace, labelSelector: 'app=jupyterhub,component=hub' });
    const pod = pods.find(isReady);
    if (pod !== undefined) return { namespace, pod };
  }
  return undefined;
};

/** Starts a hub as z2jh.py does: values from Secret `hub`, keys from `hub.existingSecret` before the chart’s own. */
export const readHub = async (client: Client, namespace: string, pod: KubeObject): Promise<Hub> => {
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
    pod: uidOf(pod),
    version: '5.5.0',
    claim: claim === undefined ? uidOf(pod) : uidOf(claim),
    services: services.filter(({ token }) => token !== ''),
  };
};
