import { createHash } from 'node:crypto';
import type { V1NetworkPolicyEgressRule, V1NetworkPolicySpec } from '@kubernetes/client-node';
import { canonicalJson } from '../lib/json.ts';
import { kinds } from '../model/kinds.ts';
import { type Cidr, printCidr, type RangeSettings } from './ranges.ts';

/** The metadata of a policy; the caller, which knows the team, provides it. */
export interface PolicyMeta {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** A complete NetworkPolicy as it is applied: plain JSON. */
export interface NetworkPolicy {
  apiVersion: 'networking.k8s.io/v1';
  kind: 'NetworkPolicy';
  metadata: ObjectMeta;
  spec: V1NetworkPolicySpec;
}

export interface ObjectMeta {
  name: string;
  namespace: string;
  labels: Record<string, string>;
  annotations: Record<string, string>;
}

/** Names of the policies, one of each per team namespace. */
export const PolicyName = {
  Open: 'notebook-egress-open',
  Baseline: 'notebook-egress-baseline',
  Allow: 'notebook-egress-allow',
  AirflowBaseline: 'airflow-egress-baseline',
} as const;
export type PolicyName = (typeof PolicyName)[keyof typeof PolicyName];

/** Whether an object is of a kind that can open egress. */
export const isEgressPolicy = ({ kind }: { readonly kind: string }): boolean =>
  kind === kinds.networkPolicy.kind || kind === kinds.fqdnNetworkPolicy.kind;

/** The operator’s settings for policies. */
export interface EgressSettings extends RangeSettings {
  /** What resolves host names: this service (`ip`), or the GKE nodes (`gke-fqdn`, where served). */
  readonly backend: 'ip' | 'gke-fqdn';
  /**
   * Where the pods reach Google APIs: the virtual addresses of private.googleapis.com or restricted.googleapis.com,
   * or the addresses that `googleApiHosts` resolve to.
   */
  readonly googleApis: 'private' | 'restricted' | 'resolve';
  /** Used with `googleApis: resolve` only. */
  readonly googleApiHosts: readonly string[];
  /** ClusterIPs of kube-dns; needed where policies hold before Services are translated (Calico). */
  readonly dnsServiceRanges: readonly Cidr[];
  /** What Airflow workers need in addition: the metadata database, the log store. */
  readonly airflowDestinations: readonly { readonly cidr: Cidr; readonly port: number }[];
  /** Static addresses of hosts, used instead of DNS. They may be private, but never the cluster’s own. */
  readonly hostMap: ReadonlyMap<string, readonly string[]>;
  readonly maxAddressesPerHost: number;
  /** The most peers in one allow policy, over all rules: each takes an entry in a node’s policy map. */
  readonly maxPeers: number;
}

export const defaultEgressSettings: EgressSettings = {
  clusterRanges: [],
  privateRanges: [],
  backend: 'ip',
  googleApis: 'private',
  googleApiHosts: [
    'bigquery.googleapis.com',
    'iamcredentials.googleapis.com',
    'oauth2.googleapis.com',
    'secretmanager.googleapis.com',
    'storage.googleapis.com',
    'sts.googleapis.com',
    'www.googleapis.com',
  ],
  dnsServiceRanges: [],
  airflowDestinations: [],
  hostMap: new Map(),
  maxAddressesPerHost: 128,
  maxPeers: 1000,
};

/**
 * An egress policy. `policyTypes` is always written: without it Kubernetes adds Ingress, and leaves Egress out
 * where there are no rules.
 */
export function networkPolicy(
  meta: PolicyMeta,
  name: string,
  podSelector: NonNullable<V1NetworkPolicySpec['podSelector']>,
  egress: V1NetworkPolicyEgressRule[],
): NetworkPolicy {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: objectMeta(meta, name),
    spec: { podSelector, policyTypes: ['Egress'], egress },
  };
}

export function objectMeta(meta: PolicyMeta, name: string): ObjectMeta {
  return {
    name,
    namespace: meta.namespace,
    labels: sortKeys(meta.labels),
    annotations: sortKeys(meta.annotations),
  };
}

export const ipBlock = (cidr: Cidr) => ({ ipBlock: { cidr: printCidr(cidr) } });

/** SHA-256 of a policy’s spec, in hexadecimal: the same for the same rules, independent of the labels. */
export function policyHash(policy: { readonly spec: unknown }): string {
  return createHash('sha256').update(canonicalJson(policy.spec)).digest('hex');
}

/** Orders by UTF-16 code unit, independent of the locale. */
export const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function sortKeys(record: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => byText(a, b)));
}
