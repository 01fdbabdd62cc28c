// The cost of rendering a team’s objects, compared with printing them.

import { assemble } from '../src/assemble.ts';
import { loadConfig } from '../src/config.ts';
import { defaultEntryOptions, parseAllowlist } from '../src/egress/entry.ts';
import { complete } from '../src/model/notebook-fields.ts';
import type { TeamRecord } from '../src/model/record.ts';
import { changesBetween } from '../src/notebooks/plan.ts';
import { applyPatch } from '../src/notebooks/spec.ts';
import { openOutside } from '../src/open.ts';
import { differs } from '../src/reconcile/difference.ts';
import { each, interleaved, printRatios, printTable, ratiosTo } from './measure.ts';
import { environmentAt, readyTeam, silent } from './product.ts';

const rounds = Number(process.env.ROUNDS ?? 15);

export const rendering = async (): Promise<void> => {
  const config = loadConfig(environmentAt(':memory:', 'http://localhost:8084'));
  const outside = await openOutside(config, silent);
  const { deps } = assemble(config, outside);
  const { render } = deps;
  const team = readyTeam('team-a', deps);
  const hosts = Array.from({ length: 200 }, (_, index) => `host-${index}.nav.no:${6000 + index}`);
  const { notebook } = team;
  if (notebook === null) throw new TypeError('The team has a notebook');
  const restricted: TeamRecord = {
    ...team,
    notebook: { ...notebook, spec: { ...notebook.spec, allowlist: { enabled: true, hosts } } },
  };
  const objects = await render(team);
  const read = structuredClone(objects);
  const { spec } = notebook;
  const subjects = {
    'print the objects as JSON': each(() => JSON.stringify(objects)),
    'render a team': each(() => render(team)),
    'render a team with 200 hosts': each(() => render(restricted)),
    'parse 200 hosts': each(() => parseAllowlist(hosts, defaultEntryOptions)),
    'compare the objects with those in the cluster': each(() =>
      objects.map((object, index) => differs(read[index] ?? object, object)),
    ),
    'complete an order': each(() => complete({}, config.limits)),
    'patch a configuration and say what changes': each(() =>
      changesBetween(spec, applyPatch(spec, { culling: { timeoutSeconds: 900 } }, config.limits)),
    ),
  };
  for (const warmUp of Object.values(subjects)) await warmUp();
  const measured = await interleaved(subjects, rounds);
  const base = measured['print the objects as JSON'] ?? [];
  printTable(
    `Rules and rendering (${rounds} slices each)`,
    ['', 'to printing the objects as JSON'],
    Object.entries(measured).map(([name, values]) => [name, printRatios(ratiosTo(base, values))]),
  );
  await outside.close();
};
