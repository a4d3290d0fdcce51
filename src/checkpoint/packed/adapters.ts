/** Low-rank adapters: for each pair of matrices, the change of the weight that it stands for. */
import path from 'node:path';
import type { ActivatedProduct, Adapter, Checkpoint, ModuleHint, Tensor } from '../checkpoint';
import { elementCount } from '../checkpoint';
import { CheckpointError, printable } from '../errors';
import { AdapterNotes } from './adapterNotes';
import { readAdapterConfig, type AdapterConfig } from './adapterConfig';
import { parseTrainedAdapters, type TrainedAdapter } from './adapterMetadata';
import {
  adapterPart,
  isStackOfExperts,
  middleOf,
  weightOfModule,
  type AdapterPart,
  type Convention,
} from './adapterNames';
import { adapterOf, pairOf, type Pair } from './adapterPair';
import { Scales, plainName } from './adapterScale';

/** Ten times the adapters of every matrix of the largest mixture of experts, each with a number of its own to read. */
const MAX_ADAPTERS = 100_000;

/**
 * The checkpoint with the change ΔW = s·B·A of every low-rank adapter in it (Hu et al., "LoRA", 2021, eq. 3) as one more
 * tensor, which is multiplied out when its values are read. It is called `<module>.lora`, with the adapter's name behind
 * where tensors' names have one, and stands before the first of its two matrices, which are factors from now on.
 * What is called like an adapter and makes none stays as it is, and a note says so.
 *
 * @throws CheckpointError `io` when a file cannot be read
 */
export async function withAdapters(checkpoint: Checkpoint): Promise<Checkpoint> {
  const notes = new AdapterNotes(checkpoint.tensors);
  const found = halvesOf(checkpoint.tensors, notes);
  if (found.length === 0) return withNotes(checkpoint, notes);
  const config = await configOf(checkpoint, notes);
  if (config?.method !== undefined && config.method !== 'LORA') {
    notes.add(
      `adapter_config.json is of ${printable(config.method)}, not of LoRA: its matrices are listed as they are`,
    );
    return withNotes(checkpoint, notes);
  }
  const changes = changesOf(found, checkpoint, config, notes);
  return changes.length === 0 ? withNotes(checkpoint, notes) : listed(checkpoint, changes, notes);
}

function withNotes(checkpoint: Checkpoint, notes: AdapterNotes): Checkpoint {
  const said = notes.all();
  return said.length === 0 ? checkpoint : { ...checkpoint, notes: [...checkpoint.notes, ...said] };
}

/** Both matrices of an adapter. */
interface Halves {
  readonly part: AdapterPart;
  readonly A: Tensor;
  readonly B: Tensor;
}

function halvesOf(tensors: readonly Tensor[], notes: AdapterNotes): Halves[] {
  const byModule = new Map<string, { part: AdapterPart; A?: Tensor; B?: Tensor }>();
  const middles = new Set<string>();
  for (const tensor of tensors) {
    if (tensor.role !== 'model') continue;
    const middle = middleOf(tensor.name);
    if (middle !== undefined) middles.add(middle);
    const part = adapterPart(tensor.name);
    if (part === undefined) continue;
    const key = JSON.stringify([part.module, part.adapter, part.conventions]);
    const known = byModule.get(key) ?? { part };
    byModule.set(key, known);
    // The names of the two sides differ, so no side comes twice but under names that mean the same.
    known[part.side] ??= tensor;
  }
  const halves: Halves[] = [];
  for (const { part, A, B } of byModule.values()) {
    const one = A ?? B;
    if (one === undefined) continue;
    if (A === undefined || B === undefined) notes.refuse(one.name, 'its other matrix is missing');
    else if (middles.has(part.module)) notes.refuse(A.name, 'a third matrix stands between the two');
    else if (isStackOfExperts(part.module)) notes.refuse(A.name, 'one matrix for all experts');
    else if (halves.length >= MAX_ADAPTERS) notes.refuse(A.name, `more than ${MAX_ADAPTERS} adapters`);
    else halves.push({ part, A, B });
  }
  return halves;
}

async function configOf(checkpoint: Checkpoint, notes: AdapterNotes): Promise<AdapterConfig | undefined> {
  const [file = checkpoint.path] = checkpoint.files;
  try {
    const config = await readAdapterConfig(path.dirname(file));
    if (config?.isDora === true) notes.hasMagnitudes = true;
    if (config?.initialisation !== undefined) notes.begin(config.initialisation);
    if (config !== undefined && [...config.alphaPattern.keys()].some((one) => plainName(one) === undefined))
      notes.add('the alpha_pattern of adapter_config.json holds regular expressions, which are not run');
    return config;
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    notes.add(`adapter_config.json is left out: ${printable(error.reason)}`);
    return undefined;
  }
}

/** The change of a weight, and what it is made of. */
interface Change {
  readonly tensor: Tensor;
  readonly adapter: Adapter;
}

function changesOf(
  found: readonly Halves[],
  checkpoint: Checkpoint,
  config: AdapterConfig | undefined,
  notes: AdapterNotes,
): Change[] {
  const { tensors, adapterMetadata: metadata } = checkpoint;
  const trained = trainedOf(checkpoint, notes);
  const scales = new Scales({
    tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])),
    ...{ metadata, trained, config },
  });
  const taken = new Set([...tensors, ...checkpoint.unreadable].map(({ name }) => name));
  try {
    return found.flatMap((halves) => changeOf(halves, { scales, trained, config, taken, notes }) ?? []);
  } finally {
    scales.close();
  }
}

function trainedOf(
  { adapterMetadata }: Checkpoint,
  notes: AdapterNotes,
): ReadonlyMap<string, TrainedAdapter> {
  if (adapterMetadata?.trained === undefined) return new Map();
  try {
    return parseTrainedAdapters(adapterMetadata.trained);
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    notes.add(`what the file says of its adapters is left out: ${printable(error.reason)}`);
    return new Map();
  }
}

interface Context {
  readonly scales: Scales;
  readonly trained: ReadonlyMap<string, TrainedAdapter>;
  readonly config: AdapterConfig | undefined;
  /** Names of tensors, to which those of the changes are added. */
  readonly taken: Set<string>;
  readonly notes: AdapterNotes;
}

function changeOf({ part, A, B }: Halves, context: Context): Change | undefined {
  const { scales, trained, config, taken, notes } = context;
  const weight = weightOfModule(part.module);
  const own = trained.get(weight);
  const pair = pairOf(A, B, own === undefined ? part.conventions : TRAINED, weight);
  if ('reason' in pair) {
    notes.refuse(A.name, pair.reason);
    return undefined;
  }
  if (config?.hasStacks === true && config.rank !== undefined && pair.rank > config.rank) {
    notes.refuse(A.name, 'one matrix for several experts');
    return undefined;
  }
  const scale = scales.of({ ...part, weight, rank: pair.rank });
  if (scale.kind !== 'known') notes.unscaled(scale.kind === 'odd' ? scale.odd : undefined);
  const factor = scale.kind === 'known' ? scale.scale : 1;
  const made = productOf(pair, factor, own);
  if (made === undefined) {
    notes.refuse(A.name, `a form called "${printable(own?.kind ?? '')}"`);
    return undefined;
  }
  const isLinear = made.activation === 'identity';
  const name = freeName(part, taken);
  taken.add(name);
  notes.take(pair.rank, factor, isLinear);
  const { shape, module, isStack } = placeOf(pair, own);
  const { path: file } = B.storage;
  const storage = {
    encoding: 'product',
    path: file,
    product: made,
    byteLength: 4 * elementCount(shape),
  } as const;
  return {
    tensor: { name, shape, dtype: 'float32', storage, role: 'model', module },
    adapter: adapterOf(pair, weight, [A, B], { isLinear, isStack }),
  };
}

interface Place {
  readonly shape: readonly number[];
  readonly module: ModuleHint;
  readonly isStack: boolean;
}

/** The shape and the kind of the weight: where its training has said it, a flattened convolution is one again. */
function placeOf(pair: Pair, own: TrainedAdapter | undefined): Place {
  const { groups = 1 } = pair;
  const [rows = 0, columns = 0] = pair.shape.slice(-2);
  const [outputs, ...patch] = own?.shape ?? [];
  const isOwn = pair.isFlat && outputs === groups * rows && elementCount(patch) === columns;
  if (own?.shape === undefined || !isOwn || patch.length === 0)
    return { shape: pair.shape, module: pair.module, isStack: pair.groups !== undefined };
  const axes = own.shape.length - 2;
  const type = axes > 0 ? `Conv${axes}d` : 'Linear';
  return { shape: own.shape, module: { type, groups, order: 'out-in' }, isStack: false };
}

/** Rankscope's training keeps the matrices of a convolution flattened. */
const TRAINED: readonly Convention[] = ['linear'];

/** s·B·A, or s·sin(ω·B·A)/g of Rankscope's own training; undefined for a form that is not known. */
function productOf(
  { U, V, groups = 1 }: Pair,
  scale: number,
  own: TrainedAdapter | undefined,
): ActivatedProduct | undefined {
  const gains = (gain: number): number[] => new Array<number>(groups).fill(gain);
  const kind = own?.kind ?? 'lora';
  if (kind === 'lora')
    return { activation: 'identity', omega: scale, gains: gains(1), U, V, transposed: false };
  const { omega, gain } = own ?? {};
  if (kind !== 'sine-lora' || omega === undefined || gain === undefined) return undefined;
  const amplitude = gain / scale;
  if (!(amplitude > 0 && amplitude < Infinity)) return undefined;
  return { activation: 'sine', omega, gains: gains(amplitude), U, V, transposed: false };
}

/** `<module>.lora`, and a number behind where the file has a tensor of that name itself. */
function freeName({ module, adapter }: AdapterPart, taken: ReadonlySet<string>): string {
  const place = module === '' ? 'lora' : `${module}.lora`;
  const wanted = adapter === undefined ? place : `${place}.${adapter}`;
  let name = wanted;
  for (let number = 2; taken.has(name); number++) name = `${wanted} ${number}`;
  return name;
}

function listed(checkpoint: Checkpoint, changes: readonly Change[], notes: AdapterNotes): Checkpoint {
  const byFactor = new Map<string, Change>();
  for (const change of changes) for (const name of change.adapter.factors) byFactor.set(name, change);
  const adapters = new Map<string, Adapter>();
  const tensors: Tensor[] = [];
  for (const tensor of checkpoint.tensors) {
    const change = byFactor.get(tensor.name);
    if (change === undefined) {
      tensors.push(tensor);
      continue;
    }
    if (!adapters.has(change.tensor.name)) {
      adapters.set(change.tensor.name, change.adapter);
      tensors.push(change.tensor);
    }
    tensors.push({ ...tensor, role: 'factor' });
  }
  return withNotes({ ...checkpoint, tensors, adapters }, notes);
}
