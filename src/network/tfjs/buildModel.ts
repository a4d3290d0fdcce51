import { CheckpointError } from '../../checkpoint/errors';
import type { io } from './library';
import type { LayersModel, TensorFlow } from './load';
import type { ModelFile } from './modelFile';

/** What every layer makes its weights with; hidden by the library's types. */
interface WeightMaker {
  addWeight: (
    this: WeightMaker,
    name: string,
    shape: readonly (number | null)[],
    dtype?: string,
    initializer?: unknown,
    regularizer?: unknown,
    trainable?: boolean,
  ) => unknown;
}

/** Models are built one after the other: building changes what layers share. */
let building: Promise<unknown> = Promise.resolve();

/**
 * The model of a file, with its weights.
 *
 * Layers are built before their weights are loaded, so a topology could ask for any amount of memory: while the model
 * is built, its layers get no more elements than the file has weights. They begin as zeros, without regularizers and
 * constraints, which would change the weights that are put in later.
 *
 * @throws CheckpointError naming the file
 */
export async function buildModel(tf: TensorFlow, file: ModelFile): Promise<LayersModel> {
  const before = building;
  const model = (async () => {
    await before;
    return buildWithinBudget(tf, file);
  })();
  building = model.catch(() => undefined);
  return model;
}

async function buildWithinBudget(tf: TensorFlow, file: ModelFile): Promise<LayersModel> {
  // The prototype that all layers share; its types hide the method.
  const prototype = tf.layers.Layer.prototype as unknown as WeightMaker;
  const original = prototype.addWeight;
  let left = file.elements;
  prototype.addWeight = function (name, shape, dtype, _initializer, _regularizer, trainable) {
    left -= shape.reduce<number>((product, size) => product * (size ?? NaN), 1);
    if (!(left >= 0)) throw new Error('its layers need more weights than the file has');
    return original.call(this, name, shape, dtype, tf.initializers.zeros(), undefined, trainable);
  };
  try {
    return await tf.loadLayersModel({ load: () => Promise.resolve(artifactsOf(file)) });
  } catch (error) {
    throw new CheckpointError('unsupported', reasonOf(error), { file: file.path }, { cause: error });
  } finally {
    prototype.addWeight = original;
  }
}

type Artifacts = io.ModelArtifacts;

function artifactsOf({ topology, specs, weights }: ModelFile): Artifacts {
  // The manifest was checked when it was read; the library's type only lists the element types by name.
  return {
    modelTopology: topology,
    weightSpecs: specs as NonNullable<Artifacts['weightSpecs']>,
    weightData: weights,
  };
}

/** What the library says, in one line, with what to do about the usual causes. */
function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const [first = message] = message.split('\n');
  const layer = /Unknown layer: (\w+)/.exec(first)?.[1];
  if (layer !== undefined)
    return `TensorFlow.js has no layer "${layer}": export the model to ONNX, or measure it through Python`;
  if (/batchInputShape|inputShape/.test(first))
    return `TensorFlow.js cannot build it (${first}): models of Keras 3 have to be converted with tf_keras, or exported to ONNX`;
  return `TensorFlow.js cannot build it: ${first}`;
}
