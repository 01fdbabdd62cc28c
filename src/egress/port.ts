import { EntryProblem } from '../model/allowlist.ts';
import { type Refusal, refuse, shown } from './entry-problem.ts';

/** The parts of an entry other than its host; `port` is the text after the colon, `tail` what is dropped. */
export interface Parts {
  readonly scheme: string | undefined;
  readonly port: string | undefined;
  readonly tail: string;
}

export type PortResult = { readonly ok: true; readonly start: number; readonly end: number } | Refusal;

const otherProtocols = ['udp', 'sctp', 'icmp'];

/**
 * The ports of an entry: 443 by default, unless its scheme says otherwise. `host` is for the messages. parseEntry
 * documents which fault is reported first.
 */
export function parsePort(parts: Parts, host: string, maxWidth: number): PortResult {
  const { scheme, port, tail } = parts;
  if (port === undefined) {
    if (scheme !== undefined && scheme !== 'https') {
      return refuse(
        EntryProblem.SchemePortMismatch,
        `${shown(`${scheme}://`)} does not mean port 443, the default of an entry without a port. Write the port: ${host}:${scheme === 'http' ? '80' : 'port'}.`,
      );
    }
    return { ok: true, start: 443, end: 443 };
  }
  const range = parsePortRange(port, host, maxWidth);
  if (!range.ok) return range;
  const suffix = tail.slice(1, 8).toLowerCase();
  const protocol = otherProtocols.find((name) => name === suffix || name === scheme);
  if (protocol !== undefined) {
    return refuse(
      EntryProblem.ProtocolNotSupported,
      `Only TCP can be opened, not ${protocol.toUpperCase()}. Write ${host}:${port} for TCP; DNS works without an entry.`,
    );
  }
  return range;
}

function parsePortRange(text: string, host: string, maxWidth: number): PortResult {
  if (text === '') {
    return refuse(
      EntryProblem.PortMissing,
      `There is no port after the colon. Write ${host}:443, or ${host} alone for port 443.`,
    );
  }
  const [startText = '', endText = startText, ...more] = text.split('-', 3);
  if (more.length > 0 || ![startText, endText].every((part) => /^(?:0|[1-9][0-9]*)$/.test(part))) {
    return refuse(
      EntryProblem.InvalidPort,
      `${shown(text)} is not a port. Write a number without leading zeros, such as ${host}:5432, or two with a hyphen, such as ${host}:6005-6010.`,
    );
  }
  const [start, end] = [Number(startText), Number(endText)];
  if ([start, end].some((port) => port < 1 || port > 65_535)) {
    return refuse(EntryProblem.PortOutOfRange, `${shown(text)} is out of range: ports are 1 to 65535.`);
  }
  if (start > end) {
    return refuse(
      EntryProblem.PortRangeReversed,
      `The port range is reversed. Write ${host}:${end}-${start}.`,
    );
  }
  if (end - start + 1 > maxWidth) {
    return refuse(
      EntryProblem.PortRangeTooWide,
      `${text} has ${end - start + 1} ports; the limit is ${maxWidth}. List only the ports that are used.`,
    );
  }
  return { ok: true, start, end };
}
