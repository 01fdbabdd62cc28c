/**
 * Condenses the Go types of Kubernetes into protobuf-fields.txt. Their struct tags name each field’s number in the
 * protobuf encoding and its name in JSON: `json:"replicas,omitempty" protobuf:"varint,1,opt,name=replicas"`.
 */
export interface GoPackage {
  /** As in schemas.txt: `core`, `apps`, `meta`. */
  readonly name: string;
  readonly source: string;
}

interface GoField {
  readonly number: string;
  /** In JSON; `-` where the fields of the message stand in the JSON object itself. */
  readonly json: string;
  readonly type: string;
  readonly keepsZero: boolean;
}

const scalars: Readonly<Record<string, string>> = {
  string: 'string',
  bool: 'boolean',
  int32: 'integer',
  int64: 'integer',
  '[]byte': 'bytes',
  'types.UID': 'string',
  'resource.Quantity': 'quantity',
  'intstr.IntOrString': 'intOrString',
  'runtime.RawExtension': 'raw',
  'meta.FieldsV1': 'raw',
  'meta.Time': 'time',
  'meta.MicroTime': 'microTime',
};

const packagesOf: Readonly<Record<string, string>> = { metav1: 'meta', v1: 'core' };

const fieldLine = /^\t(?:(\w+)\s+)?([\w.*[\]]+)\s+`([^`]*)`/;

/** Lines `number name type`, a block for each message; `?` marks a pointer, `!` a value that JSON writes even as zero. */
export const condenseGoTypes = (packages: readonly GoPackage[], roots: readonly string[]): string => {
  const structs = new Map<string, readonly GoField[]>();
  const names = new Map<string, string>();

  for (const { name: own, source } of packages) {
    for (const [, name = '', type = ''] of source.matchAll(/^type (\w+) ([\w.[\]]+)$/gm)) {
      if (type !== 'struct') names.set(`${own}.${name}`, qualified(type, own));
    }
    for (const [, name = '', body = ''] of source.matchAll(/^type (\w+) struct \{\n(.*?)^\}/gms)) {
      structs.set(
        `${own}.${name}`,
        body.split('\n').flatMap((line) => fieldsOf(line, own)),
      );
    }
  }

  const typeOf = (type: string): string => {
    if (type.startsWith('*')) return `${typeOf(type.slice(1))}?`;
    const scalar = scalars[type];
    if (scalar !== undefined) return scalar;
    if (type.startsWith('[]')) return `[${typeOf(type.slice(2))}]`;
    const [, key, value] = /^map\[([^\]]+)\](.+)$/.exec(type) ?? [];
    if (key !== undefined && value !== undefined) return `{${typeOf(value)}}`;
    const named = names.get(type);
    return named === undefined ? type : typeOf(named);
  };

  const done = new Map<string, string>();
  const waiting = [...roots];
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
    if (done.has(name)) continue;
    const fields = structs.get(name);
    if (fields === undefined) throw new Error(`${name} is no struct of these packages`);
    const lines = fields.map((field) => ({ ...field, type: typeOf(field.type) }));
    for (const { type } of lines) {
      const [inner = ''] = /\w+\.\w+/.exec(type) ?? [];
      if (inner !== '') waiting.push(inner);
    }
    const text = lines.map(
      ({ number, json, type, keepsZero }) => `  ${number} ${json} ${type}${keepsZero ? '!' : ''}`,
    );
    done.set(name, [name, ...text].join('\n'));
  }
  return `${[...done.keys()]
    .toSorted()
    .map((name) => done.get(name))
    .join('\n\n')}\n`;
};

/** A type with the package that it is from. */
const qualified = (type: string, own: string): string =>
  type.replace(/(\bmap\b)|((?:\w+\.)?\w+)(?=\]|$)/g, (all, map: string | undefined) => {
    if (map !== undefined || all in scalars || all === 'byte' || all === 'struct') return all;
    const [from, name] = all.split('.');
    if (name === undefined) return `${own}.${all}`;
    const known = `${packagesOf[from ?? ''] ?? from}.${name}`;
    return all in scalars ? all : known;
  });

const fieldsOf = (line: string, own: string): readonly GoField[] => {
  const [, , type = '', tags = ''] = fieldLine.exec(line) ?? [];
  const [, number] = /protobuf:"\w+,(\d+),/.exec(tags) ?? [];
  const [, json = ''] = /json:"([^"]*)"/.exec(tags) ?? [];
  if (number === undefined) return [];
  const [name = '', ...options] = json.split(',');
  return [
    {
      number,
      json: name === '' || options.includes('inline') ? '-' : name,
      type: qualified(type, own),
      keepsZero: !options.includes('omitempty'),
    },
  ];
};
