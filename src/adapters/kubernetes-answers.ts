import Type from 'typebox';
import { Value } from 'typebox/value';
import { redact } from '../lib/redaction.ts';
import type { Manifest } from '../ports/cluster.ts';
import { Unavailable } from '../ports/unavailable.ts';

const Strings = Type.Record(Type.String(), Type.String());

const Answer = Type.Object({
  metadata: Type.Object({
    name: Type.String(),
    namespace: Type.Optional(Type.String()),
    labels: Type.Optional(Strings),
    annotations: Type.Optional(Strings),
    ownerReferences: Type.Optional(
      Type.Array(
        Type.Object({
          apiVersion: Type.String(),
          kind: Type.String(),
          name: Type.String(),
          uid: Type.String(),
          controller: Type.Optional(Type.Boolean()),
          blockOwnerDeletion: Type.Optional(Type.Boolean()),
        }),
      ),
    ),
    uid: Type.String(),
    resourceVersion: Type.String(),
    generation: Type.Optional(Type.Integer()),
    deletionTimestamp: Type.Optional(Type.String()),
    creationTimestamp: Type.Optional(Type.String()),
    managedFields: Type.Optional(Type.Unknown()),
  }),
  data: Type.Optional(Strings),
  type: Type.Optional(Type.String()),
});

const ListAnswer = Type.Object({
  metadata: Type.Object({ continue: Type.Optional(Type.String()) }),
  items: Type.Array(Answer),
});

const ResourcesAnswer = Type.Object({ resources: Type.Array(Type.Object({ kind: Type.String() })) });

/** The API server’s `Status` of a failed request. Every field of it is optional. */
const StatusAnswer = Type.Object({
  message: Type.Optional(Type.String()),
  details: Type.Optional(
    Type.Object({
      name: Type.Optional(Type.String()),
      kind: Type.Optional(Type.String()),
      causes: Type.Optional(
        Type.Array(
          Type.Object({ reason: Type.Optional(Type.String()), field: Type.Optional(Type.String()) }),
        ),
      ),
    }),
  ),
});
export type StatusAnswer = Type.Static<typeof StatusAnswer>;

export const invalidAnswer = () => new Unavailable('Kubernetes', 'Kubernetes returned an invalid answer.');

/** An object of the API server as a manifest of the port. Throws Unavailable if it is invalid. */
export const manifestOf = (type: { apiVersion: string; kind: string }, answer: unknown): Manifest => {
  if (!Value.Check(Answer, answer)) throw invalidAnswer();
  const { managedFields: _, ...metadata } = answer.metadata;
  // Items of a list carry no type of their own.
  return { ...answer, apiVersion: type.apiVersion, kind: type.kind, metadata };
};

/** A page of a list, and where the next one starts. Throws Unavailable if it is invalid. */
export const pageOf = (
  type: { apiVersion: string; kind: string },
  answer: unknown,
): { readonly items: readonly Manifest[]; readonly next: string | undefined } => {
  if (!Value.Check(ListAnswer, answer)) throw invalidAnswer();
  const { continue: next } = answer.metadata;
  return {
    items: answer.items.map((item) => manifestOf(type, item)),
    next: next === '' ? undefined : next,
  };
};

/** The kinds in a discovery document (APIResourceList). Throws Unavailable if it is invalid. */
export const kindsOf = (answer: unknown): ReadonlySet<string> => {
  if (!Value.Check(ResourcesAnswer, answer)) throw invalidAnswer();
  return new Set(answer.resources.map((resource) => resource.kind));
};

/**
 * The status exactly as the server sent it. It decides what happens next, so nothing is redacted here: a credential
 * may be part of a name in it. `sentenceOf` redacts what people read.
 */
export const statusOf = (body: unknown): StatusAnswer => {
  try {
    const status: unknown = typeof body === 'string' ? JSON.parse(body) : body;
    return Value.Check(StatusAnswer, status) ? status : {};
  } catch {
    return {};
  }
};

/**
 * The sentence of a policy or webhook without the API server’s prefix, capped because people read it, and without
 * `secrets`: values of the request that the server may have quoted.
 */
export const sentenceOf = (status: StatusAnswer, fallback: string, secrets: readonly string[]): string => {
  const message = status.message ?? fallback;
  const sentence = /denied (?:the )?request: (.+)$/s.exec(message)?.[1] ?? message;
  // Before the cut, which could leave the half of a secret.
  return redact(sentence, secrets).slice(0, 1000);
};

/** Whether a 404 is about this object. The server’s 404 for a kind that it does not serve names no object. */
export const isAbsent = ({ details }: StatusAnswer, name: string): boolean => details?.name === name;

/** The values of a Secret, in base64 and decoded. */
export const secretsIn = ({
  kind,
  data,
}: {
  readonly kind?: unknown;
  readonly data?: unknown;
}): readonly string[] => {
  if (kind !== 'Secret' || !Value.Check(Strings, data)) return [];
  return Object.values(data).flatMap((value) => [value, Buffer.from(value, 'base64').toString()]);
};
