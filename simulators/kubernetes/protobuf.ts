import { readFileSync } from 'node:fs';
import { isMap, type Json, type JsonMap, parseJson } from './json.ts';
import { RESOURCES } from './resources.ts';
import { badRequest } from './status.ts';

/** https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding: every body begins with this. */
const magic = Buffer.from('k8s\0');

export const protobufMediaType = 'application/vnd.kubernetes.protobuf';

interface Field {
  /** In JSON; `-` if the message’s fields are inlined into the JSON object. */
  readonly name: string;
  readonly type: string;
  readonly shape: 'one' | 'list' | 'map';
  /** Go has a pointer here, so a zero that was sent is meant. */
  readonly isPointer: boolean;
  readonly keepsZero: boolean;
}

type Message = ReadonlyMap<number, Field>;

const readFields = (text: string): ReadonlyMap<string, Message> =>
  new Map(
    text.split('\n\n').map((block) => {
      const [name = '', ...lines] = block.trim().split('\n');
      return [name, new Map(lines.map(fieldOf))];
    }),
  );

const fieldOf = (line: string): [number, Field] => {
  const [number, name = '', written = ''] = line.trim().split(' ');
  const [, type = '', marks = ''] = /^(.*?)([?!]*)$/.exec(written) ?? [];
  const shape = type.startsWith('[') ? 'list' : type.startsWith('{') ? 'map' : 'one';
  return [
    Number(number),
    {
      name,
      type: (shape === 'one' ? type : type.slice(1, -1)).replace(/\?$/, ''),
      shape,
      isPointer: marks.includes('?'),
      keepsZero: marks.includes('!'),
    },
  ];
};

/** The numbers of the fields of every message that clients encode, from the tags of Kubernetes’ Go types. */
const messages = readFields(readFileSync(new URL('./protobuf-fields.txt', import.meta.url), 'utf8'));

interface Entry {
  readonly number: number;
  readonly value: bigint | Buffer;
}

/** The fields of a message, in the order in which they were sent. Throws RangeError when it is cut off. */
function* entriesOf(bytes: Buffer): Generator<Entry> {
  let offset = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes.readUInt8(offset);
      offset += 1;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  const take = (length: number): Buffer => {
    if (offset + length > bytes.length) throw new RangeError('unexpected EOF');
    offset += length;
    return bytes.subarray(offset - length, offset);
  };
  while (offset < bytes.length) {
    const key = Number(varint());
    const number = key >> 3;
    switch (key & 7) {
      case 0:
        yield { number, value: varint() };
        break;
      case 1:
        yield { number, value: take(8) };
        break;
      case 2:
        yield { number, value: take(Number(varint())) };
        break;
      case 5:
        yield { number, value: take(4) };
        break;
      default:
        throw new RangeError(`illegal wireType ${key & 7}`);
    }
  }
}

const bytesOf = (value: bigint | Buffer): Buffer => {
  if (typeof value === 'bigint') throw new RangeError('wrong wireType');
  return value;
};

const integerOf = (value: bigint | Buffer): number => {
  if (typeof value !== 'bigint') throw new RangeError('wrong wireType');
  return Number(BigInt.asIntN(64, value));
};

/** The first value of each field of a small message. */
const partsOf = (value: bigint | Buffer): ReadonlyMap<number, bigint | Buffer> =>
  new Map([...entriesOf(bytesOf(value))].map((entry) => [entry.number, entry.value]));

const timeOf = (value: bigint | Buffer, isMicro: boolean): Json => {
  const parts = partsOf(value);
  const [atSeconds, nanos] = [parts.get(1), parts.get(2)];
  if (atSeconds === undefined) return null;
  const text = new Date(integerOf(atSeconds) * 1000).toISOString();
  if (!isMicro) return text.replace(/\.\d+Z$/, 'Z');
  const micros = nanos === undefined ? 0 : Math.floor(integerOf(nanos) / 1000);
  return text.replace(/\.\d+Z$/, `.${String(micros).padStart(6, '0')}Z`);
};

const intOrString = (value: bigint | Buffer): Json => {
  const parts = partsOf(value);
  const isText = integerOf(parts.get(1) ?? 0n) === 1;
  return isText ? bytesOf(parts.get(3) ?? Buffer.alloc(0)).toString() : integerOf(parts.get(2) ?? 0n);
};

const jsonOf = (type: string, value: bigint | Buffer): Json => {
  switch (type) {
    case 'string':
      return bytesOf(value).toString();
    case 'bytes':
      return bytesOf(value).toString('base64');
    case 'boolean':
      return integerOf(value) !== 0;
    case 'integer':
      return integerOf(value);
    case 'quantity':
      return bytesOf(partsOf(value).get(1) ?? Buffer.from('0')).toString();
    case 'intOrString':
      return intOrString(value);
    case 'time':
      return timeOf(value, false);
    case 'microTime':
      return timeOf(value, true);
    case 'raw':
      return parseJson(bytesOf(partsOf(value).get(1) ?? Buffer.from('null')).toString());
    default:
      return messageOf(type, bytesOf(value));
  }
};

const isZero = (value: Json): boolean => value === '' || value === 0 || value === false || value === null;

const messageOf = (type: string, bytes: Buffer): JsonMap => {
  const fields = messages.get(type);
  if (fields === undefined) throw new RangeError(`protobuf-fields.txt lacks ${type}`);
  const object: JsonMap = {};
  for (const { number, value } of entriesOf(bytes)) {
    const field = fields.get(number);
    // A field of a later version.
    if (field === undefined) continue;
    if (field.shape === 'map') {
      const entry = partsOf(value);
      const key = bytesOf(entry.get(1) ?? Buffer.alloc(0)).toString();
      const before = object[field.name];
      object[field.name] = {
        ...(isMap(before) ? before : {}),
        [key]: jsonOf(field.type, entry.get(2) ?? Buffer.alloc(0)),
      };
      continue;
    }
    const read = jsonOf(field.type, value);
    if (field.shape === 'list') {
      const before = object[field.name];
      object[field.name] = [...(Array.isArray(before) ? before : []), read];
    } else if (field.name === '-') Object.assign(object, read);
    else if (field.isPointer || field.keepsZero || !isZero(read)) object[field.name] = read;
  }
  return object;
};

const typeOf = (apiVersion: string, kind: string): string | undefined => {
  if (kind === 'DeleteOptions') return 'meta.DeleteOptions';
  if (kind === 'Eviction') return 'policy.Eviction';
  const found = RESOURCES.find(
    (one) =>
      one.kind === kind && (one.group === '' ? one.version : `${one.group}/${one.version}`) === apiVersion,
  );
  return found?.schema;
};

/**
 * The body of a request in Kubernetes’ protobuf encoding as the JSON that would have been sent instead; undefined for
 * kinds whose encoding is not known here. Throws ApiError.
 */
export const jsonOfProtobuf = (body: Buffer): JsonMap | undefined => {
  if (!body.subarray(0, magic.length).equals(magic)) {
    throw badRequest(
      'provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]',
    );
  }
  try {
    // runtime.Unknown: 1 is the TypeMeta (1 apiVersion, 2 kind), 2 the message itself.
    const envelope = partsOf(body.subarray(magic.length));
    const meta = partsOf(envelope.get(1) ?? Buffer.alloc(0));
    const [apiVersion, kind] = [1, 2].map((number) =>
      bytesOf(meta.get(number) ?? Buffer.alloc(0)).toString(),
    );
    const type = typeOf(apiVersion ?? '', kind ?? '');
    if (type === undefined || !messages.has(type)) return undefined;
    return {
      apiVersion: apiVersion ?? '',
      kind: kind ?? '',
      ...messageOf(type, bytesOf(envelope.get(2) ?? Buffer.alloc(0))),
    };
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof SyntaxError)) throw error;
    throw badRequest(`unable to decode the protobuf message: ${error.message}`);
  }
};
