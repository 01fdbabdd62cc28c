import { parseCidr } from './cidr.ts';
import { asList, asMap, asText, isMap, type Json, type JsonMap } from './json.ts';
import { selectorFaults } from './label-validation.ts';
import type { KubeObject } from './object.ts';
import { type Fault, forbiddenValue, invalidValue, notSupported, requiredValue } from './status.ts';

/** The faults of a NetworkPolicy's spec, as the real server finds them. */
export function networkPolicyFaults(policy: KubeObject): Fault[] {
  const spec = asMap(policy.spec);
  const rules = (field: string, peers: string): Fault[] =>
    asList(spec[field]).flatMap((rule, index) => ruleFaults(asMap(rule), `spec.${field}[${index}]`, peers));
  const types = asList(spec.policyTypes);
  return [
    ...selectorFaults(spec.podSelector, 'spec.podSelector'),
    ...rules('ingress', 'from'),
    ...rules('egress', 'to'),
    ...(types.length > 2
      ? [invalidValue('spec.policyTypes', types, 'may not specify more than two policyTypes')]
      : []),
    ...types.flatMap((type, index) =>
      type === 'Ingress' || type === 'Egress'
        ? []
        : [notSupported(`spec.policyTypes[${index}]`, type, ['Ingress', 'Egress'])],
    ),
  ];
}

/** The server accepts an address with host bits as a CIDR, but says so in a Warning header. */
export function networkPolicyWarnings(policy: KubeObject): string[] {
  const warnings: string[] = [];
  const spec = asMap(policy.spec);
  for (const [field, peers] of [
    ['ingress', 'from'],
    ['egress', 'to'],
  ] as const) {
    asList(spec[field]).forEach((rule, ruleIndex) => {
      asList(asMap(rule)[peers]).forEach((peer, peerIndex) => {
        const block = asMap(asMap(peer).ipBlock);
        const at = `spec.${field}[${ruleIndex}].${peers}[${peerIndex}].ipBlock`;
        if (hasHostBits(asText(block.cidr)))
          warnings.push(`${at}.cidr: CIDR value "${asText(block.cidr)}" is ambiguous in this context`);
        asList(block.except).forEach((except, index) => {
          if (hasHostBits(asText(except)))
            warnings.push(
              `${at}.except[${index}]: CIDR value "${asText(except)}" is ambiguous in this context`,
            );
        });
      });
    });
  }
  return warnings;
}

function hasHostBits(text: string): boolean {
  const cidr = parseCidr(text);
  return cidr !== undefined && cidr.bits % 2n ** BigInt(cidr.width - cidr.prefix) !== 0n;
}

function ruleFaults(rule: JsonMap, path: string, peers: string): Fault[] {
  return [
    ...asList(rule.ports).flatMap((port, index) => portFaults(asMap(port), `${path}.ports[${index}]`)),
    ...asList(rule[peers]).flatMap((peer, index) => peerFaults(asMap(peer), `${path}.${peers}[${index}]`)),
  ];
}

const PROTOCOLS = ['TCP', 'UDP', 'SCTP'];
const inRange = (port: number): boolean => Number.isInteger(port) && port >= 1 && port <= 65535;
const OUT_OF_RANGE = 'must be between 1 and 65535, inclusive';

function portFaults(port: JsonMap, path: string): Fault[] {
  const faults: Fault[] = [];
  if (port.protocol !== undefined && !PROTOCOLS.includes(asText(port.protocol))) {
    faults.push(notSupported(`${path}.protocol`, port.protocol, PROTOCOLS));
  }
  const { port: number, endPort } = port;
  if (typeof number === 'number') {
    if (!inRange(number)) faults.push(invalidValue(`${path}.port`, number, OUT_OF_RANGE));
    if (typeof endPort === 'number') {
      if (endPort < number)
        faults.push(invalidValue(`${path}.endPort`, number, 'must be greater than or equal to `port`'));
      else if (!inRange(endPort)) faults.push(invalidValue(`${path}.endPort`, endPort, OUT_OF_RANGE));
    }
  } else if (typeof number === 'string') {
    if (endPort !== undefined)
      faults.push(
        invalidValue(`${path}.endPort`, endPort, 'may not be specified when `port` is non-numeric'),
      );
    faults.push(...portNameFaults(number).map((why) => invalidValue(`${path}.port`, number, why)));
  } else if (endPort !== undefined) {
    faults.push(
      invalidValue(`${path}.endPort`, endPort, 'may not be specified when `port` is not specified'),
    );
  }
  return faults;
}

function portNameFaults(name: string): string[] {
  const faults: string[] = [];
  if (name.length > 15) faults.push('must be no more than 15 characters');
  if (!/^[-a-z0-9]+$/.test(name))
    faults.push('must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)');
  if (!/[a-z]/.test(name)) faults.push('must contain at least one letter (a-z)');
  if (name.includes('--')) faults.push('must not contain consecutive hyphens');
  if (name.startsWith('-') || name.endsWith('-')) faults.push('must not begin or end with a hyphen');
  return faults;
}

function peerFaults(peer: JsonMap, path: string): Fault[] {
  const faults: Fault[] = [];
  const selectors = ['podSelector', 'namespaceSelector'].filter((field) => isMap(peer[field]));
  for (const field of selectors) faults.push(...selectorFaults(peer[field], `${path}.${field}`));
  if (isMap(peer.ipBlock)) faults.push(...blockFaults(peer.ipBlock, `${path}.ipBlock`));
  if (selectors.length === 0 && !isMap(peer.ipBlock)) faults.push(requiredValue(path, 'must specify a peer'));
  if (selectors.length > 0 && isMap(peer.ipBlock)) {
    faults.push(forbiddenValue(path, 'may not specify both ipBlock and another peer'));
  }
  return faults;
}

const NOT_A_CIDR = 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)';

function blockFaults(block: JsonMap, path: string): Fault[] {
  const text = asText(block.cidr);
  if (text === '') return [requiredValue(`${path}.cidr`)];
  const cidr = parseCidr(text);
  if (cidr === undefined) return [invalidValue(`${path}.cidr`, text, NOT_A_CIDR)];
  return asList(block.except).flatMap((entry: Json, index) => {
    const except = parseCidr(asText(entry));
    const at = `${path}.except[${index}]`;
    if (except === undefined) return [invalidValue(at, entry, NOT_A_CIDR)];
    const shift = BigInt(cidr.width - cidr.prefix);
    const inside =
      except.width === cidr.width &&
      except.prefix > cidr.prefix &&
      except.bits >> shift === cidr.bits >> shift;
    return inside ? [] : [invalidValue(at, entry, 'must be a strict subset of `cidr`')];
  });
}
