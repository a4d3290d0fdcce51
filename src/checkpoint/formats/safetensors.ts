import { type Checkpoint, type Tensor, type UnreadableTensor, elementCount } from '../checkpoint';
import { type DType, bytesPerElement } from '../dtype';
import { CheckpointError } from '../errors';
import type { RandomAccessFile } from '../file';
import { JsonReader } from '../json';
import { MAX_AXES, requireShape } from '../layout';
import { roleInStateDict, stateNotes } from '../roles';
import { TRAINED_ADAPTERS_KEY } from '../packed/adapterMetadata';
import { FACTORS_KEY, withFactoredWeights } from './factors';
import { MLX_FORMAT, fromMlx } from './mlx';

/** The bound of the format's own specification. */
const MAX_HEADER_BYTES = 100_000_000;
/** Each takes some 500 bytes of memory; a mixture of experts in a single file has about fifty thousand. */
const MAX_TENSORS = 400_000;
/** Names of element types are ten characters at most. */
const MAX_DTYPE_CHARACTERS = 32;
/** Bytes of the header's length, before it. */
const LENGTH_BYTES = 8;

const DTYPES: ReadonlyMap<string, DType> = new Map<string, DType>([
  ['F64', 'float64'],
  ['F32', 'float32'],
  ['F16', 'float16'],
  ['BF16', 'bfloat16'],
  ['F8_E4M3', 'float8_e4m3fn'],
  ['F8_E5M2', 'float8_e5m2'],
  ['I64', 'int64'],
  ['I32', 'int32'],
  ['I16', 'int16'],
  ['I8', 'int8'],
  ['U64', 'uint64'],
  ['U32', 'uint32'],
  ['U16', 'uint16'],
  ['U8', 'uint8'],
  ['BOOL', 'bool'],
  ['C64', 'complex64'],
]);

interface Entry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Bytes from the end of the header. */
  readonly begin: number;
  readonly end: number;
}

/** Whether the first bytes of a file can be a safetensors header: its length, then JSON. */
export function looksLikeSafetensors(head: Uint8Array): boolean {
  // No honest length needs the upper four of its eight bytes.
  return head[LENGTH_BYTES] === 0x7b && head.subarray(4, LENGTH_BYTES).every((byte) => byte === 0);
}

/**
 * A single safetensors file.
 *
 * @throws CheckpointError `malformed` for a header that breaks the specification: among others, ranges that overlap,
 * leave gaps, reach outside the file or do not fit shape and element type.
 */
export async function openSafetensors(file: RandomAccessFile): Promise<Checkpoint> {
  const header = await readHeader(file);
  const dataStart = LENGTH_BYTES + header.length;
  const { entries, factors, trained, isMlx } = parseHeader(header, file.path);
  requireTiling(entries, file.size - dataStart, dataStart, file.path);
  const tensors: Tensor[] = [];
  const unreadable: UnreadableTensor[] = [];
  for (const entry of entries) {
    const dtype = DTYPES.get(entry.dtype);
    if (dtype === undefined) {
      const { name, shape } = entry;
      unreadable.push({
        name,
        shape,
        dtype: entry.dtype,
        reason: `elements of type ${entry.dtype} are not read`,
      });
    } else {
      const tensor = tensorOf(entry, dtype, dataStart, file.path);
      tensors.push(isMlx ? fromMlx(tensor) : tensor);
    }
  }
  const checkpoint: Checkpoint = {
    path: file.path,
    format: 'safetensors',
    files: [file.path],
    bytes: file.size,
    tensors,
    unreadable,
    notes: stateNotes(tensors),
    ...(trained !== undefined && { adapterMetadata: { trained } }),
  };
  return factors === undefined ? checkpoint : withFactoredWeights(checkpoint, factors);
}

async function readHeader(file: RandomAccessFile): Promise<Uint8Array> {
  const lengthBytes = await file.read(0, LENGTH_BYTES);
  const length = new DataView(lengthBytes.buffer, lengthBytes.byteOffset, LENGTH_BYTES).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) {
    const reason = `a safetensors header of ${length} bytes is longer than the format's ${MAX_HEADER_BYTES}`;
    throw new CheckpointError('malformed', reason, { file: file.path, offset: 0 });
  }
  if (length > BigInt(file.size - LENGTH_BYTES)) {
    const reason = `a safetensors header of ${length} bytes in a file of ${file.size}`;
    throw new CheckpointError('malformed', reason, { file: file.path, offset: 0 });
  }
  return file.read(LENGTH_BYTES, Number(length));
}

function parseHeader(
  header: Uint8Array,
  path: string,
): {
  readonly entries: readonly Entry[];
  readonly factors?: string;
  readonly trained?: string;
  readonly isMlx: boolean;
} {
  const json = new JsonReader(header, LENGTH_BYTES);
  const entries: Entry[] = [];
  let factors: string | undefined;
  let trained: string | undefined;
  let isMlx = false;
  try {
    json.object((name) => {
      if (name === '__metadata__') {
        json.object((key) => {
          const value = json.string();
          if (key === FACTORS_KEY) factors = value;
          else if (key === TRAINED_ADAPTERS_KEY) trained = value;
          else if (key === 'format') isMlx = value === MLX_FORMAT;
        });
        return;
      }
      if (entries.length >= MAX_TENSORS)
        throw new CheckpointError('unsupported', `more than ${MAX_TENSORS} tensors`);
      entries.push(parseEntry(json, name));
    });
    json.end();
  } catch (error) {
    throw error instanceof CheckpointError ? error.at({ file: path }) : error;
  }
  return {
    entries,
    isMlx,
    ...(factors !== undefined && { factors }),
    ...(trained !== undefined && { trained }),
  };
}

function parseEntry(json: JsonReader, name: string): Entry {
  let dtype: string | undefined;
  let shape: number[] | undefined;
  let range: number[] | undefined;
  const counts = (): number[] => {
    const values: number[] = [];
    json.array(() => {
      if (values.length >= MAX_AXES) throw json.error(`more than ${MAX_AXES} axes`).at({ tensor: name });
      values.push(json.count());
    });
    return values;
  };
  json.object((key) => {
    if (key === 'dtype') dtype = dtypeName(json, name);
    else if (key === 'shape') shape = counts();
    else if (key === 'data_offsets') range = counts();
    else throw json.error(`the key "${key}" is unknown`).at({ tensor: name });
  });
  const [begin, end, ...rest] = range ?? [];
  if (
    dtype === undefined ||
    shape === undefined ||
    begin === undefined ||
    end === undefined ||
    rest.length > 0
  ) {
    throw json.error('a tensor needs dtype, shape and two data_offsets').at({ tensor: name });
  }
  return { name, dtype, shape, begin, end };
}

function dtypeName(json: JsonReader, tensor: string): string {
  const name = json.string();
  if (name.length > MAX_DTYPE_CHARACTERS) throw json.error('a dtype that is no name').at({ tensor });
  return name;
}

/** The specification's rule: the ranges cover the bytes after the header once, without gaps. */
function requireTiling(entries: readonly Entry[], dataBytes: number, dataStart: number, path: string): void {
  const inOrder = [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end);
  let covered = 0;
  for (const { name, begin, end } of inOrder) {
    const location = { file: path, tensor: name, offset: dataStart + begin };
    if (end < begin)
      throw new CheckpointError('malformed', `its bytes end at ${end} before they begin`, location);
    if (end > dataBytes) {
      const reason = `its bytes end at ${dataStart + end}, but the file ends at ${dataStart + dataBytes}`;
      throw new CheckpointError('malformed', reason, location);
    }
    if (begin < covered)
      throw new CheckpointError('malformed', 'its bytes overlap those of another tensor', location);
    if (begin > covered)
      throw new CheckpointError(
        'malformed',
        `${begin - covered} bytes before it belong to no tensor`,
        location,
      );
    covered = end;
  }
  if (covered !== dataBytes) {
    const reason = `${dataBytes - covered} bytes at the end belong to no tensor`;
    throw new CheckpointError('malformed', reason, { file: path, offset: dataStart + covered });
  }
}

function tensorOf(entry: Entry, dtype: DType, dataStart: number, path: string): Tensor {
  const { name, begin, end } = entry;
  const offset = dataStart + begin;
  const byteLength = end - begin;
  try {
    const shape = requireShape(entry.shape, bytesPerElement(dtype));
    const needed = elementCount(shape) * bytesPerElement(dtype);
    if (needed !== byteLength) {
      const reason = `${entry.dtype} of shape [${shape.join(', ')}] needs ${needed} bytes, not ${byteLength}`;
      throw new CheckpointError('malformed', reason);
    }
    const storage = { encoding: 'raw', path, offset, byteLength } as const;
    return { name, shape, dtype, storage, role: roleInStateDict(name, shape) };
  } catch (error) {
    throw error instanceof CheckpointError ? error.at({ file: path, tensor: name, offset }) : error;
  }
}
