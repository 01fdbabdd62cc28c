/**
 * A text of an outside system without the secrets that it was sent: some systems quote a request, headers included, in
 * their error messages, and those are shown to people, stored and logged.
 */
export const redact = (text: string, secrets: Iterable<string>): string => {
  let rest = text;
  for (const secret of secrets) if (secret !== '') rest = rest.replaceAll(secret, '…');
  return rest;
};
