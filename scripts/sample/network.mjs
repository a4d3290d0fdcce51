/**
 * The sample's network, its parameters named and laid out as PyTorch would: three convolutions with batch norms,
 * one attention block over the 4 × 4 places that remain, three wide dense layers and a classifier.
 */
import tf from '@tensorflow/tfjs';
import { SHAPES, SIZE } from './glyphs.mjs';

const CHANNELS = [1, 12, 16, 32];
const STRIDES = [1, 2, 2];
const TOKENS = 16;
const WIDTH = 32;
const HEADS = 2;
const HEAD_WIDTH = WIDTH / HEADS;
const DENSE = [TOKENS * WIDTH, 256, 256, 128];
/** Starting scale of the dense layers, below the usual √2: what they learn soon outgrows what they began with. */
const DENSE_GAIN = 0.5;
/** PyTorch's defaults. */
const EPSILON = 1e-5;
const BATCH_NORM_MOMENTUM = 0.1;

/**
 * Gives every place of `images` (batch × side × side × channels) its 3 × 3 neighbourhood, zeros outside, in the
 * order of a PyTorch kernel's input (channel, row, column): batch·places × channels·9. A convolution is then one
 * matrix product with the kernel as it is stored, which the cpu backend does 20 times faster than its own
 * convolution gradient.
 * @param before zeros above and to the left: 1 as PyTorch pads, 0 as Keras pads even sides at stride 2
 */
export function patches(images, stride, before = 1) {
  const [batch, side, , channels] = images.shape;
  const outputSide = side / stride;
  const columns = channels * 9;
  /** Calls back with the index of each patch element and of the image element it copies. */
  const forEachPair = (visit) => {
    for (let b = 0; b < batch; b++) {
      for (let place = 0; place < outputSide * outputSide; place++) {
        const top = Math.floor(place / outputSide) * stride - before;
        const left = (place % outputSide) * stride - before;
        const start = (b * outputSide * outputSide + place) * columns;
        for (let tap = 0; tap < 9; tap++) {
          const row = top + Math.floor(tap / 3);
          const column = left + (tap % 3);
          if (row < 0 || row >= side || column < 0 || column >= side) continue;
          const pixel = ((b * side + row) * side + column) * channels;
          for (let c = 0; c < channels; c++) visit(start + c * 9 + tap, pixel + c);
        }
      }
    }
  };
  return tf.customGrad((x) => {
    const source = x.dataSync();
    const value = new Float32Array(batch * outputSide * outputSide * columns);
    forEachPair((patch, pixel) => (value[patch] = source[pixel]));
    return {
      value: tf.tensor2d(value, [batch * outputSide * outputSide, columns]),
      gradFunc: (gradient) => {
        const given = gradient.dataSync();
        const sum = new Float32Array(x.size);
        forEachPair((patch, pixel) => (sum[pixel] += given[patch]));
        return tf.tensor4d(sum, x.shape);
      },
    };
  })(images);
}

export class GlyphNetwork {
  /** name → variable, in the order of the file. @type {Map<string, tf.Variable>} */
  parameters = new Map();
  /** Running statistics: name → tensor, not trained. @type {Map<string, tf.Variable>} */
  buffers = new Map();

  /** @param {import('./random.mjs').Random} random */
  constructor(random) {
    const weight = (name, shape, fanIn, gain) => {
      const deviation = gain / Math.sqrt(fanIn);
      const values = Float32Array.from(
        { length: shape.reduce((a, b) => a * b) },
        () => deviation * random.normal(),
      );
      this.#parameter(name, tf.tensor(values, shape));
    };
    const constant = (name, size, value) => this.#parameter(name, tf.fill([size], value));
    for (let i = 1; i <= 3; i++) {
      const [input, output] = [CHANNELS[i - 1], CHANNELS[i]];
      weight(`conv${i}.weight`, [output, input * 9], input * 9, Math.SQRT2);
      constant(`bn${i}.weight`, output, 1);
      constant(`bn${i}.bias`, output, 0);
      this.buffers.set(`bn${i}.running_mean`, tf.variable(tf.zeros([output]), false));
      this.buffers.set(`bn${i}.running_var`, tf.variable(tf.ones([output]), false));
    }
    weight('position_embedding.weight', [TOKENS, WIDTH], 1, 0.5);
    constant('norm.weight', WIDTH, 1);
    constant('norm.bias', WIDTH, 0);
    weight('attention.in_proj_weight', [3 * WIDTH, WIDTH], WIDTH, 1);
    constant('attention.in_proj_bias', 3 * WIDTH, 0);
    weight('attention.out_proj.weight', [WIDTH, WIDTH], WIDTH, 1);
    constant('attention.out_proj.bias', WIDTH, 0);
    for (let i = 1; i <= 3; i++) {
      weight(`fc${i}.weight`, [DENSE[i], DENSE[i - 1]], DENSE[i - 1], DENSE_GAIN);
      constant(`fc${i}.bias`, DENSE[i], 0);
    }
    weight('classifier.weight', [SHAPES.length, DENSE[3]], DENSE[3], 1);
    constant('classifier.bias', SHAPES.length, 0);
  }

  #parameter(name, value) {
    this.parameters.set(name, tf.variable(value, true, name));
  }

  #get(name) {
    return this.parameters.get(name);
  }

  #linear(x, name) {
    return tf.add(tf.matMul(x, this.#get(`${name}.weight`), false, true), this.#get(`${name}.bias`));
  }

  /** Convolution 3 × 3, batch norm, ReLU. @param images batch × side × side × channels */
  #convolution(images, i, training) {
    const [batch, side] = images.shape;
    const outputSide = side / STRIDES[i - 1];
    const product = tf.matMul(patches(images, STRIDES[i - 1]), this.#get(`conv${i}.weight`), false, true);
    const [runningMean, runningVariance] = [
      this.buffers.get(`bn${i}.running_mean`),
      this.buffers.get(`bn${i}.running_var`),
    ];
    let [mean, variance] = [runningMean, runningVariance];
    if (training) {
      ({ mean, variance } = tf.moments(product, 0));
      const unbiased = tf.mul(variance, product.shape[0] / (product.shape[0] - 1));
      for (const [running, now] of [
        [runningMean, mean],
        [runningVariance, unbiased],
      ]) {
        running.assign(tf.add(tf.mul(running, 1 - BATCH_NORM_MOMENTUM), tf.mul(now, BATCH_NORM_MOMENTUM)));
      }
    }
    const normal = tf.mul(tf.sub(product, mean), tf.rsqrt(tf.add(variance, EPSILON)));
    const scaled = tf.add(tf.mul(normal, this.#get(`bn${i}.weight`)), this.#get(`bn${i}.bias`));
    return tf.relu(scaled).reshape([batch, outputSide, outputSide, CHANNELS[i]]);
  }

  /** Multi-head self-attention. @param tokens batch·TOKENS × WIDTH */
  #attention(tokens, batch) {
    const projected = tf.add(
      tf.matMul(tokens, this.#get('attention.in_proj_weight'), false, true),
      this.#get('attention.in_proj_bias'),
    );
    const [q, k, v] = tf
      .split(projected, 3, 1)
      .map((part) => part.reshape([batch, TOKENS, HEADS, HEAD_WIDTH]).transpose([0, 2, 1, 3]));
    const scores = tf.softmax(tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(HEAD_WIDTH)));
    const mixed = tf
      .matMul(scores, v)
      .transpose([0, 2, 1, 3])
      .reshape([batch * TOKENS, WIDTH]);
    return this.#linear(mixed, 'attention.out_proj');
  }

  #layerNorm(x) {
    const { mean, variance } = tf.moments(x, 1, true);
    const normal = tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, EPSILON)));
    return tf.add(tf.mul(normal, this.#get('norm.weight')), this.#get('norm.bias'));
  }

  /** Logits (batch × classes) of images (batch × SIZE·SIZE). */
  logits(images, training) {
    const batch = images.shape[0];
    let x = images.reshape([batch, SIZE, SIZE, 1]);
    for (let i = 1; i <= 3; i++) x = this.#convolution(x, i, training);
    const positions = this.#get('position_embedding.weight');
    let tokens = tf.add(x.reshape([batch, TOKENS, WIDTH]), positions).reshape([batch * TOKENS, WIDTH]);
    tokens = tf.add(tokens, this.#attention(this.#layerNorm(tokens), batch));
    let features = tokens.reshape([batch, TOKENS * WIDTH]);
    for (let i = 1; i <= 3; i++) features = tf.relu(this.#linear(features, `fc${i}`));
    return this.#linear(features, 'classifier');
  }

  /** Shape in the file: kernels get their O × I × 3 × 3 back. */
  static fileShape(name, shape) {
    return /^conv\d\.weight$/.test(name) ? [shape[0], shape[1] / 9, 3, 3] : shape;
  }
}
