import { CheckpointError } from '../errors';
import { MAX_CHUNKS } from './chunkData';
import { Cursor, type FieldSizes } from './cursor';
import type { Hdf5Window } from './window';

/** Metadata read in all, structures read again counted again; 400,000 tensors with names and attributes need about 200 MiB. */
const MAX_METADATA_BYTES = 512 * 1024 * 1024;
/** Structures read in all: some five for each of 400,000 tensors. */
const MAX_STRUCTURES = 2_000_000;

/** An HDF5 file: where its addresses begin, and how wide its fields are. All readers of structures share it. */
export class Hdf5File {
  private bytesLeft = MAX_METADATA_BYTES;
  private structuresLeft = MAX_STRUCTURES;
  private chunksLeft = MAX_CHUNKS;

  constructor(
    readonly window: Hdf5Window,
    readonly sizes: FieldSizes,
    /** Byte of the window at address 0. */
    readonly base: number,
  ) {}

  /** A structure of the file. @throws CheckpointError `malformed` when it is not all inside, `unsupported` when the file never ends */
  read(address: number, length: number): Cursor {
    this.bytesLeft -= length;
    if (this.bytesLeft < 0 || --this.structuresLeft < 0) {
      throw new CheckpointError('unsupported', 'HDF5: more structure than any model has', {
        file: this.window.path,
      });
    }
    const bytes = this.window.read(this.base + address, length);
    return new Cursor(bytes, this.sizes, address, (reason, at) => this.error('malformed', reason, at));
  }

  error(kind: 'malformed' | 'unsupported', reason: string, address: number): CheckpointError {
    const offset = this.window.outerOffset(this.base + address);
    const location = { file: this.window.path, ...(offset !== undefined && { offset }) };
    return new CheckpointError(kind, `HDF5: ${reason}`, location);
  }

  /** Counts a chunk. @throws CheckpointError `unsupported` when the file's datasets have too many together */
  countChunk(address: number): void {
    if (--this.chunksLeft < 0) throw this.error('unsupported', `more than ${MAX_CHUNKS} chunks`, address);
  }

  /** Whether a range of values is all inside. */
  holds(address: number, length: number): boolean {
    return address >= 0 && length >= 0 && this.base + address + length <= this.window.size;
  }
}
