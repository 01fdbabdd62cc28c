/** The grammar of https://pkg.go.dev/github.com/distribution/reference, which kubelet and containerd parse with. */
const host = String.raw`(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?`;
const component = `[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*`;
const path = `${component}(?:/${component})*`;
const digest = '[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}';
const named = new RegExp(
  `^(?<path>${path})(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@(?<digest>${digest}))?$`,
);
const registry = new RegExp(`^${host}$`);
const identifier = /^[a-f0-9]{64}$/;

const longestPath = 255;
const hexDigits: Readonly<Record<string, number>> = { sha256: 64, sha384: 96, sha512: 128 };

/** What `ParseNormalizedNamed` takes for the registry, and the rest, completed as for Docker Hub. */
const splitDomain = (image: string): readonly [domain: string, rest: string] => {
  const slash = image.indexOf('/');
  if (slash < 0) return ['docker.io', `library/${image}`];
  const [first, rest] = [image.slice(0, slash), image.slice(slash + 1)];
  const isDomain = first === 'localhost' || /[.:]/.test(first) || first.toLowerCase() !== first;
  const domain = first === 'index.docker.io' || !isDomain ? 'docker.io' : first;
  const name = isDomain ? rest : image;
  return [domain, domain === 'docker.io' && !name.includes('/') ? `library/${name}` : name];
};

const digestFault = (text: string): string | undefined => {
  const [algorithm = '', encoded = ''] = text.split(':');
  const digits = hexDigits[algorithm];
  if (digits === undefined) return 'unsupported digest algorithm';
  if (encoded.length !== digits) return 'invalid checksum digest length';
  return /^[a-f0-9]+$/.test(encoded) ? undefined : 'invalid checksum digest format';
};

/** The text before the first slash is part of the path if it is not a host. */
const parsed = (domain: string, rest: string): Readonly<Record<string, string | undefined>> | undefined =>
  (registry.test(domain) ? named.exec(rest) : named.exec(`${domain}/${rest}`))?.groups;

/** Why an image’s name cannot be parsed, in the words of distribution/reference 0.6; undefined when it can. */
export const referenceFault = (image: string): string | undefined => {
  if (identifier.test(image)) {
    return `invalid repository name (${image}), cannot specify 64-byte hexadecimal strings`;
  }
  const [domain, rest] = splitDomain(image);
  const name = rest.split(':', 1)[0] ?? '';
  if (name.toLowerCase() !== name) {
    return `invalid reference format: repository name (${name}) must be lowercase`;
  }
  const found = parsed(domain, rest);
  if (found === undefined) {
    return parsed(domain.toLowerCase(), rest.toLowerCase()) === undefined
      ? 'invalid reference format'
      : 'repository name must be lowercase';
  }
  if ((found.path ?? '').length > longestPath) {
    return `repository name must not be more than ${longestPath} characters`;
  }
  return found.digest === undefined ? undefined : digestFault(found.digest);
};

/** As Go’s `%q` writes a string: what cannot be printed is escaped, white space other than a blank too. */
export const quoted = (value: string): string =>
  JSON.stringify(value).replace(
    /[^\P{Z} ]|\p{C}/gu,
    (character) => `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`,
  );
