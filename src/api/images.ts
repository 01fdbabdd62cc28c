import Type from 'typebox';
import { negotiate } from '../http/accept.ts';
import type { Caller } from '../http/auth.ts';
import { pageAnswer, pageRequest } from '../http/pages.ts';
import type { App } from '../http/server.ts';
import { asCaller } from '../images/as-caller.ts';
import type { ImagePolicy } from '../images/reference.ts';
import { imageProblems, resolveImage } from '../images/resolve.ts';
import { createScaffold } from '../images/scaffold.ts';
import { listImageTags, listTeamImages } from '../images/team-images.ts';
import { closed, ref } from '../lib/schema.ts';
import type { Catalogue } from '../model/catalogue.ts';
import {
  ImageName,
  ImageOrder,
  ImageScaffold,
  ImageScaffoldOrder,
  ImageTag,
  ImageTagPage,
  ImageWarning,
  ResolvedImage,
  TeamImage,
  TeamImagePage,
} from '../model/image.ts';
import { PageQuery } from '../model/page.ts';
import { Problem } from '../model/problems.ts';
import { TeamPath } from '../model/team.ts';
import type { Registries } from '../ports/registries.ts';
import type { Clock } from '../ports/runtime.ts';
import type { Store } from '../ports/store.ts';
import { teamOf } from './access.ts';

export const imageSchemas = [
  ImageOrder,
  ImageScaffold,
  ImageScaffoldOrder,
  ImageTag,
  ImageTagPage,
  ImageWarning,
  ResolvedImage,
  TeamImage,
  TeamImagePage,
];

const tags = ['images'];
const deadlineMs = 10_000;

const referenceProblems = ['image_invalid', 'registry_not_allowed', 'image_not_allowed'] as const;

/** How many tags were left, and the last tag of the page. */
const tagPosition = /^[1-9][0-9]{0,8}:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;

/**
 * The index at which the page after a cursor begins. A cursor names the last tag of the previous page, because tags
 * that are pushed later come before it, and how many tags were left, in case that tag has been deleted.
 */
const startAfter = (items: readonly ImageTag[], cursor: string): number => {
  const colon = cursor.indexOf(':');
  const last = items.findIndex(({ tag }) => tag === cursor.slice(colon + 1));
  return last >= 0 ? last + 1 : Math.max(0, items.length - Number(cursor.slice(0, colon)));
};

export interface ImageRouteDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly registries: Registries;
  readonly ghcrOwner: string;
  /** The images that a team may run, by its repository in Google Artifact Registry. */
  readonly imagePolicy: (garTeam: string | null) => ImagePolicy;
  /** The available environments; before the first refresh, those that ship with this version. */
  readonly catalogue: () => Promise<Catalogue>;
}

export const registerImages = (app: App, deps: ImageRouteDeps): void => {
  const { store, clock, registries, imagePolicy } = deps;
  const lookupsOf = ({ email }: Caller): Registries =>
    asCaller(registries, { name: email, purpose: 'lookup' });

  app.route({
    method: 'POST',
    url: '/v1/images/resolve',
    schema: {
      operationId: 'resolveImage',
      summary: 'Check whether an image can run as a notebook, and resolve its tag',
      description:
        'Asks the registry for the digest, the platforms and the size. With team, the image must be one that this team may run; without it, any image in the configured registries is accepted.',
      tags,
      problems: [...imageProblems, 'not_found'],
      body: ref(ImageOrder),
      response: { 200: ref(ResolvedImage) },
    },
    handler: async ({ body, caller }) => {
      const team = body.team === undefined ? undefined : await teamOf(store, body.team, caller);
      const policy = imagePolicy(team?.garTeam ?? null);
      return resolveImage(
        { registries: lookupsOf(caller), policy, now: clock.now() },
        body.image,
        AbortSignal.timeout(deadlineMs),
      );
    },
  });

  app.route({
    method: 'GET',
    url: '/v1/teams/:team/images',
    schema: {
      operationId: 'listTeamImages',
      summary: 'List the team’s images in Google Artifact Registry and in its GHCR repositories',
      description:
        'Without tags; listImageTags lists those of one image. unknown says which source could not be listed.',
      tags,
      params: TeamPath,
      response: { 200: ref(TeamImagePage) },
    },
    handler: async ({ params, caller }) => {
      const { garTeam, ghcrRepositories } = await teamOf(store, params.team, caller);
      const policy = imagePolicy(garTeam);
      return listTeamImages(
        { registries: lookupsOf(caller), policy },
        ghcrRepositories,
        AbortSignal.timeout(deadlineMs),
      );
    },
  });

  app.route({
    method: 'GET',
    url: '/v1/teams/:team/images/tags',
    schema: {
      operationId: 'listImageTags',
      summary: 'List the tags of an image that the team may run',
      description:
        'Newest first where the registry says when a tag was pushed. partial is true where more tags exist than could be listed.',
      tags,
      problems: [
        ...referenceProblems,
        'image_not_found_or_private',
        'registry_unavailable',
        'invalid_cursor',
      ],
      params: TeamPath,
      querystring: closed({ image: ImageName, ...PageQuery.properties }),
      response: { 200: ref(ImageTagPage) },
    },
    handler: async ({ params, query, caller }) => {
      const { garTeam } = await teamOf(store, params.team, caller);
      const found = await listImageTags(
        { registries: lookupsOf(caller), policy: imagePolicy(garTeam) },
        query.image,
        AbortSignal.timeout(deadlineMs),
      );
      const list = { name: 'tags', view: query.image, position: tagPosition };
      const { limit, after } = pageRequest(query, list);
      const start = after === undefined ? 0 : startAfter(found.items, after);
      const items = found.items.slice(start, start + limit);
      const left = found.items.length - start - limit;
      const last = left > 0 ? items.at(-1) : undefined;
      const page = { items, ...(last === undefined ? {} : { next: `${left}:${last.tag}` }) };
      return { ...pageAnswer(page, list, (item) => item), partial: found.partial, asOf: found.asOf };
    },
  });

  app.route({
    method: 'POST',
    url: '/v1/images/scaffold',
    schema: {
      operationId: 'createImageScaffold',
      summary: 'Create the files of a repository that builds an image on a standard image',
      description:
        'Dockerfile, requirements.txt, .dockerignore and a GitHub workflow. JSON, or a zip with Accept: application/zip.',
      tags,
      problems: ['not_acceptable'],
      body: ref(ImageScaffoldOrder),
      response: {
        200: {
          description: 'The files, by path.',
          content: {
            'application/json': { schema: ref(ImageScaffold) },
            'application/zip': { schema: Type.Unsafe<string>({ type: 'string', format: 'binary' }) },
          },
        },
      },
    },
    handler: async (request, reply) => {
      const { registry, team, name, python, requirements = '' } = request.body;
      const form = negotiate(request, ['application/json', 'application/zip']);
      const { items } = await deps.catalogue();
      const base = items.find((item) => item.python === python);
      if (base === undefined) {
        const available = items.map((item) => item.python).join(', ') || 'none at the moment';
        throw new Problem('validation_failed', {
          errors: [
            {
              pointer: '/python',
              code: 'not_in_list',
              message: `No environment has this Python version; available: ${available}.`,
            },
          ],
        });
      }
      const baseImage = { reference: base.image, tag: base.tag, digest: base.digest };
      const owner = deps.ghcrOwner;
      const scaffold = createScaffold({ registry, team, name, owner, python, baseImage, requirements });
      if (!scaffold.ok) throw new Problem('validation_failed', { errors: scaffold.errors });
      const { files } = scaffold;
      if (form === 'application/json') return reply.type(form).send({ files: { ...files } });
      // Loaded on demand: few requests ask for a zip.
      const { strToU8, zipSync } = await import('fflate');
      const entries = Object.entries(files).map(([path, text]) => [path, strToU8(text)] as const);
      // A fixed date, so the same files make the same bytes.
      const zip = zipSync(Object.fromEntries(entries), { mtime: new Date('2026-01-01T00:00:00Z') });
      return reply
        .type(form)
        .header('content-disposition', `attachment; filename="${name.replace(/[^a-z0-9._-]/g, '')}.zip"`)
        .serializer((body: unknown) => body as never)
        .send(Buffer.from(zip) as never);
    },
  });
};
