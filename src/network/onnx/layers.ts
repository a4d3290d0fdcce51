import type { OnnxGraph, OnnxNode } from '../../checkpoint/onnx';
import { printable } from '../../checkpoint/errors';
import { elementCount } from '../../checkpoint/checkpoint';
import { countOf } from '../../checkpoint/wording';
import { convolutionWalk } from './convolution';
import type { GraphIndex } from './graph';
import type { InputVectors } from './inputRows';
import { type WeightView, findWeight, isSameView, kernelView, matrixView } from './weight';

/** A node that multiplies by a layer's weight. */
export interface LayerUse {
  readonly node: number;
  /** Value it reads its input vectors from. */
  readonly input: string;
  readonly vectors: InputVectors;
}

/** A linear or convolution layer as the graph has it. */
export interface FoundLayer {
  readonly weight: WeightView;
  readonly kind: 'linear' | 'conv';
  readonly m: number;
  readonly n: number;
  readonly groups: number;
  /** In the order of the graph; more than one where a weight is shared. */
  readonly uses: readonly LayerUse[];
  /** Names of biases, for names of layers. */
  readonly biasName: string | undefined;
  readonly bias: number;
}

export interface LayerSearch {
  readonly layers: readonly FoundLayer[];
  readonly notes: readonly string[];
}

type Candidate = Omit<FoundLayer, 'uses'> & { readonly use: LayerUse };
/** A layer, why it is none (`reason` completes "is not measured: …"), or nothing that has to do with weights. */
type Verdict = Candidate | { readonly reason: string } | undefined;

/** Operators that multiply by weights in ways that are not measured. */
const UNMEASURED: Readonly<Record<string, string>> = {
  ConvTranspose: 'transposed convolutions have no single input matrix here',
  LSTM: 'recurrent layers are not measured',
  GRU: 'recurrent layers are not measured',
  RNN: 'recurrent layers are not measured',
  Attention: 'a fused attention hides its inputs',
  MultiHeadAttention: 'a fused attention hides its inputs',
  Einsum: 'its weight is part of an Einsum',
};
/** QLinearConv, ConvInteger, MatMulNBits, DynamicQuantizeMatMul … */
const QUANTISED =
  /^(?:QLinear(?:Conv|MatMul)|ConvInteger|MatMulInteger|MatMulNBits|QGemm|QAttention|DynamicQuantize)/;

/** Finds the linear and convolution layers of a graph, by the operators that multiply with stored weights. */
export function findLayers(graph: GraphIndex): LayerSearch {
  const layers: FoundLayer[] = [];
  const reasons = new Map<string, string[]>();
  const notes: string[] = [];
  graph.nodes.forEach((node, index) => {
    const verdict = judge(graph, node, index);
    if (verdict === undefined) return;
    if ('reason' in verdict) {
      const label = printable(node.name === '' ? (node.outputs[0] ?? node.operator) : node.name);
      reasons.set(verdict.reason, [...(reasons.get(verdict.reason) ?? []), label]);
      return;
    }
    const { use, ...layer } = verdict;
    const known = layers.findIndex((other) => other.weight.name === layer.weight.name);
    const same = layers[known];
    if (same === undefined) layers.push({ ...layer, uses: [use] });
    else if (
      isSameView(same.weight, layer.weight) &&
      same.kind === layer.kind &&
      same.groups === layer.groups
    ) {
      layers[known] = { ...same, uses: [...same.uses, use] };
    } else
      notes.push(
        `"${printable(layer.weight.name)}" is used in two different ways; only the first is measured.`,
      );
  });
  for (const { weight, uses } of layers)
    if (uses.length > 1)
      notes.push(
        `"${printable(weight.name)}" is shared by ${uses.length} nodes: listed once, their inputs summed.`,
      );
  for (const [reason, labels] of reasons) {
    const [first = ''] = labels;
    const who =
      labels.length === 1 ? `"${first}" is` : `${countOf(labels.length, 'node')} ("${first}" …) are`;
    notes.push(`${who} not measured: ${reason}.`);
  }
  const hidden = hiddenLayers(graph);
  if (hidden > 0)
    notes.push(
      `${countOf(hidden, 'layer')} inside If, Loop, Scan or functions ${hidden === 1 ? 'is' : 'are'} not measured.`,
    );
  return { layers, notes };
}

function judge(graph: GraphIndex, node: OnnxNode, index: number): Verdict {
  const { operator } = node;
  if (QUANTISED.test(operator)) return { reason: 'it is quantised' };
  switch (operator) {
    case 'Conv':
    case 'FusedConv':
      return judgeConvolution(graph, node, index);
    case 'Gemm':
    case 'FusedGemm':
      return judgeMatrix(graph, node, index, integer(node, 'transA') === 1, integer(node, 'transB') === 1);
    case 'MatMul':
      return judgeMatrix(graph, node, index, false, false);
    case 'FusedMatMul':
      if (integer(node, 'transBatchA') === 1 || integer(node, 'transBatchB') === 1)
        return { reason: 'it transposes whole batches' };
      return judgeMatrix(graph, node, index, integer(node, 'transA') === 1, integer(node, 'transB') === 1);
    default: {
      const reason = Object.hasOwn(UNMEASURED, operator) ? UNMEASURED[operator] : undefined;
      const hasWeight = node.inputs.some((name) => (graph.stored(name)?.shape.length ?? 0) >= 2);
      return reason !== undefined && hasWeight ? { reason } : undefined;
    }
  }
}

function integer(node: OnnxNode, name: string): number {
  return node.attributes.get(name)?.integer ?? 0;
}

function judgeConvolution(graph: GraphIndex, node: OnnxNode, index: number): Verdict {
  const [input = '', operand = '', bias] = node.inputs;
  const search = findWeight(graph, operand);
  if (search.kind === 'dynamic') return { reason: 'its kernel is computed from the input' };
  if (search.kind === 'other') return search;
  const { weight } = search;
  const [outputs = 0, perGroup = 0, ...kernel] = weight.shape;
  const walk = convolutionWalk(node, kernel);
  const axes = kernel.length;
  const hasAxes = [walk.strides, walk.dilations].every(
    (values) => values.length === axes && values.every((v) => v > 0),
  );
  const hasPads =
    walk.pads === undefined || (walk.pads.length === 2 * axes && walk.pads.every((v) => v >= 0));
  const { groups } = walk;
  if (axes < 1 || !hasAxes || !hasPads || groups < 1 || outputs % groups !== 0)
    return { reason: 'its sizes do not fit together' };
  const n = perGroup * kernel.reduce((a, b) => a * b, 1);
  return {
    weight: kernelView(weight),
    kind: 'conv',
    m: outputs / groups,
    n,
    groups,
    use: { node: index, input, vectors: { kind: 'patches', walk } },
    ...biasOf(graph, node, bias, outputs),
  };
}

/** Y = A·B with one side stored: x·Wᵀ for rows x, or W·x for columns. */
function judgeMatrix(
  graph: GraphIndex,
  node: OnnxNode,
  index: number,
  transA: boolean,
  transB: boolean,
): Verdict {
  const [a = '', b = '', c] = node.inputs;
  const right = findWeight(graph, b);
  const left = findWeight(graph, a);
  const isRight = left.kind === 'dynamic';
  const search = isRight ? right : left;
  if (search.kind === 'dynamic' || (!isRight && right.kind !== 'dynamic')) return undefined;
  if (search.kind === 'other') return search;
  const { weight } = search;
  if (weight.shape.length !== 2)
    return { reason: `its weight has ${weight.shape.length} axes instead of two` };
  const isInByOut = isRight ? !transB : transA;
  const view = matrixView(weight, isInByOut);
  const isAlongLast = isRight ? !transA : transB;
  const [m = 0, n = 0] = view.shape;
  return {
    weight: view,
    kind: 'linear',
    m,
    n,
    groups: 1,
    use: {
      node: index,
      input: isRight ? a : b,
      vectors: { kind: isAlongLast ? 'lastAxis' : 'columns' },
    },
    ...biasOf(graph, node, c, m),
  };
}

/** The bias of a node: its own operand, or a stored vector added to its output. */
function biasOf(
  graph: GraphIndex,
  node: OnnxNode,
  own: string | undefined,
  outputs: number,
): { readonly biasName: string | undefined; readonly bias: number } {
  const isBias = (name: string): boolean => {
    const shape = graph.stored(name)?.shape;
    return shape !== undefined && elementCount(shape) === outputs;
  };
  if (own !== undefined && isBias(own)) return { biasName: own, bias: outputs };
  const [output = ''] = node.outputs;
  const [reader, ...others] = graph.readersOf(output);
  const next = others.length === 0 ? graph.nodes[reader ?? -1] : undefined;
  const added = next?.operator === 'Add' ? next.inputs.find(isBias) : undefined;
  return added === undefined ? { biasName: undefined, bias: 0 } : { biasName: added, bias: outputs };
}

/** Layers in subgraphs and local functions, where inputs cannot be looked at. */
function hiddenLayers({ model }: GraphIndex): number {
  const isLayer = ({ operator }: OnnxNode): boolean => /^(?:Conv|Gemm|LSTM|GRU|MatMul)$/.test(operator);
  const inside = (nodes: readonly OnnxNode[]): number =>
    nodes.reduce((sum, node) => {
      const graphs: OnnxGraph[] = [...node.attributes.values()].flatMap((attribute) => attribute.graphs);
      return sum + graphs.reduce((n, { nodes: own }) => n + own.filter(isLayer).length + inside(own), 0);
    }, 0);
  const functions = model.functions.reduce((n, own) => n + own.filter(isLayer).length + inside(own), 0);
  return inside(model.graph.nodes) + functions;
}
