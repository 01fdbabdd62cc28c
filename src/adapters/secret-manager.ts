import type { SecretManagerServiceClient } from '@google-cloud/secret-manager';
import { UpstreamMessage } from '../lib/redaction.ts';
import { isoOf } from '../lib/time.ts';
import type { SecretVersion } from '../model/secret.ts';
import type { IamBinding, IamPolicy } from '../ports/iam.ts';
import type { SecretManager, SecretMetadata } from '../ports/secret-manager.ts';
import { Unavailable } from '../ports/unavailable.ts';
import { clientOptions, codeOf, isGoogleAnswer } from './google-client.ts';
import { type GoogleEndpoints, originOf, tokenSource } from './google-endpoints.ts';
import {
  bounded,
  callMs,
  code,
  type GoogleFailure,
  type GoogleSystem,
  policyRefusal,
  policyVersion,
  unavailable,
} from './google-failure.ts';

export interface SecretManagerOptions {
  readonly project: string;
  /** Where payloads are stored. */
  readonly region: string;
  readonly endpoints?: GoogleEndpoints;
  /** A Google access token of this service; by default that of its own identity. */
  readonly accessToken?: () => Promise<string>;
}

/** Google’s client over HTTP: it loads faster than gRPC, and talks to a simulator without TLS. */
const load = async (origin: string, accessToken: () => Promise<string>) => {
  const [{ v1 }, client] = await Promise.all([
    import('@google-cloud/secret-manager'),
    clientOptions(origin, accessToken),
  ]);
  return new v1.SecretManagerServiceClient(client);
};

const violationsOf = (error: Error): readonly string[] => {
  const details: unknown = 'statusDetails' in error ? error.statusDetails : undefined;
  if (!Array.isArray(details)) return [];
  return details.flatMap((detail: unknown) => {
    const violations: unknown =
      typeof detail === 'object' && detail !== null && 'violations' in detail ? detail.violations : [];
    if (!Array.isArray(violations)) return [];
    return violations.flatMap((violation: unknown) =>
      typeof violation === 'object' &&
      violation !== null &&
      'description' in violation &&
      typeof violation.description === 'string'
        ? [violation.description]
        : [],
    );
  });
};

/** The message of the client’s error only: the error may carry the request. */
const failureOf = (error: unknown, tokens: Iterable<string>): GoogleFailure | undefined => {
  if (!isGoogleAnswer(error)) return undefined;
  const said = (text: string) => new UpstreamMessage(text, tokens);
  return { code: codeOf(error), message: said(error.message), violations: violationsOf(error).map(said) };
};

interface GoogleTime {
  readonly seconds?: unknown;
  readonly nanos?: unknown;
}

const instant = (time: GoogleTime | null | undefined): string =>
  isoOf(Number(time?.seconds ?? 0) * 1000 + Math.floor(Number(time?.nanos ?? 0) / 1e6));

const states: Readonly<Record<string, SecretVersion['state']>> = {
  ENABLED: 'enabled',
  DISABLED: 'disabled',
  DESTROYED: 'destroyed',
};

interface GoogleVersion {
  readonly name?: string | null;
  readonly state?: unknown;
  readonly createTime?: GoogleTime | null;
}

interface GooglePolicy {
  readonly bindings?: readonly GoogleBinding[] | null;
  readonly auditConfigs?: readonly unknown[] | null;
  readonly etag?: unknown;
  readonly version?: number | null;
}

interface GoogleBinding {
  readonly role?: string | null;
  readonly members?: readonly string[] | null;
  readonly condition?: object | null;
}

/** The client fills in missing fields; a condition is passed on as Google returned it. */
const conditionOf = (condition: object): object =>
  Object.fromEntries(Object.entries(condition).filter(([, value]) => value !== ''));

const bindingOf = ({ role, members, condition }: GoogleBinding): IamBinding => ({
  role: role ?? '',
  members: members ?? [],
  ...(condition ? { condition: conditionOf(condition) } : {}),
});

const googleBinding = ({ role, members, condition }: IamBinding) => ({
  role,
  members: [...members],
  ...(typeof condition === 'object' && condition !== null ? { condition } : {}),
});

/** Bytes in the client, base64 in the port. */
const etagOf = (etag: unknown): string => {
  if (etag instanceof Uint8Array) return Buffer.from(etag).toString('base64');
  return typeof etag === 'string' ? etag : '';
};

/** Undefined without an etag: a write could undo a concurrent change. */
const policyOf = ({ bindings, auditConfigs, etag, version }: GooglePolicy): IamPolicy | undefined => {
  const known = etagOf(etag);
  if (known === '') return undefined;
  return {
    bindings: (bindings ?? []).map(bindingOf),
    etag: known,
    version: version ?? 0,
    ...(auditConfigs && auditConfigs.length > 0 ? { rest: { auditConfigs } } : {}),
  };
};

interface GoogleSecret {
  readonly labels?: Readonly<Record<string, string>> | null;
  readonly annotations?: Readonly<Record<string, string>> | null;
  readonly etag?: string | null;
}

const metadataOf = ({ labels, annotations, etag }: GoogleSecret): SecretMetadata => ({
  labels: { ...labels },
  annotations: { ...annotations },
  etag: etag ?? '',
});

const pageSize = 250;
const maxPages = 100;

/** Secret Manager of one project. The client is loaded with the first call: it takes a fifth of a second. */
export const openSecretManager = (options: SecretManagerOptions): SecretManager => {
  const { project, region } = options;
  const origin = originOf('secretmanager.googleapis.com', options.endpoints);
  const source = options.accessToken ?? tokenSource(origin);
  /** Shown to Google: the newest, and the one before it, with which a call may still be under way. */
  let tokens: readonly string[] = [];
  const accessToken = async () => {
    const token = await source();
    if (token !== tokens[0]) tokens = [token, ...tokens.slice(0, 1)];
    return token;
  };
  const google: GoogleSystem = {
    system: 'secret-manager',
    name: 'Google Secret Manager',
    role: `the role knadaNotebooksSecrets on project ${project} (deploy/README.md)`,
  };
  let client: Promise<SecretManagerServiceClient> | undefined;
  const opened = () => {
    client ??= load(origin, accessToken).catch((error: unknown) => {
      client = undefined;
      throw error;
    });
    return client;
  };
  const parent = `projects/${project}`;
  const nameOf = (id: string) => `${parent}/secrets/${id}`;
  const once = { timeout: callMs, maxRetries: 0 };

  const nonsense = () => new Unavailable(google.system, `${google.name} returned an invalid response.`);
  const versionOf = ({ name, state, createTime }: GoogleVersion): SecretVersion => {
    const version = /\/versions\/([0-9]+)$/.exec(name ?? '')?.[1];
    const known = typeof state === 'string' ? states[state] : undefined;
    if (version === undefined || known === undefined) {
      throw nonsense();
    }
    return { version, state: known, createdAt: instant(createTime) };
  };

  /**
   * One call. `expected` turns failures that are answers into values; every other failure is Unavailable, without a
   * cause. `isSilent`: the request carries a payload, so Google’s message is left out.
   */
  const call = async <T, E = never>(
    signal: AbortSignal,
    work: (client: SecretManagerServiceClient) => Promise<T>,
    expected: (failure: GoogleFailure) => { readonly is: E } | undefined = () => undefined,
    isSilent = false,
  ): Promise<T | E> => {
    try {
      return await bounded(google, signal, async () => work(await opened()));
    } catch (error) {
      if (error instanceof Unavailable) throw error;
      const failure = failureOf(error, tokens);
      if (failure === undefined) throw new Unavailable(google.system, `${google.name} cannot be reached.`);
      const answer = expected(failure);
      if (answer !== undefined) return answer.is;
      throw unavailable(google, failure, isSilent);
    }
  };
  const absent = (failure: GoogleFailure) => (failure.code === code.notFound ? { is: undefined } : undefined);

  return {
    secret: (id, signal) =>
      call(
        signal,
        async (google) => metadataOf((await google.getSecret({ name: nameOf(id) }, once))[0]),
        absent,
      ),
    createSecret: (id, labels, signal) =>
      call(
        signal,
        async (google) => {
          const replication = { userManaged: { replicas: [{ location: region }] } };
          await google.createSecret({ parent, secretId: id, secret: { replication, labels } }, once);
          return 'created' as const;
        },
        (failure) => (failure.code === code.alreadyExists ? { is: 'exists' as const } : undefined),
      ),
    annotate: (id, { annotations, etag }, signal) =>
      call(
        signal,
        async (google) => {
          const secret = { name: nameOf(id), annotations, etag };
          const updateMask = { paths: ['annotations'] };
          return metadataOf((await google.updateSecret({ secret, updateMask }, once))[0]);
        },
        (failure) => {
          const isMoved =
            failure.code === code.aborted ||
            failure.code === code.failedPrecondition ||
            failure.code === code.notFound;
          return isMoved ? { is: 'conflict' as const } : undefined;
        },
      ),
    deleteSecret: (id, signal) =>
      call(
        signal,
        async (google) => {
          await google.deleteSecret({ name: nameOf(id) }, once);
        },
        absent,
      ),
    policy: (id, signal) =>
      call(
        signal,
        async (google) => {
          const options = { requestedPolicyVersion: policyVersion };
          const policy = policyOf((await google.getIamPolicy({ resource: nameOf(id), options }, once))[0]);
          if (policy === undefined) throw nonsense();
          return policy;
        },
        absent,
      ),
    setPolicy: (id, { bindings, etag, rest }, signal) =>
      call(
        signal,
        async (google) => {
          const policy = { ...rest, bindings: bindings.map(googleBinding), version: policyVersion, etag };
          await google.setIamPolicy({ resource: nameOf(id), policy }, once);
          return { outcome: 'written' as const };
        },
        (failure) => {
          const refusal = policyRefusal(failure);
          return refusal && { is: refusal };
        },
      ),
    versions: async (id, signal) => {
      const all: SecretVersion[] = [];
      let pageToken = '';
      for (let page = 0; page < maxPages; page += 1) {
        const token = pageToken;
        const answer = await call(
          signal,
          async (google) => {
            const [versions, , response] = await google.listSecretVersions(
              { parent: nameOf(id), pageSize, pageToken: token },
              { ...once, autoPaginate: false },
            );
            return { versions: versions.map(versionOf), next: response?.nextPageToken ?? '' };
          },
          absent,
        );
        if (answer === undefined) return undefined;
        all.push(...answer.versions);
        pageToken = answer.next;
        if (pageToken === '') break;
      }
      return all.toSorted((a, b) => Number(b.version) - Number(a.version));
    },
    addVersion: (id, payload, signal) =>
      call(
        signal,
        async (google) => {
          const data = Buffer.from(payload);
          return versionOf(
            (await google.addSecretVersion({ parent: nameOf(id), payload: { data } }, once))[0],
          );
        },
        absent,
        true,
      ),
    setEnabled: (id, version, enabled, signal) =>
      call(
        signal,
        async (google) => {
          const name = `${nameOf(id)}/versions/${version}`;
          const [changed] = enabled
            ? await google.enableSecretVersion({ name }, once)
            : await google.disableSecretVersion({ name }, once);
          return versionOf(changed);
        },
        (failure) => {
          if (failure.code === code.notFound) return { is: undefined };
          return failure.code === code.failedPrecondition ? { is: 'destroyed' as const } : undefined;
        },
      ),
  };
};
