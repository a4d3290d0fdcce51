// Trains the sample checkpoint, media/sample/sample.safetensors: a small real network with layers that differ in rank.
//   node scripts/train-sample.mjs [--out FILE]
// Everything is seeded and runs on the plain JavaScript backend: the same bytes every time.
import { renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { createHash } from 'node:crypto';
import tf from '@tensorflow/tfjs';
import { glyphs, SIZE } from './sample/glyphs.mjs';
import { GlyphNetwork } from './sample/network.mjs';
import { Random } from './sample/random.mjs';
import { safetensors } from './sample/safetensors.mjs';

const SEED = 20240;
const STEPS = 1500;
const BATCH = 20;
const PEAK_LEARNING_RATE = 0.035;
const MOMENTUM = 0.9;
/**
 * L2 in the gradient, on matrices only. In the wide dense layers it is strong enough that directions the task does not
 * need die out within the training; everywhere else it is an ordinary one.
 */
const DENSE_WEIGHT_DECAY = 0.018;
const WEIGHT_DECAY = 0.004;
const WARM_UP_STEPS = 100;
const VALIDATION_IMAGES = 2000;

/** Linear warm-up, then a straight line to zero: no transcendental function whose last bit could differ. */
function learningRate(step) {
  const warm = Math.min(1, (step + 1) / WARM_UP_STEPS);
  return PEAK_LEARNING_RATE * warm * Math.min(1, 1.25 * (1 - step / STEPS));
}

function weightDecay(name) {
  if (!/weight$/.test(name) || /^(bn|norm)/.test(name)) return 0;
  return /^fc/.test(name) ? DENSE_WEIGHT_DECAY : WEIGHT_DECAY;
}

/** One step of stochastic gradient descent with momentum, as torch.optim.SGD defines it. Returns the loss. */
function trainStep(network, velocities, step) {
  return tf.tidy(() => {
    const { images, labels } = glyphs(BATCH, SEED + 7919 * (step + 1));
    const x = tf.tensor2d(images, [BATCH, SIZE * SIZE]);
    const target = tf.oneHot(tf.tensor1d(labels, 'int32'), 10).toFloat();
    const loss = () => tf.losses.softmaxCrossEntropy(target, network.logits(x, true));
    const { value, grads } = tf.variableGrads(loss, [...network.parameters.values()]);
    for (const [name, parameter] of network.parameters) {
      const decayed = tf.add(grads[name], tf.mul(parameter, weightDecay(name)));
      const velocity = velocities.get(name);
      velocity.assign(tf.add(tf.mul(velocity, MOMENTUM), decayed));
      parameter.assign(tf.sub(parameter, tf.mul(velocity, learningRate(step))));
    }
    return value.dataSync()[0];
  });
}

/** Share of right answers on images of a seed that training never uses. */
function validationAccuracy(network) {
  const { images, labels } = glyphs(VALIDATION_IMAGES, 4242);
  return tf.tidy(() => {
    const guesses = network
      .logits(tf.tensor2d(images, [VALIDATION_IMAGES, SIZE * SIZE]), false)
      .argMax(1)
      .dataSync();
    return guesses.filter((guess, i) => guess === labels[i]).length / VALIDATION_IMAGES;
  });
}

function fileTensors(network) {
  const tensors = [];
  for (const [name, variable] of [...network.parameters, ...network.buffers]) {
    tensors.push({ name, shape: GlyphNetwork.fileShape(name, variable.shape), values: variable.dataSync() });
  }
  return tensors;
}

const argument = process.argv.indexOf('--out');
const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const out = argument > 0 ? process.argv[argument + 1] : path.join(root, 'media/sample/sample.safetensors');

await tf.setBackend('cpu');
const network = new GlyphNetwork(new Random(SEED));
const velocities = new Map(
  [...network.parameters].map(([name, p]) => [name, tf.variable(tf.zerosLike(p), false)]),
);
const started = performance.now();
let smoothed = 0;
for (let step = 0; step < STEPS; step++) {
  const loss = trainStep(network, velocities, step);
  smoothed = step === 0 ? loss : 0.98 * smoothed + 0.02 * loss;
  if ((step + 1) % 200 === 0) {
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    console.log(`step ${step + 1} of ${STEPS}  loss ${smoothed.toFixed(4)}  ${seconds} s`);
  }
}
const accuracy = validationAccuracy(network);
console.log(`validation accuracy ${(100 * accuracy).toFixed(2)} % of ${VALIDATION_IMAGES} images`);
if (accuracy < 0.95) throw new Error('this is not a network that works: nothing written');
const bytes = safetensors(fileTensors(network), { format: 'pt' });
writeFileSync(`${out}.partial`, bytes);
renameSync(`${out}.partial`, out);
console.log(`${out}: ${bytes.length} bytes, sha256 ${createHash('sha256').update(bytes).digest('hex')}`);
