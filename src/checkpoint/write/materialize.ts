import type { FileHandle } from 'node:fs/promises';
import path from 'node:path';
import type { Checkpoint, Tensor } from '../checkpoint';
import type { DType } from '../dtype';
import { decodeElements, encodeElements } from '../elements';
import { type RandomAccessFile, withFile } from '../file';
import { adaptersByFactor } from '../layers';
import { sniffFile } from '../recognise';
import { readTensorBytes } from '../tensorData';
import { ZipArchive, type ZipEntry } from '../zip';
import { overwriteInMemory, overwriteTensor, type ChangedRange } from './inPlace';
import { safetensorsHolds, writeSafetensorsInto, type TensorToWrite } from './safetensors';
import type { StagedFiles } from './staging';
import { repairChecksums } from './zipChecksums';
import { rewriteArchive } from './zipRewrite';

/** Weights to put in place of a checkpoint's own: float32 tensors of the same shapes, by tensor name. */
export type Replacements = ReadonlyMap<string, Tensor>;

/** Metadata that readers of PyTorch safetensors files look for. */
const PYTORCH: ReadonlyMap<string, string> = new Map([['format', 'pt']]);

export interface DenseModel {
  /** The file, or the folder of a sharded model. */
  readonly path: string;
  /** Its format is another one than the input's, and why; one line. */
  readonly note?: string;
}

/**
 * Where the dense model will be written: beside nothing else, so that it can be checked before the work begins.
 *
 * @param base folder and name without extension
 */
export function denseTarget(checkpoint: Checkpoint, base: string): DenseModel {
  if (checkpoint.factored !== undefined) return { path: `${base}.safetensors` };
  if (checkpoint.readOnly === true) {
    const note = `no model is written as ${checkpoint.format}: the dense weights are in safetensors`;
    return { path: `${base}.safetensors`, note };
  }
  if (checkpoint.tensors.some(({ storage }) => storage.encoding === 'utf8')) {
    const note =
      'pickles that keep arrays as text cannot be changed in place: the dense weights are in safetensors';
    return { path: `${base}.safetensors`, note };
  }
  if (checkpoint.tensors.some(({ role }) => role === 'packed')) {
    const note = 'packed weights cannot be changed in place: the dense weights are in safetensors, unpacked';
    return { path: `${base}.safetensors`, note };
  }
  const [file = checkpoint.path] = checkpoint.files;
  return { path: checkpoint.files.length > 1 ? base : base + path.extname(file) };
}

/**
 * Writes a dense model in the input's own format: a copy of its files in which the replaced weights have new values of
 * the same shape and element type (rounded to nearest even), and everything else is as it was, bit for bit. A file of
 * factors becomes plain safetensors, every weight in the element type that it had before.
 *
 * @throws CheckpointError naming the file, and the signal's reason when it is aborted
 */
export async function writeDense(
  checkpoint: Checkpoint,
  replacements: Replacements,
  target: string,
  staged: StagedFiles,
  signal: AbortSignal,
): Promise<void> {
  const inSafetensors = checkpoint.factored !== undefined || denseTarget(checkpoint, '').note !== undefined;
  if (inSafetensors) {
    const tensors = denseTensors(checkpoint, replacements, signal);
    await staged.write(target, (handle) => writeSafetensorsInto(handle, target, tensors, PYTORCH));
    return;
  }
  if (checkpoint.files.length === 1) {
    await rewriteFile(
      checkpoint.files[0] ?? checkpoint.path,
      target,
      checkpoint,
      replacements,
      staged,
      signal,
    );
    return;
  }
  await staged.folder(target);
  for (const file of checkpoint.files) {
    const copy = path.join(target, path.basename(file));
    await rewriteFile(file, copy, checkpoint, replacements, staged, signal);
  }
}

function denseTensors(
  checkpoint: Checkpoint,
  replacements: Replacements,
  signal: AbortSignal,
): TensorToWrite[] {
  const byFactor = adaptersByFactor(checkpoint);
  const isKept = ({ name, role }: Tensor): boolean =>
    role === 'factor' ? byFactor.has(name) : checkpoint.adapters?.has(name) !== true;
  return checkpoint.tensors
    .filter((tensor) => isKept(tensor) && tensor.role !== 'packed' && safetensorsHolds(tensor.dtype))
    .map((tensor) => {
      const dtype = checkpoint.factored?.get(tensor.name)?.dtype ?? tensor.dtype;
      const source = replacements.get(tensor.name);
      const isComputed = source !== undefined || dtype !== tensor.dtype;
      const data = (): Promise<Uint8Array> => {
        signal.throwIfAborted();
        return isComputed ? encoded(source ?? tensor, dtype) : readTensorBytes(tensor);
      };
      return { name: tensor.name, dtype, shape: tensor.shape, data };
    });
}

/** The values of a float32 tensor as canonical bytes of another element type. */
async function encoded(tensor: Tensor, dtype: DType): Promise<Uint8Array> {
  return encodeElements(
    Float32Array.from(decodeElements(await readTensorBytes(tensor), tensor.dtype)),
    dtype,
  );
}

/** One file of the model, with new values for those of its tensors that are replaced. */
async function rewriteFile(
  file: string,
  target: string,
  { tensors }: Checkpoint,
  replacements: Replacements,
  staged: StagedFiles,
  signal: AbortSignal,
): Promise<void> {
  const changes = tensors.flatMap((tensor) => {
    const values = replacements.get(tensor.name);
    return values === undefined || tensor.storage.path !== file ? [] : [{ tensor, values }];
  });
  await withFile(file, async (opened) => {
    const archive = await archiveOf(opened);
    if (archive !== undefined && changes.some(({ tensor }) => tensor.storage.encoding === 'deflate')) {
      const replaced = changedEntries(archive, changes, signal);
      await staged.write(target, (handle) => rewriteArchive(handle, archive, replaced));
      return;
    }
    await staged.copy(file, target, async (handle) => {
      const changed = await changeInPlace(handle, changes, signal);
      if (archive !== undefined) await repairChecksums(handle, archive, changed);
    });
  });
}

interface Change {
  readonly tensor: Tensor;
  readonly values: Tensor;
}

async function changeInPlace(
  handle: FileHandle,
  changes: readonly Change[],
  signal: AbortSignal,
): Promise<readonly ChangedRange[]> {
  const changed: ChangedRange[] = [];
  for (const { tensor, values } of changes) {
    signal.throwIfAborted();
    changed.push(...(await overwriteTensor(handle, tensor, await encoded(values, tensor.dtype))));
  }
  return changed;
}

async function archiveOf(file: RandomAccessFile): Promise<ZipArchive | undefined> {
  if (file.size === 0) return undefined;
  const { format } = await sniffFile(file);
  return format === 'zip' ? ZipArchive.open(file) : undefined;
}

/** Contents of the entries that hold changed tensors, made when their turn comes. */
function changedEntries(
  archive: ZipArchive,
  changes: readonly Change[],
  signal: AbortSignal,
): Map<string, () => Promise<Uint8Array>> {
  const replaced = new Map<string, () => Promise<Uint8Array>>();
  for (const entry of archive.entries.values()) {
    const start = archive.dataOffset(entry);
    const inside = changes.filter(({ tensor: { storage } }) => {
      const isStored = storage.encoding === 'raw' || storage.encoding === 'deflate';
      return isStored && storage.offset >= start && storage.offset < start + entry.compressedLength;
    });
    if (inside.length === 0) continue;
    replaced.set(entry.name, async () => {
      const contents = await contentsOf(archive, entry, start);
      for (const { tensor, values } of inside) {
        signal.throwIfAborted();
        const { storage } = tensor;
        const begin =
          storage.encoding === 'deflate'
            ? storage.skip
            : storage.encoding === 'raw'
              ? storage.offset - start
              : 0;
        overwriteInMemory(contents.subarray(begin), tensor, await encoded(values, tensor.dtype));
      }
      return contents;
    });
  }
  return replaced;
}

/** An entry's data, inflated where it is compressed. */
function contentsOf({ file }: ZipArchive, entry: ZipEntry, offset: number): Promise<Uint8Array> {
  const { byteLength, compressedLength } = entry;
  const place = { path: file.path, offset, byteLength };
  const isStored = entry.method === 0;
  return readTensorBytes({
    name: entry.name,
    shape: [byteLength],
    dtype: 'uint8',
    storage: isStored
      ? { encoding: 'raw', ...place }
      : { encoding: 'deflate', compressedLength, skip: 0, ...place },
    role: 'model',
  });
}
