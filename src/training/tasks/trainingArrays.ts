import { withFile } from '../../checkpoint/file';
import { findNpyEntries, openNpz } from '../../checkpoint/formats/numpy';
import { ZipArchive } from '../../checkpoint/zip';
import type { ResolvedData } from '../../network/recipe';

/** What people call the arrays of training: where data is only measured, those of validation go before them. */
const NAMES = ['x_train', 'train_x', 'train_images', 'train_data', 'images_train'];

/** The recipe with `inputs` named, where it names none and a NumPy archive has arrays of training. @throws CheckpointError */
export async function withTrainingArrays(data: ResolvedData): Promise<ResolvedData> {
  const [file = ''] = data.path;
  const mayBeArchive = data.format === 'npz' || (data.format === undefined && /\.npz$/i.test(file));
  if (!mayBeArchive || data.inputs !== undefined) return data;
  const names = await withFile(file, async (opened) => {
    const archive = await ZipArchive.open(opened);
    const entries = findNpyEntries(archive);
    return entries === undefined ? [] : openNpz(archive, entries).tensors.map(({ name }) => name);
  });
  const found = NAMES.map((wanted) => names.find((name) => name.toLowerCase() === wanted)).find(
    (name) => name !== undefined,
  );
  return found === undefined ? data : { ...data, inputs: found };
}
