/** Data in NumPy files: `.npz` with arrays by name, `.npy` with the inputs alone. */
import { elementCount, type Checkpoint, type Tensor } from '../../checkpoint/checkpoint';
import { CheckpointError, printable } from '../../checkpoint/errors';
import { withFile } from '../../checkpoint/file';
import { findNpyEntries, openNpy, openNpz } from '../../checkpoint/formats/numpy';
import { inARow, suggestion } from '../../checkpoint/wording';
import { ZipArchive } from '../../checkpoint/zip';
import { fileContents } from './contents';
import { couldBeLabels, readLabels, type Labels } from './labels';
import { NumberArray } from './numberArray';
import type { SampleSource } from './sampleSource';

/** What people call the inputs, validation before training: the first that is there counts. */
const INPUT_NAMES = [
  ...['x_test', 'x_val', 'x_valid', 'test_x', 'val_x', 'test_images', 'val_images', 'test_data', 'val_data'],
  ...['images', 'image', 'x', 'inputs', 'input', 'data', 'features'],
  ...['x_train', 'train_x', 'train_images', 'train_data', 'arr_0'],
];
/** What the labels are called beside inputs of any name. */
const LABEL_NAMES = ['labels', 'label', 'y', 'targets', 'target', 'classes'];
/** The labels' name by that of the inputs: `x_test` and `y_test`, `train_images` and `train_labels`. */
const LABEL_WORDS: readonly (readonly [RegExp, readonly string[]])[] = [
  [/(^|_)x(?=_|$)/, ['$1y']],
  [/images?|inputs?|data|features/, ['labels', 'label', 'targets', 'target']],
  [/^arr_0$/, ['arr_1']],
];

/** @throws CheckpointError naming the arrays that there are when the wanted one is not */
export async function openNpzData(
  file: string,
  inputs: string | undefined,
  labels: string | undefined,
): Promise<SampleSource> {
  const checkpoint = await withFile(file, async (opened) => {
    const archive = await ZipArchive.open(opened);
    const entries = findNpyEntries(archive);
    if (entries === undefined)
      throw new CheckpointError('unsupported', 'no NumPy archive: not all its entries are .npy', { file });
    return openNpz(archive, entries);
  });
  const input = inputs === undefined ? likelyInputs(checkpoint) : named(checkpoint, inputs, 'inputs');
  const label = labels === undefined ? likelyLabels(checkpoint, input) : named(checkpoint, labels, 'labels');
  return source(input, label, [file]);
}

/**
 * @param labels absolute path of the labels' `.npy`
 * @throws CheckpointError
 */
export async function openNpyData(file: string, labels: string | undefined): Promise<SampleSource> {
  const input = await onlyArray(file);
  const label = labels === undefined ? undefined : await onlyArray(labels);
  return source(input, label, labels === undefined ? [file] : [file, labels]);
}

async function onlyArray(file: string): Promise<Tensor> {
  const { tensors, unreadable } = await withFile(file, openNpy);
  const [tensor] = tensors;
  if (tensor !== undefined) return tensor;
  throw new CheckpointError('unsupported', unreadable[0]?.reason ?? 'no array', { file });
}

/** Samples of one array with the labels of another. @throws CheckpointError */
export async function source(
  input: Tensor,
  label: Tensor | undefined,
  files: readonly string[],
): Promise<SampleSource> {
  const { shape, name, storage, dtype } = input;
  if (shape.length < 2 || elementCount(shape) === 0) {
    const reason = `inputs of shape [${shape.join(', ')}]: the first axis must count samples, others follow`;
    throw new CheckpointError('malformed', reason, { file: storage.path, tensor: name });
  }
  const samples = shape[0] ?? 0;
  const found: Labels | undefined = label === undefined ? undefined : await readLabels(label, samples);
  const array = await NumberArray.open(input);
  return {
    samples,
    shape: array.sampleShape,
    areBytes: dtype === 'uint8',
    ...(found !== undefined && { labels: found.labels }),
    notes: found?.notes ?? [],
    contents: fileContents(files),
    read: (from, to) => array.read(from, to),
    close: () => array.close(),
  };
}

function named({ path, tensors, unreadable }: Checkpoint, name: string, field: string): Tensor {
  const found = tensors.find((tensor) => tensor.name === name);
  if (found !== undefined) return found;
  const refused = unreadable.find((array) => array.name === name);
  if (refused !== undefined)
    throw new CheckpointError('unsupported', refused.reason, { file: path, tensor: name });
  const names = tensors.map((tensor) => tensor.name);
  const reason = `${field}: there is no array "${printable(name)}"${suggestion(name, names)}, but ${listed(tensors)}`;
  throw new CheckpointError('malformed', reason, { file: path });
}

function likelyInputs({ path, tensors }: Checkpoint): Tensor {
  const byName = INPUT_NAMES.map((name) => tensors.find((tensor) => tensor.name.toLowerCase() === name));
  const known = byName.find((tensor) => tensor !== undefined && tensor.shape.length >= 2);
  if (known !== undefined) return known;
  const [only, another] = tensors.filter(({ shape }) => shape.length >= 2);
  if (only !== undefined && another === undefined) return only;
  const reason = `which array holds the inputs? Name it as "inputs" in the recipe: there is ${listed(tensors)}`;
  throw new CheckpointError('unsupported', reason, { file: path });
}

/** Labels beside the inputs by a usual name; none when nothing fits. */
function likelyLabels({ tensors }: Checkpoint, input: Tensor): Tensor | undefined {
  const name = input.name.toLowerCase();
  const paired = LABEL_WORDS.flatMap(([word, replacements]) =>
    word.test(name) ? replacements.map((replacement) => name.replace(word, replacement)) : [],
  );
  for (const candidate of [...paired, ...LABEL_NAMES]) {
    const found = tensors.find((tensor) => tensor.name.toLowerCase() === candidate && tensor !== input);
    if (found === undefined) continue;
    // The inputs' own partner of another length is a mistake, told when it is read; a common name may be another's.
    if (paired.includes(candidate) || couldBeLabels(found, input.shape[0] ?? 0)) return found;
  }
  return undefined;
}

/** Arrays named in a message; archives of data have a handful. */
const MAX_LISTED = 8;

function listed(tensors: readonly Tensor[]): string {
  if (tensors.length === 0) return 'no array of numbers';
  const shown = tensors.slice(0, MAX_LISTED).map(({ name, shape }) => `${name} [${shape.join(', ')}]`);
  return inARow(tensors.length > MAX_LISTED ? [...shown, '…'] : shown);
}
