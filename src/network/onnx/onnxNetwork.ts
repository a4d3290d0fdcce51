import { printable } from '../../checkpoint/errors';
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
import { type Classifier, requireLabels, score } from './classifier';
import { SuffixEvaluation } from './evaluation';
import type { GraphIndex } from './graph';
import { sumInputGrams } from './inputGrams';
import type { FoundLayer } from './layers';
import type { ModelFile } from './modelFile';
import type { NetworkInput } from './networkInput';
import type { OnnxRuntime } from './runtime';
import type { Sight } from './sight';
import { encodeWeight, readWeight } from './weight';

/** Values of one batch that the layers' inputs may take beside everything else. */
const MAX_INPUT_BYTES = 128 << 20;

/** An open network's parts. */
export interface Parts {
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

/** See `openOnnxNetwork`. */
export class OnnxNetwork implements RunnableNetwork {
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
