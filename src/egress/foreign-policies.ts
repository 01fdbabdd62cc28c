import { isObject, listAt } from '../lib/json.ts';
import type { Manifest } from '../ports/cluster.ts';
import { componentLabel, notebookPods, teamIdLabel, teamLabel } from '../teams/labels.ts';
import { byText } from './policy.ts';

/** Labels that every notebook pod has (KubeSpawner’s common_labels and extra_labels, and the chart’s), with the known values. */
const known: Readonly<Record<string, string | undefined>> = {
  ...notebookPods,
  'app.kubernetes.io/component': 'singleuser-server',
  app: 'jupyterhub',
  'app.kubernetes.io/name': 'jupyterhub',
  'app.kubernetes.io/managed-by': 'kubespawner',
  release: undefined,
  'app.kubernetes.io/instance': undefined,
  chart: undefined,
  'helm.sh/chart': undefined,
  heritage: undefined,
  'hub.jupyter.org/username': undefined,
  'hub.jupyter.org/servername': undefined,
  'hub.jupyter.org/network-access-hub': undefined,
  [teamLabel]: undefined,
  [teamIdLabel]: undefined,
};

/** Pods that belong to the hub: the baseline opens them already. */
const hubParts: ReadonlySet<unknown> = new Set(['hub', 'proxy', 'autohttps']);

/** Whether a label may have one of these values; an unknown value may be anything. */
const mayBe = (key: string, values: readonly unknown[]): boolean =>
  key in known && (known[key] === undefined || values.includes(known[key]));

const mayFulfil = (expression: unknown): boolean => {
  if (!isObject(expression) || typeof expression.key !== 'string') return true;
  const { key, operator } = expression;
  const values = listAt(expression, 'values');
  switch (operator) {
    case 'In':
      return mayBe(key, values);
    case 'Exists':
      return key in known;
    case 'DoesNotExist':
      return !(key in known);
    case 'NotIn':
      return !(key in known) || known[key] === undefined || !values.includes(known[key]);
    default:
      return true;
  }
};

/** Whether a pod selector may reach a notebook. */
export const maySelectNotebooks = (selector: unknown): boolean => {
  if (!isObject(selector)) return true;
  const labels = isObject(selector.matchLabels) ? Object.entries(selector.matchLabels) : [];
  return (
    labels.every(([key, value]) => mayBe(key, [value])) &&
    listAt(selector, 'matchExpressions').every(mayFulfil)
  );
};

/** Whether a peer belongs to the hub of this namespace. */
const isHubPart = (peer: unknown): boolean => {
  if (!isObject(peer) || !isObject(peer.podSelector)) return false;
  if (peer.namespaceSelector !== undefined || peer.ipBlock !== undefined) return false;
  const { matchLabels } = peer.podSelector;
  return isObject(matchLabels) && hubParts.has(matchLabels[componentLabel]);
};

const opensMore = (rule: unknown): boolean => {
  const peers = isObject(rule) ? listAt(rule, 'to') : [];
  // Without peers a rule means every destination.
  return peers.length === 0 || !peers.every(isHubPart);
};

/**
 * Names of the policies of other owners in a team’s namespace that open more than ours do. Policies are additive, so
 * one of them defeats an allowlist. The chart’s own policy opens the hub only and is not among them.
 */
export const widenedBy = (
  policies: readonly Manifest[],
  isOurs: (policy: Manifest) => boolean,
): readonly string[] =>
  policies
    .filter((policy) => {
      if (isOurs(policy)) return false;
      const spec = isObject(policy.spec) ? policy.spec : {};
      // GKE’s own FQDN policies have egress only.
      const rules = listAt(spec, 'egress');
      const isEgress =
        policy.kind !== 'NetworkPolicy' ||
        spec.policyTypes === undefined ||
        listAt(spec, 'policyTypes').includes('Egress');
      if (!isEgress || rules.length === 0 || !maySelectNotebooks(spec.podSelector)) return false;
      return policy.kind !== 'NetworkPolicy' || rules.some(opensMore);
    })
    .map(({ metadata }) => metadata.name)
    .toSorted(byText);
