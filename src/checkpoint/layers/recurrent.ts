import type { Tensor } from '../checkpoint';
import type { MatrixView } from '../matrixView';
import { outByIn, outputBlocks, wholeMatrix, type LayerReading, type StoredMatrix } from './matrix';
import { isInByOut, isStatedWeight, moduleType, partsOf } from './names';
import type { TensorLookup } from './skipping';

/** Gates in the order they are stacked (torch.nn.GRU, torch.nn.LSTM). */
const PYTORCH_GATES = { gru: ['r', 'z', 'n'], lstm: ['i', 'f', 'g', 'o'] } as const;
/** Gates in the order they are stacked (keras.layers.GRU, keras.layers.LSTM). */
const KERAS_GATES = { gru: ['z', 'r', 'h'], lstm: ['i', 'f', 'c', 'o'] } as const;

type Gates = readonly string[];

/**
 * Reads the weights of recurrent layers, gates stacked: PyTorch's `weight_ih_l0`, `weight_hh_l0`, `weight_hr_l0`
 * and Keras' `kernel` beside `recurrent_kernel`, and what the file says is one. Undefined for anything else.
 */
export function readRecurrent(tensor: Tensor, find: TensorLookup): LayerReading | undefined {
  const [rows = 0, columns = 0] = tensor.shape;
  if (tensor.shape.length !== 2) return undefined;
  const { leaf, prefix } = partsOf(tensor);
  if (/^weight_(?:ih|hh)(?:_l\d+(?:_reverse)?)?$/.test(leaf)) {
    const stored = { rows, columns, transposed: false };
    return withGates(stored, pytorchGates(tensor, find));
  }
  // An LSTM's projection of its state (proj_size).
  if (/^weight_hr_l\d+(?:_reverse)?$/.test(leaf))
    return withGates({ rows, columns, transposed: false }, undefined);
  const isStated = tensor.module?.order === 'in-out' && /^(?:LSTM|GRU|RNN)/.test(moduleType(tensor));
  if (isStated) return withGates({ rows, columns, transposed: true }, kerasGates(moduleType(tensor)));
  if (/(?:^|[./])(?:recurrent_)?kernel(?::\d+)?$/i.test(tensor.name)) {
    const recurrent = find(tensor.name.replace(/(?:recurrent_)?kernel(:\d+)?$/, 'recurrent_kernel$1'));
    if (recurrent === undefined || prefix === '') return undefined;
    const [hidden = 0, stacked = 0] = recurrent.shape;
    return withGates({ rows, columns, transposed: true }, gatesOfRatio(stacked / hidden, KERAS_GATES));
  }
  return isStatedRecurrent(tensor)
    ? withGates({ rows, columns, transposed: isInByOut(tensor) }, tensor.module?.gates)
    : undefined;
}

function isStatedRecurrent(tensor: Tensor): boolean {
  return isStatedWeight(tensor) && /^(?:LSTM|GRU|RNN)$/.test(moduleType(tensor));
}

/** Forwards and backwards. */
const MAX_DIRECTIONS = 2;

/** Reads directions × gates·hidden × inputs, as ONNX keeps recurrent weights: a layer for each direction. */
export function readDirections(tensor: Tensor): LayerReading[] | undefined {
  const [directions = 0, rows = 0, columns = 0] = tensor.shape;
  if (tensor.shape.length !== 3 || directions > MAX_DIRECTIONS) return undefined;
  if (!isStatedRecurrent(tensor)) return undefined;
  const reading = withGates({ rows, columns, transposed: false }, tensor.module?.gates);
  const at = (views: readonly MatrixView[], direction: number): MatrixView[] =>
    views.map((view) => ({ ...view, offset: view.offset + direction * rows * columns }));
  return Array.from({ length: directions }, (_, direction) => ({
    ...reading,
    matrices: at(reading.matrices, direction),
    ...(reading.parts !== undefined && {
      parts: reading.parts.map((part) => ({ ...part, matrices: at(part.matrices, direction) })),
    }),
  }));
}

function pytorchGates(tensor: Tensor, find: TensorLookup): Gates | undefined {
  const type = moduleType(tensor);
  if (type.startsWith('GRU')) return PYTORCH_GATES.gru;
  if (type.startsWith('LSTM')) return PYTORCH_GATES.lstm;
  if (type.startsWith('RNN')) return undefined;
  // State dicts: weight_hh is gates·h × h; with a projection gates·h × p, and weight_hr is p × h.
  const hidden =
    find(tensor.name.replace(/weight_[ih]h/, 'weight_hr'))?.shape[1] ??
    find(tensor.name.replace(/weight_ih/, 'weight_hh'))?.shape[1];
  const [rows = 0] = tensor.shape;
  return hidden === undefined ? undefined : gatesOfRatio(rows / hidden, PYTORCH_GATES);
}

function kerasGates(type: string): Gates | undefined {
  if (type.startsWith('GRU')) return KERAS_GATES.gru;
  return type.startsWith('LSTM') ? KERAS_GATES.lstm : undefined;
}

function gatesOfRatio(
  ratio: number,
  gates: { readonly gru: Gates; readonly lstm: Gates },
): Gates | undefined {
  if (ratio === gates.gru.length) return gates.gru;
  return ratio === gates.lstm.length ? gates.lstm : undefined;
}

function withGates(stored: StoredMatrix, gates: Gates | undefined): LayerReading {
  const [outputs] = outByIn(stored);
  const size = outputs / (gates?.length ?? 1);
  return {
    kind: 'other',
    shape: outByIn(stored),
    matrices: [wholeMatrix(stored.rows, stored.columns)],
    ...(stored.transposed && { transposed: true }),
    ...(gates !== undefined &&
      Number.isInteger(size) && {
        parts: outputBlocks(
          stored,
          gates,
          gates.map(() => size),
        ),
      }),
  };
}
