import type { DType } from '../dtype';
import { allocateFloats, numbersOf, requireCount, transposed, wordsOf } from './packedBits';

/**
 * Linear weights as AutoAWQ packs them for its matrix product ("GEMM"): w = (q − z)·s with 4-bit q and z, a scale and a
 * zero point for each output and group of inputs. A word holds eight outputs of one input (of one group), in the order
 * of {@link OUTPUT_OF_NIBBLE}. The result is outputs × inputs, float32.
 */
export interface Awq {
  readonly kind: 'awq';
  readonly inputs: number;
  /** A multiple of eight. */
  readonly outputs: number;
  readonly groups: number;
  readonly groupSize: number;
  readonly scales: DType;
}

const BITS = 4;
/** The output, of a word's eight, that each four bits belong to, from the lowest on. */
const OUTPUT_OF_NIBBLE = [0, 2, 4, 6, 1, 3, 5, 7] as const;

/**
 * @param sources qweight (inputs × outputs/8), qzeros (groups × outputs/8), scales (groups × outputs)
 * @throws CheckpointError `malformed` when they do not fit
 */
export function decodeAwq(decoder: Awq, sources: readonly Uint8Array[], byteLength: number): Uint8Array {
  const { inputs, outputs, groups, groupSize } = decoder;
  const [qweight, qzeros, scaleBytes] = sources;
  const across = outputs / OUTPUT_OF_NIBBLE.length;
  const [packed, zeroWords] = [wordsOf(qweight), wordsOf(qzeros)];
  requireCount(packed.length, inputs * across, 'words');
  requireCount(zeroWords.length, groups * across, 'words of zero points');
  const scales = numbersOf(scaleBytes, decoder.scales, groups * outputs);
  const words = transposed(packed, inputs, across);
  const { bytes, values } = allocateFloats(byteLength);
  requireCount(values.length, inputs * outputs, 'elements');
  for (let column = 0; column < across; column++) {
    OUTPUT_OF_NIBBLE.forEach((place, nibble) => {
      const output = column * OUTPUT_OF_NIBBLE.length + place;
      const shift = nibble * BITS;
      for (let group = 0; group < groups; group++) {
        const scale = scales[group * outputs + output] ?? 0;
        const offset = -(((zeroWords[group * across + column] ?? 0) >>> shift) & 15) * scale;
        const end = Math.min(inputs, (group + 1) * groupSize);
        const [from, to] = [column * inputs, output * inputs];
        for (let i = group * groupSize; i < end; i++) {
          values[to + i] = (((words[from + i] ?? 0) >>> shift) & 15) * scale + offset;
        }
      }
    });
  }
  return bytes;
}
