/** Where a graph keeps the scales of weights that are stored as integers. */
import { type Tensor, elementCount } from '../checkpoint';
import { CheckpointError } from '../errors';
import { dequantised, mayBeQuantised, runAlong } from '../quantised';
import type { OnnxNode } from './model';
import { type Numbers, storedOperand } from './operand';
import type { Scope } from './scope';
import type { OnnxTensor } from './tensor';

/** How an operator says what the integers of a tensor stand for. */
export interface Quantisation {
  readonly scale: OnnxTensor;
  readonly zeroPoint: OnnxTensor | undefined;
  /** That the scales belong to, where there are several; negative from the end. */
  readonly axis: number;
  /** Elements along the axis that share a scale; 0: a scale for each. */
  readonly blockSize: number;
}

/** What a node says of a stored tensor: what its integers stand for, or why that is not known. */
export interface Quantised {
  readonly tensor: OnnxTensor;
  readonly by: Quantisation | string;
}

interface Operands {
  readonly weight: number;
  /** `after`: the product is multiplied by it. */
  readonly scale: number | 'after';
  readonly zeroPoint: number;
  readonly axis: number;
}

const OPERANDS: ReadonlyMap<string, Operands> = new Map([
  ['QLinearConv', { weight: 3, scale: 4, zeroPoint: 5, axis: 0 }],
  ['QLinearMatMul', { weight: 3, scale: 4, zeroPoint: 5, axis: -1 }],
  ['QGemm', { weight: 3, scale: 4, zeroPoint: 5, axis: -1 }],
  ['DynamicQuantizeMatMul', { weight: 1, scale: 2, zeroPoint: 3, axis: -1 }],
  ['MatMulIntegerToFloat', { weight: 1, scale: 3, zeroPoint: 5, axis: -1 }],
  ['MatMulInteger', { weight: 1, scale: 'after', zeroPoint: 3, axis: -1 }],
  ['ConvInteger', { weight: 1, scale: 'after', zeroPoint: 3, axis: 0 }],
]);

/** Operators of onnxruntime that keep weights in packed or otherwise special forms. */
const PACKED =
  /^(?:MatMulNBits|MatMulFpQ4|MatMulBnb4|GatherBlockQuantized|QAttention|QOrdered\w+|QEmbedLayerNormalization|DynamicQuantizeLSTM|QMoE)$/;

const MOVED = 'its axes are moved before it is dequantised';
const NO_SCALE = 'it is quantised, and its scale is not stored where it could be read';

/** The stored integers that a node takes as other numbers. */
export function quantisedBy(scope: Scope, node: OnnxNode, numbers: Numbers): Quantised[] {
  const { operator, inputs } = node;
  if (operator === 'DequantizeLinear') return dequantisedInput(scope, node, numbers);
  if (operator === 'Gather') return lookedUp(scope, node);
  if (PACKED.test(operator))
    return inputs.flatMap((name) => {
      const tensor = scope.constant(name);
      const isWeight = tensor !== undefined && isInteger(tensor) && tensor.shape.length >= 2;
      return isWeight ? [{ tensor, by: `${operator} keeps it in a quantised form that is not read` }] : [];
    });
  const operands = OPERANDS.get(operator);
  if (operands === undefined) return [];
  const found = storedOperand(scope, inputs[operands.weight] ?? '', numbers);
  if (found === undefined || !isInteger(found.tensor)) return [];
  const isDirect = scope.constant(inputs[operands.weight] ?? '') === found.tensor;
  const scale =
    operands.scale === 'after'
      ? scaleAfter(scope, node.outputs[0] ?? '')
      : scope.constant(inputs[operands.scale] ?? '');
  const isTurned = operator === 'QGemm' && node.attributes.get('transB')?.integer === 1;
  const axis = isTurned ? 0 : operands.axis;
  const by = quantisation(scope, scale, inputs[operands.zeroPoint], { axis, blockSize: 0, isDirect });
  return [{ tensor: found.tensor, by }];
}

function isInteger({ tensor }: OnnxTensor): boolean {
  return tensor !== undefined && mayBeQuantised(tensor.dtype);
}

/** `DequantizeLinear(q, scale, zero point)`: one scale, one for each slice along `axis`, or one for each block of it. */
function dequantisedInput(scope: Scope, { inputs, attributes }: OnnxNode, numbers: Numbers): Quantised[] {
  const [input = '', scale = '', zeroPoint] = inputs;
  const found = storedOperand(scope, input, numbers);
  if (found === undefined) return [];
  if (found.tensor.tensor?.dtype.startsWith('float8') === true)
    return [{ tensor: found.tensor, by: '8-bit floating-point numbers whose scale is kept apart' }];
  if (!isInteger(found.tensor)) return [];
  const axis = attributes.get('axis')?.integer ?? 1;
  const blockSize = attributes.get('block_size')?.integer ?? 0;
  const isDirect = scope.constant(input) === found.tensor;
  const by = quantisation(scope, scope.constant(scale), zeroPoint, { axis, blockSize, isDirect });
  return [{ tensor: found.tensor, by }];
}

/** Rows of an integer table, dequantised once they are looked up: all of them with the same scale. */
function lookedUp(scope: Scope, { inputs, outputs }: OnnxNode): Quantised[] {
  const tensor = scope.constant(inputs[0] ?? '');
  const reader = scope.onlyReader(outputs[0] ?? '');
  if (tensor === undefined || !isInteger(tensor) || reader?.operator !== 'DequantizeLinear') return [];
  const [, scale = '', zeroPoint] = reader.inputs;
  const by = quantisation(scope, scope.constant(scale), zeroPoint, {
    axis: 0,
    blockSize: 0,
    isDirect: false,
  });
  return [{ tensor, by }];
}

/** Integer products are cast and multiplied by the scales of both sides, of which the weight's is stored. */
function scaleAfter(scope: Scope, output: string): OnnxTensor | undefined {
  let reader = scope.onlyReader(output);
  let product = output;
  if (reader?.operator === 'Cast') {
    product = reader.outputs[0] ?? '';
    reader = scope.onlyReader(product);
  }
  if (reader?.operator !== 'Mul') return undefined;
  const factor = reader.inputs.find((name) => name !== product) ?? '';
  const stored = scope.constant(factor);
  if (stored !== undefined) return stored;
  const found = scope.define(factor);
  if (found.kind !== 'computed' || found.node.operator !== 'Mul') return undefined;
  const factors = found.node.inputs.flatMap((name) => found.scope.constant(name) ?? []);
  return factors.length === 1 ? factors[0] : undefined;
}

function quantisation(
  scope: Scope,
  scale: OnnxTensor | undefined,
  zeroPoint: string | undefined,
  { axis, blockSize, isDirect }: Pick<Quantisation, 'axis' | 'blockSize'> & { readonly isDirect: boolean },
): Quantisation | string {
  if (scale === undefined) return NO_SCALE;
  if (!isDirect && elementCount(scale.shape) > 1) return MOVED;
  const zero = zeroPoint === undefined || zeroPoint === '' ? undefined : scope.constant(zeroPoint);
  if (zero === undefined && zeroPoint !== undefined && zeroPoint !== '') return NO_SCALE;
  return { scale, zeroPoint: zero, axis, blockSize };
}

/** The tensor of numbers that integers stand for; a reason where that is not read. @throws CheckpointError */
export function dequantise(
  tensor: Tensor,
  { scale, zeroPoint, axis: given, blockSize }: Quantisation,
  numbers: Numbers,
): Tensor | string {
  const { shape } = tensor;
  const scales = numbers(scale);
  const zeroPoints = zeroPoint === undefined ? [] : numbers(zeroPoint);
  if (scales === undefined || zeroPoints === undefined) return NO_SCALE;
  if (scales.length === 1) return dequantised(tensor, { scales, zeroPoints, run: 1 });
  const axis = given < 0 ? given + shape.length : given;
  const size = shape[axis];
  if (size === undefined)
    throw new CheckpointError('malformed', `scales along axis ${given} of ${shape.length} axes`);
  if (blockSize > 0) {
    const blocks = shape.map((length, i) => (i === axis ? length / blockSize : length));
    const isWhole = axis === shape.length - 1 && String(blocks) === String(scale.shape);
    return isWhole
      ? dequantised(tensor, { scales, zeroPoints, run: blockSize })
      : `it is quantised in blocks of ${blockSize} along axis ${axis}`;
  }
  if (scales.length !== size)
    throw new CheckpointError('malformed', `${scales.length} scales for ${size} slices along axis ${axis}`);
  return dequantised(tensor, { scales, zeroPoints, run: runAlong(shape, axis) });
}
