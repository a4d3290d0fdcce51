/** Networks that are known without an architecture: a checkpoint's linear layers, one after the other. */
import { createHash } from 'node:crypto';
import { isFloating } from '../../checkpoint/dtype';
import type { Checkpoint, Tensor } from '../../checkpoint/checkpoint';
import { CheckpointError } from '../../checkpoint/errors';
import { listLayers, type Layer as CheckpointLayer } from '../../checkpoint/layers';
import { openCheckpoint } from '../../checkpoint/open';
import { readTensorBytes } from '../../checkpoint/tensorData';
import type { ComputeBackend } from '../../compute/backend';
import { toFloat32 } from '../data/elements';
import type { RunnableNetwork } from '../network';
import type { MlpActivation, ResolvedRecipe } from '../recipe';
import { loadTensorFlow, openModel, type Layer, type LayersModel, type TensorFlow } from '../tfjs';

export interface OpenMlp {
  readonly checkpoint: string;
  /** Between the layers; none follows the last. Default: relu. */
  readonly activation?: MlpActivation;
  readonly data: NonNullable<ResolvedRecipe['data']>;
  readonly backend: ComputeBackend;
  readonly signal: AbortSignal;
}

/** One linear layer, read. */
interface LinearLayer {
  readonly name: string;
  readonly outputs: number;
  readonly inputs: number;
  /** inputs × outputs, as TensorFlow keeps kernels. */
  readonly kernel: Float32Array;
  readonly bias?: Float32Array;
}

/**
 * A multilayer perceptron: the linear layers of a checkpoint in file order, with an activation between them.
 *
 * @throws CheckpointError when there are other layers, or the sizes do not chain
 */
export async function openMlpNetwork(options: OpenMlp): Promise<RunnableNetwork> {
  const { activation = 'relu', signal } = options;
  const checkpoint = await openCheckpoint(options.checkpoint, signal);
  const layers: LinearLayer[] = [];
  for (const layer of linearLayers(checkpoint)) layers.push(await readLayer(checkpoint, layer));
  const tf = await loadTensorFlow();
  signal.throwIfAborted();
  const { model, names } = buildModel(tf, layers, activation);
  return openModel({
    ...options,
    tf,
    model,
    file: options.checkpoint,
    identity: identityOf(layers, activation),
    host: 'mlp',
    nameOf: (layer) => names.get(layer) ?? layer.name,
    notes: [],
  });
}

/** The layers in file order, which must be linear and fit together. */
function linearLayers(checkpoint: Checkpoint): readonly CheckpointLayer[] {
  const { layers } = listLayers(checkpoint);
  const fail = (reason: string, tensor?: string): CheckpointError =>
    new CheckpointError('unsupported', reason, { file: checkpoint.path, ...(tensor && { tensor }) });
  if (layers.length === 0) throw fail('there is no linear layer in it');
  let previous: CheckpointLayer | undefined;
  for (const layer of layers) {
    const { tensor } = layer;
    if (layer.kind !== 'linear' || tensor.shape.length !== 2 || !isFloating(tensor.dtype)) {
      throw fail(
        'not a linear layer: only networks of linear layers run by themselves; export the model to ONNX, or measure it through Python',
        layer.name,
      );
    }
    const [, inputs = 0] = tensor.shape;
    const outputs = previous?.tensor.shape[0] ?? inputs;
    if (inputs !== outputs) {
      const reason = `takes ${inputs} numbers, but "${previous?.name ?? ''}" before it gives ${outputs}: the layers are no chain in file order`;
      throw fail(reason, layer.name);
    }
    previous = layer;
  }
  return layers;
}

async function readLayer(checkpoint: Checkpoint, { name, tensor }: CheckpointLayer): Promise<LinearLayer> {
  const [outputs = 0, inputs = 0] = tensor.shape;
  const weight = await readFloats(tensor);
  const kernel = new Float32Array(weight.length);
  for (let o = 0; o < outputs; o++)
    for (let i = 0; i < inputs; i++) kernel[i * outputs + o] = weight[o * inputs + i] ?? 0;
  const biasName = tensor.name.replace(/weight$/, 'bias');
  const bias = checkpoint.tensors.find(
    (one) => one.name === biasName && one !== tensor && one.shape.length === 1 && one.shape[0] === outputs,
  );
  return { name, outputs, inputs, kernel, ...(bias !== undefined && { bias: await readFloats(bias) }) };
}

async function readFloats(tensor: Tensor): Promise<Float32Array> {
  const values = toFloat32(await readTensorBytes(tensor), tensor.dtype);
  if (values !== undefined) return values;
  throw new CheckpointError('unsupported', `weights of type ${tensor.dtype} do not run here`, {
    file: tensor.storage.path,
    tensor: tensor.name,
  });
}

function buildModel(
  tf: TensorFlow,
  layers: readonly LinearLayer[],
  activation: MlpActivation,
): { readonly model: LayersModel; readonly names: ReadonlyMap<Layer, string> } {
  const model = tf.sequential();
  const names = new Map<Layer, string>();
  layers.forEach(({ name, inputs, outputs, kernel, bias }, index) => {
    const isLast = index === layers.length - 1;
    const dense = tf.layers.dense({
      units: outputs,
      useBias: bias !== undefined,
      kernelInitializer: 'zeros',
      ...(index === 0 && { inputShape: [inputs] }),
      ...(!isLast && { activation }),
    });
    model.add(dense);
    tf.tidy(() => {
      const weights = [tf.tensor(kernel, [inputs, outputs])];
      if (bias !== undefined) weights.push(tf.tensor(bias, [outputs]));
      dense.setWeights(weights);
    });
    names.set(dense, name);
  });
  return { model, names };
}

function identityOf(layers: readonly LinearLayer[], activation: MlpActivation): string {
  const hash = createHash('sha256').update(activation);
  for (const { name, inputs, outputs, kernel, bias } of layers) {
    hash.update(JSON.stringify([name, outputs, inputs, bias !== undefined]));
    for (const { buffer } of bias === undefined ? [kernel] : [kernel, bias])
      hash.update(new Uint8Array(buffer));
  }
  return hash.digest('hex');
}
