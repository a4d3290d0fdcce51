import { createHash } from 'node:crypto';
import { CheckpointError } from '../../checkpoint/errors';
import type { ComputeBackend } from '../../compute/backend';
import type { NetworkData, NetworkInput } from '../data/dataset';
import { disposeNetworkData, openNetworkData } from '../data/openDataset';
import type { NetworkFacts, RunnableNetwork } from '../network';
import type { ResolvedRecipe } from '../recipe';
import type { OutputRule } from './accuracy';
import { buildModel } from './buildModel';
import { graphOf, type Graph } from './graph';
import { loadTensorFlow, type Layer, type LayersModel, type LayerVariable, type TensorFlow } from './load';
import { surveyLayers } from './measuredLayer';
import { readModelFile } from './modelFile';
import { TfjsNetwork } from './network';
import { GraphRunner } from './runner';

export interface OpenTfjs {
  /** Path of the `model.json`. */
  readonly model: string;
  readonly data: NonNullable<ResolvedRecipe['data']>;
  readonly backend: ComputeBackend;
  readonly signal: AbortSignal;
}

/**
 * A TF.js layers model on its data.
 *
 * @throws CheckpointError or Error with one line that says what to do
 */
export async function openTfjsNetwork(options: OpenTfjs): Promise<RunnableNetwork> {
  const file = await readModelFile(options.model);
  const tf = await loadTensorFlow();
  options.signal.throwIfAborted();
  const model = await buildModel(tf, file);
  return openModel({
    ...options,
    tf,
    model,
    file: file.path,
    identity: file.identity,
    host: 'tfjs',
    nameOf: (_layer, kernel) => kernel.originalName,
    notes: [],
  });
}

/** A model that has been built, from whatever file. */
export interface BuiltModel {
  readonly tf: TensorFlow;
  /** Disposed of with the network, or when it cannot be opened. */
  readonly model: LayersModel;
  /** For messages. */
  readonly file: string;
  /** Content hash of architecture and weights. */
  readonly identity: string;
  readonly host: string;
  readonly nameOf: (layer: Layer, kernel: LayerVariable) => string;
  readonly notes: readonly string[];
  readonly data: NonNullable<ResolvedRecipe['data']>;
  readonly backend: ComputeBackend;
  readonly signal: AbortSignal;
}

/** Elements of one sample's value that are run; more than any network that people measure has. */
const MAX_VALUE_ELEMENTS = 2 ** 28;

/** Runs one sample through a model to see whether it fits its data. @throws CheckpointError or Error */
export async function openModel(built: BuiltModel): Promise<RunnableNetwork> {
  const { tf, model, file, backend, signal } = built;
  let data: NetworkData | undefined;
  try {
    const graph = graphOf(tf, model, file);
    requireReasonable(graph, file);
    data = await openNetworkData(built.data, inputOf(model), signal);
    const first = await firstRun(built, graph, data);
    const rule = ruleOf(graph, first.outputShape, data, file);
    const survey = surveyLayers(graph, first.elements, built.nameOf);
    if (survey.layers.length === 0)
      throw new CheckpointError('unsupported', 'the model has no dense or convolution layer', { file });
    const dataNotes = new Set([...data.validation.notes, ...data.gram.notes]);
    const notes = [...built.notes, ...survey.notes, ...dataNotes];
    const facts = factsOf(built, data, notes);
    const { elements } = first;
    return new TfjsNetwork({
      tf,
      model,
      graph,
      layers: survey.layers,
      facts,
      data,
      rule,
      elements,
      backend,
    });
  } catch (error) {
    model.dispose();
    if (data !== undefined) await disposeNetworkData(data);
    throw error;
  }
}

function factsOf(built: BuiltModel, data: NetworkData, notes: readonly string[]): NetworkFacts {
  const { tf, model, host, identity } = built;
  const parts = [host, tf.version, identity, data.gram.identity, data.validation.identity];
  return {
    host,
    runtime: `TensorFlow.js ${tf.version} (WebAssembly)`,
    metric: data.validation.labels === undefined ? undefined : 'accuracy',
    gramSamples: data.gram.samples,
    validationSamples: data.validation.samples,
    parameters: model.countParams(),
    identity: createHash('sha256').update(parts.join('\n')).digest('hex'),
    notes,
  };
}

/** What a model takes, without its batch. Keras keeps channels last. */
function inputOf(model: LayersModel): NetworkInput {
  const shape = model.inputs[0]?.shape.slice(1) ?? [];
  return { shape: shape.map((size) => size ?? undefined), layout: 'hwc' };
}

function requireReasonable({ steps }: Graph, file: string): void {
  for (const { layer, outputShape } of steps) {
    const elements = outputShape.reduce<number>((product, size) => product * (size ?? 1), 1);
    if (elements <= MAX_VALUE_ELEMENTS) continue;
    const reason = `the layer "${layer.name}" puts out ${outputShape.join(' × ')} numbers a sample`;
    throw new CheckpointError('unsupported', reason, { file });
  }
}

interface FirstRun {
  /** Of one sample, by value. */
  readonly elements: readonly number[];
  readonly outputShape: readonly number[];
}

/** One sample through the network: what goes wrong here would go wrong with all of them. */
async function firstRun(
  { tf, file, signal }: BuiltModel,
  graph: Graph,
  data: NetworkData,
): Promise<FirstRun> {
  const values = await data.validation.read(0, 1);
  const elements = [values.length];
  const start = { step: 0, value: 0, shape: [1, ...data.validation.shape], values };
  try {
    const { shape } = await new GraphRunner(tf, graph).run(start, signal, {
      onValue: (value, tensor) => {
        elements[value] = tensor.size;
      },
    });
    return { elements, outputShape: shape };
  } catch (error) {
    signal.throwIfAborted();
    const message = error instanceof Error ? error.message : String(error);
    const [first = message] = message.split('\n');
    const reason = `the network does not run in TensorFlow.js: ${first}`;
    throw new CheckpointError('unsupported', reason, { file }, { cause: error });
  }
}

/** @throws CheckpointError when outputs are no classes, or labels have more of them */
function ruleOf(graph: Graph, shape: readonly number[], data: NetworkData, file: string): OutputRule {
  const outputs = shape[1] ?? 0;
  const fail = (reason: string): CheckpointError => new CheckpointError('unsupported', reason, { file });
  const last = graph.steps.at(-1)?.layer;
  const isSigmoid = last?.getConfig().activation === 'sigmoid';
  const rule = { outputs, threshold: isSigmoid ? 0.5 : 0 };
  const { labels } = data.validation;
  if (labels === undefined) return rule;
  if (shape.length !== 2 || outputs === 0)
    throw fail(
      `its output is ${shape.slice(1).join(' × ')}, not one number a class: accuracy cannot be measured`,
    );
  const classes = outputs === 1 ? 2 : outputs;
  const largest = labels.reduce((most, label) => Math.max(most, label), 0);
  if (largest >= classes)
    throw fail(
      `it tells ${classes} classes apart, but the labels go up to ${largest}: are they the right ones?`,
    );
  return rule;
}
