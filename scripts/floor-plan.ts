import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSync, Visitor } from 'oxc-parser';

/** One room of the house: a folder, its floor, and the rooms that it may import. */
export interface Room {
  readonly room: string;
  readonly floor: number;
  readonly promise: string;
  readonly imports: readonly string[];
  /** Packages that only this room and others that name them may import. */
  readonly packages?: readonly string[];
}

const ground = ['src/lib', 'src/model', 'src/ports'];
const nouns = ['teams', 'images', 'notebooks', 'culling', 'servers', 'egress', 'secrets', 'environments'].map(
  (noun) => `src/${noun}`,
);
const noun = (name: string, promise: string, ...others: readonly string[]): Room => ({
  room: `src/${name}`,
  floor: 4,
  promise,
  imports: [...ground, ...others.map((other) => `src/${other}`)],
});
const web = ['fastify', '@fastify'];
const clients = ['@google-cloud', '@kubernetes', 'google-auth-library', 'undici', 'node:sqlite', 'node:dns'];
const product = [...ground, ...nouns, 'src/http', 'src/adapters', 'src/reconcile', 'src/api', 'src'];

/** Who stands where, and what each room may import: itself, and what is named here. The most special room comes first. */
export const rooms: readonly Room[] = [
  { room: 'src/lib', floor: 1, promise: 'helpers that know nothing of the product', imports: [] },
  { room: 'simulators', floor: 1, promise: 'the outside systems, simulated at the wire', imports: [] },
  {
    room: 'src/model',
    floor: 2,
    promise: 'every schema a client sees and every record that is stored',
    imports: ['src/lib'],
  },
  {
    room: 'src/ports',
    floor: 3,
    promise: 'the outside world, one file per system',
    imports: ['src/lib', 'src/model'],
  },
  noun('teams', 'who belongs to a team, and what bears its name'),
  noun('images', 'which image runs: parse, resolve, pin, scaffold'),
  noun('environments', 'the Python environments that are offered', 'images'),
  noun('egress', 'what notebooks may reach', 'teams'),
  noun('secrets', 'the team’s secret and its accounts', 'teams'),
  noun('culling', 'when a server is stopped', 'teams'),
  noun('notebooks', 'what a team orders', 'teams', 'images'),
  noun('servers', 'starting, stopping and showing servers', 'teams', 'notebooks', 'culling'),
  {
    room: 'src/http',
    floor: 4,
    promise: 'problems, auth, preconditions, pages, streams; knows no noun',
    imports: ground,
    packages: web,
  },
  {
    room: 'src/adapters',
    floor: 4,
    promise: 'one outside system each',
    imports: ground,
    packages: clients,
  },
  {
    room: 'src/reconcile',
    floor: 5,
    promise: 'observe, decide, apply, record; the tick',
    imports: [...ground, ...nouns],
  },
  {
    room: 'src/api',
    floor: 6,
    promise: 'the routes, one file per resource',
    imports: [...ground, ...nouns, 'src/http', 'src/reconcile'],
    packages: web,
  },
  {
    room: 'src',
    floor: 7,
    promise: 'composition: configuration, adapters and rules put together',
    imports: product,
    packages: [...web, ...clients],
  },
  {
    room: 'functions',
    floor: 7,
    promise: 'what is not a request',
    imports: product,
    packages: ['@google-cloud'],
  },
  {
    room: 'local',
    floor: 8,
    promise: 'the sandbox: the product on simulators',
    imports: [...product, 'functions', 'simulators'],
    packages: clients,
  },
];

/**
 * What is pure holds no clock, no randomness, no environment and does no I/O: every file in these rooms but the ones
 * named in `shell`. Pure files take `now` and what they need as arguments.
 */
const pureRooms = [...ground, ...nouns, 'src/http', 'src/reconcile', 'src/api'];
export const shell: readonly string[] = [
  // Tokens are verified against keys that are fetched and remembered for a while.
  'src/http/auth.ts',
  'src/http/keys.ts',
  // Streams wait; a request gets its id; /readyz has a deadline.
  'src/http/events.ts',
  'src/http/problem.ts',
  'src/http/server.ts',
  'src/http/health.ts',
  'src/api/notebook-events.ts',
  'src/api/operation-events.ts',
  'src/api/server-events.ts',
  // Answers within a deadline, whatever it waits for.
  'src/egress/admission.ts',
];

const pureBuiltins = new Set(['node:crypto', 'node:util', 'node:buffer', 'node:net', 'node:url']);
const impureNames = new Set(['randomBytes', 'randomUUID', 'randomInt', 'randomFillSync', 'getRandomValues']);
const impureGlobals = new Set([
  'process',
  'performance',
  'fetch',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'crypto',
  'WebSocket',
]);

/** A rule of the house that a file breaks. */
export interface Breach {
  readonly file: string;
  readonly says: string;
}

const root = fileURLToPath(new URL('..', import.meta.url));
const workspace = '@knada/simulators';

/** The TypeScript files of these folders below the project’s root, with their texts. */
export const sources = (
  folders: readonly string[] = ['src', 'functions', 'local', 'simulators'],
): ReadonlyMap<string, string> => {
  const found = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((file) => !file.includes('node_modules')),
  );
  return new Map(found.map((file) => [relative(root, file), readFileSync(file, 'utf8')]));
};

export const roomOf = (file: string): Room | undefined =>
  rooms.find(({ room }) => file === room || file.startsWith(`${room}/`));

const isOwn = (name: string): boolean => name.startsWith('.') || name.startsWith(workspace);

/** What a file imports: paths from the root for files of the project, types too; else the package’s name, for its values. */
export const importsOf = (file: string, text: string): readonly string[] => {
  const { module, errors } = parseSync(file, text);
  if (errors.length > 0) throw new SyntaxError(`${file}: ${errors[0]?.message}`);
  const dynamic = module.dynamicImports.map(({ moduleRequest }) =>
    text.slice(moduleRequest.start, moduleRequest.end).replace(/^['"`]|['"`]$/g, ''),
  );
  const exported = module.staticExports.flatMap(({ entries }) =>
    entries.flatMap(({ moduleRequest }) => (moduleRequest === null ? [] : [moduleRequest.value])),
  );
  const wanted = [
    ...module.staticImports
      .filter(
        ({ moduleRequest, entries }) =>
          // The types of a client say how its objects look and load nothing.
          isOwn(moduleRequest.value) || entries.length === 0 || entries.some(({ isType }) => !isType),
      )
      .map(({ moduleRequest }) => moduleRequest.value),
    ...exported,
    ...dynamic,
  ];
  return wanted.map((name) => {
    if (name.startsWith('.')) return posix.join(dirname(file), name);
    return name.startsWith(workspace) ? name.replace(workspace, 'simulators') : name;
  });
};

/** The nodes of a syntax tree that reach for the clock, for chance, for the environment or for the outside. */
const impurities = (file: string, text: string): readonly string[] => {
  const said = new Set<string>();
  const visitor = new Visitor({
    ImportDeclaration(node) {
      const name = node.source.value;
      if (!name.startsWith('node:') || node.importKind === 'type') return;
      if (!pureBuiltins.has(name)) said.add(name);
      for (const one of node.specifiers) {
        const imported = one.type === 'ImportSpecifier' ? one.imported : undefined;
        if (imported?.type === 'Identifier' && impureNames.has(imported.name)) said.add(imported.name);
      }
    },
    CallExpression({ callee }) {
      if (callee.type === 'Identifier' && callee.name === 'Date') said.add('Date()');
    },
    NewExpression({ callee, arguments: given }) {
      if (callee.type === 'Identifier' && callee.name === 'Date' && given.length === 0)
        said.add('new Date()');
    },
    MemberExpression({ object, property }) {
      if (object.type !== 'Identifier' || property.type !== 'Identifier') return;
      const path = `${object.name}.${property.name}`;
      if (path === 'Date.now' || path === 'Math.random') said.add(path);
      if (object.name === 'globalThis' || impureGlobals.has(object.name)) said.add(path);
    },
    Identifier({ name }) {
      if (impureGlobals.has(name) && new RegExp(`(?<![.\\w])${name}\\(`).test(text)) said.add(`${name}()`);
    },
  });
  visitor.visit(parseSync(file, text).program);
  return [...said];
};

const isPure = (file: string): boolean =>
  pureRooms.some((room) => file.startsWith(`${room}/`)) && !shell.includes(file);

const reserved = [...web, ...clients];
const belongsTo = (name: string, group: string): boolean => name === group || name.startsWith(`${group}/`);

/** The files that may derive a team’s names: it is created, or was stored without any. All others read its record. */
const naming = ['src/model/names.ts', 'src/teams/rules.ts', 'src/adapters/upgrade.ts'];
const derivedName = /\bderiveNames\b|`(?:team|jupyterhub)-\$\{/;

const derivesNames = (file: string, text: string): boolean =>
  /^(?:src|functions)\//.test(file) && !naming.includes(file) && derivedName.test(text);

/** Everything that one file does against the rules of its room. */
export const breachesOf = (file: string, text: string): readonly Breach[] => {
  const room = roomOf(file);
  if (room === undefined) return [];
  const says: string[] = [];
  for (const wanted of importsOf(file, text)) {
    const target = roomOf(wanted);
    if (target !== undefined) {
      if (target.room !== room.room && !room.imports.includes(target.room))
        says.push(`${room.room} may not import ${wanted}`);
    } else if (wanted.startsWith('test/') || wanted.startsWith('bench/')) {
      says.push(`${room.room} may not import ${wanted}`);
    } else {
      const group = reserved.find((one) => belongsTo(wanted, one));
      if (group !== undefined && room.room !== 'simulators' && !room.packages?.includes(group))
        says.push(`${room.room} may not import ${wanted}`);
    }
  }
  if (derivesNames(file, text)) says.push('names are read from the team’s record, not derived again');
  if (isPure(file)) says.push(...impurities(file, text).map((what) => `a pure file may not use ${what}`));
  return says.map((one) => ({ file, says: one }));
};

/** Arrows between rooms, and how many imports each stands for. */
export const arrowsOf = (files: ReadonlyMap<string, string>): ReadonlyMap<string, number> => {
  const arrows = new Map<string, number>();
  for (const [file, text] of files) {
    const from = roomOf(file)?.room;
    for (const wanted of importsOf(file, text)) {
      const to = roomOf(wanted)?.room;
      if (from === undefined || to === undefined || from === to) continue;
      arrows.set(`${from} ${to}`, (arrows.get(`${from} ${to}`) ?? 0) + 1);
    }
  }
  return arrows;
};

/** Rooms that reach each other in a circle; empty when there is none. */
export const circlesOf = (arrows: Iterable<string>): readonly string[] => {
  const next = new Map<string, string[]>();
  for (const arrow of arrows) {
    const [from = '', to = ''] = arrow.split(' ');
    next.set(from, [...(next.get(from) ?? []), to]);
  }
  const circles: string[] = [];
  const done = new Set<string>();
  const walk = (room: string, path: readonly string[]): void => {
    if (path.includes(room)) {
      circles.push([...path.slice(path.indexOf(room)), room].join(' → '));
      return;
    }
    if (done.has(room)) return;
    for (const to of next.get(room) ?? []) walk(to, [...path, room]);
    done.add(room);
  };
  for (const room of next.keys()) walk(room, []);
  return circles;
};
