/** Values of tensors from the forms in which files keep them. One form a file. */
import { decodeAffine } from './affine';
import { decodeAwq } from './awq';
import { decodeBitsandbytes4 } from './bitsandbytes4';
import { decodeBlockScaled } from './blockScaled';
import { decodeChunks } from './chunks';
import type { Decoder } from './decoder';
import { decodeGgml } from './ggml';
import { decodeGptq } from './gptq';
import { decodeMlxAffine } from './mlxAffine';
import { decodeMxfp4 } from './mxfp4';
import { decodePackQuantized } from './packQuantized';
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
    case 'ggml':
      return decodeGgml(decoder, sources, byteLength);
    case 'awq':
      return decodeAwq(decoder, sources, byteLength);
    case 'bitsandbytes-4bit':
      return decodeBitsandbytes4(decoder, sources, byteLength);
    case 'block-scaled':
      return decodeBlockScaled(decoder, sources, byteLength);
    case 'gptq':
      return decodeGptq(decoder, sources, byteLength);
    case 'mlx-affine':
      return decodeMlxAffine(decoder, sources, byteLength);
    case 'mxfp4':
      return decodeMxfp4(decoder, sources, byteLength);
    case 'pack-quantized':
      return decodePackQuantized(decoder, sources, byteLength);
    case 'chunks':
      return decodeChunks(decoder, sources, byteLength);
    case 'pieces':
      return decodePieces(sources, byteLength);
  }
}
