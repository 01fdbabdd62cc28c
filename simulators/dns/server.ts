import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { type Socket as Connection, createServer, type Server } from 'node:net';
import { type DecodedPacket, decode } from 'dns-packet';
import { answerTo, type Zone } from './answer.ts';
import { broken, type Records, seed } from './records.ts';

/** `servfail`: answers SERVFAIL. `silent`: does not answer, so the client times out. */
export type DnsFault = 'servfail' | 'silent';

export interface Query {
  readonly name: string;
  readonly type: string;
  readonly over: 'udp' | 'tcp';
}

export interface Dns {
  readonly port: number;
  /** Changes the records of a name; undefined: the name does not exist. */
  set(name: string, records: Records | undefined): void;
  /** Every query for this name gets the fault. Returns a function that ends it. */
  fail(name: string, fault?: DnsFault): () => void;
  /** The queries since the start, the oldest first. */
  queries(): readonly Query[];
  close(): Promise<void>;
}

const mostQueriesKept = 10_000;

/**
 * A DNS server over UDP and TCP. It does not forward: a name that it has not been given does not
 * exist. Throws when the port is taken.
 */
export const startDns = async ({
  port = 0,
  host = '127.0.0.1',
}: {
  readonly port?: number;
  readonly host?: string;
} = {}): Promise<Dns> => {
  const names = new Map(Object.entries(seed));
  const faults = new Map<string, DnsFault>(broken.map((name) => [name, 'servfail']));
  const turns = new Map<string, number>();
  const asked: Query[] = [];
  const connections = new Set<Connection>();
  const zone: Zone = {
    records: (name) => names.get(name),
    isFailing: (name) => faults.get(name) === 'servfail',
    turn: (name) => {
      const turn = turns.get(name) ?? 0;
      turns.set(name, turn + 1);
      return turn;
    },
  };

  /** undefined: no answer. */
  const answer = (message: Buffer, over: 'udp' | 'tcp'): Buffer | undefined => {
    const query = parsed(message);
    if (query === undefined) return undefined;
    const { name = '', type = '' } = query.questions?.[0] ?? {};
    asked.push({ name: name.toLowerCase(), type, over });
    if (asked.length > mostQueriesKept) asked.shift();
    return faults.get(name.toLowerCase()) === 'silent' ? undefined : answerTo(query, zone, over);
  };

  const { udp, tcp } = await listen(port, host);
  udp.on('message', (message, from) => {
    const reply = answer(message, 'udp');
    if (reply !== undefined) udp.send(reply, from.port, from.address);
  });
  tcp.on('connection', (connection) => {
    connections.add(connection);
    connection.on('close', () => connections.delete(connection));
    // The client closed the connection.
    connection.on('error', () => connection.destroy());
    let received = Buffer.alloc(0);
    connection.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        const end = 2 + received.readUInt16BE(0);
        const reply = answer(received.subarray(2, end), 'tcp');
        received = received.subarray(end);
        if (reply === undefined) continue;
        const length = Buffer.alloc(2);
        length.writeUInt16BE(reply.length);
        connection.write(Buffer.concat([length, reply]));
      }
    });
  });

  return {
    port: udp.address().port,
    set: (name, records) => {
      if (records === undefined) names.delete(name);
      else names.set(name, records);
    },
    fail: (name, fault = 'servfail') => {
      faults.set(name, fault);
      return () => void faults.delete(name);
    },
    queries: () => [...asked],
    close: async () => {
      for (const connection of connections) connection.destroy();
      const closed = [once(udp, 'close'), once(tcp, 'close')];
      udp.close();
      tcp.close();
      await Promise.all(closed);
    },
  };
};

const parsed = (message: Buffer): DecodedPacket | undefined => {
  try {
    const packet = decode(message);
    // A response is not answered: two servers would answer each other forever.
    return packet.flag_qr ? undefined : packet;
  } catch {
    return undefined;
  }
};

/** UDP and TCP on the same port; with port 0 on one that is free for both. */
const listen = async (port: number, host: string): Promise<{ udp: Socket; tcp: Server }> => {
  for (let attempt = 1; ; attempt += 1) {
    const udp = createSocket('udp4');
    udp.bind(port, host);
    await once(udp, 'listening');
    const tcp = createServer();
    tcp.listen(udp.address().port, host);
    try {
      await once(tcp, 'listening');
      return { udp, tcp };
    } catch (error) {
      udp.close();
      if (port !== 0 || attempt === 10) throw error;
    }
  }
};
