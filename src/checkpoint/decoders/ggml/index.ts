import { CheckpointError } from '../../errors';
import { allocateResult } from '../allocate';
import { FOUR_BIT } from './fourBit';
import type { BlockDecoder, UpperByte } from './half';
import { K_QUANTS } from './kQuants';
import { ROUND } from './round';
import { TERNARY } from './ternary';
import { type GgmlType, blockSize } from './types';

/** Values that ggml keeps in blocks, each with scales of its own; decoded to float32 exactly as ggml does. */
export interface Ggml {
  readonly kind: 'ggml';
  readonly type: GgmlType;
  /** Scales are written by a big-endian machine. */
  readonly bigEndian?: true;
}

const DECODERS: Readonly<Record<GgmlType, BlockDecoder>> = {
  ...ROUND,
  ...FOUR_BIT,
  ...K_QUANTS,
  ...TERNARY,
};

/** @throws CheckpointError `malformed` when the blocks are not as many as the result's elements need */
export function decodeGgml(
  { type, bigEndian }: Ggml,
  [source = new Uint8Array()]: readonly Uint8Array[],
  byteLength: number,
): Uint8Array {
  const block = blockSize(type);
  const blocks = source.length / block.bytes;
  if (!Number.isInteger(blocks) || blocks * block.values * 4 !== byteLength) {
    throw new CheckpointError(
      'malformed',
      `${source.length} bytes of ${type} for ${byteLength / 4} elements`,
    );
  }
  const bytes = allocateResult(byteLength);
  const upper: UpperByte = bigEndian === true ? 0 : 1;
  DECODERS[type](source, blocks, new Float32Array(bytes.buffer, bytes.byteOffset, byteLength / 4), upper);
  return bytes;
}
