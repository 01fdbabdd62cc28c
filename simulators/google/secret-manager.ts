import { type Answer, json } from '../registries/http.ts';
import { type GoogleCall, owner, pageOf, recordIn, textIn, textsIn } from './call.ts';
import { denied, Refusal } from './errors.ts';
import { allows, type Principals, replaced, shown } from './policy.ts';
import type { Secret, State, Version, VersionState } from './state.ts';

export interface SecretManagerOptions {
  readonly state: State;
  readonly project: string;
  readonly principals: Principals;
  readonly now: () => number;
}

const mostBytes = 65_536;
const mostAnnotationBytes = 16 * 1024;

const route =
  /^\/v1\/projects\/([^/]+)\/secrets(?:\/([^/:]+)(?:\/versions(?:\/([^/:]+))?)?)?(?::([A-Za-z]+))?$/;

const isVersions = /\/versions(?:[/:]|$)/;

/** Enums as numbers, when the client asks for them (`$alt=json;enum-encoding=int`). */
const numbers: Readonly<Record<VersionState, number>> = { ENABLED: 1, DISABLED: 2, DESTROYED: 3 };

const labelForm = {
  key: /^[\p{Ll}\p{Lo}][\p{Ll}\p{Lo}\p{N}_-]{0,62}$/u,
  value: /^[\p{Ll}\p{Lo}\p{N}_-]{0,63}$/u,
};

const annotationKey = /^[a-zA-Z0-9](?:[a-zA-Z0-9._-]{0,61}[a-zA-Z0-9])?$/;

const checkLabels = (labels: Readonly<Record<string, string>>): void => {
  for (const [key, value] of Object.entries(labels)) {
    if (labelForm.key.test(key) && labelForm.value.test(value)) continue;
    throw new Refusal('INVALID_ARGUMENT', `Invalid label ${key}: ${value}.`);
  }
};

const checkAnnotations = (annotations: Readonly<Record<string, string>>): void => {
  let bytes = 0;
  for (const [key, value] of Object.entries(annotations)) {
    if (!annotationKey.test(key)) throw new Refusal('INVALID_ARGUMENT', `Invalid annotation key ${key}.`);
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  if (bytes >= mostAnnotationBytes) {
    throw new Refusal('INVALID_ARGUMENT', 'The total size of annotations exceeds 16 KiB.');
  }
};

const permissionOf: Readonly<Record<string, string>> = {
  'GET secret': 'secretmanager.secrets.get',
  'PATCH secret': 'secretmanager.secrets.update',
  'DELETE secret': 'secretmanager.secrets.delete',
  'GET secret:getIamPolicy': 'secretmanager.secrets.getIamPolicy',
  'POST secret:setIamPolicy': 'secretmanager.secrets.setIamPolicy',
  'POST secret:addVersion': 'secretmanager.versions.add',
  'GET versions': 'secretmanager.versions.list',
  'GET version': 'secretmanager.versions.get',
  'GET version:access': 'secretmanager.versions.access',
  'POST version:enable': 'secretmanager.versions.enable',
  'POST version:disable': 'secretmanager.versions.disable',
  'POST version:destroy': 'secretmanager.versions.destroy',
};

/** Secret Manager’s REST API (v1), as its published protos map it to HTTP. */
export const secretManager = (call: GoogleCall, options: SecretManagerOptions): Answer => {
  const { state, project, principals, now } = options;
  const found = route.exec(decodeURIComponent(call.url.pathname));
  if (found === null) throw new Refusal('NOT_FOUND', 'Requested entity was not found.');
  const [, inProject = '', id, number, verb] = found;
  const parent = `projects/${project}`;
  const isOwner = call.caller === owner;
  const inTime = () => new Date(now()).toISOString();

  if (id === undefined) {
    const permission = `secretmanager.secrets.${call.method === 'POST' ? 'create' : 'list'}`;
    if (inProject !== project || !isOwner) throw denied(permission, `projects/${inProject}`);
  }
  if (id === undefined && call.method === 'POST') {
    const secretId = call.url.searchParams.get('secretId') ?? '';
    if (!/^[A-Za-z0-9_-]{1,255}$/.test(secretId)) throw new Refusal('INVALID_ARGUMENT', 'Invalid secret id.');
    if (state.secret(secretId) !== undefined) {
      throw new Refusal('ALREADY_EXISTS', `Secret [${parent}/secrets/${secretId}] already exists.`);
    }
    const replication = recordIn(call.json, 'replication');
    if (Object.keys(replication).length === 0) {
      throw new Refusal('INVALID_ARGUMENT', 'The replication policy of a secret must be given.');
    }
    const labels = textsIn(call.json, 'labels');
    const annotations = textsIn(call.json, 'annotations');
    checkLabels(labels);
    checkAnnotations(annotations);
    const secret: Secret = {
      labels,
      annotations,
      replication,
      createTime: inTime(),
      etag: `"${state.newEtag()}"`,
      versions: [],
      policy: { bindings: [], etag: 'ACAB' },
    };
    state.putSecret(secretId, secret);
    return json(200, secretOf(secretId, secret, parent));
  }
  if (id === undefined) {
    const { items, nextPageToken } = pageOf(call, state.secretIds().toSorted(), 25_000);
    const secrets = items.flatMap((one) => {
      const secret = state.secret(one);
      return secret === undefined ? [] : [secretOf(one, secret, parent)];
    });
    return json(200, { secrets, totalSize: state.secretIds().length, nextPageToken });
  }

  const noun = number !== undefined ? 'version' : isVersions.test(call.url.pathname) ? 'versions' : 'secret';
  const operation = `${call.method} ${noun}${verb === undefined ? '' : `:${verb}`}`;
  const permission = permissionOf[operation];
  if (permission === undefined) throw new Refusal('NOT_FOUND', 'Requested entity was not found.');
  const resource = `projects/${inProject}/secrets/${id}${number === undefined ? '' : `/versions/${number}`}`;
  const secret = inProject === project ? state.secret(id) : undefined;
  const isAllowed = isOwner || (secret !== undefined && allows(secret.policy, call.caller, permission));
  if (!isAllowed || inProject !== project) throw denied(permission, resource);
  if (secret === undefined) throw new Refusal('NOT_FOUND', `Secret [${parent}/secrets/${id}] not found.`);

  const versionOf = (version: Version, index: number): object => ({
    name: `projects/123456789012/secrets/${id}/versions/${index + 1}`,
    createTime: version.createTime,
    state: call.url.searchParams.get('$alt')?.includes('enum-encoding=int')
      ? numbers[version.state]
      : version.state,
    etag: `"${version.state}-${index}"`,
  });
  const one = (): { readonly index: number; readonly version: Version } => {
    const index = number === 'latest' ? secret.versions.length - 1 : Number(number) - 1;
    const version = secret.versions[index];
    if (version === undefined) throw new Refusal('NOT_FOUND', `Secret Version [${resource}] not found.`);
    return { index, version };
  };
  const put = (index: number, version: Version): Answer => {
    state.putSecret(id, { ...secret, versions: secret.versions.with(index, version) });
    return json(200, versionOf(version, index));
  };

  switch (operation) {
    case 'GET secret':
      return json(200, secretOf(id, secret, parent));
    case 'PATCH secret': {
      const etag = textIn(call.json, 'etag');
      if (etag !== '' && etag !== secret.etag) {
        throw new Refusal('FAILED_PRECONDITION', 'The etag provided does not match the one of the secret.');
      }
      const mask = (call.url.searchParams.get('updateMask') ?? '').split(',');
      const labels = mask.includes('labels') ? textsIn(call.json, 'labels') : secret.labels;
      const annotations = mask.includes('annotations')
        ? textsIn(call.json, 'annotations')
        : secret.annotations;
      checkLabels(labels);
      checkAnnotations(annotations);
      const next = { ...secret, labels, annotations, etag: `"${state.newEtag()}"` };
      state.putSecret(id, next);
      return json(200, secretOf(id, next, parent));
    }
    case 'DELETE secret':
      state.deleteSecret(id);
      return json(200, {});
    case 'GET secret:getIamPolicy':
      return json(
        200,
        shown(secret.policy, Number(call.url.searchParams.get('options.requestedPolicyVersion') ?? 0)),
      );
    case 'POST secret:setIamPolicy': {
      const policy = replaced(secret.policy, call.json, principals, () => state.newEtag());
      state.putSecret(id, { ...secret, policy });
      return json(200, shown(policy, 3));
    }
    case 'POST secret:addVersion': {
      const data = Buffer.from(textIn(recordIn(call.json, 'payload'), 'data'), 'base64');
      if (data.length === 0) throw new Refusal('INVALID_ARGUMENT', 'The secret payload must not be empty.');
      if (data.length > mostBytes) {
        throw new Refusal(
          'INVALID_ARGUMENT',
          `The secret payload is ${data.length} bytes and exceeds the maximum of ${mostBytes} bytes.`,
        );
      }
      const version: Version = { createTime: inTime(), state: 'ENABLED', data: data.toString('base64') };
      state.putSecret(id, { ...secret, versions: [...secret.versions, version] });
      return json(200, versionOf(version, secret.versions.length));
    }
    case 'GET versions': {
      const newestFirst = secret.versions.map(versionOf).toReversed();
      const { items, nextPageToken } = pageOf(call, newestFirst, 25_000);
      return json(200, { versions: items, totalSize: newestFirst.length, nextPageToken });
    }
    case 'GET version': {
      const { index, version } = one();
      return json(200, versionOf(version, index));
    }
    case 'GET version:access': {
      const { index, version } = one();
      if (version.state !== 'ENABLED' || version.data === undefined) {
        throw new Refusal(
          'FAILED_PRECONDITION',
          `Secret Version [${resource}] is in ${version.state} state.`,
        );
      }
      const name = `projects/123456789012/secrets/${id}/versions/${index + 1}`;
      return json(200, { name, payload: { data: version.data } });
    }
    default: {
      const { index, version } = one();
      if (version.state === 'DESTROYED') {
        throw new Refusal('FAILED_PRECONDITION', `Secret Version [${resource}] is in DESTROYED state.`);
      }
      const { data: _data, ...rest } = version;
      if (verb === 'destroy') return put(index, { ...rest, state: 'DESTROYED' });
      return put(index, { ...version, state: verb === 'enable' ? 'ENABLED' : 'DISABLED' });
    }
  }
};

const secretOf = (id: string, secret: Secret, parent: string): object => ({
  name: `${parent.replace(/[^/]+$/, '123456789012')}/secrets/${id}`,
  replication: secret.replication,
  createTime: secret.createTime,
  labels: secret.labels,
  annotations: secret.annotations,
  etag: secret.etag,
});
