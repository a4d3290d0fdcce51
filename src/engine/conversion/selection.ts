/** Which layers a conversion takes, decided from names and shapes alone. */
import { MAX_PRODUCT_ELEMENTS } from '../../checkpoint/activatedProduct';
import { elementCount, type Checkpoint, type Tensor } from '../../checkpoint/checkpoint';
import { overlappingTensors, type Layer, type LayerKind } from '../../checkpoint/layers';
import { rowMajorStrides } from '../../checkpoint/layout';
import type { Factorization } from '../../lowrank';

/** A layer of the checkpoint, and why it is left as it is; without a reason it is converted. */
export interface Selected {
  readonly layer: Layer;
  /** `class: explanation`, one line. */
  readonly reason?: string;
}

/** Kinds of layer that are converted when nobody says which. */
const BY_DEFAULT: ReadonlySet<LayerKind> = new Set<LayerKind>(['linear', 'attention', 'conv']);

/**
 * Every layer of a checkpoint with the reason why it stays dense, if there is one.
 *
 * @param isWanted asked for each layer that could be converted; absent: linear, attention and convolution layers.
 * Embeddings are looked up rather than multiplied, so they are converted only when they are asked for.
 */
export function selectLayers(
  checkpoint: Checkpoint,
  layers: readonly Layer[],
  method: Factorization,
  isWanted?: (layer: Layer) => boolean,
): Selected[] {
  const overlapping = overlappingTensors(checkpoint);
  // A weight's own factors are written anew, or stay.
  const names = new Set(checkpoint.tensors.flatMap(({ name, role }) => (role === 'factor' ? [] : [name])));
  const selected = layers.map((layer): Selected => {
    const reason =
      unsuitable(layer) ??
      notSaving(layer, method) ??
      unwritable(layer, names, overlapping) ??
      unwanted(layer, isWanted);
    return reason === undefined ? { layer } : { layer, reason };
  });
  return wholeStacks(selected);
}

/** What a layer is, or how its file keeps it, leaves nothing to factor. */
function unsuitable({
  factorOf,
  tiedTo,
  trivialRank,
  isAdapter,
  tensor,
  matrices,
}: Layer): string | undefined {
  if (isAdapter === true)
    return 'adapter: the low-rank change of a weight of a base model; merge it into that model and convert the result';
  if (factorOf !== undefined) return 'factor: part of a weight that is kept as factors, or of an adapter';
  if (tiedTo !== undefined) return `tied: the same weight as ${tiedTo}`;
  if (trivialRank === true) return 'depthwise: one channel a group, so there is no rank to lower';
  if (!followOneAnother(matrices)) return 'interleaved: its groups do not follow one another in the file';
  const steps = tensor.layout?.strides ?? rowMajorStrides(tensor.shape);
  const isExpanded = tensor.shape.some((size, axis) => size > 1 && steps[axis] === 0);
  return isExpanded ? 'expanded: the same numbers stand for several rows' : undefined;
}

function followOneAnother(matrices: Layer['matrices']): boolean {
  const [first] = matrices;
  return matrices.every(
    ({ offset, rows, columns, rowStride }, g) =>
      rowStride === columns && offset === (first?.offset ?? 0) + g * rows * columns,
  );
}

function notSaving({ shape: [m, n] }: Layer, method: Factorization): string | undefined {
  return method.largestSavingRank(m, n) === 0
    ? 'small: even factors of rank 1 would be as many numbers'
    : undefined;
}

function unwritable(
  { name, tensor, stack }: Layer,
  names: ReadonlySet<string>,
  overlapping: ReadonlyMap<string, string>,
): string | undefined {
  const whole = stack?.tensor ?? tensor;
  const elements = elementCount(whole.shape);
  if (elements > MAX_PRODUCT_ELEMENTS)
    return `too large: ${elements} elements, more than ${MAX_PRODUCT_ELEMENTS}`;
  const other = overlapping.get(whole.name);
  if (other !== undefined) return `shared: some of its bytes are those of ${other}`;
  const taken = [`${name}.U`, `${name}.V`].find((factor) => names.has(factor));
  return taken === undefined ? undefined : `named: the file has a tensor ${taken} of its own`;
}

function unwanted(layer: Layer, isWanted: ((layer: Layer) => boolean) | undefined): string | undefined {
  if (isWanted !== undefined) return isWanted(layer) ? undefined : 'not selected: its name does not match';
  if (BY_DEFAULT.has(layer.kind)) return undefined;
  return layer.kind === 'embedding'
    ? 'embedding: looked up, not multiplied; converted when its name is asked for'
    : 'other: no linear or convolution layer; converted when its name is asked for';
}

/** A stack of experts is one tensor of the file: all of them are converted, or none. */
export function wholeStacks(selected: readonly Selected[]): Selected[] {
  const stopped = new Map<Tensor, string>();
  for (const { layer, reason } of selected) {
    if (reason !== undefined && layer.stack !== undefined) stopped.set(layer.stack.tensor, layer.name);
  }
  return selected.map((entry) => {
    const { layer, reason } = entry;
    const culprit = layer.stack === undefined ? undefined : stopped.get(layer.stack.tensor);
    if (reason !== undefined || culprit === undefined) return entry;
    return { layer, reason: `stack: ${culprit} is left as it is, and all experts are one tensor` };
  });
}
