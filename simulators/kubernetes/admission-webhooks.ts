import { randomUUID } from 'node:crypto';
import { Agent, fetch } from 'undici';
import {
  type AdmissionRequest,
  type Admit,
  celContext,
  describe,
  isExempt,
  isMatched,
  matchConditions,
} from './admission.ts';
import { asList, asMap, asText, asTexts, type JsonMap, parseJson } from './json.ts';
import type { Registry } from './registry.ts';
import type { Resource } from './resources.ts';
import { ApiError, badRequest, internal } from './status.ts';

/**
 * Calls the validating webhooks that are registered in the cluster, all that match at once, as the real server does.
 * Unlike there a webhook's URL may be plain http. Webhooks behind a Service cannot be reached from here.
 */
export function admissionWebhooks(registry: Registry, resources: readonly Resource[]): Admit {
  const namespaces = resources.find((one) => one.kind === 'Namespace');
  const configurations = resources.find((one) => one.kind === 'ValidatingWebhookConfiguration');

  return async (request) => {
    if (namespaces === undefined || configurations === undefined || isExempt(request)) return [];
    const context = celContext(request, undefined);
    const matching = registry
      .list(configurations)
      .flatMap((configuration) => asList(configuration.webhooks).map(asMap))
      .filter((webhook) => isMatched(webhook, webhook.rules, request, registry, namespaces))
      .filter((webhook) => {
        const matched = matchConditions(webhook.matchConditions, context);
        if (matched instanceof Error && fails(webhook)) throw forbiddenByError(request, webhook, matched);
        return matched === 'match';
      });
    const verdicts = await Promise.all(matching.map((webhook) => ask(webhook, request)));
    return verdicts.flat();
  };
}

const fails = (webhook: JsonMap): boolean => asText(webhook.failurePolicy) !== 'Ignore';

/** One call; answers its warnings, throws its refusal. */
async function ask(webhook: JsonMap, request: AdmissionRequest): Promise<string[]> {
  const name = asText(webhook.name);
  if (request.dryRun && !['None', 'NoneOnDryRun'].includes(asText(webhook.sideEffects))) {
    throw badRequest(`admission webhook "${name}" does not support dry run`);
  }
  const uid = randomUUID();
  let response: JsonMap;
  try {
    response = await call(webhook, {
      uid,
      ...describe(request),
      object: request.object ?? null,
      oldObject: request.oldObject ?? null,
      options: null,
    });
    if (asText(response.uid) !== uid)
      throw new Error(
        `expected response.uid=${JSON.stringify(uid)}, got ${JSON.stringify(response.uid ?? '')}`,
      );
  } catch (error) {
    if (!fails(webhook)) return [];
    throw internal(
      `failed calling webhook "${name}": failed to call webhook: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  if (response.allowed === true) return asTexts(response.warnings);
  const status = asMap(response.status);
  const message = asText(status.message);
  const code = typeof status.code === 'number' && status.code >= 400 ? status.code : 403;
  throw new ApiError(
    code,
    asText(status.reason) || (code === 403 ? 'Forbidden' : ''),
    message === ''
      ? `admission webhook "${name}" denied the request without explanation`
      : `admission webhook "${name}" denied the request: ${message}`,
  );
}

async function call(webhook: JsonMap, request: JsonMap): Promise<JsonMap> {
  const config = asMap(webhook.clientConfig);
  if (asText(config.url) === '')
    throw new Error('webhooks behind a Service cannot be reached from the sandbox');
  const seconds = Number(webhook.timeoutSeconds ?? 10);
  const url = new URL(asText(config.url));
  url.searchParams.set('timeout', `${seconds}s`);
  const ca = asText(config.caBundle);
  const agent = new Agent(ca === '' ? {} : { connect: { ca: Buffer.from(ca, 'base64').toString() } });
  try {
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      body: JSON.stringify({ kind: 'AdmissionReview', apiVersion: 'admission.k8s.io/v1', request }),
      signal: AbortSignal.timeout(seconds * 1000),
      dispatcher: agent,
    });
    const text = await answer.text();
    if (answer.status !== 200)
      throw new Error(`Post ${JSON.stringify(url.href)}: the server answered ${answer.status}`);
    const review = asMap(parseJson(text));
    if (review.kind !== 'AdmissionReview' || review.apiVersion !== 'admission.k8s.io/v1') {
      throw new Error('expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview');
    }
    return asMap(review.response);
  } catch (error) {
    if (error instanceof Error && error.name === 'TimeoutError') {
      throw new Error(`Post ${JSON.stringify(url.href)}: context deadline exceeded`, { cause: error });
    }
    throw error;
  } finally {
    await agent.close();
  }
}

function forbiddenByError(request: AdmissionRequest, webhook: JsonMap, error: Error): ApiError {
  const { group, plural } = request.resource;
  const qualified = group === '' ? plural : `${plural}.${group}`;
  return new ApiError(
    403,
    'Forbidden',
    `${qualified} "${request.name}" is forbidden: admission webhook "${asText(webhook.name)}" could not be matched: ${error.message}`,
  );
}
