// Draws the floor plan from the imports into docs/floor-plan.md; with --check, fails when it is stale.
import { readFileSync, writeFileSync } from 'node:fs';
import { arrowsOf, circlesOf, roomOf, rooms, sources } from './floor-plan.ts';

const file = new URL('../docs/floor-plan.md', import.meta.url);
const files = sources();
const arrows = arrowsOf(files);

const idOf = (room: string): string => room.replaceAll(/[^a-z]/g, '_');
const countOf = (room: string): number =>
  [...files.keys()].filter((path) => roomOf(path)?.room === room).length;

const drawn = (): string => {
  const floors = [...new Set(rooms.map(({ floor }) => floor))].toSorted((a, b) => b - a);
  const lines = floors.flatMap((floor) => [
    `  subgraph floor${floor}[floor ${floor}]`,
    ...rooms.filter((room) => room.floor === floor).map(({ room }) => `    ${idOf(room)}[${room}]`),
    '  end',
  ]);
  const links = [...arrows.keys()].toSorted().map((arrow) => {
    const [from = '', to = ''] = arrow.split(' ');
    return `  ${idOf(from)} --> ${idOf(to)}`;
  });
  return ['flowchart TB', ...lines, ...links].join('\n');
};

const up = [...arrows.keys()].filter((arrow) => {
  const [from = '', to = ''] = arrow.split(' ');
  return (roomOf(`${to}/x`)?.floor ?? 0) > (roomOf(`${from}/x`)?.floor ?? 0);
});

const text = `<!-- Generated from the imports by \`npm run graph\`. -->

# Floor plan

${rooms.length} rooms, ${files.size} modules, ${arrows.size} arrows, ${up.length} of them up, ${circlesOf(arrows.keys()).length} circles. What each room may import is a table in
[\`scripts/floor-plan.ts\`](../scripts/floor-plan.ts); [\`test/architecture.test.ts\`](../test/architecture.test.ts) holds every file to it.

| floor | room | modules | promise | may import |
|---|---|---|---|---|
${rooms
  .toSorted((a, b) => a.floor - b.floor)
  .map(
    ({ floor, room, promise, imports }) =>
      `| ${floor} | \`${room}\` | ${countOf(room)} | ${promise} | ${imports.map((one) => `\`${one}\``).join(' ')} |`,
  )
  .join('\n')}

\`\`\`mermaid
${drawn()}
\`\`\`
`;

if (process.argv.includes('--check')) {
  if (readFileSync(file, 'utf8') !== text) {
    console.error('docs/floor-plan.md is stale; run: npm run graph');
    process.exitCode = 1;
  }
} else {
  writeFileSync(file, text);
  console.log(`docs/floor-plan.md written: ${arrows.size} arrows, ${up.length} up`);
}
