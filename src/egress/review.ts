import Type from 'typebox';
import { Value } from 'typebox/value';
import { notebookPods } from '../teams/labels.ts';

/** What an AdmissionReview of Kubernetes asks about, as far as this product cares. A hint: nobody vouches for it. */
export interface Review {
  readonly uid: string;
  readonly operation: string;
  readonly dryRun: boolean;
  /** `airflow`: a pod of an Airflow run that asks for access of its own. */
  readonly kind: 'notebook' | 'airflow' | 'other';
  readonly namespace: string;
  readonly name: string;
  /** Of this attempt: a pod whose creation is tried again gets another one. */
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

/** Undefined when it is no AdmissionReview of version v1 with a request in it. */
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
    // A name that Kubernetes has made up is in the object alone.
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

/** Kubernetes cuts a warning there, and drops all of them beyond this much in sum. */
const longestWarning = 256;
const longestWarnings = 4096;

/**
 * The answer, which never says no: what a pod may reach is the policies’ to say. Warnings are shown to whoever
 * creates the pod.
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
