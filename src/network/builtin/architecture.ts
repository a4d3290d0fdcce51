/** What a built-in network is: its parameters, its layers, and how it maps a batch, on any backend of TensorFlow.js. */
import type * as Core from '@tensorflow/tfjs-core';
import type { ConvolutionGeometry } from '../tfjs/patches';
import type { LayerForm } from './recipe';

/** TensorFlow.js as it is handed around: the native package brings a copy of its own, so nobody imports it for itself. */
export type Tf = typeof Core;
export type Tensor = Core.Tensor;

/**
 * One array of a network. Linear and convolution weights are named and shaped as PyTorch has them (m × n; O × I/g × kh × kw),
 * and their factors `<weight>.U` (m × k) and `<weight>.V` (n × k); groups come first, g × m × k. Adapters are
 * `<weight without ".weight">.lora_A.weight` (k × n) and `….lora_B.weight` (m × k), as PEFT names them.
 */
export interface Parameter {
  readonly name: string;
  readonly shape: readonly number[];
  /** `statistic`: running means and variances, which no gradient reaches. */
  readonly kind: 'trained' | 'frozen' | 'statistic';
  /** Weight decay applies: weights, and neither biases nor normalisations. */
  readonly decays: boolean;
  /** Starting values, row-major: the same for the same seed and name, whatever else the network has. */
  initial(seed: number): Float32Array;
}

/** A linear or convolution layer. */
export interface BuiltinLayer {
  /** Of its weight: `layer1.0.conv1.weight`. */
  readonly name: string;
  readonly kind: 'linear' | 'conv';
  /** [m, n] of one group. */
  readonly shape: readonly [number, number];
  readonly groups: number;
  /** As PyTorch shapes it, whatever form it has. */
  readonly weightShape: readonly number[];
  /** Name of its bias. */
  readonly bias?: string;
  readonly form: LayerForm;
  /** The form's ω and g, where it has any. */
  readonly omega?: number;
  readonly gain?: number;
  /** Takes a form where none is asked for by name. */
  readonly isInner: boolean;
  /** Input vectors that one sample brings. */
  readonly positions: number;
  /** Of a convolution. */
  readonly geometry?: ConvolutionGeometry;
}

/** Values of a network's parameters while it runs. */
export type Values = (parameter: string) => Tensor;

/** One forward pass. */
export interface Pass {
  readonly training: boolean;
  /** Batch normalisation uses its running statistics in training too, and does not move them. */
  readonly freezeStatistics?: boolean;
  /** Decides the masks of dropout. */
  readonly seed: number;
  /** The input of a layer (index into `layers`): […, n] of a linear one, NHWC of a convolution. Not to be kept. */
  readonly onInput?: (layer: number, input: Tensor) => void;
  /** Batch normalisation in training: the next values of its running statistics. To be kept by who asks. */
  readonly onStatistic?: (parameter: string, value: Tensor) => void;
  /** W given in place of the form's, as PyTorch shapes it. */
  readonly weight?: (layer: number) => Tensor | undefined;
}

export interface Architecture {
  /** For people: `ResNet-20, 10 classes`. */
  readonly title: string;
  /** Of one sample; pictures are channels last. */
  readonly input: readonly number[];
  readonly inputType: 'float32' | 'int32';
  /** Of one sample's output: [10], [64, 65] … */
  readonly output: readonly number[];
  /** In the order in which they run. */
  readonly layers: readonly BuiltinLayer[];
  readonly parameters: readonly Parameter[];
  /** Batch first, in and out. Called within `tidy`. */
  forward(tf: Tf, values: Values, input: Tensor, pass: Pass): Tensor;
}

/** What is asked about a layer when its form is chosen. */
export type LayerFacts = Pick<BuiltinLayer, 'name' | 'kind' | 'shape' | 'groups' | 'weightShape' | 'isInner'>;

/** The form of a layer. @throws Error whose message completes a sentence about the recipe */
export type ChooseForm = (layer: LayerFacts) => LayerForm;
