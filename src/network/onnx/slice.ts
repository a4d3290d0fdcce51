import type { OnnxTensor } from '../../checkpoint/onnx';
import { CheckpointError } from '../../checkpoint/errors';
import { byteRange, isContiguousRaw } from '../../checkpoint/tensorData';
import type { GraphIndex } from './graph';
import {
  type Piece,
  type ValueType,
  initializerField,
  integerField,
  messageField,
  textField,
  valueField,
} from './protobuf';

/** Which part of a network is wanted as a model of its own. */
export interface SliceRequest {
  /** Values computed by nodes before this one are inputs. */
  readonly from: number;
  /** Values to compute. */
  readonly outputs: readonly string[];
  /** A weight that becomes an input. */
  readonly promoted?: string;
  /** Weights that hold other values than the file's, in the layout and type of the file. */
  readonly replaced: ReadonlyMap<string, Uint8Array>;
}

/** A part of a network, not yet written. */
export interface Slice {
  readonly request: SliceRequest;
  /** Values that have to be given, the promoted weight left out. */
  readonly inputs: readonly string[];
  /** Indices of its nodes, in order. */
  readonly nodes: readonly number[];
  /** Names of the stored values it uses. */
  readonly constants: readonly string[];
}

/** What is needed to compute `outputs`: nodes from `from` on, and everything that does not depend on the input. */
export function sliceGraph(graph: GraphIndex, request: SliceRequest): Slice {
  const inputs = new Set<string>();
  const nodes = new Set<number>();
  const constants = new Set<string>();
  const seen = new Set<string>();
  const pending = [...request.outputs];
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    if (seen.has(name)) continue;
    seen.add(name);
    const producer = graph.producer(name);
    if (name === request.promoted) continue;
    if (request.replaced.has(name) || producer === undefined) {
      if (graph.isDynamic(name)) inputs.add(name);
      else constants.add(name);
    } else if (graph.isDynamic(name) && producer < request.from) inputs.add(name);
    else if (!nodes.has(producer)) {
      nodes.add(producer);
      pending.push(...(graph.reads[producer] ?? []));
    }
  }
  return {
    request,
    inputs: [...inputs],
    nodes: [...nodes].sort((a, b) => a - b),
    constants: [...constants],
  };
}

/**
 * The slice as an ONNX model: pieces of the original file and what is new.
 *
 * @param typeOf type of an input; undefined for a value that is not known.
 * @throws CheckpointError for weights whose values cannot be read.
 */
export function writeSlice(
  graph: GraphIndex,
  slice: Slice,
  typeOf: (name: string) => ValueType | undefined,
): Piece[] {
  const { model } = graph;
  const { request, inputs, nodes, constants } = slice;
  const copy = (span: { readonly begin: number; readonly end: number }): Piece => ({
    path: model.path,
    begin: span.begin,
    end: span.end,
  });
  const sparse = new Map(model.graph.sparseInitializers.map(({ name, span }) => [name, span]));
  const pieces: Piece[] = nodes.flatMap((index) => {
    const node = graph.nodes[index];
    return node === undefined ? [] : [copy(node.span)];
  });
  pieces.push(...textField(2, 'part'));
  for (const name of constants) {
    const span = sparse.get(name);
    const stored = graph.stored(name);
    if (stored !== undefined) pieces.push(...constantPieces(name, stored, request.replaced.get(name), copy));
    else if (span !== undefined) pieces.push(copy(span));
  }
  for (const name of inputs) pieces.push(...valueField(11, name, typeOf(name)));
  const promoted = request.promoted === undefined ? undefined : graph.stored(request.promoted);
  if (request.promoted !== undefined && promoted !== undefined)
    pieces.push(...valueField(11, request.promoted, promoted));
  for (const name of request.outputs) {
    const declared = graph.outputs.find((output) => output.name === name);
    pieces.push(...(declared === undefined ? valueField(12, name) : [copy(declared.span)]));
  }
  return [integerField(1, model.irVersion), ...model.shared.map(copy), ...messageField(7, pieces)];
}

/** An initializer: as it is in the file, with other values, or brought in from a file beside the model. */
function constantPieces(
  name: string,
  stored: OnnxTensor,
  values: Uint8Array | undefined,
  copy: (span: { readonly begin: number; readonly end: number }) => Piece,
): Piece[] {
  const { shape, elementType, tensor } = stored;
  if (values !== undefined) return initializerField(name, shape, elementType, values);
  if (!stored.external) return [copy(stored.span)];
  if (tensor === undefined || !isContiguousRaw(tensor))
    throw new CheckpointError('unsupported', stored.reason ?? 'its external data cannot be read', {
      tensor: name,
    });
  const { path, offset, byteLength } = byteRange(tensor);
  const outside: Piece = { path, begin: offset, end: offset + byteLength };
  return initializerField(name, shape, elementType, outside);
}
