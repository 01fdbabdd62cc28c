import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { asList, asText, at, type Json, parseJson } from '@knada/simulators/kubernetes/json.ts';
import { expectStatus, type Step, type Story } from './story.ts';

const notebook = fileURLToPath(new URL('notebook.ts', import.meta.url));
const run = promisify(execFile);

/** Reads a secret as a notebook of this team does, in its own process with Google’s client; returns the payload or the error. */
const readBy = async ({ sandbox }: Story, teamId: string, secret: string): Promise<Json> => {
  const metadata = await sandbox.google.metadataFor({
    namespace: `team-${teamId}`,
    serviceAccount: teamId,
    googleServiceAccount: `${teamId}@knada-local.iam.gserviceaccount.com`,
  });
  const { stdout } = await run(process.execPath, [notebook], {
    env: { GCE_METADATA_HOST: metadata.host, KNADA_TEAM_SECRET: secret, SIMULATOR: sandbox.google.url },
    timeout: 30_000,
  });
  return parseJson(stdout);
};

const idOf = ({ namespace }: Story): string => namespace.replace(/^team-/, '');

/** The team’s own secret. */
export const secrets: readonly Step[] = [
  {
    says: 'the team has a secret without versions, under the name that its notebooks see',
    async run(story) {
      const { kari } = story;
      const id = idOf(story);
      const secret = expectStatus(await kari.call('GET', '/teams/team-a/secret'), 200);
      assert.partialDeepStrictEqual(secret, {
        name: `projects/knada-local/secrets/${id}`,
        env: 'KNADA_TEAM_SECRET',
        serviceAccount: `${id}@knada-local.iam.gserviceaccount.com`,
        versions: [],
      });
      assert.match(asText(at(secret, 'grantCommand')), new RegExp(`serviceAccount:${id}@`));
    },
  },
  {
    says: "the team's service account reads an added version with Google's own client",
    async run(story) {
      const { kari } = story;
      const path = '/teams/team-a/secret/versions';
      const added = expectStatus(await kari.call('POST', path, { body: { data: 'correct horse' } }), 201);
      assert.partialDeepStrictEqual(added, { version: '1', state: 'enabled' });
      assert.ok(!JSON.stringify(added).includes('correct'));
      const id = idOf(story);
      const read = await readBy(story, id, `projects/knada-local/secrets/${id}`);
      assert.deepEqual(read, { payload: 'correct horse' });
    },
  },
  {
    says: "another team's service account is denied",
    async run(story) {
      const { kari } = story;
      const other = expectStatus(await kari.call('POST', '/teams', { body: { slug: 'team-c' } }), 201);
      const stranger = asText(at(other, 'id'));
      const denied = await readBy(story, stranger, `projects/knada-local/secrets/${idOf(story)}`);
      assert.equal(at(denied, 'code'), 7, `PERMISSION_DENIED, not ${JSON.stringify(denied)}`);
    },
  },
  {
    says: 'a version is disabled and enabled, and the history records it without the payload',
    async run({ kari }) {
      const version = '/teams/team-a/secret/versions/1';
      const off = expectStatus(await kari.call('POST', `${version}/disable`), 200);
      assert.equal(at(off, 'state'), 'disabled');
      expectStatus(await kari.call('POST', `${version}/enable`), 200);
      const { body } = await kari.call('GET', '/teams/team-a/history');
      const actions = asList(at(body, 'items')).map((item) => at(item, 'action'));
      assert.deepEqual(actions.slice(0, 3), [
        'secret_version_enabled',
        'secret_version_disabled',
        'secret_version_added',
      ]);
      assert.ok(!JSON.stringify(body).includes('correct horse'));
    },
  },
];
