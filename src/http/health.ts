import Type from 'typebox';
import { answer, known } from '../lib/schema.ts';
import { Problem } from '../model/problems.ts';
import type { App } from './server.ts';

interface HealthOptions {
  readonly ping: () => Promise<void>;
  readonly name: string;
  readonly version: string;
  /** The deployed revision (K_REVISION on Cloud Run). */
  readonly revision?: string;
  readonly pingTimeoutMs?: number;
}

export const Health = answer({ status: known(['ok']) }, { $id: 'Health', examples: [{ status: 'ok' }] });

export const ServiceVersion = answer(
  {
    name: Type.String(),
    version: Type.String(),
    revision: Type.Optional(Type.String({ description: 'The deployed revision, where there is one.' })),
  },
  {
    $id: 'ServiceVersion',
    examples: [{ name: 'knada-notebooks', version: '1.0.0', revision: 'knada-notebooks-00042-abc' }],
  },
);

const config = { public: true };

/** `/livez`: the process answers. `/readyz`: the store answers as well. `/version`: what is deployed. */
export const registerHealth = (app: App, options: HealthOptions): void => {
  app.addSchema(Health);
  app.addSchema(ServiceVersion);
  const health = { 200: Type.Unsafe<{ status: 'ok' }>(Type.Ref('Health')) };

  app.get(
    '/livez',
    {
      config,
      schema: {
        operationId: 'getLiveness',
        summary: 'Whether the process is alive',
        description: 'Answers as soon as the process listens; nothing else is asked.',
        tags: ['health'],
        response: health,
      },
    },
    async () => ({ status: 'ok' as const }),
  );
  app.get(
    '/readyz',
    {
      config,
      schema: {
        operationId: 'getReadiness',
        summary: 'Whether requests can be served: the store answers',
        description: '503 upstream_unavailable while the store does not answer.',
        tags: ['health'],
        problems: ['upstream_unavailable'],
        response: health,
      },
    },
    async () => {
      await within(options.pingTimeoutMs ?? 2_000, options.ping());
      return { status: 'ok' as const };
    },
  );
  app.get(
    '/version',
    {
      config,
      schema: {
        operationId: 'getVersion',
        summary: 'What is deployed',
        description: 'Name and version of the product, and the deployed revision where the platform says it.',
        tags: ['health'],
        response: {
          200: Type.Unsafe<{ name: string; version: string; revision?: string }>(Type.Ref('ServiceVersion')),
        },
      },
    },
    async () => ({
      name: options.name,
      version: options.version,
      ...(options.revision !== undefined && { revision: options.revision }),
    }),
  );
};

/** Any failure of a ping means not ready; the cause is logged. */
const within = async (ms: number, ping: Promise<void>) => {
  const timeout = Promise.withResolvers<never>();
  const timer = setTimeout(() => timeout.reject(new Error(`no answer within ${ms} ms`)), ms);
  try {
    await Promise.race([ping, timeout.promise]);
  } catch (cause) {
    throw new Problem('upstream_unavailable', { cause, retryAfterSeconds: 2 });
  } finally {
    clearTimeout(timer);
  }
};
