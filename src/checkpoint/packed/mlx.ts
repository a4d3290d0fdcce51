import type { Tensor } from '../checkpoint';
import { WORD_BITS } from '../decoders/packedBits';
import {
  MAX_STACK,
  SCALE_TYPES,
  type PackedWeight,
  type Surroundings,
  companion,
  decodedWeight,
  leave,
  prefixBefore,
  requireSizes,
  sliceOf,
  stackedWeight,
} from './scheme';

/** What `mlx.core.quantize` offers in its affine mode. */
const GROUP_SIZES = [32, 64, 128] as const;
const BITS: ReadonlySet<number> = new Set([2, 3, 4, 5, 6, 8]);

interface Grouping {
  readonly bits: number;
  readonly groupSize: number;
}

/**
 * MLX: `weight` of words (… × rows × columns·bits/32) beside `scales` and `biases` (… × rows × groups); a first axis
 * more for experts. Words and groups together give bits × group size, the configuration which of them it is.
 */
export function mlxWeight(tensor: Tensor, around: Surroundings): PackedWeight | undefined {
  const prefix = prefixBefore(tensor.name, 'weight');
  if (prefix === undefined || tensor.dtype !== 'uint32') return undefined;
  if (around.find(`${prefix}scales`) === undefined || around.find(`${prefix}biases`) === undefined)
    return undefined;
  const scales = companion(`${prefix}scales`, SCALE_TYPES, around);
  const biases = companion(`${prefix}biases`, SCALE_TYPES, around);
  const axes = tensor.shape.length;
  const [rows = 0, words = 0] = tensor.shape.slice(-2);
  const groups = scales.shape.at(-1) ?? 0;
  if ((axes !== 2 && axes !== 3) || rows * words * groups === 0)
    throw leave(`with weight of shape [${tensor.shape.join(', ')}]`);
  requireSizes(scales, [...tensor.shape.slice(0, -1), groups]);
  requireSizes(biases, scales.shape);
  const { bits, groupSize } = groupingOf(words, groups, around.config.ofModule(prefix.slice(0, -1)));
  const columns = groups * groupSize;
  const decoder = {
    kind: 'mlx-affine',
    bits,
    rows,
    columns,
    groupSize,
    scales: scales.dtype,
    biases: biases.dtype,
  } as const;
  const decoded = (sources: readonly Tensor[], name: string): Tensor =>
    decodedWeight(name, [rows, columns], decoder, sources);
  const parts = [tensor, scales, biases];
  return {
    weight: axes === 2 ? decoded(parts, tensor.name) : stackOf(tensor, parts, decoded),
    parts,
    form: `${bits}-bit MLX (groups of ${groupSize})`,
  };
}

function stackOf(
  { name, shape: [experts = 0, rows] }: Tensor,
  parts: readonly Tensor[],
  decoded: (sources: readonly Tensor[], name: string) => Tensor,
): Tensor {
  if (experts === 0 || experts > MAX_STACK) throw leave(`as a stack of ${experts}`);
  const slices = Array.from({ length: experts }, (_, i) =>
    decoded(
      parts.map((part) => sliceOf(part, i)),
      `${name}[${i}]`,
    ),
  );
  return stackedWeight(name, [experts, rows ?? 0, slices[0]?.shape[1] ?? 0], slices);
}

/** @throws CheckpointError when nothing, or more than one grouping without a word of the configuration, fits */
function groupingOf(
  words: number,
  groups: number,
  stated: { readonly bits?: number; readonly groupSize?: number },
): Grouping {
  const possible = GROUP_SIZES.map((groupSize) => ({
    groupSize,
    bits: (words * WORD_BITS) / groups / groupSize,
  })).filter(({ bits }) => BITS.has(bits));
  const fitting = possible.filter(
    ({ bits, groupSize }) =>
      (stated.bits === undefined || stated.bits === bits) &&
      (stated.groupSize === undefined || stated.groupSize === groupSize),
  );
  const [only, ...others] = fitting;
  if (only !== undefined && others.length === 0) return only;
  if (possible.length === 0) throw leave(`of ${words} words for ${groups} groups`);
  const which = possible.map(({ bits, groupSize }) => `${bits} bits in groups of ${groupSize}`).join(' or ');
  throw leave(
    fitting.length === 0
      ? `of ${which}, not what the configuration says`
      : `of ${which}: only a config.json beside the file tells`,
  );
}
