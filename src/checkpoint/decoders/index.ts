/** Values of tensors from the forms in which files keep them. One form a file. */
import { decodeAffine } from './affine';
import { decodeChunks } from './chunks';
import type { Decoder } from './decoder';
import { decodePieces } from './pieces';

/**
 * The bytes of a storage: little-endian elements of the tensor's type, in its order.
 *
 * @param sources canonical bytes of the storage's sources, in order
 * @param byteLength of the result
 * @throws CheckpointError `malformed` when the sources do not fit
 */
export function decode(decoder: Decoder, sources: readonly Uint8Array[], byteLength: number): Uint8Array {
  switch (decoder.kind) {
    case 'affine':
      return decodeAffine(decoder, sources, byteLength);
    case 'chunks':
      return decodeChunks(decoder, sources, byteLength);
    case 'pieces':
      return decodePieces(sources, byteLength);
  }
}
