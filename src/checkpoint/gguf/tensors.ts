import { type DecodedBytes, type Tensor, type UnreadableTensor, elementCount } from '../checkpoint';
import { type GgmlType, type BlockSize, blockSize, isGgmlType } from '../decoders/ggml/types';
import { type DType, bytesPerElement } from '../dtype';
import { CheckpointError } from '../errors';
import { requireShape } from '../layout';
import { roleInStateDict } from '../roles';
import type { GgufHeader, TensorInfo } from './header';
import { type ElementType, elementTypeOf } from './types';

/**
 * Most parts that the stacks of one file are cut into, each some kilobyte of memory; models of 94 layers with three stacks
 * of 128 experts have 36 thousand. Stacks beyond it are decoded as a whole.
 */
const MAX_PARTS = 60_000;
/** Results of more are beyond any file that they could have been made from, and float32 values count four bytes. */
const FLOAT32_BYTES = 4;

export interface GgufTensors {
  readonly tensors: readonly Tensor[];
  readonly unreadable: readonly UnreadableTensor[];
  /** Number of tensors of each type that is decoded to float32, by its name in ggml. */
  readonly decoded: ReadonlyMap<GgmlType, number>;
}

/** A tensor and the bytes it takes in the file; `undefined` where its type's blocks are not known. */
interface Extent {
  readonly info: TensorInfo;
  readonly bytes: number | undefined;
}

/**
 * The tensors of a header, none of them read.
 *
 * @throws CheckpointError `malformed` for shapes that do not fit the type's blocks, and for ranges that overlap or lie
 * outside the file
 */
export function tensorsOf(header: GgufHeader): GgufTensors {
  const tensors: Tensor[] = [];
  const unreadable: UnreadableTensor[] = [];
  const decoded = new Map<GgmlType, number>();
  const extents: Extent[] = [];
  let partsLeft = MAX_PARTS;
  for (const info of header.tensors) {
    try {
      const type = elementTypeOf(info.type);
      const shape = requireShape(info.shape, FLOAT32_BYTES);
      const bytes = bytesOf(type, shape);
      extents.push({ info, bytes });
      if ('dtype' in type) {
        tensors.push(rawTensor(info, type.dtype, header));
      } else if (isGgmlType(type.name)) {
        const tensor = blockTensor(info, type.name, header, partsLeft);
        if (tensor.storage.encoding === 'stack') partsLeft -= tensor.storage.parts.length;
        tensors.push(tensor);
        decoded.set(type.name, (decoded.get(type.name) ?? 0) + 1);
      } else {
        const reason = `values of ggml's type ${type.name} are not read`;
        unreadable.push({ name: info.name, shape, dtype: type.name, reason });
      }
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      throw error.at({ file: header.path, tensor: info.name, offset: info.infoOffset });
    }
  }
  requireSeparate(extents, header);
  return { tensors, unreadable, decoded };
}

/** Bytes of a tensor's values; rows are whole blocks. Undefined for types whose blocks are not known. */
function bytesOf(type: ElementType, shape: readonly number[]): number | undefined {
  if ('dtype' in type) return elementCount(shape) * bytesPerElement(type.dtype);
  const block = isGgmlType(type.name) ? blockSize(type.name) : 'block' in type ? type.block : undefined;
  return block === undefined ? undefined : blocksOf(shape, block, type.name) * block.bytes;
}

function blocksOf(shape: readonly number[], { values }: BlockSize, type: string): number {
  const row = shape.at(-1) ?? 1;
  if (row % values !== 0) {
    throw new CheckpointError(
      'malformed',
      `rows of ${row} values are no whole blocks of ${type} (${values})`,
    );
  }
  return elementCount(shape) / values;
}

function rawTensor(info: TensorInfo, dtype: DType, { path, bigEndian }: GgufHeader): Tensor {
  const { name, offset } = info;
  const shape = requireShape(info.shape, bytesPerElement(dtype));
  const byteLength = elementCount(shape) * bytesPerElement(dtype);
  const storage = { encoding: 'raw', path, offset, byteLength } as const;
  const tensor: Tensor = { name, shape, dtype, storage, role: roleInStateDict(name, shape) };
  return bigEndian && bytesPerElement(dtype) > 1 ? { ...tensor, byteOrder: 'big' } : tensor;
}

/** Values in blocks; a stack of matrices in parts, so that one of many experts is decoded without the others. */
function blockTensor(info: TensorInfo, type: GgmlType, header: GgufHeader, mostParts: number): Tensor {
  const { name, shape, offset } = info;
  const [count = 0, ...part] = shape;
  const role = roleInStateDict(name, shape);
  const byteLength = elementCount(shape) * FLOAT32_BYTES;
  if (shape.length !== 3 || count < 2 || count > mostParts) {
    return { name, shape, dtype: 'float32', storage: decodedAt(offset, shape, type, name, header), role };
  }
  const partBytes = blocksOf(part, blockSize(type), type) * blockSize(type).bytes;
  const parts = Array.from({ length: count }, (_, i): Tensor => {
    const storage = decodedAt(offset + i * partBytes, part, type, name, header);
    return { name: `${name}[${i}]`, shape: part, dtype: 'float32', storage, role };
  });
  const storage = { encoding: 'stack', path: header.path, parts, byteLength } as const;
  return { name, shape, dtype: 'float32', storage, role };
}

function decodedAt(
  offset: number,
  shape: readonly number[],
  type: GgmlType,
  name: string,
  { path, bigEndian }: GgufHeader,
): DecodedBytes {
  const bytes = blocksOf(shape, blockSize(type), type) * blockSize(type).bytes;
  const source: Tensor = {
    name,
    shape: [bytes],
    dtype: 'uint8',
    storage: { encoding: 'raw', path, offset, byteLength: bytes },
    role: 'model',
  };
  return {
    encoding: 'decoded',
    path,
    sources: [source],
    decoder: { kind: 'ggml', type, ...(bigEndian && { bigEndian }) },
    byteLength: elementCount(shape) * FLOAT32_BYTES,
  };
}

/** Every tensor has bytes of its own inside the file; between them may be padding. */
function requireSeparate(extents: readonly Extent[], { path, fileBytes }: GgufHeader): void {
  let end = 0;
  for (const { info, bytes = 0 } of [...extents].sort((a, b) => a.info.offset - b.info.offset)) {
    const location = { file: path, tensor: info.name, offset: info.offset };
    if (info.offset + bytes > fileBytes) {
      const reason = `its bytes end at ${info.offset + bytes}, but the file ends at ${fileBytes}`;
      throw new CheckpointError('malformed', reason, location);
    }
    if (bytes === 0) continue;
    if (info.offset < end)
      throw new CheckpointError('malformed', 'its bytes overlap those of another tensor', location);
    end = info.offset + bytes;
  }
}
