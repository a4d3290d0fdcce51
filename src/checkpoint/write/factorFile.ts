import type { ActivatedProduct, Checkpoint, Tensor } from '../checkpoint';
import { ACTIVATIONS, FACTORS_KEY, FACTORS_SCHEMA, type FactoredLayer } from '../formats/factors';
import { adaptersByFactor, identityKey, ownsItsNumbers } from '../layers';
import { readTensorBytes } from '../tensorData';
import { countOf } from '../wording';
import { safetensorsHolds, writeSafetensorsInto, type TensorToWrite } from './safetensors';
import type { StagedFiles } from './staging';

/** A layer and its new factors: U is m × k, V is n × k, with an axis of groups before where there are several. */
export interface LayerFactors extends FactoredLayer {
  readonly U: Tensor;
  readonly V: Tensor;
}

/** Where the factors come from, for people. */
export interface FactorSource {
  readonly name: string;
  readonly format: string;
}

/**
 * Writes a safetensors file with factors in place of the converted layers; every other tensor of the model under its own
 * name, bit for bit. A weight that has several names is kept once, the others stand in the metadata as ties.
 *
 * @param layers converted ones; of a stack of experts, all
 * @returns what was left out, for people
 */
export async function writeFactorFile(
  staged: StagedFiles,
  target: string,
  checkpoint: Checkpoint,
  layers: readonly LayerFactors[],
  source: FactorSource,
  signal: AbortSignal,
): Promise<string[]> {
  const { tensors, kept, ties, notes } = contentsOf(checkpoint, layers);
  const metadata = factorMetadata(kept, ties, source);
  const toWrite = tensors.map((tensor): TensorToWrite => {
    const { name, dtype, shape } = tensor;
    const data = (): Promise<Uint8Array> => {
      signal.throwIfAborted();
      return readTensorBytes(tensor);
    };
    return { name, dtype, shape, data };
  });
  await staged.write(target, (handle) => writeSafetensorsInto(handle, target, toWrite, metadata));
  return notes;
}

interface Contents {
  readonly tensors: readonly Tensor[];
  readonly kept: readonly FactoredLayer[];
  readonly ties: ReadonlyMap<string, string>;
  readonly notes: string[];
}

function contentsOf(checkpoint: Checkpoint, layers: readonly LayerFactors[]): Contents {
  const converted = groupByTensor(layers);
  const owners = new Map<string, string>();
  const ties = new Map<string, string>();
  const tensors: Tensor[] = [];
  const kept: LayerFactors[] = [];
  const unheld: Tensor[] = [];
  const byFactor = adaptersByFactor(checkpoint);
  for (const tensor of checkpoint.tensors) {
    if (byFactor.has(tensor.name)) {
      // An adapter stays the two matrices that it is.
      if (safetensorsHolds(tensor.dtype)) tensors.push(tensor);
      else unheld.push(tensor);
      continue;
    }
    if (!ownsItsNumbers(tensor, checkpoint, byFactor)) continue;
    const key = identityKey(tensor);
    const owner = owners.get(key);
    if (owner !== undefined) {
      ties.set(tensor.name, owner);
      continue;
    }
    owners.set(key, tensor.name);
    const factors = converted.get(tensor.name) ?? factorsKept(checkpoint, tensor);
    if (factors !== undefined) {
      kept.push(...factors);
      for (const { name, U, V } of factors)
        tensors.push({ ...U, name: `${name}.U` }, { ...V, name: `${name}.V` });
    } else if (safetensorsHolds(tensor.dtype)) tensors.push(tensor);
    else unheld.push(tensor);
  }
  return { tensors, kept, ties, notes: notesOf(checkpoint, unheld) };
}

function groupByTensor(layers: readonly LayerFactors[]): Map<string, LayerFactors[]> {
  const groups = new Map<string, LayerFactors[]>();
  for (const layer of layers) {
    const group = groups.get(layer.tensor);
    if (group === undefined) groups.set(layer.tensor, [layer]);
    else group.push(layer);
  }
  return groups;
}

/** The factors of a weight that was kept as factors before and was not converted anew. */
function factorsKept({ factored }: Checkpoint, tensor: Tensor): LayerFactors[] | undefined {
  const known = factored?.get(tensor.name);
  if (known === undefined) return undefined;
  const of = (name: string, product: ActivatedProduct, expert?: number): LayerFactors => ({
    name,
    factorization: known.factorization,
    omega: product.omega,
    gains: product.gains,
    tensor: tensor.name,
    shape: tensor.shape,
    dtype: known.dtype,
    transposed: product.transposed,
    ...(expert !== undefined && { expert }),
    U: product.U,
    V: product.V,
  });
  const { storage } = tensor;
  if (storage.encoding === 'product') return [of(tensor.name, storage.product)];
  if (storage.encoding !== 'stack') return undefined;
  return storage.parts.flatMap((part, expert) =>
    part.storage.encoding === 'product' ? [of(part.name, part.storage.product, expert)] : [],
  );
}

function notesOf(checkpoint: Checkpoint, unheld: readonly Tensor[]): string[] {
  const notes: string[] = [];
  const state = checkpoint.tensors.filter(({ role }) => role === 'optimizer' || role === 'training').length;
  if (state > 0)
    notes.push(`${countOf(state, 'tensor')} of optimizer and training state left out of the factor file`);
  const lost = unheld.length + checkpoint.unreadable.length;
  if (lost > 0)
    notes.push(`${countOf(lost, 'tensor')} that safetensors cannot hold left out of the factor file`);
  return notes;
}

/** Metadata values are texts: the machine's part is JSON, ω and g of every layer stand beside it for people. */
/** What a file of factors says of them. @param ties names of weights that are the same as another, and its name */
export function factorMetadata(
  layers: readonly FactoredLayer[],
  ties: ReadonlyMap<string, string>,
  source: FactorSource,
): Map<string, string> {
  const metadata = new Map([['format', 'pt']]);
  const described = layers.map(
    ({ name, factorization, omega, gains, tensor, shape, dtype, transposed, expert }) => {
      const layer = { factorization, omega, gains, tensor, shape, dtype, transposed };
      return `${JSON.stringify(name)}:${JSON.stringify(expert === undefined ? layer : { ...layer, expert })}`;
    },
  );
  const tied = [...ties].map(([name, owner]) => `${JSON.stringify(name)}:${JSON.stringify(owner)}`);
  const members = [
    `"schema":${JSON.stringify(FACTORS_SCHEMA)}`,
    `"source":${JSON.stringify(source)}`,
    // Written one by one: an object would reorder names that look like numbers.
    `"layers":{${described.join(',')}}`,
    ...(tied.length > 0 ? [`"ties":{${tied.join(',')}}`] : []),
  ];
  metadata.set(FACTORS_KEY, `{${members.join(',')}}`);
  for (const { name, factorization, omega, gains } of layers) {
    if (ACTIVATIONS.get(factorization) !== 'sine') continue;
    metadata.set(`${name}.omega`, String(omega));
    metadata.set(`${name}.gain`, gains.join(' '));
  }
  return metadata;
}
