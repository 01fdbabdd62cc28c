import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { at, type Body, fields, MERGE, metadata, ownedBy, owners, type WireClient } from './client.ts';

export const helmReleases = (client: WireClient): void => {
  const { post, patch, apply, newNamespace, releasesIn, server } = client;

  describe('a Helm release', () => {
    const release = (name: string, spec: Body = {}): Body => ({
      apiVersion: 'helm.toolkit.fluxcd.io/v2',
      kind: 'HelmRelease',
      metadata: { name },
      spec: {
        interval: '10m',
        chart: { spec: { chart: 'jupyterhub', sourceRef: { kind: 'HelmRepository', name: 'jupyterhub' } } },
        values: { hub: { config: { a: [1, 2] } } },
        ...spec,
      },
    });

    it('HelmRelease: gets defaults that no manager owns', async (t) => {
      if (!server().customResources.includes('helmreleases'))
        return t.skip('its definition is not installed');
      const releases = releasesIn(await newNamespace());
      const created = await apply(`${releases}/one`, 'red', release('one'));
      assert.equal(created.status, 201);
      assert.deepEqual(at(created.body, 'spec', 'chart', 'spec'), {
        chart: 'jupyterhub',
        reconcileStrategy: 'ChartVersion',
        sourceRef: { kind: 'HelmRepository', name: 'jupyterhub' },
        version: '*',
      });
      assert.deepEqual(created.body.status, { observedGeneration: -1 });
      assert.deepEqual(ownedBy(created.body, 'red'), {
        'f:spec': {
          'f:chart': { 'f:spec': { 'f:chart': {}, 'f:sourceRef': { 'f:kind': {}, 'f:name': {} } } },
          'f:interval': {},
          'f:values': { 'f:hub': { '.': {}, 'f:config': { '.': {}, 'f:a': {} } } },
        },
      });
      // The real server stores the defaulted status with the second write; from then on nothing changes.
      const second = await apply(`${releases}/one`, 'red', release('one'));
      assert.deepEqual((await apply(`${releases}/one`, 'red', release('one'))).body, second.body);
      const posted = await post(releases, release('two'));
      assert.deepEqual(at(owners(posted.body)[0]?.fields, 'f:spec', 'f:chart', 'f:spec', '.'), {});
    });

    it('HelmRelease: is validated against its definition', async (t) => {
      if (!server().customResources.includes('helmreleases'))
        return t.skip('its definition is not installed');
      const releases = releasesIn(await newNamespace());
      const bad = await post(releases, release('one', { interval: '1x', chart: { spec: { chart: 'c' } } }));
      assert.equal(bad.status, 422);
      assert.ok(fields(bad).includes('spec.interval'));
      assert.ok(fields(bad).includes('spec.chart.spec.sourceRef'));
      const both = await post(releases, release('one', { chartRef: { kind: 'OCIRepository', name: 'x' } }));
      assert.equal(both.status, 422);
      assert.match(String(both.body.message), /either chart or chartRef must be set/);
      const unknown = await apply(`${releases}/one`, 'red', release('one', { valuez: {} }));
      assert.match(String(unknown.body.message), /\.spec\.valuez: field not declared in schema/);
      const pruned = await post(releases, release('one', { valuez: {} }));
      assert.equal(at(pruned.body, 'spec', 'valuez'), undefined);
      assert.equal((await post(releases, { metadata: { name: 'two' } })).status, 400);
    });

    it('HelmRelease: accepts a status without a new generation', async (t) => {
      if (!server().customResources.includes('helmreleases'))
        return t.skip('its definition is not installed');
      const releases = releasesIn(await newNamespace());
      await apply(`${releases}/one`, 'red', release('one'));
      const condition = {
        type: 'Ready',
        status: 'True',
        reason: 'InstallSucceeded',
        message: 'ok',
        lastTransitionTime: '2026-01-01T00:00:00Z',
      };
      const status = await patch(`${releases}/one/status?fieldManager=helm-controller`, MERGE, {
        status: { observedGeneration: 1, conditions: [condition] },
      });
      assert.deepEqual(status.body.status, { observedGeneration: 1, conditions: [condition] });
      const applied = await apply(`${releases}/one`, 'red', {
        ...release('one'),
        metadata: { name: 'one', annotations: { 'example.com/revision': '7' } },
      });
      assert.deepEqual(
        [metadata(applied.body).generation, at(applied.body, 'status', 'observedGeneration')],
        [1, 1],
      );
      const upgraded = await apply(`${releases}/one`, 'red', release('one', { interval: '5m' }));
      assert.equal(metadata(upgraded.body).generation, 2);
    });
  });
};
