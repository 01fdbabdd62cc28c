import { asList, asMap, asText, asTexts, isMap, type Json, type JsonMap } from './json.ts';

export interface OwnerReference extends JsonMap {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
}

/** A Kubernetes object. Everything but the envelope is plain JSON. */
export interface KubeObject extends JsonMap {
  apiVersion: string;
  kind: string;
  metadata: JsonMap;
}

/** The value as an object with an envelope; missing parts are empty, so check them where they matter. */
export function asObject(value: Json | undefined): KubeObject {
  const map = asMap(value);
  return {
    ...map,
    apiVersion: asText(map.apiVersion),
    kind: asText(map.kind),
    metadata: asMap(map.metadata),
  };
}

export const nameOf = (object: KubeObject): string => asText(object.metadata.name);
export const namespaceOf = (object: KubeObject): string => asText(object.metadata.namespace);
export const uidOf = (object: KubeObject): string => asText(object.metadata.uid);
export const versionOf = (object: KubeObject): string => asText(object.metadata.resourceVersion);
export const finalizersOf = (object: KubeObject): string[] => asTexts(object.metadata.finalizers);
export const labelsOf = (object: KubeObject): JsonMap => asMap(object.metadata.labels);

export const isBeingDeleted = (object: KubeObject): boolean =>
  asText(object.metadata.deletionTimestamp) !== '';

export function ownersOf(object: KubeObject): OwnerReference[] {
  return asList(object.metadata.ownerReferences)
    .filter(isMap)
    .map((owner) => ({
      ...owner,
      apiVersion: asText(owner.apiVersion),
      kind: asText(owner.kind),
      name: asText(owner.name),
      uid: asText(owner.uid),
    }));
}

/** The object with metadata fields set; undefined removes a field. */
export function withMetadata(object: KubeObject, changes: Record<string, Json | undefined>): KubeObject {
  const metadata: JsonMap = { ...object.metadata };
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined) delete metadata[key];
    else metadata[key] = value;
  }
  return { ...object, metadata };
}
