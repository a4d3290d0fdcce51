import type { Checkpoint } from '../checkpoint';
import { CheckpointError } from '../errors';
import { type Unpickled, unpickle } from '../pickle/machine';
import { PickleSource } from '../pickle/source';
import {
  type LocatedStorage,
  type PickleContext,
  type PickleTensors,
  anyTensorsOf,
  noTensors,
  tensorsOf,
} from '../pickle/tensors';
import { torchPersistentLoad } from '../pickle/torchConstructors';
import type { StorageValue } from '../pickle/values';
import type { ZipArchive, ZipEntry } from '../zip';
import { stemOf } from './stem';
import { ScriptCode, hasNoWeights, scriptConstants } from './torchScript';

const PICKLE_NAME = 'data.pkl';
const CONSTANTS_NAME = 'constants.pkl';

/** At the top, or in the one folder that torch.save makes and calls after the file, newlines and all. */
function isPickleName(name: string): boolean {
  return name === PICKLE_NAME || name.endsWith(`/${PICKLE_NAME}`);
}

/** The pickle of a PyTorch archive, if it is one. @throws CheckpointError when there are several. */
export function findTorchPickle(archive: ZipArchive): ZipEntry | undefined {
  const [found, ...others] = [...archive.entries.values()].filter(({ name }) => isPickleName(name));
  const [other] = others;
  if (found !== undefined && other !== undefined) {
    throw archive.error('malformed', other, `another ${PICKLE_NAME} besides "${found.name}"`);
  }
  return found;
}

/**
 * What torch.save writes since PyTorch 1.6, and TorchScript archives, of which the attributes are read and the code
 * is not: `<folder>/data.pkl` and one entry `<folder>/data/<key>` for each storage; constants of the code are in
 * `<folder>/constants.pkl` and `<folder>/constants/<key>`.
 *
 * @throws CheckpointError `malformed` or `unsupported`.
 */
export function openTorchZip(archive: ZipArchive, pickleEntry: ZipEntry): Checkpoint {
  const { path, size } = archive.file;
  const folder = pickleEntry.name.slice(0, -PICKLE_NAME.length);
  const constants = archive.entries.get(folder + CONSTANTS_NAME);
  const facts = { path, files: [path], bytes: size };
  if (constants !== undefined) {
    const found = scriptTensors(archive, pickleEntry, constants, folder);
    const notes = [...found.notes, 'Its TorchScript code was not run'];
    return { ...facts, ...found, format: 'PyTorch (TorchScript)', notes };
  }
  const context = contextOf(archive, pickleEntry, `${folder}data/`);
  const found = inPickle(archive, pickleEntry, context, tensorsOf);
  return { ...facts, ...found, format: 'PyTorch (zip)' };
}

/** Attributes of a script's modules, and the constants of its code. */
function scriptTensors(
  archive: ZipArchive,
  pickleEntry: ZipEntry,
  constantsEntry: ZipEntry,
  folder: string,
): PickleTensors {
  const code = new ScriptCode(archive, folder);
  const context: PickleContext = {
    ...contextOf(archive, pickleEntry, `${folder}data/`),
    groupsOf: (className) => code.groupsOf(className),
  };
  return inPickle(archive, pickleEntry, context, (pickle) => {
    const own = anyTensorsOf(pickle, context);
    const places = contextOf(archive, constantsEntry, `${folder}constants/`);
    const constants = scriptConstants(
      inPickle(archive, constantsEntry, places, anyTensorsOf),
      code.constants,
      hasNoWeights(own.tensors),
    );
    const tensors = [...own.tensors, ...constants.tensors];
    const unreadable = [...own.unreadable, ...constants.unreadable];
    if (tensors.length + unreadable.length === 0) throw noTensors(pickle, archive.file.path);
    return { tensors, unreadable, notes: own.notes };
  });
}

function inPickle<T>(
  archive: ZipArchive,
  entry: ZipEntry,
  context: PickleContext,
  use: (pickle: Unpickled, context: PickleContext) => T,
): T {
  try {
    return use(unpickle(PickleSource.ofBytes(archive.read(entry)), torchPersistentLoad), context);
  } catch (error) {
    throw error instanceof CheckpointError ? inFile(error, archive.file.path, context.start) : error;
  }
}

/** An error inside the pickle, its offset counted from the start of the file where that is known. */
function inFile(error: CheckpointError, path: string, start: number | undefined): CheckpointError {
  if (error.location.file !== undefined) return error;
  const { offset, ...location } = error.location;
  const place = offset === undefined || start === undefined ? {} : { offset: start + offset };
  return new CheckpointError(
    error.kind,
    error.reason,
    { file: path, ...location, ...place },
    { cause: error },
  );
}

/** @param storages folder of the storages that the pickle refers to, with its slash */
function contextOf(archive: ZipArchive, pickleEntry: ZipEntry, storages: string): PickleContext {
  const place = archive.locate(pickleEntry);
  const byteOrder = byteOrderOf(archive, storages.replace(/[^/]+\/$/, ''));
  const located = new Map<string, LocatedStorage>();
  return {
    path: archive.file.path,
    start: place.encoding === 'raw' ? place.offset : undefined,
    rootName: stemOf(archive.file.path),
    locate: (storage) => {
      const name = storages + storage.key;
      const known = located.get(name);
      if (known !== undefined) return known;
      const fresh = locateStorage(archive, name, storage, byteOrder);
      located.set(name, fresh);
      return fresh;
    },
  };
}

function locateStorage(
  archive: ZipArchive,
  name: string,
  storage: StorageValue,
  byteOrder: 'big' | undefined,
): LocatedStorage {
  const entry = archive.entries.get(name);
  if (entry === undefined) {
    throw new CheckpointError('malformed', `its storage "${name}" is not in the archive`, {
      file: archive.file.path,
    });
  }
  if (storage.view !== undefined)
    throw archive.error('malformed', entry, 'a view of a storage, which archives do not have');
  const bytes = archive.locate(entry);
  return byteOrder === undefined ? { bytes } : { bytes, byteOrder };
}

/** The order of the machine that wrote the file; files without the record are older, and little-endian. */
function byteOrderOf(archive: ZipArchive, folder: string): 'big' | undefined {
  const entry = archive.entries.get(`${folder}byteorder`);
  if (entry === undefined) return undefined;
  const text = Buffer.from(entry.byteLength > 16 ? [] : archive.read(entry)).toString('latin1');
  if (text === 'big') return 'big';
  if (text === 'little') return undefined;
  throw archive.error('malformed', entry, 'is neither "little" nor "big"');
}
