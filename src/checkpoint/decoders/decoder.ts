/** How values are decoded; plain data, so that it can be handed to a worker thread. Types only. */
import type { GgmlType } from './ggml/types';

/**
 * Integers that stand for equally spaced numbers, x = q·scale + offset, float32: one pair for all, or one for each of the
 * slices along an axis. TensorFlow.js (`quantization` of a weights manifest) and TensorFlow Lite keep weights so.
 */
export interface Affine {
  readonly kind: 'affine';
  readonly stored: 'uint8' | 'int8' | 'uint16' | 'int16' | 'int32';
  readonly scales: readonly number[];
  /** As many as scales. */
  readonly offsets: readonly number[];
  /** Elements after one another that share a pair; pairs repeat from the first one when they are used up. */
  readonly run: number;
}

/** Bytes that follow one another in several places: a tensor across the ends of shards. */
export interface Pieces {
  readonly kind: 'pieces';
}

/** Values that ggml keeps in blocks, each with scales of its own; decoded to float32 exactly as ggml does. */
export interface Ggml {
  readonly kind: 'ggml';
  readonly type: GgmlType;
  /** Scales are written by a big-endian machine. */
  readonly bigEndian?: true;
}

export type Decoder = Affine | Ggml | Pieces;
