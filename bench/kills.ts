// `npm run kills`: SIGKILL for the API’s and the functions’ processes while clients write; then everything that was
// acknowledged has to be there, once, and nothing else. API_KILLS, FUNCTION_KILLS and WRITERS change the numbers.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '@knada/simulators/real/free-port.ts';
import { portOf } from '../local/ports.ts';
import { goneIds, settle, verify } from './kills/verify.ts';
import { killRepeatedly, randomMs, victim } from './kills/victim.ts';
import { startWorld } from './kills/world.ts';
import { insist, newLedger, type Target, type Writer, write } from './kills/writers.ts';

const apiKills = Number(process.env.API_KILLS ?? 60);
const functionKills = Number(process.env.FUNCTION_KILLS ?? 35);
const writerCount = Number(process.env.WRITERS ?? 8);
const sharedTeams = Math.max(1, Math.ceil(writerCount / 2));
const settleSeconds = 180;
const deadlineSeconds = Number(process.env.DEADLINE_SECONDS ?? 1_800);

const deadline = globalThis.setTimeout(() => {
  console.error(`Not done within ${deadlineSeconds} seconds.`);
  process.exit(1);
}, deadlineSeconds * 1000);

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

const world = await startWorld();
// Speeds up the many starts.
const environment = { ...world.environment, NODE_COMPILE_CACHE: join(world.folder, 'cache') };
const apis = [
  victim('src/main.ts', portOf('api', world.base), environment, '/readyz'),
  victim('src/main.ts', await freePort(), environment, '/readyz'),
];
const functions = victim('local/functions.ts', portOf('functions', world.base), environment, '/');
const targets: readonly Target[] = apis.map(({ port }) => ({ port, answered: 0 }));
let faults: readonly string[] = [];

const call = async (name: string): Promise<boolean> =>
  fetch(`http://127.0.0.1:${functions.port}/${name}`, {
    method: 'POST',
    signal: AbortSignal.timeout(60_000),
  }).then(
    ({ ok }) => ok,
    () => false,
  );

try {
  const started = performance.now();
  await Promise.all([...apis, functions].map((one) => one.start()));
  await call('refresh');

  const writers: Writer[] = await Promise.all(
    Array.from({ length: writerCount }, async (_, index) => {
      const name = `writer${index}`;
      const email = `${name}@nav.no`;
      return { name, email, token: await world.issuer.token({ email }), ledger: newLedger() };
    }),
  );
  const [first] = writers;
  if (first === undefined) throw new RangeError('WRITERS must be at least 1.');
  const slugs = Array.from({ length: sharedTeams }, (_, index) => `team-${String.fromCharCode(97 + index)}`);
  for (const [index, slug] of slugs.entries()) {
    const members = writers.map(({ email }) => ({ email, role: 'owner' }));
    await insist(targets, first.token, 'POST', '/teams', { slug, members });
    const allowlist = { enabled: index % 2 === 0, hosts: index % 2 === 0 ? ['pypi.org:443'] : [] };
    await insist(targets, first.token, 'PUT', `/teams/${slug}/notebook`, { allowlist });
  }

  // One team that is gone for certain, beside those that the writers delete.
  await insist(targets, first.token, 'POST', '/teams', { slug: 'gone', members: [{ email: first.email }] });
  await insist(targets, first.token, 'DELETE', '/teams/gone?deleteHomes=true&deleteSecret=true');

  let isWriting = true;
  let isTicking = true;
  let killedInTick = 0;
  const writing = writers.map((writer, index) =>
    write(writer, targets, slugs[index % slugs.length] ?? '', () => !isWriting),
  );
  let kills = 0;
  const tell = (): void => {
    kills += 1;
    if (kills % 10 === 0) console.error(`${kills} of ${apiKills + functionKills} kills`);
  };
  // Killed once it has answered a few writes, with others in flight.
  const underWrites = async (target: Target | undefined): Promise<void> => {
    if (target === undefined) return;
    const enough = target.answered + randomMs(1, 6);
    while (target.answered < enough) await sleep(5);
  };
  // Killed while it answers: the kill comes at a random moment of a tick, or just after a short one.
  const tickAndInterrupt = async (): Promise<void> => {
    let isRunning = true;
    void call('reconcile').then(() => {
      isRunning = false;
    });
    if (Math.random() < 0.3) void call('cull');
    await sleep(randomMs(5, 600));
    if (isRunning) killedInTick += 1;
  };
  await Promise.all([
    ...apis.map((api, index) =>
      killRepeatedly(
        api,
        Math.floor((apiKills + index) / apis.length),
        () => underWrites(targets[index]),
        tell,
      ),
    ),
    killRepeatedly(functions, functionKills, tickAndInterrupt, tell),
  ]);
  isWriting = false;
  await Promise.all(writing);
  const killed = performance.now();

  const ticking = (async () => {
    while (isTicking) {
      await call('reconcile');
      await sleep(200);
    }
  })();
  const open = await settle(world, settleSeconds);
  isTicking = false;
  await ticking;
  const settled = performance.now();
  const found = await verify(world, writers);
  // A verification that finds nothing has to prove that it can.
  const [slug = ''] = slugs;
  first.ledger.timeouts.push({ slug, value: 1, revision: 1 });
  first.ledger.payloads.push({ slug, data: 'never sent', acknowledged: true });
  first.ledger.operations.push({ slug, id: 'op-never-opened' });
  first.ledger.teams.set('never-created', 'present');
  world.google.putSecret(goneIds(world)[0] ?? '', {});
  const labels = { 'app.kubernetes.io/managed-by': 'knada-notebooks' };
  await world.client.create({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'team-planted-0000', labels },
  });
  const planted = (await verify(world, writers)).faults.filter((fault) => !found.faults.includes(fault));
  const missed = [
    'lost: timeout 1 of',
    'lost: secret version never sent',
    'lost: operation op-never-opened',
    'lost: team never-created',
    'left over: namespace team-planted-0000',
    'left over: secret ',
  ].filter((text) => !planted.some((fault) => fault.startsWith(text)));
  faults = [
    ...open,
    ...found.faults,
    ...missed.map((text) => `the verification did not find a planted fault: ${text}`),
  ];

  const sum = (pick: (writer: Writer) => number): number =>
    writers.reduce((total, writer) => total + pick(writer), 0);
  console.log(`
| | |
|---|---|
| kills of two API processes | ${apiKills} |
| kills of the functions process | ${functionKills}, ${killedInTick} of them during a tick |
| writers | ${writerCount} on ${slugs.length} shared teams and teams of their own |
| writes acknowledged | ${sum(({ ledger }) => ledger.acknowledged)} |
| writes unanswered (killed, or 5xx) | ${sum(({ ledger }) => ledger.unanswered)} |
| writes refused (409, 412 …) | ${sum(({ ledger }) => ledger.refused)} |
| timeouts, secret versions, operations acknowledged | ${sum(({ ledger }) => ledger.timeouts.filter(({ revision }) => revision !== undefined).length)}, ${sum(({ ledger }) => ledger.payloads.filter(({ acknowledged }) => acknowledged).length)}, ${sum(({ ledger }) => ledger.operations.length)} |
| teams in the end, and deleted | ${found.teams}, ${found.deleted} |
| seconds of killing, and until all was settled | ${((killed - started) / 1000).toFixed(0)}, ${((settled - killed) / 1000).toFixed(0)} |
| lost, doubled, left over or not settled | ${faults.length} |
`);
  for (const fault of faults) console.log(`- ${fault}`);
} finally {
  clearTimeout(deadline);
  await Promise.all([...apis, functions].map((one) => one.close()));
  await world.close();
}
process.exitCode = faults.length === 0 ? 0 : 1;
