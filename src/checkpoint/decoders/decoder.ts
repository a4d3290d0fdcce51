/** How values are decoded; plain data, so that it can be handed to a worker thread. Types only. */

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

export type Decoder = Affine | Pieces;
