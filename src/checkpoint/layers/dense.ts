import type { Tensor } from '../checkpoint';
import { elementCount } from '../checkpoint';
import { readFusedAttention } from './attention';
import type { LayerKind } from './layer';
import { outByIn, wholeMatrix, type LayerReading, type StoredMatrix } from './matrix';
import {
  GPT2_CONV1D,
  WEIGHT_LEAVES,
  isEmbeddingName,
  isHeadStackName,
  isInByOut,
  isStatedWeight,
  isTorchNonConvolution,
  moduleType,
  partsOf,
} from './names';
import { readRecurrent } from './recurrent';
import type { TensorLookup } from './skipping';

/** Flax and Keras attention keeps heads as an axis: model × heads × size, and heads × size × model on the way out. */
const HEADS_LAST: ReadonlySet<string> = new Set(['query', 'key', 'value']);
const HEADS_FIRST: ReadonlySet<string> = new Set(['out', 'attention_output']);

/** Each head is a matrix of its own; ten times the heads of any model in use. */
const MAX_HEADS = 2048;

/** A tensor of several axes that is an attention projection, or another product, rather than a convolution. */
export function readHeadsProjection(tensor: Tensor): LayerReading | undefined {
  const { leaf, parent } = partsOf(tensor);
  if (leaf === 'weight' && isHeadStackName(parent)) return readHeadStack(tensor, parent);
  const [a = 0, b = 0, c = 0] = tensor.shape;
  const { order, inputAxes } = tensor.module ?? {};
  if (order === 'in-out' && inputAxes !== undefined) return readInputAxes(tensor.shape, inputAxes);
  if (leaf !== 'kernel' || tensor.shape.length !== 3) return undefined;
  if (!HEADS_LAST.has(parent) && !HEADS_FIRST.has(parent)) return undefined;
  const [rows, columns] = HEADS_LAST.has(parent) ? [a, b * c] : [a * b, c];
  return { kind: 'linear', shape: [columns, rows], matrices: [wholeMatrix(rows, columns)], transposed: true };
}

/** llama.cpp's kv_b: outputs × rank over all heads where it stands so, and a matrix for each head where it is transposed. */
function readHeadStack({ shape }: Tensor, parent: string): LayerReading | undefined {
  const [heads = 0, rows = 0, columns = 0] = shape;
  if (shape.length !== 3 || heads < 2 || heads > MAX_HEADS) return undefined;
  if (parent === 'attn_v_b') {
    return {
      kind: 'linear',
      shape: [heads * rows, columns],
      matrices: [wholeMatrix(heads * rows, columns)],
    };
  }
  const matrices = Array.from({ length: heads }, (_, i) => wholeMatrix(rows, columns, i * rows * columns));
  return { kind: 'linear', shape: [columns, rows], matrices, groups: heads, transposed: true };
}

/** A product over several axes, which the file counts: inputs × outputs, each flattened. */
function readInputAxes(shape: readonly number[], inputAxes: number): LayerReading {
  const rows = elementCount(shape.slice(0, inputAxes));
  const columns = elementCount(shape.slice(inputAxes));
  return { kind: 'linear', shape: [columns, rows], matrices: [wholeMatrix(rows, columns)], transposed: true };
}

/**
 * Reads everything that is neither convolution nor expert stack: linear layers, embeddings, fused projections,
 * and parameters of other shapes flattened to first axis × rest.
 *
 * @param isGpt2 the file stores GPT-2's `Conv1D` layers in × out
 */
export function readDense(tensor: Tensor, find: TensorLookup, isGpt2: boolean): LayerReading {
  const { leaf, parent } = partsOf(tensor);
  const isWeight = WEIGHT_LEAVES.has(leaf) || isStatedWeight(tensor);
  // A bare parameter's leading axes of size 1 are there for broadcasting: pos_embed is 1 × N × D.
  const shape = isWeight ? tensor.shape : withoutLeadingOnes(tensor.shape);
  const isEmbedding = isEmbeddingTensor(tensor);
  if (shape.length !== 2) return readFlattened(shape, isEmbedding);
  const [rows = 0, columns = 0] = shape;
  const transposed =
    !isEmbedding &&
    (isInByOut(tensor) ||
      moduleType(tensor) === 'Conv1D' || // transformers' class, not torch.nn.Conv1d
      (isGpt2 && GPT2_CONV1D.has(parent)));
  const stored: StoredMatrix = { rows, columns, transposed };
  const fused = readRecurrent(tensor, find) ?? readFusedAttention(tensor, stored, find);
  if (fused !== undefined) return fused;
  const kind = isEmbedding ? 'embedding' : linearOrOther(tensor);
  return {
    kind,
    shape: outByIn(stored),
    matrices: [wholeMatrix(rows, columns)],
    ...(transposed && { transposed }),
  };
}

function linearOrOther(tensor: Tensor): LayerKind {
  const { leaf } = partsOf(tensor);
  const isLinear =
    WEIGHT_LEAVES.has(leaf) || leaf.endsWith('_weight') || moduleType(tensor).endsWith('Linear');
  return isLinear ? 'linear' : 'other';
}

function isEmbeddingTensor(tensor: Tensor): boolean {
  const type = moduleType(tensor);
  if (/^Embedding(?:Bag)?$/.test(type)) return true;
  if (/Linear$|^Conv/.test(type) || isTorchNonConvolution(tensor)) return false;
  const { leaf, parent } = partsOf(tensor);
  return isEmbeddingName(WEIGHT_LEAVES.has(leaf) ? parent : leaf);
}

/**
 * First axis × rest. Position embeddings keep their grid as axes and the model's width, the longest axis,
 * first (Swin, C × H × W) or last (SAM, H × W × C): rows are positions or channels, never one edge of the grid.
 */
function readFlattened(shape: readonly number[], isEmbedding: boolean): LayerReading {
  const elements = elementCount(shape);
  const [first = 1] = shape;
  const last = shape.at(-1) ?? 1;
  const rows = isEmbedding && last >= first ? elements / last : first;
  const columns = elements / rows;
  return {
    kind: isEmbedding ? 'embedding' : 'other',
    shape: [rows, columns],
    matrices: [wholeMatrix(rows, columns)],
  };
}

function withoutLeadingOnes(shape: readonly number[]): readonly number[] {
  const first = shape.findIndex((size) => size !== 1);
  return first === -1 ? [] : shape.slice(first);
}
