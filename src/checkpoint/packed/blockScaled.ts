import { elementCount, type Tensor } from '../checkpoint';
import type { BlockScaled } from '../decoders/blockScaled';
import type { DType } from '../dtype';
import {
  MAX_STACK,
  SCALE_TYPES,
  type PackedWeight,
  type Surroundings,
  companion,
  decodedWeight,
  leave,
  requireSizes,
  requireType,
  sliceOf,
  stackedWeight,
} from './scheme';

type Stored = BlockScaled['stored'];

const ZERO_TYPES: ReadonlySet<DType> = new Set<DType>(['float8_e4m3fn', 'float8_e5m2', 'int8']);
/** Sizes of square blocks that are tried where no configuration says one; DeepSeek-V3's is 128. */
const BLOCK_SIZES = [128, 64, 256, 32, 512] as const;

/**
 * 8-bit floats and integers with scales: `weight_scale_inv`, one for each block of 128 × 128 (DeepSeek-V3, FP8), or
 * `weight_scale`, one for the tensor, for each row, or for each block or group (compressed-tensors, vLLM). Both are
 * multiplied with, whatever the name says.
 */
export function blockScaledWeight(tensor: Tensor, around: Surroundings): PackedWeight | undefined {
  const { name } = tensor;
  const stored = storedType(tensor.dtype);
  const scaleName = [`${name}_scale_inv`, `${name}_scale`].find((one) => around.find(one) !== undefined);
  if (stored === undefined || scaleName === undefined || name.endsWith('_scale')) return undefined;
  const scales = companion(scaleName, SCALE_TYPES, around);
  const zeros = around.find(`${name}_zero_point`);
  if (zeros !== undefined) {
    requireType(zeros, ZERO_TYPES);
    requireSizes(zeros, scales.shape);
  }
  if (elementCount(tensor.shape) === 0 || elementCount(scales.shape) === 0)
    throw leave(`with scales of shape [${scales.shape.join(', ')}] for [${tensor.shape.join(', ')}]`);
  const sources = [tensor, scales, ...(zeros === undefined ? [] : [zeros])];
  const isStack = tensor.shape.length === 3 && scales.shape.length === 3;
  const matrices = isStack ? slicesOf(sources) : [sources];
  const blocks = blocksOf(matrices[0] ?? [], around.config.blockSize);
  const decoder: BlockScaled = {
    kind: 'block-scaled',
    stored,
    ...blocks,
    scales: scales.dtype,
    divisor: 1,
    ...(zeros !== undefined && { zeros: storedType(zeros.dtype) ?? stored }),
  };
  const weights = matrices.map((parts) =>
    decodedWeight(parts[0]?.name ?? name, parts[0]?.shape ?? [], decoder, parts),
  );
  const [only] = weights;
  if (only === undefined) throw leave('without values');
  return {
    weight: isStack ? stackedWeight(name, tensor.shape, weights) : only,
    parts: [...sources, ...inputScales(name, around)],
    form: `8-bit ${stored === 'int8' ? 'integers' : stored} (${blockWords(blocks)})`,
  };
}

function storedType(dtype: DType): Stored | undefined {
  return dtype === 'float8_e4m3fn' || dtype === 'float8_e5m2' || dtype === 'int8' ? dtype : undefined;
}

/** One list of sources for each matrix of a stack. */
function slicesOf(sources: readonly Tensor[]): Tensor[][] {
  const [experts = 0] = sources[0]?.shape ?? [];
  if (experts > MAX_STACK || sources.some(({ shape }) => shape[0] !== experts))
    throw leave(`as a stack of ${experts} with scales of other sizes`);
  return Array.from({ length: experts }, (_, i) => sources.map((source) => sliceOf(source, i)));
}

interface Blocks {
  readonly rows: number;
  readonly columns: number;
  readonly blockRows: number;
  readonly blockColumns: number;
}

/** @throws CheckpointError when the scales fit no arrangement of blocks, or several */
function blocksOf(
  [tensor, scales]: readonly Tensor[],
  stated: readonly [number, number] | undefined,
): Blocks {
  const shape = tensor?.shape ?? [];
  const given = scales?.shape ?? [];
  const [rows = 1] = shape;
  const columns = elementCount(shape) / rows;
  const sizes = { rows, columns };
  if (elementCount(given) === 1) return { ...sizes, blockRows: rows, blockColumns: columns };
  const [down = 0, across = 1, ...rest] = given;
  const fits = (blockRows: number, blockColumns: number): boolean =>
    Math.ceil(rows / blockRows) === down && Math.ceil(columns / blockColumns) === across;
  const isPlain = rest.every((size) => size === 1);
  if (isPlain && down === rows && columns % across === 0)
    return { ...sizes, blockRows: 1, blockColumns: columns / across };
  if (given.length === 2 && shape.length === 2) {
    if (stated !== undefined && fits(...stated))
      return { ...sizes, blockRows: stated[0], blockColumns: stated[1] };
    const size = BLOCK_SIZES.find((one) => fits(one, one));
    if (stated === undefined && size !== undefined) return { ...sizes, blockRows: size, blockColumns: size };
  }
  throw leave(`with scales of shape [${given.join(', ')}] for [${shape.join(', ')}]`);
}

function blockWords({ rows, columns, blockRows, blockColumns }: Blocks): string {
  if (blockRows >= rows && blockColumns >= columns) return 'one scale';
  if (blockRows > 1) return `a scale for ${blockRows} × ${blockColumns}`;
  return blockColumns >= columns ? 'a scale a row' : `groups of ${blockColumns}`;
}

/** Scales of the module's inputs: numbers for a quantised product, no parameters of the model. */
function inputScales(name: string, { find }: Surroundings): Tensor[] {
  const prefix = name.slice(0, name.lastIndexOf('.') + 1);
  return ['input_scale', 'input_zero_point', 'activation_scale'].flatMap((leaf) => find(prefix + leaf) ?? []);
}
