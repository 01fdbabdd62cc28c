import { fieldManager } from '../model/record.ts';
import type { ApplyOutcome, Cluster, Manifest, ObjectRef } from '../ports/cluster.ts';
import { Unavailable } from '../ports/unavailable.ts';
import type { Gke } from './gke.ts';
import { isAbsent, kindsOf, manifestOf, pageOf, secretsIn, sentenceOf } from './kubernetes-answers.ts';
import type { ClusterAccess, Connection } from './kubernetes-connection.ts';
import { objectPathOf, pathOf } from './kubernetes-kinds.ts';
import { openRequests, type Reply } from './kubernetes-requests.ts';

/** How long discovery is believed. A kind appears as soon as its definition is installed, and disappears seldom. */
const servedMs = 10 * 60_000;
const notServedMs = 30_000;

/**
 * No object has this version: the store under the API server counts from 2. An apply that names it creates what
 * is absent, and conflicts with what exists. A create by POST would record our fields under an `Update` manager,
 * which would keep fields that a later apply leaves out.
 */
const versionOfNothing = '1';

/** The cluster through @kubernetes/client-node. */
export const openCluster = (
  access: ClusterAccess,
  { gke, pageSize = 500 }: { readonly gke?: Gke; readonly pageSize?: number } = {},
): Cluster & { close(): Promise<void> } => {
  const { send, close } = openRequests(access, gke);

  const unexpected = (verb: string, plural: string, code: number) =>
    new Unavailable(
      'Kubernetes',
      code === 403
        ? `Kubernetes does not allow this service to ${verb} ${plural}.`
        : `Kubernetes answered ${code} when asked to ${verb} ${plural}.`,
    );

  const served = new Map<string, { readonly isServed: boolean; readonly until: number }>();

  /** Nothing is known of the objects of such a kind: its definition may be gone for a while, and they with it. */
  const notServed = ({ apiVersion, kind }: { readonly apiVersion: string; readonly kind: string }) => {
    served.delete(`${apiVersion} ${kind}`);
    return new Unavailable('Kubernetes', `Kubernetes does not serve the kind ${kind} of ${apiVersion}.`);
  };

  const outcomeOf = (ref: ObjectRef, reply: Reply): ApplyOutcome => {
    if ('body' in reply) return { outcome: 'applied', object: manifestOf(ref, reply.body) };
    const { code, status, secrets } = reply;
    const causes = status.details?.causes ?? [];
    const message = sentenceOf(status, `Kubernetes answered ${code}.`, secrets);
    const moved =
      code === 409 ||
      // The object or its namespace is deleted or being deleted.
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

  /** The kinds of a group in a version; none where it is not served. */
  const discover = async (apiVersion: string, signal: AbortSignal): Promise<ReadonlySet<string>> => {
    const [version = '', group = ''] = apiVersion.split('/').reverse();
    const reply = await send(signal, ({ api, carrying }) =>
      api.getAPIResources({ group, version }, carrying(signal)),
    );
    if ('body' in reply) return kindsOf(reply.body);
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
      if (reply.code === 404) {
        if (isAbsent(reply.status, ref.name)) return undefined;
        throw notServed(ref);
      }
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
          const { items, next: following } = pageOf(query, reply.body);
          found.push(...items);
          if (following === undefined) return found;
          next = following;
        } else if (reply.code === 410 && !restarted) {
          // The version that the pages belong to was compacted. If that happens twice, the cluster is too busy.
          restarted = true;
          found = [];
          next = undefined;
        } else if (reply.code === 404) {
          // A namespace that does not exist has an empty list; only a kind that is not served has none.
          throw notServed(query);
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
      if (reply.code === 404) {
        if (isAbsent(reply.status, ref.name)) return 'gone';
        throw notServed(ref);
      }
      if (reply.code === 409) return 'conflict';
      throw unexpected('delete', object.plural, reply.code);
    },

    async serves(apiVersion, kind, signal) {
      const key = `${apiVersion} ${kind}`;
      const known = served.get(key);
      if (known !== undefined && performance.now() < known.until) return known.isServed;
      const isServed = (await discover(apiVersion, signal)).has(kind);
      const until = performance.now() + (isServed ? servedMs : notServedMs);
      served.set(key, { isServed, until });
      return isServed;
    },

    close,
  };
};
