import Type, { type Static } from 'typebox';
import { type Fault, Problem } from '../problems.ts';
import { closed, Instant, oneOf, ref } from '../schema.ts';
import { googleServiceAccount, secretName, secretVariable, type TeamName } from '../teams/names.ts';

/** The most that Secret Manager takes for a version, decoded. */
export const payloadMaxBytes = 65_536;

export const SecretVersion = closed(
  {
    version: Type.String({ description: 'Its number.', examples: ['3'] }),
    state: oneOf(['enabled', 'disabled', 'destroyed'], { examples: ['enabled'] }),
    createdAt: Instant,
  },
  { $id: 'SecretVersion', description: 'A version of the team’s secret; never what it holds.' },
);
export type SecretVersion = Static<typeof SecretVersion>;

export const Secret = closed(
  {
    name: Type.String({
      description: 'As Secret Manager knows it; a notebook reads `<name>/versions/latest`.',
      examples: ['projects/knada-gcp/secrets/team-a-3f9c'],
    }),
    env: Type.String({
      description: 'The environment variable that holds the name in every notebook of the team.',
      examples: [secretVariable],
    }),
    serviceAccount: Type.String({
      description: 'The Google service account that the team’s notebooks act as.',
      examples: ['team-a-3f9c@knada-gcp.iam.gserviceaccount.com'],
    }),
    versions: Type.Array(ref(SecretVersion), { description: 'The newest first; a new secret has none.' }),
    consoleUrl: Type.String({
      description: 'The secret in Google’s console.',
      examples: [
        'https://console.cloud.google.com/security/secret-manager/secret/team-a-3f9c/versions?project=knada-gcp',
      ],
    }),
    grantCommand: Type.String({
      description:
        'What lets notebooks read a secret in another project of yours; fill in SECRET and PROJECT.',
      examples: [
        'gcloud secrets add-iam-policy-binding SECRET --project=PROJECT --member=serviceAccount:team-a-3f9c@knada-gcp.iam.gserviceaccount.com --role=roles/secretmanager.secretAccessor',
      ],
    }),
  },
  { $id: 'Secret' },
);
export type Secret = Static<typeof Secret>;

export const SecretVersionOrder = closed(
  {
    data: Type.Optional(
      Type.String({ minLength: 1, description: 'The payload as text (UTF-8).', examples: ['correct horse'] }),
    ),
    dataBase64: Type.Optional(
      Type.String({
        minLength: 1,
        description: 'The payload in base64 (RFC 4648, section 4), for what is not text.',
        examples: ['Y29ycmVjdCBob3JzZQ=='],
      }),
    ),
  },
  {
    $id: 'SecretVersionOrder',
    description: `Either data or dataBase64; at most ${payloadMaxBytes} bytes decoded. It is passed on to Secret Manager and kept nowhere else.`,
    examples: [{ data: 'correct horse' }],
  },
);
export type SecretVersionOrder = Static<typeof SecretVersionOrder>;

const fault = (pointer: string, code: string, message: string): never => {
  const errors: readonly Fault[] = [{ pointer, code, message }];
  throw new Problem('validation_failed', { errors });
};

/**
 * The payload of an order. Throws Problem `validation_failed`, which never quotes any of it: for none or both of the
 * two forms, for what is neither text nor base64, and for more bytes than Secret Manager takes.
 */
export const payloadOf = ({ data, dataBase64 }: SecretVersionOrder): Uint8Array => {
  if (data === undefined && dataBase64 === undefined)
    return fault('', 'payload_missing', 'Send data or dataBase64.');
  if (data !== undefined && dataBase64 !== undefined) {
    return fault('/dataBase64', 'payload_twice', 'Send data or dataBase64, not both.');
  }
  if (data?.isWellFormed() === false) {
    // UTF-8 has no such thing: what would be stored is another text.
    return fault(
      '/data',
      'not_text',
      'This has half of a surrogate pair in it. Send dataBase64 for what is not text.',
    );
  }
  const pointer = data === undefined ? '/dataBase64' : '/data';
  const payload = data === undefined ? Buffer.from(dataBase64 ?? '', 'base64') : Buffer.from(data, 'utf8');
  // Node reads past whatever is not base64; what it made must be all that was there.
  if (data === undefined && payload.toString('base64') !== dataBase64) {
    return fault(pointer, 'not_base64', 'This is not base64 with padding (RFC 4648, section 4).');
  }
  if (payload.length > payloadMaxBytes) {
    return fault(
      pointer,
      'payload_too_large',
      `The payload has ${payload.length} bytes; Secret Manager takes ${payloadMaxBytes} at most.`,
    );
  }
  return payload;
};

/** The team’s secret as its clients see it. */
export const secretView = (
  team: TeamName,
  googleProject: string,
  versions: readonly SecretVersion[],
): Secret => {
  const serviceAccount = googleServiceAccount(team.id, googleProject);
  return {
    name: secretName(team.id, googleProject),
    env: secretVariable,
    serviceAccount,
    versions: versions.map(({ version, state, createdAt }) => ({ version, state, createdAt })),
    consoleUrl: `https://console.cloud.google.com/security/secret-manager/secret/${team.id}/versions?project=${googleProject}`,
    grantCommand: `gcloud secrets add-iam-policy-binding SECRET --project=PROJECT --member=serviceAccount:${serviceAccount} --role=roles/secretmanager.secretAccessor`,
  };
};
