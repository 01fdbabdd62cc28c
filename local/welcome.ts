import { styleText } from 'node:util';
import type { Sandbox } from './sandbox.ts';

/** What to paste next, for shells that speak POSIX. The README shows the same lines for the usual port. */
export const firstSteps = (sandbox: Pick<Sandbox, 'url'>): string => `\
TOKEN=$(curl -s '${sandbox.url('issuer')}/token?email=kari.nordmann@nav.no')

# create a team, order a notebook, look at it
curl -s -w '\\n' ${sandbox.url('api')}/v1/teams -H "Authorization: Bearer $TOKEN" --json '{"slug": "team-a"}'
curl -s -w '\\n' -X PUT ${sandbox.url('api')}/v1/teams/team-a/notebook -H "Authorization: Bearer $TOKEN" --json '{}'
curl -s -w '\\n' ${sandbox.url('api')}/v1/teams/team-a/notebook -H "Authorization: Bearer $TOKEN"

# watch it until it is ready
curl -sN ${sandbox.url('api')}/v1/teams/team-a/notebook/events -H "Authorization: Bearer $TOKEN"

# start your own server in it, and see until when it runs
curl -s -w '\\n' -X POST ${sandbox.url('api')}/v1/teams/team-a/servers/kari.nordmann@nav.no/start -H "Authorization: Bearer $TOKEN"
curl -s -w '\\n' ${sandbox.url('api')}/v1/teams/team-a/servers -H "Authorization: Bearer $TOKEN"

# what stands in the cluster
kubectl --server ${sandbox.url('kubernetes')} get helmreleases,pods,networkpolicies,serviceaccounts,secrets -A`;

/** What `npm run local` prints once everything answers. */
export const welcome = (sandbox: Sandbox, { kubeconfig }: { readonly kubeconfig: boolean }): string => {
  const cluster = kubeconfig ? "kubectl's current context" : sandbox.url('kubernetes');
  const rows = [
    ['API', `${sandbox.url('api')}/v1`],
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
    styleText(['bold', 'green'], 'KNADA Notebooks is running. Ctrl-C ends it; the data stays.'),
    '',
    ...table,
    '',
    styleText('dim', 'Paste this next:'),
    '',
    steps,
    '',
  ].join('\n');
};
