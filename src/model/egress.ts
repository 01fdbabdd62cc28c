import Type, { type Static } from 'typebox';
import { closed, Instant, nullable, oneOf, ref } from '../lib/schema.ts';

export const FilteredAddress = closed(
  {
    address: Type.String({ examples: ['10.0.0.1'] }),
    range: Type.String({ description: 'Why it is not opened.', examples: ['private'] }),
  },
  { $id: 'FilteredAddress' },
);

/** An entry of the list and what it opens now. */
export const EgressEntry = closed(
  {
    entry: Type.String({ examples: ['pypi.org:443'] }),
    host: Type.String({ examples: ['pypi.org'] }),
    ports: Type.String({
      description: 'One port, or the first and the last.',
      examples: ['443', '6005-6010'],
    }),
    status: oneOf(
      ['resolved', 'unresolved', 'blocked_private_answer', 'too_many_addresses', 'ipv6_only', 'stale'],
      {
        description:
          'stale: what is open is what was known at `since`. too_many_addresses: only some are open. With the others but resolved nothing is.',
      },
    ),
    addresses: Type.Array(Type.String(), {
      description: 'What is open while a notebook runs.',
      examples: [['151.101.0.223']],
    }),
    filtered: Type.Array(ref(FilteredAddress), {
      description: 'What DNS answers and no notebook may reach.',
    }),
    message: Type.Optional(Type.String({ examples: ['DNS did not answer in time.'] })),
    since: Type.Optional(Instant),
  },
  { $id: 'EgressEntry' },
);
export type EgressEntry = Static<typeof EgressEntry>;

export const EgressPolicyRef = closed(
  {
    kind: Type.String({ examples: ['NetworkPolicy'] }),
    name: Type.String({ examples: ['notebook-egress-baseline'] }),
  },
  { $id: 'EgressPolicyRef' },
);

/** The destinations that a team’s notebooks may connect to. */
export const Egress = closed(
  {
    enabled: Type.Boolean({ description: 'Whether the team has opted in; if not, everything is open.' }),
    effective: nullable(
      Type.Boolean({
        description: 'Whether the restriction holds; null without one, and when the cluster does not say.',
      }),
    ),
    because: Type.String({ examples: ['Notebooks can reach the allowlist and nothing else.'] }),
    widenedBy: Type.Array(Type.String(), {
      description: 'Policies of others that open more than the list.',
      examples: [['allow-all']],
    }),
    entries: Type.Array(ref(EgressEntry)),
    policies: nullable(
      Type.Array(ref(EgressPolicyRef), {
        description: 'Ours that are in force for notebooks; null when the cluster does not say.',
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
            ports: '443',
            status: 'resolved',
            addresses: ['151.101.0.223'],
            filtered: [],
          },
          {
            entry: 'db.example.com:1521',
            host: 'db.example.com',
            ports: '1521',
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
    destination: Type.String({
      maxLength: 2048,
      description: 'A host with a port, 443 when there is none; a URL will do.',
      examples: ['dm08-scan.adeo.no:1521'],
    }),
  },
  { $id: 'EgressQuestion' },
);

export const EgressAnswer = closed(
  {
    allowed: Type.Boolean({ description: 'Whether a notebook that runs now may connect there.' }),
    because: Type.String({ examples: ['dm08-scan.adeo.no:1521 opens it, at 198.35.26.96.'] }),
    entry: Type.Optional(
      Type.String({ description: 'The entry that opens it.', examples: ['dm08-scan.adeo.no:1521'] }),
    ),
  },
  { $id: 'EgressAnswer' },
);
