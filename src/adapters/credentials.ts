/**
 * What an outside system says, without the secrets that it was shown: some quote a request, with its headers, in what
 * they say about it, and that is told to people, stored and logged.
 */
export const without = (secrets: Iterable<string>, text: string): string => {
  let rest = text;
  for (const secret of secrets) if (secret !== '') rest = rest.replaceAll(secret, '…');
  return rest;
};
