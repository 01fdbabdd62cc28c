import { type Answer, type Call, json } from './http.ts';
import snapshot from './release-cycle.json' with { type: 'json' };

/** peps.python.org, with its document as it was on the day written in the file. */
export const releaseCycle = (): Answer => json(200, snapshot.cycle);

const hourMs = 3600 * 1000;
const dayMs = 24 * hourMs;

/** The last Monday at this hour, UTC, in epoch milliseconds: when weekly builds run. */
export const lastMonday = (hour: number, now: number): number => {
  const day = Math.floor((now - hour * hourMs) / dayMs);
  // 1970-01-05 was a Monday.
  return (day - ((day - 4) % 7)) * dayMs + hour * hourMs;
};

/** When Jupyter last built each version: weekly on Mondays for the current one, not since for those before. */
const builtAt = (now: number): Readonly<Record<string, number>> => ({
  '3.11': Date.UTC(2024, 9, 23),
  '3.12': Date.UTC(2025, 7, 15),
  '3.13': lastMonday(3, now),
});

/** quay.io’s list of the tags of jupyter/base-notebook, newest first. */
export const quayTags = ({ url }: Call, now: number): Answer => {
  const limit = Math.min(Number(url.searchParams.get('limit') ?? 50), 100);
  const page = Number(url.searchParams.get('page') ?? 1);
  const like = /^like:(.+)$/.exec(url.searchParams.get('filter_tag_name') ?? '')?.[1] ?? '';
  const tags = Object.entries(builtAt(now))
    .flatMap(([python, at]) => {
      const names = [`python-${python}`, `python-${python}.9`];
      const all = names.flatMap((name) => [name, `x86_64-${name}`, `aarch64-${name}`]);
      return all.map((name) => ({ name, at, is_manifest_list: !/_|aarch/.test(name) }));
    })
    .filter(({ name }) => name.includes(like))
    .toSorted((a, b) => b.at - a.at)
    .map(({ at, ...tag }) => ({
      ...tag,
      start_ts: Math.floor(at / 1000),
      last_modified: new Date(at).toUTCString().replace('GMT', '-0000'),
      size: 1,
    }));
  const start = (page - 1) * limit;
  const has_additional = start + limit < tags.length;
  return json(200, { tags: tags.slice(start, start + limit), page, has_additional });
};
