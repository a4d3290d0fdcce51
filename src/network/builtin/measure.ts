/** A built-in network with trained weights, as one that can be measured. */
import { createHash } from 'node:crypto';
import { CheckpointError } from '../../checkpoint/errors';
import { openCheckpoint } from '../../checkpoint/open';
import type { ComputeBackend, OnFraction } from '../../compute/backend';
import type { NetworkData } from '../data/dataset';
import { disposeNetworkData, openNetworkData } from '../data/openDataset';
import type {
  Evaluation,
  LayerGram,
  NetworkFacts,
  NetworkLayer,
  RunnableNetwork,
  WeightChange,
} from '../network';
import type { ResolvedRecipe } from '../recipe';
import { countRight } from '../tfjs/accuracy';
import { GramSums, requireFiniteInputs } from '../tfjs/gramSums';
import { loadTensorFlow, type Tensor, type TensorFlow } from '../tfjs/load';
import { patchRows } from '../tfjs/patches';
import type { Architecture, BuiltinLayer } from './architecture';
import { buildArchitecture } from './build';
import { chooseFormOf } from './forms';
import { weightOf } from './layerWeight';
import { formsInCheckpoint, loadValues } from './load';
import { parametersOf } from './parameterCount';
import type { BuiltinNetworkRecipe } from './recipe';

export interface OpenBuiltin {
  readonly network: BuiltinNetworkRecipe;
  readonly data: NonNullable<ResolvedRecipe['data']>;
  readonly backend: ComputeBackend;
  readonly signal: AbortSignal;
}

/**
 * A built-in network that classifies, with the weights of its checkpoint. Layers kept as factors are measured as the
 * matrices that they are.
 *
 * @throws CheckpointError or Error with one line that says what to do
 */
export async function openBuiltinNetwork(options: OpenBuiltin): Promise<RunnableNetwork> {
  const { network, signal, backend } = options;
  const { checkpoint: file = '' } = network;
  const checkpoint = await openCheckpoint(file, signal);
  const choose = network.forms === undefined ? formsInCheckpoint(checkpoint) : chooseFormOf(network.forms);
  const architecture = built(network, choose, file);
  if (architecture.output.length !== 1)
    throw new CheckpointError(
      'unsupported',
      `a network of kind ${network.kind} has no classes to be right about`,
      {
        file,
      },
    );
  const { values, notes } = await loadValues(architecture, checkpoint, { seed: 0, signal });
  const library = await loadTensorFlow();
  const data = await openNetworkData(options.data, { shape: architecture.input, layout: 'hwc' }, signal);
  const facts = factsOf(architecture, values, data, library, notes);
  return new BuiltinNetwork({ library, architecture, values, data, facts, backend });
}

function built(
  network: BuiltinNetworkRecipe,
  choose: Parameters<typeof buildArchitecture>[1],
  file: string,
): Architecture {
  try {
    return buildArchitecture(network, choose);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CheckpointError('unsupported', `network: ${reason}`, { file }, { cause: error });
  }
}

function factsOf(
  architecture: Architecture,
  values: ReadonlyMap<string, Float32Array>,
  data: NetworkData,
  library: TensorFlow,
  notes: readonly string[],
): NetworkFacts {
  const hash = createHash('sha256').update(architecture.title);
  for (const [name, value] of values)
    hash.update(name).update(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
  hash.update(data.gram.identity).update(data.validation.identity).update(library.version);
  return {
    host: 'builtin',
    runtime: `TensorFlow.js ${library.version} (WebAssembly)`,
    metric: data.validation.labels === undefined ? undefined : 'accuracy',
    gramSamples: data.gram.samples,
    validationSamples: data.validation.samples,
    parameters: parametersOf(architecture).total,
    identity: hash.digest('hex'),
    notes: [...notes, ...new Set([...data.validation.notes, ...data.gram.notes])],
  };
}

interface BuiltinParts {
  readonly library: TensorFlow;
  readonly architecture: Architecture;
  readonly values: ReadonlyMap<string, Float32Array>;
  readonly data: NetworkData;
  readonly facts: NetworkFacts;
  readonly backend: ComputeBackend;
}

class BuiltinNetwork implements RunnableNetwork {
  readonly facts: NetworkFacts;
  readonly layers: readonly NetworkLayer[];
  /** Index into the architecture's layers, by index into `layers`. */
  private readonly places: readonly number[];
  private readonly tensors = new Map<string, Tensor>();
  /** Weights given in place of the network's own, as PyTorch shapes them, by place. */
  private readonly committed = new Map<number, Tensor>();

  constructor(private readonly parts: BuiltinParts) {
    const { architecture, library, values, facts } = parts;
    this.facts = facts;
    // A depthwise convolution has nothing to project, and grouped ones are not built.
    this.places = architecture.layers.flatMap(({ groups }, place) => (groups === 1 ? [place] : []));
    this.layers = this.places.map((place) => this.factsOf(this.layerAt(place)));
    for (const { name, shape } of architecture.parameters)
      this.tensors.set(name, library.core.tensor(values.get(name) ?? [], [...shape], 'float32'));
  }

  weight(layer: number, signal: AbortSignal): Promise<Float64Array> {
    return new Promise((resolve) => {
      signal.throwIfAborted();
      resolve(Float64Array.from(weightOf(this.layerAt(this.placeOf(layer)), this.parts.values)));
    });
  }

  async inputGrams(
    layers: readonly number[],
    onGram: (gram: LayerGram) => Promise<void>,
    signal: AbortSignal,
    onFraction?: OnFraction,
  ): Promise<void> {
    const { data, backend } = this.parts;
    const sums = new GramSums(backend, signal);
    const wanted = new Map(layers.map((layer) => [this.placeOf(layer), layer]));
    try {
      for (let first = 0; first < data.gram.samples; first += data.batchSize) {
        const last = Math.min(data.gram.samples, first + data.batchSize);
        await this.addBatch(sums, await data.gram.read(first, last), last - first, wanted, signal);
        onFraction?.(last / data.gram.samples);
      }
      for (const layer of layers) {
        const { shape, name } = this.layerAt(this.placeOf(layer));
        const sum = await sums.take(layer, shape[1]);
        if (sum === undefined) continue;
        requireFiniteInputs(sum.gram, shape[1], name);
        await onGram({ layer, ...sum });
      }
    } finally {
      await sums.settle();
    }
  }

  async evaluate(change: WeightChange | undefined, signal: AbortSignal): Promise<Evaluation> {
    const { data, architecture } = this.parts;
    const { labels, samples } = data.validation;
    if (labels === undefined)
      throw new Error('the validation data has no labels: name them in the recipe, or measure label-free');
    const given = new Map(this.committed);
    const changed = change === undefined ? undefined : this.weightTensor(change);
    if (change !== undefined && changed !== undefined) given.set(this.placeOf(change.layer), changed);
    const [outputs = 1] = architecture.output;
    let right = 0;
    try {
      for (let first = 0; first < samples; first += data.batchSize) {
        signal.throwIfAborted();
        const last = Math.min(samples, first + data.batchSize);
        const batch = await data.validation.read(first, last);
        const values = await this.outputsOf(batch, last - first, given);
        right += countRight(values, labels.subarray(first, last), { outputs, threshold: 0 }, first);
      }
    } finally {
      changed?.dispose();
    }
    return { metric: 'accuracy', value: (100 * right) / samples, samples };
  }

  commit(change: WeightChange): Promise<void> {
    return new Promise((resolve) => {
      const place = this.placeOf(change.layer);
      this.committed.get(place)?.dispose();
      this.committed.set(place, this.weightTensor(change));
      resolve();
    });
  }

  reset(): Promise<void> {
    return new Promise((resolve) => {
      for (const tensor of this.committed.values()) tensor.dispose();
      this.committed.clear();
      resolve();
    });
  }

  async dispose(): Promise<void> {
    await this.reset();
    for (const tensor of this.tensors.values()) tensor.dispose();
    this.tensors.clear();
    await disposeNetworkData(this.parts.data);
  }

  private async addBatch(
    sums: GramSums,
    values: Float32Array,
    samples: number,
    wanted: ReadonlyMap<number, number>,
    signal: AbortSignal,
  ): Promise<void> {
    const { core } = this.parts.library;
    const kept: (readonly [number, Tensor])[] = [];
    try {
      core.tidy(() => {
        this.forward(values, samples, new Map(), (place, input) => {
          const layer = wanted.get(place);
          if (layer !== undefined) kept.push([layer, core.keep(core.clone(input))]);
        });
      });
      for (const [layer, input] of kept) {
        signal.throwIfAborted();
        await this.addRows(sums, layer, input);
      }
    } finally {
      for (const [, tensor] of kept) tensor.dispose();
    }
  }

  private async addRows(sums: GramSums, layer: number, input: Tensor): Promise<void> {
    const { geometry, shape } = this.layerAt(this.placeOf(layer));
    // A copy: the array may be the tensor's own memory.
    const values = Float32Array.from(await input.data());
    if (geometry === undefined) await sums.add(layer, shape[1], values);
    else for (const rows of patchRows(values, input.shape, geometry)) await sums.add(layer, shape[1], rows);
  }

  private async outputsOf(
    values: Float32Array,
    samples: number,
    given: ReadonlyMap<number, Tensor>,
  ): Promise<Float32Array> {
    const { core } = this.parts.library;
    const output = core.tidy(() => this.forward(values, samples, given));
    try {
      return Float32Array.from(await output.data());
    } finally {
      output.dispose();
    }
  }

  private forward(
    values: Float32Array,
    samples: number,
    given: ReadonlyMap<number, Tensor>,
    onInput?: (place: number, input: Tensor) => void,
  ): Tensor {
    const { library, architecture } = this.parts;
    const { core } = library;
    const input = core.tensor(values, [samples, ...architecture.input], 'float32');
    return architecture.forward(core, this.valueOf, input, {
      training: false,
      seed: 0,
      weight: (place) => given.get(place),
      ...(onInput !== undefined && { onInput }),
    });
  }

  private readonly valueOf = (name: string): Tensor => {
    const tensor = this.tensors.get(name);
    if (tensor === undefined) throw new RangeError(`the network has no ${name}`);
    return tensor;
  };

  private weightTensor({ layer, weight }: WeightChange): Tensor {
    const { weightShape } = this.layerAt(this.placeOf(layer));
    return this.parts.library.core.tensor(Float32Array.from(weight), [...weightShape], 'float32');
  }

  private placeOf(layer: number): number {
    const place = this.places[layer];
    if (place === undefined) throw new RangeError(`there is no layer ${layer}`);
    return place;
  }

  private layerAt(place: number): BuiltinLayer {
    const layer = this.parts.architecture.layers[place];
    if (layer === undefined) throw new RangeError(`there is no layer ${place}`);
    return layer;
  }

  private factsOf({ name, kind, shape, groups, weightShape, bias, positions }: BuiltinLayer): NetworkLayer {
    const parameters = weightShape.reduce((product, size) => product * size, 1);
    return { name, kind, shape, groups, parameters, bias: bias === undefined ? 0 : shape[0], positions };
  }
}
