import { CheckpointError } from '../errors';
import { Cursor } from './cursor';
import { Hdf5File } from './file';
import type { Hdf5Window } from './window';

const SIGNATURE = '\x89HDF\r\n\x1a\n';
/** The longest superblock: version 1 with fields of eight bytes. */
const MAX_SUPERBLOCK_BYTES = 100;

export interface OpenedHdf5 {
  readonly file: Hdf5File;
  /** Address of the root group's object header. */
  readonly root: number;
}

/**
 * Reads the superblock (HDF5 File Format Specification 3.0, II.A), versions 0 to 3, at the start of the window.
 *
 * @throws CheckpointError `malformed` when it breaks the specification or promises more than there is
 */
export function openSuperblock(window: Hdf5Window): OpenedHdf5 {
  const fail = (kind: 'malformed' | 'unsupported', reason: string): CheckpointError => {
    const offset = window.outerOffset(0);
    return new CheckpointError(kind, `HDF5: ${reason}`, {
      file: window.path,
      ...(offset !== undefined && { offset }),
    });
  };
  const bytes = window.read(0, Math.min(MAX_SUPERBLOCK_BYTES, window.size));
  const version = bytes[SIGNATURE.length] ?? 0xff;
  if (version > 3) throw fail('unsupported', `a superblock of version ${version}`);
  const [offset = 0, length = 0] = version < 2 ? bytes.subarray(13, 15) : bytes.subarray(9, 11);
  const isWidth = (width: number): boolean => width === 2 || width === 4 || width === 8;
  if (!isWidth(offset) || !isWidth(length)) throw fail('malformed', `addresses of ${offset} bytes`);
  const cursor = new Cursor(bytes, { offset, length }, 0, (reason) => fail('malformed', reason));
  cursor.signature(SIGNATURE);
  cursor.skip(version < 2 ? 16 : 4);
  // Version 1 keeps a node size of chunk indices more.
  if (version === 1) cursor.skip(4);
  const base = cursor.place('the start of the file');
  cursor.offset(); // free space; an extension since version 2
  const end = cursor.place('the end of the file');
  if (version < 2) {
    cursor.offset(); // driver information
    cursor.offset(); // name of the root group
  }
  const root = cursor.place('the root group');
  if (base > window.size || end > window.size)
    throw fail('malformed', `cut off: it should end at byte ${end}, and ends at byte ${window.size}`);
  return { file: new Hdf5File(window, { offset, length }, base), root };
}
