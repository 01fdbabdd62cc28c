import {
  type AdmissionRequest,
  type Admit,
  celContext,
  isExempt,
  isMatched,
  matchConditions,
} from './admission.ts';
import { compileFault, evaluate } from './cel.ts';
import { asList, asMap, asText, asTexts, isMap, type JsonMap } from './json.ts';
import { type KubeObject, nameOf } from './object.ts';
import type { Registry } from './registry.ts';
import type { Resource } from './resources.ts';
import { ApiError, type Fault, invalidValue } from './status.ts';

const CODES: Readonly<Record<string, number>> = {
  Unauthorized: 401,
  Forbidden: 403,
  RequestEntityTooLarge: 413,
  Invalid: 422,
};

/** Enforces the ValidatingAdmissionPolicies that are bound in the cluster. Parameters are not supported. */
export function admissionPolicies(registry: Registry, resources: readonly Resource[]): Admit {
  const kindOf = (kind: string): Resource => {
    const found = resources.find((one) => one.kind === kind);
    if (found === undefined) throw new Error(`${kind} is not served`);
    return found;
  };
  const namespaces = kindOf('Namespace');
  const policies = kindOf('ValidatingAdmissionPolicy');
  const bindings = kindOf('ValidatingAdmissionPolicyBinding');

  return (request) => {
    const warnings: string[] = [];
    if (isExempt(request)) return Promise.resolve(warnings);
    for (const binding of registry.list(bindings)) {
      const rule = asMap(binding.spec);
      const policy = registry.get(policies, '', asText(rule.policyName));
      if (policy === undefined) continue;
      const match = asMap(asMap(policy.spec).matchConstraints);
      if (!isMatched(match, match.resourceRules, request, registry, namespaces)) continue;
      const narrowed = rule.matchResources;
      if (isMap(narrowed)) {
        const rules =
          asList(narrowed.resourceRules).length > 0 ? narrowed.resourceRules : match.resourceRules;
        if (!isMatched(narrowed, rules, request, registry, namespaces)) continue;
      }
      const namespace = request.resource.namespaced
        ? registry.get(namespaces, '', request.namespace)
        : undefined;
      const denial = judge(policy, request, namespace);
      if (denial === undefined) continue;
      const sentence = `ValidatingAdmissionPolicy '${nameOf(policy)}' with binding '${nameOf(binding)}' denied request: ${denial.message}`;
      const actions = asTexts(rule.validationActions);
      if (actions.includes('Warn'))
        warnings.push(`Validation failed for ${sentence.replace(' denied request', '')}`);
      if (actions.includes('Deny')) throw refusal(request, denial.reason, sentence);
    }
    return Promise.resolve(warnings);
  };
}

interface Denial {
  readonly reason: string;
  readonly message: string;
}

function judge(
  policy: KubeObject,
  request: AdmissionRequest,
  namespace: KubeObject | undefined,
): Denial | undefined {
  const spec = asMap(policy.spec);
  const closed = asText(spec.failurePolicy) !== 'Ignore';
  const onError = (message: string): Denial | undefined =>
    closed ? { reason: 'Invalid', message } : undefined;
  const context = celContext(request, namespace);
  const matched = matchConditions(spec.matchConditions, context);
  if (matched === 'skip') return undefined;
  if (matched instanceof Error) return onError(matched.message);
  context.variables = lazily(asList(spec.variables).map(asMap), context);
  for (const validation of asList(spec.validations).map(asMap)) {
    const expression = asText(validation.expression).trim();
    try {
      if (evaluate(expression, context) === true) continue;
    } catch (error) {
      const denial = onError(
        `expression '${expression}' resulted in error: ${error instanceof Error ? error.message : String(error)}`,
      );
      if (denial !== undefined) return denial;
      continue;
    }
    return {
      reason: asText(validation.reason) || 'Invalid',
      message: explain(validation, expression, context),
    };
  }
  return undefined;
}

/** Variables are evaluated when they are used, each once; one may use those before it. */
function lazily(variables: readonly JsonMap[], context: Readonly<Record<string, unknown>>): object {
  const values = {};
  for (const variable of variables) {
    let known: { readonly value: unknown } | undefined;
    Object.defineProperty(values, asText(variable.name), {
      enumerable: true,
      get: () => {
        known ??= { value: evaluate(asText(variable.expression), { ...context, variables: values }) };
        return known.value;
      },
    });
  }
  return values;
}

function explain(
  validation: JsonMap,
  expression: string,
  context: Readonly<Record<string, unknown>>,
): string {
  const fallback = asText(validation.message) || `failed expression: ${expression}`;
  const composed = asText(validation.messageExpression);
  if (composed === '') return fallback;
  try {
    const message = evaluate(composed, context);
    return typeof message === 'string' && message.trim() !== '' ? message.trim() : fallback;
  } catch {
    return fallback;
  }
}

function refusal(request: AdmissionRequest, reason: string, sentence: string): ApiError {
  const { group, plural } = request.resource;
  const qualified = group === '' ? plural : `${plural}.${group}`;
  return new ApiError(
    CODES[reason] ?? 422,
    reason,
    `${qualified} "${request.name}" is forbidden: ${sentence}`,
    {
      name: request.name,
      group,
      kind: plural,
      causes: [{ reason: '', message: sentence, field: '' }],
    },
  );
}

/** Faults of a policy's own expressions, found when it is written. */
export function policyFaults(policy: KubeObject): Fault[] {
  const spec = asMap(policy.spec);
  return (['matchConditions', 'variables', 'validations'] as const).flatMap((field) =>
    asList(spec[field]).flatMap((entry, index) =>
      ['expression', 'messageExpression'].flatMap((part) => {
        const expression = asText(asMap(entry)[part]);
        const why = expression === '' ? undefined : compileFault(expression);
        return why === undefined ? [] : [invalidValue(`spec.${field}[${index}].${part}`, expression, why)];
      }),
    ),
  );
}
