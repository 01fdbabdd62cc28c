import Type from 'typebox';
import { Value } from 'typebox/value';
import { notebookPods } from '../teams/labels.ts';

/** The fields of a Kubernetes AdmissionReview that this service uses. Unauthenticated, so only a hint. */
export interface Review {
  readonly uid: string;
  readonly operation: string;
  readonly dryRun: boolean;
  /** `airflow`: a pod of an Airflow run that asks for access of its own. */
  readonly kind: 'notebook' | 'airflow' | 'other';
  readonly namespace: string;
  readonly name: string;
  /** A retried creation gets a new UID. */
  readonly podUid: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** On pods of Airflow: hosts and ports, comma-separated. */
export const allowlistAnnotation = 'allowlist';

const Strings = Type.Record(Type.String(), Type.String());

const Pod = Type.Object({
  metadata: Type.Object({
    name: Type.Optional(Type.String()),
    uid: Type.Optional(Type.String()),
    labels: Type.Optional(Strings),
    annotations: Type.Optional(Strings),
  }),
});

const AdmissionReview = Type.Object({
  apiVersion: Type.Literal('admission.k8s.io/v1'),
  kind: Type.Literal('AdmissionReview'),
  request: Type.Object({
    uid: Type.String({ minLength: 1, maxLength: 128 }),
    kind: Type.Object({ group: Type.String(), version: Type.String(), kind: Type.String() }),
    subResource: Type.Optional(Type.String()),
    operation: Type.String(),
    namespace: Type.Optional(Type.String()),
    name: Type.Optional(Type.String()),
    dryRun: Type.Optional(Type.Boolean()),
    object: Type.Optional(Type.Unknown()),
  }),
});

/** Undefined unless it is an AdmissionReview of version v1 with a request. */
export function parseReview(body: unknown): Review | undefined {
  if (!Value.Check(AdmissionReview, body)) return undefined;
  const {
    uid,
    operation,
    namespace = '',
    name = '',
    dryRun = false,
    kind,
    subResource,
    object,
  } = body.request;
  const { metadata } = Value.Check(Pod, object) ? object : { metadata: {} };
  const { labels = {}, annotations = {} } = metadata;
  const isPod = kind.group === '' && kind.kind === 'Pod' && (subResource ?? '') === '';
  return {
    uid,
    operation,
    dryRun,
    kind: isPod ? kindOf(labels, annotations) : 'other',
    namespace,
    // A generated name is only in the object.
    name: name === '' ? (metadata.name ?? '') : name,
    podUid: metadata.uid,
    labels,
    annotations,
  };
}

function kindOf(
  labels: Readonly<Record<string, string>>,
  annotations: Readonly<Record<string, string>>,
): Review['kind'] {
  if (Object.entries(notebookPods).every(([key, value]) => labels[key] === value)) return 'notebook';
  return labels.dag_id !== undefined && annotations[allowlistAnnotation] !== undefined ? 'airflow' : 'other';
}

/** Kubernetes truncates a longer warning, and drops all of them beyond a total length. */
const longestWarning = 256;
const longestWarnings = 4096;

/**
 * The response, which always allows the pod: the policies decide what it may reach. Warnings are shown to the client
 * that creates the pod.
 */
export function allowedReview(uid: string, warnings: readonly string[] = []): object {
  const short = warnings.map((each) =>
    each.length > longestWarning ? `${each.slice(0, longestWarning - 1)}…` : each,
  );
  const shown = short.slice(0, Math.floor(longestWarnings / longestWarning));
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: { uid, allowed: true, ...(shown.length === 0 ? {} : { warnings: shown }) },
  };
}
