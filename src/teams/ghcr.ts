import { lowerCaseAscii } from '../lib/ascii.ts';
import { isObject } from '../lib/json.ts';
import { ghcrHost, repositoryName } from '../lib/oci.ts';
import type { Fault } from '../model/problems.ts';
import { ghcrRepositoryMax, ghcrSpellingMax } from '../model/team.ts';

type Refusal = Pick<Fault, 'code' | 'message'>;

/** The name below the owner, which is what is stored; or why the text names no repository of the owner. */
export type ParsedRepository = { readonly name: string } | { readonly refusal: Refusal };

const schemes = /^(?:https?|ssh|git|docker|oci):\/\/(?:git@)?/i;
const gitAddress = /^git@github\.com:/i;
const digestOrTag = /(?::[a-z0-9_][a-z0-9._-]{0,127})?(?:@sha256:[a-f0-9]{64})?$/;
/** Hosts that people copy image names from. Other names with a dot can be repositories below the owner. */
const knownHost =
  /^(?:[a-z0-9-]+\.)*(?:docker\.io|docker\.com|quay\.io|gcr\.io|pkg\.dev|azurecr\.io|gitlab\.com)$/;

const quoted = (text: string): string => `“${text.length > 80 ? `${text.slice(0, 80)}…` : text}”`;

const badFormat = (text: string, owner: string): ParsedRepository => ({
  refusal: {
    code: 'bad_format',
    message: `${quoted(text)} does not name a repository in GHCR. Write its name below ${owner}, such as my-notebook, or ${ghcrHost}/${owner}/my-notebook.`,
  },
});

const otherOwner = (found: string, owner: string): ParsedRepository => ({
  refusal: {
    code: 'owner_not_allowed',
    message: `The owner of the repository is ${quoted(found)}; only repositories of ${owner} can be used.`,
  },
});

const otherRegistry = (host: string, owner: string): ParsedRepository => ({
  refusal: {
    code: 'registry_not_allowed',
    message: `${quoted(host)} is not GHCR. The repositories of a team are below ${ghcrHost}/${owner}.`,
  },
});

/** The decoded name of a package in the path of one of GitHub’s pages; undefined when it is not encoded validly. */
const decoded = (name: string): string | undefined => {
  try {
    return decodeURIComponent(name);
  } catch {
    return undefined;
  }
};

/** Owner and package in the path of a page of GitHub: of a repository, or of a package of one or of an organisation. */
const onGithub = (path: readonly string[]): readonly [owner: string, name: string] | undefined => {
  const [first = '', second = '', third, fourth, fifth, sixth] = path;
  const isAccount = first === 'orgs' || first === 'users';
  if (isAccount && third === 'packages' && fourth === 'container') {
    const name = fifth === 'package' ? (sixth ?? fifth) : fifth;
    return [second, decoded(name ?? '') ?? ''];
  }
  if (third === 'pkgs' && fourth === 'container') return [first, decoded(fifth ?? '') ?? ''];
  return path.length === 2 ? [first, second] : undefined;
};

/** The text without white space around it, and in lower case as far as it is ASCII; GitHub’s names have no case. */
const plain = (text: string): string => lowerCaseAscii(text.trim());

/**
 * Reads a repository of GHCR in any usual spelling: its name below the owner, with the owner, as an image reference, or
 * the address of its page on GitHub. Reading the stored name again gives the same name.
 */
export const parseRepository = (text: string, ghcrOwner: string): ParsedRepository => {
  const owner = lowerCaseAscii(ghcrOwner);
  const spelled = plain(text).replace(gitAddress, 'ssh://git@github.com/');
  const hasScheme = schemes.test(spelled);
  const address = hasScheme ? spelled.replace(schemes, '').replace(/[?#].*$/, '') : spelled;
  const path = address
    .replace(/\/+$/, '')
    .replace(digestOrTag, '')
    .replace(/(?:\.git)+$/, '')
    .split('/');
  const [first = '', ...rest] = path;
  const host = first.replace(/^www\./, '');
  if (host === 'github.com') {
    const [found, name] = onGithub(rest) ?? [];
    if (found === undefined || name === undefined) return badFormat(text, owner);
    return found === owner ? named(name) : otherOwner(found, owner);
  }
  if (host === ghcrHost) {
    const [found = '', ...name] = rest;
    if (name.length === 0) return badFormat(text, owner);
    return found === owner ? named(name.join('/')) : otherOwner(found, owner);
  }
  if (hasScheme || (rest.length > 0 && knownHost.test(host))) return otherRegistry(first, owner);
  return first === owner && rest.length > 0 ? named(rest.join('/')) : named(path.join('/'));

  function named(name: string): ParsedRepository {
    const [start = '', ...more] = name.split('/');
    // Such a name would be read as another one the next time.
    const isAmbiguous = more.length > 0 && (start === owner || knownHost.test(start));
    const isHost = start === ghcrHost || /^(?:www\.)?github\.com$/.test(start);
    const fits = repositoryName.test(name) && name.length <= ghcrRepositoryMax && !name.endsWith('.git');
    return fits && !isAmbiguous && !isHost ? { name } : badFormat(text, owner);
  }
};

/** The faults of the repositories in an order or a patch that may not fit its schema. */
export const repositoryFaults = (body: unknown, owner: string): readonly Fault[] => {
  const listed: unknown = isObject(body) ? body.ghcrRepositories : undefined;
  if (!Array.isArray(listed)) return [];
  return listed.flatMap((text: unknown, index): Fault[] => {
    if (typeof text !== 'string' || text.length > ghcrSpellingMax) return [];
    const parsed = parseRepository(text, owner);
    return 'refusal' in parsed ? [{ pointer: `/ghcrRepositories/${index}`, ...parsed.refusal }] : [];
  });
};

/** The order or the patch with the names that are stored. Its repositories have no faults. */
export const withRepositoryNames = <T extends { ghcrRepositories?: string[] | null }>(
  order: T,
  owner: string,
): T => {
  const { ghcrRepositories } = order;
  if (ghcrRepositories === undefined || ghcrRepositories === null) return order;
  const names = ghcrRepositories.flatMap((text) => {
    const parsed = parseRepository(text, owner);
    return 'name' in parsed ? [parsed.name] : [];
  });
  return { ...order, ghcrRepositories: names };
};
