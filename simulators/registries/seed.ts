import type { RegistryContent } from './content.ts';
import { buildImage } from './image.ts';
import { lastMonday } from './releases.ts';

const amd64 = ['linux/amd64'];
const dayMs = 24 * 3600 * 1000;

/** Tags of the standard image in three formats, the oldest first, with some that fit none. */
const standardTags = [
  '2023-06-16-738148c-3.9',
  '2023-06-16-738148c-3.10',
  '2023-07-17-0580d64-3.10',
  '2023-07-17-0580d64-3.11',
  '2023-07-17-0580d64-3.12',
  '2023-07-17-0580d64-3.13',
  '2024-03-20-bd85a58-',
  '2024-03-20-984c58b-python-3.11',
  '20250115-4cd26f3-3.11',
  '20250115-4cd26f3-3.12',
  '20250115-4cd26f3-3.13',
  '20250307-50d82a3-3.11',
  '20251124-120000-3.11',
  '20260810-060000-3.12',
];

/** The tags of the last four Mondays, the oldest first, as the newest Python is built weekly. */
const weekly = (now: number): readonly string[] =>
  [3, 2, 1, 0].map((weeks) => {
    const built = new Date(lastMonday(4, now) - weeks * 7 * dayMs);
    return `${built.toISOString().slice(0, 10).replaceAll('-', '')}-040000-3.13`;
  });

export interface SeedNames {
  readonly garProject: string;
  readonly owner: string;
  readonly standardRepository: string;
}

/** The repositories at the start; each is an example of one situation. */
export const seed = (
  content: RegistryContent,
  { garProject, owner, standardRepository }: SeedNames,
  now: number,
): void => {
  const publish = (path: string): void => {
    content.ensure(path).visibility = 'public';
  };
  const push = (name: string, tag: string, created: string, platforms = amd64, attested = false): string => {
    const image = buildImage({ platforms, created, text: `${name}:${tag}`, attested });
    return content.push(name, image, { tag, pushedAt: created });
  };

  const standard = `${owner}/${standardRepository}`;
  publish(standard);
  for (const tag of [...standardTags, ...weekly(now)]) {
    const digits = tag.replaceAll('-', '').slice(0, 8);
    const created = `${digits.slice(0, 4)}-${digits.slice(4, 6)}-${digits.slice(6)}T04:00:00.000Z`;
    push(standard, tag, created);
  }

  const team = `${owner}/team-notebook`;
  publish(team);
  push(team, '20261101-090000-1a2b3c4', '2026-11-01T09:00:00.000Z');
  push(team, '20261115-090000-5d6e7f8', '2026-11-15T09:00:00.000Z');
  push(team, 'main', '2026-11-15T09:00:00.000Z');

  const many = `${owner}/many-tags`;
  publish(many);
  const image = buildImage({ platforms: amd64, created: '2026-01-01T00:00:00.000Z', text: many });
  for (let n = 1; n <= 1100; n += 1) {
    content.push(many, image, { tag: `build-${n}`, pushedAt: '2026-01-01T00:00:00.000Z' });
  }

  push(`${owner}/private-notebook`, '1.0', '2026-10-01T09:00:00.000Z');

  // A clean-up of untagged versions has deleted the manifests of the index.
  const broken = `${owner}/broken-notebook`;
  publish(broken);
  const whole = buildImage({
    platforms: ['linux/amd64', 'linux/arm64'],
    created: '2026-10-01T09:00:00.000Z',
    text: broken,
  });
  content.push(broken, whole, { tag: '1.0', pushedAt: '2026-10-01T09:00:00.000Z' });
  for (const child of whole.children) content.get(broken)?.manifests.delete(child.digest);

  const arm = `${owner}/arm-notebook`;
  publish(arm);
  push(arm, '1.0', '2026-10-01T09:00:00.000Z', ['linux/arm64']);

  const attested = `${owner}/attested-notebook`;
  publish(attested);
  push(attested, '1.0', '2026-10-01T09:00:00.000Z', ['linux/amd64', 'linux/arm64'], true);

  push(`${garProject}/team-a/notebook`, '2026.11.01-09.00-1a2b3c4', '2026-11-01T09:00:00.000Z');
  push(`${garProject}/team-a/notebook`, '2026.11.15-09.00-5d6e7f8', '2026-11-15T09:00:00.000Z');
  push(`${garProject}/team-a/models/train`, '2026.11.10-12.30-9a8b7c6', '2026-11-10T12:30:00.000Z');
  push(`${garProject}/team-b/notebook`, '2026.11.02-08.00-0f1e2d3', '2026-11-02T08:00:00.000Z');
};
