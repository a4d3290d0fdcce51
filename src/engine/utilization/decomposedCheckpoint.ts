import path from 'node:path';
import { elementCount, type Checkpoint, type Tensor } from '../../checkpoint/checkpoint';
import { decodeElements } from '../../checkpoint/elements';
import { printable } from '../../checkpoint/errors';
import { adaptersByFactor, ownsItsNumbers } from '../../checkpoint/layers';
import { readTensorBytes } from '../../checkpoint/tensorData';
import { countOf } from '../../checkpoint/wording';
import {
  safetensorsHolds,
  writeSafetensorsInto,
  type TensorToWrite,
} from '../../checkpoint/write/safetensors';
import { StagedFiles } from '../../checkpoint/write/staging';
import { renderJson } from '../report/json';
import type { SplitLayer } from './splitLayers';

export const DECOMPOSITION_SCHEMA = 'rankscope/decomposition@1';

/**
 * The network runs in float32: a weight that the checkpoint keeps in any type comes back within this share of the
 * largest element. More means that it is another weight: of another run, or with a normalisation folded into it.
 */
const SAME_WEIGHT = 1e-6;

/** The tensor of a checkpoint that a network's layer is, if it is there in the layout that can be split. */
export async function weightInCheckpoint(
  checkpoint: Checkpoint,
  { name, shape: [m, n], groups }: SplitLayer['layer'],
  weight: Float64Array,
): Promise<Tensor | undefined> {
  const tensor = tensorNamed(checkpoint, name);
  if (tensor?.shape[0] !== m * groups || elementCount(tensor.shape) !== weight.length) return undefined;
  if (weight.length !== m * groups * n) return undefined;
  const values = decodeElements(await readTensorBytes(tensor), tensor.dtype);
  const largest = weight.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const isSame = weight.every((value, i) => Math.abs(value - (values[i] ?? NaN)) <= SAME_WEIGHT * largest);
  return isSame ? tensor : undefined;
}

/** By its name, or the only one that has it after a wrapper's prefix (`state_dict.`, `module.`). */
function tensorNamed({ tensors }: Checkpoint, name: string): Tensor | undefined {
  const model = tensors.filter(({ role }) => role === 'model');
  const exact = model.find((tensor) => tensor.name === name);
  if (exact !== undefined) return exact;
  const wrapped = model.filter((tensor) => tensor.name.endsWith(`.${name}`));
  return wrapped.length === 1 ? wrapped[0] : undefined;
}

export interface DecomposedFiles {
  readonly decomposed: string;
  readonly rankPattern: string;
}

/** Where the ranks go beside a decomposed checkpoint: `model.safetensors` → `model.rank_pattern.json`. */
export function rankPatternFile(decomposed: string): string {
  return `${decomposed.replace(/\.safetensors$/i, '')}.rank_pattern.json`;
}

/**
 * Writes a checkpoint in which layers are two, `<layer>.0.weight` (r × n; a convolution's r × in/groups × kernel) and
 * `<layer>.1.weight` (m × r; 1 × 1), the bias with the second, as `nn.Sequential` names them; everything else of the
 * model bit for bit. Beside it, the ranks of all layers as the `rank_pattern` of a PEFT LoRA configuration.
 *
 * @param splits and the tensor each replaces; without a checkpoint, only the new layers are written, their weights as
 *   matrices
 * @param ranks utilized rank of every measured layer, by the name of its weight
 * @param about what the ranks come from, for the metadata
 * @returns what was left out, for people
 * @throws CheckpointError; then neither file is there
 */
export async function writeDecomposed(
  target: string,
  checkpoint: Checkpoint | undefined,
  splits: ReadonlyMap<SplitLayer, Tensor | undefined>,
  ranks: ReadonlyMap<string, number>,
  about: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): Promise<{ readonly files: DecomposedFiles; readonly notes: readonly string[] }> {
  const renamed = renamedTensors(checkpoint, splits);
  const kept = checkpoint === undefined ? [] : ownTensors(checkpoint);
  const toWrite: TensorToWrite[] = [];
  const lost: string[] = [];
  for (const tensor of kept) {
    const replacement = renamed.get(tensor.name);
    if (replacement !== undefined) toWrite.push(...replacement);
    else if (safetensorsHolds(tensor.dtype)) toWrite.push(asItIs(tensor, tensor.name, signal));
    else lost.push(tensor.name);
  }
  if (checkpoint === undefined) for (const split of splits.keys()) toWrite.push(...pairOf(split, undefined));
  const files = { decomposed: target, rankPattern: rankPatternFile(target) };
  const staged = new StagedFiles();
  try {
    await staged.write(target, (handle) =>
      writeSafetensorsInto(handle, target, toWrite, metadataOf(splits, checkpoint, about)),
    );
    await staged.write(files.rankPattern, async (handle) => {
      await handle.writeFile(renderJson({ rank_pattern: rankPattern(ranks) }));
    });
    signal.throwIfAborted();
    await staged.commit();
  } catch (error) {
    // What a cancel interrupts is told in the words of what was interrupted.
    signal.throwIfAborted();
    throw error;
  } finally {
    await staged.discard();
  }
  return { files, notes: [...notesOf(checkpoint, lost), ...patternNotes(ranks)] };
}

/** Tensors of the model; an adapter stays the two matrices that it is. */
function ownTensors(checkpoint: Checkpoint): readonly Tensor[] {
  const byFactor = adaptersByFactor(checkpoint);
  return checkpoint.tensors.filter((tensor) => ownsItsNumbers(tensor, checkpoint, byFactor));
}

/** What takes the place of the checkpoint's tensors, by their names there: pairs of weights, and biases. */
function renamedTensors(
  checkpoint: Checkpoint | undefined,
  splits: ReadonlyMap<SplitLayer, Tensor | undefined>,
): Map<string, TensorToWrite[]> {
  const renamed = new Map<string, TensorToWrite[]>();
  for (const [split, tensor] of splits) {
    if (tensor === undefined) continue;
    renamed.set(tensor.name, pairOf(split, tensor));
    const { groups, shape } = split.layer;
    const module = moduleOf(tensor.name);
    const bias = checkpoint?.tensors.find(
      ({ name, shape: [size, ...more] }) =>
        (name === `${module}.bias` || name === `${module}_bias`) &&
        size === groups * shape[0] &&
        more.length === 0,
    );
    if (bias !== undefined && safetensorsHolds(bias.dtype))
      renamed.set(bias.name, [asItIs(bias, `${module}.1.bias`)]);
  }
  return renamed;
}

/** `layer1.conv1.weight` → `layer1.conv1`; `attn.in_proj_weight` → `attn.in_proj`. */
function moduleOf(weight: string): string {
  return weight.replace(/[._/](?:weight|kernel)$/, '');
}

function pairOf({ layer, rank, first, second }: SplitLayer, tensor: Tensor | undefined): TensorToWrite[] {
  const [m, n] = layer.shape;
  const kernel = tensor?.shape.slice(1) ?? [n];
  const ones = kernel.slice(1).map(() => 1);
  const module = moduleOf(tensor?.name ?? layer.name);
  const of = (place: number, shape: readonly number[], data: Float32Array): TensorToWrite => ({
    name: `${module}.${place}.weight`,
    dtype: 'float32',
    shape,
    data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  });
  return [of(0, [layer.groups * rank, ...kernel], first), of(1, [layer.groups * m, rank, ...ones], second)];
}

function asItIs(tensor: Tensor, name: string, signal?: AbortSignal): TensorToWrite {
  const data = (): Promise<Uint8Array> => {
    signal?.throwIfAborted();
    return readTensorBytes(tensor);
  };
  return { name, dtype: tensor.dtype, shape: tensor.shape, data };
}

/** What training scripts and DataParallel put before a module's own path. */
const WRAPPERS = /^(?:(?:model_)?state_dict\.)?(?:module\.)?/;

/** PEFT names modules by their path in the model, not their weights. */
function rankPattern(ranks: ReadonlyMap<string, number>): Record<string, number> {
  const modules = [...ranks].filter(([name]) => name.endsWith('.weight'));
  return Object.fromEntries(modules.map(([name, rank]) => [moduleOf(name).replace(WRAPPERS, ''), rank]));
}

/** Ranks that a LoRA configuration cannot be told. */
function patternNotes(ranks: ReadonlyMap<string, number>): string[] {
  const others = [...ranks.keys()].filter((name) => !name.endsWith('.weight'));
  const [first] = others;
  if (first === undefined) return [];
  return [
    `${countOf(others.length, 'layer')} (${printable(first)}${others.length > 1 ? ' …' : ''}) left out of the rank_pattern: a LoRA configuration names PyTorch modules, and no single one has ${others.length > 1 ? 'these weights' : 'this weight'}`,
  ];
}

function metadataOf(
  splits: ReadonlyMap<SplitLayer, Tensor | undefined>,
  checkpoint: Checkpoint | undefined,
  about: Readonly<Record<string, unknown>>,
): Map<string, string> {
  const layers = [...splits].map(([{ layer, rank }, tensor]) => ({
    name: tensor?.name ?? layer.name,
    rank,
    groups: layer.groups,
    shape: tensor?.shape ?? [layer.groups * layer.shape[0], layer.shape[1]],
  }));
  const source =
    checkpoint === undefined
      ? {}
      : { source: { name: path.basename(checkpoint.path), format: checkpoint.format } };
  const text = JSON.stringify({ schema: DECOMPOSITION_SCHEMA, ...source, ...about, layers });
  return new Map([
    ['format', 'pt'],
    ['rankscope.decomposition', text],
  ]);
}

function notesOf(checkpoint: Checkpoint | undefined, lost: readonly string[]): string[] {
  if (checkpoint === undefined)
    return [
      'there is no checkpoint to take the rest from: the decomposed file holds the new layers only, without biases, convolutions as matrices over flattened patches',
    ];
  const notes: string[] = [];
  const state = checkpoint.tensors.filter(({ role }) => role === 'optimizer' || role === 'training').length;
  if (state > 0)
    notes.push(`${countOf(state, 'tensor')} of training state left out of the decomposed checkpoint`);
  const unheld = lost.length + checkpoint.unreadable.length;
  if (unheld > 0)
    notes.push(
      `${countOf(unheld, 'tensor')} that safetensors cannot hold left out of the decomposed checkpoint`,
    );
  return notes;
}
