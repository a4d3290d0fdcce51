/** The network of a recipe, whoever runs it. */
import { CheckpointError } from '../checkpoint/errors';
import type { ComputeBackend } from '../compute/backend';
import { openBuiltinNetwork } from './builtin/measure';
import { openMlpNetwork } from './builtin/mlp';
import type { NetworkData, NetworkInput } from './data/dataset';
import { disposeNetworkData, openNetworkData } from './data/openDataset';
import type { RunnableNetwork } from './network';
import { openOnnxNetwork, readOnnxInput } from './onnx';
import { openPythonNetwork } from './python';
import type { NetworkRecipe, ResolvedRecipe } from './recipe';
import { openTfjsNetwork } from './tfjs';

export interface OpenNetworkOptions {
  readonly backend: ComputeBackend;
  readonly signal: AbortSignal;
  /** The workspace is trusted: without it, recipes that run code are refused. */
  readonly trusted: boolean;
  /** Interpreter for Python recipes that name none. */
  readonly python?: string | undefined;
  /** What a user's Python code prints, a line at a time. */
  readonly onLog?: (line: string) => void;
}

/**
 * Opens the network of a recipe with its data. The caller disposes of it.
 *
 * @throws CheckpointError or Error with one line that says what to do
 * @throws the signal's reason when it is aborted
 */
export async function openNetwork(
  recipe: ResolvedRecipe,
  options: OpenNetworkOptions,
): Promise<RunnableNetwork> {
  const { network } = recipe;
  const { backend, signal } = options;
  signal.throwIfAborted();
  switch (network.kind) {
    case 'onnx':
      return openOnnx(network, dataOf(recipe), options);
    case 'tfjs':
      return openTfjsNetwork({ model: network.model, data: dataOf(recipe), backend, signal });
    case 'mlp': {
      const { checkpoint, activation } = network;
      const between = activation === undefined ? {} : { activation };
      return openMlpNetwork({ checkpoint, ...between, data: dataOf(recipe), backend, signal });
    }
    case 'python':
      return openPython(network, recipe.path, options);
    default:
      return openBuiltinNetwork({ network, data: dataOf(recipe), backend, signal });
  }
}

type Data = NonNullable<ResolvedRecipe['data']>;

/** Recipes are read with their data; only those put together elsewhere can lack it. */
function dataOf({ data, path }: ResolvedRecipe): Data {
  if (data !== undefined) return data;
  throw new CheckpointError('malformed', 'data is missing: what the network is run on', { file: path });
}

async function openOnnx(
  { model, checkpoint }: Extract<NetworkRecipe, { kind: 'onnx' }>,
  recipe: Data,
  { backend, signal }: OpenNetworkOptions,
): Promise<RunnableNetwork> {
  const data = await openNetworkData(recipe, await onnxInput(model), signal);
  try {
    const names = checkpoint === undefined ? {} : { checkpoint };
    return withData(await openOnnxNetwork({ model, ...names, data, backend, signal }), data);
  } catch (error) {
    await disposeNetworkData(data);
    throw error;
  }
}

/** The network, which closes its data in the end. */
function withData(network: RunnableNetwork, data: NetworkData): RunnableNetwork {
  return {
    facts: network.facts,
    layers: network.layers,
    weight: (layer, signal) => network.weight(layer, signal),
    inputGrams: (layers, onGram, signal, onFraction) =>
      network.inputGrams(layers, onGram, signal, onFraction),
    evaluate: (change, signal) => network.evaluate(change, signal),
    commit: (change) => network.commit(change),
    reset: () => network.reset(),
    dispose: async () => {
      await network.dispose();
      await disposeNetworkData(data);
    },
  };
}

/** Undefined when the model does not declare its axes: samples stay as the file lays them out. */
async function onnxInput(model: string): Promise<NetworkInput | undefined> {
  const { sample, layout } = await readOnnxInput(model);
  if (sample === undefined) return undefined;
  return { shape: sample.map((size) => (typeof size === 'number' ? size : undefined)), layout };
}

async function openPython(
  network: Extract<NetworkRecipe, { kind: 'python' }>,
  recipe: string,
  { trusted, python, signal, onLog }: OpenNetworkOptions,
): Promise<RunnableNetwork> {
  if (!trusted) {
    const reason = `network.kind "python" runs ${network.file}: trust the workspace to allow it`;
    throw new CheckpointError('unsupported', reason, { file: recipe });
  }
  return openPythonNetwork({
    file: network.file,
    function: network.function,
    arguments: network.arguments,
    python: network.python ?? python,
    signal,
    onLog,
  });
}
