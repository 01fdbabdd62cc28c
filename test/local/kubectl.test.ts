import assert from 'node:assert/strict';
import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { startDeployments } from '../../local/cluster/deployments.ts';
import { startKubelet } from '../../local/cluster/kubelet.ts';
import { startHelmController } from '../../local/helm-controller/controller.ts';
import { type Kubernetes, startKubernetes } from '../../local/kubernetes/server.ts';
import { isAbsent, tookPart } from '../support/real-parts.ts';

const version = (): string | undefined => {
  const { status, stdout } = spawnSync('kubectl', ['version', '--client'], { encoding: 'utf8' });
  return status === 0 ? /v\d+\.\d+\.\d+\S*/.exec(stdout)?.[0] : undefined;
};
const found = version();
const skip = found === undefined ? isAbsent('kubectl', 'not on the PATH') : false;

const release = `
apiVersion: v1
kind: Namespace
metadata: {name: team-a}
---
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata:
  name: jupyterhub
  namespace: team-a
spec:
  interval: 30m
  releaseName: jupyterhub-team-a
  chart:
    spec:
      chart: jupyterhub
      version: 4.4.0
      sourceRef: {kind: HelmRepository, name: jupyterhub, namespace: flux-system}
  values: {}
`;

describe('kubectl at the simulated cluster', { skip, timeout: 60_000 }, () => {
  let kubernetes: Kubernetes;
  let folder: string;
  let parts: { close(): Promise<void> }[];

  const start = (args: readonly string[]): ChildProcessByStdio<Writable, Readable, Readable> =>
    spawn('kubectl', ['--server', kubernetes.url, ...args], {
      // Its cache of what a server offers, and no configuration of whoever runs this.
      env: { ...process.env, HOME: folder, KUBECONFIG: join(folder, 'none') },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
  const kubectl = async (args: readonly string[], input = ''): Promise<string> => {
    const child = start(args);
    child.stdin.end(input);
    const [out, err, code] = await Promise.all([
      child.stdout.toArray().then((parts) => Buffer.concat(parts).toString()),
      child.stderr.toArray().then((parts) => Buffer.concat(parts).toString()),
      new Promise((resolve) => child.once('close', resolve)),
    ]);
    assert.equal(code, 0, `kubectl ${args.join(' ')}: ${err}`);
    return out;
  };

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kubectl-'));
    kubernetes = await startKubernetes();
    const client = kubernetes.client('sandbox');
    parts = [
      startKubelet({ client, podReadyMs: 5, podStopMs: 1 }),
      startDeployments({ client }),
      startHelmController({ client, actionMs: 5 }),
    ];
    tookPart('kubectl', found ?? '');
  });
  after(async () => {
    for (const part of parts) await part.close();
    await kubernetes.close();
    await rm(folder, { recursive: true });
  });

  it('applies, and waits for Flux', async () => {
    const applied = await kubectl(['apply', '--server-side', '-f', '-'], release);
    assert.match(applied, /helmrelease\.helm\.toolkit\.fluxcd\.io\/jupyterhub serverside-applied/);
    const waited = await kubectl([
      'wait',
      '-n',
      'team-a',
      'helmrelease/jupyterhub',
      '--for=condition=Ready',
      '--timeout=30s',
    ]);
    assert.match(waited, /condition met/);
  });

  it('shows what stands there, as tables and as YAML', async () => {
    const table = await kubectl(['get', 'helmreleases,networkpolicies,serviceaccounts,secrets', '-A']);
    assert.match(table, /team-a\s+helmrelease\S*\/jupyterhub/);
    assert.match(table, /networkpolicy\S*\/singleuser/);
    assert.match(table, /sh\.helm\.release\.v1\.jupyterhub-team-a\.v1/);
    const pods = await kubectl(['get', 'pods', '-n', 'team-a', '-l', 'component=hub']);
    assert.match(pods, /hub-\S+\s+1\/1\s+Running/);
    const yaml = await kubectl(['get', 'helmrelease', 'jupyterhub', '-n', 'team-a', '-o', 'yaml']);
    assert.match(yaml, /reason: InstallSucceeded/);
  });

  it('watches and deletes', async () => {
    const watching = start(['get', 'helmreleases', '-n', 'team-a', '-w', '--output-watch-events']);
    const seen: string[] = [];
    const gone = new Promise<void>((resolve, reject) => {
      watching.once('close', () => reject(new Error(`the watch ended: ${seen.join('')}`)));
      watching.stdout.on('data', (part: Buffer) => {
        seen.push(part.toString());
        if (seen.join('').includes('DELETED')) resolve();
        else if (seen.length === 1) {
          kubectl(['delete', 'helmrelease', 'jupyterhub', '-n', 'team-a']).catch(reject);
        }
      });
    });
    await gone;
    watching.kill();
    assert.match(seen.join(''), /ADDED\s+jupyterhub/);
    const left = await kubectl(['get', 'deployments,services,networkpolicies', '-n', 'team-a', '-o', 'name']);
    assert.equal(left, '');
  });
});
