import Type from 'typebox';
import { Value } from 'typebox/value';
import type { PythonReleases } from '../ports/registries.ts';
import { Unavailable } from '../ports/unavailable.ts';
import { endpointsOf, type Origins } from './oci-registry-endpoints.ts';
import { NoAnswer, operation, Wire, type WireOptions } from './oci-registry-http.ts';

const maxCycleBytes = 64 * 1024;
const maxPages = 5;

const QuayPage = Type.Object({
  tags: Type.Array(Type.Object({ name: Type.String(), last_modified: Type.Optional(Type.String()) })),
  has_additional: Type.Boolean(),
});

/** Quay’s own API: its OCI API lists tags without their times. */
const quayPath = (page: number) =>
  `/api/v1/repository/jupyter/base-notebook/tag/?onlyActiveTags=true&filter_tag_name=like:python-3.&limit=100&page=${page}`;

/** Reads peps.python.org, the canonical source of the release cycle since 2025-12, and quay.io. */
export const openPythonReleases = (
  options: WireOptions & { readonly garRegion: string; readonly origins?: Origins },
): PythonReleases => {
  const { python, quay } = endpointsOf(options.garRegion, options.origins);
  const wire = new Wire(options);

  const json = async (host: typeof python, path: string, signal: AbortSignal, maxBytes?: number) => {
    try {
      const headers = { accept: 'application/json' };
      const answer = await wire.send(
        host,
        { method: 'GET', path, headers, ...(maxBytes !== undefined && { maxBytes }) },
        signal,
      );
      if (answer.status !== 200) throw new NoAnswer(`${host.name} answered ${answer.status}.`);
      const value: unknown = JSON.parse(answer.body.toString());
      return value;
    } catch (cause) {
      if (cause instanceof SyntaxError) {
        throw new Unavailable(host.name, `${host.name} returned an invalid response.`, { cause });
      }
      if (!(cause instanceof NoAnswer)) throw cause;
      throw new Unavailable(host.name, cause.message, { cause });
    }
  };

  return {
    releaseCycle: (signal) => json(python, '/api/release-cycle.json', operation(signal), maxCycleBytes),
    async jupyterTags(signal) {
      const deadline = operation(signal);
      const tags: { name: string; lastModified?: string }[] = [];
      for (let page = 1; page <= maxPages; page += 1) {
        const answer = await json(quay, quayPath(page), deadline);
        if (!Value.Check(QuayPage, answer)) {
          throw new Unavailable(quay.name, `${quay.name} returned an invalid response.`);
        }
        for (const { name, last_modified: lastModified } of answer.tags) {
          tags.push({ name, ...(lastModified !== undefined && { lastModified }) });
        }
        if (!answer.has_additional) return tags;
      }
      // Versions that are no longer built are on the last pages: an incomplete list would lose them.
      throw new Unavailable(quay.name, `${quay.name} lists more tags than this service reads.`);
    },
  };
};
