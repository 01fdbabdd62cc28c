import Type, { type Static } from 'typebox';
import { closed, Instant, oneOf, ref } from '../lib/schema.ts';
import { secretVariable } from './names.ts';

/** The most that Secret Manager takes for a version, decoded. */
export const payloadMaxBytes = 65536;

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
