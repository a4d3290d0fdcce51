import { stat } from 'node:fs/promises';
import path from 'node:path';
import type { Checkpoint } from '../checkpoint';
import { CheckpointError } from '../errors';
import { type RandomAccessFile, withFile } from '../file';
import { stateNotes } from '../roles';
import { type Bundle, readBundle } from '../tensorflow/bundle';
import { STRING } from '../tensorflow/dtypes';
import { OBJECT_GRAPH_KEY, readObjectGraph } from '../tensorflow/objectGraph';
import { type Shard, findShards, indexOf, requireRanges } from '../tensorflow/shards';
import { endsAsTable } from '../tensorflow/table';
import { listTensors } from '../tensorflow/tensors';
import { type GraphVariable, graphVariables } from '../tensorflow/variables';
import { countOf } from '../wording';

/** Where a SavedModel keeps its variables, beside `saved_model.pb`. */
const SAVED_VARIABLES = path.join('variables', 'variables.index');

/**
 * A TensorFlow checkpoint: an index (`.index`, a sorted table of names) and shards of values (`.data-00000-of-00001`)
 * beside it. Given as either of them, or as the `saved_model.pb` of a SavedModel, whose variables are such a checkpoint.
 *
 * Names are the keys of the index without `/.ATTRIBUTES/VARIABLE_VALUE`, in which every key of TF 2 ends. Keys of Keras 3
 * that are places in a list (`variables/0`) give way to the variable's own name (`conv2d/kernel`).
 *
 * @throws CheckpointError `malformed` for an index that breaks its format, shards that are missing and values that do
 * not lie in them
 */
export async function openTensorflow(file: RandomAccessFile): Promise<Checkpoint> {
  if (path.basename(file.path).toLowerCase() === 'saved_model.pb') return openSavedModel(file);
  const index = indexOf(file.path);
  if (index === undefined)
    throw new CheckpointError('unsupported', 'no TensorFlow checkpoint', { file: file.path });
  return index === file.path ? openIndex(file) : { ...(await withIndex(index, file.path)), path: file.path };
}

/**
 * Whether a file of these names stands for its checkpoint where several files of it lie in a folder: the index, and the
 * first shard where that is missing. Other tools call files `.index` as well.
 */
export async function isListedTensorflow(file: RandomAccessFile): Promise<boolean> {
  const index = indexOf(file.path);
  if (index === undefined) return true;
  if (index === file.path) return endsAsTable(file);
  return file.path.includes('.data-00000-of-') && !(await exists(index));
}

function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}

async function openSavedModel(file: RandomAccessFile): Promise<Checkpoint> {
  const checkpoint = await withIndex(path.join(path.dirname(file.path), SAVED_VARIABLES), file.path);
  return {
    ...checkpoint,
    path: file.path,
    format: checkpoint.format.replace('TensorFlow checkpoint', 'TensorFlow SavedModel'),
    files: [file.path, ...checkpoint.files],
    bytes: file.size + checkpoint.bytes,
  };
}

async function withIndex(index: string, given: string): Promise<Checkpoint> {
  try {
    return await withFile(index, openIndex);
  } catch (error) {
    const isMissing = error instanceof CheckpointError && error.reason === 'not found';
    if (!isMissing || error.location.file !== index) throw error;
    const reason = `its index "${path.relative(path.dirname(given), index)}" is missing`;
    throw new CheckpointError('malformed', reason, { file: given });
  }
}

async function openIndex(file: RandomAccessFile): Promise<Checkpoint> {
  const bundle = await readBundle(file);
  const shards = await findShards(file.path, bundle.header.shards);
  // Variables kept in slices have no bytes under their own key.
  const stored = bundle.entries.filter(({ slices }) => slices.length === 0);
  requireRanges(stored, shards, file.path);
  const graph = await readGraph(bundle, shards);
  const { tensors, unreadable, repeated } = listTensors({
    bundle,
    shards,
    index: file.path,
    graph: graph.variables,
  });
  const { length } = shards;
  return {
    path: file.path,
    format: `TensorFlow checkpoint${length > 1 ? ` (${countOf(length, 'shard')})` : ''}`,
    files: [file.path, ...shards.map((shard) => shard.path)],
    bytes: shards.reduce((sum, { size }) => sum + size, file.size),
    tensors,
    unreadable,
    readOnly: true,
    notes: [...stateNotes(tensors), ...repeatedNotes(repeated), ...graph.notes],
  };
}

function repeatedNotes(repeated: number): string[] {
  if (repeated === 0) return [];
  return [
    `${countOf(repeated, 'variable is', 'variables are')} in the file twice (Keras' list of all variables): read once`,
  ];
}

/** What the graph of objects tells; checkpoints of TF 1 have none, and names do without one that is damaged. */
async function readGraph(
  bundle: Bundle,
  shards: readonly Shard[],
): Promise<{ readonly variables: ReadonlyMap<string, GraphVariable>; readonly notes: readonly string[] }> {
  const entry = bundle.entries.find(({ key }) => key.equals(Buffer.from(OBJECT_GRAPH_KEY)));
  const shard = entry === undefined ? undefined : shards[entry.shard];
  if (entry?.dtype !== STRING || shard === undefined) return { variables: new Map(), notes: [] };
  try {
    const nodes = await withFile(shard.path, (file) => readObjectGraph(file, entry.offset, entry.size));
    return { variables: graphVariables(nodes), notes: [] };
  } catch (error) {
    if (!(error instanceof CheckpointError) || error.kind === 'io') throw error;
    const note = `The graph of saved objects is not readable (${error.reason}): names alone tell model and optimizer`;
    return { variables: new Map(), notes: [note] };
  }
}
