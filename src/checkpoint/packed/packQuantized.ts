import type { Tensor } from '../checkpoint';
import type { PackQuantized } from '../decoders/packQuantized';
import { WORD_BITS, wordsFor } from '../decoders/packedBits';
import type { DType } from '../dtype';
import { groupSizeOf } from './groupSize';
import {
  INDEX_TYPES,
  SCALE_TYPES,
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
} from './scheme';

const SIZE_TYPES: ReadonlySet<DType> = new Set<DType>(['int64', 'int32']);
const ZERO_TYPES: ReadonlySet<DType> = new Set<DType>(['int32', 'int8']);
/** Two sizes of 64 bits. */
const SHAPE_BYTES = 16;

/**
 * compressed-tensors' `pack-quantized`: `weight_packed` (rows × columns·bits/32, int32), `weight_scale` (rows × groups),
 * `weight_shape` (rows and columns), and perhaps `weight_zero_point` (packed down the rows) and `weight_g_idx`.
 */
export function packQuantizedWeight(tensor: Tensor, around: Surroundings): PackedWeight | undefined {
  const prefix = prefixBefore(tensor.name, 'weight_packed');
  // The same name with bytes is NVFP4 or MXFP4, whose scales mean something else.
  if (prefix === undefined || tensor.dtype !== 'int32') return undefined;
  const named = (leaf: string): string => `${prefix}weight_${leaf}`;
  const scales = companion(named('scale'), SCALE_TYPES, around);
  const sizes = companion(named('shape'), SIZE_TYPES, around);
  const zeros = optionalCompanion(named('zero_point'), ZERO_TYPES, around);
  const index = optionalCompanion(named('g_idx'), INDEX_TYPES, around);
  const [rows, words] = matrixSizes(tensor);
  const columns = columnsOf(rows, sizes, around);
  const bits = bitsOf(words, columns);
  const [, groups] = matrixSizes(scales);
  requireSizes(scales, [rows, groups]);
  if (groups > columns) throw leave(`of ${groups} groups for ${columns} columns`);
  if (zeros !== undefined)
    requireSizes(zeros, [zeros.dtype === 'int8' ? rows : wordsFor(rows, bits), groups]);
  if (index !== undefined) requireSizes(index, [columns]);
  const groupSize =
    index === undefined ? groupSizeOf(columns, groups, around.config.groupSize) : Math.ceil(columns / groups);
  const decoder: PackQuantized = {
    kind: 'pack-quantized',
    bits,
    rows,
    columns,
    groups,
    groupSize,
    scales: scales.dtype,
    zeros: zeros === undefined ? 'none' : zeros.dtype === 'int8' ? 'int8' : 'packed',
    indexed: index !== undefined,
  };
  const sources = [tensor, scales, ...[zeros, index].filter((part) => part !== undefined)];
  return {
    weight: decodedWeight(`${prefix}weight`, [rows, columns], decoder, sources),
    parts: [...sources, sizes],
    form: `${bits}-bit compressed-tensors (${groupWords(groupSize, columns)})`,
  };
}

/** The columns that weight_shape states. @throws CheckpointError when its rows are not those of the packed values */
function columnsOf(rows: number, sizes: Tensor, { readSmall }: Surroundings): number {
  requireSizes(sizes, [2]);
  const bytes = readSmall(sizes, SHAPE_BYTES);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const at = (index: number): number =>
    sizes.dtype === 'int64' ? Number(view.getBigInt64(8 * index, true)) : view.getInt32(4 * index, true);
  const columns = at(1);
  if (at(0) !== rows || !Number.isSafeInteger(columns) || columns < 1)
    throw leave(`that states a shape of ${at(0)} × ${columns} for ${rows} rows`);
  return columns;
}

/** @throws CheckpointError when the words of a row are none of whole bits, or of several */
function bitsOf(words: number, columns: number): number {
  const [bits, ...others] = [2, 3, 4, 5, 6, 7, 8].filter((one) => wordsFor(columns, one) === words);
  // Before numbers could lie across words, those of 3, 5, 6 and 7 bits left some bits of each unused.
  const isOlder = [3, 5, 6, 7].some((one) => Math.ceil(columns / Math.floor(WORD_BITS / one)) === words);
  if (bits !== undefined && others.length === 0 && (!isOlder || WORD_BITS % bits === 0)) return bits;
  throw leave(`of ${words} words for ${columns} columns`);
}
