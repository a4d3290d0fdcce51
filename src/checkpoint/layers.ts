import { elementCount, type Adapter, type Checkpoint, type Tensor } from './checkpoint';
import { adaptersByFactor, ofAdapter, readAdapterFactor, readAdapterStack } from './layers/adapters';
import { ConvolutionReader, isConvolution, type DeclaredGroups } from './layers/convolution';
import { readDense, readHeadsProjection } from './layers/dense';
import { readExperts } from './layers/experts';
import type { Layer, SkippedTensor } from './layers/layer';
import { wholeMatrix, type LayerReading } from './layers/matrix';
import { nameParts } from './layers/names';
import { readDirections } from './layers/recurrent';
import { identityKey } from './layers/sharing';
import { skipReason, type TensorLookup } from './layers/skipping';

export type { DeclaredGroups } from './layers/convolution';
export type { Layer, LayerKind, LayerPartView, SkippedTensor } from './layers/layer';
export { adaptersByFactor, ownsItsNumbers } from './layers/adapters';
export { identityKey, modelParameters, overlappingTensors } from './layers/sharing';

export interface LayerOptions {
  /** Groups of convolutions that the file does not tell; the first matching pattern counts. */
  readonly groups?: readonly DeclaredGroups[];
}

export interface LayerList {
  /** In file order. */
  readonly layers: readonly Layer[];
  /** In file order, what the file's reader could not give as tensors last. */
  readonly skipped: readonly SkippedTensor[];
}

/**
 * Accounts for every tensor of a checkpoint: as a layer (several, for a stack of experts), or as skipped with a reason.
 * Reads no values: names, shapes and what the file says of its modules decide.
 *
 * @throws CheckpointError when declared groups do not divide a convolution's channels
 */
export function listLayers(checkpoint: Checkpoint, options: LayerOptions = {}): LayerList {
  const byName = new Map<string, Tensor>();
  for (const tensor of checkpoint.tensors) if (tensor.role === 'model') byName.set(tensor.name, tensor);
  const find: TensorLookup = (name) => byName.get(name);
  const convolutions = new ConvolutionReader(options.groups ?? [], checkpoint.path);
  const isGpt2 = storesGpt2Conv1d(checkpoint);
  const firstOfStorage = new Map<string, string>();
  const layers: Layer[] = [];
  const skipped: SkippedTensor[] = [];
  const byFactor = adaptersByFactor(checkpoint);
  for (const tensor of checkpoint.tensors) {
    if (tensor.role === 'factor') {
      const owner = byFactor.get(tensor.name);
      layers.push(toLayer(tensor, owner ? readAdapterFactor(tensor, owner) : readFactor(tensor)));
      continue;
    }
    const adapter = checkpoint.adapters?.get(tensor.name);
    const reason = adapter === undefined ? skipReason(tensor, find) : undefined;
    if (reason !== undefined) {
      skipped.push({ name: tensor.name, shape: tensor.shape, dtype: tensor.dtype, reason });
      continue;
    }
    const key = identityKey(tensor);
    const tiedTo = firstOfStorage.get(key);
    if (tiedTo === undefined) firstOfStorage.set(key, tensor.name);
    const readings =
      adapter === undefined
        ? readTensor(tensor, find, convolutions, isGpt2)
        : readAdapter(tensor, adapter, find, convolutions);
    readings.forEach((reading, i) => {
      const stack = readings.length > 1 ? { tensor, index: i } : undefined;
      const layer = toLayer(tensor, ofPart(reading, tensor, i, readings.length), tiedTo, stack);
      layers.push(adapter === undefined ? layer : ofAdapter(layer, adapter, readings.length));
    });
  }
  for (const { name, shape, dtype, reason } of checkpoint.unreadable) {
    skipped.push({ name, shape, dtype, reason: `unreadable: ${reason}` });
  }
  return { layers, skipped };
}

function readTensor(
  tensor: Tensor,
  find: TensorLookup,
  convolutions: ConvolutionReader,
  isGpt2: boolean,
): readonly LayerReading[] {
  const several = readDirections(tensor) ?? readExperts(tensor, find);
  if (several !== undefined) return several;
  const heads = readHeadsProjection(tensor);
  if (heads !== undefined) return [heads];
  return [isConvolution(tensor) ? convolutions.read(tensor) : readDense(tensor, find, isGpt2)];
}

/** The change of a weight is a layer of the kind that the weight is, and always kept out × in. */
function readAdapter(
  tensor: Tensor,
  adapter: Adapter,
  find: TensorLookup,
  convolutions: ConvolutionReader,
): readonly LayerReading[] {
  if (adapter.groups !== undefined) return readAdapterStack(tensor);
  return readTensor({ ...tensor, name: adapter.weight }, find, convolutions, false);
}

/** U or V of a weight kept as factors: m × k or n × k, one for each group where there are several. */
function readFactor(tensor: Tensor): LayerReading & Pick<Layer, 'factorOf'> {
  const [rows = 0, rank = 0] = tensor.shape.slice(-2);
  const groups = tensor.shape.length > 2 ? (tensor.shape[0] ?? 0) : 1;
  return {
    kind: 'other',
    shape: [rows, rank],
    matrices: Array.from({ length: groups }, (_, g) => wholeMatrix(rows, rank, g * rows * rank)),
    ...(groups > 1 && { groups }),
    factorOf: tensor.name.replace(/\.[UV]$/, ''),
  };
}

/** A layer of a stack whose parts are kept apart is read from its part alone; one of all parts, from the whole stack. */
function ofPart(
  reading: LayerReading,
  tensor: Tensor,
  index: number,
  count: number,
): LayerReading & { tensor: Tensor } {
  const { storage } = tensor;
  const isOfParts = storage.encoding === 'stack' && storage.parts.length === count;
  const part = isOfParts ? storage.parts[index] : undefined;
  const [view] = reading.matrices;
  if (part === undefined || view === undefined) return { ...reading, tensor };
  return { ...reading, matrices: [{ ...view, offset: 0 }], tensor: part };
}

function toLayer(
  tensor: Tensor,
  reading: LayerReading & { readonly tensor?: Tensor },
  tiedTo?: string,
  stack?: Layer['stack'],
): Layer {
  const index = stack === undefined ? '' : `[${stack.index}]`;
  const { matrices } = reading;
  const parameters = matrices.reduce((sum, { rows, columns }) => sum + rows * columns, 0);
  return {
    ...reading,
    name: tensor.name + index,
    tensor: reading.tensor ?? tensor,
    parameters,
    ...(tiedTo !== undefined && { tiedTo: tiedTo + index }),
    ...(stack !== undefined && { stack }),
  };
}

/**
 * Whether the file stores GPT-2's `Conv1D` layers in × out, as transformers does: c_attn is then D × 3D.
 * nanoGPT uses the same names with linear layers, out × in.
 */
function storesGpt2Conv1d(checkpoint: Checkpoint): boolean {
  return checkpoint.tensors.some(({ name, shape, role }) => {
    const { parent, leaf } = nameParts(name);
    const [rows = 0, columns = 0] = shape;
    return (
      role === 'model' &&
      parent === 'c_attn' &&
      leaf === 'weight' &&
      columns === 3 * rows &&
      elementCount(shape) > 0
    );
  });
}
