import {
  type Answer,
  type DecodedPacket,
  encode,
  type Packet,
  RECURSION_AVAILABLE,
  RECURSION_DESIRED,
  TRUNCATED_RESPONSE,
} from 'dns-packet';
import type { Records } from './records.ts';

/** RFC 1035: the answer size over UDP unless the client gives another one (EDNS, RFC 6891). */
const plainUdpBytes = 512;

/** The largest answer over UDP, small enough not to be fragmented. */
const ednsUdpBytes = 1232;

const edns: NonNullable<Packet['additionals']> = [
  {
    type: 'OPT',
    name: '.',
    udpPayloadSize: ednsUdpBytes,
    extendedRcode: 0,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: [],
  },
];

/** RFC 1035, 4.1.1. */
const rcodes = { answered: 0, servfail: 2, nxdomain: 3, notImplemented: 4 } as const;
type Rcode = keyof typeof rcodes;

/** A chain of aliases longer than this is a circle. */
const longestChain = 8;

/** The records of a name, and how many answers it has had. */
export interface Zone {
  records(name: string): Records | undefined;
  /** A counter of the queries for this name. */
  turn(name: string): number;
  isFailing(name: string): boolean;
}

/** The answer to a query as it goes over the wire; over UDP cut to what the client takes, with a hint to use TCP. */
export const answerTo = (query: DecodedPacket, zone: Zone, over: 'udp' | 'tcp'): Buffer => {
  const question = query.questions?.[0];
  const { rcode, answers } =
    question === undefined || opcodeOf(query) !== 0
      ? { rcode: 'notImplemented' as const, answers: [] }
      : resolve(question.name.toLowerCase(), question.type, zone);
  const opt = query.additionals?.find((additional) => additional.type === 'OPT');
  const packet = (more: Partial<Packet> & { readonly flags: number }): Buffer =>
    encode({
      type: 'response',
      ...(query.id !== undefined && { id: query.id }),
      questions: query.questions ?? [],
      additionals: opt === undefined ? [] : edns,
      ...more,
    });
  const flags = RECURSION_AVAILABLE | ((query.flags ?? 0) & RECURSION_DESIRED) | rcodes[rcode];
  const whole = packet({ flags, answers: [...answers] });
  const asked = opt?.type === 'OPT' ? opt.udpPayloadSize : 0;
  const room = Math.min(Math.max(plainUdpBytes, asked), ednsUdpBytes);
  return over === 'tcp' || whole.length <= room ? whole : packet({ flags: flags | TRUNCATED_RESPONSE });
};

/** 0 is a query. */
const opcodeOf = ({ flags = 0 }: DecodedPacket): number => (flags >> 11) & 15;

const resolve = (
  asked: string,
  type: string,
  zone: Zone,
): { readonly rcode: Rcode; readonly answers: readonly Answer[] } => {
  const answers: Answer[] = [];
  let name = asked;
  for (let step = 0; step < longestChain; step += 1) {
    if (zone.isFailing(name)) return { rcode: 'servfail', answers: [] };
    const records = zone.records(name);
    if (records === undefined) return { rcode: 'nxdomain', answers };
    const { cname, ttlSeconds: ttl = 300 } = records;
    if (cname === undefined) {
      const addresses = type === 'A' ? records.a : type === 'AAAA' ? records.aaaa : undefined;
      const inTurn = turned(addresses ?? [], records.perAnswer, () => zone.turn(name));
      const some = inTurn.slice(0, records.perAnswer);
      const found = some.map((data): Answer => ({ type: type === 'A' ? 'A' : 'AAAA', name, ttl, data }));
      return { rcode: 'answered', answers: [...answers, ...found] };
    }
    answers.push({ type: 'CNAME', name, ttl, data: cname });
    name = cname;
  }
  return { rcode: 'servfail', answers: [] };
};

/** As name servers do: the addresses start with another one each time. */
const turned = (addresses: readonly string[], perAnswer = 1, turn: () => number): readonly string[] => {
  if (addresses.length === 0) return [];
  const start = (turn() * perAnswer) % addresses.length;
  return [...addresses.slice(start), ...addresses.slice(0, start)];
};
