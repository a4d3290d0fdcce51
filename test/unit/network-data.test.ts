/** Data of recipes: the same numbers as numpy, PIL and PyTorch read and make. */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { NetworkInput } from '../../src/network/data/dataset';
import { disposeNetworkData, openDataset, openNetworkData } from '../../src/network/data/openDataset';
import type { ResolvedData } from '../../src/network/recipe';
import { temporaryFolder, zip } from '../fixtures/handmade';
import { DATA_FIXTURES, networkReferences } from '../reference/networkReferences';
import { sharedData } from '../reference/references';

const never = new AbortController().signal;
const { arrays, pictures } = networkReferences();
const fixture = (name: string) => path.join(DATA_FIXTURES, name);
const close = (actual: ArrayLike<number>, expected: readonly number[], tolerance: number) => {
  assert.equal(actual.length, expected.length);
  expected.forEach((value, i) => {
    assert.ok(Math.abs((actual[i] ?? NaN) - value) <= tolerance, `${i}: ${actual[i]}, not ${value}`);
  });
};

/** All samples of a data set. */
async function load(data: Partial<ResolvedData> & { readonly file: string }, network?: NetworkInput) {
  const { file, ...settings } = data;
  const dataset = await openDataset(
    { path: [file], folder: path.dirname(file), ...settings },
    network,
    never,
  );
  try {
    return { ...dataset, values: await dataset.read(0, dataset.samples) };
  } finally {
    await dataset.dispose();
  }
}

const plain = { scale: 1 };

describe('arrays of NumPy', () => {
  test('come by their usual names, bytes as shares of 255', async () => {
    const { values, labels, shape } = await load({ file: fixture('stored.npz') });
    assert.deepEqual(shape, [2, 3, 3]);
    assert.deepEqual([...(labels ?? [])], arrays.labels);
    // What x.astype("float32") / 255 gives, to the bit.
    const expected = arrays.bytes.map((byte) => Math.fround(byte / 255));
    assert.deepEqual([...values], expected);
  });

  test('come compressed, in Fortran order, in half precision and big-endian', async () => {
    const compressed = await load({ file: fixture('compressed.npz'), ...plain });
    assert.deepEqual([...compressed.values], arrays.bytes);
    assert.deepEqual([...(compressed.labels ?? [])], arrays.labels);
    const fortran = await load({ file: fixture('fortran.npz') });
    close(fortran.values, arrays.floats, 2e-7);
    const half = await load({ file: fixture('half.npz') });
    assert.deepEqual([...half.values], arrays.halves);
    assert.equal(half.labels, undefined);
    const npy = await load({ file: fixture('inputs.npy'), labels: 'targets.npy' });
    close(npy.values, arrays.floats, 2e-7);
    assert.deepEqual([...(npy.labels ?? [])], arrays.labels);
  });

  test('have one-hot labels, which is said', async () => {
    const { labels, notes } = await load({ file: fixture('one_hot.npz') });
    assert.deepEqual([...(labels ?? [])], arrays.labels);
    assert.match(notes.join(), /one-hot/);
  });

  test('are named by the recipe where their names say nothing', async () => {
    const named = await load({ file: fixture('unnamed.npz'), inputs: 'second', labels: 'third' });
    close(
      named.values,
      arrays.floats.map((value) => 2 * value),
      1e-6,
    );
    assert.deepEqual([...(named.labels ?? [])], arrays.labels);
    await assert.rejects(
      load({ file: fixture('unnamed.npz') }),
      /Name it as "inputs".*first \[6, 5\], second/,
    );
    await assert.rejects(
      load({ file: fixture('unnamed.npz'), inputs: 'frist' }),
      /no array "frist" \(did you mean first\?\)/,
    );
  });

  test('give ranges of samples, with their labels', async () => {
    const { values, labels, samples } = await load({ file: fixture('fortran.npz'), from: 2, to: 5 });
    assert.equal(samples, 3);
    close(values, arrays.floats.slice(10, 25), 2e-7);
    assert.deepEqual([...(labels ?? [])], arrays.labels.slice(2, 5));
    await assert.rejects(load({ file: fixture('fortran.npz'), to: 7 }), /samples 0 to 6 .* there are 6/);
  });
});

describe('what is done to samples', () => {
  const file = fixture('stored.npz');
  const [channels, height, width] = [2, 3, 3];
  const raw = (sample: number, c: number, y: number, x: number): number =>
    arrays.bytes[((sample * channels + c) * height + y) * width + x] ?? NaN;

  test('channels go last for a network that has them last', async () => {
    const network: NetworkInput = { shape: [3, 3, 2], layout: 'hwc' };
    const { values, shape } = await load({ file, layout: 'chw', ...plain }, network);
    assert.deepEqual(shape, [3, 3, 2]);
    for (let s = 0; s < 6; s++)
      for (let y = 0; y < height; y++)
        for (let x = 0; x < width; x++)
          for (let c = 0; c < channels; c++)
            assert.equal(values[((s * height + y) * width + x) * channels + c], raw(s, c, y, x));
  });

  test('a mean and a deviation a channel, after the scale', async () => {
    const network: NetworkInput = { shape: [2, 3, 3], layout: 'chw' };
    const { values } = await load({ file, scale: 0.5, mean: [10, 20], std: [2, 4] }, network);
    const expected = arrays.bytes.map((byte, i) =>
      Math.floor(i / 9) % 2 === 0 ? (byte * 0.5 - 10) / 2 : (byte * 0.5 - 20) / 4,
    );
    close(values, expected, 1e-5);
    const last: NetworkInput = { shape: [3, 3, 2], layout: 'hwc' };
    const moved = await load({ file, layout: 'chw', scale: 0.5, mean: [10, 20], std: [2, 4] }, last);
    assert.ok(Math.abs((moved.values[1] ?? NaN) - (raw(0, 1, 0, 0) * 0.5 - 20) / 4) < 1e-5);
    await assert.rejects(
      load({ file, mean: [1, 2, 3] }, network),
      /mean has 3 numbers, but a sample has 2 channels/,
    );
  });

  test('rows become pictures and pictures rows, as the network asks', async () => {
    const flat = await load({ file, layout: 'chw', ...plain }, { shape: [18], layout: 'chw' });
    assert.deepEqual(flat.shape, [18]);
    assert.deepEqual([...flat.values], arrays.bytes);
    const square = await load({ file: fixture('fortran.npz') }, { shape: [5, 1, 1], layout: 'hwc' });
    assert.deepEqual(square.shape, [5, 1, 1]);
    close(square.values, arrays.floats, 2e-7);
  });

  test('what does not fit the network is refused with both shapes', async () => {
    await assert.rejects(
      load({ file, layout: 'chw' }, { shape: [3, 32, 32], layout: 'chw' }),
      /its samples are 2 × 3 × 3, but the network takes 3 × 32 × 32/,
    );
    await assert.rejects(
      load({ file: fixture('fortran.npz') }, { shape: [784], layout: 'chw' }),
      /its samples are 5 numbers, but the network takes 784 numbers/,
    );
  });

  test('names the data by its bytes and settings, not by its place', async () => {
    const { folder } = temporaryFolder();
    const copy = path.join(folder, 'moved.npz');
    copyFileSync(file, copy);
    const original = await load({ file });
    assert.equal((await load({ file: copy })).identity, original.identity);
    assert.notEqual((await load({ file, mean: 0.5 })).identity, original.identity);
    assert.notEqual((await load({ file, to: 5 })).identity, original.identity);
    assert.notEqual((await load({ file: fixture('compressed.npz') })).identity, original.identity);
  });

  test('is opened once for Gram and validation where the recipe names one', async () => {
    const validation = { path: [file], folder: DATA_FIXTURES };
    const one = await openNetworkData({ validation, batchSize: 4 }, undefined, never);
    assert.equal(one.gram, one.validation);
    await disposeNetworkData(one);
    const gram = { ...validation, to: 2 };
    const two = await openNetworkData({ validation, gram, batchSize: 4 }, undefined, never);
    assert.equal(two.gram.samples, 2);
    await disposeNetworkData(two);
  });
});

describe('pictures', () => {
  for (const [name, { channels, values }] of Object.entries(pictures.pictures)) {
    test(`${name} has the pixels that PIL reads`, async () => {
      const { folder } = temporaryFolder();
      copyFileSync(fixture(name), path.join(folder, name));
      const read = await load({ file: folder, ...plain });
      assert.deepEqual(read.shape, [pictures.height, pictures.width, channels]);
      assert.equal(read.labels, undefined);
      close(read.values, values, name === 'grey16.png' ? 2e-5 : 0);
    });
  }

  test('become grey as PIL makes them', async () => {
    const { folder } = temporaryFolder();
    copyFileSync(fixture('rgb.png'), path.join(folder, 'a.png'));
    const { values, shape } = await load({ file: folder, colours: 'grey', ...plain });
    assert.deepEqual(shape, [pictures.height, pictures.width, 1]);
    assert.deepEqual([...values], pictures.luma);
  });

  for (const [size, values] of Object.entries(pictures.resized)) {
    test(`are resized to ${size} as PyTorch interpolates`, async () => {
      const [height = 0, width = 0] = size.split('x').map(Number);
      const { folder } = temporaryFolder();
      copyFileSync(fixture('rgb.png'), path.join(folder, 'a.png'));
      const read = await load({ file: folder, size: [height, width], ...plain });
      close(read.values, values, 2e-5);
    });
  }

  /** Class folders of single pictures, by content. */
  const classes = [
    ['b_dog/1.png', 'rgb.png'],
    ['b_dog/0.jpg', 'colour444.jpg'],
    ['a_cat/9.png', 'interlaced.png'],
    ['b_dog/notes.txt', 'one_hot.npz'],
    ['.DS_Store', 'one_hot.npz'],
  ] as const;
  const expected = {
    // Sorted folders, taken in turns: cat 9, dog 0, dog 1.
    labels: [0, 1, 1],
    values: ['interlaced.png', 'colour444.jpg', 'rgb.png'].flatMap(
      (name) => pictures.pictures[name]?.values ?? [],
    ),
  };

  test('have the class of their folder', async () => {
    const { folder } = temporaryFolder();
    for (const [name, source] of classes) {
      mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
      copyFileSync(fixture(source), path.join(folder, name));
    }
    const { labels, values, notes } = await load({ file: folder, ...plain });
    assert.deepEqual([...(labels ?? [])], expected.labels);
    close(values, expected.values, 0);
    assert.match(notes.join(), /1 file in .* left out: neither PNG nor JPEG/);
  });

  test('come in zips, stored or compressed', async () => {
    const { write } = temporaryFolder();
    const entries = classes.map(([name, source], i) => ({
      name: `test/${name}`,
      data: readFileSync(fixture(source)),
      deflate: i % 2 === 0,
    }));
    const file = write('pictures.zip', zip(entries));
    const { labels, values } = await load({ file, ...plain });
    assert.deepEqual([...(labels ?? [])], expected.labels);
    close(values, expected.values, 0);
  });

  test('go to networks of channels first or last, in colour or grey', async () => {
    const { folder } = temporaryFolder();
    copyFileSync(fixture('rgb.png'), path.join(folder, 'a.png'));
    const chw = await load({ file: folder, ...plain }, { shape: [3, undefined, undefined], layout: 'chw' });
    assert.deepEqual(chw.shape, [3, pictures.height, pictures.width]);
    const rgb = pictures.pictures['rgb.png']?.values ?? [];
    assert.equal(chw.values[1], rgb[3]);
    assert.equal(chw.values[pictures.height * pictures.width], rgb[1]);
    const grey = await load({ file: folder, ...plain }, { shape: [1, 11, 13], layout: 'chw' });
    assert.deepEqual([...grey.values], pictures.luma);
  });
});

/** An IDX file of bytes. */
function idx(shape: readonly number[], values: readonly number[], type = 8): Buffer {
  const header = Buffer.alloc(4 + 4 * shape.length);
  header.writeUInt8(type, 2);
  header.writeUInt8(shape.length, 3);
  shape.forEach((size, axis) => header.writeUInt32BE(size, 4 + 4 * axis));
  return Buffer.concat([header, Buffer.from(values)]);
}

describe('IDX', () => {
  const pixels = Array.from({ length: 3 * 2 * 2 }, (_, i) => 20 * i);

  test('has its labels beside it, gzipped or not', async () => {
    const { write } = temporaryFolder();
    const images = write('t10k-images-idx3-ubyte', idx([3, 2, 2], pixels));
    write('t10k-labels-idx1-ubyte.gz', gzipSync(idx([3], [7, 0, 2])));
    const { values, labels, shape } = await load({ file: images, ...plain });
    assert.deepEqual(shape, [2, 2]);
    assert.deepEqual([...values], pixels);
    assert.deepEqual([...(labels ?? [])], [7, 0, 2]);
    const packed = write('t10k-images-idx3-ubyte.gz', gzipSync(idx([3, 2, 2], pixels)));
    const network: NetworkInput = { shape: [2, 2, 1], layout: 'hwc' };
    const again = await load({ file: packed, from: 1, ...plain }, network);
    assert.deepEqual(again.shape, [2, 2, 1]);
    assert.deepEqual([...again.values], pixels.slice(4));
  });

  test('runs without labels, and takes them from a file that is named', async () => {
    const { write, folder } = temporaryFolder();
    const file = write('digits.idx', idx([3, 2, 2], pixels));
    assert.equal((await load({ file })).labels, undefined);
    write('classes.idx', idx([3], [1, 2, 3]));
    const named = await load({ file, labels: 'classes.idx', folder });
    assert.deepEqual([...(named.labels ?? [])], [1, 2, 3]);
  });

  test('of big-endian numbers', async () => {
    const { write } = temporaryFolder();
    const values = Buffer.alloc(16);
    [1.5, -2, 3, 0.25].forEach((value, i) => values.writeFloatBE(value, 4 * i));
    const file = write('a.idx', Buffer.concat([idx([2, 2], [], 0x0d), values]));
    assert.deepEqual([...(await load({ file })).values], [1.5, -2, 3, 0.25]);
  });
});

describe('CIFAR binaries', () => {
  const record = (labels: readonly number[], seed: number): Buffer =>
    Buffer.from([...labels, ...Array.from({ length: 3072 }, (_, i) => (i * seed) % 251)]);

  test('of CIFAR-10, several batches in a row', async () => {
    const { write, folder } = temporaryFolder();
    const first = write('data_batch_1.bin', Buffer.concat([record([3], 7), record([9], 11)]));
    const second = write('test_batch.bin', record([0], 13));
    const dataset = await openDataset({ path: [first, second], folder, scale: 1 }, undefined, never);
    assert.deepEqual(dataset.shape, [3, 32, 32]);
    assert.deepEqual([...(dataset.labels ?? [])], [3, 9, 0]);
    const values = await dataset.read(1, 3);
    assert.deepEqual([...values.subarray(0, 3072)], [...record([], 11)]);
    assert.deepEqual([...values.subarray(3072)], [...record([], 13)]);
    await dataset.dispose();
  });

  test('of CIFAR-100, with the labels that are asked for', async () => {
    const { write } = temporaryFolder();
    const file = write('test.bin', Buffer.concat([record([19, 99], 3), record([0, 5], 5)]));
    assert.deepEqual([...((await load({ file })).labels ?? [])], [99, 5]);
    assert.deepEqual([...((await load({ file, labels: 'coarse' })).labels ?? [])], [19, 0]);
    await assert.rejects(
      load({ file, labels: 'super' }),
      /labels of CIFAR-100 are "coarse" or "fine", not "super"/,
    );
  });
});

const shared = sharedData();

describe('real data', { skip: shared === undefined && 'no shared data beside the project' }, () => {
  const { mnist } = networkReferences().shared;
  const folder = shared ?? '';

  test('MNIST', async () => {
    const file = path.join(folder, 'mnist/t10k-images-idx3-ubyte.gz');
    const { labels, values, shape, samples } = await load({ file, to: 100, ...plain });
    assert.deepEqual(shape, [28, 28]);
    assert.equal(samples, 100);
    assert.deepEqual([...(labels ?? [])].slice(0, 20), mnist.labels);
    assert.equal(
      values.reduce((sum, value) => sum + value, 0),
      mnist.sum,
    );
  });

  test('CIFAR-10 in a compressed archive, test before training', async () => {
    const file = path.join(folder, 'cifar10_lossless_subset/cifar10_lossless_subset.npz');
    const network: NetworkInput = { shape: [3, 32, 32], layout: 'chw' };
    const { labels, values, samples } = await load({ file, ...plain }, network);
    assert.equal(samples, 932);
    // The first labels and pixels of the official test batch.
    assert.deepEqual([...(labels ?? [])].slice(0, 6), [3, 8, 8, 0, 6, 6]);
    assert.deepEqual([...values.subarray(0, 6)], [158, 159, 165, 166, 160, 156]);
  });

  test('CIFAR-10 as JPEG files in a zip of class folders', async () => {
    const file = path.join(folder, 'cifar10_jpeg/test.zip');
    const { labels, shape, values } = await load({ file, to: 20, ...plain });
    assert.deepEqual(shape, [32, 32, 3]);
    assert.deepEqual([...(labels ?? [])], [...Array.from({ length: 20 }, (_, i) => i % 10)]);
    // airplane/0000.jpg as PIL reads it.
    assert.deepEqual([...values.subarray(0, 9)], [141, 159, 179, 159, 176, 196, 168, 183, 202]);
  });
});
