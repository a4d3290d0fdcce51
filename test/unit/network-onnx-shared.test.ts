/** Real networks in ONNX on their own data. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { withFile } from '../../src/checkpoint/file';
import { type OnnxGraph, readOnnxModel } from '../../src/checkpoint/onnx';
import { pythonWith } from '../reference/python';
import { ROOT, sharedData } from '../reference/references';
import { both, dataset, openNetwork, signal, temporaryFile } from './onnxNetworks';

const shared = sharedData();
const skip = shared === undefined && 'no shared data here';
const inShared = (...parts: string[]): string => path.join(shared ?? '', ...parts);

describe('a digit network of another library (MNIST)', { skip }, () => {
  // Its batch is fixed at one, so that every sample is a run.
  const SAMPLES = 1000;

  test('tells nearly all digits, and fewer with a layer switched off', async (t) => {
    const pixels = gunzipSync(readFileSync(inShared('mnist', 't10k-images-idx3-ubyte.gz')));
    const classes = gunzipSync(readFileSync(inShared('mnist', 't10k-labels-idx1-ubyte.gz')));
    const values = Float32Array.from(
      pixels.subarray(16, 16 + SAMPLES * 784),
      (byte) => (byte / 255 - 0.1307) / 0.3081,
    );
    const labels = Int32Array.from(classes.subarray(8, 8 + SAMPLES));
    const data = both(dataset(values, [1, 28, 28], labels), 64);
    const network = await openNetwork(t, inShared('burn_mnist', 'mnist.onnx'), data);
    assert.deepEqual(
      network.layers.map(({ name, shape, positions }) => [name, ...shape, positions]),
      [
        ['conv1.weight', 8, 9, 26 * 26],
        ['conv2.weight', 16, 72, 24 * 24],
        ['conv3.weight', 24, 144, 22 * 22],
        ['fc1.weight', 32, 11_616, 1],
        ['fc2.weight', 10, 32, 1],
      ],
    );
    const { value } = await network.evaluate(undefined, signal);
    assert.ok(value > 97, `${value} %`);
    const weight = new Float64Array(24 * 144);
    const { value: without } = await network.evaluate({ layer: 2, weight }, signal);
    assert.ok(without < 30, `${without} %`);
    const own = await network.weight(2, signal);
    assert.equal((await network.evaluate({ layer: 2, weight: own }, signal)).value, value);
  });
});

describe('a speech network with branches, loops and state (Silero VAD)', { skip }, () => {
  const file = inShared('silero_vad', 'silero_vad_16k_op15.onnx');

  test('is read as a whole', async () => {
    const { graph } = await withFile(file, (opened) => Promise.resolve(readOnnxModel(opened)));
    assert.equal(
      graph.initializers.find(({ name }) => name === 'model.decoder.rnn.weight_ih')?.shape[0],
      512,
    );
    const depth = ({ nodes }: OnnxGraph): number =>
      1 +
      Math.max(
        0,
        ...nodes.flatMap((node) => [...node.attributes.values()].flatMap(({ graphs }) => graphs.map(depth))),
      );
    assert.ok(depth(graph) >= 2);
  });

  test('is not measured, because it wants more than samples', async (t) => {
    const data = both(dataset(new Float32Array(512), [512]), 1);
    await assert.rejects(
      openNetwork(t, file, data),
      /the network has 3 inputs \("input", "state" and "sr"\), and data feeds one/,
    );
  });
});

const python = pythonWith('torch, numpy');
const noPython = python === undefined && 'no Python with torch here';

/** Exports the network with its batch norms, and writes the test images as it takes them. */
const EXPORT_RESNET = `
import sys
sys.path.insert(0, sys.argv[1])
import numpy, torch, resnet_cifar
model = resnet_cifar.load_resnet(sys.argv[2])
torch.onnx.export(model, torch.zeros(2, 3, 32, 32), sys.argv[4], input_names=['x'], output_names=['y'],
    dynamic_axes={'x': {0: 'N'}, 'y': {0: 'N'}}, training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False)
data = numpy.load(sys.argv[3])
resnet_cifar.normalise(data['x_test']).numpy().tofile(sys.argv[4] + '.images')
data['y_test'].astype('int32').tofile(sys.argv[4] + '.labels')
`;

describe('ResNet-20 on CIFAR-10, exported by PyTorch', { skip: skip !== false ? skip : noPython }, () => {
  test('has its 91.63 %, the names of its checkpoint, and 20 layers', async (t) => {
    const checkpoint = inShared('resnet_cifar10', 'resnet20-12fca82f.th');
    const file = temporaryFile(t, 'resnet20.onnx', new Uint8Array(0));
    const images = inShared('cifar10_lossless_subset', 'cifar10_lossless_subset.npz');
    const argv = ['-c', EXPORT_RESNET, path.join(ROOT, 'test/reference'), checkpoint, images, file];
    const { status, stderr } = spawnSync(python ?? '', argv, { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    const bytesOf = (name: string): ArrayBuffer => new Uint8Array(readFileSync(name)).buffer;
    const values = new Float32Array(bytesOf(`${file}.images`));
    const labels = new Int32Array(bytesOf(`${file}.labels`));
    const network = await openNetwork(t, file, both(dataset(values, [3, 32, 32], labels), 64), checkpoint);
    assert.equal(network.layers.length, 20);
    for (const { name } of network.layers) assert.match(name, /^state_dict\.module\..*\.weight$/);
    assert.deepEqual(network.facts.notes, []);
    const round = (value: number): number => Math.round(value * 100) / 100;
    assert.equal(round((await network.evaluate(undefined, signal)).value), 91.63);
    // From a cut in the middle of a residual block, and from one before: the same.
    for (const layer of [12, 3]) {
      const weight = await network.weight(layer, signal);
      assert.equal(round((await network.evaluate({ layer, weight }, signal)).value), 91.63);
    }
  });
});
