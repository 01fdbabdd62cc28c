import { v1 } from '@google-cloud/secret-manager';

/**
 * What a notebook does, with Google’s own client and Application Default Credentials: reads the newest version of
 * KNADA_TEAM_SECRET and prints it. SIMULATOR is the one thing that production does not set.
 */
const { KNADA_TEAM_SECRET, SIMULATOR = '' } = process.env;
const { protocol, hostname, port } = new URL(SIMULATOR);
const client = new v1.SecretManagerServiceClient({
  fallback: true,
  protocol: protocol.slice(0, -1),
  apiEndpoint: hostname,
  port: Number(port),
});
try {
  const [version] = await client.accessSecretVersion({ name: `${KNADA_TEAM_SECRET}/versions/latest` });
  console.log(JSON.stringify({ payload: version.payload?.data?.toString() }));
} catch (error) {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  console.log(JSON.stringify({ code, message: error instanceof Error ? error.message : String(error) }));
}
