import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { RESOURCES } from '@knada/simulators/kubernetes/resources.ts';
import type { TeamRecord } from '../../../src/model/record.ts';
import { hubSecret, hubSecretName } from '../../../src/notebooks/keys.ts';
import {
  admissionSecret,
  applied,
  googleToken,
  hubSecrets,
  kept,
  kubernetesToken,
  logged,
  masterKeys,
  payload,
  signatureOf,
} from './planted.ts';
import type { World } from './world.ts';

interface Run {
  readonly world: World;
  readonly token: string;
  /** A token signed by a key that could not be fetched. */
  readonly unverified: string;
  /** The teams as first created, by slug. */
  readonly records: ReadonlyMap<string, TeamRecord>;
}

/** Keeps everything in the store, including what SQLite has not overwritten yet. */
export const lookIntoStore = (world: World): void => {
  const database = new DatabaseSync(world.file, { readOnly: true });
  const tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all();
  assert.ok(tables.length >= 4, 'the store has tables');
  for (const { name } of tables) {
    const rows = database.prepare(`SELECT * FROM "${String(name)}"`).all();
    // One by one: a row of another team is other evidence.
    for (const row of rows)
      kept.push({ where: `table ${String(name)}`, text: Object.values(row).join('\n') });
  }
  database.close();
  for (const name of readdirSync(world.folder).filter((one) => one.startsWith('store.sqlite'))) {
    kept.push({ where: `file ${name}`, text: readFileSync(join(world.folder, name), 'latin1') });
  }
};

/** Keeps what Google holds of a team, except the secret’s versions. */
export const lookAtGoogle = (world: World, id: string): void => {
  const { versions = [], ...secret } = world.google.secret(id) ?? {};
  assert.ok(
    versions.some((version) => JSON.stringify(version).includes(Buffer.from(payload).toString('base64'))),
    `the payload is in Secret Manager, ${id}`,
  );
  const account = world.google.account(`${id}@knada-gcp.iam.gserviceaccount.com`);
  kept.push({ where: `Google, of ${id}`, text: JSON.stringify([secret, account]) });
};

/** Every secret of this run, by name. */
export const canariesIn = ({ world, token, unverified, records }: Run): ReadonlyMap<string, string> => {
  const all = new Map([
    ['the payload', payload],
    // The rest of a JWT is no secret, and begins like any other.
    ['the caller’s token', signatureOf(token)],
    ['a token of an unknown key', signatureOf(unverified)],
    ['Google’s token', googleToken],
    ['the token for Kubernetes', kubernetesToken],
    ['the admission secret', admissionSecret],
    ...masterKeys.map(({ id, key }) => [`master key ${id}`, key] as const),
  ]);
  for (const { id } of records.values()) {
    for (const key of masterKeys) {
      const { data } = hubSecret(id, [key], { namespace: '', labels: {}, annotations: {} });
      for (const [name, value] of Object.entries(data ?? {})) {
        all.set(`${name} of ${id} by ${key.id}`, Buffer.from(String(value), 'base64').toString());
      }
    }
  }
  const known = new Set(all.values());
  for (const [system, mirror] of Object.entries(world.mirrors)) {
    for (const credential of mirror.credentials) {
      const [scheme = '', value = ''] = credential.split(' ');
      const shown =
        scheme === 'Basic'
          ? Buffer.from(value, 'base64')
              .toString()
              .replace(/^[^:]*:/, '')
          : value;
      if (!known.has(shown)) all.set(`credential ${all.size} shown to ${system}`, shown);
      known.add(shown);
    }
  }
  return all;
};

/** Keeps what is printed, and every state of every object. */
export const listen = (world: World): void => {
  for (const stream of [process.stdout, process.stderr]) {
    const write = stream.write.bind(stream);
    stream.write = (chunk: string | Uint8Array, ...rest: never[]) => {
      logged.push(`console: ${typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('latin1')}`);
      return write(chunk, ...rest);
    };
  }
  for (const { plural } of RESOURCES) {
    world.client.watch(plural, {}, (_type, object) => {
      const { data, ...rest } = object;
      const { namespace = '', name = '' } = object.metadata;
      const isHubSecret = object.kind === 'Secret' && name === hubSecretName;
      if (isHubSecret) hubSecrets.set(String(namespace), JSON.stringify(data));
      const text = JSON.stringify(isHubSecret ? rest : object);
      applied.push({ where: `${object.kind} ${namespace}/${name}`, text });
    });
  }
};
