/** A Kubernetes object as plain JSON. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly ownerReferences?: readonly OwnerReference[];
    readonly uid?: string;
    readonly resourceVersion?: string;
    readonly generation?: number;
    readonly deletionTimestamp?: string;
    readonly creationTimestamp?: string;
  };
  readonly spec?: unknown;
  readonly data?: Readonly<Record<string, string>>;
  readonly type?: string;
  readonly status?: unknown;
}

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

/** A reference to an object of a kind that this product reads or writes. */
export interface ObjectRef {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string;
}

/**
 * GKE. Every call has the signal’s deadline. `conflict`: the object is not the one that was read (uid or
 * resourceVersion moved on, or it is gone, or exists already). `refused`: an admission policy or the API server
 * refused it permanently; `message` is its reason.
 */
export interface Cluster {
  read(ref: ObjectRef, signal: AbortSignal): Promise<Manifest | undefined>;
  /**
   * Every object of a kind in a namespace, all pages. Throws Unavailable when the cluster does not serve the kind:
   * that is not the same as having none. Neither `read` nor `remove` takes such a kind’s object for absent. `labels` are equality selectors; `withLabels` must be there with
   * any value.
   */
  list(
    query: {
      readonly apiVersion: string;
      readonly kind: string;
      readonly namespace?: string;
      readonly labels?: Readonly<Record<string, string>>;
      readonly withLabels?: readonly string[];
    },
    signal: AbortSignal,
  ): Promise<readonly Manifest[]>;
  /**
   * Server-side apply with our field manager, forced. With `metadata.uid` and `resourceVersion` it changes only
   * what was read; without, it only creates: an object that exists by then is a conflict.
   */
  apply(manifest: Manifest, signal: AbortSignal): Promise<ApplyOutcome>;
  /** JSON merge patch (RFC 7396) of an object that was read. */
  patch(
    ref: ObjectRef & { readonly uid: string; readonly resourceVersion: string },
    patch: Readonly<Record<string, unknown>>,
    signal: AbortSignal,
  ): Promise<ApplyOutcome>;
  /**
   * Deletes the object that was read, in the background; `gone` when it no longer exists. With a resourceVersion, only
   * if it is unchanged.
   */
  remove(
    ref: ObjectRef & { readonly uid: string; readonly resourceVersion?: string },
    signal: AbortSignal,
  ): Promise<'removed' | 'gone' | 'conflict'>;
  /** Whether the cluster serves this kind in this version. Yes is believed for ten minutes, no for 30 seconds. */
  serves(apiVersion: string, kind: string, signal: AbortSignal): Promise<boolean>;
}

export type ApplyOutcome =
  | { readonly outcome: 'applied'; readonly object: Manifest }
  | { readonly outcome: 'conflict'; readonly message: string }
  | { readonly outcome: 'refused'; readonly message: string };

export const refOf = ({ apiVersion, kind, metadata }: Manifest): ObjectRef => ({
  apiVersion,
  kind,
  name: metadata.name,
  ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
});

/** The display name of an object, such as `NetworkPolicy notebook-egress-open`. */
export const nameOf = ({ kind, metadata }: Manifest): string => `${kind} ${metadata.name}`;
