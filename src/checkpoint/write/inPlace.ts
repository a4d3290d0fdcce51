import type { FileHandle } from 'node:fs/promises';
import type { Tensor } from '../checkpoint';
import { bytesPerElement } from '../dtype';
import { CheckpointError } from '../errors';
import { isPacked, readsOf, scatter, swapBytes, swapWidth, wholeOf } from '../tensorBlocks';
import { readAt, writeAt } from './staging';

/** A range of a file whose bytes were changed. */
export interface ChangedRange {
  readonly offset: number;
  readonly byteLength: number;
}

/**
 * Puts new values into a copy of a checkpoint's file, where the tensor's old ones stand: through its strides and in its
 * byte order, every other byte as it was.
 *
 * @param canonical contiguous, row-major, little-endian, of the tensor's own element type
 * @throws CheckpointError `unsupported` for storages that are not plain bytes
 */
export async function overwriteTensor(
  handle: FileHandle,
  tensor: Tensor,
  canonical: Uint8Array,
): Promise<readonly ChangedRange[]> {
  const { storage } = tensor;
  if (storage.encoding !== 'raw') {
    throw new CheckpointError('unsupported', 'its values are not kept as plain bytes', {
      file: storage.path,
      tensor: tensor.name,
    });
  }
  const values = inByteOrderOf(tensor, canonical);
  const changed: ChangedRange[] = [];
  for (const { offset, length, block } of readsOf(tensor, storage)) {
    if (isPacked(tensor)) await writeAt(handle, values, offset);
    else {
      // Between the elements of a view stand those of others.
      const bytes = await readAt(handle, length, offset);
      scatter(values, block, bytes, bytesPerElement(tensor.dtype));
      await writeAt(handle, bytes, offset);
    }
    changed.push({ offset, byteLength: length });
  }
  return changed;
}

/** The same for a storage that is in memory: from its first byte on. */
export function overwriteInMemory(storage: Uint8Array, tensor: Tensor, canonical: Uint8Array): void {
  scatter(inByteOrderOf(tensor, canonical), wholeOf(tensor), storage, bytesPerElement(tensor.dtype));
}

function inByteOrderOf(tensor: Tensor, canonical: Uint8Array): Uint8Array {
  const width = swapWidth(tensor);
  if (width === 1) return canonical;
  const swapped = Uint8Array.from(canonical);
  swapBytes(swapped, width);
  return swapped;
}
