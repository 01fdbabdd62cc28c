import Type, { type TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { UpstreamMessage } from '../lib/redaction.ts';
import type { IamBinding, IamPolicy } from '../ports/iam.ts';
import type { ServiceAccounts } from '../ports/service-accounts.ts';
import { Unavailable } from '../ports/unavailable.ts';
import { type GoogleEndpoints, originOf, tokenSource } from './google-endpoints.ts';
import {
  bounded,
  code,
  type GoogleFailure,
  type GoogleSystem,
  policyRefusal,
  policyVersion,
  unavailable,
} from './google-failure.ts';

export interface ServiceAccountsOptions {
  readonly project: string;
  readonly endpoints?: GoogleEndpoints;
  /** A Google access token of this service; by default that of its own identity. */
  readonly accessToken?: () => Promise<string>;
}

const Account = Type.Object({ email: Type.String(), description: Type.Optional(Type.String()) });

const Policy = Type.Object({
  version: Type.Optional(Type.Integer()),
  // Without an etag a write could undo a concurrent change.
  etag: Type.String({ minLength: 1 }),
  bindings: Type.Optional(
    Type.Array(
      Type.Object({
        role: Type.String(),
        members: Type.Optional(Type.Array(Type.String())),
        condition: Type.Optional(Type.Unknown()),
      }),
    ),
  ),
});

/** Google’s form of an error (AIP-193). */
const ErrorBody = Type.Object({
  error: Type.Object({
    code: Type.Integer(),
    message: Type.Optional(Type.String()),
    status: Type.Optional(Type.String()),
    details: Type.Optional(Type.Array(Type.Unknown())),
  }),
});

const PreconditionFailure = Type.Object({
  violations: Type.Array(Type.Object({ description: Type.Optional(Type.String()) })),
});

const codeOf: Readonly<Record<string, number>> = {
  INVALID_ARGUMENT: code.invalidArgument,
  DEADLINE_EXCEEDED: code.deadlineExceeded,
  NOT_FOUND: code.notFound,
  ALREADY_EXISTS: code.alreadyExists,
  PERMISSION_DENIED: code.permissionDenied,
  RESOURCE_EXHAUSTED: code.exhausted,
  FAILED_PRECONDITION: code.failedPrecondition,
  ABORTED: code.aborted,
  UNAUTHENTICATED: code.unauthenticated,
};

const bindingOf = ({
  role,
  members = [],
  condition,
}: {
  role: string;
  members?: string[];
  condition?: unknown;
}): IamBinding => ({ role, members, ...(condition ? { condition } : {}) });

const largestAnswer = 4 * 1024 * 1024;

/**
 * The service accounts of one project, over IAM’s REST API (v1). For these five calls Google’s client would load gRPC
 * and a second set of protos.
 */
export const openServiceAccounts = (options: ServiceAccountsOptions): ServiceAccounts => {
  const { project } = options;
  const origin = originOf('iam.googleapis.com', options.endpoints);
  const accessToken = options.accessToken ?? tokenSource(origin);
  const google: GoogleSystem = {
    system: 'iam',
    name: 'Google IAM',
    role: `the role knadaNotebooksAccounts on project ${project} (deploy/README.md)`,
  };
  const accounts = `/v1/projects/${project}/serviceAccounts`;
  const pathOf = (id: string) => `${accounts}/${id}@${project}.iam.gserviceaccount.com`;
  const nonsense = () => new Unavailable(google.system, `${google.name} returned an invalid response.`);

  const failureIn = (body: unknown, token: string): GoogleFailure | undefined => {
    if (!Value.Check(ErrorBody, body)) return undefined;
    const { status = '', message = '', details = [] } = body.error;
    const said = (text: string) => new UpstreamMessage(text, [token]);
    const violations = details.flatMap((detail) =>
      Value.Check(PreconditionFailure, detail)
        ? detail.violations.flatMap(({ description }) => (description === undefined ? [] : said(description)))
        : [],
    );
    return { code: codeOf[status], message: said(message), violations };
  };

  /** Google’s answer, or its failure in Google’s own form. Throws Unavailable for anything else. */
  const ask = async <T extends TSchema>(
    signal: AbortSignal,
    schema: T,
    method: 'GET' | 'POST' | 'DELETE',
    path: string,
    body?: object,
  ) =>
    bounded(google, signal, async (deadline) => {
      const token = await accessToken().catch(() => {
        throw new Unavailable(google.system, 'Google gave no access token for this service’s identity.');
      });
      // Without a cause: undici’s errors may carry the request.
      const response = await fetch(`${origin}${path}`, {
        method,
        redirect: 'error',
        signal: deadline,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }).catch(() => {
        throw new Unavailable(google.system, `${google.name} cannot be reached.`);
      });
      const text = await response.text().catch(() => {
        throw new Unavailable(
          google.system,
          `${google.name} closed the connection before the response was complete.`,
        );
      });
      if (text.length > largestAnswer) throw nonsense();
      let value: unknown;
      try {
        value = JSON.parse(text);
      } catch {
        value = undefined;
      }
      if (!response.ok) {
        const failure = failureIn(value, token);
        if (failure === undefined) {
          throw new Unavailable(google.system, `${google.name} answered ${response.status}.`);
        }
        return { failure } as const;
      }
      if (!Value.Check(schema, value)) throw nonsense();
      return { value } as const;
    });

  return {
    async account(id, signal) {
      const { failure, value } = await ask(signal, Account, 'GET', pathOf(id));
      if (value !== undefined) return { email: value.email, description: value.description ?? '' };
      if (failure.code === code.notFound) return undefined;
      throw unavailable(google, failure);
    },
    async createAccount(id, { name, description }, signal) {
      const body = { accountId: id, serviceAccount: { displayName: name, description } };
      const { failure } = await ask(signal, Account, 'POST', accounts, body);
      if (failure === undefined) return 'created';
      if (failure.code === code.alreadyExists) return 'exists';
      throw unavailable(google, failure);
    },
    async deleteAccount(id, signal) {
      const { failure } = await ask(signal, Type.Object({}), 'DELETE', pathOf(id));
      if (failure !== undefined && failure.code !== code.notFound) throw unavailable(google, failure);
    },
    async policy(id, signal) {
      const path = `${pathOf(id)}:getIamPolicy?options.requestedPolicyVersion=${policyVersion}`;
      const { failure, value } = await ask(signal, Policy, 'POST', path);
      if (value !== undefined) {
        const { bindings = [], etag, version = 0, ...rest } = value;
        const others = Object.keys(rest).length > 0 ? { rest } : {};
        return { bindings: bindings.map(bindingOf), etag, version, ...others };
      }
      if (failure.code === code.notFound) return undefined;
      throw unavailable(google, failure);
    },
    async setPolicy(id, { bindings, etag, rest }: IamPolicy, signal) {
      const policy = { ...rest, bindings, etag, version: policyVersion };
      const { failure } = await ask(signal, Policy, 'POST', `${pathOf(id)}:setIamPolicy`, { policy });
      if (failure === undefined) return { outcome: 'written' };
      const refusal = policyRefusal(failure);
      if (refusal === undefined) throw unavailable(google, failure);
      return refusal;
    },
  };
};
