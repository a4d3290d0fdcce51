import type { Checkpoint } from '../checkpoint';
import { bytesPerElement } from '../dtype';
import { CheckpointError } from '../errors';
import type { RandomAccessFile } from '../file';
import { MAX_AXES } from '../layout';
import { unpickle } from '../pickle/machine';
import { PickleSource } from '../pickle/source';
import { type LocatedStorage, tensorsOf } from '../pickle/tensors';
import { STORAGE_DTYPES, keyOf, torchPersistentLoad } from '../pickle/torchConstructors';
import {
  GlobalValue,
  type PickleValue,
  StorageValue,
  TensorValue,
  TupleValue,
  integerOf,
  itemsOf,
} from '../pickle/values';
import { type TarMember, readTarMembers } from '../tar';
import { stemOf } from './stem';

/** Storages or tensors of one file; files of this age have hundreds. */
const MAX_RECORDS = 100_000;

interface Records {
  readonly storages: ReadonlyMap<string, LocatedStorage & { readonly value: StorageValue }>;
  readonly tensors: ReadonlyMap<string, TensorValue>;
}

/**
 * What torch.save wrote in 2016 and 2017: a tar archive of `storages`, `tensors` (in some writers left out) and the
 * `pickle` that refers to both by number.
 *
 * @throws CheckpointError `malformed` or `unsupported`.
 */
export async function openTorchTar(file: RandomAccessFile): Promise<Checkpoint> {
  const members = await readTarMembers(file);
  const pickle = members.get('pickle');
  const storagesMember = members.get('storages');
  if (pickle === undefined || storagesMember === undefined) {
    throw new CheckpointError('unsupported', 'a tar archive without the pickle and storages of PyTorch', {
      file: file.path,
    });
  }
  try {
    const storages = readStorages(sourceOf(file, storagesMember), file);
    const tensorsMember = members.get('tensors');
    const tensors =
      tensorsMember === undefined
        ? new Map<string, TensorValue>()
        : readTensors(sourceOf(file, tensorsMember), storages);
    const object = unpickle(sourceOf(file, pickle), (id) => persistent(id, { storages, tensors }));
    const found = tensorsOf(object, {
      path: file.path,
      start: 0,
      rootName: stemOf(file.path),
      locate: ({ key }) => {
        const storage = storages.get(key);
        if (storage === undefined)
          throw new CheckpointError('malformed', `its storage "${key}" is not in the archive`);
        return storage;
      },
    });
    return { path: file.path, format: 'PyTorch (tar)', files: [file.path], bytes: file.size, ...found };
  } catch (error) {
    throw error instanceof CheckpointError ? error.at({ file: file.path }) : error;
  }
}

function sourceOf(file: RandomAccessFile, { offset, byteLength }: TarMember): PickleSource {
  return new PickleSource((at, length) => file.readSync(at, length), offset + byteLength, offset);
}

/** Number of records, each a pickle `(key, location, storage class)`, an element count and the elements. */
function readStorages(
  source: PickleSource,
  file: RandomAccessFile,
): Map<string, LocatedStorage & { value: StorageValue }> {
  const storages = new Map<string, LocatedStorage & { value: StorageValue }>();
  for (let left = recordCount(source); left > 0; left--) {
    const [id, , type] = itemsOf(unpickle(source).value) ?? [];
    const key = keyOf(id ?? null);
    const dtype = type instanceof GlobalValue ? STORAGE_DTYPES.get(type.name) : undefined;
    if (key === undefined || !(type instanceof GlobalValue))
      throw source.error('a storage without key and class');
    if (dtype === undefined) throw source.error(`storages of type ${type.name} are not read`);
    const count = source.view(8).getBigInt64(0, true);
    const byteLength = Number(count) * bytesPerElement(dtype);
    if (count < 0n) throw source.error('a storage of negative size');
    const bytes = { encoding: 'raw', path: file.path, offset: source.position, byteLength } as const;
    source.skip(byteLength);
    storages.set(key, { bytes, value: new StorageValue(type.name, key, Number(count)) });
  }
  if (source.remaining > 0) addViews(unpickle(source).value, storages, source);
  return storages;
}

/** Views of storages: a list of `(key, root key, offset, elements)`. */
function addViews(
  views: PickleValue,
  storages: Map<string, LocatedStorage & { value: StorageValue }>,
  source: PickleSource,
): void {
  for (const view of itemsOf(views) ?? []) {
    const [target, root, offset, elements] = itemsOf(view) ?? [];
    const key = keyOf(target ?? null);
    const rootKey = keyOf(root ?? null);
    const rootStorage = rootKey === undefined ? undefined : storages.get(rootKey);
    const start = integerOf(offset ?? null);
    const count = integerOf(elements ?? null);
    if (key === undefined || rootStorage === undefined || start === undefined || count === undefined) {
      throw source.error('a view of a storage that is not there');
    }
    if (start < 0 || count < 0 || start + count > rootStorage.value.elements) {
      throw source.error('a view that reaches outside its storage');
    }
    const { type } = rootStorage.value;
    const dtype = STORAGE_DTYPES.get(type);
    const before = (rootStorage.start ?? 0) + start * (dtype === undefined ? 1 : bytesPerElement(dtype));
    storages.set(key, { ...rootStorage, start: before, value: new StorageValue(type, key, count) });
  }
}

/** Number of records, each a pickle `(key, storage key, class)`, the number of axes, sizes, strides and offset. */
function readTensors(
  source: PickleSource,
  storages: ReadonlyMap<string, LocatedStorage & { readonly value: StorageValue }>,
): Map<string, TensorValue> {
  const tensors = new Map<string, TensorValue>();
  for (let left = recordCount(source); left > 0; left--) {
    const [id, storageId] = itemsOf(unpickle(source).value) ?? [];
    const key = keyOf(id ?? null);
    const storage = storages.get(keyOf(storageId ?? null) ?? '');
    if (key === undefined || storage === undefined) throw source.error('a tensor without its storage');
    const axes = source.view(8).getInt32(0, true);
    if (axes < 0 || axes > MAX_AXES) throw source.error(`a tensor of ${axes} axes`);
    const counts = (length: number): number[] => {
      const view = source.view(8 * length);
      return Array.from({ length }, (_, i) => Number(view.getBigInt64(8 * i, true)));
    };
    const size = new TupleValue(counts(axes));
    const stride = new TupleValue(counts(axes));
    const [offset = 0] = counts(1);
    tensors.set(key, new TensorValue(storage.value, offset, size, stride, source.position));
  }
  return tensors;
}

function recordCount(source: PickleSource): number {
  const count = integerOf(unpickle(source).value);
  if (count === undefined || count < 0 || count > MAX_RECORDS)
    throw source.error('a number of records that cannot be');
  return count;
}

/** A number stands for a tensor or storage; a tuple for a class with its source text, or for a storage as in later files. */
function persistent(id: PickleValue, { storages, tensors }: Records): PickleValue {
  if (id instanceof TupleValue) {
    const [first] = id.items;
    return first instanceof GlobalValue ? first : torchPersistentLoad(id);
  }
  const key = keyOf(id);
  const value = key === undefined ? undefined : (tensors.get(key) ?? storages.get(key)?.value);
  if (value === undefined)
    throw new CheckpointError('malformed', 'pickle: refers to a tensor that is not in the archive');
  return value;
}
