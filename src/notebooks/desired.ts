import { createHash } from 'node:crypto';
import { canonicalJson } from '../lib/json.ts';
import type { NamedTeam } from '../model/names.ts';
import type { TeamRecord } from '../model/record.ts';
import type { Manifest } from '../ports/cluster.ts';
import type { Meta } from '../teams/desired.ts';
import { type Platform, type Values, valuesOf } from './values.ts';

/** The HelmRelease of a team’s hub, in the team’s namespace. */
export const releaseObjectName = 'jupyterhub';

/**
 * The spec of a team’s HelmRelease: a function of the team’s names and the platform, so no order can change it. A failed
 * installation is retried twice; a failed upgrade is rolled back, because the previous hub is better than none.
 */
export const releaseSpec = (team: NamedTeam, platform: Platform): Values => ({
  interval: '30m',
  timeout: '10m',
  releaseName: team.names.releaseName,
  chart: {
    spec: {
      chart: 'jupyterhub',
      version: platform.chartVersion,
      sourceRef: { kind: 'HelmRepository', ...platform.helmRepository },
    },
  },
  install: { remediation: { retries: 2 } },
  upgrade: { remediation: { retries: 2, strategy: 'rollback' } },
  // Flux restores a deleted or changed object of the chart. The annotation that restarts a hub stays: Flux compares only
  // the fields that it applied (helm-controller 1.6, server-side apply).
  driftDetection: { mode: 'enabled' },
  values: valuesOf(team, platform),
});

/** Names that no team has; each contains the text. */
const sample = (text: string): NamedTeam => ({
  slug: text,
  id: `${text}-id`,
  names: {
    namespace: `${text}-namespace`,
    releaseName: `${text}-release`,
    serviceAccount: `${text}-account`,
    googleServiceAccount: { id: `${text}-google`, email: `${text}@example.org` },
    secret: { id: `${text}-secret`, name: `${text}-secret-name` },
    hubUrl: `https://${text}.example.org/${text}`,
  },
});

/** Two teams with nothing in common: a value that depends on a team’s names differs between them. */
const samples: readonly NamedTeam[] = [sample('ab'), sample('cd')];

/** Changes if and only if a rendered release changes: another chart, other values, another version of this product. */
export const platformHash = (platform: Platform): string =>
  createHash('sha256')
    .update(canonicalJson(samples.map((team) => releaseSpec(team, platform))))
    .digest('hex')
    .slice(0, 32);

/** Flux acts when the value of an annotation changes; resetAt and forceAt only count if they equal requestedAt. */
const retryAnnotations = ({ at, force }: { readonly at: string; readonly force: boolean }) => ({
  'reconcile.fluxcd.io/requestedAt': at,
  'reconcile.fluxcd.io/resetAt': at,
  ...(force ? { 'reconcile.fluxcd.io/forceAt': at } : {}),
});

/**
 * The HelmRelease `jupyterhub` with the team’s current release, which only a platform roll-out replaces. Throws
 * TypeError for a team that has no release yet.
 */
export const helmRelease = (record: TeamRecord, meta: Meta): Manifest => {
  if (record.release === null) throw new TypeError(`${record.slug} has no release`);
  const retry = record.notebook?.retry ?? null;
  return {
    apiVersion: 'helm.toolkit.fluxcd.io/v2',
    kind: 'HelmRelease',
    metadata: {
      name: releaseObjectName,
      ...meta,
      annotations: { ...meta.annotations, ...(retry === null ? {} : retryAnnotations(retry)) },
    },
    spec: record.release.spec,
  };
};
