import { type Checkpoint, type Tensor, type UnreadableTensor, elementCount } from '../checkpoint';
import { type DType, bytesPerElement } from '../dtype';
import { CheckpointError } from '../errors';
import type { RandomAccessFile } from '../file';
import { requireShape, rowMajorStrides } from '../layout';
import { dequantised, mayBeQuantised, quantisationNotes, runAlong } from '../quantised';
import { type TfliteQuantisation, type TfliteTensor, readTfliteModel } from '../tflite/model';
import { type TfliteUse, tfliteUses } from '../tflite/uses';
import { type Named, distinctNames } from './distinctNames';

/** `TensorType` of the schema. */
const DTYPES: ReadonlyMap<number, DType> = new Map<number, DType>([
  [0, 'float32'],
  [1, 'float16'],
  [2, 'int32'],
  [3, 'uint8'],
  [4, 'int64'],
  [6, 'bool'],
  [7, 'int16'],
  [8, 'complex64'],
  [9, 'int8'],
  [10, 'float64'],
  [11, 'complex128'],
  [12, 'uint64'],
  [15, 'uint32'],
  [16, 'uint16'],
  [18, 'bfloat16'],
]);

const OTHER_NAMES: Readonly<Record<number, string>> = {
  5: 'string',
  13: 'resource',
  14: 'variant',
  17: 'int4',
  19: 'int2',
  20: 'uint4',
};

interface Listed extends Named {
  readonly tensor: TfliteTensor;
  readonly use: TfliteUse | undefined;
}

/**
 * The weights of a TensorFlow Lite model (`schema.fbs` of TensorFlow): tensors of its subgraphs that have values. Kernels
 * of convolutions are shown O × I × kh × kw, whatever the order in which they lie; integers as the numbers they stand for.
 *
 * @throws CheckpointError naming tensor and byte.
 */
export function openTflite(file: RandomAccessFile): Promise<Checkpoint> {
  const listed: Listed[] = [];
  readTfliteModel(file).forEach((graph, i) => {
    const path = i === 0 ? [] : [graph.name === '' ? `subgraph ${i}` : graph.name];
    const uses = tfliteUses(graph);
    graph.tensors.forEach((tensor, number) => {
      if (tensor.data !== undefined || tensor.isExternal)
        listed.push({ name: tensor.name, path, tensor, use: uses.get(number) });
    });
  });
  if (listed.length === 0)
    throw new CheckpointError('unsupported', 'no tensors with values in it', { file: file.path });
  const names = distinctNames(listed, file.path);
  const tensors: Tensor[] = [];
  const unreadable: UnreadableTensor[] = [];
  listed.forEach(({ tensor, use }, i) => {
    const name = names[i] ?? '';
    try {
      const given = givenAs(name, tensor, use, file.path);
      if ('reason' in given) unreadable.push(given);
      else tensors.push(given);
    } catch (error) {
      const location = { file: file.path, tensor: name, offset: tensor.position };
      throw error instanceof CheckpointError ? error.at(location) : error;
    }
  });
  return Promise.resolve({
    path: file.path,
    format: 'TensorFlow Lite',
    files: [file.path],
    bytes: file.size,
    tensors,
    unreadable,
    readOnly: true,
    notes: quantisationNotes(tensors),
  });
}

function givenAs(
  name: string,
  { type, sizes, data, isSparse, isExternal, quantisation }: TfliteTensor,
  use: TfliteUse | undefined,
  path: string,
): Tensor | UnreadableTensor {
  const dtype = DTYPES.get(type);
  const shape = requireShape(sizes, dtype === undefined ? 1 : bytesPerElement(dtype));
  const typeName = dtype ?? OTHER_NAMES[type] ?? `type ${type}`;
  const unread = (reason: string): UnreadableTensor => ({ name, shape, dtype: typeName, reason });
  if (isExternal || data === undefined) return unread('its values are in another file');
  if (dtype === undefined) return unread(`elements of type ${typeName} are not read`);
  if (isSparse) return unread('it is sparse');
  if (use?.reason !== undefined) return unread(use.reason);
  const byteLength = elementCount(shape) * bytesPerElement(dtype);
  if (data.length !== byteLength)
    throw new CheckpointError('malformed', `${data.length} bytes where ${byteLength} belong`);
  const storage = { encoding: 'raw', path, offset: data.offset, byteLength } as const;
  const stored: Tensor = { name, shape, dtype, storage, role: 'model' };
  const isQuantised = quantisation !== undefined && mayBeQuantised(dtype);
  return asUsed(isQuantised ? dequantise(stored, quantisation) : stored, use);
}

function dequantise(tensor: Tensor, { scales, zeroPoints, axis }: TfliteQuantisation): Tensor {
  const { shape } = tensor;
  const size = shape[axis];
  if (scales.length > 1 && scales.length !== size) {
    const slices = size === undefined ? `none of ${shape.length}` : String(size);
    throw new CheckpointError('malformed', `${scales.length} scales for axis ${axis}, of size ${slices}`);
  }
  return dequantised(tensor, { scales, zeroPoints, run: runAlong(shape, axis) });
}

/** Axes in the order of the layer's kernel; as matrices are squeezed for products over several axes. */
function asUsed(tensor: Tensor, use: TfliteUse | undefined): Tensor {
  if (use === undefined) return tensor;
  const { module, axes } = use;
  const { shape } = tensor;
  if (axes === undefined) {
    const extra = Math.max(0, shape.length - 2);
    const isMatrix = module.type === 'Linear' && module.part === undefined;
    if (!isMatrix || extra === 0) return { ...tensor, module };
    // A product for each of several matrices is no single layer.
    return shape.slice(0, extra).every((size) => size === 1)
      ? { ...tensor, module, shape: shape.slice(extra) }
      : { ...tensor, module: { type: module.type } };
  }
  const strides = rowMajorStrides(shape);
  return {
    ...tensor,
    module,
    shape: axes.map((axis) => shape[axis] ?? 0),
    layout: { offset: 0, strides: axes.map((axis) => strides[axis] ?? 0) },
  };
}
