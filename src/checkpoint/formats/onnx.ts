import { type Checkpoint, type Tensor, type UnreadableTensor, elementCount } from '../checkpoint';
import { isFloating } from '../dtype';
import { CheckpointError } from '../errors';
import type { RandomAccessFile } from '../file';
import { type OnnxTensor, readOnnxModel } from '../onnx';
import { NumberReader } from '../onnx/numbers';
import type { Numbers } from '../onnx/operand';
import { type Quantised, dequantise, quantisedBy } from '../onnx/quantisation';
import { type Scope, constantOf, isConstant, scopesOf } from '../onnx/scope';
import { type Use, usesOf } from '../onnx/uses';
import { quantisationNotes } from '../quantised';
import { countOf } from '../wording';
import { type Named, distinctNames } from './distinctNames';

/** What the graphs make of a stored tensor. */
interface Known {
  use?: Use;
  quantised?: Quantised['by'];
}

/** A tensor of the file and where it stands. */
interface Listed extends Named {
  readonly stored: OnnxTensor | undefined;
  readonly isConstant?: true;
}

/**
 * The weights of an ONNX model (`onnx.proto3`): initializers of all its graphs, and constants that are more than a
 * single number or a shape. What the operators that use a weight do with it tells its layout.
 *
 * @throws CheckpointError naming tensor and byte for what is no ONNX model, and for external data that lies outside the
 * model's folder.
 */
export function openOnnx(file: RandomAccessFile): Promise<Checkpoint> {
  const model = readOnnxModel(file);
  const scopes = scopesOf(model);
  const reader = new NumberReader();
  const numbers: Numbers = (tensor) => reader.read(tensor);
  try {
    const known = studied(scopes, numbers);
    const { listed, leftOut } = listTensors(scopes, known);
    const names = distinctNames(listed, file.path);
    const tensors: Tensor[] = [];
    const unreadable: UnreadableTensor[] = [];
    listed.forEach(({ stored, isConstant: ofCode }, i) => {
      const name = names[i] ?? '';
      const given = givenAs(name, stored, known, numbers, file.path);
      if ('reason' in given) unreadable.push(given);
      else tensors.push(ofCode && given.module === undefined ? constant(given) : given);
    });
    const constants =
      leftOut === 0
        ? []
        : [`${countOf(leftOut, 'constant')} of the graph (sizes, axes, single numbers) not listed`];
    const { path, files } = model;
    return Promise.resolve({
      path,
      format: 'ONNX',
      files,
      bytes: file.size + model.externalBytes,
      tensors,
      unreadable,
      readOnly: true,
      notes: [
        ...quantisationNotes(tensors),
        ...constants,
        ...(model.hasTraining ? ['Its graphs for training were not read'] : []),
      ],
    });
  } finally {
    reader.close();
  }
}

/**
 * What is first said of a tensor counts, but what is said of it as a weight before anything else; a lookup table that
 * also makes the output is an embedding.
 */
function studied(scopes: readonly Scope[], numbers: Numbers): ReadonlyMap<OnnxTensor, Known> {
  const known = new Map<OnnxTensor, Known>();
  const of = (tensor: OnnxTensor): Known => {
    const before = known.get(tensor) ?? {};
    known.set(tensor, before);
    return before;
  };
  for (const scope of scopes)
    for (const node of scope.nodes) {
      for (const use of usesOf(scope, node, numbers)) {
        const facts = of(use.tensor);
        if (rankOf(use) > rankOf(facts.use)) facts.use = use;
      }
      for (const { tensor, by } of quantisedBy(scope, node, numbers)) {
        of(tensor).quantised ??= by;
        if (typeof by !== 'string') of(by.scale).use ??= scaleUse(by.scale);
      }
    }
  return known;
}

function rankOf(use: Use | undefined): number {
  if (use === undefined) return 0;
  if (use.module.part !== undefined) return 1;
  return use.module.type === 'Embedding' ? 3 : 2;
}

/** Scales that are multiplied in later on. */
function scaleUse(tensor: OnnxTensor): Use {
  return { tensor, module: { type: 'Mul', part: 'quantisation' } };
}

function listTensors(
  scopes: readonly Scope[],
  known: ReadonlyMap<OnnxTensor, Known>,
): { readonly listed: readonly Listed[]; readonly leftOut: number } {
  const listed: Listed[] = [];
  let leftOut = 0;
  for (const scope of scopes) {
    const { path } = scope;
    for (const stored of scope.initializers) listed.push({ name: stored.name, path, stored });
    for (const name of scope.sparse) listed.push({ name, path, stored: undefined });
    for (const node of scope.nodes) {
      if (!isConstant(node)) continue;
      const [name = node.name] = node.outputs;
      const stored = constantOf(node);
      if (node.attributes.has('sparse_value')) listed.push({ name, path, stored: undefined });
      else if (stored !== undefined && (isWeight(stored) || known.has(stored)))
        listed.push({ name, path, stored, isConstant: true });
      else leftOut++;
    }
  }
  return { listed, leftOut };
}

/** Constants that are worth a line: more than one number with a fraction, or what cannot be read. */
function isWeight({ tensor, shape }: OnnxTensor): boolean {
  return elementCount(shape) > 1 && (tensor === undefined || isFloating(tensor.dtype));
}

/** A value of the graph that no layer uses as its weight. */
function constant(tensor: Tensor): Tensor {
  return { ...tensor, module: { type: 'Constant', part: 'constant' } };
}

function givenAs(
  name: string,
  stored: OnnxTensor | undefined,
  known: ReadonlyMap<OnnxTensor, Known>,
  numbers: Numbers,
  file: string,
): Tensor | UnreadableTensor {
  if (stored === undefined) return { name, shape: [], dtype: 'unknown', reason: 'it is sparse' };
  const { shape, typeName: dtype } = stored;
  const { use, quantised } = known.get(stored) ?? {};
  const unread = (reason: string): UnreadableTensor => ({ name, shape, dtype, reason });
  if (stored.tensor === undefined) return unread(stored.reason ?? 'its values cannot be read');
  if (typeof quantised === 'string') return unread(quantised);
  let tensor: Tensor | string = { ...stored.tensor, name };
  if (quantised !== undefined) {
    try {
      tensor = dequantise(tensor, quantised, numbers);
    } catch (error) {
      const location = { file, tensor: name, offset: stored.span.begin };
      throw error instanceof CheckpointError ? error.at(location) : error;
    }
    if (typeof tensor === 'string') return unread(tensor);
  }
  if (use === undefined) return tensor;
  const { view, module } = use;
  return {
    ...tensor,
    module,
    ...(view !== undefined && { shape: view.shape, layout: { offset: 0, strides: view.strides } }),
  };
}
