import type { Checkpoint } from '../checkpoint';
import { bytesPerElement } from '../dtype';
import { countOf } from '../wording';
import { CheckpointError } from '../errors';
import type { RandomAccessFile } from '../file';
import { type Unpickled, unpickle } from '../pickle/machine';
import { PickleSource } from '../pickle/source';
import { type LocatedStorage, tensorsOf } from '../pickle/tensors';
import { STORAGE_DTYPES, isUntyped, keyOf, torchPersistentLoad } from '../pickle/torchConstructors';
import { DictValue, ListValue, type PickleValue, StorageValue } from '../pickle/values';
import { stemOf } from './stem';

/** The number at the start of a legacy file, written as a pickle of its own. */
const MAGIC = 0x1950a86a20f9469cfc6cn;
const PROTOCOL = 1001;
/** Before each storage: its number of elements. */
const COUNT_BYTES = 8;

/**
 * What torch.save wrote before PyTorch 1.6: five pickles (magic number, protocol, system, object, storage keys), then
 * the storages one after another. A pickle without the magic number is read for the arrays in it.
 *
 * @throws CheckpointError `malformed` or `unsupported`.
 */
export function openPickleFile(file: RandomAccessFile): Checkpoint {
  const source = new PickleSource((offset, length) => file.readSync(offset, length), file.size, 0);
  try {
    const first = unpickle(source, torchPersistentLoad);
    return first.value === MAGIC ? openTorchLegacy(file, source) : openPlainPickle(file, source, first);
  } catch (error) {
    throw error instanceof CheckpointError ? error.at({ file: file.path }) : error;
  }
}

/** Storage classes by key, as the object's pickle refers to them. */
type StorageTypes = Map<string, StorageValue>;

function openTorchLegacy(file: RandomAccessFile, source: PickleSource): Checkpoint {
  const protocol = unpickle(source).value;
  if (protocol !== PROTOCOL)
    throw new CheckpointError('unsupported', 'a PyTorch legacy file of an unknown protocol');
  requireSystemInfo(unpickle(source).value);
  const objectStart = source.position;
  const types: StorageTypes = new Map();
  const object = unpickle(source, (id) => {
    const value = torchPersistentLoad(id);
    if (value instanceof StorageValue) types.set(value.key, value);
    return value;
  });
  const storages = locateStorages(unpickle(source).value, types, source, file);
  const found = tensorsOf(object, {
    path: file.path,
    // Positions in values of this pickle count from the start of the file.
    start: 0,
    rootName: stemOf(file.path),
    locate: (storage) => locateView(storage, storages, objectStart),
  });
  return { path: file.path, format: 'PyTorch (legacy)', files: [file.path], bytes: file.size, ...found };
}

function requireSystemInfo(info: PickleValue): void {
  if (!(info instanceof DictValue) || !info.entries.has('little_endian')) {
    throw new CheckpointError('malformed', 'a PyTorch legacy file without its system record');
  }
}

/** Walks the storages, which follow in the order of the keys. Their bytes are little-endian on every machine. */
function locateStorages(
  keys: PickleValue,
  types: StorageTypes,
  source: PickleSource,
  file: RandomAccessFile,
): ReadonlyMap<string, LocatedStorage> {
  if (!(keys instanceof ListValue))
    throw new CheckpointError('malformed', 'a PyTorch legacy file without its storage keys');
  const storages = new Map<string, LocatedStorage>();
  for (const item of keys.items) {
    const key = keyOf(item) ?? '';
    const type = types.get(key);
    if (type === undefined || storages.has(key)) {
      throw source.error(
        type === undefined ? `a storage "${key}" that nothing refers to` : `two storages "${key}"`,
      );
    }
    const offset = source.position + COUNT_BYTES;
    const elements = source.view(COUNT_BYTES).getBigInt64(0, true);
    if (elements !== BigInt(type.elements)) {
      throw source.error(`storage "${key}" has ${elements} elements where ${type.elements} were announced`);
    }
    const dtype = STORAGE_DTYPES.get(type.type);
    if (dtype === undefined && !isUntyped(type.type)) {
      throw new CheckpointError('unsupported', `storages of type ${type.type} are not read`, { offset });
    }
    const byteLength = type.elements * (dtype === undefined ? 1 : bytesPerElement(dtype));
    if (offset + byteLength > file.size) {
      throw new CheckpointError(
        'malformed',
        `storage "${key}" needs ${byteLength} bytes, but the file ends at byte ${file.size}`,
        { offset },
      );
    }
    source.skip(byteLength);
    storages.set(key, { bytes: { encoding: 'raw', path: file.path, offset, byteLength } });
  }
  return storages;
}

function locateView(
  { key, type, view }: StorageValue,
  storages: ReadonlyMap<string, LocatedStorage>,
  objectStart: number,
): LocatedStorage {
  const found = storages.get(key);
  if (found === undefined) {
    throw new CheckpointError('malformed', `its storage "${key}" is not in the file`, {
      offset: objectStart,
    });
  }
  const dtype = STORAGE_DTYPES.get(type);
  if (view === undefined || dtype === undefined) return found;
  return { ...found, start: view.offset * bytesPerElement(dtype) };
}

function openPlainPickle(file: RandomAccessFile, source: PickleSource, first: Unpickled): Checkpoint {
  const rest = file.size - source.position;
  const found = tensorsOf(first, {
    path: file.path,
    start: 0,
    rootName: stemOf(file.path),
    locate: ({ key }) => {
      throw new CheckpointError('malformed', `its storage "${key}" is not in the file`);
    },
  });
  const trailing =
    rest === 0
      ? []
      : [`${countOf(rest, 'byte after the pickle was', 'bytes after the pickle were')} ignored`];
  return {
    path: file.path,
    format: 'Python pickle',
    files: [file.path],
    bytes: file.size,
    ...found,
    notes: [...found.notes, ...trailing],
  };
}
