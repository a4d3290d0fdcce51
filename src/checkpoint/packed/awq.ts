import type { Tensor } from '../checkpoint';
import { groupSizeOf } from './groupSize';
import {
  SCALE_TYPES,
  WORD_TYPES,
  type PackedWeight,
  type Surroundings,
  companion,
  decodedWeight,
  groupWords,
  leave,
  matrixSizes,
  prefixBefore,
  requireSizes,
  requireType,
} from './scheme';

/** Outputs in a word: 4 bits each. */
const PER_WORD = 8;

/** Arrangements of AutoAWQ whose files have the shapes of `gemm` or near it, and another order. */
const OTHER_VERSIONS: ReadonlySet<string> = new Set(['gemv', 'gemv_fast', 'marlin']);

/** AWQ: `qweight` (inputs × outputs/8), `qzeros` (groups × outputs/8), `scales` (groups × outputs), as AutoAWQ writes. */
export function awqWeight(tensor: Tensor, around: Surroundings): PackedWeight | undefined {
  const prefix = prefixBefore(tensor.name, 'qweight');
  const beside = prefix === undefined ? undefined : around.find(`${prefix}scales`);
  if (prefix === undefined || beside === undefined || tensor.shape[1] === beside.shape[1]) return undefined;
  requireType(tensor, WORD_TYPES);
  const { method = 'awq', version = 'gemm', groupSize: stated } = around.config;
  if (method !== 'awq') throw leave(`in AWQ's shape, made with "${method}"`);
  if (OTHER_VERSIONS.has(version)) throw leave(`in the AWQ arrangement "${version}"`);
  const scales = companion(`${prefix}scales`, SCALE_TYPES, around);
  const qzeros = companion(`${prefix}qzeros`, WORD_TYPES, around);
  const [inputs, across] = matrixSizes(tensor);
  const [groups] = matrixSizes(scales);
  const outputs = across * PER_WORD;
  requireSizes(scales, [groups, outputs]);
  requireSizes(qzeros, [groups, across]);
  if (groups > inputs) throw leave(`of ${groups} groups for ${inputs} inputs`);
  const groupSize = groupSizeOf(inputs, groups, stated);
  const sources = [tensor, qzeros, scales];
  const decoder = { kind: 'awq', inputs, outputs, groups, groupSize, scales: scales.dtype } as const;
  return {
    weight: decodedWeight(`${prefix}weight`, [outputs, inputs], decoder, sources),
    parts: sources,
    form: `4-bit AWQ (${groupWords(groupSize, inputs)})`,
  };
}
