/** The length of a substring that identifies a canary. */
const sliver = 16;

const urlSafe = (base64: string): string => base64.replaceAll('+', '-').replaceAll('/', '_');

/** As it is, in hexadecimal, and in base64 wherever in an encoded text it stands. */
const formsOf = (value: string): readonly string[] => {
  const inside = [0, 1, 2].map((offset) => {
    const encoded = Buffer.from(`${'\0'.repeat(offset)}${value}`)
      .toString('base64')
      .replace(/=+$/, '');
    // The characters at both ends share bits with their neighbours.
    return encoded.slice(offset === 0 ? 0 : offset + 1, -1);
  });
  return [value, Buffer.from(value).toString('hex'), ...inside, ...inside.map(urlSafe)];
};

/**
 * Finds canaries, by name, in a text: whole, or 31 characters of one on end, as messages are cut. All of their slivers
 * are known, so that every sixteenth place of the text is looked at and no more.
 */
export const canaryFinder = (
  canaries: ReadonlyMap<string, string>,
): ((text: string) => ReadonlySet<string>) => {
  const known = new Map<string, string>();
  for (const [name, value] of canaries) {
    if (value.length < 2 * sliver) throw new RangeError(`${name} is too short to be told from chance.`);
    for (const form of formsOf(value)) {
      for (let at = 0; at + sliver <= form.length; at += 1) known.set(form.slice(at, at + sliver), name);
    }
  }
  return (text) => {
    const found = new Set<string>();
    for (let at = 0; at + sliver <= text.length; at += sliver) {
      const name = known.get(text.slice(at, at + sliver));
      if (name !== undefined) found.add(name);
    }
    return found;
  };
};
