import fc from 'fast-check';

type Node = Readonly<Record<string, unknown>>;
const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const number = (value: unknown, otherwise: number) => (typeof value === 'number' ? value : otherwise);

/** Values that fit a schema of the document. Keywords that the document does not use are not understood. */
export const fitting = (schema: unknown, components: Node): fc.Arbitrary<unknown> => {
  if (!isNode(schema)) return fc.jsonValue();
  const { $ref, type, enum: values, examples } = schema;
  if (typeof $ref === 'string') return fitting(components[$ref.replace(/^.*\//, '')], components);
  if (Array.isArray(values)) return fc.constantFrom(...values);
  const made = [type].flat().map((one) => ofType(one, schema, components));
  const known = Array.isArray(examples) ? examples.map((example) => fc.constant(example)) : [];
  return fc.oneof(...made, ...known);
};

const ofType = (type: unknown, schema: Node, components: Node): fc.Arbitrary<unknown> => {
  switch (type) {
    case 'null':
      return fc.constant(null);
    case 'boolean':
      return fc.boolean();
    case 'integer':
      return fc.integer({ min: number(schema.minimum, -10), max: number(schema.maximum, 3_000_000) });
    case 'number':
      return fc.double({ min: number(schema.minimum, -1), max: number(schema.maximum, 20), noNaN: true });
    case 'string':
      return text(schema);
    case 'array':
      return fc.array(fitting(schema.items, components), {
        maxLength: Math.min(4, number(schema.maxItems, 4)),
      });
    case 'object': {
      const properties = isNode(schema.properties) ? schema.properties : {};
      const needed = Array.isArray(schema.required) ? schema.required : [];
      const fields = Object.entries(properties).map(
        ([name, field]) => [name, fitting(field, components)] as const,
      );
      return fc.record(Object.fromEntries(fields), { requiredKeys: needed });
    }
    default:
      return fc.jsonValue();
  }
};

/** fast-check takes the characters of a negated class from ASCII, so it would look for one outside ASCII for ever. */
const generable = (pattern: string): RegExp =>
  new RegExp(pattern.replaceAll(String.raw`[^\x00-\x7f]`, '[\u00e0-\u00f6]'));

const text = ({ pattern, format, minLength, maxLength }: Node): fc.Arbitrary<string> => {
  const [least, most] = [number(minLength, 0), number(maxLength, 60)];
  if (format === 'email') return fc.emailAddress().filter(({ length }) => length <= most);
  if (typeof pattern === 'string')
    return fc.stringMatching(generable(pattern)).filter(({ length }) => length >= least && length <= most);
  return fc.string({ minLength: least, maxLength: Math.min(60, most) });
};

/** What no form sends: edges of numbers, of texts, and of the wrong shape. */
const odd = fc.oneof(
  fc.constantFrom<unknown>(null, true, -0, 1e308, -1, 0.1 + 0.2, 2 ** 53, '', ' ', '0', '\u0000', [], {}, [
    [],
  ]),
  fc.constantFrom<unknown>('a'.repeat(300), '../..', '‮', '\ud800', { __proto__: null }, ['*', 7]),
  fc.jsonValue({ maxDepth: 2 }),
);

/** A value with one thing in it replaced, removed or added, at any depth. */
export const spoilt = (value: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc
    .record({
      value,
      picks: fc.array(fc.nat(20), { maxLength: 4 }),
      how: fc.constantFrom('replace', 'remove', 'add'),
      with: odd,
      name: fc.oneof(
        fc.string({ maxLength: 8 }),
        fc.constantFrom('toString', '__proto__', 'spec', 'constructor'),
      ),
    })
    .map(({ value, picks, how, with: other, name }) => {
      const spoil = (node: unknown, [pick, ...rest]: readonly number[]): unknown => {
        if (typeof node !== 'object' || node === null) return other;
        const entries: [string, unknown][] = Object.entries(node);
        const chosen = pick === undefined ? undefined : entries[pick % Math.max(1, entries.length)];
        const changed =
          chosen === undefined
            ? how === 'replace'
              ? undefined
              : [...entries, [name, other] as [string, unknown]]
            : how === 'remove' && rest.length === 0
              ? entries.filter((entry) => entry !== chosen)
              : entries.map((entry): [string, unknown] =>
                  entry === chosen ? [entry[0], spoil(entry[1], rest)] : entry,
                );
        if (changed === undefined) return other;
        return Array.isArray(node) ? changed.map(([, item]) => item) : Object.fromEntries(changed);
      };
      return spoil(value, picks);
    });
