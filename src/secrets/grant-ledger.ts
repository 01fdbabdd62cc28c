import Type, { type Static } from 'typebox';
import { Value } from 'typebox/value';
import { closed } from '../lib/schema.ts';
import { type Bound, memberRoles } from './bindings.ts';

/**
 * What we have bound on a secret, kept in an annotation of the secret itself: only of that may be taken away. A policy
 * does not say who bound whom.
 *
 * The order of writes makes that no leaver is ever forgotten, whatever crashes and however many passes run at once:
 *
 * 1. Whoever adds anybody to the policy writes the annotation first, and does so even when all of them are in it
 *    already: that changes the secret’s etag.
 * 2. Whoever takes somebody out of the annotation does so with the etag that it read before it wrote the policy. A
 *    pass that adds somebody and noted so before that read has its policy write refused, because the policy has
 *    changed since; one that notes it later changes the etag, and this write is refused.
 * 3. Without a policy write of its own in between, a pass takes nobody out before `goodForMs` have gone by since
 *    the last note, because whoever wrote that may still be about to bind. No pass lives that long.
 */
export interface GrantLedger {
  readonly bound: Bound;
  /** When a pass last noted that it is about to bind; epoch milliseconds, 0 for never. */
  readonly notedAt: number;
  /** Fingerprints of principals whom Google refused, and when it last did. */
  readonly refused: ReadonlySet<string>;
  readonly refusedAt: number;
}

/** A secret’s annotation; its values are Google’s 16 KiB at most, a principal takes 17 bytes. */
export const ledgerAnnotation = 'knada-notebooks';

/** How long a pass may be about to bind after it has noted it. */
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

/** What a secret’s annotations remember; `unreadable` when somebody else wrote ours. */
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

/** The annotations with this memory in them; others’ stay. The same memory gives the same text. */
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
