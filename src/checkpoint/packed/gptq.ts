import type { Tensor } from '../checkpoint';
import { WORD_BITS, wordsFor } from '../decoders/packedBits';
import { groupSizeOf } from './groupSize';
import {
  INDEX_TYPES,
  SCALE_TYPES,
  WORD_TYPES,
  type PackedWeight,
  type Surroundings,
  companion,
  decodedWeight,
  groupWords,
  leave,
  matrixSizes,
  optionalCompanion,
  prefixBefore,
  requireSizes,
  requireType,
} from './scheme';

const BITS: ReadonlySet<number> = new Set([2, 3, 4, 8]);

/** What is added to zero points, by the name of the format; a configuration that names none means the first. */
const ZERO_SHIFT: ReadonlyMap<string, 0 | 1> = new Map([
  ['gptq', 1],
  ['gptq_v2', 0],
]);

/**
 * GPTQ: `qweight` (inputs·bits/32 × outputs), `qzeros` (groups × outputs·bits/32), `scales` (groups × outputs) and
 * perhaps `g_idx` (inputs), as AutoGPTQ and GPTQModel write them.
 */
export function gptqWeight(tensor: Tensor, around: Surroundings): PackedWeight | undefined {
  const prefix = prefixBefore(tensor.name, 'qweight');
  const beside = prefix === undefined ? undefined : around.find(`${prefix}scales`);
  // AWQ packs the outputs, so there a row has fewer words than scales.
  if (prefix === undefined || beside === undefined || tensor.shape[1] !== beside.shape[1]) return undefined;
  requireType(tensor, WORD_TYPES);
  const zeroShift = zeroShiftOf(around);
  const scales = companion(`${prefix}scales`, SCALE_TYPES, around);
  const qzeros = companion(`${prefix}qzeros`, WORD_TYPES, around);
  const index = optionalCompanion(`${prefix}g_idx`, INDEX_TYPES, around);
  const [words, outputs] = matrixSizes(tensor);
  const [groups] = matrixSizes(scales);
  const bits = (matrixSizes(qzeros)[1] * WORD_BITS) / outputs;
  if (!BITS.has(bits)) throw leave(`of ${bits} bits: 2, 3, 4 and 8 are read`);
  const inputs = (words * WORD_BITS) / bits;
  if (!Number.isInteger(inputs) || wordsFor(inputs, bits) !== words)
    throw leave(`of ${words} rows of ${bits} bits`);
  requireSizes(qzeros, [groups, wordsFor(outputs, bits)]);
  requireSizes(scales, [groups, outputs]);
  if (index !== undefined) requireSizes(index, [inputs]);
  if (groups > inputs) throw leave(`of ${groups} groups for ${inputs} inputs`);
  // With an index, inputs may be in any order, and the size has a meaning for people alone.
  const groupSize =
    index === undefined ? groupSizeOf(inputs, groups, around.config.groupSize) : Math.ceil(inputs / groups);
  const sources = [tensor, qzeros, scales, ...(index === undefined ? [] : [index])];
  const decoder = {
    kind: 'gptq',
    bits,
    inputs,
    outputs,
    groups,
    groupSize,
    zeroShift,
    scales: scales.dtype,
  } as const;
  const assumed =
    around.config.file === undefined ? '; its first version, as no configuration says otherwise' : '';
  return {
    weight: decodedWeight(`${prefix}weight`, [outputs, inputs], decoder, sources),
    parts: sources,
    form: `${bits}-bit GPTQ (${groupWords(groupSize, inputs)}${assumed})`,
  };
}

function zeroShiftOf({ config }: Surroundings): 0 | 1 {
  const { method = 'gptq', checkpointFormat = 'gptq' } = config;
  if (method !== 'gptq') throw leave(`in GPTQ's shape, made with "${method}"`);
  const shift = ZERO_SHIFT.get(checkpointFormat);
  if (shift === undefined) throw leave(`in the GPTQ format "${checkpointFormat}"`);
  return shift;
}
