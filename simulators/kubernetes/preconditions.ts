import { asText, type JsonMap } from './json.ts';
import { type KubeObject, nameOf, uidOf, versionOf } from './object.ts';
import { subjectOf, type Target } from './request.ts';
import type { Resource } from './resources.ts';
import { badRequest, conflict } from './status.ts';

/** Kinds whose update must name the resourceVersion that it replaces. */
export const mustNameVersion = (resource: Resource): boolean =>
  resource.custom ||
  ['admissionregistration.k8s.io', 'apiextensions.k8s.io', 'coordination.k8s.io', 'policy'].includes(
    resource.group,
  );

export function checkName(target: Target, sent: KubeObject, required: boolean): void {
  const name = nameOf(sent);
  if (name === '' && required) {
    throw badRequest(
      `the name of the object (${target.name} based on URL) was undeterminable: name must be provided`,
    );
  }
  if (name !== '' && name !== target.name) {
    throw badRequest(`the name of the object (${name}) does not match the name on the URL (${target.name})`);
  }
  const namespace = asText(sent.metadata.namespace);
  if (namespace !== '' && namespace !== target.namespace) {
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  }
}

export function checkPreconditions(target: Target, live: KubeObject, preconditions: JsonMap): void {
  // The real server names the kind here, not the plural.
  const subject = { ...subjectOf(target), plural: target.resource.kind };
  const uid = asText(preconditions.uid);
  if (uid !== '' && uid !== uidOf(live)) {
    throw conflict(
      subject,
      `the UID in the precondition (${uid}) does not match the UID in record (${uidOf(live)}). The object might have been deleted and then recreated`,
    );
  }
  const version = asText(preconditions.resourceVersion);
  if (version !== '' && version !== versionOf(live)) {
    throw conflict(
      subject,
      `the ResourceVersion in the precondition (${version}) does not match the ResourceVersion in record (${versionOf(live)}). The object might have been modified`,
    );
  }
}
