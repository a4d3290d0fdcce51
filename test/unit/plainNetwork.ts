/**
 * A small convolutional network in plain loops, trained on the spot on oriented stripes: a network that runs, without a
 * runtime. Layers: convolution, depthwise convolution, convolution in two groups, mean pooling, two linear layers.
 */
import type {
  Evaluation,
  LayerGram,
  NetworkFacts,
  NetworkLayer,
  RunnableNetwork,
  WeightChange,
} from '../../src/network/network';
import { uniform } from './matrices';

const SIDE = 8;
const PIXELS = SIDE * SIDE;
const CLASSES = 4;
const HIDDEN = 16;
const FEATURES = 8 * 16;

interface Convolution {
  readonly name: string;
  readonly inputs: number;
  readonly outputs: number;
  readonly groups: number;
}

const CONVOLUTIONS: readonly Convolution[] = [
  { name: 'conv1.weight', inputs: 1, outputs: 6, groups: 1 },
  { name: 'conv2.weight', inputs: 6, outputs: 6, groups: 6 },
  { name: 'conv3.weight', inputs: 6, outputs: 8, groups: 2 },
];

const convolutionLayer = ({ name, inputs, outputs, groups }: Convolution): NetworkLayer => ({
  name,
  kind: 'conv',
  shape: [outputs / groups, (inputs / groups) * 9],
  groups,
  parameters: (outputs * inputs * 9) / groups,
  bias: 0,
  positions: PIXELS,
});

const LAYERS: readonly NetworkLayer[] = [
  ...CONVOLUTIONS.map(convolutionLayer),
  {
    name: 'fc1.weight',
    kind: 'linear',
    shape: [HIDDEN, FEATURES],
    groups: 1,
    parameters: HIDDEN * FEATURES,
    bias: HIDDEN,
    positions: 1,
  },
  {
    name: 'fc2.weight',
    kind: 'linear',
    shape: [CLASSES, HIDDEN],
    groups: 1,
    parameters: CLASSES * HIDDEN,
    bias: CLASSES,
    positions: 1,
  },
];

interface Samples {
  readonly images: readonly Float64Array[];
  readonly labels: readonly number[];
}

/** Stripes at 0, 45, 90 and 135 degrees, of random phase and width, under noise. */
function stripes(count: number, seed: number): Samples {
  const random = uniform(seed);
  const images: Float64Array[] = [];
  const labels: number[] = [];
  for (let s = 0; s < count; s++) {
    const label = s % CLASSES;
    const [phase, width] = [random() * Math.PI, 1.1 + 0.4 * random()];
    const angle = (label * Math.PI) / CLASSES;
    const [c, d] = [Math.cos(angle), Math.sin(angle)];
    images.push(
      Float64Array.from({ length: PIXELS }, (_, p) => {
        const wave = Math.sin(width * (c * (p % SIDE) + d * Math.floor(p / SIDE)) + phase);
        return wave + 1.1 * random();
      }),
    );
    labels.push(label);
  }
  return { images, labels };
}

/** What a layer meets: rows of n inputs of each group. */
type Observer = (layer: number, group: number, row: Float64Array) => void;

/** 3 × 3, padded with zeros: `inputs` planes in, `outputs` planes out, then ReLU. */
function convolve(
  { inputs, outputs, groups }: Convolution,
  weight: Float64Array,
  planes: Float64Array,
  index: number,
  observe: Observer | undefined,
): Float64Array {
  const [perIn, perOut] = [inputs / groups, outputs / groups];
  const result = new Float64Array(outputs * PIXELS);
  const row = new Float64Array(perIn * 9);
  for (let g = 0; g < groups; g++)
    for (let p = 0; p < PIXELS; p++) {
      const [x, y] = [p % SIDE, Math.floor(p / SIDE)];
      for (let i = 0; i < perIn; i++)
        for (let k = 0; k < 9; k++) {
          const [px, py] = [x + (k % 3) - 1, y + Math.floor(k / 3) - 1];
          const inside = px >= 0 && px < SIDE && py >= 0 && py < SIDE;
          row[i * 9 + k] = inside ? (planes[(g * perIn + i) * PIXELS + py * SIDE + px] ?? NaN) : 0;
        }
      observe?.(index, g, row);
      for (let o = 0; o < perOut; o++) {
        const start = (g * perOut + o) * row.length;
        let sum = 0;
        // No iterators here: this is where the time goes.
        for (let j = 0; j < row.length; j++) sum += (weight[start + j] ?? NaN) * (row[j] ?? NaN);
        result[(g * perOut + o) * PIXELS + p] = Math.max(0, sum);
      }
    }
  return result;
}

/** Means of 2 × 2 pixels. */
function pool(planes: Float64Array): Float64Array {
  const half = SIDE / 2;
  return Float64Array.from({ length: planes.length / 4 }, (_, i) => {
    const plane = Math.floor(i / (half * half)) * PIXELS;
    const [x, y] = [(i % half) * 2, (Math.floor(i / half) % half) * 2];
    const at = (dx: number, dy: number): number => planes[plane + (y + dy) * SIDE + x + dx] ?? NaN;
    return (at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1)) / 4;
  });
}

function linear(weight: Float64Array, bias: Float64Array, x: Float64Array): Float64Array {
  return bias.map((b, i) => {
    let sum = b;
    for (let j = 0; j < x.length; j++) sum += (weight[i * x.length + j] ?? NaN) * (x[j] ?? NaN);
    return sum;
  });
}

interface Parameters {
  readonly weights: readonly Float64Array[];
  readonly biases: readonly [Float64Array<ArrayBuffer>, Float64Array<ArrayBuffer>];
}

function features(weights: readonly Float64Array[], image: Float64Array, observe?: Observer): Float64Array {
  let planes = image;
  for (const [index, convolution] of CONVOLUTIONS.entries())
    planes = convolve(convolution, weights[index] ?? new Float64Array(0), planes, index, observe);
  return pool(planes);
}

function scores({ weights, biases }: Parameters, image: Float64Array, observe?: Observer): Float64Array {
  return head({ weights, biases }, features(weights, image, observe), observe);
}

function head({ weights, biases }: Parameters, x: Float64Array, observe?: Observer): Float64Array {
  const [first = new Float64Array(0), second = new Float64Array(0)] = weights.slice(3);
  observe?.(3, 0, x);
  const hidden = linear(first, biases[0], x).map((value) => Math.max(0, value));
  observe?.(4, 0, hidden);
  return linear(second, biases[1], hidden);
}

/** Random convolutions; the two linear layers by gradient descent on the cross-entropy, one sample at a time. */
function train(): Parameters {
  const random = uniform(11);
  const weights = LAYERS.map(({ shape: [m, n], groups }) =>
    Float64Array.from({ length: groups * m * n }, () => random() * Math.sqrt(3 / n)),
  );
  const biases = [new Float64Array(HIDDEN), new Float64Array(CLASSES)] as const;
  const { images, labels } = stripes(240, 21);
  const inputs = images.map((image) => features(weights, image));
  const [W1 = new Float64Array(0), W2 = new Float64Array(0)] = weights.slice(3);
  for (let epoch = 0; epoch < 30; epoch++)
    for (const [s, x] of inputs.entries()) {
      const hidden = linear(W1, biases[0], x).map((value) => Math.max(0, value));
      const logits = linear(W2, biases[1], hidden);
      const largest = Math.max(...logits);
      const exponentials = logits.map((value) => Math.exp(value - largest));
      const sum = exponentials.reduce((total, value) => total + value, 0);
      const dLogits = exponentials.map((value, c) => value / sum - (c === labels[s] ? 1 : 0));
      const dHidden = hidden.map((value, h) =>
        value > 0 ? dLogits.reduce((total, d, c) => total + d * (W2[c * HIDDEN + h] ?? NaN), 0) : 0,
      );
      descend(W2, biases[1], dLogits, hidden);
      descend(W1, biases[0], dHidden, x);
    }
  const asFloat32 = (values: Float64Array): Float64Array<ArrayBuffer> =>
    Float64Array.from(Float32Array.from(values));
  return { weights: weights.map(asFloat32), biases: [asFloat32(biases[0]), asFloat32(biases[1])] };
}

function descend(W: Float64Array, b: Float64Array, d: Float64Array, x: Float64Array): void {
  for (const [i, slope] of d.entries()) {
    b[i] = (b[i] ?? NaN) - 0.02 * slope;
    for (let j = 0; j < x.length; j++) {
      const at = i * x.length + j;
      W[at] = (W[at] ?? NaN) - 0.02 * slope * (x[j] ?? NaN);
    }
  }
}

let trained: Parameters | undefined;

export interface PlainNetworkOptions {
  /** What `evaluate` tells; undefined: there are no labels. */
  readonly metric?: Evaluation['metric'] | 'none';
  /** Spoils one input value. */
  readonly poison?: number;
  /** Called before each evaluation; throwing ends it. */
  readonly onEvaluate?: () => void;
}

/** What tests see of it beside the interface. */
export interface PlainNetwork extends RunnableNetwork {
  /** Evaluations made so far. */
  readonly evaluations: () => number;
  /** Passes over the Gram data. */
  readonly gramPasses: () => number;
  readonly isDisposed: () => boolean;
}

export function plainParameters(): Parameters {
  return (trained ??= train());
}

export function plainNetwork({
  metric = 'accuracy',
  poison,
  onEvaluate,
}: PlainNetworkOptions = {}): PlainNetwork {
  const original = plainParameters();
  const gramData = stripes(60, 22);
  if (poison !== undefined) gramData.images[7]?.fill(poison, 3, 4);
  const validation = stripes(120, 23);
  const weights: Float64Array[] = original.weights.map((weight) => weight.slice());
  // What comes before the linear layers is kept while the convolutions stay the same.
  let before:
    { readonly weights: readonly Float64Array[]; readonly features: readonly Float64Array[] } | undefined;
  const featuresWith = (changed: readonly Float64Array[]): readonly Float64Array[] => {
    const convolutions = changed.slice(0, 3);
    if (before === undefined || convolutions.some((weight, i) => weight !== before?.weights[i]))
      before = {
        weights: convolutions,
        features: validation.images.map((image) => features(changed, image)),
      };
    return before.features;
  };
  let [evaluations, gramPasses, disposed] = [0, 0, false];
  const facts: NetworkFacts = {
    host: 'plain',
    runtime: 'loops',
    metric: metric === 'none' ? undefined : metric,
    gramSamples: gramData.images.length,
    validationSamples: validation.images.length,
    parameters: LAYERS.reduce((sum, { parameters, bias }) => sum + parameters + bias, 0),
    identity: `plain-${metric}-${poison ?? ''}`,
    notes: [],
  };
  const measure = (changed: readonly Float64Array[]): number => {
    let [right, loss] = [0, 0];
    for (const [s, x] of featuresWith(changed).entries()) {
      const found = head({ weights: changed, biases: original.biases }, x);
      const label = validation.labels[s] ?? 0;
      const largest = Math.max(...found);
      if (found.indexOf(largest) === label) right++;
      const sum = found.reduce((total, value) => total + Math.exp(value - largest), 0);
      loss += Math.log(sum) + largest - (found[label] ?? NaN);
    }
    const { length } = validation.images;
    return metric === 'loss' ? loss / length : (100 * right) / length;
  };
  return {
    facts,
    layers: LAYERS,
    evaluations: () => evaluations,
    gramPasses: () => gramPasses,
    isDisposed: () => disposed,
    weight: (layer) => Promise.resolve(original.weights[layer]?.slice() ?? new Float64Array(0)),
    inputGrams: async (layers, onGram, signal, onFraction) => {
      gramPasses++;
      const sums = new Map<number, LayerGram & { vectors: number }>();
      for (const layer of layers) {
        const { shape, groups } = LAYERS[layer] ?? { shape: [0, 0], groups: 0 };
        sums.set(layer, { layer, gram: new Float64Array(groups * shape[1] * shape[1]), vectors: 0 });
      }
      for (const [s, image] of gramData.images.entries()) {
        signal.throwIfAborted();
        scores(original, image, (layer, group, row) => {
          const sum = sums.get(layer);
          if (sum === undefined) return;
          sum.vectors++;
          const { length } = row;
          const start = group * length * length;
          for (let i = 0; i < length; i++)
            for (let j = 0; j < length; j++) {
              const at = start + i * length + j;
              sum.gram[at] = (sum.gram[at] ?? NaN) + (row[i] ?? NaN) * (row[j] ?? NaN);
            }
        });
        onFraction?.((s + 1) / gramData.images.length);
      }
      for (const sum of sums.values()) await onGram(sum);
    },
    evaluate: (change, signal) => {
      signal.throwIfAborted();
      if (metric === 'none') return Promise.reject(new Error('no labels'));
      onEvaluate?.();
      evaluations++;
      const value = measure(changed(weights, change));
      return Promise.resolve({ metric, value, samples: validation.images.length });
    },
    commit: (change) => {
      weights.splice(0, weights.length, ...changed(weights, change));
      return Promise.resolve();
    },
    reset: () => {
      weights.splice(0, weights.length, ...original.weights.map((weight) => weight.slice()));
      return Promise.resolve();
    },
    dispose: () => {
      disposed = true;
      return Promise.resolve();
    },
  };
}

/** In float32, as every runtime keeps them. */
function changed(
  weights: readonly Float64Array[],
  change: WeightChange | undefined,
): readonly Float64Array[] {
  return weights.map((weight, i) =>
    change?.layer === i ? Float64Array.from(Float32Array.from(change.weight)) : weight,
  );
}

/**
 * The two linear layers alone, as a model of their own: what they are given, and the classes. Samples repeat, with
 * noise, so that an evaluation takes as long as wanted.
 */
export function plainHead(samples: number): {
  readonly weights: readonly [Float64Array, Float64Array];
  readonly biases: readonly [Float64Array, Float64Array];
  readonly inputs: Float32Array;
  readonly labels: Int32Array;
  readonly shapes: { readonly inputs: number; readonly hidden: number; readonly classes: number };
} {
  const { weights, biases } = plainParameters();
  const [first = new Float64Array(0), second = new Float64Array(0)] = weights.slice(3);
  const { images, labels } = stripes(120, 24);
  const rows = images.map((image) => features(weights, image));
  const random = uniform(25);
  const inputs = new Float32Array(samples * FEATURES);
  for (let s = 0; s < samples; s++)
    for (const [j, value] of (rows[s % rows.length] ?? new Float64Array(0)).entries())
      inputs[s * FEATURES + j] = value * (1 + 0.05 * random());
  return {
    weights: [first, second],
    biases,
    inputs,
    labels: Int32Array.from({ length: samples }, (_, s) => labels[s % labels.length] ?? 0),
    shapes: { inputs: FEATURES, hidden: HIDDEN, classes: CLASSES },
  };
}
