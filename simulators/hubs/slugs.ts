import { createHash } from 'node:crypto';

/** kubespawner/slugs.py: names of objects and values of labels from any user name, without collisions. */
const objectName = /^[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const labelValue = /^(?:[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?)?$/i;

const hashed = (name: string, longest: number): string => {
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 8);
  const room = longest - hash.length - '---'.length;
  const plain = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+/, '')
    .slice(0, room)
    .replace(/-+$/, '');
  const started = plain === '' || /^[a-z]/.test(plain) ? plain : `x-${plain.slice(0, room - 2)}`;
  return `${started === '' ? 'x' : started}---${hash}`;
};

/** KubeSpawner’s {user_server} of a default server, in names of pods and claims. */
export const objectSlug = (name: string): string =>
  !name.includes('--') && name.length <= 48 && objectName.test(name) ? name : hashed(name, 48);

/** The value of the label hub.jupyter.org/username. */
export const labelSlug = (name: string): string =>
  !name.includes('--') && labelValue.test(name) ? name : hashed(name, 32);
