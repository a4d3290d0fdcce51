/** Bytes of storages that stand in no file: products of factors, decoded values, and what is held in memory. */
import { multiplyOut, productSizes, requireFormable, type ProductFactors } from './activatedProduct';
import {
  type DecodedBytes,
  type ProductBytes,
  type StackBytes,
  type Tensor,
  elementCount,
} from './checkpoint';
import { decode } from './decoders';
import { bytesPerElement } from './dtype';
import { decodeElements } from './elements';
import { CheckpointError } from './errors';
import { allocateBytes } from './file';
import { gather, requireInside, spanOf, swapBytes, swapWidth, wholeOf } from './tensorBlocks';

/** Multiply-adds of a product done before anything else may run: some tens of milliseconds. */
const MULTIPLY_ADDS_PER_TURN = 2 ** 24;

/** The product, with a pause between its parts in which timers and messages are served. */
export async function productInTurns(
  storage: ProductBytes,
  U: Uint8Array,
  V: Uint8Array,
): Promise<Uint8Array> {
  const { bytes, turns } = productTurns(storage, U, V);
  for (const turn of turns) {
    turn();
    await new Promise((resume) => setImmediate(resume));
  }
  return bytes;
}

/** The bytes of a product, to be filled by calling all turns in order. */
export function productTurns(
  { product, byteLength, path }: ProductBytes,
  U: Uint8Array,
  V: Uint8Array,
): { readonly bytes: Uint8Array; readonly turns: Iterable<() => void> } {
  const sizes = productSizes(product);
  requireFormable(sizes);
  const { groups, rows, columns, rank } = sizes;
  if (groups * rows * columns * 4 !== byteLength) {
    throw new CheckpointError(
      'malformed',
      `factors of ${groups * rows * columns * 4} bytes, not ${byteLength}`,
    );
  }
  const bytes = allocateBytes(byteLength, path);
  const [all, allU, allV] = [floats(bytes), factorValues(product.U, U), factorValues(product.V, V)];
  const rowsPerTurn = Math.max(1, Math.floor(MULTIPLY_ADDS_PER_TURN / (columns * rank)));
  function* turns(): Generator<() => void> {
    for (let g = 0; g < groups; g++) {
      const factors: ProductFactors = {
        ...sizes,
        activation: product.activation,
        omega: product.omega,
        gain: product.gains[g] ?? NaN,
        U: allU.subarray(g * rows * rank, (g + 1) * rows * rank),
        V: allV.subarray(g * columns * rank, (g + 1) * columns * rank),
        transposed: product.transposed,
      };
      const target = all.subarray(g * rows * columns, (g + 1) * rows * columns);
      for (let from = 0; from < rows; from += rowsPerTurn) {
        const to = Math.min(rows, from + rowsPerTurn);
        yield () => {
          multiplyOut(factors, target, { from, to });
        };
      }
    }
  }
  return { bytes, turns: turns() };
}

/** The parts of a stack one after the other. */
export function stackOf({ byteLength, path }: StackBytes, parts: readonly Uint8Array[]): Uint8Array {
  const bytes = allocateBytes(byteLength, path);
  let at = 0;
  for (const part of parts) {
    requireInside(byteLength, at + part.length);
    bytes.set(part, at);
    at += part.length;
  }
  if (at !== byteLength) throw new CheckpointError('malformed', `parts of ${at} bytes, not ${byteLength}`);
  return bytes;
}

/** What the sources decode to. @throws CheckpointError when that is not as many bytes as the storage is said to have */
export function decodedBytes(
  { decoder, byteLength }: DecodedBytes,
  sources: readonly Uint8Array[],
): Uint8Array {
  const bytes = decode(decoder, sources, byteLength);
  if (bytes.length !== byteLength)
    throw new CheckpointError('malformed', `decodes to ${bytes.length} bytes instead of ${byteLength}`);
  return bytes;
}

function factorValues({ name, dtype }: Tensor, bytes: Uint8Array): Float32Array | Float64Array {
  try {
    return decodeElements(bytes, dtype);
  } catch (error) {
    throw error instanceof CheckpointError ? error.at({ tensor: name }) : error;
  }
}

/** Bytes as the little-endian float32 values they are. */
function floats(bytes: Uint8Array): Float32Array {
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

/** A computed storage's elements in the tensor's order, in an array of their own. */
export function rearrange(tensor: Tensor, bytes: Uint8Array): Uint8Array {
  const size = bytesPerElement(tensor.dtype);
  const block = wholeOf(tensor);
  if (!tensor.shape.includes(0)) requireInside(bytes.length, (block.start + spanOf(block)) * size);
  const result = allocateBytes(elementCount(tensor.shape) * size, tensor.storage.path);
  if (!tensor.shape.includes(0)) gather(bytes, block, result, size);
  swapBytes(result, swapWidth(tensor));
  return result;
}
