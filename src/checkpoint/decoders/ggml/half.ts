import { decodeElements } from '../../elements';

/** Which of a number's two bytes is the upper one: the second in little-endian files. */
export type UpperByte = 0 | 1;

/**
 * Decodes blocks to float32 values. Sums and products are taken in float64 and rounded once, when they are stored:
 * ggml's float32 arithmetic gives the same values, because all of its products of a float16 scale, a factor and a code
 * have fewer than 24 significant bits and so are exact.
 *
 * @param source `blocks` whole blocks
 * @param result as many values as the blocks have
 */
export type BlockDecoder = (
  source: Uint8Array,
  blocks: number,
  result: Float32Array,
  upper: UpperByte,
) => void;

let halves: Float32Array | Float64Array | undefined;

/** The value of every float16, by its bits; made when first needed. */
export function halfValues(): Float32Array | Float64Array {
  halves ??= decodeElements(
    new Uint8Array(Uint16Array.from({ length: 2 ** 16 }, (_, i) => i).buffer),
    'float16',
  );
  return halves;
}

/** The sixteen bits at a byte, those of a float16 among others. */
export function bitsAt(source: Uint8Array, at: number, upper: UpperByte): number {
  return ((source[at + upper] ?? 0) << 8) | (source[at + 1 - upper] ?? 0);
}
