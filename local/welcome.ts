import { styleText } from 'node:util';
import type { Sandbox } from './sandbox.ts';

/** Commands to try first, for POSIX shells. The README shows the same lines for the default port. */
export const firstSteps = (sandbox: Pick<Sandbox, 'url'>): string => `\
TOKEN=$(curl -s '${sandbox.url('issuer')}/token?email=kari.nordmann@nav.no')

# create a team, order a notebook, read it back
curl -s -w '\\n' ${sandbox.url('api')}/v1/teams -H "Authorization: Bearer $TOKEN" --json '{"slug": "team-a"}'
curl -s -w '\\n' -X PUT ${sandbox.url('api')}/v1/teams/team-a/notebook -H "Authorization: Bearer $TOKEN" --json '{}'
curl -s -w '\\n' ${sandbox.url('api')}/v1/teams/team-a/notebook -H "Authorization: Bearer $TOKEN"

# watch it until it is ready
curl -sN ${sandbox.url('api')}/v1/teams/team-a/notebook/events -H "Authorization: Bearer $TOKEN"

# start your own server, and see when it will stop
curl -s -w '\\n' -X POST ${sandbox.url('api')}/v1/teams/team-a/servers/kari.nordmann@nav.no/start -H "Authorization: Bearer $TOKEN"
curl -s -w '\\n' ${sandbox.url('api')}/v1/teams/team-a/servers -H "Authorization: Bearer $TOKEN"

# see what is in the cluster
kubectl --server ${sandbox.url('kubernetes')} get helmreleases,pods,networkpolicies,serviceaccounts,secrets -A`;

/** What `npm run local` prints once everything answers. */
export const welcome = (sandbox: Sandbox, { kubeconfig }: { readonly kubeconfig: boolean }): string => {
  const cluster = kubeconfig ? "kubectl's current context" : sandbox.url('kubernetes');
  const rows = [
    ['API', `${sandbox.url('api')}/v1`],
    ['Page', sandbox.url('page')],
    ['Documentation', `${sandbox.url('api')}/docs`],
    ['Kubernetes', cluster],
    ...(kubeconfig ? [] : [['Hubs', `${sandbox.url('hubs')}/<team>`]]),
    ['Registries', sandbox.url('registries')],
    ['Tokens', `${sandbox.url('issuer')}/token?email=<who>[&groups=knada-admins]`],
    ['Functions', `${sandbox.url('functions')}/reconcile`],
    ['Google', sandbox.url('google')],
    ['DNS', sandbox.url('dns').replace('http://', '')],
  ];
  const table = rows.map(([name = '', address = '']) => `  ${styleText('dim', name.padEnd(14))} ${address}`);
  const steps = kubeconfig ? firstSteps(sandbox).replaceAll(/ --server \S+/g, '') : firstSteps(sandbox);
  return [
    '',
    styleText(['bold', 'green'], 'KNADA Notebooks is running. Ctrl-C stops it; the data is kept.'),
    '',
    ...table,
    '',
    styleText('dim', 'Try this next:'),
    '',
    steps,
    '',
  ].join('\n');
};
