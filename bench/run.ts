// `npm run bench [-- cold-start throughput tick cull egress render]`: prints ratios within this run. Asserts nothing about time.
import { coldStart } from './cold-start.ts';
import { culling } from './cull.ts';
import { egress } from './egress.ts';
import { rendering } from './render.ts';
import { throughput } from './throughput.ts';
import { ticks } from './tick.ts';

const benches: Readonly<Record<string, () => Promise<void>>> = {
  'cold-start': coldStart,
  throughput,
  tick: ticks,
  cull: culling,
  egress,
  render: rendering,
};

const named = process.argv.slice(2);
const unknown = named.filter((name) => !Object.hasOwn(benches, name));
if (unknown.length > 0) {
  console.error(`There is no bench "${unknown.join('", "')}"; there are ${Object.keys(benches).join(', ')}.`);
  process.exitCode = 2;
} else {
  for (const name of named.length > 0 ? named : Object.keys(benches)) await benches[name]?.();
}
