import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import type { Manifest } from '../../src/ports/cluster.ts';
import { statusAfter } from '../../src/reconcile/conditions.ts';
import { type ReleaseState, releaseState } from '../../src/reconcile/release-state.ts';
import { aMoment, anOrderedRecord } from '../support/records.ts';
import { sharedFile, withoutShared } from '../support/shared.ts';

const file = sharedFile('data/flux-1.6.2/transitions.json');

/**
 * What helm-controller 1.6.2 wrote for five teams, in order: the time, the HelmRelease’s generation, and the condition
 * HubReady that each status stands for. Both actions are retried twice.
 */
const recorded: Readonly<Record<string, string>> = {
  // Installed, moved to another version, then to one that fails three times and is rolled back, then recovered.
  'team-a': `
    03:28:37 1 Unknown Pending
    03:29:23 1 Unknown Pending
    03:29:24 1 Unknown Applying
    03:29:25 1 Unknown Applying
    03:30:50 1 True Installed
    03:52:35 2 Unknown Applying
    03:52:37 2 Unknown Applying
    03:52:44 2 True Installed
    03:52:44 2 True Installed
    03:59:01 3 Unknown Applying
    03:59:03 3 Unknown Applying
    03:59:04 3 False Retrying
    03:59:05 3 False Retrying
    03:59:06 3 False Retrying
    03:59:17 3 False Retrying
    03:59:19 3 False Retrying
    03:59:19 3 False Retrying
    03:59:21 3 False Retrying
    03:59:32 3 False Retrying
    03:59:33 3 False Retrying
    03:59:36 3 False Failed
    03:59:38 3 False RolledBack
    04:00:21 4 Unknown Pending
    04:00:23 4 True Installed
  `,
  // The same; then values that break the chart’s schema, a retry, sound values, new keys, a deleted object, a second life.
  'team-b': `
    03:51:44 1 Unknown Pending
    03:51:45 1 Unknown Applying
    03:51:46 1 Unknown Applying
    03:51:51 1 True Installed
    03:52:35 2 Unknown Applying
    03:52:37 2 Unknown Applying
    03:52:43 2 True Installed
    03:52:44 2 True Installed
    03:59:01 3 Unknown Applying
    03:59:03 3 Unknown Applying
    03:59:05 3 False Retrying
    03:59:06 3 False Retrying
    03:59:17 3 False Retrying
    03:59:17 3 False Retrying
    03:59:19 3 False Retrying
    03:59:19 3 False Retrying
    03:59:21 3 False Retrying
    03:59:33 3 False Retrying
    03:59:33 3 False Retrying
    03:59:36 3 False Failed
    03:59:37 3 False Failed
    03:59:38 3 False RolledBack
    04:00:21 4 Unknown Applying
    04:00:23 4 True Installed
    04:02:44 5 False Retrying
    04:02:44 5 False Retrying
    04:02:45 5 False Retrying
    04:02:46 5 False Failed
    04:02:49 5 False Failed
    04:02:50 5 False Failed
    04:02:56 5 False Failed
    04:02:56 5 False Failed
    04:03:08 5 False Failed
    04:03:33 5 False Failed
    04:03:33 5 False Failed
    04:04:21 5 False Failed
    04:04:21 5 False Failed
    04:05:39 5 False Retrying
    04:05:40 5 False Retrying
    04:07:35 6 Unknown Applying
    04:07:36 6 True Installed
    04:09:15 7 Unknown Applying
    04:09:16 7 Unknown Applying
    04:09:22 7 True Installed
    04:10:18 7 True Installed
    04:10:22 7 False Drifted
    04:10:27 7 False Drifted
    04:13:16 1 Unknown Pending
    04:13:17 1 Unknown Applying
    04:13:18 1 Unknown Applying
    04:13:23 1 True Installed
    04:13:24 1 True Installed
  `,
  // The same; then suspended twice and resumed with values that break the chart’s schema.
  'team-c': `
    03:51:44 1 Unknown Pending
    03:51:45 1 Unknown Applying
    03:51:46 1 Unknown Applying
    03:51:51 1 True Installed
    03:51:52 1 True Installed
    03:52:35 2 Unknown Applying
    03:52:37 2 Unknown Applying
    03:52:44 2 True Installed
    03:59:01 3 Unknown Applying
    03:59:03 3 Unknown Applying
    03:59:05 3 False Retrying
    03:59:06 3 False Retrying
    03:59:17 3 False Retrying
    03:59:17 3 False Retrying
    03:59:19 3 False Retrying
    03:59:19 3 False Retrying
    03:59:21 3 False Retrying
    03:59:32 3 False Retrying
    03:59:33 3 False Retrying
    03:59:36 3 False Failed
    03:59:36 3 False Failed
    03:59:38 3 False RolledBack
    04:00:21 4 Unknown Applying
    04:00:23 4 True Installed
    04:01:28 5 False Suspended
    04:02:44 6 False Suspended
    04:07:32 7 False Retrying
    04:07:33 7 False Retrying
    04:07:33 7 False Retrying
    04:07:35 8 Unknown Applying
    04:07:36 8 True Installed
    04:09:15 9 Unknown Applying
    04:09:22 9 True Installed
    04:09:22 9 True Installed
  `,
  // Values that break the chart’s schema at the first install.
  'team-d': `
    04:06:00 1 Unknown Pending
    04:06:01 1 Unknown Applying
    04:06:02 1 False Retrying
    04:06:02 1 False Retrying
    04:06:04 1 False Failed
    04:06:07 1 False Failed
    04:06:07 1 False Failed
    04:06:13 1 False Failed
    04:06:25 1 False Failed
    04:06:26 1 False Failed
    04:06:50 1 False Failed
    04:07:35 2 Unknown Applying
    04:07:41 2 True Installed
    04:07:41 2 True Installed
    04:09:15 3 Unknown Applying
    04:09:22 3 True Installed
  `,
  // An install that hangs until its timeout, while the HelmRelease is changed and deleted.
  'team-e': `
    04:07:44 1 Unknown Pending
    04:07:45 1 Unknown Applying
    04:07:46 1 Unknown Applying
    04:09:15 2 Unknown Pending
    04:17:46 2 False Retrying
    04:17:56 2 False Retrying
    04:18:19 3 Unknown Pending
    04:19:27 3 True Installed
  `,
};

/** The recording left the specs out; suspended was team c alone, from its fifth generation to its sixth. */
const specOf = (team: string, generation: number) => ({
  install: { remediation: { retries: 2 } },
  upgrade: { remediation: { retries: 2, strategy: 'rollback' } },
  suspend: team === 'team-c' && (generation === 5 || generation === 6),
});

const releases = (wanted: string): readonly { readonly at: string; readonly release: Manifest }[] => {
  const found: readonly { at: string; team: string; helmRelease: Pick<Manifest, 'metadata' | 'status'> }[] =
    JSON.parse(readFileSync(file, 'utf8'));
  return found
    .filter(({ team }) => team === wanted)
    .map(({ at, team, helmRelease: { metadata, status } }) => ({
      at,
      release: {
        apiVersion: 'helm.toolkit.fluxcd.io/v2',
        kind: 'HelmRelease',
        metadata: { ...metadata, name: 'jupyterhub', namespace: `team-${team}` },
        spec: specOf(team, metadata.generation ?? 0),
        status,
      },
    }));
};

const hubReady = (release: ReleaseState) =>
  statusAfter(anOrderedRecord(), { applied: { outcome: 'complete' }, release }, aMoment).conditions.find(
    ({ type }) => type === 'HubReady',
  );

describe('recorded statuses of HelmReleases', { skip: withoutShared(file) }, () => {
  for (const [team, rows] of Object.entries(recorded)) {
    it(`recorded HelmRelease of ${team}: each status is shown as the condition in its row`, () => {
      const shown = releases(team).map(({ at, release }) => {
        const condition = hubReady(releaseState(release));
        return `${at} ${release.metadata.generation} ${condition?.status} ${condition?.reason}`;
      });
      assert.deepEqual(shown, rows.trim().split(/\n\s*/));
    });
  }

  it('recorded HelmRelease that was rolled back: its message gives the version it returned to, and the cause', () => {
    const last = releases('team-a').findLast(({ release }) => releaseState(release).state === 'rolled_back');
    assert.ok(last);
    assert.match(
      releaseState(last.release).message,
      /Helm rollback to previous release .* Helm upgrade failed/s,
    );
  });
});
