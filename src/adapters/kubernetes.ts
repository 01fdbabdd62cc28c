import { setTimeout as wait } from 'node:timers/promises';
import type { ApiException } from '@kubernetes/client-node';
import Type from 'typebox';
import { Value } from 'typebox/value';
import { redact } from '../lib/redaction.ts';
import { type KindName, kinds } from '../model/kinds.ts';
import { fieldManager } from '../model/record.ts';
import type { ApplyOutcome, Cluster, Manifest, ObjectRef } from '../ports/cluster.ts';
import { Unavailable } from '../ports/unavailable.ts';
import type { Gke } from './gke.ts';
import { type ClusterAccess, type Connection, connect } from './kubernetes-connection.ts';

/** Where the API server keeps each kind. */
const resources: Readonly<Record<KindName, { readonly plural: string; readonly scope?: 'cluster' }>> = {
  namespace: { plural: 'namespaces', scope: 'cluster' },
  serviceAccount: { plural: 'serviceaccounts' },
  configMap: { plural: 'configmaps' },
  secret: { plural: 'secrets' },
  pod: { plural: 'pods' },
  event: { plural: 'events' },
  volumeClaim: { plural: 'persistentvolumeclaims' },
  service: { plural: 'services' },
  deployment: { plural: 'deployments' },
  statefulSet: { plural: 'statefulsets' },
  networkPolicy: { plural: 'networkpolicies' },
  fqdnNetworkPolicy: { plural: 'fqdnnetworkpolicies' },
  helmRelease: { plural: 'helmreleases' },
};

const isKindName = (name: string): name is KindName => Object.hasOwn(kinds, name);

const resourceByKind = new Map(
  Object.keys(resources)
    .filter(isKindName)
    .map((name) => [`${kinds[name].apiVersion}/${kinds[name].kind}`, resources[name]]),
);

const tries = 4;
const firstPauseMs = 100;

/** What is served changes with the cluster’s version, or when somebody installs a custom resource. */
const discoveryMs = 10 * 60_000;

/** A server that asks for more is not waited for: the tick comes again. */
const longestPauseMs = 10_000;

/**
 * No object has this version: the store under the API server counts from 2. An apply that names it makes what
 * is absent, and is a conflict where anything is present. A create by POST would leave our fields with an
 * `Update` owner, which keeps alive what a later apply leaves out.
 */
const versionOfNothing = '1';

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

/** What the API server says when it does not do what was asked. Everything in it is optional. */
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
type StatusAnswer = Type.Static<typeof StatusAnswer>;

/** The server’s answer: what was asked for, or a code of its own choosing with its reasons. */
type Reply = { readonly body: unknown } | { readonly code: number; readonly status: StatusAnswer };

const nonsense = () => new Unavailable('Kubernetes', 'Kubernetes gave an answer that makes no sense.');
const late = () => new Unavailable('Kubernetes', 'Kubernetes did not answer in time.');

const failureOf = (cause: unknown): Unavailable => {
  if (cause instanceof Unavailable) return cause;
  // client-node’s words for an answer that is not JSON.
  if (cause instanceof SyntaxError || (cause instanceof Error && cause.message.startsWith('The mediaType'))) {
    return nonsense();
  }
  return new Unavailable('Kubernetes', 'Kubernetes cannot be reached.', { cause });
};

const manifestOf = (type: { apiVersion: string; kind: string }, answer: unknown): Manifest => {
  if (!Value.Check(Answer, answer)) throw nonsense();
  const { managedFields: _, ...metadata } = answer.metadata;
  // Items of a list carry no type of their own.
  return { ...answer, apiVersion: type.apiVersion, kind: type.kind, metadata };
};

/** `secrets`: what the server was shown and may quote. */
const statusOf = (body: unknown, secrets: readonly string[]): StatusAnswer => {
  try {
    const text = redact(typeof body === 'string' ? body : JSON.stringify(body), secrets);
    const status: unknown = JSON.parse(text);
    return Value.Check(StatusAnswer, status) ? status : {};
  } catch {
    return {};
  }
};

/** The sentence of a policy or webhook without the machinery’s words around it; capped, it is shown to people. */
const sentenceOf = (status: StatusAnswer, fallback: string): string => {
  const message = status.message ?? fallback;
  return (/denied (?:the )?request: (.+)$/s.exec(message)?.[1] ?? message).slice(0, 1000);
};

/** Structural: the class is loaded lazily. Its message carries the whole answer, so it never travels further. */
const isApiException = (error: unknown): error is ApiException<unknown> =>
  error instanceof Error &&
  'code' in error &&
  typeof error.code === 'number' &&
  'body' in error &&
  'headers' in error;

const isTransient = (code: number, status: StatusAnswer) =>
  code === 429 || (code >= 500 && !isUntypable(code, status));

/** The server’s 500 for a manifest with a field that the kind does not have: no later try mends it. */
const isUntypable = (code: number, { message }: StatusAnswer) =>
  code === 500 && message !== undefined && message.startsWith('failed to create typed patch object');

const pauseMs = (attempt: number, headers: Readonly<Record<string, string>>): number => {
  const asked = Number(headers['retry-after'] ?? Number.NaN) * 1000;
  return Number.isFinite(asked) && asked >= 0
    ? asked
    : firstPauseMs * 2 ** (attempt - 1) * (1 + Math.random());
};

/** Settles with the work or the signal, whichever is first: imports and token fetches take no signal. */
const within = async <T>(signal: AbortSignal, work: Promise<T>): Promise<T> => {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
};

const pathOf = (ref: { apiVersion: string; kind: string; namespace?: string | undefined }) => {
  const kind = resourceByKind.get(`${ref.apiVersion}/${ref.kind}`);
  if (kind === undefined) throw new TypeError(`${ref.apiVersion} ${ref.kind} is not a kind that we use`);
  const [version = '', group = ''] = ref.apiVersion.split('/').reverse();
  const namespace = kind.scope === 'cluster' ? undefined : ref.namespace;
  return { type: { group, version, plural: kind.plural }, namespace, scope: kind.scope };
};

/** The values of a Secret, as they are sent and as they are. */
const secretsIn = ({
  kind,
  data,
}: {
  readonly kind?: unknown;
  readonly data?: unknown;
}): readonly string[] => {
  if (kind !== 'Secret' || !Value.Check(Strings, data)) return [];
  return Object.values(data).flatMap((value) => [value, Buffer.from(value, 'base64').toString()]);
};

const objectPathOf = (ref: ObjectRef) => {
  const path = pathOf(ref);
  if (path.scope !== 'cluster' && path.namespace === undefined) {
    throw new TypeError(`${ref.kind} ${ref.name} needs a namespace`);
  }
  for (const part of [ref.name, path.namespace ?? 'none']) {
    if (!/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(part)) throw new TypeError(`"${part}" cannot be a name`);
  }
  return { object: { ...path.type, name: ref.name }, namespace: path.namespace };
};

/**
 * The cluster through @kubernetes/client-node. What could not be reached or did not know us is looked up again
 * at the next try, so a moved endpoint, a new authority or a rotated credential needs no restart.
 */
export const openCluster = (
  access: ClusterAccess,
  { gke, pageSize = 500 }: { readonly gke?: Gke; readonly pageSize?: number } = {},
): Cluster & { close(): Promise<void> } => {
  let connection: Promise<Connection> | undefined;

  const connected = () => {
    if (connection === undefined) {
      // Not the caller’s signal: others wait for the same connection.
      const opening = connect(access, gke, AbortSignal.timeout(longestPauseMs));
      opening.catch(() => forget(opening));
      connection = opening;
    }
    return connection;
  };

  const forget = (used: Promise<Connection>) => {
    if (connection !== used) return;
    connection = undefined;
    used.then((old) => old.close()).catch(() => undefined);
  };

  /**
   * One call, repeated while the server is busy or away. Repeating is safe for writes too: each is guarded by
   * the version or uid that it expects, so a repetition of what did arrive is at worst a conflict.
   */
  const send = async (
    signal: AbortSignal,
    request: (connection: Connection) => Promise<unknown>,
    secrets: readonly string[] = [],
  ): Promise<Reply> => {
    for (let attempt = 1; ; attempt += 1) {
      if (signal.aborted) throw late();
      const used = connected();
      let failure: Unavailable;
      let pause: number;
      try {
        return { body: await within(signal, used.then(request)) };
      } catch (error) {
        if (signal.aborted) throw late();
        if (isApiException(error)) {
          const status = statusOf(error.body, [(await used).credential(), ...secrets]);
          if (error.code !== 401 && !isTransient(error.code, status)) return { code: error.code, status };
          if (error.code === 401) forget(used);
          failure = new Unavailable(
            'Kubernetes',
            error.code === 401
              ? 'Kubernetes did not accept this service’s credentials.'
              : `Kubernetes answered ${error.code}.`,
          );
          pause = pauseMs(attempt, error.headers);
        } else {
          forget(used);
          failure = failureOf(error);
          pause = pauseMs(attempt, {});
        }
      }
      if (attempt === tries || pause > longestPauseMs) throw failure;
      await wait(pause, undefined, { signal }).catch(() => undefined);
    }
  };

  const unexpected = (verb: string, plural: string, code: number) =>
    new Unavailable(
      'Kubernetes',
      code === 403
        ? `Kubernetes does not let this service ${verb} ${plural}.`
        : `Kubernetes answered ${code} when asked to ${verb} ${plural}.`,
    );

  const outcomeOf = (ref: ObjectRef, reply: Reply): ApplyOutcome => {
    if ('body' in reply) return { outcome: 'applied', object: manifestOf(ref, reply.body) };
    const { code, status } = reply;
    const causes = status.details?.causes ?? [];
    const message = sentenceOf(status, `Kubernetes answered ${code}.`);
    const moved =
      code === 409 ||
      // The object, or the namespace it belongs to, is gone or on its way out.
      (code === 404 && (status.details?.name === ref.name || status.details?.kind === 'namespaces')) ||
      causes.some(({ reason }) => reason === 'NamespaceTerminating') ||
      causes.some(({ field }) => field === 'metadata.uid');
    return { outcome: moved ? 'conflict' : 'refused', message };
  };

  const modify = async (
    ref: ObjectRef,
    body: Readonly<Record<string, unknown>>,
    how: { readonly contentType: string; readonly force?: true },
    signal: AbortSignal,
  ) => {
    const { object, namespace } = objectPathOf(ref);
    const patch = ({ api, carrying }: Connection) => {
      const options = carrying(signal, how.contentType);
      const parameters = { ...object, body, fieldManager, ...(how.force ? { force: true } : {}) };
      return namespace === undefined
        ? api.patchClusterCustomObject(parameters, options)
        : api.patchNamespacedCustomObject({ ...parameters, namespace }, options);
    };
    const reply = await send(signal, patch, secretsIn(body));
    return outcomeOf(ref, reply);
  };

  const served = new Map<string, { readonly kinds: ReadonlySet<string>; readonly until: number }>();

  /** The kinds of a group in a version; none where it is not served. */
  const discover = async (apiVersion: string, signal: AbortSignal): Promise<ReadonlySet<string>> => {
    const [version = '', group = ''] = apiVersion.split('/').reverse();
    const reply = await send(signal, ({ api, carrying }) =>
      api.getAPIResources({ group, version }, carrying(signal)),
    );
    if ('body' in reply) {
      if (!Value.Check(ResourcesAnswer, reply.body)) throw nonsense();
      return new Set(reply.body.resources.map((resource) => resource.kind));
    }
    if (reply.code === 404) return new Set();
    throw unexpected('look at', apiVersion, reply.code);
  };

  return {
    async read(ref, signal) {
      const { object, namespace } = objectPathOf(ref);
      const reply = await send(signal, ({ api, carrying }) =>
        namespace === undefined
          ? api.getClusterCustomObject(object, carrying(signal))
          : api.getNamespacedCustomObject({ ...object, namespace }, carrying(signal)),
      );
      if ('body' in reply) return manifestOf(ref, reply.body);
      if (reply.code === 404) return undefined;
      throw unexpected('read', object.plural, reply.code);
    },

    async list(query, signal) {
      const { type, namespace } = pathOf(query);
      const labelSelector = [
        ...Object.entries(query.labels ?? {}).map(([key, value]) => `${key}=${value}`),
        ...(query.withLabels ?? []),
      ].join(',');
      const page = (start: string | undefined) =>
        send(signal, ({ api, carrying }) => {
          const parameters = {
            ...type,
            limit: pageSize,
            ...(start === undefined ? {} : { _continue: start }),
            ...(labelSelector === '' ? {} : { labelSelector }),
          };
          return namespace === undefined
            ? api.listClusterCustomObject(parameters, carrying(signal))
            : api.listNamespacedCustomObject({ ...parameters, namespace }, carrying(signal));
        });
      let found: Manifest[] = [];
      let next: string | undefined;
      let restarted = false;
      for (;;) {
        const reply = await page(next);
        if ('body' in reply) {
          if (!Value.Check(ListAnswer, reply.body)) throw nonsense();
          found.push(...reply.body.items.map((item) => manifestOf(query, item)));
          next = reply.body.metadata.continue;
          if (next === undefined || next === '') return found;
        } else if (reply.code === 410 && !restarted) {
          // The version that the pages were taken from is compacted away; a second time the cluster is too busy.
          restarted = true;
          found = [];
          next = undefined;
        } else if (reply.code === 404) {
          return [];
        } else {
          throw unexpected('list', type.plural, reply.code);
        }
      }
    },

    apply(manifest, signal) {
      const { uid, resourceVersion = versionOfNothing } = manifest.metadata;
      const guard = uid === undefined ? { resourceVersion: versionOfNothing } : { uid, resourceVersion };
      return modify(
        { apiVersion: manifest.apiVersion, kind: manifest.kind, ...manifest.metadata },
        { ...manifest, metadata: { ...manifest.metadata, ...guard } },
        { contentType: 'application/apply-patch+yaml', force: true },
        signal,
      );
    },

    patch(ref, patch, signal) {
      const metadata = patch.metadata;
      const guard = { uid: ref.uid, resourceVersion: ref.resourceVersion };
      return modify(
        ref,
        { ...patch, metadata: { ...(typeof metadata === 'object' ? metadata : {}), ...guard } },
        { contentType: 'application/merge-patch+json' },
        signal,
      );
    },

    async remove(ref, signal) {
      const { object, namespace } = objectPathOf(ref);
      const { uid, resourceVersion } = ref;
      const preconditions = { uid, ...(resourceVersion === undefined ? {} : { resourceVersion }) };
      const reply = await send(signal, ({ api, carrying }) => {
        const parameters = { ...object, body: { preconditions, propagationPolicy: 'Background' } };
        return namespace === undefined
          ? api.deleteClusterCustomObject(parameters, carrying(signal))
          : api.deleteNamespacedCustomObject({ ...parameters, namespace }, carrying(signal));
      });
      if ('body' in reply) return 'removed';
      if (reply.code === 404) return 'gone';
      if (reply.code === 409) return 'conflict';
      throw unexpected('delete', object.plural, reply.code);
    },

    async serves(apiVersion, kind, signal) {
      const known = served.get(apiVersion);
      if (known !== undefined && performance.now() < known.until) return known.kinds.has(kind);
      const kinds = await discover(apiVersion, signal);
      served.set(apiVersion, { kinds, until: performance.now() + discoveryMs });
      return kinds.has(kind);
    },

    async close() {
      const used = connection;
      connection = undefined;
      await used?.then((open) => open.close()).catch(() => undefined);
    },
  };
};
