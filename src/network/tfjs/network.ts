import type { OnFraction } from '../../compute';
import type { ComputeBackend } from '../../compute/backend';
import type { Dataset, NetworkData } from '../data/dataset';
import { disposeNetworkData } from '../data/openDataset';
import type {
  Evaluation,
  LayerGram,
  NetworkFacts,
  NetworkLayer,
  RunnableNetwork,
  WeightChange,
} from '../network';
import { countRight, type OutputRule } from './accuracy';
import { KeptActivations } from './activations';
import { GramSums, requireFiniteInputs } from './gramSums';
import type { Graph } from './graph';
import { kernelOfMatrix, matrixOfKernel } from './kernels';
import type { LayersModel, Tensor, TensorFlow } from './load';
import type { MeasuredLayer } from './measuredLayer';
import { patchRows } from './patches';
import { floats, GraphRunner, type Start } from './runner';

export interface TfjsParts {
  readonly tf: TensorFlow;
  readonly model: LayersModel;
  readonly graph: Graph;
  readonly layers: readonly MeasuredLayer[];
  readonly facts: NetworkFacts;
  readonly data: NetworkData;
  readonly rule: OutputRule;
  /** Elements of one sample, by value of the graph. */
  readonly elements: readonly number[];
  readonly backend: ComputeBackend;
}

/** A model that TensorFlow.js runs. */
export class TfjsNetwork implements RunnableNetwork {
  readonly facts: NetworkFacts;
  readonly layers: readonly NetworkLayer[];
  private readonly runner: GraphRunner;
  private readonly kept: KeptActivations;
  /** Original kernels of the layers that changes were committed to. */
  private readonly originals = new Map<number, Float32Array>();

  constructor(private readonly parts: TfjsParts) {
    this.facts = parts.facts;
    this.layers = parts.layers.map(({ facts }) => facts);
    this.runner = new GraphRunner(parts.tf, parts.graph);
    this.kept = new KeptActivations(parts.graph.cuts, parts.elements, parts.data.validation.samples);
  }

  weight(layer: number, signal: AbortSignal): Promise<Float64Array> {
    return new Promise((resolve) => {
      signal.throwIfAborted();
      const measured = this.measured(layer);
      const kernel = this.originals.get(layer) ?? floats(measured.kernel.read());
      resolve(matrixOfKernel(kernel, measured.window, measured.channels));
    });
  }

  async inputGrams(
    layers: readonly number[],
    onGram: (gram: LayerGram) => Promise<void>,
    signal: AbortSignal,
    onFraction?: OnFraction,
  ): Promise<void> {
    const committed = this.putOriginalsBack();
    try {
      await this.sumGrams(layers, onGram, signal, onFraction);
    } finally {
      for (const [layer, kernel] of committed) this.write(layer, kernel);
    }
  }

  async evaluate(change: WeightChange | undefined, signal: AbortSignal): Promise<Evaluation> {
    const { validation, batchSize } = this.parts.data;
    const { labels, samples } = validation;
    if (labels === undefined)
      throw new Error('the validation data has no labels: name them in the recipe, or measure label-free');
    const before = change === undefined ? undefined : this.read(change.layer);
    const from = change === undefined ? Infinity : this.firstStep(change.layer);
    let right = 0;
    try {
      if (change !== undefined) this.writeMatrix(change);
      for (let first = 0; first < samples; first += batchSize) {
        const last = Math.min(samples, first + batchSize);
        const outputs = await this.runValidation(first, last, from, signal);
        right += countRight(outputs, labels.subarray(first, last), this.parts.rule, first);
      }
    } finally {
      if (change !== undefined && before !== undefined) this.write(change.layer, before);
    }
    return { metric: 'accuracy', value: (100 * right) / samples, samples };
  }

  commit(change: WeightChange): Promise<void> {
    return new Promise((resolve) => {
      if (!this.originals.has(change.layer)) this.originals.set(change.layer, this.read(change.layer));
      this.writeMatrix(change);
      this.kept.forgetAfter(this.firstStep(change.layer));
      resolve();
    });
  }

  reset(): Promise<void> {
    return new Promise((resolve) => {
      for (const layer of this.originals.keys()) this.kept.forgetAfter(this.firstStep(layer));
      this.putOriginalsBack();
      this.originals.clear();
      resolve();
    });
  }

  async dispose(): Promise<void> {
    this.parts.model.dispose();
    await disposeNetworkData(this.parts.data);
  }

  private async sumGrams(
    layers: readonly number[],
    onGram: (gram: LayerGram) => Promise<void>,
    signal: AbortSignal,
    onFraction: OnFraction | undefined,
  ): Promise<void> {
    const { data, backend } = this.parts;
    const sums = new GramSums(backend, signal);
    const byStep = new Map(
      layers.flatMap((layer) => this.measured(layer).steps.map((step): [number, number] => [step, layer])),
    );
    try {
      for (let first = 0; first < data.gram.samples; first += data.batchSize) {
        const last = Math.min(data.gram.samples, first + data.batchSize);
        await this.runner.run(await this.batchOf(data.gram, first, last), signal, {
          onStep: async (step, input) => {
            const layer = byStep.get(step);
            if (layer !== undefined) await this.addRows(sums, layer, input);
          },
        });
        onFraction?.(last / data.gram.samples);
      }
      for (const layer of layers) {
        const sum = await sums.take(layer, this.measured(layer).facts.shape[1]);
        if (sum === undefined) continue;
        const { name, shape } = this.measured(layer).facts;
        requireFiniteInputs(sum.gram, shape[1], name);
        await onGram({ layer, ...sum });
      }
    } finally {
      await sums.settle();
    }
  }

  private async addRows(sums: GramSums, layer: number, input: Tensor): Promise<void> {
    const { facts, geometry } = this.measured(layer);
    const [, inputs] = facts.shape;
    const values = floats(input);
    if (geometry === undefined) {
      await sums.add(layer, inputs, values);
      return;
    }
    for (const rows of patchRows(values, input.shape, geometry)) await sums.add(layer, inputs, rows);
  }

  /** Outputs of a validation batch; what comes before the step is computed once and kept. */
  private async runValidation(
    first: number,
    last: number,
    step: number,
    signal: AbortSignal,
  ): Promise<Float32Array> {
    const { graph, data } = this.parts;
    const kept = this.kept.batch(first, step);
    const cut = Number.isFinite(step) ? this.kept.bestCut(step) : 0;
    const value = graph.cuts[cut];
    const start = kept ?? (await this.batchOf(data.validation, first, last));
    const { values } = await this.runner.run(start, signal, {
      onStep: (index, input) => {
        // Alone before this step, it is what the step takes.
        if (index === cut && cut > start.step && value !== undefined)
          this.kept.keep(first, { step: cut, value, shape: input.shape, values: floats(input) });
      },
    });
    return values;
  }

  private async batchOf(data: Dataset, first: number, last: number): Promise<Start> {
    const values = await data.read(first, last);
    return { step: 0, value: 0, shape: [last - first, ...data.shape], values };
  }

  private measured(layer: number): MeasuredLayer {
    const measured = this.parts.layers[layer];
    if (measured === undefined) throw new RangeError(`there is no layer ${layer}`);
    return measured;
  }

  private firstStep(layer: number): number {
    return this.measured(layer).steps[0] ?? 0;
  }

  private read(layer: number): Float32Array {
    return floats(this.measured(layer).kernel.read());
  }

  private write(layer: number, kernel: Float32Array): void {
    const { kernel: variable } = this.measured(layer);
    const { tf } = this.parts;
    const shape = variable.shape.map((size) => size ?? 0);
    tf.tidy(() => {
      variable.write(tf.tensor(kernel, shape, 'float32'));
    });
  }

  private writeMatrix({ layer, weight }: WeightChange): void {
    const { window, channels } = this.measured(layer);
    this.write(layer, kernelOfMatrix(weight, window, channels));
  }

  /** @returns what was committed, by layer */
  private putOriginalsBack(): Map<number, Float32Array> {
    const committed = new Map([...this.originals.keys()].map((layer) => [layer, this.read(layer)]));
    for (const [layer, kernel] of this.originals) this.write(layer, kernel);
    return committed;
  }
}
