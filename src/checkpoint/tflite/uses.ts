/** What operators of TensorFlow Lite use stored tensors for, and in which order these are kept. */
import type { ModuleHint } from '../checkpoint';
import type { TfliteGraph, TfliteOperator, TfliteTensor } from './model';

/** A stored tensor as the layer that uses it has it. */
export interface TfliteUse {
  readonly module: ModuleHint;
  /** Stored axes in the order of the layer's kernel: O × I × k… (transposed: I × O × k…). Absent: as they are. */
  readonly axes?: readonly number[];
  /** Why its values are not the weight. */
  readonly reason?: string;
}

/** Codes of `BuiltinOperator`. */
const CODES = {
  conv2d: 3,
  depthwiseConv2d: 4,
  dequantize: 6,
  embeddingLookup: 7,
  fullyConnected: 9,
  lstm: 16,
  rnn: 24,
  sequenceRnn: 35,
  gather: 36,
  sequenceLstm: 44,
  bidirectionalSequenceLstm: 52,
  transposeConv: 67,
  batchMatmul: 126,
  conv3d: 132,
  conv3dTranspose: 141,
} as const;

const range = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, i) => first + i);

/** Inputs of recurrent operators that are out × in matrices, and those that are biases. */
const RECURRENT: ReadonlyMap<
  number,
  { readonly type: string; readonly weights: number[]; readonly biases: number[] }
> = new Map([
  [CODES.rnn, { type: 'RNN', weights: [1, 2], biases: [3] }],
  [CODES.sequenceRnn, { type: 'RNN', weights: [1, 2], biases: [3] }],
  [CODES.lstm, { type: 'LSTM', weights: [...range(1, 8), 16], biases: [...range(12, 15), 17] }],
  [CODES.sequenceLstm, { type: 'LSTM', weights: [...range(1, 8), 16], biases: [...range(12, 15), 17] }],
  [
    CODES.bidirectionalSequenceLstm,
    {
      type: 'LSTM',
      weights: [...range(1, 8), 16, ...range(18, 25), 33],
      biases: [...range(12, 15), 17, ...range(29, 32), 34],
    },
  ],
]);
/** The short form of an LSTM: input, state, one matrix for both, bias, cell. */
const SHORT_LSTM_INPUTS = 5;

const SHUFFLED = 'its values are shuffled for one kind of processor';

/** The uses of a subgraph's stored tensors, by their numbers: the first of each, those as weights before others. */
export function tfliteUses(graph: TfliteGraph): ReadonlyMap<number, TfliteUse> {
  const uses = new Map<number, TfliteUse>();
  const sources = new Map<number, number>();
  for (const { code, inputs, outputs } of graph.operators) {
    const [input, output] = [inputs[0], outputs[0]];
    if (code === CODES.dequantize && input !== undefined && output !== undefined) sources.set(output, input);
  }
  for (const operator of graph.operators) {
    const stored = (index: number): number | undefined => {
      const given = operator.inputs[index] ?? -1;
      // Half-precision weights are converted by an operator of their own.
      const number = sources.get(given) ?? given;
      return graph.tensors[number]?.data === undefined ? undefined : number;
    };
    for (const { index, use } of usesOf(operator, graph, stored)) {
      const number = stored(index);
      if (number === undefined) continue;
      const known = uses.get(number);
      if (known === undefined || (known.module.part !== undefined && use.module.part === undefined))
        uses.set(number, use);
    }
  }
  return uses;
}

interface InputUse {
  readonly index: number;
  readonly use: TfliteUse;
}

function usesOf(
  { code, inputs, options }: TfliteOperator,
  graph: TfliteGraph,
  stored: (index: number) => number | undefined,
): InputUse[] {
  const tensor = (index: number): TfliteTensor | undefined => graph.tensors[stored(index) ?? -1];
  const axesOf = (index: number): number => tensor(index)?.sizes.length ?? 0;
  const channels = graph.tensors[inputs[0] ?? -1]?.sizes.at(-1);
  const bias = (index: number, type: string): InputUse => ({
    index,
    use: { module: { type, part: 'bias' } },
  });
  const weight = (index: number, module: ModuleHint, axes?: readonly number[]): InputUse => ({
    index,
    use: { module: { order: 'out-in', ...module }, ...(axes !== undefined && { axes }) },
  });
  switch (code) {
    case CODES.conv2d: {
      // O × kh × kw × I/groups.
      if (axesOf(1) !== 4) return [];
      const groups = quotient(channels, tensor(1)?.sizes[3]);
      return [weight(1, { type: 'Conv2d', groups }, [0, 3, 1, 2]), bias(2, 'Conv2d')];
    }
    case CODES.depthwiseConv2d: {
      // 1 × kh × kw × C·multiplier: as a grouped convolution, O × 1 × kh × kw.
      if (axesOf(1) !== 4 || tensor(1)?.sizes[0] !== 1) return [];
      const outputs = tensor(1)?.sizes[3] ?? 0;
      const groups = quotient(outputs, quotient(outputs, channels));
      return [weight(1, { type: 'Conv2d', groups }, [3, 0, 1, 2]), bias(2, 'Conv2d')];
    }
    case CODES.transposeConv:
      // O × kh × kw × I.
      if (axesOf(1) !== 4) return [];
      return [weight(1, { type: 'ConvTranspose2d', groups: 1 }, [3, 0, 1, 2]), bias(3, 'ConvTranspose2d')];
    case CODES.conv3d:
      if (axesOf(1) !== 5) return [];
      return [weight(1, { type: 'Conv3d', groups: 1, order: 'in-out' }), bias(2, 'Conv3d')];
    case CODES.conv3dTranspose:
      if (axesOf(1) !== 5) return [];
      return [weight(1, { type: 'ConvTranspose3d', groups: 1, order: 'in-out' }), bias(3, 'ConvTranspose3d')];
    case CODES.fullyConnected: {
      const isShuffled = options !== undefined && options.uint8(1) !== 0;
      const use = weight(1, { type: 'Linear' });
      return [isShuffled ? { index: 1, use: { ...use.use, reason: SHUFFLED } } : use, bias(2, 'Linear')];
    }
    case CODES.batchMatmul: {
      const [left, right] = [stored(0), stored(1)];
      const isTurned = (field: number): boolean => options !== undefined && options.uint8(field) !== 0;
      if (right !== undefined && left === undefined)
        return [weight(1, { type: 'Linear', order: isTurned(1) ? 'out-in' : 'in-out' })];
      return left === undefined || right !== undefined
        ? []
        : [weight(0, { type: 'Linear', order: isTurned(0) ? 'in-out' : 'out-in' })];
    }
    case CODES.embeddingLookup:
      return axesOf(1) === 2 ? [weight(1, { type: 'Embedding' })] : [];
    case CODES.gather:
      return axesOf(0) === 2 && (options === undefined || options.int32(0) === 0)
        ? [weight(0, { type: 'Embedding' })]
        : [];
    default: {
      if (code === CODES.lstm && inputs.length === SHORT_LSTM_INPUTS)
        return [weight(2, { type: 'LSTM' }), bias(3, 'LSTM')];
      const recurrent = RECURRENT.get(code);
      if (recurrent === undefined) return [];
      const { type, weights, biases } = recurrent;
      return [
        ...weights.map((index) => weight(index, { type })),
        ...biases.map((index) => bias(index, type)),
      ];
    }
  }
}

/** A whole number of times that one size holds another, 1 where it does not. */
function quotient(whole: number | undefined, part: number | undefined): number {
  const times = (whole ?? 0) / (part ?? 0);
  return Number.isSafeInteger(times) && times > 0 ? times : 1;
}
