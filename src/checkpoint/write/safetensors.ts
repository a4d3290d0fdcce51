import type { FileHandle } from 'node:fs/promises';
import { elementCount } from '../checkpoint';
import { type DType, bytesPerElement } from '../dtype';
import { CheckpointError } from '../errors';
import { StagedFiles } from './staging';

/** The header is padded so that tensors start on this boundary, as the format's own writer does. */
const ALIGNMENT = 8;

const NAMES: Readonly<Record<DType, string | undefined>> = {
  float64: 'F64',
  float32: 'F32',
  float16: 'F16',
  bfloat16: 'BF16',
  float8_e4m3fn: 'F8_E4M3',
  float8_e5m2: 'F8_E5M2',
  int64: 'I64',
  int32: 'I32',
  int16: 'I16',
  int8: 'I8',
  uint64: 'U64',
  uint32: 'U32',
  uint16: 'U16',
  uint8: 'U8',
  bool: 'BOOL',
  complex64: 'C64',
  complex128: undefined,
};

export interface TensorToWrite {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Contiguous, row-major, little-endian; or a way to get that when its turn comes. */
  readonly data: Uint8Array | (() => Promise<Uint8Array>);
}

/**
 * Writes a safetensors file: to a temporary name beside it, then renamed, so that no partial file is ever seen.
 *
 * @throws CheckpointError `unsupported` for what the format cannot hold, `io` when writing fails.
 */
export async function writeSafetensors(
  file: string,
  tensors: readonly TensorToWrite[],
  metadata: ReadonlyMap<string, string> = new Map(),
): Promise<void> {
  const staged = new StagedFiles();
  try {
    await staged.write(file, (handle) => writeSafetensorsInto(handle, file, tensors, metadata));
    await staged.commit();
  } finally {
    await staged.discard();
  }
}

/**
 * The same into a file that is open, from where it stands; one tensor in memory at a time.
 *
 * @param file its name, for messages
 */
export async function writeSafetensorsInto(
  handle: FileHandle,
  file: string,
  tensors: readonly TensorToWrite[],
  metadata: ReadonlyMap<string, string>,
): Promise<void> {
  await handle.writeFile(headerOf(file, tensors, metadata));
  for (const tensor of tensors) {
    const data = typeof tensor.data === 'function' ? await tensor.data() : tensor.data;
    requireLength(file, tensor, data);
    await handle.writeFile(data);
  }
}

/** Whether the format has a name for elements of this type. */
export function safetensorsHolds(dtype: DType): boolean {
  return NAMES[dtype] !== undefined;
}

function requireLength(file: string, { name, dtype, shape }: TensorToWrite, data: Uint8Array): void {
  if (data.length === elementCount(shape) * bytesPerElement(dtype)) return;
  const reason = `${data.length} bytes do not fit shape and element type`;
  throw new CheckpointError('malformed', reason, { file, tensor: name });
}

function headerOf(
  file: string,
  tensors: readonly TensorToWrite[],
  metadata: ReadonlyMap<string, string>,
): Uint8Array {
  // Members are written one by one: an object would reorder keys that look like numbers.
  const members: string[] = [];
  if (metadata.size > 0) {
    const pairs = [...metadata].map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`);
    members.push(`"__metadata__":{${pairs.join(',')}}`);
  }
  const names = new Set<string>(['__metadata__']);
  let begin = 0;
  for (const tensor of tensors) {
    const { name, dtype, shape, data } = tensor;
    const dtypeName = NAMES[dtype];
    const location = { file, tensor: name };
    if (dtypeName === undefined)
      throw new CheckpointError('unsupported', `safetensors has no ${dtype}`, location);
    if (names.has(name)) throw new CheckpointError('unsupported', 'two tensors of one name', location);
    if (typeof data !== 'function') requireLength(file, tensor, data);
    names.add(name);
    const end = begin + elementCount(shape) * bytesPerElement(dtype);
    const entry = { dtype: dtypeName, shape, data_offsets: [begin, end] };
    members.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
    begin = end;
  }
  const text = Buffer.from(`{${members.join(',')}}`, 'utf8');
  const padded = Math.ceil(text.length / ALIGNMENT) * ALIGNMENT;
  const header = Buffer.alloc(8 + padded, ' ');
  header.writeBigUInt64LE(BigInt(padded));
  text.copy(header, 8);
  return header;
}
