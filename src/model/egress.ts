import Type, { type Static } from 'typebox';
import { answer, closed, enforcedByHandler, Instant, known, nullable, ref } from '../lib/schema.ts';
import { destinationPattern } from './allowlist.ts';

export const FilteredAddress = answer(
  {
    address: Type.String({ examples: ['10.0.0.1'] }),
    range: Type.String({
      description: 'The reserved range that the address is in, which is never opened.',
      examples: ['private'],
    }),
  },
  { $id: 'FilteredAddress' },
);

/** An entry of the allowlist and what it opens now. */
export const EgressEntry = answer(
  {
    entry: Type.String({ examples: ['pypi.org:443'] }),
    host: Type.String({ examples: ['pypi.org'] }),
    portStart: Type.Integer({ minimum: 1, maximum: 65535, examples: [443] }),
    portEnd: Type.Integer({
      minimum: 1,
      maximum: 65535,
      description: 'The last port of a range; equal to portStart for one port.',
      examples: [443],
    }),
    preset: Type.Optional(
      Type.String({ description: 'The preset that the host comes from.', examples: ['pypi'] }),
    ),
    status: known(
      ['resolved', 'unresolved', 'blocked_private_answer', 'too_many_addresses', 'ipv6_only', 'stale'],
      {
        description:
          'resolved: all addresses are open. stale: the addresses known at `since` are open. too_many_addresses: only some are open. Otherwise none are.',
      },
    ),
    addresses: Type.Array(Type.String(), {
      description: 'The addresses that are open while a notebook runs.',
      examples: [['151.101.0.223']],
    }),
    filtered: Type.Array(ref(FilteredAddress), {
      description: 'Addresses that DNS answers but that no notebook may reach.',
    }),
    message: Type.Optional(Type.String({ examples: ['DNS did not answer in time.'] })),
    since: Type.Optional(Instant),
  },
  { $id: 'EgressEntry' },
);
export type EgressEntry = Static<typeof EgressEntry>;

export const EgressPolicyRef = answer(
  {
    kind: Type.String({ examples: ['NetworkPolicy'] }),
    name: Type.String({ examples: ['notebook-egress-baseline'] }),
  },
  { $id: 'EgressPolicyRef' },
);

/** The destinations that a team’s notebooks may connect to. */
export const Egress = answer(
  {
    enabled: Type.Boolean({ description: 'Whether the allowlist is enabled; if not, all egress is open.' }),
    effective: nullable(
      Type.Boolean({
        description:
          'Whether the restriction is enforced; null without one, and when the cluster does not answer.',
      }),
    ),
    because: Type.String({ examples: ['Notebooks can reach the allowlist and nothing else.'] }),
    widenedBy: Type.Array(Type.String(), {
      description: 'Policies that this product does not manage and that open more than the allowlist.',
      examples: [['allow-all']],
    }),
    entries: Type.Array(ref(EgressEntry)),
    policies: nullable(
      Type.Array(ref(EgressPolicyRef), {
        description: 'The managed policies that apply to notebooks; null when the cluster does not answer.',
      }),
    ),
  },
  {
    $id: 'Egress',
    examples: [
      {
        enabled: true,
        effective: true,
        because: 'Notebooks can reach the allowlist and nothing else.',
        widenedBy: [],
        entries: [
          {
            entry: 'pypi.org:443',
            host: 'pypi.org',
            portStart: 443,
            portEnd: 443,
            status: 'resolved',
            addresses: ['151.101.0.223'],
            filtered: [],
          },
          {
            entry: 'db.example.com:1521',
            host: 'db.example.com',
            portStart: 1521,
            portEnd: 1521,
            status: 'blocked_private_answer',
            addresses: [],
            filtered: [{ address: '10.0.0.1', range: 'private' }],
          },
        ],
        policies: [
          { kind: 'NetworkPolicy', name: 'notebook-egress-allow' },
          { kind: 'NetworkPolicy', name: 'notebook-egress-baseline' },
        ],
      },
    ],
  },
);
export type Egress = Static<typeof Egress>;

export const EgressQuestion = closed(
  {
    destination: enforcedByHandler(
      Type.String({
        maxLength: 2048,
        description:
          'A full host name or an IPv4 address, optionally with a port (default 443), or a URL of one.',
        examples: ['dm08-scan.adeo.no:1521'],
      }),
      { pattern: destinationPattern },
    ),
  },
  { $id: 'EgressQuestion' },
);

export const EgressAnswer = answer(
  {
    allowed: Type.Boolean({
      description: 'Whether a notebook that is running now may connect to the destination.',
    }),
    because: Type.String({ examples: ['dm08-scan.adeo.no:1521 opens it, at 198.35.26.96.'] }),
    entry: Type.Optional(
      Type.String({
        description: 'The allowlist entry that opens the destination.',
        examples: ['dm08-scan.adeo.no:1521'],
      }),
    ),
  },
  { $id: 'EgressAnswer' },
);
