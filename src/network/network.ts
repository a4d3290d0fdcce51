import type { OnFraction } from '../compute/backend';

/** A linear or convolution layer of a network that runs. */
export interface NetworkLayer {
  /** As the checkpoint names its weight (`layer1.0.conv1.weight`). */
  readonly name: string;
  readonly kind: 'linear' | 'conv';
  /** [m, n], out × in; of one group for a grouped convolution. A convolution's inputs are its flattened patches. */
  readonly shape: readonly [number, number];
  readonly groups: number;
  /** Elements of the weight, and of the bias that stays with its outputs (0 for none). */
  readonly parameters: number;
  readonly bias: number;
  /** Input vectors (output positions) that one sample brings: 1 for a linear layer on vectors, tokens for a sequence. */
  readonly positions: number;
}

/** How well the network does with the weights it has. */
export interface Evaluation {
  /** Higher is better for accuracy (a percentage, 0 … 100), lower for loss. */
  readonly metric: 'accuracy' | 'loss';
  readonly value: number;
  readonly samples: number;
}

/** A change of one layer's weight. */
export interface WeightChange {
  /** Index into `layers`. */
  readonly layer: number;
  /** groups × m × n, row-major. Stays the caller's. */
  readonly weight: Float64Array;
}

/** The sums over the Gram data, one layer's. */
export interface LayerGram {
  readonly layer: number;
  /** groups × n × n row-major: G = Σ x·xᵀ in float64. */
  readonly gram: Float64Array;
  /** Input vectors summed. */
  readonly vectors: number;
}

/** What a network says of itself once it is open. */
export interface NetworkFacts {
  /** `onnx`, `tfjs`, `python`. */
  readonly host: string;
  /** For people: `ONNX Runtime 1.30 (native)`, `PyTorch 2.4, cuda:0`. */
  readonly runtime: string;
  readonly metric: Evaluation['metric'] | undefined;
  /** Samples of the Gram data and of the validation data. */
  readonly gramSamples: number;
  readonly validationSamples: number;
  /** Parameters of the whole model. */
  readonly parameters: number;
  /** Names the weights and data by content, so that results of an earlier run are known again: hex. */
  readonly identity: string;
  /** Things a person should know (layers that cannot be measured, and why …). */
  readonly notes: readonly string[];
}

/**
 * A network that can be run with some weights replaced. Calls come one at a time. A failure rejects with an `Error`
 * whose message is one line that says what to do; an aborted signal rejects with the signal's reason, within a second.
 *
 * Weights changed by `commit` stay; those given to `evaluate` hold for that call. Hosts may keep what comes before the
 * changed layer from one call to the next, as the search goes through layers in order.
 */
export interface RunnableNetwork {
  readonly facts: NetworkFacts;
  /** In the order in which the network runs them. */
  readonly layers: readonly NetworkLayer[];
  /** groups × m × n, row-major, as the checkpoint has it, whatever was committed. */
  weight(layer: number, signal: AbortSignal): Promise<Float64Array>;
  /**
   * Input Grams of the original network over the Gram data; each layer once, when all batches have been through.
   *
   * @param layers indices whose Gram is wanted
   */
  inputGrams(
    layers: readonly number[],
    onGram: (gram: LayerGram) => Promise<void>,
    signal: AbortSignal,
    onFraction?: OnFraction,
  ): Promise<void>;
  /**
   * Validation accuracy (or loss) with the committed weights and the change.
   *
   * @throws when there are no labels
   */
  evaluate(change: WeightChange | undefined, signal: AbortSignal): Promise<Evaluation>;
  /** The change stays from now on. */
  commit(change: WeightChange): Promise<void>;
  /** Back to the original weights. */
  reset(): Promise<void>;
  dispose(): Promise<void>;
}
