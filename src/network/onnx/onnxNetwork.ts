import { createHash } from 'node:crypto';
import { elementCount } from '../../checkpoint/checkpoint';
import { CheckpointError, printable } from '../../checkpoint/errors';
import type { OnnxGraph, OnnxNode } from '../../checkpoint/onnx';
import type { ComputeBackend, OnFraction } from '../../compute';
import type { NetworkData } from '../data/dataset';
import type {
  Evaluation,
  LayerGram,
  NetworkFacts,
  NetworkLayer,
  RunnableNetwork,
  WeightChange,
} from '../network';
import { type Batches, batchesOf } from './batches';
import { type Classifier, findClassifier, requireLabels, score } from './classifier';
import { SuffixEvaluation } from './evaluation';
import { GraphIndex } from './graph';
import { sumInputGrams } from './inputGrams';
import { countVectors } from './inputRows';
import { type FoundLayer, findLayers } from './layers';
import { ModelFile } from './modelFile';
import { layerNames, matchNames } from './names';
import { type NetworkInput, networkInput, sampleShape } from './networkInput';
import { type Observation, observe } from './observation';
import type { ValueType } from './protobuf';
import { type OnnxRuntime, loadOnnxRuntime } from './runtime';
import { encodeWeight, readWeight } from './weight';

/** Multiply-adds of one run, so that it ends well within a second and the next can be cancelled. */
const MULTIPLY_ADDS_PER_RUN: Readonly<Record<OnnxRuntime['kind'], number>> = { native: 6e9, wasm: 1.5e9 };
/** Values of one batch that the layers' inputs may take beside everything else. */
const MAX_INPUT_BYTES = 128 << 20;

export interface OnnxNetworkRequest {
  /** Path of the model. */
  readonly model: string;
  /** Checkpoint whose names the layers take, matched by their values. */
  readonly checkpoint?: string;
  /** Absent: layers and weights can be looked at, nothing is run on data. */
  readonly data: NetworkData | undefined;
  readonly backend: ComputeBackend;
  readonly signal: AbortSignal;
}

/**
 * A network in an ONNX file, run by ONNX Runtime. Its linear layers are the Gemm and MatMul nodes with a stored matrix,
 * its convolutions the Conv nodes (and their fused forms). The file is never changed; parts of it are run as models of
 * their own, with the weight in question as an input.
 *
 * @throws CheckpointError for a file that is no ONNX model, and Error for a network that does not run or data that does
 * not fit it; each one line that says what to do.
 */
export async function openOnnxNetwork(request: OnnxNetworkRequest): Promise<RunnableNetwork> {
  const { signal } = request;
  signal.throwIfAborted();
  const file = await ModelFile.open(request.model);
  try {
    return await prepare(file, request);
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function prepare(file: ModelFile, request: OnnxNetworkRequest): Promise<RunnableNetwork> {
  const { data, backend, signal, checkpoint } = request;
  const graph = new GraphIndex(file.model);
  requireInlineData(graph);
  const input = networkInput(graph);
  const search = findLayers(graph);
  if (search.layers.length === 0)
    throw new Error(
      `${printable(request.model)}: no linear or convolution layer with stored weights was found${search.notes.length === 0 ? '' : ` (${search.notes.join(' ')})`}`,
    );
  const own = layerNames(graph, search.layers);
  const named =
    checkpoint === undefined
      ? { names: own, notes: [] }
      : await matchNames(own, search.layers, checkpoint, signal);
  const runtime = await loadOnnxRuntime(backend.concurrency);
  const dataNotes = new Set([...(data?.validation.notes ?? []), ...(data?.gram.notes ?? [])]);
  const notes = [...runtime.notes, ...search.notes, ...named.notes, ...dataNotes];
  const seen = await look(file, graph, runtime, input, search.layers, data, signal);
  if (seen?.observation.oneAtATime === true)
    notes.push('The network does not run on two samples at once, so they are run one by one.');
  if (seen?.observation.isPartial === true)
    notes.push('Some values of the network are no tensors, so all of it is evaluated for every change.');
  const layers = search.layers.map((found, i) =>
    describe(found, named.names[i] ?? found.weight.name, seen?.observation),
  );
  const classifier = seen === undefined ? undefined : findClassifier(graph, seen.observation);
  notes.push(...(classifier?.notes ?? []));
  const facts: NetworkFacts = {
    host: 'onnx',
    runtime: runtime.title,
    metric: data?.validation.labels === undefined ? undefined : 'accuracy',
    gramSamples: data?.gram.samples ?? 0,
    validationSamples: data?.validation.samples ?? 0,
    parameters: countParameters(graph),
    identity: identity(await file.digest(signal), data),
    notes,
  };
  return new OnnxNetwork({
    file,
    graph,
    runtime,
    input,
    backend,
    data,
    seen,
    classifier,
    found: search.layers,
    layers,
    facts,
    notes,
  });
}

/** ONNX Runtime would look for these files by itself, wherever they are said to be. */
function requireInlineData({ model }: GraphIndex): void {
  const visitNodes = (nodes: readonly OnnxNode[]): void => {
    for (const { attributes } of nodes)
      for (const { tensor, graphs } of attributes.values()) {
        if (tensor?.external === true)
          throw new CheckpointError('unsupported', 'a value inside a node is kept in another file', {
            file: model.path,
            tensor: tensor.name,
            offset: tensor.span.begin,
          });
        graphs.forEach(visitGraph);
      }
  };
  const visitGraph = (graph: OnnxGraph): void => {
    for (const { external, name, span } of graph.initializers)
      if (external)
        throw new CheckpointError('unsupported', 'a value inside a node is kept in another file', {
          file: model.path,
          tensor: name,
          offset: span.begin,
        });
    visitNodes(graph.nodes);
  };
  visitNodes(model.graph.nodes);
  model.functions.forEach(visitNodes);
}

/** The data as the network takes it, and what the network computes on its first samples. */
interface Sight {
  readonly observation: Observation;
  readonly input: NetworkInput;
  readonly inputType: ValueType;
  /** Sizes of one sample. */
  readonly shape: readonly number[];
  readonly perRun: number;
}

async function look(
  file: ModelFile,
  graph: GraphIndex,
  runtime: OnnxRuntime,
  input: NetworkInput,
  found: readonly FoundLayer[],
  data: NetworkData | undefined,
  signal: AbortSignal,
): Promise<Sight | undefined> {
  const first = await firstSamples(input, data);
  if (first === undefined) return undefined;
  const { shape, samples } = first;
  const needed = found.flatMap(({ uses }) => uses.map((use) => use.input));
  const request = { graph, file, runtime, input, shape, samples, needed };
  const observation = await observe(request, signal).catch((error: unknown) => {
    signal.throwIfAborted();
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(
      `${printable(file.model.path)}: the network does not run on samples of ${shape.join(' × ')} (${reason})`,
      { cause: error },
    );
  });
  const fixedBatch = observation.oneAtATime ? 1 : input.fixedBatch;
  const taken = { ...input, fixedBatch };
  const perSample = found.reduce((sum, layer) => sum + multiplyAdds(layer, observation), 0);
  const most = Math.max(1, Math.floor(MULTIPLY_ADDS_PER_RUN[runtime.kind] / Math.max(1, perSample)));
  const perRun = fixedBatch ?? Math.min(data?.batchSize ?? 1, most);
  const inputType = { elementType: input.elementType, shape: [fixedBatch, ...shape] };
  return { observation, input: taken, inputType, shape, perRun };
}

/** Samples to look at: of the validation data, or zeros when there is none and the sizes are known. */
async function firstSamples(
  input: NetworkInput,
  data: NetworkData | undefined,
): Promise<{ readonly shape: readonly number[]; readonly samples: Float32Array } | undefined> {
  if (data === undefined) {
    const shape = input.sample?.filter((size) => typeof size === 'number');
    if (shape === undefined || shape.length !== input.sample?.length) return undefined;
    return { shape, samples: new Float32Array(elementCount(shape) * (input.fixedBatch ?? 1)) };
  }
  const shape = sampleShape(input, data.validation, 'validation');
  const ofGram = sampleShape(input, data.gram, 'gram');
  if (String(ofGram) !== String(shape))
    throw new Error(
      `samples of data.gram are ${ofGram.join(' × ')}, those of data.validation ${shape.join(' × ')}: they have to be of one size`,
    );
  for (const [what, { samples }] of Object.entries({ validation: data.validation, gram: data.gram }))
    if (samples < 1) throw new Error(`data.${what} has no samples: check "from" and "to" in the recipe`);
  const wanted = input.fixedBatch ?? 2;
  const given = await data.validation.read(0, Math.min(wanted, data.validation.samples));
  if (input.fixedBatch === undefined || given.length === wanted * elementCount(shape))
    return { shape, samples: given };
  // Fewer samples than the network's fixed batch: the rest stays zero.
  const samples = new Float32Array(wanted * elementCount(shape));
  samples.set(given);
  return { shape, samples };
}

/** Input vectors of one sample. */
function positionsOf({ uses }: FoundLayer, { values, samples }: Observation): number {
  return uses.reduce((sum, { input, vectors }) => {
    const dims = values.get(input)?.dims;
    return sum + (dims === undefined ? 0 : countVectors(vectors, dims) / samples);
  }, 0);
}

function multiplyAdds(found: FoundLayer, observation: Observation): number {
  return positionsOf(found, observation) * found.groups * found.m * found.n;
}

function describe(found: FoundLayer, name: string, observation: Observation | undefined): NetworkLayer {
  const { kind, m, n, groups, bias } = found;
  const positions = observation === undefined ? 0 : positionsOf(found, observation);
  return { name, kind, shape: [m, n], groups, parameters: groups * m * n, bias, positions };
}

function countParameters({ model, initializers }: GraphIndex): number {
  const isWeight = (type: string): boolean => /^(?:float|bfloat)/.test(type);
  let sum = 0;
  for (const { typeName, shape } of initializers.values()) if (isWeight(typeName)) sum += elementCount(shape);
  const visit = (nodes: readonly OnnxNode[]): void => {
    for (const { operator, attributes } of nodes)
      for (const [key, { tensor, graphs }] of attributes) {
        // Single numbers are settings, not weights.
        if (operator === 'Constant' && key === 'value' && tensor !== undefined && tensor.shape.length > 0)
          if (isWeight(tensor.typeName)) sum += elementCount(tensor.shape);
        for (const graph of graphs) {
          for (const { typeName, shape } of graph.initializers)
            if (isWeight(typeName)) sum += elementCount(shape);
          visit(graph.nodes);
        }
      }
  };
  visit(model.graph.nodes);
  return sum;
}

function identity(model: string, data: NetworkData | undefined): string {
  const parts = ['onnx', model, data?.gram.identity ?? '', data?.validation.identity ?? ''];
  return createHash('sha256').update(parts.join('\n')).digest('hex');
}

interface Parts {
  readonly file: ModelFile;
  readonly graph: GraphIndex;
  readonly runtime: OnnxRuntime;
  readonly input: NetworkInput;
  readonly backend: ComputeBackend;
  readonly data: NetworkData | undefined;
  readonly seen: Sight | undefined;
  readonly classifier: Classifier | undefined;
  readonly found: readonly FoundLayer[];
  readonly layers: readonly NetworkLayer[];
  readonly facts: NetworkFacts;
  /** The same list as `facts.notes`: what is found out later is added. */
  readonly notes: string[];
}

class OnnxNetwork implements RunnableNetwork {
  readonly facts: NetworkFacts;
  readonly layers: readonly NetworkLayer[];
  private evaluation: SuffixEvaluation | undefined;
  private isChanged = false;

  constructor(private readonly parts: Parts) {
    this.facts = parts.facts;
    this.layers = parts.layers;
  }

  async weight(layer: number, signal: AbortSignal): Promise<Float64Array> {
    signal.throwIfAborted();
    return readWeight(this.found(layer).weight);
  }

  async inputGrams(
    layers: readonly number[],
    onGram: (gram: LayerGram) => Promise<void>,
    signal: AbortSignal,
    onFraction?: OnFraction,
  ): Promise<void> {
    const { data, seen } = this.parts;
    if (data === undefined || seen === undefined)
      throw new Error('no data: name the Gram data in the recipe');
    const wanted = layers.map((layer) => ({
      layer,
      name: this.layers[layer]?.name ?? '',
      found: this.found(layer),
    }));
    const { values } = seen.observation;
    const inputs = new Set(wanted.flatMap(({ found }) => found.uses.map((use) => use.input)));
    const bytes = [...inputs].reduce((sum, name) => sum + (values.get(name)?.bytesPerSample ?? 0), 0);
    const most = Math.max(1, Math.floor(MAX_INPUT_BYTES / Math.max(1, bytes)));
    const size = seen.input.fixedBatch ?? Math.min(seen.perRun, most);
    const batches = batchesOf(this.parts.runtime, seen.input, data.gram, seen.shape, size);
    const network = { ...this.parts, input: seen.input, inputType: seen.inputType };
    await sumInputGrams(network, wanted, batches, onGram, signal, onFraction);
  }

  async evaluate(change: WeightChange | undefined, signal: AbortSignal): Promise<Evaluation> {
    const { classifier, labels, batches } = this.scoring();
    let correct = 0;
    let notANumber = -1;
    const stored = change === undefined ? undefined : this.stored(change);
    await this.evaluationOf(batches).run(
      stored,
      (batch, output) => {
        const first = batch * batches.size;
        const told = score(classifier, output, labels, first, batches.valid(batch));
        correct += told.correct;
        if (notANumber < 0 && told.notANumber >= 0) notANumber = first + told.notANumber;
      },
      signal,
    );
    // A projected weight may overflow, and is then simply wrong; the network as it came may not.
    if (notANumber >= 0 && change === undefined && !this.isChanged)
      throw new Error(
        `the network's output for validation sample ${notANumber} is not a number: check "scale", "mean" and "std" in the recipe`,
      );
    return { metric: 'accuracy', value: (100 * correct) / labels.length, samples: labels.length };
  }

  async commit(change: WeightChange): Promise<void> {
    this.isChanged = true;
    const stored = this.stored(change);
    await this.evaluationOf(this.validationBatches()).commit(stored);
  }

  async reset(): Promise<void> {
    this.isChanged = false;
    await this.evaluation?.reset();
  }

  async dispose(): Promise<void> {
    await this.evaluation?.dispose();
    await this.parts.file.close();
  }

  private found(layer: number): FoundLayer {
    const found = this.parts.found[layer];
    if (found === undefined) throw new Error(`the network has no layer ${layer}`);
    return found;
  }

  private stored({ layer, weight }: WeightChange): { readonly layer: number; readonly bytes: Uint8Array } {
    const { weight: view, groups, m, n } = this.found(layer);
    if (weight.length !== groups * m * n)
      throw new Error(`a weight of ${weight.length} elements where the layer has ${groups * m * n}`);
    return { layer, bytes: encodeWeight(view, weight) };
  }

  /** What accuracy needs. @throws Error that says what is missing. */
  private scoring(): {
    readonly classifier: Classifier;
    readonly labels: Int32Array;
    readonly batches: Batches;
  } {
    const { classifier, data, graph } = this.parts;
    const labels = data?.validation.labels;
    if (labels === undefined)
      throw new Error(
        'no labels: use the label-free mode, or name the labels in the recipe (data.validation.labels)',
      );
    if (classifier === undefined) {
      const outputs = graph.outputs.map(({ name }) => `"${printable(name)}"`).join(', ');
      throw new Error(
        `none of the network's outputs (${outputs}) has one row of class scores a sample: use the label-free mode, or measure it through Python with its own evaluate`,
      );
    }
    requireLabels(labels, classifier);
    return { classifier, labels, batches: this.validationBatches() };
  }

  private validationBatches(): Batches {
    const { data, seen, runtime } = this.parts;
    if (data === undefined || seen === undefined)
      throw new Error('no data: name the validation data in the recipe');
    return batchesOf(runtime, seen.input, data.validation, seen.shape, seen.perRun);
  }

  private evaluationOf(batches: Batches): SuffixEvaluation {
    if (this.evaluation !== undefined) return this.evaluation;
    const { graph, file, runtime, seen, classifier, found, notes } = this.parts;
    if (seen === undefined) throw new Error('no data: name the validation data in the recipe');
    const network = {
      graph,
      file,
      runtime,
      batches,
      input: seen.input,
      inputType: seen.inputType,
      observation: seen.observation,
      weights: found.map(({ weight }) => weight),
      output: classifier?.output ?? '',
      samples: batches.count * batches.size,
    };
    this.evaluation = new SuffixEvaluation(network, (note) => {
      notes.push(note);
    });
    return this.evaluation;
  }
}
