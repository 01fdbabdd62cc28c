import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

/** The port of each part, as an offset from LOCAL_PORT. */
export const offsets = {
  api: 0,
  kubernetes: 1,
  hubs: 2,
  registries: 3,
  issuer: 4,
  functions: 5,
  google: 6,
  dns: 7,
  page: 8,
} as const;
export type Part = keyof typeof offsets;

export const portOf = (part: Part, base: number): number => base + offsets[part];
export const urlOf = (part: Part, base: number): string => `http://localhost:${portOf(part, base)}`;

const isFree = async (part: Part, port: number): Promise<boolean> =>
  (await isFreeForTcp(port)) && (part !== 'dns' || (await isFreeForUdp(port)));

const isFreeForUdp = (port: number): Promise<boolean> => {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = createSocket('udp4');
  socket.once('error', () => socket.close(() => resolve(false)));
  socket.bind(port, '127.0.0.1', () => socket.close(() => resolve(true)));
  return promise;
};

const isFreeForTcp = (port: number): Promise<boolean> => {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const server = createServer();
  server.once('error', () => resolve(false));
  server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  return promise;
};

/** The sandbox’s ports that another program is using. */
export const takenPorts = async (base: number): Promise<readonly { part: Part; port: number }[]> => {
  const parts: Part[] = [
    'api',
    'kubernetes',
    'hubs',
    'registries',
    'issuer',
    'functions',
    'google',
    'dns',
    'page',
  ];
  const checked = await Promise.all(
    parts.map(async (part) => ({
      part,
      port: portOf(part, base),
      free: await isFree(part, portOf(part, base)),
    })),
  );
  return checked.filter(({ free }) => !free).map(({ part, port }) => ({ part, port }));
};

/** A base port from which all of a sandbox’s ports are free now, so that two sandboxes can run side by side. */
export const freeBase = async (): Promise<number> => {
  for (let attempt = 0; attempt < 50; attempt++) {
    const base = 20_000 + 10 * Math.floor(Math.random() * 1_200);
    if ((await takenPorts(base)).length === 0) return base;
  }
  throw new Error('No nine free ports in a row were found on 127.0.0.1.');
};
