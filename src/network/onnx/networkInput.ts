import type { Tensor, TensorConstructor } from 'onnxruntime-common';
import type { OnnxDimension, OnnxValue } from '../../checkpoint/onnx';
import { onnxDType } from '../../checkpoint/onnx';
import { printable } from '../../checkpoint/errors';
import { withFile } from '../../checkpoint/file';
import { readOnnxModel } from '../../checkpoint/onnx';
import { inARow } from '../../checkpoint/wording';
import type { Dataset } from '../data/dataset';
import { numberToFloat16 } from './float16';
import { GraphIndex } from './graph';

/** What an ONNX network wants to be fed. */
export interface NetworkInput {
  readonly name: string;
  /** Code of `TensorProto.DataType`. */
  readonly elementType: number;
  /** Of one sample; undefined where any size will do, or altogether when not even the axes are declared. */
  readonly sample: readonly OnnxDimension[] | undefined;
  /** Samples of one run, where the model says how many it takes. */
  readonly fixedBatch: number | undefined;
  /** Order of a picture's axes: networks made by TensorFlow begin by bringing channels to the front. */
  readonly layout: 'chw' | 'hwc';
}

/**
 * What a model wants to be fed, for those who prepare data for it.
 *
 * @throws CheckpointError, or an Error when the network has several inputs.
 */
export async function readOnnxInput(path: string): Promise<NetworkInput> {
  return withFile(path, (file) => Promise.resolve(networkInput(new GraphIndex(readOnnxModel(file)))));
}

/** @throws Error when it is not exactly one tensor of numbers. */
export function networkInput(graph: GraphIndex): NetworkInput {
  const { inputs, model } = graph;
  const [only, ...others] = inputs;
  const file = printable(model.path);
  if (only === undefined) throw new Error(`${file}: the network has no input to feed`);
  if (others.length > 0) {
    const names = inARow(inputs.map(({ name }) => `"${printable(name)}"`));
    throw new Error(
      `${file}: the network has ${inputs.length} inputs (${names}), and data feeds one: export it with the others as constants, or measure it through Python (a recipe of kind "python")`,
    );
  }
  return { ...describeInput(only, file), layout: layoutOf(graph, only.name) };
}

function describeInput({ name, elementType, shape }: OnnxValue, file: string): Omit<NetworkInput, 'layout'> {
  if (elementType === undefined || tensorType(elementType) === undefined)
    throw new Error(`${file}: the network's input "${printable(name)}" is no tensor of numbers`);
  if (shape?.length === 0)
    throw new Error(`${file}: the network's input "${printable(name)}" is a single number, not samples`);
  const [batch, ...sample] = shape ?? [];
  return {
    name,
    elementType,
    sample: shape === undefined ? undefined : sample,
    fixedBatch: typeof batch === 'number' ? batch : undefined,
  };
}

function layoutOf(graph: GraphIndex, name: string): NetworkInput['layout'] {
  const readers = graph.readersOf(name).map((index) => graph.nodes[index]);
  const isTurned = readers.some(
    (node) =>
      node?.operator === 'Transpose' &&
      String(node.attributes.get('perm')?.integers) === String([0, 3, 1, 2]),
  );
  return isTurned ? 'hwc' : 'chw';
}

type InputType = 'float32' | 'float64' | 'float16' | 'int64' | 'int32' | 'uint8' | 'int8';

function tensorType(code: number): InputType | undefined {
  const dtype = onnxDType(code);
  switch (dtype) {
    case 'float32':
    case 'float64':
    case 'float16':
    case 'int64':
    case 'int32':
    case 'uint8':
    case 'int8':
      return dtype;
    default:
      return undefined;
  }
}

/**
 * Sizes of one sample as the network takes it.
 *
 * @param what `validation` or `gram`, the recipe's field.
 * @throws Error naming both shapes and what to set.
 */
export function sampleShape({ sample, name }: NetworkInput, data: Dataset, what: string): readonly number[] {
  if (sample === undefined) return data.shape;
  const isSame = (given: readonly number[], wanted: readonly OnnxDimension[]): boolean =>
    given.length === wanted.length &&
    given.every((size, i) => typeof wanted[i] !== 'number' || wanted[i] === size);
  if (isSame(data.shape, sample)) return data.shape;
  const isFixed = sample.every((size) => typeof size === 'number');
  const sizes = sample.filter((size) => typeof size === 'number');
  const long = (values: readonly number[]): number[] => values.filter((size) => size !== 1);
  const elements = (values: readonly number[]): number => values.reduce((a, b) => a * b, 1);
  const [given, wanted] = [long(data.shape), long(sizes)];
  // Axes of one element, and flattening, change nothing in the order of the values; swapping axes would.
  const isFlattened = given.length <= 1 || wanted.length <= 1;
  if (isFixed && elements(given) === elements(wanted) && (isFlattened || isSame(given, wanted))) return sizes;
  const expected = sample.map((size) => (typeof size === 'number' ? String(size) : 'any')).join(' × ');
  throw new Error(
    `the network's input "${printable(name)}" takes samples of ${expected}, the data has ${data.shape.join(' × ')}: set "layout", "networkLayout" or "size" of data.${what} in the recipe`,
  );
}

/** A batch as the network takes it. @param values samples one after the other, converted to the input's type. */
export function inputTensor(
  Make: TensorConstructor,
  { elementType }: NetworkInput,
  values: Float32Array,
  dims: readonly number[],
): Tensor {
  const type = tensorType(elementType) ?? 'float32';
  switch (type) {
    case 'float32':
      return new Make(type, values, dims);
    case 'float64':
      return new Make(type, Float64Array.from(values), dims);
    case 'float16':
      return new Make(type, Uint16Array.from(values, numberToFloat16), dims);
    case 'int64':
      return new Make(
        type,
        BigInt64Array.from(values, (value) => BigInt(Math.round(value) || 0)),
        dims,
      );
    case 'int32':
      return new Make(type, Int32Array.from(values, Math.round), dims);
    case 'uint8':
      return new Make(type, Uint8Array.from(values, Math.round), dims);
    case 'int8':
      return new Make(type, Int8Array.from(values, Math.round), dims);
  }
}
