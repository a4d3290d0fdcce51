// Trains the sample network that can be run, media/sample/network (a TensorFlow.js layers model), and draws the images
// it is measured on, media/sample/glyphs.npz.
//   node scripts/train-sample-network.mjs [--out FOLDER]
// Everything is seeded and runs on the plain JavaScript backend: the same bytes every time.
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import tf from '@tensorflow/tfjs';
import { glyphs, SHAPES, SIZE } from './sample/glyphs.mjs';
import { patches } from './sample/network.mjs';
import { npz } from './sample/npz.mjs';
import { Random } from './sample/random.mjs';

const SEED = 4711;
const STEPS = 1200;
const BATCH = 32;
const PEAK_LEARNING_RATE = 0.06;
const MOMENTUM = 0.9;
const WEIGHT_DECAY = 0.002;
/** On the wide dense layer: strong enough that directions the task does not need die out. */
const DENSE_WEIGHT_DECAY = 0.008;
const WARM_UP_STEPS = 60;
const IMAGES = 500;
/** Seed of the images that are kept; training never uses it. */
const IMAGE_SEED = 90125;
/** Pixels are kept as bytes: (value + MEAN) ÷ SCALE. The recipe undoes it. */
const SCALE = 0.01;
const MEAN = 1;

/** name → inputs and outputs of its matrix; convolutions have 3 × 3 windows and stride 2. */
const LAYERS = {
  conv1: { inputs: 9, outputs: 8 },
  conv2: { inputs: 8 * 9, outputs: 16 },
  hidden: { inputs: 4 * 4 * 16, outputs: 64 },
  classifier: { inputs: 64, outputs: SHAPES.length },
};

/** Kernels, inputs × outputs, and biases by name. @returns {Map<string, tf.Variable>} */
function parametersOf(random) {
  const parameters = new Map();
  for (const [name, { inputs, outputs }] of Object.entries(LAYERS)) {
    const deviation = Math.sqrt(2 / inputs);
    const values = Float32Array.from({ length: inputs * outputs }, () => deviation * random.normal());
    parameters.set(`${name}/kernel`, tf.variable(tf.tensor2d(values, [inputs, outputs])));
    parameters.set(`${name}/bias`, tf.variable(tf.zeros([outputs])));
  }
  return parameters;
}

/** Logits of images (batch × SIZE·SIZE). Convolutions are matrix products, which the backend does much faster. */
function logits(parameters, images) {
  const dense = (x, name) =>
    tf.add(tf.matMul(x, parameters.get(`${name}/kernel`)), parameters.get(`${name}/bias`));
  const batch = images.shape[0];
  const convolution = (x, name) => {
    const side = x.shape[1] / 2;
    return tf.relu(dense(patches(x, 2, 0), name)).reshape([batch, side, side, LAYERS[name].outputs]);
  };
  const features = convolution(convolution(images.reshape([batch, SIZE, SIZE, 1]), 'conv1'), 'conv2');
  return dense(tf.relu(dense(features.reshape([batch, LAYERS.hidden.inputs]), 'hidden')), 'classifier');
}

/** The same network as a layers model. */
function layersModel(parameters) {
  const model = tf.sequential({ name: 'glyphs' });
  const common = { padding: 'same', activation: 'relu', kernelSize: 3, strides: 2 };
  const { conv1, conv2, hidden, classifier } = LAYERS;
  model.add(
    tf.layers.conv2d({ ...common, name: 'conv1', filters: conv1.outputs, inputShape: [SIZE, SIZE, 1] }),
  );
  model.add(tf.layers.conv2d({ ...common, name: 'conv2', filters: conv2.outputs }));
  model.add(tf.layers.flatten({ name: 'flatten' }));
  model.add(tf.layers.dense({ name: 'hidden', units: hidden.outputs, activation: 'relu' }));
  model.add(tf.layers.dense({ name: 'classifier', units: classifier.outputs, activation: 'softmax' }));
  for (const { val, originalName } of model.weights) {
    const parameter = parameters.get(originalName);
    // Rows of patches have channel after channel; Keras keeps windows × channels × filters.
    val.assign(
      val.shape.length === 4
        ? parameter.reshape([val.shape[2], 3, 3, val.shape[3]]).transpose([1, 2, 0, 3])
        : parameter.clone(),
    );
  }
  return model;
}

/** Linear warm-up, then a straight line to zero: no transcendental function whose last bit could differ. */
function learningRate(step) {
  const warm = Math.min(1, (step + 1) / WARM_UP_STEPS);
  return PEAK_LEARNING_RATE * warm * Math.min(1, 1.25 * (1 - step / STEPS));
}

function weightDecay(name) {
  if (!name.endsWith('/kernel')) return 0;
  return name.startsWith('hidden') ? DENSE_WEIGHT_DECAY : WEIGHT_DECAY;
}

/** One step of stochastic gradient descent with momentum. Returns the loss. */
function trainStep(parameters, velocities, step) {
  return tf.tidy(() => {
    const { images, labels } = glyphs(BATCH, SEED + 7919 * (step + 1));
    const x = tf.tensor2d(images, [BATCH, SIZE * SIZE]);
    const target = tf.oneHot(tf.tensor1d(labels, 'int32'), SHAPES.length).toFloat();
    const loss = () => tf.losses.softmaxCrossEntropy(target, logits(parameters, x));
    const { value, grads } = tf.variableGrads(loss, [...parameters.values()]);
    for (const [name, parameter] of parameters) {
      const decayed = tf.add(grads[parameter.name], tf.mul(parameter, weightDecay(name)));
      const velocity = velocities.get(name);
      velocity.assign(tf.add(tf.mul(velocity, MOMENTUM), decayed));
      parameter.assign(tf.sub(parameter, tf.mul(velocity, learningRate(step))));
    }
    return value.dataSync()[0];
  });
}

/** The images that are kept, as bytes and as the network gets them back. */
function keptImages() {
  const { images, labels } = glyphs(IMAGES, IMAGE_SEED);
  const bytes = Uint8Array.from(images, (value) =>
    Math.min(255, Math.max(0, Math.round((value + MEAN) / SCALE))),
  );
  return { bytes, labels, values: Float32Array.from(bytes, (byte) => byte * SCALE - MEAN) };
}

function accuracy(model, { values, labels }) {
  return tf.tidy(() => {
    const guesses = model
      .apply(tf.tensor4d(values, [IMAGES, SIZE, SIZE, 1]))
      .argMax(1)
      .dataSync();
    return guesses.filter((guess, i) => guess === labels[i]).length / IMAGES;
  });
}

function write(file, content) {
  writeFileSync(file, content);
  console.log(
    `${file}: ${content.length} bytes, sha256 ${createHash('sha256').update(content).digest('hex')}`,
  );
}

const argument = process.argv.indexOf('--out');
const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const out = argument > 0 ? process.argv[argument + 1] : path.join(root, 'media/sample');

await tf.setBackend('cpu');
const parameters = parametersOf(new Random(SEED));
const velocities = new Map(
  [...parameters].map(([name, parameter]) => [name, tf.variable(tf.zerosLike(parameter), false)]),
);
const started = performance.now();
let smoothed = 0;
for (let step = 0; step < STEPS; step++) {
  const loss = trainStep(parameters, velocities, step);
  smoothed = step === 0 ? loss : 0.98 * smoothed + 0.02 * loss;
  if ((step + 1) % 200 === 0) {
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    console.log(`step ${step + 1} of ${STEPS}  loss ${smoothed.toFixed(4)}  ${seconds} s`);
  }
}
const model = layersModel(parameters);
const images = keptImages();
const right = accuracy(model, images);
console.log(`accuracy ${(100 * right).toFixed(2)} % of ${IMAGES} images`);
if (right < 0.95) throw new Error('this is not a network that works: nothing written');

mkdirSync(path.join(out, 'network'), { recursive: true });
const specs = model.weights.map(({ originalName, shape }) => ({
  name: originalName,
  shape,
  dtype: 'float32',
}));
const topology = model.toJSON(undefined, false);
const manifest = [{ paths: ['weights.bin'], weights: specs }];
const description = { format: 'layers-model', modelTopology: topology, weightsManifest: manifest };
write(path.join(out, 'network/model.json'), `${JSON.stringify(description, undefined, 1)}\n`);
const values = model.weights.map(({ val }) => val.dataSync());
write(
  path.join(out, 'network/weights.bin'),
  Buffer.concat(
    values.map(({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength)),
  ),
);
const arrays = [
  { name: 'images', shape: [IMAGES, SIZE, SIZE], bytes: images.bytes },
  { name: 'labels', shape: [IMAGES], bytes: Uint8Array.from(images.labels) },
];
write(path.join(out, 'glyphs.npz'), npz(arrays));
