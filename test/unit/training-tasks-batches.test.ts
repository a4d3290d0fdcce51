/** What all tasks promise: batches that are functions of step, size and seed, epochs that are permutations, true numbers. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { CheckpointError } from '../../src/checkpoint/errors';
import type { ResolvedData } from '../../src/network/recipe';
import {
  networkFit,
  openTask,
  type Task,
  type TaskOptions,
  type TrainingData,
} from '../../src/training/tasks';
import { temporaryFolder, zip } from '../fixtures/handmade';
import { float32Bytes, float64Bytes, npyEntry, objOf, ringMesh } from './trainingFiles';
import { tensors, tf, withTensors } from './trainingTensors';

withTensors();
const { folder, write } = temporaryFolder();
const signal = new AbortController().signal;

/** 5 × 4 pictures of bytes, each pixel of each picture different from all others; class i mod 3. */
const PICTURES = 30;
const pictures = write(
  'pictures.npz',
  zip([
    npyEntry(
      'x_train',
      '|u1',
      [PICTURES, 5, 4, 3],
      Buffer.from(
        Array.from({ length: PICTURES * 60 }, (_, i) =>
          i % 3 === 0 ? Math.floor(i / 60) : i % 3 === 1 ? Math.floor((i % 60) / 3) : 255 - (i % 60),
        ),
      ),
    ),
    npyEntry('y_train', '|u1', [PICTURES], Buffer.from(Array.from({ length: PICTURES }, (_, i) => i % 3))),
    npyEntry('x_test', '|u1', [4, 5, 4, 3], Buffer.alloc(240, 7)),
    npyEntry('y_test', '|u1', [4], Buffer.from([0, 1, 2, 2])),
  ]),
);
const data = (settings: Partial<ResolvedData> = {}): ResolvedData => ({
  path: [pictures],
  folder,
  ...settings,
});
const CLASSIFICATION: TrainingData = {
  kind: 'classification',
  train: data(),
  validation: data({ inputs: 'x_test' }),
};

/** Nine views of 4 × 4 pixels, opaque; red names the view, green the pixel. */
const VIEW_PIXELS = Array.from({ length: 9 * 16 * 4 }, (_, i) => {
  const [pixel, channel] = [Math.floor(i / 4), i % 4];
  return channel === 3
    ? 255
    : channel === 0
      ? Math.floor(pixel / 16) * 20
      : channel === 1
        ? (pixel % 16) * 10
        : 0;
});
const POSE = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 4, 0, 0, 0, 1];
function views(name: string, pixels: readonly number[]): string {
  const poses = Array.from({ length: 9 }, () => POSE).flat();
  return write(
    name,
    zip([
      npyEntry('images', '|u1', [9, 4, 4, 4], Buffer.from(pixels)),
      npyEntry('poses', '<f4', [9, 4, 4], float32Bytes(poses)),
      npyEntry('focal', '<f8', [], float64Bytes([4])),
    ]),
  );
}
const VIEWS: TrainingData = { kind: 'views', path: views('views.npz', VIEW_PIXELS), samplesPerRay: 4 };

/** 450 characters that are all different. */
const LETTERS = Array.from({ length: 450 }, (_, i) => String.fromCodePoint(0x4e00 + i)).join('');
const text = write('letters.txt', LETTERS);
const labelled = write(
  'lines.tsv',
  Array.from({ length: 40 }, (_, i) => `${i % 4 === 0 ? 'odd' : 'even'}\t${LETTERS[i] ?? ''}abc`).join('\n'),
);

const NETWORKS = {
  pictures: { input: [5, 4, 3], output: [3] },
  points: { input: [3], output: [1] },
  radiance: { input: [6], output: [4] },
} as const;

interface Case {
  readonly name: string;
  readonly data: TrainingData;
  readonly options: Omit<TaskOptions, 'signal'>;
  /** What tells one sample of a batch from all others: some values of some array. */
  readonly key: { readonly array: number; readonly values: number };
  readonly samples: number;
}

const CASES: readonly Case[] = [
  {
    name: 'classification',
    data: CLASSIFICATION,
    options: { network: NETWORKS.pictures },
    key: { array: 0, values: 60 },
    samples: 30,
  },
  {
    name: 'occupancy',
    data: { kind: 'occupancy', solid: 'spheres', resolution: 12 },
    options: { network: NETWORKS.points },
    key: { array: 0, values: 3 },
    samples: 1728,
  },
  {
    name: 'views',
    data: VIEWS,
    options: { network: NETWORKS.radiance },
    key: { array: 2, values: 3 },
    samples: 7 * 16,
  },
  {
    name: 'next characters',
    data: { kind: 'text', path: text, context: 5 },
    options: { network: { input: [5], output: [5, 450] } },
    key: { array: 0, values: 5 },
    samples: 80,
  },
  {
    name: 'covered characters',
    data: { kind: 'text', path: text, context: 5, task: 'masked' },
    options: { network: { input: [5], output: [5, 453] } },
    key: { array: 1, values: 5 },
    samples: 80,
  },
  {
    name: 'lines',
    data: { kind: 'text', path: labelled, context: 6, task: 'classes' },
    options: { network: { input: [6], output: [2] } },
    key: { array: 0, values: 6 },
    samples: 36,
  },
];

const opened: Task[] = [];
after(async () => {
  await Promise.all(opened.map((task) => task.dispose()));
});

async function open(one: Pick<Case, 'data' | 'options'>): Promise<Task> {
  const task = await openTask(one.data, { ...one.options, signal });
  opened.push(task);
  return task;
}

for (const one of CASES) {
  describe(one.name, () => {
    const { array, values } = one.key;

    /** Samples of the positions from … to−1 as texts. */
    async function keys(task: Task, from: number, to: number, size: number, seed: number): Promise<string[]> {
      const found: string[] = [];
      for (let step = from / size; step < to / size; step++) {
        const part = (await task.batch(step, size, seed, signal))[array];
        for (let i = 0; i < size; i++)
          found.push(part?.values.slice(i * values, (i + 1) * values).join() ?? '');
      }
      return found;
    }

    test('an epoch is a permutation, and the next another', async () => {
      const task = await open(one);
      assert.equal(task.samples, one.samples);
      const size = one.samples % 4 === 0 ? 4 : 5;
      const epochs = [
        await keys(task, 0, one.samples, size, 3),
        await keys(task, one.samples, 2 * one.samples, size, 3),
        await keys(task, 0, one.samples, size, 4),
      ];
      for (const epoch of epochs) assert.equal(new Set(epoch).size, one.samples);
      assert.notDeepEqual(epochs[0], epochs[1]);
      assert.notDeepEqual(epochs[0], epochs[2]);
    });

    test('a batch is the same whatever was asked for before', async () => {
      const [a, b] = [await open(one), await open(one)];
      assert.equal(a.identity, b.identity);
      assert.match(a.identity, /^[0-9a-f]{64}$/);
      const wanted = new Map<string, unknown>();
      for (const seed of [1, 2])
        for (let step = 0; step < 6; step++)
          wanted.set(`${step} ${seed}`, await a.batch(step, 7, seed, signal));
      // Backwards, between the seeds, and two at a time.
      for (let step = 5; step >= 0; step--) {
        const both = await Promise.all([1, 2].map((seed) => b.batch(step, 7, seed, signal)));
        assert.deepEqual(both, [wanted.get(`${step} 1`), wanted.get(`${step} 2`)]);
      }
      for (const { shape, values: numbers } of await a.batch(9, 7, 1, signal)) {
        assert.equal(shape[0], 7);
        assert.equal(
          numbers.length,
          shape.reduce((x, y) => x * y, 1),
        );
      }
    });

    test('inputs are as the network takes them, and the same every time', async () => {
      const task = await open(one);
      const [input, ...rest] = await task.inputs(10, signal);
      assert.deepEqual(rest, []);
      assert.ok(input !== undefined);
      assert.deepEqual(input.shape, [10, ...one.options.network.input]);
      assert.equal(
        input.values.length,
        input.shape.reduce((x, y) => x * y, 1),
      );
      assert.deepEqual(await (await open(one)).inputs(10, signal), [input]);
      const rows = Array.from({ length: 10 }, (_, i) =>
        input.values.slice((i * input.values.length) / 10, ((i + 1) * input.values.length) / 10).join(),
      );
      assert.equal(new Set(rows).size, 10);
    });

    test('the loss of a batch is a number, and its gradient is there', async () => {
      const task = await open(one);
      const batch = tensors(await task.batch(0, 4, 1, signal));
      const inputs = one.options.network.input;
      const outputs = one.options.network.output.reduce((x, y) => x * y, 1);
      const width = inputs.reduce((x, y) => x * y, 1);
      const weight = tf.variable(tf.randomNormal([width, outputs], 0, 0.1, 'float32', 3));
      const { value, grads } = tf.variableGrads(
        () =>
          task.loss(
            tf,
            (input) => {
              const flat = tf.cast(tf.reshape(input, [-1, width]), 'float32');
              const output = tf.matMul(flat, weight);
              return tf.reshape(output, [-1, ...one.options.network.output]);
            },
            batch,
          ),
        [weight],
      );
      assert.ok(Number.isFinite(value.dataSync()[0]));
      const gradient = [...(grads[weight.name]?.dataSync() ?? [])];
      assert.ok(gradient.every(Number.isFinite) && gradient.some((x) => x !== 0));
    });

    test('another network is refused in one line', async () => {
      const network = { input: [2], output: [2, 9] };
      await assert.rejects(openTask(one.data, { network, signal }), (error: unknown) => {
        assert.ok(error instanceof CheckpointError, String(error));
        assert.ok(!error.message.includes('\n'), error.message);
        return true;
      });
    });

    test('what network it needs is known before', async () => {
      const fit = await networkFit(one.data, signal);
      assert.deepEqual(fit.output, one.options.network.output);
      if (fit.input !== undefined) assert.deepEqual(fit.input, one.options.network.input);
    });

    test('an aborted signal is heard', async () => {
      await assert.rejects(
        openTask(one.data, { ...one.options, signal: AbortSignal.abort(new Error('enough')) }),
        /enough/,
      );
    });
  });
}

describe('classification', () => {
  test('values are those of the data, channels last, scaled and normalised', async () => {
    const train = data({ mean: [0.5, 0.25, 0], std: [2, 1, 0.5] });
    const task = await open({ data: { ...CLASSIFICATION, train }, options: { network: NETWORKS.pictures } });
    const [input, labels] = await task.batch(0, PICTURES, 1, signal);
    for (let i = 0; i < PICTURES; i++) {
      const picture = input?.values.subarray(60 * i, 60 * i + 60) ?? [];
      const index = Math.round(((picture[0] ?? 0) * 2 + 0.5) * 255);
      assert.equal(labels?.values[i], index % 3);
      assert.ok(Math.abs((picture[4] ?? 0) - (1 / 255 - 0.25)) < 1e-6);
      assert.ok(Math.abs((picture[5] ?? 0) - (250 / 255) * 2) < 1e-6);
    }
  });

  test('pictures are mirrored and moved within zeros, by seed and place', async () => {
    const augment = { flip: true, crop: 2 };
    const options = { network: NETWORKS.pictures, augment };
    const task = await open({ data: CLASSIFICATION, options });
    const plain = await open({ data: CLASSIFICATION, options: { network: NETWORKS.pictures } });
    assert.notEqual(task.identity, plain.identity);
    const moves = new Set<string>();
    let mirrored = 0;
    for (let step = 0; step < 20; step++) {
      const [batch] = await task.batch(step, PICTURES, 5, signal);
      const [before] = await plain.batch(step, PICTURES, 5, signal);
      for (let i = 0; i < PICTURES; i++) {
        const found = batch?.values.slice(60 * i, 60 * i + 60) ?? [];
        const original = before?.values.slice(60 * i, 60 * i + 60) ?? [];
        const explanation = explain(found, original);
        assert.ok(explanation !== undefined, 'a picture that is no moved one');
        moves.add(`${explanation.down} ${explanation.right}`);
        if (explanation.isMirrored) mirrored++;
      }
    }
    // 600 pictures.
    assert.equal(moves.size, 25);
    assert.ok(mirrored > 240 && mirrored < 360, `${mirrored} of 600 mirrored`);
    const network = { input: [60], output: [3] };
    await assert.rejects(
      open({ data: CLASSIFICATION, options: { network, augment } }),
      /"augment" is for pictures/,
    );
  });

  /** How a picture was moved, found by trying. */
  function explain(
    found: ArrayLike<number>,
    original: ArrayLike<number>,
  ): { down: number; right: number; isMirrored: boolean } | undefined {
    for (const isMirrored of [false, true])
      for (let down = -2; down <= 2; down++)
        for (let right = -2; right <= 2; right++) {
          let isSame = true;
          for (let i = 0; i < 60 && isSame; i++) {
            const [y, column] = [Math.floor(i / 12), Math.floor(i / 3) % 4];
            const x = isMirrored ? 3 - column : column;
            const [sy, sx] = [y + down, x + right];
            const isInside = sy >= 0 && sy < 5 && sx >= 0 && sx < 4;
            isSame = found[i] === (isInside ? original[(sy * 4 + sx) * 3 + (i % 3)] : 0);
          }
          if (isSame) return { down, right, isMirrored };
        }
    return undefined;
  }

  test('accuracy counts what is right', async () => {
    const task = await open({ data: CLASSIFICATION, options: { network: NETWORKS.pictures, batchSize: 3 } });
    // Always the last class, with 2 of 4 right.
    const fractions: number[] = [];
    const result = await task.evaluate(
      tf,
      (input) => tf.tile(tf.tensor2d([[0, 0, 2]]), [input.shape[0], 1]),
      signal,
      (fraction) => fractions.push(fraction),
    );
    assert.deepEqual([result.value, result.samples], [50, 4]);
    const sum = Math.log(2 + Math.exp(2));
    assert.ok(Math.abs(result.loss - (sum - 1)) < 1e-6, `${result.loss}`);
    assert.deepEqual(fractions, [0.75, 1]);
  });

  test('training arrays are taken for training, and the same samples twice are told', async () => {
    const task = await open({ data: CLASSIFICATION, options: { network: NETWORKS.pictures } });
    assert.deepEqual([task.samples, task.notes], [PICTURES, []]);
    const inputs = 'x_train';
    const twice = { kind: 'classification', train: data({ inputs }), validation: data({ inputs }) } as const;
    const again = await open({ data: twice, options: { network: NETWORKS.pictures } });
    assert.match(again.notes.join(), /validation is on the very samples of training/);
  });

  test('samples without classes, or with too many of them, are refused', async () => {
    const bare = write('bare.npz', zip([npyEntry('x', '|u1', [4, 5, 4, 3], Buffer.alloc(240))]));
    const train = { path: [bare], folder };
    const options = { network: NETWORKS.pictures };
    await assert.rejects(
      open({ data: { ...CLASSIFICATION, train }, options }),
      /bare\.npz: samples without classes/,
    );
    const network = { input: [5, 4, 3], output: [2] };
    await assert.rejects(
      open({ data: CLASSIFICATION, options: { network } }),
      /data of 3 classes needs a network \[3\], but this one is \[2\]/,
    );
  });
});

describe('occupancy', () => {
  const torus = { kind: 'occupancy', solid: 'torus', resolution: 24 } as const;
  const options = { network: NETWORKS.points };

  test('IoU is of the whole grid', async () => {
    const task = await open({ data: torus, options });
    const field = (input: tf.Tensor, size: number): tf.Tensor => {
      const [x, y, z] = tf.split(input, 3, 1);
      if (x === undefined || y === undefined || z === undefined) throw new Error('three axes');
      const ring = tf.sub(tf.sqrt(tf.add(tf.square(x), tf.square(y))), 0.6);
      return tf.sub(size * size, tf.add(tf.square(ring), tf.square(z)));
    };
    const right = await task.evaluate(tf, (input) => tf.mul(field(input, 0.25), 1e6), signal);
    assert.ok(right.value > 99.9, `${right.value} %`);
    assert.equal(right.samples, 24 ** 3);
    const all = await task.evaluate(tf, (input) => tf.ones([input.shape[0], 1]), signal);
    const [, occupancy] = await task.batch(0, 24 ** 3, 1, signal);
    const inside = (occupancy?.values ?? new Float32Array(0)).filter((value) => value === 1).length;
    assert.ok(Math.abs(all.value - (100 * inside) / 24 ** 3) < 1e-9);
    assert.match(task.notes.join(), new RegExp(`^${((100 * inside) / 24 ** 3).toFixed(1)} % of the 24³`));
    // A thinner ring inside: its volume goes with the square of its tube.
    const fine = await open({ data: { ...torus, resolution: 80 }, options });
    const thin = await fine.evaluate(tf, (input) => field(input, 0.2), signal);
    assert.ok(Math.abs(thin.value - 100 * (0.2 / 0.25) ** 2) < 1, `${thin.value} %`);
    const none = await task.evaluate(tf, (input) => tf.neg(tf.ones([input.shape[0], 1])), signal);
    assert.equal(none.value, 0);
  });

  test('a part of the grid gives about the same, and the same every time', async () => {
    const part = await open({ data: { ...torus, evaluateAtMost: 4000 }, options });
    const whole = await open({ data: torus, options });
    const run = (input: tf.Tensor): tf.Tensor => tf.slice(input, [0, 0], [input.shape[0], 1]);
    const [a, b] = [await part.evaluate(tf, run, signal), await whole.evaluate(tf, run, signal)];
    assert.equal(a.samples, 4000);
    assert.ok(Math.abs(a.value - b.value) < 2, `${a.value} and ${b.value}`);
    assert.deepEqual(await part.evaluate(tf, run, signal), a);
    assert.notEqual(part.identity, whole.identity);
  });

  test('a share of the points lies beside the surface', async () => {
    const near = { ...torus, nearSurface: 0.25, samples: 1000 };
    const task = await open({ data: near, options });
    assert.equal(task.samples, 1000);
    const [points] = await task.batch(0, 4000, 1, signal);
    const distances = Array.from({ length: 4000 }, (_, i) => {
      const [x = 0, y = 0, z = 0] = points?.values.subarray(3 * i, 3 * i + 3) ?? [];
      return Math.abs(Math.hypot(Math.hypot(x, y) - 0.6, z) - 0.25);
    });
    // A step of the grid is 2/24; every fourth point is one of those beside the surface.
    const every = distances.filter((_, i) => i % 4 === 3);
    assert.ok(every.every((distance) => distance < 2 / 24));
    const others = distances.filter((_, i) => i % 4 !== 3);
    assert.ok(others.filter((distance) => distance < 2 / 24).length < 0.3 * others.length);
    // Of the rest, none comes twice before all came once.
    const rest = new Set(
      Array.from({ length: 4000 }, (_, i) => i)
        .filter((i) => i % 4 !== 3)
        .map((i) => points?.values.slice(3 * i, 3 * i + 3).join()),
    );
    assert.equal(rest.size, 3000);
  });

  test('solids have inside and outside, and details in every octant', async () => {
    for (const solid of ['gyroid', 'torus', 'spheres'] as const) {
      const task = await open({ data: { kind: 'occupancy', solid, resolution: 32 }, options });
      const [points, occupancy] = await task.batch(0, 32 ** 3, 1, signal);
      const octants = new Float64Array(8);
      let inside = 0;
      for (let i = 0; i < 32 ** 3; i++) {
        if (occupancy?.values[i] !== 1) continue;
        inside++;
        const [x = 0, y = 0, z = 0] = points?.values.subarray(3 * i, 3 * i + 3) ?? [];
        assert.ok(Math.max(Math.abs(x), Math.abs(y), Math.abs(z)) < 1);
        const octant = (x > 0 ? 1 : 0) + (y > 0 ? 2 : 0) + (z > 0 ? 4 : 0);
        octants[octant] = (octants[octant] ?? 0) + 1;
      }
      const share = inside / 32 ** 3;
      assert.ok(share > 0.03 && share < 0.3, `${solid}: ${share}`);
      assert.ok(
        Math.min(...octants) > (solid === 'spheres' ? 0.005 : 0.1) * inside,
        `${solid}: ${octants.join()}`,
      );
    }
  });

  test('a mesh is what its file says, and its identity the content’s', async () => {
    const [mesh, moved] = [write('ring.obj', objOf(ringMesh(3, 1, 24, 16))), path.join(folder, 'moved.obj')];
    write('moved.obj', objOf(ringMesh(3, 1, 24, 16)));
    const [a, b] = [
      await open({ data: { kind: 'occupancy', mesh }, options }),
      await open({ data: { kind: 'occupancy', mesh: moved }, options }),
    ];
    assert.equal(a.identity, b.identity);
    assert.equal(a.samples, 64 ** 3);
    const bad = write('flat.obj', 'v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n');
    await assert.rejects(
      open({ data: { kind: 'occupancy', mesh: bad }, options }),
      /flat\.obj: no point of the 64³ grid is inside/,
    );
    await assert.rejects(
      open({ data: { ...torus, resolution: 1000 }, options }),
      /a grid of 1000 points along each axis: 2 to 512/,
    );
  });
});

describe('views', () => {
  const options = { network: NETWORKS.radiance };
  const full = (value: readonly number[]): number[] => Array.from({ length: 9 * 16 }, () => value).flat();
  /** The same raw colour and density everywhere. */
  const field =
    (...raw: readonly number[]) =>
    (input: tf.Tensor): tf.Tensor =>
      tf.tile(tf.tensor2d([[...raw]]), [input.shape[0], 1]);

  test('PSNR is of what is rendered over the background', async () => {
    const white = await open({
      data: { ...VIEWS, path: views('white.npz', full([255, 255, 255, 255])) },
      options,
    });
    assert.equal((await white.evaluate(tf, field(30, 30, 30, 50), signal)).value, 100);
    const dark = await white.evaluate(tf, field(-30, -30, -30, 50), signal);
    assert.ok(Math.abs(dark.value) < 1e-4 && Math.abs(dark.loss - 1) < 1e-5);
    const grey = await white.evaluate(tf, field(0, 0, 0, 50), signal);
    assert.ok(Math.abs(grey.value - 20 * Math.log10(2)) < 1e-4, `${grey.value} dB`);
    assert.equal(grey.samples, 2 * 16);
    const empty = views('empty.npz', full([200, 100, 50, 0]));
    for (const [background, shown] of [
      ['white', 100],
      ['black', 100],
    ] as const) {
      const task = await open({ data: { ...VIEWS, path: empty, background, density: 'relu' }, options });
      assert.equal((await task.evaluate(tf, field(0, 0, 0, -1), signal)).value, shown);
    }
  });

  test('backgrounds of their own show through what is empty, in training', async () => {
    const half = views('half.npz', full([255, 0, 0, 51]));
    const task = await open({ data: { ...VIEWS, path: half, background: 'alpha' }, options });
    const [, , colours, behind] = await task.batch(0, 50, 1, signal);
    assert.ok(new Set(behind?.values).size > 100);
    colours?.values.forEach((colour, i) => {
      const wanted = (i % 3 === 0 ? 0.2 : 0) + 0.8 * (behind?.values[i] ?? 0);
      assert.ok(Math.abs(colour - wanted) < 2e-5);
    });
  });

  test('samples lie in their pieces of the ray, elsewhere every time', async () => {
    const task = await open({ data: { ...VIEWS, near: 1, far: 5 }, options });
    const [a] = await task.batch(0, 16, 1, signal);
    const [b] = await task.batch(7, 16, 1, signal);
    const depths = (values: ArrayLike<number>): number[] =>
      Array.from({ length: values.length / 6 }, (_, i) =>
        Math.hypot(values[6 * i] ?? 0, values[6 * i + 1] ?? 0, (values[6 * i + 2] ?? 0) - 4),
      );
    const [da, db] = [depths(a?.values ?? []), depths(b?.values ?? [])];
    for (const all of [da, db])
      all.forEach((depth, i) => {
        assert.ok(depth > 1 + (i % 4) - 1e-5 && depth < 2 + (i % 4) + 1e-5, `${depth}`);
      });
    assert.ok(da.every((depth, i) => depth !== db[i]));
    // Seven steps of 16 rays are an epoch: the rays of step 7 are others, in another order.
    await assert.rejects(open({ data: { ...VIEWS, near: 3, far: 2 }, options }), /"near" 3 and "far" 2/);
  });
});

describe('text', () => {
  const next = { kind: 'text', path: text, context: 5 } as const;
  const uniform =
    (...shape: readonly number[]) =>
    (input: tf.Tensor): tf.Tensor =>
      tf.zeros([input.shape[0], ...shape]);

  test('targets are the characters that follow', async () => {
    const task = await open({ data: next, options: { network: { input: [5], output: [5, 450] } } });
    const [tokens, targets] = await task.batch(0, 20, 1, signal);
    tokens?.values.forEach((token, i) => {
      assert.equal(targets?.values[i], token + 1);
    });
    assert.ok(tokens?.values instanceof Int32Array);
    const result = await task.evaluate(tf, uniform(5, 450), signal);
    assert.ok(Math.abs(result.value - 450) < 1e-3, `${result.value}`);
    // 45 characters for validation: 8 windows of 5 with one to follow.
    assert.equal(result.samples, 8);
    assert.equal(task.metric.higherIsBetter, false);
  });

  test('some characters are covered, exchanged or left, and only they count', async () => {
    const masked = { ...next, context: 40, task: 'masked' } as const;
    const task = await open({ data: masked, options: { network: { input: [40], output: [40, 453] } } });
    const [tokens, targets, weights] = await task.batch(0, 400, 1, signal);
    const counts = { covered: 0, exchanged: 0, left: 0, others: 0 };
    tokens?.values.forEach((token, i) => {
      const isSame = token === targets?.values[i];
      if (weights?.values[i] === 0) {
        assert.ok(isSame);
        counts.others++;
      } else if (token === 450) counts.covered++;
      else counts[isSame ? 'left' : 'exchanged']++;
    });
    const chosen = 16_000 - counts.others;
    assert.ok(Math.abs(chosen / 16_000 - 0.15) < 0.01, `${chosen}`);
    assert.ok(Math.abs(counts.covered / chosen - 0.8) < 0.03);
    assert.ok(Math.abs(counts.exchanged / chosen - 0.1) < 0.02);
    for (let i = 0; i < 400; i++) assert.ok(weights?.values.slice(40 * i, 40 * i + 40).includes(1));
    const small = await open({
      data: { ...masked, context: 5 },
      options: { network: { input: [5], output: [5, 453] } },
    });
    const result = await small.evaluate(tf, uniform(5, 453), signal);
    assert.ok(Math.abs(result.value - 453) < 1e-3, `${result.value}`);
  });

  test('lines are cut and padded, their classes in order', async () => {
    const file = write(
      'few.tsv',
      'ten\tabcdefgh\nten\tab\n9\tb\nten\tc\n9\td\n9\te\nten\tf\nten\tg\n9\th\n9\ta\n',
    );
    const few = { kind: 'text', path: file, context: 4, task: 'classes' } as const;
    const network = { input: [4], output: [2] };
    const task = await open({ data: few, options: { network } });
    assert.match(task.notes.join('; '), /11 tokens; classes 9, ten; 1 line cut at 4 characters/);
    const [tokens, labels] = await task.batch(0, 9, 1, signal);
    const rows = Array.from({ length: 9 }, (_, i) =>
      [...(tokens?.values.slice(4 * i, 4 * i + 4) ?? [])].join(),
    );
    // Eight characters, then tokens for what is covered (8), behind the end (9) and unknown (10).
    const wanted = new Map([
      ['0,1,2,3', 1],
      ['0,1,9,9', 1],
      ['1,9,9,9', 0],
      ['2,9,9,9', 1],
    ]);
    let found = 0;
    rows.forEach((row, i) => {
      const label = wanted.get(row);
      if (label === undefined) return;
      found++;
      assert.equal(labels?.values[i], label);
    });
    assert.ok(found >= 3);
    const always = await task.evaluate(tf, uniform(2), signal);
    assert.equal(always.samples, 1);
  });

  test('another vocabulary makes strangers unknown, or is refused', async () => {
    const alphabet = write('alphabet.txt', 'abc');
    const lines = {
      kind: 'text',
      path: labelled,
      context: 6,
      task: 'classes',
      vocabulary: alphabet,
    } as const;
    const task = await open({ data: lines, options: { network: { input: [6], output: [2] } } });
    const [tokens] = await task.batch(0, 4, 1, signal);
    assert.deepEqual([...(tokens?.values.slice(0, 6) ?? [])], [5, 0, 1, 2, 4, 4]);
    const network = { input: [5], output: [5, 3] };
    await assert.rejects(
      open({ data: { ...next, vocabulary: alphabet }, options: { network } }),
      /letters\.txt: the character "一" is not in the vocabulary/,
    );
  });

  test('what is too short, too strange or without a class is refused', async () => {
    const network = { input: [5], output: [5, 450] };
    const short = write('short.txt', 'abcde');
    await assert.rejects(
      open({ data: { ...next, path: short }, options: { network } }),
      /the text for training has 4 characters, too few for a context of 5/,
    );
    const other = write('other.txt', 'abc');
    await assert.rejects(
      open({ data: { ...next, validation: other }, options: { network } }),
      /other\.txt: the text for validation has 3 characters/,
    );
    const wide = write(
      'wide.txt',
      Array.from({ length: 20_000 }, (_, i) => String.fromCodePoint(0x10000 + i)).join(''),
    );
    await assert.rejects(
      open({ data: { ...next, path: wide }, options: { network } }),
      /more than 16384 different characters/,
    );
    const strangers = write('strangers.tsv', 'neither\tabc\n');
    const lines = { kind: 'text', path: labelled, context: 6, task: 'classes' } as const;
    const options = { network: { input: [6], output: [2] } };
    await assert.rejects(
      open({ data: { ...lines, validation: strangers }, options }),
      /strangers\.tsv: the class "neither" does not occur/,
    );
    const single = write('single.tsv', 'a\tb\n');
    await assert.rejects(
      open({ data: { ...lines, path: single }, options }),
      /1 line leave none for training or for validation/,
    );
    await assert.rejects(
      open({ data: { ...next, context: 0 }, options: { network } }),
      /a context of 0 tokens/,
    );
    await assert.rejects(
      open({ data: { ...next, validationShare: 1 }, options: { network } }),
      /a validation share of 1/,
    );
  });
});

describe('large data', () => {
  /** Longest time without letting others in, and the whole, in milliseconds. */
  async function stretches(work: () => Promise<unknown>): Promise<{ longest: number; whole: number }> {
    const started = performance.now();
    let [last, longest, isDone] = [started, 0, false];
    const look = (): void => {
      const now = performance.now();
      longest = Math.max(longest, now - last);
      last = now;
      if (!isDone) setImmediate(look);
    };
    setImmediate(look);
    await work();
    isDone = true;
    return { longest: Math.max(longest, performance.now() - last), whole: performance.now() - started };
  }

  test('a batch lets messages in', async (t) => {
    const many = 2 ** 12;
    mkdirSync(path.join(folder, 'large'), { recursive: true });
    const bytes = Buffer.from(Array.from({ length: many * 3072 }, (_, i) => (i * 2_654_435_761) % 251));
    const file = write(
      'large/pictures.npz',
      zip([
        npyEntry('x_train', '|u1', [many, 32, 32, 3], bytes),
        npyEntry('y_train', '|u1', [many], Buffer.alloc(many)),
      ]),
    );
    const train = { path: [file], folder };
    const classified = await open({
      data: { kind: 'classification', train, validation: { ...train, to: 10 } },
      options: { network: { input: [32, 32, 3], output: [10] }, augment: { flip: true, crop: 4 } },
    });
    const rays = await open({
      data: { ...VIEWS, samplesPerRay: 1024 },
      options: { network: NETWORKS.radiance },
    });
    const points = await open({
      data: { kind: 'occupancy', solid: 'torus', resolution: 128 },
      options: { network: NETWORKS.points },
    });
    for (const [task, size] of [
      [classified, 2 * many],
      [rays, 4096],
      [points, 2 ** 21],
    ] as const) {
      const { longest, whole } = await stretches(() => task.batch(1, size, 1, signal));
      t.diagnostic(`${task.metric.name}: ${whole.toFixed(0)} ms, at most ${longest.toFixed(0)} ms at once`);
      // Other processes may take their time from this one: what counts is that the whole is cut into pieces.
      assert.ok(longest < Math.max(80, whole / 2), `${longest} of ${whole} ms`);
    }
    const controller = new AbortController();
    const running = points.batch(2, 2 ** 21, 1, controller.signal);
    setImmediate(() => {
      controller.abort(new Error('enough'));
    });
    await assert.rejects(running, /enough/);
  });
});
