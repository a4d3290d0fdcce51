/**
 * Weights kept as factors in a safetensors file: `<layer>.U` and `<layer>.V` are tensors of it, and the metadata says
 * under `rankscope.factors` what they stand for. Written by `write/factorFile.ts`; change both together.
 */
import {
  type ActivatedProduct,
  type Checkpoint,
  type FactoredWeight,
  type Tensor,
  elementCount,
} from '../checkpoint';
import { MAX_PRODUCT_ELEMENTS, productSizes, requireFormable } from '../activatedProduct';
import { type DType, dtypeOf, isFloating } from '../dtype';
import { CheckpointError } from '../errors';
import { JsonReader } from '../json';
import { MAX_AXES, requireShape } from '../layout';
import { countOf } from '../wording';

/** The metadata's key; its value is JSON text. */
export const FACTORS_KEY = 'rankscope.factors';
export const FACTORS_SCHEMA = 'rankscope/factors@1';

/** Ways of keeping a weight that are read, and what is applied to ω·U·Vᵀ. */
export const ACTIVATIONS: ReadonlyMap<string, ActivatedProduct['activation']> = new Map([
  ['sine', 'sine'],
  ['svd', 'identity'],
] as const);

const FORMAT_TITLES: ReadonlyMap<string, string> = new Map([
  ['sine', 'sine-low-rank factors'],
  ['svd', 'low-rank factors'],
]);

/** One layer of the metadata, as it is written there. */
export interface FactoredLayer {
  /** Of the layer: the tensor's, with `[i]` behind it for an expert. */
  readonly name: string;
  readonly factorization: string;
  readonly omega: number;
  /** One for each group. */
  readonly gains: readonly number[];
  /** Name of the weight that this is, or is a part of. */
  readonly tensor: string;
  /** Its shape. */
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly transposed: boolean;
  /** Place in the stack, where the tensor is one of experts. */
  readonly expert?: number;
}

interface FactorsMetadata {
  readonly layers: readonly FactoredLayer[];
  /** Names of weights that are the same as another one, and its name. */
  readonly ties: ReadonlyMap<string, string>;
}

/**
 * The checkpoint with every factored weight as one more tensor, which is multiplied out when it is read; U and V stay
 * in the list as factors.
 *
 * @param text value of the metadata's key
 * @throws CheckpointError `malformed` for metadata that does not fit the file's tensors
 */
export function withFactoredWeights(checkpoint: Checkpoint, text: string): Checkpoint {
  const { path } = checkpoint;
  const { layers, ties } = parseMetadata(text, path);
  const stored = new Map(checkpoint.tensors.map((tensor) => [tensor.name, tensor]));
  const weights = new Map<string, Tensor>();
  const factored = new Map<string, FactoredWeight>();
  const factorNames = new Map<string, string>();
  for (const [name, parts] of byTensor(layers)) {
    if (stored.has(name)) throw fault('kept as factors and as it is', path, name);
    weights.set(name, weightOf(name, parts, stored, path));
    const [first] = parts;
    if (first !== undefined) factored.set(name, { dtype: first.dtype, factorization: first.factorization });
    for (const { name: layer } of parts)
      for (const side of ['U', 'V']) factorNames.set(`${layer}.${side}`, name);
  }
  const tensors: Tensor[] = [];
  const listed = new Set<string>();
  for (const tensor of checkpoint.tensors) {
    const weight = weights.get(factorNames.get(tensor.name) ?? '');
    if (weight !== undefined && !listed.has(weight.name)) {
      listed.add(weight.name);
      tensors.push(weight);
    }
    tensors.push(weight === undefined ? tensor : { ...tensor, role: 'factor' });
  }
  tensors.push(...tiedTensors(ties, tensors, path));
  return {
    ...checkpoint,
    format: `safetensors (${FORMAT_TITLES.get(layers[0]?.factorization ?? '') ?? 'factors'})`,
    tensors,
    factored,
    notes: [...checkpoint.notes, noteOf(weights, factorNames, stored)],
  };
}

function noteOf(
  weights: ReadonlyMap<string, Tensor>,
  factorNames: ReadonlyMap<string, string>,
  stored: ReadonlyMap<string, Tensor>,
): string {
  const dense = [...weights.values()].reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const kept = [...factorNames.keys()].reduce(
    (sum, name) => sum + elementCount(stored.get(name)?.shape ?? [0]),
    0,
  );
  return `${countOf(weights.size, 'weight is', 'weights are')} kept as factors: ${kept} numbers stand for ${dense}`;
}

function byTensor(layers: readonly FactoredLayer[]): Map<string, FactoredLayer[]> {
  const groups = new Map<string, FactoredLayer[]>();
  for (const layer of layers) {
    const group = groups.get(layer.tensor);
    if (group === undefined) groups.set(layer.tensor, [layer]);
    else group.push(layer);
  }
  return groups;
}

/** The weight of one layer, or of a whole stack of experts. */
function weightOf(
  name: string,
  parts: readonly FactoredLayer[],
  stored: ReadonlyMap<string, Tensor>,
  path: string,
): Tensor {
  const [first] = parts;
  if (first === undefined) throw fault('no factors', path, name);
  if (first.expert === undefined) {
    if (parts.length > 1) throw fault('kept as factors twice', path, name);
    return productOf(name, first, first.shape, stored, path);
  }
  const [experts = 0, ...each] = first.shape;
  const inOrder: Tensor[] = [];
  for (const part of parts) {
    const isLike =
      part.shape.length === first.shape.length && part.shape.every((n, i) => n === first.shape[i]);
    if (!isLike || part.dtype !== first.dtype) throw fault('its experts differ in shape or type', path, name);
    if (part.expert === undefined || part.expert >= experts || inOrder[part.expert] !== undefined) {
      throw fault(`its experts are not 0 to ${experts - 1}, each once`, path, name);
    }
    inOrder[part.expert] = productOf(part.name, part, each, stored, path);
  }
  if (parts.length !== experts) throw fault(`${parts.length} of ${experts} experts have factors`, path, name);
  const byteLength = 4 * elementCount(first.shape);
  if (byteLength > 4 * MAX_PRODUCT_ELEMENTS) throw fault(`a stack of ${byteLength} bytes`, path, name);
  const storage = { encoding: 'stack', path, parts: inOrder, byteLength } as const;
  return { name, shape: first.shape, dtype: 'float32', storage, role: 'model' };
}

function productOf(
  name: string,
  layer: FactoredLayer,
  shape: readonly number[],
  stored: ReadonlyMap<string, Tensor>,
  path: string,
): Tensor {
  const activation = ACTIVATIONS.get(layer.factorization);
  if (activation === undefined)
    throw fault(`kept as "${layer.factorization}", which is not read`, path, name);
  const [U, V] = ['U', 'V'].map((side) => {
    const factor = stored.get(`${layer.name}.${side}`);
    if (factor === undefined) throw fault(`its factor ${side} is missing`, path, name);
    if (factor.dtype !== 'float32')
      throw fault(`its factor ${side} is ${factor.dtype}, not float32`, path, name);
    return factor;
  });
  if (U === undefined || V === undefined) throw fault('its factors are missing', path, name);
  const { omega, gains, transposed } = layer;
  const product: ActivatedProduct = { activation, omega, gains, U, V, transposed };
  try {
    const sizes = productSizes(product);
    const { groups, rows, columns, rank } = sizes;
    if (rank > Math.min(rows, columns))
      throw new CheckpointError('malformed', `factors of rank ${rank} for a matrix of ${rows} × ${columns}`);
    requireFormable(sizes);
    if (elementCount(shape) !== groups * rows * columns) {
      const made = `${groups > 1 ? `${groups} × ` : ''}${rows} × ${columns}`;
      throw new CheckpointError('malformed', `factors of ${made} for a shape of [${shape.join(', ')}]`);
    }
    const storage = { encoding: 'product', path, product, byteLength: 4 * elementCount(shape) } as const;
    const module = moduleOf(shape, groups, transposed);
    return { name, shape, dtype: 'float32', storage, role: 'model', ...(module !== undefined && { module }) };
  } catch (error) {
    throw error instanceof CheckpointError ? error.at({ file: path, tensor: name }) : error;
  }
}

/** Several products in one weight are the groups of a convolution, which its name alone would not tell. */
function moduleOf(shape: readonly number[], groups: number, transposed: boolean): Tensor['module'] {
  if (groups === 1 || shape.length < 3) return undefined;
  return { type: `Conv${transposed ? 'Transpose' : ''}${shape.length - 2}d`, groups };
}

/** Second names of weights: the same bytes again. */
function tiedTensors(
  ties: ReadonlyMap<string, string>,
  tensors: readonly Tensor[],
  path: string,
): readonly Tensor[] {
  const known = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  return [...ties].map(([name, owner]) => {
    const tensor = known.get(owner);
    if (known.has(name)) throw fault('tied, and kept on its own', path, name);
    if (tensor === undefined || tensor.role === 'factor')
      throw fault(`tied to "${owner}", which is not there`, path, name);
    return { ...tensor, name };
  });
}

function parseMetadata(text: string, path: string): FactorsMetadata {
  const json = new JsonReader(Buffer.from(text, 'utf8'));
  const layers: FactoredLayer[] = [];
  const ties = new Map<string, string>();
  let schema = '';
  try {
    json.object((key) => {
      if (key === 'schema') schema = json.string();
      else if (key === 'layers') json.object((name) => layers.push(parseLayer(json, name)));
      else if (key === 'ties') json.object((name) => ties.set(name, json.string()));
      else json.skip();
    });
    json.end();
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    // Its offset counts from the beginning of the text, not of the file.
    throw new CheckpointError(
      'malformed',
      `${FACTORS_KEY}: ${error.reason}`,
      { file: path },
      { cause: error },
    );
  }
  if (schema !== FACTORS_SCHEMA) {
    throw new CheckpointError('unsupported', `${FACTORS_KEY}: schema "${schema}", not ${FACTORS_SCHEMA}`, {
      file: path,
    });
  }
  if (layers.length === 0)
    throw new CheckpointError('malformed', `${FACTORS_KEY}: no layers`, { file: path });
  return { layers, ties };
}

function parseLayer(json: JsonReader, name: string): FactoredLayer {
  let [factorization, tensor, dtype] = ['', '', ''];
  let [omega, gains] = [1, [1]];
  let shape: number[] | undefined;
  let transposed = false;
  let expert: number | undefined;
  json.object((key) => {
    if (key === 'factorization') factorization = json.string();
    else if (key === 'tensor') tensor = json.string();
    else if (key === 'dtype') dtype = json.string();
    else if (key === 'omega') omega = json.number();
    else if (key === 'gains') gains = listOf(json, MAX_GAINS, () => json.number());
    else if (key === 'shape') shape = listOf(json, MAX_AXES, () => json.count());
    else if (key === 'transposed') transposed = json.boolean();
    else if (key === 'expert') expert = json.count();
    else json.skip();
  });
  const known = dtypeOf(dtype);
  if (shape === undefined) throw json.error(`no shape for "${name}"`);
  if (tensor === '') throw json.error(`no tensor for "${name}"`);
  if (known === undefined || !isFloating(known)) throw json.error(`"${dtype}" is no floating-point type`);
  return {
    name,
    factorization,
    omega,
    gains,
    tensor,
    shape: requireShape(shape, 4),
    dtype: known,
    transposed,
    ...(expert !== undefined && { expert }),
  };
}

/** As many as the groups of a convolution may be. */
const MAX_GAINS = 1 << 17;

function listOf<T>(json: JsonReader, most: number, item: () => T): T[] {
  const items: T[] = [];
  json.array(() => {
    if (items.length >= most) throw json.error(`a list of more than ${most}`);
    items.push(item());
  });
  return items;
}

function fault(reason: string, file: string, tensor: string): CheckpointError {
  return new CheckpointError('malformed', reason, { file, tensor });
}
