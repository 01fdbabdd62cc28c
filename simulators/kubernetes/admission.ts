import { evaluate, toCel } from './cel.ts';
import { asList, asMap, asText, asTexts, type Json, type JsonMap } from './json.ts';
import { type KubeObject, labelsOf } from './object.ts';
import type { Registry } from './registry.ts';
import type { Resource } from './resources.ts';
import { matchesLabels } from './selectors.ts';

/** Who sends a request. */
export interface User {
  readonly username: string;
  readonly groups: readonly string[];
}

/** What admission is asked about. */
export interface AdmissionRequest {
  readonly resource: Resource;
  readonly subresource: string;
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE';
  readonly namespace: string;
  readonly name: string;
  readonly object: KubeObject | undefined;
  readonly oldObject: KubeObject | undefined;
  readonly user: User;
  readonly dryRun: boolean;
}

/** Refuses by throwing an ApiError; returns warnings for the client. */
export type Admit = (request: AdmissionRequest) => Promise<readonly string[]>;

/** Runs the checks in order; the first refusal wins. */
export function inOrder(...checks: readonly Admit[]): Admit {
  return async (request) => {
    const warnings: string[] = [];
    for (const check of checks) warnings.push(...(await check(request)));
    return warnings;
  };
}

/** Configuration of admission is never subject to admission, so a policy cannot lock out the whole cluster. */
export const isExempt = (request: AdmissionRequest): boolean =>
  request.resource.group === 'admissionregistration.k8s.io';

/** Whether rules, selectors and exclusions of a webhook or a policy's match match a request. */
export function isMatched(
  match: JsonMap,
  rules: Json | undefined,
  request: AdmissionRequest,
  registry: Registry,
  namespaces: Resource,
): boolean {
  const fits = (rule: Json): boolean => ruleFits(asMap(rule), request);
  if (!asList(rules).some(fits) || asList(match.excludeResourceRules).some(fits)) return false;
  if (!namespaceFits(match.namespaceSelector, request, registry, namespaces)) return false;
  const candidates = [request.object, request.oldObject].filter((object) => object !== undefined);
  return candidates.some((object) => matchesLabels(match.objectSelector, labelsOf(object)));
}

function ruleFits(rule: JsonMap, request: AdmissionRequest): boolean {
  const { resource, subresource } = request;
  const has = (field: string, value: string): boolean => {
    const allowed = asTexts(rule[field]);
    return allowed.includes('*') || allowed.includes(value);
  };
  const path = subresource === '' ? resource.plural : `${resource.plural}/${subresource}`;
  const resources = asTexts(rule.resources);
  const isNamed =
    resources.includes(path) ||
    resources.includes('*/*') ||
    (subresource === '' && resources.includes('*')) ||
    resources.includes(`${resource.plural}/*`) ||
    (subresource !== '' && resources.includes(`*/${subresource}`));
  const scope = asText(rule.scope) || '*';
  const names = asTexts(rule.resourceNames);
  return (
    has('apiGroups', resource.group) &&
    has('apiVersions', resource.version) &&
    has('operations', request.operation) &&
    isNamed &&
    (scope === '*' || (scope === 'Namespaced') === resource.namespaced) &&
    (names.length === 0 || names.includes(request.name))
  );
}

function namespaceFits(
  selector: Json | undefined,
  request: AdmissionRequest,
  registry: Registry,
  namespaces: Resource,
): boolean {
  if (request.resource.kind === 'Namespace') {
    return matchesLabels(selector, labelsOf(request.object ?? request.oldObject ?? EMPTY));
  }
  if (!request.resource.namespaced) return true;
  return matchesLabels(selector, labelsOf(registry.get(namespaces, '', request.namespace) ?? EMPTY));
}

const EMPTY: KubeObject = { apiVersion: '', kind: '', metadata: {} };

/** What expressions can refer to. */
export function celContext(
  request: AdmissionRequest,
  namespace: KubeObject | undefined,
): Record<string, unknown> {
  return {
    object: toCel(request.object),
    oldObject: toCel(request.oldObject),
    namespaceObject: toCel(namespace),
    params: null,
    request: toCel(describe(request)),
  };
}

/** The request as an AdmissionReview and as CEL describe it. */
export function describe(request: AdmissionRequest): JsonMap {
  const { resource } = request;
  const { group, version } = resource;
  const kind = { group, version, kind: resource.kind };
  const named = { group, version, resource: resource.plural };
  return {
    kind,
    resource: named,
    ...(request.subresource === ''
      ? {}
      : { subResource: request.subresource, requestSubResource: request.subresource }),
    requestKind: kind,
    requestResource: named,
    name: request.name,
    ...(request.namespace === '' ? {} : { namespace: request.namespace }),
    operation: request.operation,
    userInfo: { username: request.user.username, groups: [...request.user.groups] },
    dryRun: request.dryRun,
  };
}

/** The result of a list of match conditions: all hold, one does not, or one could not be evaluated. */
export function matchConditions(
  conditions: Json | undefined,
  context: Readonly<Record<string, unknown>>,
): 'match' | 'skip' | Error {
  let failure: Error | undefined;
  for (const condition of asList(conditions).map(asMap)) {
    try {
      if (evaluate(asText(condition.expression), context) !== true) return 'skip';
    } catch (error) {
      failure ??= error instanceof Error ? error : new Error(String(error));
    }
  }
  return failure ?? 'match';
}
