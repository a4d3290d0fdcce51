/** `TensorProto`: values inside the model's file, or in files of their own beside it. */
import { realpathSync, statSync } from 'node:fs';
import path from 'node:path';
import { type StorageBytes, type Tensor, elementCount } from '../checkpoint';
import { type DType, bytesPerElement } from '../dtype';
import { CheckpointError } from '../errors';
import { ioError } from '../file';
import { MAX_AXES, requireShape } from '../layout';
import type { ByteSpan, Integer, WireField, WireReader } from '../protobuf/wire';

/** Over all graphs; each takes some 500 bytes of memory. */
const MAX_TENSORS = 400_000;
/**
 * Values written as lists of integers, one to ten bytes each, are decoded when the model is opened. Weights are not
 * written so, but constants of shapes and axes are, and they are small.
 */
const MAX_LISTED_BYTES = 64 << 20;

/** `TensorProto.DataType`. */
const DTYPES: ReadonlyMap<number, DType> = new Map<number, DType>([
  [1, 'float32'],
  [2, 'uint8'],
  [3, 'int8'],
  [4, 'uint16'],
  [5, 'int16'],
  [6, 'int32'],
  [7, 'int64'],
  [9, 'bool'],
  [10, 'float16'],
  [11, 'float64'],
  [12, 'uint32'],
  [13, 'uint64'],
  [14, 'complex64'],
  [15, 'complex128'],
  [16, 'bfloat16'],
  [17, 'float8_e4m3fn'],
  [19, 'float8_e5m2'],
]);

const OTHER_NAMES: Readonly<Record<number, string>> = {
  8: 'string',
  18: 'float8_e4m3fnuz',
  20: 'float8_e5m2fnuz',
  21: 'uint4',
  22: 'int4',
  23: 'float4e2m1',
};

/** The element type of a code; undefined for those that have no counterpart here (strings, 4-bit integers …). */
export function onnxDType(code: number): DType | undefined {
  return DTYPES.get(code);
}

/** A tensor of a model: an initializer, or the value of a Constant. */
export interface OnnxTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** Code of `TensorProto.DataType`. */
  readonly elementType: number;
  /** For people, when there is no DType for it. */
  readonly typeName: string;
  /** Its values; absent when they cannot be given, for `reason`. */
  readonly tensor?: Tensor;
  readonly reason?: string;
  /** Values are in another file. */
  readonly external: boolean;
  readonly span: ByteSpan;
}

/** Fields of a TensorProto that hold values. */
interface Values {
  readonly kind: 'raw' | 'float' | 'integer' | 'double';
  readonly fields: readonly WireField[];
}

/** Reads tensors of one model. */
export class TensorReader {
  /** Files of external data, in the order in which they were met. */
  readonly files: string[] = [];
  /** Of these files together. */
  externalBytes = 0;
  private count = 0;
  private listedBytes = 0;
  private readonly externalFiles = new Map<string, { readonly path: string; readonly size: number }>();

  constructor(private readonly wire: WireReader) {}

  /** @throws CheckpointError naming tensor and byte. */
  tensor(field: WireField): OnnxTensor {
    const { wire } = this;
    if (++this.count > MAX_TENSORS)
      throw wire.error('unsupported', `more than ${MAX_TENSORS} tensors`, field.whole.begin);
    let name = '';
    let elementType = 0;
    let isExternal = false;
    const sizes: number[] = [];
    const values: { kind: Values['kind']; fields: WireField[] } = { kind: 'raw', fields: [] };
    const location = new Map<string, string>();
    for (const part of wire.fields(wire.message(field))) {
      if (part.number === 1) this.sizes(part, sizes);
      else if (part.number === 2) elementType = wire.integer(part);
      else if (part.number === 8) name = wire.text(part);
      else if (part.number === 13) this.locationEntry(part, location);
      else if (part.number === 14) isExternal = wire.integer(part) === 1;
      const kind = valueKind(part.number);
      if (kind !== undefined) {
        values.kind = kind;
        values.fields.push(part);
      }
    }
    const head = { name, elementType, external: isExternal, span: field.whole };
    try {
      return this.withValues(head, sizes, values, location);
    } catch (error) {
      throw error instanceof CheckpointError
        ? error.at({ file: wire.file.path, tensor: name, offset: field.whole.begin })
        : error;
    }
  }

  private withValues(
    head: Pick<OnnxTensor, 'name' | 'elementType' | 'external' | 'span'>,
    sizes: readonly number[],
    values: Values,
    location: ReadonlyMap<string, string>,
  ): OnnxTensor {
    const dtype = DTYPES.get(head.elementType);
    if (dtype === undefined) {
      const typeName = OTHER_NAMES[head.elementType] ?? `type ${head.elementType}`;
      const reason = `elements of type ${typeName} are not read`;
      return { ...head, shape: requireShape(sizes, 1), typeName, reason };
    }
    const shape = requireShape(sizes, bytesPerElement(dtype));
    const byteLength = elementCount(shape) * bytesPerElement(dtype);
    const listed = head.external ? undefined : this.listed(values, dtype, byteLength);
    const storage = head.external
      ? this.externalStorage(location, byteLength)
      : (listed ?? this.inlineStorage(values, byteLength));
    const common = { ...head, shape, typeName: dtype };
    if (typeof storage === 'string') return { ...common, reason: storage };
    return { ...common, tensor: { name: head.name, shape, dtype, storage, role: 'model' } };
  }

  private sizes(field: WireField, into: number[]): void {
    for (const { value: size } of this.wire.integers(field)) {
      if (into.length >= MAX_AXES)
        throw this.wire.error('malformed', `more than ${MAX_AXES} axes`, field.whole.begin);
      into.push(size);
    }
  }

  private locationEntry(field: WireField, into: Map<string, string>): void {
    let key = '';
    let value = '';
    for (const part of this.wire.fields(this.wire.message(field))) {
      if (part.number === 1) key = this.wire.text(part);
      else if (part.number === 2) value = this.wire.text(part);
    }
    into.set(key, value);
  }

  /** Raw bytes, and packed floats and doubles, which are the same: a range of the file. */
  private inlineStorage({ fields }: Values, byteLength: number): StorageBytes {
    const { path: file } = this.wire.file;
    const [only] = fields;
    if (only === undefined) {
      if (byteLength > 0)
        throw new CheckpointError('malformed', `no values where ${byteLength} bytes belong`);
      return { encoding: 'raw', path: file, offset: 0, byteLength: 0 };
    }
    const { begin, end } = only.value;
    if (end - begin !== byteLength)
      throw new CheckpointError('malformed', `${end - begin} bytes where ${byteLength} belong`);
    return { encoding: 'raw', path: file, offset: begin, byteLength };
  }

  /** Values in several pieces or as integers of variable length: gathered; undefined when they lie in one piece. */
  private listed(values: Values, dtype: DType, byteLength: number): StorageBytes | string | undefined {
    const { wire } = this;
    const isOnePiece = values.fields.length < 2 && values.kind !== 'integer';
    if (isOnePiece && values.fields.every(({ kind }) => kind === 'bytes')) return undefined;
    this.listedBytes += byteLength;
    if (this.listedBytes > MAX_LISTED_BYTES)
      return `more than ${MAX_LISTED_BYTES} bytes of values are written one by one: keep them as raw data`;
    const bytes = new Uint8Array(byteLength);
    let done = 0;
    const put = (piece: Uint8Array): void => {
      if (done + piece.length > byteLength)
        throw new CheckpointError('malformed', `more than the ${byteLength} bytes of values that belong`);
      bytes.set(piece, done);
      done += piece.length;
    };
    for (const field of values.fields) {
      if (values.kind !== 'integer') put(wire.bytes(field.value));
      else for (const integer of wire.integers(field)) put(integerBytes(integer, bytesPerElement(dtype)));
    }
    if (done !== byteLength)
      throw new CheckpointError('malformed', `${done} bytes of values where ${byteLength} belong`);
    return { encoding: 'memory', path: wire.file.path, bytes, byteLength };
  }

  /** External data may only lie in the model's folder or below it, links followed. */
  private externalStorage(location: ReadonlyMap<string, string>, byteLength: number): StorageBytes {
    const { path: file, size } = this.externalFile(location.get('location') ?? '');
    const offset = count(location.get('offset') ?? '0', 'offset');
    const length = count(location.get('length') ?? String(size - offset), 'length');
    if (length !== byteLength)
      throw new CheckpointError('malformed', `${length} bytes of external data where ${byteLength} belong`);
    if (offset + length > size) {
      const reason = `its external data ends at byte ${offset + length}, the file at ${size}`;
      throw new CheckpointError('malformed', reason, { file, offset });
    }
    return { encoding: 'raw', path: file, offset, byteLength };
  }

  private externalFile(location: string): { readonly path: string; readonly size: number } {
    const known = this.externalFiles.get(location);
    if (known !== undefined) return known;
    const folder = path.dirname(path.resolve(this.wire.file.path));
    const outside = new CheckpointError(
      'malformed',
      `its external data "${location}" is not a file in the model's folder: move it there`,
    );
    const isPlain = location !== '' && !location.includes('\0') && !/^[a-z]:|\\/i.test(location);
    if (!isPlain || path.isAbsolute(location) || location.split('/').includes('..')) throw outside;
    const target = path.join(folder, location);
    try {
      const real = realpathSync(target);
      const root = realpathSync(folder);
      const facts = statSync(real);
      if (!real.startsWith(root.endsWith(path.sep) ? root : root + path.sep) || !facts.isFile())
        throw outside;
      const found = { path: target, size: facts.size };
      this.externalFiles.set(location, found);
      // One file may be named in several ways.
      if (!this.files.includes(target)) {
        this.files.push(target);
        this.externalBytes += facts.size;
      }
      return found;
    } catch (error) {
      throw ioError(error, target);
    }
  }
}

function valueKind(field: number): Values['kind'] | undefined {
  switch (field) {
    case 9:
      return 'raw';
    case 4:
      return 'float';
    case 10:
      return 'double';
    case 5:
    case 7:
    case 11:
      return 'integer';
    default:
      return undefined;
  }
}

/** Two's complement, little-endian; float16 and bfloat16 are kept as the integers of their bits. */
function integerBytes({ low, high }: Integer, width: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(low, 0);
  bytes.writeUInt32LE(high, 4);
  return bytes.subarray(0, width);
}

function count(text: string, what: string): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN;
  if (!Number.isSafeInteger(value))
    throw new CheckpointError('malformed', `an ${what} of external data that is no number`);
  return value;
}
