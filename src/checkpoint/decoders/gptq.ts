import type { DType } from '../dtype';
import {
  allocateFloats,
  groupIndices,
  numbersOf,
  requireCount,
  scaleRow,
  transposed,
  unpackBits,
  wordsFor,
  wordsOf,
} from './packedBits';

/**
 * Linear weights as GPTQ tools pack them (AutoGPTQ, GPTQModel): w = (q − z)·s with a scale and a zero point for each
 * output and group of inputs. The q of one output follow one another down a column of words, the z of one group along a
 * row. The result is outputs × inputs, float32.
 */
export interface Gptq {
  readonly kind: 'gptq';
  readonly bits: number;
  readonly inputs: number;
  readonly outputs: number;
  readonly groups: number;
  /** Inputs of a group, in order; without a meaning where a group index is among the sources. */
  readonly groupSize: number;
  /** What is added to a stored zero point, modulo 2^bits: 1 in the first version of the format, 0 in `gptq_v2`. */
  readonly zeroShift: 0 | 1;
  readonly scales: DType;
}

/**
 * @param sources qweight (words × outputs), qzeros (groups × words), scales (groups × outputs) and, where the file has
 * one, g_idx (int32, the group of each input)
 * @throws CheckpointError `malformed` when they do not fit, or a group is none of the weight's
 */
export function decodeGptq(decoder: Gptq, sources: readonly Uint8Array[], byteLength: number): Uint8Array {
  const { bits, inputs, outputs, groups, groupSize } = decoder;
  const [qweight, qzeros, scaleBytes, index] = sources;
  const perOutput = wordsFor(inputs, bits);
  const packed = wordsOf(qweight);
  requireCount(packed.length, perOutput * outputs, 'words');
  const stored = numbersOf(scaleBytes, decoder.scales, groups * outputs);
  const zeros = zeroPoints(wordsOf(qzeros), decoder);
  const groupOf = index === undefined ? undefined : groupIndices(index, inputs, groups);
  const scales = transposed(stored, groups, outputs);
  // q·s − z·s: both products are exact in float64.
  const offsets = transposed(
    zeros.map((zero, i) => -zero * (stored[i] ?? 0)),
    groups,
    outputs,
  );
  const words = transposed(packed, perOutput, outputs);
  const { bytes, values } = allocateFloats(byteLength);
  requireCount(values.length, inputs * outputs, 'elements');
  const codes = new Uint8Array(inputs);
  const columns = { columns: inputs, groups, groupSize, ...(groupOf !== undefined && { groupOf }) };
  for (let output = 0; output < outputs; output++) {
    unpackBits(words, output * perOutput, bits, codes);
    scaleRow(codes, columns, scales, offsets, output, values, output * inputs);
  }
  return bytes;
}

/** groups × outputs */
function zeroPoints(words: Uint32Array, { bits, outputs, groups, zeroShift }: Gptq): Float64Array {
  const perGroup = wordsFor(outputs, bits);
  requireCount(words.length, groups * perGroup, 'words of zero points');
  const zeros = new Float64Array(groups * outputs);
  const codes = new Uint8Array(outputs);
  const mask = 2 ** bits - 1;
  for (let group = 0; group < groups; group++) {
    unpackBits(words, group * perGroup, bits, codes);
    codes.forEach((code, output) => {
      zeros[group * outputs + output] = (code + zeroShift) & mask;
    });
  }
  return zeros;
}
