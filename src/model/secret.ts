import Type, { type Static } from 'typebox';
import { answer, closed, enforcedByHandler, Instant, known, ref } from '../lib/schema.ts';
import { secretVariable } from './names.ts';

/** Secret Manager’s limit for the payload of a version, decoded. */
export const payloadMaxBytes = 65536;

/** Groups of four characters; in the last one, the bits that belong to no byte are zero. */
const base64Pattern =
  '^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=|[A-Za-z0-9+/][AQgw]==)$';

export const SecretVersion = answer(
  {
    version: Type.String({ description: 'The version number.', examples: ['3'] }),
    state: known(['enabled', 'disabled', 'destroyed'], { examples: ['enabled'] }),
    createdAt: Instant,
  },
  { $id: 'SecretVersion', description: 'A version of the team’s secret, without its payload.' },
);
export type SecretVersion = Static<typeof SecretVersion>;

export const Secret = answer(
  {
    name: Type.String({
      description: 'The resource name in Secret Manager; notebooks read `<name>/versions/latest`.',
      examples: ['projects/knada-gcp/secrets/team-a-3f9c'],
    }),
    env: Type.String({
      description: 'The environment variable that holds the name in every notebook of the team.',
      examples: [secretVariable],
    }),
    serviceAccount: Type.String({
      description: 'The Google service account that the team’s notebooks run as.',
      examples: ['team-a-3f9c@knada-gcp.iam.gserviceaccount.com'],
    }),
    versions: Type.Array(ref(SecretVersion), { description: 'Newest first; a new secret has none.' }),
    consoleUrl: Type.String({
      description: 'The secret in the Google Cloud console.',
      examples: [
        'https://console.cloud.google.com/security/secret-manager/secret/team-a-3f9c/versions?project=knada-gcp',
      ],
    }),
    grantCommand: Type.String({
      description:
        'The command that lets notebooks read a secret in another project of yours; replace SECRET and PROJECT.',
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
      enforcedByHandler(
        Type.String({
          minLength: 1,
          description: 'The payload as text, counted in bytes of UTF-8.',
          examples: ['correct horse'],
        }),
        { maxLength: payloadMaxBytes },
      ),
    ),
    dataBase64: Type.Optional(
      enforcedByHandler(
        Type.String({
          minLength: 1,
          description: 'The payload in base64 with padding (RFC 4648, section 4), for binary data.',
          examples: ['Y29ycmVjdCBob3JzZQ=='],
        }),
        { pattern: base64Pattern, maxLength: 4 * Math.ceil(payloadMaxBytes / 3) },
      ),
    ),
  },
  {
    $id: 'SecretVersionOrder',
    description: `Either data or dataBase64; at most ${payloadMaxBytes} bytes decoded. The payload is sent to Secret Manager and stored nowhere else.`,
    examples: [{ data: 'correct horse' }],
  },
);
export type SecretVersionOrder = Static<typeof SecretVersionOrder>;
