type Schema = Readonly<Record<string, unknown>>;
const isSchema = (value: unknown): value is Schema => typeof value === 'object' && value !== null;

/** Default examples by string format. */
const formats: Readonly<Record<string, string>> = {
  date: '2026-11-23',
  'date-time': '2026-11-23T09:00:00.000Z',
  email: 'kari.nordmann@nav.no',
  uri: 'https://example.com',
};

/**
 * A value that matches a schema: its own first example if it has one, else composed from those of its fields, so an
 * example is written only once, at the field. Optional fields without an example are left out.
 */
export const exampleOf = (schema: unknown, components: Readonly<Record<string, unknown>>): unknown => {
  if (!isSchema(schema)) return null;
  const {
    $ref,
    examples,
    example,
    enum: values,
    'x-extensible-enum': known,
    default: usual,
    type,
    format,
    properties,
  } = schema;
  if (Array.isArray(examples) && examples.length > 0) return examples[0];
  if (example !== undefined) return example;
  if (typeof $ref === 'string') return exampleOf(components[$ref.replace(/^.*\//, '')], components);
  if (Array.isArray(values)) return values[0];
  if (Array.isArray(known)) return known[0];
  if (usual !== undefined) return usual;
  const types = [type].flat();
  if (types.includes('null')) return null;
  if (types.includes('array')) return isSchema(schema.items) ? [exampleOf(schema.items, components)] : [];
  if (types.includes('boolean')) return true;
  if (types.includes('integer') || types.includes('number')) return schema.minimum ?? 1;
  if (types.includes('string')) return formats[String(format)] ?? 'text';
  if (!isSchema(properties)) return {};
  return Object.fromEntries(
    Object.entries(properties).map(([name, field]) => [name, exampleOf(field, components)]),
  );
};
