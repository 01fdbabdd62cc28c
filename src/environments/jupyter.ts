import { isoFrom } from '../lib/time.ts';
import snapshot from './jupyter.snapshot.json' with { type: 'json' };
import { parseJupyterTag } from './tags.ts';

/**
 * The Python versions that Jupyter publishes an image for, each with the instant its tag last changed; null when
 * that is not known. The source is quay.io/jupyter/base-notebook: Jupyter has not updated Docker Hub since
 * 2023-10-20.
 */
export type JupyterTags = Readonly<Record<string, string | null>>;

/** A tag as Quay lists it; `lastModified` in any form that Date parses. */
export interface JupyterListedTag {
  readonly name: string;
  readonly lastModified?: string | undefined;
}

/** Jupyter builds weekly: a tag that has missed three builds is no longer maintained. */
const MAINTAINED_DAYS = 21;
const DAY_MS = 24 * 3600 * 1000;

/** The versions among Quay’s tags. Tags of patch releases and of single platforms are ignored. */
export function jupyterTags(listed: readonly JupyterListedTag[]): JupyterTags {
  const found: [string, string | null][] = [];
  for (const { name, lastModified } of listed) {
    const python = parseJupyterTag(name);
    if (python === undefined) continue;
    found.push([python, isoFrom(lastModified) ?? null]);
  }
  return Object.fromEntries(found);
}

/**
 * Whether Jupyter still builds a version: its tag changed within the last 21 days. null when it is not known. The
 * existence of a tag is not enough: python-3.12 has not changed since August 2025.
 */
export function jupyterMaintained(lastModified: string | null, now: number): boolean | null {
  if (lastModified === null) return null;
  return now - Date.parse(lastModified) <= MAINTAINED_DAYS * DAY_MS;
}

/** The snapshot of this version, for the first start and for outages of Quay; its source is in the file. */
export const jupyterSnapshot: { readonly tags: JupyterTags; readonly fetchedAt: string } = {
  tags: snapshot.lastModified,
  fetchedAt: snapshot.fetchedAt,
};
