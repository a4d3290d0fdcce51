/** Convolutions in every form as PyTorch has them, and the kernels of the WebAssembly backend as its plain one for the processor. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Tensor, Tensor4D, TensorContainer } from '@tensorflow/tfjs';
import { ArchitectureBuilder } from '../../src/network/builtin/builder';
import { convolution, everyNth, outputSize } from '../../src/network/builtin/blocks/convolution';
import { supplyKernels } from '../../src/network/builtin/kernels';
import { TORCH_DEFAULT, ZEROS } from '../../src/network/builtin/starts';
import { builtinReferences, numbers, probeOf, valuesOf, type Probe } from '../reference/builtinReferences';
import { EVALUATION, gradientsOf, tf, valuesIn, withWasm } from './builtinTensors';

withWasm();

function assertProbe(actual: Probe, expected: Probe, what: string): void {
  actual.forEach((value, i) => {
    const difference = Math.abs(value - (expected[i] ?? NaN));
    assert.ok(difference <= 1e-5 * expected[0], `${what}: ${actual.join(' ')}, not ${expected.join(' ')}`);
  });
}

describe('a convolution', () => {
  for (const { sizes, form, outputs, gradients } of builtinReferences().convolutions) {
    const [inputs, channels, kernel, stride, padding, groups, height, width] = sizes;
    const name = `${form.kind}, ${channels} × ${inputs}/${groups} × ${kernel}², stride ${stride}, padding ${padding}`;
    test(`${name}, on ${height} × ${width}`, async () => {
      const builder = new ArchitectureBuilder(() => form);
      const size = [height, width] as const;
      const spec = { inputs, outputs: channels, kernel, stride, padding, groups, size };
      const block = convolution(builder, { ...spec, module: 'conv', law: TORCH_DEFAULT, bias: ZEROS });
      const output = [...outputSize(size, spec), channels];
      const facts = {
        title: 'one convolution',
        input: [height, width, inputs],
        output,
        inputType: 'float32',
      };
      const architecture = builder.build({ ...facts, inputType: 'float32' }, block);
      assert.equal(architecture.layers[0]?.positions, (output[0] ?? 0) * (output[1] ?? 0));
      const shape = [2, height, width, inputs];
      const x = tf.tensor(numbers('input', 2 * height * width * inputs), shape);
      const loss = (count: number): Float32Array => numbers('loss', count);
      const found = await gradientsOf(tf, architecture, valuesOf, x, EVALUATION, loss);
      assertProbe(probeOf('outputs', found.outputs), outputs, 'outputs');
      assert.ok(found.gradients.size > 0);
      for (const [parameter, gradient] of found.gradients) {
        const expected = gradients[parameter];
        assert.ok(expected !== undefined, parameter);
        assertProbe(probeOf(parameter, gradient), expected, parameter);
      }
      const ofInput = tf.tidy(() => {
        const values = valuesIn(
          new Map(
            architecture.parameters.map((one) => [
              one.name,
              tf.tensor(valuesOf(one.name, one.shape), [...one.shape]),
            ]),
          ),
        );
        const sum = (input: Tensor): Tensor => {
          const y = architecture.forward(tf, values, input, EVALUATION);
          return tf.sum(tf.mul(y, tf.tensor(loss(y.size), y.shape)));
        };
        return Float32Array.from(tf.grad(sum)(x).dataSync());
      });
      x.dispose();
      assertProbe(probeOf('input', ofInput), gradients.input ?? [NaN, NaN, NaN], 'input');
    });
  }
});

/** The same computed on TensorFlow.js's backend of plain JavaScript. */
async function onProcessor(compute: () => TensorContainer): Promise<Float32Array[]> {
  const results: Float32Array[] = [];
  for (const backend of ['wasm', 'cpu']) {
    await tf.setBackend(backend);
    const before = tf.memory().numTensors;
    const tensor = tf.tidy(compute) as Tensor;
    results.push(Float32Array.from(tensor.dataSync()));
    tensor.dispose();
    assert.equal(tf.memory().numTensors, before);
  }
  await tf.setBackend('wasm');
  return results;
}

async function assertSame(compute: () => TensorContainer): Promise<void> {
  const [ours = new Float32Array(), theirs = new Float32Array()] = await onProcessor(compute);
  assert.equal(ours.length, theirs.length);
  const largest = theirs.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  ours.forEach((value, i) => {
    const difference = Math.abs(value - (theirs[i] ?? NaN));
    assert.ok(difference <= 1e-5 * largest, `${i}: ${value}, not ${theirs[i]}`);
  });
}

const made = (name: string, ...shape: number[]): Tensor =>
  tf.tensor(
    numbers(
      name,
      shape.reduce((product, size) => product * size, 1),
    ),
    shape,
  );

describe('products on the WebAssembly backend', () => {
  const shapes: readonly [string, number[], number[]][] = [
    ['a matrix', [5, 7], [7, 4]],
    ['a row and a column', [1, 9], [9, 1]],
    ['a stack', [6, 5, 7], [6, 7, 4]],
    ['heads of a batch', [2, 3, 5, 4], [2, 3, 4, 6]],
    ['a stack with one matrix', [6, 5, 7], [1, 7, 4]],
    ['one matrix with a stack', [1, 5, 7], [6, 7, 4]],
    ['stacks of which neither is spread', [2, 1, 3, 4], [1, 3, 4, 2]],
    // Over more rows than are transposed at once, wide and narrow.
    ['many rows', [9, 5000], [5000, 300]],
    ['very many rows', [600, 2100], [2100, 40]],
  ];
  for (const [name, a, b] of shapes) {
    for (const [isA, isB] of [
      [false, false],
      [true, false],
      [false, true],
      [true, true],
    ] as const) {
      test(`${name}${isA ? ', first transposed' : ''}${isB ? ', second transposed' : ''}`, async () => {
        const turned = (shape: number[]): number[] => [...shape.slice(0, -2), ...shape.slice(-2).reverse()];
        await assertSame(() =>
          tf.matMul(made('a', ...(isA ? turned(a) : a)), made('b', ...(isB ? turned(b) : b)), isA, isB),
        );
      });
    }
  }

  test('leave no memory behind, and are the same every time', () => {
    const [a, b] = [made('a', 3000, 40), made('b', 3000, 30)];
    const product = (): Float32Array =>
      tf.tidy(() => Float32Array.from(tf.matMul(a, b, true, false).dataSync()));
    const first = product();
    const ids = tf.engine().backend.numDataIds();
    assert.deepEqual(product(), first);
    assert.equal(tf.engine().backend.numDataIds(), ids);
    tf.dispose([a, b]);
  });
});

describe('gradients on the WebAssembly backend', () => {
  /** By which of picture and filter. */
  const gradientBy =
    (which: 0 | 1, convolve: (x: Tensor4D, filter: Tensor4D) => Tensor) =>
    (x: Tensor, filter: Tensor): Tensor => {
      const gradients = tf.grads((one, other) => {
        const y = convolve(one as Tensor4D, other as Tensor4D);
        return tf.sum(tf.mul(y, made('loss', ...y.shape)));
      })([x, filter]);
      return gradients[which] ?? tf.scalar(NaN);
    };

  for (const which of [0, 1] as const) {
    const by = which === 0 ? 'input' : 'filter';
    test(`of a convolution by the ${by}, over more pictures than are laid out at once`, async () => {
      const gradient = gradientBy(which, (x, filter) => tf.conv2d(x, filter, 1, 'same'));
      await assertSame(() => gradient(made('x', 40, 17, 16, 3), made('f', 3, 3, 3, 4)));
    });

    test(`of a convolution by the ${by} whose padding is uneven`, async () => {
      for (const [strides, size] of [
        [2, 8],
        [3, 10],
        [3, 7],
      ] as const) {
        const gradient = gradientBy(which, (x, filter) => tf.conv2d(x, filter, strides, 'same'));
        await assertSame(() => gradient(made('x', 3, size, size + 1, 2), made('f', 3, 2, 2, 5)));
      }
    });

    test(`of a convolution by the ${by} that leaves pixels out`, async () => {
      const gradient = gradientBy(which, (x, filter) => tf.conv2d(x, filter, [3, 2], 'valid'));
      await assertSame(() => gradient(made('x', 2, 11, 10, 2), made('f', 2, 1, 2, 3)));
    });

    test(`of a depthwise convolution by the ${by}`, async () => {
      for (const strides of [1, 2]) {
        const gradient = gradientBy(which, (x, filter) => tf.depthwiseConv2d(x, filter, strides, 'same'));
        await assertSame(() => gradient(made('x', 3, 7, 6, 4), made('f', 3, 3, 4, 2)));
      }
    });
  }

  test('of a table that is looked up', async () => {
    const ids = Int32Array.from(numbers('ids', 60), (x) => Math.floor((x + 1) * 5));
    await assertSame(() => {
      const look = (table: Tensor): Tensor => {
        const rows = tf.gather(table, tf.tensor1d(ids, 'int32'));
        return tf.sum(tf.mul(rows, made('loss', ...rows.shape)));
      };
      return tf.grad(look)(made('table', 11, 6));
    });
  });

  test('sums over the first axes, the last ones and all', async () => {
    for (const axis of [0, [0, 1], [0, 1, 2], 2, -1, [1, 2], [0, 2], undefined]) {
      for (const keepDims of [false, true]) {
        await assertSame(() => tf.sum(tf.square(made('x', 50, 60, 7)), axis, keepDims));
      }
    }
    await assertSame(() => tf.sum(tf.square(made('x', 5000, 3)), 0));
  });
});

test('parts of arrays', async () => {
  const parts: readonly [number[], number[], number[]][] = [
    [[9], [2], [5]],
    [
      [4, 6],
      [1, 0],
      [2, -1],
    ],
    [
      [4, 6],
      [0, 2],
      [-1, 3],
    ],
    [
      [3, 4, 5],
      [1, 1, 1],
      [2, 2, 3],
    ],
    [
      [3, 4, 5],
      [1, 0, 0],
      [1, 4, 5],
    ],
    [
      [3, 1, 4, 2, 5],
      [0, 0, 1, 0, 2],
      [3, 1, 2, 2, 2],
    ],
    [
      [4, 6],
      [1, 1],
      [0, 3],
    ],
  ];
  for (const [shape, begin, size] of parts) {
    await assertSame(() => tf.slice(made('x', ...shape), begin, size));
    await assertSame(() =>
      tf.cast(tf.slice(tf.cast(tf.mul(made('x', ...shape), 99), 'int32'), begin, size), 'float32'),
    );
  }
});

test('kernels are supplied once, and to no other backend', () => {
  const { kernelFunc } = tf.getKernel('BatchMatMul', 'wasm');
  const cpu = tf.getKernel('BatchMatMul', 'cpu').kernelFunc;
  for (const backend of ['wasm', 'cpu', 'webgpu', 'tensorflow']) supplyKernels(tf, backend);
  assert.equal(tf.getKernel('BatchMatMul', 'wasm').kernelFunc, kernelFunc);
  assert.equal(tf.getKernel('BatchMatMul', 'cpu').kernelFunc, cpu);
});

test('every n-th pixel begins with the first, also where the picture ends between two', () => {
  for (const [n, height, width] of [
    [2, 4, 6],
    [2, 5, 3],
    [3, 7, 8],
  ] as const) {
    const [ours, theirs] = tf.tidy(() => {
      const x = made('x', 2, height, width, 3);
      const strided = tf.stridedSlice(x, [0, 0, 0, 0], [2, height, width, 3], [1, n, n, 1]);
      return [everyNth(tf, x, n), strided].map((one) => [one.shape, [...one.dataSync()]]);
    });
    assert.deepEqual(ours, theirs);
  }
});
