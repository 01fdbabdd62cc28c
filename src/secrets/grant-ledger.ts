import Type, { type Static } from 'typebox';
import { Value } from 'typebox/value';
import { closed } from '../lib/schema.ts';
import { type Bound, memberRoles } from './bindings.ts';

/**
 * The bindings that we made on a secret, stored in an annotation of the secret itself. Only these may be removed: a
 * policy does not say who added a binding.
 *
 * The order of writes ensures that no former member is forgotten, whatever crashes and however many reconciles run
 * concurrently:
 *
 * 1. A reconcile that adds a principal to the policy writes the annotation first, even when the principal is already in
 *    it: that changes the secret’s etag.
 * 2. A reconcile that removes a principal from the annotation uses the etag that it read before it wrote the policy. A
 *    concurrent reconcile that recorded an addition before that read has its policy write refused, because the policy
 *    has changed since; one that records it later changes the etag, and this write is refused.
 * 3. Without a policy write of its own, a reconcile removes no principal from the annotation until `intentValidMs` after
 *    the last recorded intent, because that addition may still be in progress. No reconcile takes that long.
 */
export interface GrantLedger {
  readonly bound: Bound;
  /** When a reconcile last recorded that it is about to add a principal; epoch milliseconds, 0 for never. */
  readonly notedAt: number;
  /** Fingerprints of principals that Google refused, and when it last did. */
  readonly refused: ReadonlySet<string>;
  readonly refusedAt: number;
}

/** The annotation of the ledger. Google limits it to 16 KiB; a principal takes 17 bytes. */
export const ledgerAnnotation = 'knada-notebooks';

/** How long a recorded intent may still be carried out. */
export const intentValidMs = 3_600_000;

export const emptyLedger: GrantLedger = { bound: new Map(), notedAt: 0, refused: new Set(), refusedAt: 0 };

const fingerprint = Type.String({ pattern: '^[A-Za-z0-9_-]{12}$' });

/** Roles as a bit mask over `memberRoles`, in their order. */
const Stored = closed({
  bound: Type.Record(fingerprint, Type.Integer({ minimum: 1, maximum: 7 }), { additionalProperties: false }),
  notedAt: Type.Integer({ minimum: 0 }),
  refused: Type.Array(fingerprint),
  refusedAt: Type.Integer({ minimum: 0 }),
});

const maskOf = (roles: ReadonlySet<string>): number =>
  memberRoles.reduce((mask, role, bit) => (roles.has(role) ? mask | (1 << bit) : mask), 0);

const rolesOf = (mask: number): ReadonlySet<string> =>
  new Set(memberRoles.filter((_, bit) => (mask & (1 << bit)) !== 0));

/** The ledger in a secret’s annotations; `unreadable` when someone else wrote ours. */
export const readLedger = (annotations: Readonly<Record<string, string>>): GrantLedger | 'unreadable' => {
  const text = annotations[ledgerAnnotation];
  if (text === undefined) return emptyLedger;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return 'unreadable';
  }
  if (!Value.Check(Stored, value)) return 'unreadable';
  const bound = new Map(Object.entries(value.bound).map(([key, mask]) => [key, rolesOf(mask)]));
  return { ...value, bound, refused: new Set(value.refused) };
};

/** The annotations with this ledger; other annotations stay. The same ledger gives the same text. */
export const withLedger = (
  annotations: Readonly<Record<string, string>>,
  { bound, notedAt, refused, refusedAt }: GrantLedger,
): Readonly<Record<string, string>> => {
  const stored: Static<typeof Stored> = {
    bound: Object.fromEntries([...bound].map(([key, roles]) => [key, maskOf(roles)] as const).toSorted()),
    notedAt,
    refused: [...refused].toSorted(),
    refusedAt,
  };
  return { ...annotations, [ledgerAnnotation]: JSON.stringify(stored) };
};
