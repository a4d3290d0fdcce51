import type { Checkpoint, Tensor, UnreadableTensor } from '../checkpoint';
import { CheckpointError } from '../errors';
import { openSuperblock } from '../hdf5/superblock';
import { walk, type Hdf5Tree } from '../hdf5/tree';
import type { Hdf5Window } from '../hdf5/window';
import { stateNotes } from '../roles';
import { countOf } from '../wording';
import { parseKerasConfig, type KerasConfig } from './config';
import { LegacyWeights } from './legacy';
import { configNotes, linkNotes } from './notes';
import { NumberedWeights } from './numbered';
import type { Place } from './place';

/** Each takes some 500 bytes of memory; the largest models have a few thousand. */
const MAX_TENSORS = 400_000;

/** The file that the weights are in, and what is known of them from beside it. */
export interface KerasFile {
  readonly path: string;
  /** Of the whole file. */
  readonly bytes: number;
  /** The model's configuration, where it is not in the HDF5 file itself. */
  readonly config?: Uint8Array;
  /** How the file is called for people, where it is not told by the HDF5 file itself. */
  readonly format?: string;
}

/**
 * The tensors of an HDF5 file that Keras wrote, or anything else: every dataset is listed.
 *
 * @throws CheckpointError
 */
export function openKerasWeights(window: Hdf5Window, kerasFile: KerasFile): Checkpoint {
  const { path, bytes } = kerasFile;
  const { file, root } = openSuperblock(window);
  const tree = walk(file, root, { isWanted, untypedAs });
  if (tree.datasets.length > MAX_TENSORS)
    throw new CheckpointError('unsupported', `more than ${MAX_TENSORS} tensors`, { file: path });
  const notes: string[] = [];
  const config = configOf(kerasFile, tree, notes);
  const { format, place } = arrangement(tree, config);
  const { tensors, unreadable } = list(tree, place, path);
  return {
    path,
    format: kerasFile.format ?? format,
    files: [path],
    bytes,
    tensors,
    unreadable,
    readOnly: true,
    notes: [...stateNotes(tensors), ...untypedNotes(tree), ...notes, ...linkNotes(tree)],
  };
}

/** Attributes of groups that say what is in the file. */
function isWanted(name: string): boolean {
  return /^(?:name|model_config|keras_version|(?:layer|weight)_names\d*)$/.test(name);
}

/** Keras keeps bfloat16 as two bytes without a type, and in older files does not say that it did. */
function untypedAs(path: readonly string[]): 'bfloat16' | undefined {
  return path[0] === 'model_weights' || path[0] === 'optimizer_weights' ? 'bfloat16' : undefined;
}

function untypedNotes({ datasets }: Hdf5Tree): string[] {
  const count = datasets.filter(
    ({ path, content }) =>
      untypedAs(path) !== undefined && 'tensor' in content && content.tensor.dtype === 'bfloat16',
  ).length;
  if (count === 0) return [];
  return [
    `${countOf(count, 'tensor is', 'tensors are')} two bytes an element without a type: taken for bfloat16`,
  ];
}

/** The model's configuration; one that cannot be read is told and done without. */
function configOf({ config }: KerasFile, tree: Hdf5Tree, notes: string[]): KerasConfig | undefined {
  const [own] = tree.attributes.get('')?.get('model_config') ?? [];
  const bytes = config ?? (own === undefined ? undefined : Buffer.from(own));
  // Keras 3 writes "null" for models whose class has no configuration.
  if (bytes === undefined || (bytes.length === 4 && own === 'null')) return undefined;
  try {
    const parsed = parseKerasConfig(bytes);
    notes.push(...configNotes(parsed));
    return parsed;
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    notes.push(`the model's configuration is not read: ${error.reason}`);
    return undefined;
  }
}

interface Arrangement {
  readonly format: string;
  readonly place: (path: readonly string[], shape: readonly number[]) => Place;
}

function arrangement(tree: Hdf5Tree, config: KerasConfig | undefined): Arrangement {
  if (LegacyWeights.is(tree)) {
    const legacy = new LegacyWeights(tree, config?.model);
    return { format: 'Keras (.h5)', place: (path, shape) => legacy.place(path, shape) };
  }
  if (NumberedWeights.is(tree)) {
    const numbered = new NumberedWeights(tree, config?.model);
    return { format: 'Keras (.weights.h5)', place: (path) => numbered.place(path) };
  }
  return { format: 'HDF5', place: (path) => ({ name: path.join('/'), role: 'model', order: Infinity }) };
}

/** Every dataset, in the order of the model where the file tells it, else by name. */
function list(
  tree: Hdf5Tree,
  place: Arrangement['place'],
  file: string,
): { readonly tensors: Tensor[]; readonly unreadable: UnreadableTensor[] } {
  const listed = tree.datasets.map(({ path, content }) => {
    const shape = 'tensor' in content ? content.tensor.shape : content.shape;
    return { content, place: place(path, shape) };
  });
  const byName = new Intl.Collator('en', { numeric: true });
  listed.sort((a, b) => compare(a.place.order, b.place.order) || byName.compare(a.place.name, b.place.name));
  const names = new Set<string>();
  const tensors: Tensor[] = [];
  const unreadable: UnreadableTensor[] = [];
  for (const { content, place: found } of listed) {
    const { name, role, module } = found;
    // A slash in a name of a link would make two paths one.
    if (names.has(name))
      throw new CheckpointError('malformed', 'the name is given twice', { file, tensor: name });
    names.add(name);
    if ('tensor' in content)
      tensors.push({ name, ...content.tensor, role, ...(module !== undefined && { module }) });
    else unreadable.push({ name, ...content });
  }
  for (const { path, target } of tree.links) {
    if (target.kind !== 'soft')
      unreadable.push({
        name: path.join('/'),
        shape: [],
        dtype: 'link',
        reason: 'a link to another file: never followed',
      });
  }
  return { tensors, unreadable };
}

function compare(a: number, b: number): number {
  return a === b ? 0 : a - b;
}
