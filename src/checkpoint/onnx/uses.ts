/** What operators use stored tensors for: the layers that the graph makes of them. */
import type { ModuleHint } from '../checkpoint';
import type { OnnxNode } from './model';
import { type Numbers, type StoredOperand, storedOperand } from './operand';
import type { Scope } from './scope';
import type { OnnxTensor } from './tensor';
import { type View, withoutLeadingOnes } from './view';

/** A tensor as the layer that uses it has it. */
export interface Use {
  readonly tensor: OnnxTensor;
  readonly module: ModuleHint;
  /** Absent: as it is stored. */
  readonly view?: View;
}

/** Gates in the order in which the operators' specification stacks them. */
const GATES: Readonly<Record<string, readonly string[]>> = {
  LSTM: ['i', 'o', 'f', 'c'],
  GRU: ['z', 'r', 'h'],
};

/** Where convolutions keep their kernel. */
const KERNEL_OPERANDS: ReadonlyMap<string, number> = new Map([
  ['Conv', 1],
  ['FusedConv', 1],
  ['ConvInteger', 1],
  ['QLinearConv', 3],
  ['ConvTranspose', 1],
]);

/** Where matrix products keep their two sides, and the attributes that turn these. */
const PRODUCT_OPERANDS: ReadonlyMap<string, readonly [number, number]> = new Map([
  ['MatMul', [0, 1]],
  ['Gemm', [0, 1]],
  ['FusedMatMul', [0, 1]],
  ['FusedGemm', [0, 1]],
  ['MatMulInteger', [0, 1]],
  ['MatMulIntegerToFloat', [0, 1]],
  ['DynamicQuantizeMatMul', [0, 1]],
  ['QLinearMatMul', [0, 3]],
  ['QGemm', [0, 3]],
]);

/** Scales and shifts of normalisations, whatever their axes. */
const NORMS: ReadonlyMap<string, string> = new Map([
  ['BatchNormalization', 'BatchNorm'],
  ['InstanceNormalization', 'InstanceNorm'],
  ['GroupNormalization', 'GroupNorm'],
  ['LayerNormalization', 'LayerNorm'],
  ['SimplifiedLayerNormalization', 'RMSNorm'],
  ['RMSNormalization', 'RMSNorm'],
]);

/** Operands that are biases, or scales and zero points. */
const PARTS: ReadonlyMap<string, { readonly bias?: number; readonly quantisation?: readonly number[] }> =
  new Map([
    ['Conv', { bias: 2 }],
    ['FusedConv', { bias: 2 }],
    ['ConvTranspose', { bias: 2 }],
    ['Gemm', { bias: 2 }],
    ['FusedGemm', { bias: 2 }],
    ['LSTM', { bias: 3 }],
    ['GRU', { bias: 3 }],
    ['RNN', { bias: 3 }],
    ['Attention', { bias: 2 }],
    ['QuantizeLinear', { quantisation: [1, 2] }],
    ['DequantizeLinear', { quantisation: [1, 2] }],
    ['QLinearConv', { bias: 8, quantisation: [1, 2, 4, 5, 6, 7] }],
    ['QLinearMatMul', { quantisation: [1, 2, 4, 5, 6, 7] }],
    ['QGemm', { bias: 6, quantisation: [1, 2, 4, 5, 7, 8] }],
    ['DynamicQuantizeMatMul', { bias: 4, quantisation: [2, 3] }],
    ['MatMulIntegerToFloat', { bias: 6, quantisation: [2, 3, 4, 5] }],
    ['MatMulInteger', { quantisation: [2, 3] }],
    ['ConvInteger', { quantisation: [2, 3] }],
    ['MatMulNBits', { bias: 5, quantisation: [2, 3, 4] }],
    ['MatMulBnb4', { quantisation: [2] }],
    ['GatherBlockQuantized', { quantisation: [2, 3] }],
  ]);

/** The stored tensors that a node uses: as weights, and as what goes with them. */
export function usesOf(scope: Scope, node: OnnxNode, numbers: Numbers): Use[] {
  return [...weightsOf(scope, node, numbers), ...partsOf(scope, node, numbers)];
}

function partsOf(scope: Scope, { operator, domain, inputs }: OnnxNode, numbers: Numbers): Use[] {
  const { bias, quantisation = [] } = PARTS.get(operator) ?? {};
  if (operator === 'Attention' && domain === '') return [];
  const use = (index: number, part: 'bias' | 'quantisation'): Use[] => {
    const operand = storedOperand(scope, inputs[index] ?? '', numbers);
    return operand === undefined ? [] : [{ tensor: operand.tensor, module: { type: operator, part } }];
  };
  return [
    ...(bias === undefined ? [] : use(bias, 'bias')),
    ...quantisation.flatMap((index) => use(index, 'quantisation')),
  ];
}

function weightsOf(scope: Scope, node: OnnxNode, numbers: Numbers): Use[] {
  const { operator, inputs } = node;
  const stored = (index: number): StoredOperand | undefined =>
    storedOperand(scope, inputs[index] ?? '', numbers);
  const kernel = KERNEL_OPERANDS.get(operator);
  if (kernel !== undefined) return present(kernelUse(node, stored(kernel)));
  const sides = PRODUCT_OPERANDS.get(operator);
  if (sides !== undefined) return present(productUse(node, stored(sides[0]), stored(sides[1])));
  const norm = NORMS.get(operator);
  if (norm !== undefined) return normUses(norm, [stored(1), stored(2)]);
  switch (operator) {
    case 'Gather':
      return present(tableUse(node, stored(0)));
    case 'LSTM':
    case 'GRU':
    case 'RNN':
      return [...present(gatesUse(operator, stored(1))), ...present(gatesUse(operator, stored(2)))];
    case 'Attention':
      // ONNX's own operator of this name, of the default domain, has no weights.
      return node.domain === '' ? [] : present(matrixUse(stored(1), 'in-out'));
    default:
      return [];
  }
}

function present(use: Use | undefined): Use[] {
  return use === undefined ? [] : [use];
}

/** O × I/groups × k…, or I × O/groups × k… for transposed convolutions. */
function kernelUse({ operator, attributes }: OnnxNode, operand: StoredOperand | undefined): Use | undefined {
  const axes = (operand?.view?.shape.length ?? 0) - 2;
  if (operand?.view === undefined || axes < 1 || axes > 3) return undefined;
  const groups = attributes.get('group')?.integer ?? 1;
  const type = `${operator === 'ConvTranspose' ? 'ConvTranspose' : 'Conv'}${axes}d`;
  const module: ModuleHint = { type, groups, order: 'out-in' };
  return seen(operand.tensor, operand.view, module);
}

/** Y = A·B with one side stored: x·W for rows x, or W·x for columns. */
function productUse(
  { attributes }: OnnxNode,
  left: StoredOperand | undefined,
  right: StoredOperand | undefined,
): Use | undefined {
  const isTurned = (name: string): boolean => attributes.get(name)?.integer === 1;
  // Some operators keep a scale where others have the product's second side: both stored is no layer then either.
  if (right !== undefined && left !== undefined) return undefined;
  if (right !== undefined) return matrixUse(right, isTurned('transB') ? 'out-in' : 'in-out');
  return matrixUse(left, isTurned('transA') ? 'in-out' : 'out-in');
}

function matrixUse(operand: StoredOperand | undefined, order: 'out-in' | 'in-out'): Use | undefined {
  if (operand?.view === undefined) return undefined;
  const { tensor } = operand;
  const view = withoutLeadingOnes(operand.view, 2);
  // A product for each of several matrices: no single layer, but no convolution either.
  if (view.shape.length !== 2)
    return tensor.shape.length > 2 ? { tensor, module: { type: 'Linear' } } : undefined;
  return isTransposeOf(view, tensor.shape)
    ? { tensor, module: { type: 'Linear', order: order === 'in-out' ? 'out-in' : 'in-out' } }
    : seen(tensor, view, { type: 'Linear', order });
}

/** The stored matrix turned, which needs no view: its order says so. */
function isTransposeOf({ shape, strides }: View, stored: readonly number[]): boolean {
  const [rows, columns] = stored;
  if (stored.length !== 2 || shape[0] !== columns || shape[1] !== rows) return false;
  return (
    strides[0] === 1 && strides[1] === Math.max(1, columns ?? 1) && (columns ?? 1) > 1 && (rows ?? 1) > 1
  );
}

/** Rows of a table by their numbers. Lists of sizes are looked up in the same way: they have one axis. */
function tableUse({ attributes }: OnnxNode, operand: StoredOperand | undefined): Use | undefined {
  if (operand?.view?.shape.length !== 2 || (attributes.get('axis')?.integer ?? 0) !== 0) return undefined;
  return seen(operand.tensor, operand.view, { type: 'Embedding', order: 'out-in' });
}

/** Directions × gates·hidden × inputs. */
function gatesUse(operator: string, operand: StoredOperand | undefined): Use | undefined {
  if (operand?.view?.shape.length !== 3) return undefined;
  const gates = GATES[operator];
  const module: ModuleHint = { type: operator, order: 'out-in', ...(gates !== undefined && { gates }) };
  return seen(operand.tensor, operand.view, module);
}

function normUses(type: string, operands: readonly (StoredOperand | undefined)[]): Use[] {
  return operands.flatMap((operand) =>
    operand === undefined ? [] : [{ tensor: operand.tensor, module: { type } }],
  );
}

function seen(tensor: OnnxTensor, view: View, module: ModuleHint): Use {
  const isAsStored = view.shape.length === tensor.shape.length && isSame(view, tensor.shape);
  return isAsStored ? { tensor, module } : { tensor, module, view };
}

function isSame({ shape, strides }: View, stored: readonly number[]): boolean {
  let step = 1;
  for (let axis = stored.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== stored[axis] || (strides[axis] !== step && shape[axis] !== 1)) return false;
    step *= Math.max(1, stored[axis] ?? 1);
  }
  return true;
}
