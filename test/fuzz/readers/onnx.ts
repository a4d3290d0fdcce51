/** ONNX: the graph, and what the checkpoint reader makes of the weights. */
import { readOnnxModel } from '../../../src/checkpoint/onnx';
import { withFile } from '../../../src/checkpoint/file';
import {
  bytes,
  floats,
  graph,
  integer,
  int64s,
  message,
  model,
  tensor,
  value,
} from '../../fixtures/onnxModel';
import { BrokenPromise } from '../exercise';
import { mutateProtobuf } from '../mutators/protobuf';
import { type Seed, oneFile } from '../reader';
import type { ReaderEntry } from './all';
import { sharedFiles } from './seeds';

function network(): Buffer {
  const branch = graph({
    nodes: [{ op: 'MatMul', in: ['x', 'w3'], out: ['y3'] }],
    initializers: [floats('w3', [4, 3], Array<number>(12).fill(0.5))],
    inputs: [],
    outputs: [value('y3', [1, 3])],
  });
  return model({
    nodes: [
      {
        op: 'Conv',
        in: ['image', 'conv.weight', 'conv.bias'],
        out: ['a'],
        with: { group: { int: 1 }, pads: { ints: [1, 1, 1, 1] } },
      },
      { op: 'Relu', in: ['a'], out: ['b'] },
      { op: 'Reshape', in: ['b', 'shape'], out: ['x'] },
      { op: 'Gemm', in: ['x', 'fc.weight', 'fc.bias'], out: ['z'], with: { transB: { int: 1 } } },
      { op: 'Constant', in: [], out: ['k'], with: { value: { tensor: floats('k', [2], [1, 2]) } } },
      {
        op: 'If',
        in: ['flag'],
        out: ['y'],
        with: { then_branch: { graph: branch }, else_branch: { graph: branch } },
      },
    ],
    initializers: [
      floats(
        'conv.weight',
        [2, 3, 3, 3],
        Array.from({ length: 54 }, (_, i) => Math.sin(i)),
      ),
      floats('conv.bias', [2], [0.1, 0.2]),
      floats(
        'fc.weight',
        [3, 4],
        Array.from({ length: 12 }, (_, i) => Math.cos(i)),
      ),
      // In the typed field instead of raw bytes.
      tensor('fc.bias', [3], 1, bytes(4, new Uint8Array(Float32Array.of(1, 2, 3).buffer))),
      int64s('shape', [1, -1]),
    ],
    inputs: [value('image', ['N', 3, 8, 8]), value('flag', [], 9)],
    outputs: [value('y', [1, 3])],
  });
}

/** A weight in a file beside the model. */
function external(): Seed {
  const entry = (key: string, text: string): Buffer => message(13, bytes(1, key), bytes(2, text));
  const weight = tensor(
    'w',
    [4, 4],
    1,
    entry('location', 'weights.bin'),
    entry('offset', '0'),
    entry('length', '64'),
    integer(14, 1),
  );
  const file = model({
    nodes: [{ op: 'MatMul', in: ['x', 'w'], out: ['y'] }],
    initializers: [weight],
    inputs: [value('x', [1, 4])],
    outputs: [value('y', [1, 4])],
  });
  return {
    files: [
      { path: 'external.onnx', bytes: file },
      { path: 'weights.bin', bytes: Buffer.alloc(64, 0x3f) },
    ],
    open: 'external.onnx',
  };
}

async function exerciseGraph(given: string, folder: string): Promise<void> {
  const { files } = await withFile(given, (file) => Promise.resolve(readOnnxModel(file)));
  const outside = files.find((file) => !file.startsWith(folder));
  if (outside !== undefined) throw new BrokenPromise(`${outside} is read, outside the model's folder`);
}

export const ONNX: readonly ReaderEntry[] = [
  {
    name: 'onnx-graph',
    seeds: () => [oneFile('network.onnx', network()), external()],
    sharedSeeds: () => sharedFiles(/\.onnx$/),
    mutators: (name) => (name.endsWith('.onnx') ? [mutateProtobuf] : []),
    exercise: exerciseGraph,
  },
];
