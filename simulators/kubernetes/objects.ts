import { randomUUID } from 'node:crypto';
import { seconds } from '../time.ts';
import type { AdmissionRequest, Admit, User } from './admission.ts';
import { type Decoded, decode, parseBody, parsePatch, parseYamlBody } from './decode.ts';
import { deleted, markedForDeletion } from './deletion.ts';
import { FieldSet } from './field-set.ts';
import { asMap, asText, asTexts, type JsonMap, sameJson, without } from './json.ts';
import { ANSWERED_WHEN_DELETED, asksForChange, completeNew, keepAssigned } from './kinds.ts';
import { apply, recordUpdate, type Writer } from './managed-fields.ts';
import { networkPolicyWarnings } from './network-policy.ts';
import { emptyBuiltIn, normalizeBuiltIn, withDefaults } from './normalize.ts';
import {
  asObject,
  finalizersOf,
  isBeingDeleted,
  type KubeObject,
  nameOf,
  uidOf,
  versionOf,
  withMetadata,
} from './object.ts';
import { patcher } from './patch.ts';
import { checkName, checkPreconditions, mustNameVersion } from './preconditions.ts';
import type { Registry } from './registry.ts';
import { subjectOf, type Target } from './request.ts';
import { groupVersionOf, type Resource } from './resources.ts';
import { schemaOf } from './schema.ts';
import {
  ApiError,
  alreadyExists,
  badRequest,
  conflict,
  forbidden,
  invalid,
  modified,
  notFound,
} from './status.ts';
import { typeFaults } from './structured-merge.ts';
import { changeFaults, contentFaults, metadataFaults } from './validation.ts';

/** The options of a write. */
export interface WriteOptions {
  readonly user: User;
  readonly manager: string;
  readonly dryRun: boolean;
  readonly fieldValidation: string;
}

export interface Written {
  readonly status: number;
  readonly body: JsonMap;
  readonly warnings: readonly string[];
}

const ATTEMPTS = 5;
const NAMESPACES_KIND = 'Namespace';

/** The real server compares these with what is stored before empty lists are dropped: each time it counts a change. */
const COUNTS_EMPTIES = ['NetworkPolicy', 'ValidatingWebhookConfiguration'];

/**
 * The verbs that change objects, with everything that the real server does on the way: decoding, defaults, field
 * ownership, validation, admission, optimistic concurrency, finalizers.
 */
export class Objects {
  readonly #registry: Registry;
  readonly #resources: readonly Resource[];
  readonly #admit: Admit;
  readonly #now: () => number;

  constructor(deps: { registry: Registry; resources: readonly Resource[]; admit: Admit; now: () => number }) {
    this.#registry = deps.registry;
    this.#resources = deps.resources;
    this.#admit = deps.admit;
    this.#now = deps.now;
  }

  get(target: Target): KubeObject {
    const object = this.#registry.get(target.resource, target.namespace, target.name);
    if (object === undefined) throw notFound(subjectOf(target));
    return object;
  }

  async create(target: Target, text: string, contentType: string, options: WriteOptions): Promise<Written> {
    const decoded = decode(target, parseBody(text, contentType, target.resource), options.fieldValidation);
    const sent = withMetadata(decoded.object, { managedFields: undefined });
    const inside = asText(sent.metadata.namespace);
    if (inside !== '' && inside !== target.namespace) {
      throw badRequest(
        'the namespace of the provided object does not match the namespace sent on the request',
      );
    }
    if (versionOf(sent) !== '')
      throw new ApiError(500, '', 'resourceVersion should not be set on objects to be created');
    const named = this.#withIdentity(target, sent);
    const full = { ...decoded.full, metadata: { ...decoded.full.metadata, ...named.metadata } };
    const schema = schemaOf(target.resource.schema);
    const recorded = recordUpdate(
      schema,
      emptyOf(target.resource),
      full,
      this.#writer(target, options),
      this.#stamp(),
    );
    const { managedFields } = recorded.metadata;
    return this.#finishCreate(target, withMetadata(named, { managedFields }), decoded.warnings, options);
  }

  async update(target: Target, text: string, contentType: string, options: WriteOptions): Promise<Written> {
    const decoded = decode(target, parseBody(text, contentType, target.resource), options.fieldValidation);
    const sent = decoded.object;
    checkName(target, sent, false);
    if (versionOf(sent) === '' && mustNameVersion(target.resource)) {
      this.get(target);
      const why = 'must be specified for an update';
      throw invalid(subjectOf(target), [
        {
          reason: 'FieldValueInvalid',
          field: 'metadata.resourceVersion',
          message: `Invalid value: 0x0: ${why}`,
        },
      ]);
    }
    return this.#change(target, options, (live) => {
      const uid = uidOf(sent);
      if (uid !== '' && uid !== uidOf(live)) {
        const why = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${uidOf(live)}`;
        throw conflict(subjectOf(target), why);
      }
      return { ...decoded, object: this.#recorded(target, live, decoded, options) };
    });
  }

  async patch(
    target: Target,
    text: string,
    contentType: string,
    options: WriteOptions,
    force: boolean,
  ): Promise<Written> {
    const media = contentType.split(';')[0]?.trim() ?? '';
    if (media === 'application/apply-patch+yaml') return this.#apply(target, text, options, force);
    const change = patcher(media, target.resource);
    const patch = parsePatch(text);
    return this.#change(target, options, (live) => {
      const patched = change(live, patch);
      const decoded = decode(target, patched, options.fieldValidation);
      checkName(target, decoded.object, false);
      return { ...decoded, object: this.#recorded(target, live, decoded, options) };
    });
  }

  async delete(
    target: Target,
    body: JsonMap,
    query: URLSearchParams,
    options: WriteOptions,
  ): Promise<Written> {
    const live = this.get(target);
    checkPreconditions(target, live, asMap(body.preconditions));
    const dryRun = options.dryRun || asTexts(body.dryRun).includes('All');
    const request = { ...options, dryRun };
    const warnings = await this.#admit(admissionOf(target, 'DELETE', undefined, live, request));
    const current = this.get(target);
    checkPreconditions(target, current, asMap(body.preconditions));
    const policy = asText(body.propagationPolicy) || (query.get('propagationPolicy') ?? '');
    const grace = body.gracePeriodSeconds ?? numberOf(query.get('gracePeriodSeconds'));
    const doomed = markedForDeletion(target.resource, current, {
      policy,
      graceSeconds: typeof grace === 'number' ? grace : undefined,
      now: this.#now(),
    });
    if (doomed !== undefined) {
      const stored =
        dryRun || sameJson(doomed, current) ? doomed : this.#registry.put(target.resource, doomed);
      return { status: 200, body: stored, warnings };
    }
    const last = dryRun ? current : this.#registry.remove(target.resource, current);
    if (ANSWERED_WHEN_DELETED.includes(target.resource.kind)) return { status: 200, body: last, warnings };
    return { status: 200, body: deleted(target, current), warnings };
  }

  async #apply(target: Target, text: string, options: WriteOptions, force: boolean): Promise<Written> {
    const { resource } = target;
    const applied = asObject(asMap(parseYamlBody(text)));
    if (applied.apiVersion !== groupVersionOf(resource) || applied.kind !== resource.kind) {
      throw badRequest(
        `invalid object type: ${applied.apiVersion === '' ? '/' : `/${applied.apiVersion}`}, Kind=${applied.kind}`,
      );
    }
    if (applied.metadata.managedFields !== undefined) throw badRequest('metadata.managedFields must be nil');
    const schema = schemaOf(resource.schema);
    const [fault] = typeFaults(schema, applied);
    if (fault !== undefined) {
      const named = `${target.namespace}/${target.name}; ${groupVersionOf(resource)}, Kind=${resource.kind}`;
      throw new ApiError(
        500,
        '',
        `failed to create typed patch object (${named}): ${fault.path}: ${fault.message}`,
      );
    }
    const writer = this.#writer(target, options);
    if (this.#registry.get(resource, target.namespace, target.name) === undefined) {
      if (target.subresource !== '') throw notFound(subjectOf(target));
      const uid = uidOf(applied);
      if (uid !== '') {
        throw conflict(
          subjectOf(target),
          `uid mismatch: the provided object specified uid ${uid}, and no existing object was found`,
        );
      }
      checkName(target, applied, true);
      const merged = apply(schema, undefined, applied, writer, force, this.#stamp());
      checkMerged(target, merged);
      const complete = decode(target, merged, 'Ignore').object;
      const named = this.#withIdentity(target, withMetadata(complete, { resourceVersion: undefined }));
      return this.#finishCreate(target, named, [], options);
    }
    checkName(target, applied, false);
    return this.#change(target, options, (live) => {
      const merged = apply(schema, live, applied, writer, force, this.#stamp());
      checkMerged(target, merged);
      return decode(target, merged, 'Ignore');
    });
  }

  /** The update as it is recorded in managedFields, before fields outside of the subresource are restored. */
  #recorded(target: Target, live: KubeObject, sent: Decoded, options: WriteOptions): KubeObject {
    const complete = (one: KubeObject): KubeObject => {
      const kept = withMetadata(one, {
        namespace: live.metadata.namespace,
        uid: one.metadata.uid ?? live.metadata.uid,
        creationTimestamp: live.metadata.creationTimestamp,
        deletionTimestamp: live.metadata.deletionTimestamp,
        deletionGracePeriodSeconds: live.metadata.deletionGracePeriodSeconds,
        generation: live.metadata.generation,
      });
      return target.subresource === '' ? keepAssigned(target.resource, kept, live) : kept;
    };
    const schema = schemaOf(target.resource.schema);
    const recorded = recordUpdate(
      schema,
      live,
      complete(sent.full),
      this.#writer(target, options),
      this.#stamp(),
    );
    return withMetadata(complete(sent.object), { managedFields: recorded.metadata.managedFields });
  }

  #withIdentity(target: Target, sent: KubeObject): KubeObject {
    const prefix = asText(sent.metadata.generateName);
    const name =
      nameOf(sent) || (prefix === '' ? '' : `${prefix}${randomUUID().replaceAll('-', '').slice(0, 5)}`);
    return withMetadata(sent, {
      name: name === '' ? undefined : name,
      namespace: target.resource.namespaced ? target.namespace : undefined,
      uid: randomUUID(),
      creationTimestamp: this.#stamp(),
      deletionTimestamp: undefined,
      deletionGracePeriodSeconds: undefined,
      generation: target.resource.generation ? 1 : undefined,
      selfLink: undefined,
    });
  }

  async #finishCreate(
    target: Target,
    object: KubeObject,
    warnings: readonly string[],
    options: WriteOptions,
  ): Promise<Written> {
    const { resource } = target;
    const name = nameOf(object);
    this.#checkNamespace(target, name);
    const complete = completeNew(resource, object, this.#registry.version);
    if (resource.kind === 'Pod') this.#checkAccount(target, complete);
    const faults = [...metadataFaults(resource, complete), ...contentFaults(resource, complete)];
    if (faults.length > 0) throw invalid(subjectOf(target, name), faults);
    const named = { ...target, name };
    const said = await this.#admit(admissionOf(named, 'CREATE', complete, undefined, options));
    this.#checkNamespace(target, name);
    if (this.#registry.get(resource, target.namespace, name) !== undefined)
      throw alreadyExists(subjectOf(target, name));
    const stored = options.dryRun ? complete : this.#registry.put(resource, complete);
    return { status: 201, body: stored, warnings: [...warnings, ...warningsOf(stored), ...said] };
  }

  /** Reads, changes and writes, and repeats that after a concurrent write. */
  async #change(
    target: Target,
    options: WriteOptions,
    change: (live: KubeObject) => Decoded,
  ): Promise<Written> {
    const { resource } = target;
    for (let attempt = 1; ; attempt += 1) {
      const live = this.get(target);
      const decoded = change(live);
      const { object, warnings } = decoded;
      const wanted = versionOf(object);
      if (wanted !== '' && wanted !== versionOf(live)) throw modified(subjectOf(target));
      const next = this.#throughDoor(target, decoded, live);
      const faults = [
        ...metadataFaults(resource, next),
        ...changeFaults(resource, next, live),
        ...contentFaults(resource, next),
      ];
      if (faults.length > 0) throw invalid(subjectOf(target), faults);
      const said = await this.#admit(admissionOf(target, 'UPDATE', next, live, options));
      const current = this.#registry.get(resource, target.namespace, target.name);
      if (current === undefined) throw notFound(subjectOf(target));
      if (versionOf(current) !== versionOf(live)) {
        if (attempt === ATTEMPTS) throw modified(subjectOf(target));
        continue;
      }
      const stored = this.#store(resource, next, live, options.dryRun);
      return { status: 200, body: stored, warnings: [...warnings, ...warningsOf(stored), ...said] };
    }
  }

  #store(resource: Resource, next: KubeObject, live: KubeObject, dryRun: boolean): KubeObject {
    if (sameExceptTimes(next, live)) return live;
    if (dryRun) return next;
    const stillHeld =
      finalizersOf(next).length > 0 ||
      Number(next.metadata.deletionGracePeriodSeconds ?? 0) > 0 ||
      (resource.kind === NAMESPACES_KIND && asTexts(asMap(next.spec).finalizers).length > 0);
    if (isBeingDeleted(next) && !stillHeld) return this.#registry.remove(resource, next);
    return this.#registry.put(resource, next);
  }

  /** Each subresource writes its part: /status the status, /finalize a namespace's finalizers, none everything else. */
  #throughDoor(target: Target, { object, hasEmpties }: Decoded, live: KubeObject): KubeObject {
    const { resource, subresource } = target;
    const managedFields = object.metadata.managedFields;
    const schema = schemaOf(resource.schema);
    const settle = (one: KubeObject): KubeObject =>
      asObject(resource.custom ? withDefaults(schema, one) : (normalizeBuiltIn(schema, one) ?? one));
    if (subresource === 'status') {
      return settle({ ...withMetadata(live, { managedFields }), status: object.status ?? {} });
    }
    if (subresource === 'finalize') {
      return settle({ ...withMetadata(live, { managedFields }), spec: object.spec ?? {} });
    }
    const { status, ...rest } = object;
    const body: JsonMap = resource.status
      ? live.status === undefined
        ? rest
        : { ...rest, status: live.status }
      : object;
    const next = withMetadata(settle(keepAssigned(resource, asObject(body), live)), {
      creationTimestamp: live.metadata.creationTimestamp,
      deletionTimestamp: live.metadata.deletionTimestamp,
      deletionGracePeriodSeconds: live.metadata.deletionGracePeriodSeconds,
      namespace: live.metadata.namespace,
      resourceVersion: live.metadata.resourceVersion,
      generation: live.metadata.generation,
    });
    const generation = live.metadata.generation;
    const isAsked =
      (hasEmpties && COUNTS_EMPTIES.includes(resource.kind)) || asksForChange(resource, next, live);
    if (typeof generation !== 'number' || !isAsked) return next;
    return withMetadata(next, { generation: generation + 1 });
  }

  #writer(target: Target, options: WriteOptions): Writer {
    const ignored = target.subresource === 'status' ? 'f:spec' : 'f:status';
    return {
      manager: options.manager,
      apiVersion: groupVersionOf(target.resource),
      subresource: target.subresource,
      ignored: target.resource.status ? FieldSet.of([ignored]) : new FieldSet(),
    };
  }

  #checkNamespace(target: Target, name: string): void {
    if (!target.resource.namespaced) return;
    const namespaces = this.#resources.find((one) => one.kind === NAMESPACES_KIND);
    if (namespaces === undefined) return;
    const namespace = this.#registry.get(namespaces, '', target.namespace);
    if (namespace === undefined) throw notFound(subjectOf({ resource: namespaces, name: target.namespace }));
    if (!isBeingDeleted(namespace)) return;
    const why = `unable to create new content in namespace ${target.namespace} because it is being terminated`;
    const error = forbidden(subjectOf(target, name), why);
    throw new ApiError(error.code, error.reason, error.message, {
      ...error.details,
      causes: [
        {
          reason: 'NamespaceTerminating',
          message: `namespace ${target.namespace} is being terminated`,
          field: 'metadata.namespace',
        },
      ],
    });
  }

  #checkAccount(target: Target, pod: KubeObject): void {
    const accounts = this.#resources.find((one) => one.kind === 'ServiceAccount');
    const account = asText(asMap(pod.spec).serviceAccountName);
    if (accounts === undefined || this.#registry.get(accounts, target.namespace, account) !== undefined)
      return;
    throw forbidden(
      subjectOf(target, nameOf(pod)),
      `error looking up service account ${target.namespace}/${account}: serviceaccount "${account}" not found`,
    );
  }

  #stamp(): string {
    return seconds(new Date(this.#now()));
  }
}

function emptyOf(resource: Resource): KubeObject | undefined {
  return resource.custom ? undefined : asObject(emptyBuiltIn(schemaOf(resource.schema)));
}

/** What is applied to a custom resource is checked with its nulls, which are dropped only as it is read again. */
function checkMerged(target: Target, merged: KubeObject): void {
  if (!target.resource.custom) return;
  const faults = contentFaults(
    target.resource,
    asObject(withDefaults(schemaOf(target.resource.schema), merged)),
  );
  if (faults.length > 0) throw invalid(subjectOf(target), faults);
}

const numberOf = (text: string | null): number | undefined =>
  text === null || text === '' ? undefined : Number(text);

function admissionOf(
  target: Target,
  operation: AdmissionRequest['operation'],
  object: KubeObject | undefined,
  oldObject: KubeObject | undefined,
  options: WriteOptions,
): AdmissionRequest {
  return {
    resource: target.resource,
    subresource: target.subresource,
    operation,
    namespace: target.resource.kind === NAMESPACES_KIND ? target.name : target.namespace,
    name: target.name,
    object,
    oldObject,
    user: options.user,
    dryRun: options.dryRun,
  };
}

/** Whether a write would change nothing: the times in managedFields do not count. */
function sameExceptTimes(a: KubeObject, b: KubeObject): boolean {
  const timeless = (object: KubeObject): KubeObject => {
    const entries = object.metadata.managedFields;
    if (!Array.isArray(entries)) return object;
    return withMetadata(object, { managedFields: entries.map((entry) => without(asMap(entry), 'time')) });
  };
  return sameJson(timeless(a), timeless(b));
}

function warningsOf(object: JsonMap): string[] {
  return object.kind === 'NetworkPolicy' ? networkPolicyWarnings(asObject(object)) : [];
}
