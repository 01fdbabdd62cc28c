import { parseBody, parsePatch } from './decode.ts';
import { asList, asMap, asText, asTexts, at, type Json, type JsonMap, sameJson } from './json.ts';
import { asObject, type KubeObject, nameOf, uidOf, versionOf } from './object.ts';
import type { Objects, WriteOptions, Written } from './objects.ts';
import { jsonPatch, mergePatch } from './patch.ts';
import { checkName } from './preconditions.ts';
import type { Target } from './request.ts';
import { badRequest, conflict, invalid, invalidValue, modified, unsupportedMediaType } from './status.ts';

/** A label selector as `metav1.FormatLabelSelector` writes it. */
const selectorText = (selector: Json | undefined): string =>
  [
    ...Object.entries(asMap(at(selector, 'matchLabels'))).map(([key, value]) => `${key}=${asText(value)}`),
    ...asList(at(selector, 'matchExpressions')).map((one) => {
      const [key, values] = [asText(at(one, 'key')), asTexts(at(one, 'values')).toSorted().join(',')];
      switch (at(one, 'operator')) {
        case 'In':
          return `${key} in (${values})`;
        case 'NotIn':
          return `${key} notin (${values})`;
        case 'DoesNotExist':
          return `!${key}`;
        default:
          return key;
      }
    }),
  ]
    .toSorted()
    .join(',');

/** The Scale of a Deployment, ReplicaSet or StatefulSet; like Go’s JSON it leaves out a count of zero in its spec. */
export const scaleOf = (object: KubeObject): JsonMap => {
  const replicas = Number(at(object, 'spec', 'replicas') ?? 1);
  const {
    name = '',
    namespace = '',
    uid = '',
    resourceVersion = '',
    creationTimestamp = '',
  } = object.metadata;
  const selector = selectorText(at(object, 'spec', 'selector'));
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: replicas === 0 ? {} : { replicas },
    status: {
      replicas: Number(at(object, 'status', 'replicas') ?? 0),
      ...(selector === '' ? {} : { selector }),
    },
  };
};

const patched = (scale: JsonMap, patch: Json, contentType: string): Json => {
  switch (contentType.split(';')[0]?.trim()) {
    case 'application/json-patch+json':
      return jsonPatch(scale, patch);
    // A Scale has no lists, so a strategic patch is a merge patch.
    case 'application/merge-patch+json':
    case 'application/strategic-merge-patch+json':
      return mergePatch(scale, patch);
    default:
      throw unsupportedMediaType(
        'the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json',
      );
  }
};

/** Writes the number of replicas through `/scale`, by PUT or PATCH. Throws ApiError. */
export const writeScale = async (
  objects: Objects,
  target: Target,
  {
    method,
    body,
    contentType,
  }: { readonly method: string; readonly body: string; readonly contentType: string },
  options: WriteOptions,
): Promise<Written> => {
  const live = objects.get({ ...target, subresource: '' });
  const current = scaleOf(live);
  const sent = asObject(
    asMap(
      method === 'PATCH'
        ? patched(current, parsePatch(body), contentType)
        : parseBody(body, contentType, target.resource),
    ),
  );
  if (sent.kind !== 'Scale' || sent.apiVersion !== 'autoscaling/v1') {
    throw badRequest(
      `${sent.kind} in version "${sent.apiVersion}" cannot be handled as a Scale: the API version and kind in the data do not match those of the request`,
    );
  }
  checkName(target, sent, false);
  const subject = { group: 'autoscaling', plural: 'scales', kind: 'Scale', name: nameOf(live) };
  const replicas = at(sent, 'spec', 'replicas') ?? 0;
  if (typeof replicas !== 'number' || !Number.isInteger(replicas)) {
    throw badRequest(
      `Scale in version "v1" cannot be handled as a Scale: json: cannot unmarshal ${typeof replicas} into Go struct field ScaleSpec.spec.replicas of type int32`,
    );
  }
  if (replicas < 0) {
    throw invalid(subject, [invalidValue('spec.replicas', replicas, 'must be greater than or equal to 0')]);
  }
  const about = { ...target.resource, name: target.name };
  if (uidOf(sent) !== '' && uidOf(sent) !== uidOf(live)) {
    throw conflict(
      about,
      `Precondition failed: UID in precondition: ${uidOf(sent)}, UID in object meta: ${uidOf(live)}`,
    );
  }
  // A patch is based on the current version; a PUT names its own.
  if (versionOf(sent) !== '' && versionOf(sent) !== versionOf(live)) throw modified(about);
  if (sameJson(replicas, at(live, 'spec', 'replicas') ?? 1))
    return { status: 200, body: current, warnings: [] };
  const change = {
    metadata: method === 'PATCH' ? {} : { resourceVersion: asText(sent.metadata.resourceVersion) },
    spec: { replicas },
  };
  const written = await objects.patch(
    target,
    JSON.stringify(change),
    'application/merge-patch+json',
    options,
    false,
  );
  return { ...written, body: scaleOf(asObject(written.body)) };
};
