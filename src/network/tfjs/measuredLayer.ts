import type { NetworkLayer } from '../network';
import type { Graph, Step } from './graph';
import type { Layer, LayerVariable } from './load';
import type { ConvolutionGeometry } from './patches';

/** A layer whose weight can be replaced. */
export interface MeasuredLayer {
  readonly facts: NetworkLayer;
  readonly kernel: LayerVariable;
  /** Elements of a kernel's window, and of its input channels: the kernel is window × channels × outputs. */
  readonly window: number;
  readonly channels: number;
  /** Absent for dense layers, whose inputs are the rows themselves. */
  readonly geometry?: ConvolutionGeometry;
  /** Steps that call it, first to last. */
  readonly steps: readonly number[];
}

export interface LayerSurvey {
  readonly layers: readonly MeasuredLayer[];
  readonly notes: readonly string[];
}

/** Layers with matrices that are not measured, and why. */
const NOT_MEASURED: Readonly<Record<string, string>> = {
  DepthwiseConv2D: 'a depthwise convolution has one row a channel',
  SeparableConv2D: 'what goes into its second kernel is not shown by TensorFlow.js',
  Conv2DTranspose: 'transposed convolutions are not measured in TensorFlow.js models',
  Conv3DTranspose: 'transposed convolutions are not measured in TensorFlow.js models',
  ConvLSTM2D: 'recurrent layers are not measured',
  LSTM: 'recurrent layers are not measured',
  GRU: 'recurrent layers are not measured',
  SimpleRNN: 'recurrent layers are not measured',
  RNN: 'recurrent layers are not measured',
  Bidirectional: 'recurrent layers are not measured',
  TimeDistributed: 'layers inside TimeDistributed are not measured',
};

/**
 * The linear and convolution layers of a graph, in the order in which they run.
 *
 * @param elements of one sample by value, as a first run showed
 * @param nameOf how the checkpoint calls a layer's weight
 */
export function surveyLayers(
  graph: Graph,
  elements: readonly number[],
  nameOf: (layer: Layer, kernel: LayerVariable) => string,
): LayerSurvey {
  const steps = new Map<Layer, number[]>();
  graph.steps.forEach(({ layer }, index) => {
    const known = steps.get(layer);
    if (known === undefined) steps.set(layer, [index]);
    else known.push(index);
  });
  const layers: MeasuredLayer[] = [];
  const notes: string[] = [];
  for (const [layer, calls] of steps) {
    const reason = NOT_MEASURED[layer.getClassName()];
    if (reason !== undefined) notes.push(`"${layer.name}" is left out: ${reason}`);
    const kernel = layer.weights[0];
    const geometry = kernel === undefined ? undefined : geometryOf(layer, kernel);
    if (kernel === undefined || geometry === undefined) continue;
    if (geometry === 'unknown') {
      notes.push(`"${layer.name}" is left out: its padding or data format is not followed`);
      continue;
    }
    const outputs = kernel.shape.at(-1) ?? 0;
    const channels = kernel.shape.at(-2) ?? 0;
    const weight = kernel.shape.reduce<number>((product, size) => product * (size ?? 0), 1);
    const positions = positionsOf(calls, graph.steps, elements, outputs);
    const inputs = weight / Math.max(1, outputs);
    layers.push({
      facts: {
        name: nameOf(layer, kernel),
        kind: geometry === 'dense' ? 'linear' : 'conv',
        shape: [outputs, inputs],
        groups: 1,
        parameters: weight,
        bias: layer.weights.length > 1 ? outputs : 0,
        positions,
      },
      kernel,
      window: inputs / Math.max(1, channels),
      channels,
      ...(geometry !== 'dense' && { geometry }),
      steps: calls,
    });
  }
  return { layers, notes };
}

/** Output vectors that a sample brings, over all calls: elements of the outputs ÷ their channels. */
function positionsOf(
  calls: readonly number[],
  steps: readonly Step[],
  elements: readonly number[],
  outputs: number,
): number {
  const sum = calls.reduce((total, call) => total + (elements[steps[call]?.output ?? 0] ?? 0), 0);
  return outputs === 0 ? 0 : sum / outputs;
}

const CONVOLUTION_AXES: Readonly<Record<string, number>> = { Conv1D: 1, Conv2D: 2, Conv3D: 3 };

/** How a layer's inputs become rows; undefined for layers without a matrix. */
function geometryOf(
  layer: Layer,
  kernel: LayerVariable,
): ConvolutionGeometry | 'dense' | 'unknown' | undefined {
  const name = layer.getClassName();
  if (name === 'Dense') return 'dense';
  const axes = CONVOLUTION_AXES[name];
  if (axes === undefined) return undefined;
  const { padding, strides, dilationRate, dataFormat } = layer.getConfig();
  const isFollowed = padding === 'valid' || padding === 'same' || padding === 'causal';
  if (!isFollowed || (dataFormat !== undefined && dataFormat !== null && dataFormat !== 'channelsLast'))
    return 'unknown';
  const sizes = kernel.shape.slice(0, axes).map((size) => size ?? 1);
  return {
    kernel: sizes,
    strides: perAxis(strides, axes),
    dilations: perAxis(dilationRate, axes),
    padding,
  };
}

/** One number for all axes, or one each. */
function perAxis(value: unknown, axes: number): readonly number[] {
  const given: readonly unknown[] = Array.isArray(value) ? value : [value];
  return Array.from({ length: axes }, (_, axis) => {
    const one = given[axis] ?? given[0];
    return typeof one === 'number' ? one : 1;
  });
}
